"""Plugins as others build them: against an installed tree, found by pkg-config. What they do wrong is
caught and said, and nothing else of the daemon suffers from it.

SPDX-License-Identifier: MIT
"""
import fcntl
import glob
import json
import os
import re
import shutil
import subprocess

import pytest

import harness
import procfs
from harness import wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE_BUILD = os.path.abspath(os.environ.get("AICTL_BUILD", os.path.join(harness.ROOT, "build")))
MISSING = None if shutil.which("pkg-config") and shutil.which("make") and shutil.which("cc") else \
    "needs make, cc and pkg-config"
OPERATIONS = ("start", "signal", "remove", "list", "stats", "exec", "logs")
FAULTS = 4  # the exit status of aictl-plugin-check for one that broke a rule
REFUSED = 3
STATES = {"not_enabled", "loaded", "starting", "refused", "down"}


class Tree:
    """What `make install` has put into a directory, and plugins built with it."""

    def __init__(self, root):
        self.root = root
        with open(os.path.join(SOURCE_BUILD, "config.status"), encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time: it may have something left to build
            done = subprocess.run(["make", "-s", "-C", SOURCE_BUILD, "install", f"DESTDIR={root}"], check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "MAKEFLAGS": ""})
        assert done.returncode == 0, done.stdout[-3000:]
        pc = glob.glob(f"{root}/**/aictl-plugin.pc", recursive=True)[0]
        prefix = re.search(r"^prefix=(.*)$", procfs.read(pc), re.M).group(1)
        self.prefix = root + prefix
        self.env = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(pc)}
        self.pkg_config = f"pkg-config --define-variable=prefix={self.prefix}"
        self.plugins = self.ask("--variable=plugindir")
        self.libexec = os.path.dirname(glob.glob(f"{root}/**/aictl-runtime", recursive=True)[0])

    def ask(self, *words):
        return subprocess.run([*self.pkg_config.split(), *words, "aictl-plugin"], env=self.env, check=True,
                              capture_output=True, text=True).stdout.strip()

    def program(self, name):
        return glob.glob(f"{self.prefix}/*bin/{name}")[0]

    def build(self, source, out, *flags):
        subprocess.run(["cc", "-O1", "-g", *flags, *self.ask("--variable=module_cflags").split(), *self.ask("--cflags").split(),
                        *self.ask("--variable=module_ldflags").split(), "-o", out, source], check=True)
        return out

    def whim(self, where, name="whim", *flags):
        return self.build(os.path.join(HERE, "whim.c"), os.path.join(where, name + ".so"), f'-DNAME="{name}"', *flags)

    def check(self, so, script="", *options):
        """(exit status, the lines that it printed)."""
        done = subprocess.run([self.program("aictl-plugin-check"), *options, so], input=script, capture_output=True, text=True,
                              timeout=60, check=False, errors="replace")
        return done.returncode, [json.loads(line) for line in re.findall(r'\{"event".*', done.stdout)]  # besides what it prints itself


@pytest.fixture(scope="module")
def tree():
    root = harness.new_base()
    yield Tree(root)
    shutil.rmtree(root)


class Daemon(harness.Daemon):
    """The installed aictld, with modules of the test in a directory of its own."""

    def __init__(self, tree, base, runtimes=(), **kwargs):
        self.tree = tree
        self.plugin_dir = os.path.join(base, "plugins")
        os.makedirs(self.plugin_dir, exist_ok=True)
        options = [word for r in runtimes for word in ("--runtime", r)]
        super().__init__(base, *options, "--helper-dir", tree.libexec, "--plugin-dir", self.plugin_dir, **kwargs)

    def argv(self):
        return [self.tree.program("aictld") if w == harness.program("aictld") else w for w in super().argv()]

    def unit(self, runtime, **keys):
        return {"image": "none", "runtime": runtime, "network": "none", "stop": {"grace_period": "1s"},
                "update": harness.IN_PLACE, **keys}

    def plugins(self):
        """name -> what `aictl plugins` says."""
        found = json.loads(self.ok("plugins", "-o", "json"))["plugins"]
        assert all(p["state"] in STATES for p in found), found
        return {p["name"]: p for p in found}

    def wait_plugin(self, name, timeout=harness.DEFAULT_DEADLINE, **wanted):
        def agrees():
            p = self.plugins()[name]
            return all(v(p[k]) if callable(v) else p[k] == v for k, v in wanted.items()) and p
        return wait_for(agrees, timeout, lambda: f"{name}: {wanted}: {json.dumps(self.plugins().get(name))}\n{self.log()[-3000:]}")


@pytest.fixture
def start(base, tree):
    daemons = []

    def starter(*runtimes, prepare=None, **kwargs):
        daemon = Daemon(tree, base, runtimes, **kwargs)
        daemons.append(daemon)
        if prepare:
            prepare(daemon.plugin_dir)
        return daemon.start()

    yield starter
    for daemon in daemons:
        status = daemon.stop()
        assert status == daemon.expected_exit, f"aictld exited {status}\n{daemon.log()[-4000:]}"


def whims(base, **words):
    """A directory that says how a whim behaves."""
    path = os.path.join(base, "whims")
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o755)
    for op, word in words.items():
        behave(base, op, word)
    return path


def behave(base, op, word):
    path = os.path.join(base, "whims", op)
    if not word:
        os.unlink(path)
        return
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(word)
    os.rename(path + ".new", path)


def ask_for_stats(daemon):
    """Of a unit that does not become ready: does it get on?"""
    path = daemon.write({"version": 1, "name": "slow", "services": {"slow": daemon.unit("whim", probes={
        "startup": {"exec": {"command": ["x"]}, "period": "200ms", "stall": "600s"}})}}, "slow.yaml")
    daemon.ok("apply", "-f", path)


def others_run_on(daemon, pid):
    assert daemon.mode() == "normal"
    assert daemon.pid_of("other") == pid and daemon.ps()["other"]["state"] == "ready"


# ---- the example ----

def test_example(tree, base, start):
    """Built out of tree in a copy, checked, installed, enabled, used: as examples/plugin/README.md says."""
    copy = os.path.join(base, "example")
    shutil.copytree(os.path.join(harness.ROOT, "examples/plugin"), copy)
    env = {**tree.env, "PATH": os.path.dirname(tree.program("aictl-plugin-check")) + ":" + os.environ["PATH"]}
    for goal in ((), ("check",), ("install",)):
        done = subprocess.run(["make", "-s", "-C", copy, f"PC={tree.pkg_config}", *goal], env=env, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0 and "warning" not in done.stderr, done
    assert os.path.exists(os.path.join(tree.plugins, "ticker.so"))
    assert len(procfs.read(os.path.join(copy, "ticker.c")).splitlines()) < 150

    daemon = start("ticker=50", prepare=lambda where: shutil.copy(os.path.join(tree.plugins, "ticker.so"), where))
    found = daemon.wait_plugin("ticker", state="loaded")
    assert (found["kind"], found["version"], found["abi"], found["runtime"]) == ("runtime", "1.0", 1, "ticker"), found
    assert found["file"] == os.path.join(daemon.plugin_dir, "ticker.so") and found["restarts"] == found["faults"] == 0
    assert daemon.ok("plugins", "-o", "name") == "ticker\n"
    shutil.copy(os.path.join(copy, "aictl.yaml"), base)
    daemon.ok("apply", "-f", os.path.join(base, "aictl.yaml"), "--wait", "--timeout", "30s")
    clock = daemon.ps()["clock"]
    assert clock["runtime"] == "ticker" and [r["state"] for r in clock["replicas"]] == ["ready", "ready"]
    wait_for(lambda: "tick 5" in daemon.ok("logs", "clock"), what=lambda: daemon.ok("logs", "clock"))
    rc, _, err = daemon.cli("exec", "clock", "--", "true")
    assert rc != 0 and err, (rc, err)  # it has no exec
    daemon.ok("stop", "clock")
    daemon.wait_state("clock", "stopped")
    last = daemon.replica("clock")
    assert not last or last["pid"] in (0, None), last
    daemon.ok("start", "clock")
    daemon.wait_state("clock", "ready")
    assert daemon.plugins()["ticker"]["faults"] == 0, daemon.plugins()


def test_header(tree, base):
    """For C99 and C++, without an extension, without a hole."""
    flags = [*tree.ask("--cflags").split(), "-fsyntax-only", "-Wall", "-Wextra", "-Wpadded", "-Werror"]
    header = os.path.join(tree.prefix, "include/aictl/plugin.h")
    for compiler, *how in (("cc", "-x", "c", "-std=c99", "-pedantic-errors"), ("c++", "-x", "c++", "-std=c++11"),
                           ("clang", "-x", "c", "-std=c99", "-pedantic-errors")):
        if shutil.which(compiler):
            done = subprocess.run([compiler, *how, *flags, header], capture_output=True, text=True, cwd=base, check=False)
            assert (done.returncode, done.stderr) == (0, ""), done


def test_directory_is_only_listed(tree, base, start):
    """Nobody loads what nobody enabled: a module that would end whoever does is only named."""
    source = os.path.join(base, "bomb.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write('#include <unistd.h>\n__attribute__((constructor)) static void go(void) { _exit(9); }\n')
    daemon = start("absent", prepare=lambda where: tree.build(source, os.path.join(where, "bomb.so")))
    found = daemon.wait_plugin("bomb", state="not_enabled")
    assert found["runtime"] is None and found["kind"] is None and found["version"] is None
    assert set(daemon.plugins()) == {"absent", "bomb"}
    table = daemon.ok("plugins")
    assert "aictld --runtime bomb enables it" in table, table


# ---- what the loader refuses ----

def write_file(path, data):
    with open(path, "wb") as f:
        f.write(data)


def variant(tree, base, where, name, text):
    """A module made from C text."""
    source = os.path.join(base, name + ".c")
    with open(source, "w", encoding="utf-8") as f:
        f.write("#include <aictl/plugin.h>\n" + text)
    return tree.build(source, os.path.join(where, name + ".so"))


PLUGIN = ('static const struct aictl_plugin p = {%s, sizeof(p), %s, 0, "%s", "3.2", "d", %s};\n'
          "const struct aictl_plugin *aictl_plugin_query(uint32_t abi) { (void)abi; return %s; }\n")
OPS = "static const struct aictl_runtime_ops ops = {sizeof(ops)};\n"

REFUSALS = {
    "newer": (PLUGIN % (2, 1, "newer", 0, "&p"), "is for version 2 of the plugin interface, this aictl has version 1", {"abi": 2}),
    "none": (PLUGIN % (1, 1, "none", 0, "0"), "does not work with version 1 of the plugin interface", {"abi": 0}),
    "symbol": ("int unrelated;\n", "is no plugin of aictl: it has no function aictl_plugin_query", {}),
    "unresolved": ("extern void nowhere(void);\n" + PLUGIN % (1, 1, "unresolved", 0, "(nowhere(), &p)"), "undefined symbol: nowhere", {}),
    "probe": (PLUGIN % (1, 2, "probe", 0, "&p"), "is of kind probe (2), which this aictl cannot use", {"kind": "probe", "version": "3.2"}),
    "name": (PLUGIN % (1, 1, "other", 0, "&p"), 'calls itself "other": not the name of the file', {}),
    "few": (OPS + PLUGIN % (1, 1, "few", "&ops", "&p"), "of open, close, start, signal, remove and list one is missing", {}),
}


@pytest.mark.parametrize("names", (("newer", "none", "symbol", "unresolved"), ("newer", "probe", "name", "few")))
def test_refused_modules(tree, base, start, names):
    """What is no module for us: the error says which file and why, and the daemon runs on."""
    def prepare(where):
        for name in names:
            variant(tree, base, where, name, REFUSALS[name][0])

    daemon = start(*names, prepare=prepare)
    for name in names:
        _, wanted, facts = REFUSALS[name]
        found = daemon.wait_plugin(name, state="refused")
        assert wanted in found["error"], found
        assert os.path.join(daemon.plugin_dir, name + ".so") in found["error"], found
        assert {k: found[k] for k in facts} == facts, found
        assert wanted in daemon.log()
        rc, lines = tree.check(found["file"], "", "--query")
        assert rc == REFUSED and wanted in lines[-1]["text"], lines
    daemon.apply({"other": daemon.plain("pause")})
    path = daemon.write({"version": 1, "name": "bad", "services": {"web": daemon.unit("newer")}}, "bad.yaml")
    daemon.cli("apply", "-f", path)
    wait_for(lambda: "version 2 of the plugin interface" in daemon.ok("why", "web"), what=lambda: daemon.ok("why", "web"))
    assert "version 2 of the plugin interface" in daemon.ok("describe", "web")
    others_run_on(daemon, daemon.pid_of("other"))


@pytest.mark.parametrize("names", (("text", "empty", "cut", "folder"), ("fifo", "link", "loose", "missing")))
def test_refused_files(tree, base, start, names):
    """What is no module at all, or may be somebody else's."""
    def prepare(where):
        write_file(os.path.join(where, "text.so"), b"not an ELF file\n" * 100)
        write_file(os.path.join(where, "empty.so"), b"")
        os.truncate(tree.whim(where, "cut"), 3000)
        os.mkdir(os.path.join(where, "folder.so"))
        os.mkfifo(os.path.join(where, "fifo.so"))
        tree.whim(base, "link")
        os.symlink(os.path.join(base, "link.so"), os.path.join(where, "link.so"))
        os.chmod(tree.whim(where, "loose"), 0o666)

    wanted = {"text": "cannot be loaded: ", "empty": "cannot be loaded: ", "cut": "is cut off: it has 3000 bytes", "folder": "is not a file",
              "fifo": "is not a file", "link": "symbolic link", "loose": "can be written by others (mode 0666): chmod go-w",
              "missing": "there is no "}
    daemon = start(*names, prepare=prepare)
    for name in names:
        found = daemon.wait_plugin(name, state="refused")
        assert wanted[name] in found["error"] and f"/{name}.so" in found["error"], found
    assert daemon.mode() == "normal"
    if "missing" not in names:
        return
    # mended while the daemon runs: it is loaded without a restart
    os.chmod(os.path.join(daemon.plugin_dir, "loose.so"), 0o644)
    tree.whim(daemon.plugin_dir, "missing")
    for name in ("loose", "missing"):
        daemon.wait_plugin(name, state="loaded", error=None)


@pytest.mark.needs_root
def test_owners(tree, base, start):
    def prepare(where):
        os.chown(tree.whim(where, "alien"), 65534, 65534)

    daemon = start("alien", prepare=prepare)
    found = daemon.wait_plugin("alien", state="refused")
    assert "belongs to uid 65534" in found["error"] and "have to belong to root" in found["error"], found


def test_writable_directory(tree, base, start):
    daemon = start("whim", prepare=lambda where: (tree.whim(where), os.chmod(where, 0o777)))
    found = daemon.wait_plugin("whim", state="refused")
    assert f"{daemon.plugin_dir} can be written by others (mode 0777)" in found["error"], found
    os.chmod(daemon.plugin_dir, 0o755)
    daemon.wait_plugin("whim", state="loaded")


# ---- what it does wrong, one operation at a time ----

SCRIPT = {"start": "start u {}", "signal": "signal u TERM", "remove": "remove u", "list": "list", "stats": "stats u",
          "exec": 'exec u {"argv": ["x"]}', "logs": "logs u"}


def drive(tree, base, op, word, *script):
    """Runs the one operation with everything before it in order."""
    so = os.path.join(base, "whim.so")
    if not os.path.exists(so):
        tree.whim(base, "whim", "-DWITH_LOGS")
    shutil.rmtree(os.path.join(base, "whims"), ignore_errors=True)
    config = whims(base, **{op: word})
    before = "" if op == "start" else "start u {}\nwait op 0\n"
    return tree.check(so, before + "\n".join([*script[:-1], SCRIPT[op], script[-1] if script else "wait op 0"]) + "\n", "--config", config)


def ends_of(lines, op):
    return [e for e in lines if e["event"] == "end" and e.get("command") == op]


@pytest.mark.parametrize("op", OPERATIONS)
def test_each_operation(tree, base, op):
    """With the mock host: an error is passed on, everything else is caught, once, and named."""
    rc, lines = drive(tree, base, op, "none")
    assert rc == 0 and [e["code"] for e in ends_of(lines, op)] == ["ok"], lines
    rc, lines = drive(tree, base, op, "fail")
    assert rc == 0 and [(e["code"], e["message"]) for e in ends_of(lines, op)] == [("failed", f"no luck with {op}")], lines
    rc, lines = drive(tree, base, op, "garbage")
    [end] = ends_of(lines, op)
    assert rc == 0 and end["code"] == "failed" and "rbage" in end["message"] and "\x1b" not in end["message"], lines
    for word, text in (("twice", "had ended"), ("foreign", "never begun"), ("short", f"{op} ended with a result of 8 bytes: too short"),
                       ("block", f"{op} held up the loop for")):
        rc, lines = drive(tree, base, op, word)
        assert rc == FAULTS and len(ends_of(lines, op)) == 1, (word, lines)
        assert [e for e in lines if e["event"] == "fault" and text in e["text"]], (word, lines)
    for word, status in (("segv", -11), ("exit", 3)):
        rc, lines = drive(tree, base, op, word)
        assert rc == status and not ends_of(lines, op), (word, lines)


@pytest.mark.parametrize("op", OPERATIONS)
def test_each_operation_times_out(tree, base, op):
    """At its deadline, or canceled where it has none: it is over for who asked, whatever the plugin does."""
    if op in ("exec", "logs"):
        number = 2
        rc, lines = drive(tree, base, op, "hang", "deadline cancel 50", f"cancel {number}\nwait op {number}")
        assert [e["code"] for e in ends_of(lines, op)] == ["canceled"], lines
    else:
        rc, lines = drive(tree, base, op, "hang", f"deadline {op} 50", "deadline cancel 50", "wait op 0")
        assert [e["code"] for e in ends_of(lines, op)] == ["timeout"], lines
    assert rc == FAULTS, lines
    assert [e for e in lines if e["event"] == "fault" and re.search(f"{op} .*was not completed within 50 ms", e["text"])], lines


# ---- the same in a daemon ----

@pytest.mark.parametrize("word", ("twice", "foreign", "short", "block"))
def test_rules_broken(tree, base, start, word):
    """In each operation that a service needs: counted, named, and the service does what it should as far as that goes."""
    daemon = start(f"whim={whims(base)}", prepare=tree.whim)
    daemon.apply({"other": daemon.plain("pause"), "web": daemon.unit("whim")})
    other = daemon.pid_of("other")
    runtime = daemon.plugins()["whim"]["pid"]
    faults = daemon.plugins()["whim"]["faults"]
    assert faults == 0
    for op in ("exec", "signal", "remove", "start", "stats"):
        behave(base, op, word)
        if op == "stats":
            ask_for_stats(daemon)
        elif op == "exec":
            rc, out, err = daemon.cli("exec", "web", "--", "x")
            assert word == "short" or (rc, out) == (7, "hello from exec\n"), (rc, out, err)
        else:
            daemon.ok("restart", "web", "--no-wait")
        daemon.wait_plugin("whim", faults=lambda n, least=faults: n > least)
        behave(base, op, None)
        daemon.wait_state("web", "ready", 90)
        faults = daemon.plugins()["whim"]["faults"]
    found = daemon.plugins()["whim"]
    assert found["state"] == "loaded" and found["restarts"] == 0 and found["pid"] == runtime, found
    assert found["last_fault"] and found["last_fault"] in daemon.log()
    assert "broke a rule of the interface" in daemon.log() and "whim" in daemon.log()
    assert "faults, the last" in daemon.ok("plugins"), daemon.ok("plugins")
    others_run_on(daemon, other)


@pytest.mark.parametrize("word", ("fail", "garbage"))
def test_operations_fail(tree, base, start, word):
    """Errors are the service's, with the plugin's words; when they end it goes on."""
    words = "no luck with start" if word == "fail" else "rbage"
    daemon = start(f"whim={whims(base, start=word)}", prepare=tree.whim)
    path = daemon.write({"version": 1, "name": "shop", "services": {
        "other": daemon.plain("pause"), "web": daemon.unit("whim", restart={"backoff": {"initial": "100ms", "max": "500ms"}})}})
    daemon.ok("apply", "-f", path)
    daemon.wait_state("other", "ready")
    other = daemon.pid_of("other")
    wait_for(lambda: words in daemon.ok("why", "web"), what=lambda: daemon.ok("why", "web"))
    assert words in daemon.ok("describe", "web")
    assert "\x1b" not in daemon.ok("describe", "web", "-o", "json") and "\x1b[2J" not in daemon.ok("why", "web")
    behave(base, "start", None)
    daemon.wait_state("web", "ready", 90)

    behave(base, "exec", word)
    rc, _, err = daemon.cli("exec", "web", "--", "x")
    assert rc in (1, 125, 126, 127) and ("no luck with exec" if word == "fail" else "rbage") in err, (rc, err)
    behave(base, "exec", None)
    assert daemon.cli("exec", "web", "--", "x")[0] == 7

    for op in ("signal", "remove", "list"):
        behave(base, op, word)
    before = daemon.replica("web")["incarnation"]
    daemon.ok("restart", "web", "--no-wait")
    wait_for(lambda: re.search("signal=9 error=.* could not be sent", daemon.log()), what=daemon.log)
    for op in ("signal", "remove", "list"):
        behave(base, op, None)
    wait_for(lambda: (r := daemon.replica("web")) and r["incarnation"] != before and r["state"] == "ready", 90,
             lambda: json.dumps(daemon.ps()["web"]) + daemon.log()[-3000:])
    daemon.wait_state("web", "ready")
    assert daemon.plugins()["whim"]["faults"] == 0, daemon.plugins()
    others_run_on(daemon, other)


@pytest.mark.parametrize("word", ("segv", "exit"))
@pytest.mark.parametrize("op", ("open", "start", "signal", "remove", "list", "stats", "exec"))
def test_process_ends(tree, base, start, op, word):
    """Whatever it takes along is one process, which is started again and says how it ended."""
    daemon = start(f"whim={whims(base)}", prepare=tree.whim)
    daemon.apply({"other": daemon.plain("pause"), "web": daemon.unit("whim", restart={"backoff": {"initial": "100ms", "max": "500ms"}})})
    other, runtime = daemon.pid_of("other"), daemon.plugins()["whim"]["pid"]
    behave(base, op, word)
    if op in ("open", "list"):
        procfs.kill(runtime, 9)  # both come at the beginning
    elif op == "exec":
        rc, _, err = daemon.cli("exec", "web", "--", "x")
        assert rc != 0, err
    elif op == "stats":
        ask_for_stats(daemon)
    else:
        daemon.ok("restart", "web", "--no-wait")
    end = "SIGSEGV" if word == "segv" else "exit 3"
    daemon.wait_plugin("whim", restarts=lambda n: n >= 1, last_end=end)
    behave(base, op, None)
    found = daemon.wait_plugin("whim", 90, state="loaded", pid=lambda pid: pid not in (0, runtime))
    assert end in daemon.ok("plugins") or found["faults"], daemon.ok("plugins")
    daemon.wait_state("web", "ready", 90)
    assert re.search(r"helper=\"?aictl-runtime whim\"? died " + ("signal=11" if word == "segv" else "exit=3"), daemon.log()), daemon.log()[-2000:]
    others_run_on(daemon, other)


def test_open_fails(tree, base, start):
    """Refused with the plugin's words; tried again, and the service comes up."""
    daemon = start(f"whim={whims(base, open='fail')}", prepare=tree.whim)
    found = daemon.wait_plugin("whim", state="refused", error="no luck with open")
    assert (found["version"], found["abi"]) == ("0.1", 1), found
    path = daemon.write({"version": 1, "name": "shop", "services": {"web": daemon.unit("whim")}})
    daemon.cli("apply", "-f", path)
    wait_for(lambda: "no luck with open" in daemon.ok("why", "web"), what=lambda: daemon.ok("why", "web"))
    behave(base, "open", None)
    daemon.wait_plugin("whim", state="loaded", error=None)
    daemon.wait_state("web", "ready", 90)


@pytest.mark.waits
def test_operations_hang(tree, base, start):
    """In the daemon's own time: a start, a stop, a removal, a list and an exec that never end, and a
    plugin that does not return. What hangs is one service's, and said; when it ends all go on."""
    names = ("h-start", "h-signal", "h-remove", "h-stuck")

    def prepare(where):
        for name in names:
            tree.whim(where, name)
            os.makedirs(os.path.join(base, name, "whims"))
            os.chmod(os.path.join(base, name), 0o755)

    daemon = start(*(f"{name}={base}/{name}/whims" for name in names), prepare=prepare)
    quick = {"backoff": {"initial": "100ms", "max": "500ms"}}
    daemon.apply({"other": daemon.plain("pause"), **{name: daemon.unit(name, restart=quick) for name in names}})
    other, stuck = daemon.pid_of("other"), daemon.plugins()["h-stuck"]["pid"]
    for name in names:
        op = name[2:]
        behave(os.path.join(base, name), "start" if op == "stuck" else op, "stuck" if op == "stuck" else "hang")
        daemon.ok("restart", name, "--no-wait")
    # 15 s without a sign of life: killed
    daemon.wait_plugin("h-stuck", 60, restarts=lambda n: n >= 1, last_end="SIGKILL", pid=lambda pid: pid != stuck)
    for name in names[:3]:
        op = name[2:]
        found = daemon.wait_plugin(name, 150, faults=lambda n: n >= 1)
        assert found["state"] == "loaded" and found["restarts"] == 0, found
        assert re.search(rf"runtime={name} .*{op} .*was not completed within", daemon.log()), daemon.log()[-3000:]
    others_run_on(daemon, other)
    for name in names:
        op = name[2:]
        behave(os.path.join(base, name), "start" if op == "stuck" else op, None)
    for name in names:
        daemon.wait_state(name, "ready", 150)
    others_run_on(daemon, other)
