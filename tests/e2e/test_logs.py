"""Reading logs: what is chosen, with no daemon at all, and following through everything that can
happen meanwhile.

SPDX-License-Identifier: MIT
"""
import base64
import contextlib
import functools
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import kinds
import procfs
from harness import BUILD, wait_for

RUNS_AS = kinds.ALL
AT_ONCE = {"backoff": {"initial": 0}, "budget": {"restarts": 0}}
SPEAKS = "echo one; echo two >&2; echo Three; exec sleep 1000"


class Follower:
    """`aictl logs -f`, whose output goes to a file."""

    def __init__(self, daemon, *args):
        self.path = os.path.join(daemon.base, f"follow-{time.monotonic_ns()}")
        with open(self.path, "wb") as out:
            self.process = procfs.popen(daemon.cli_argv("logs", "-f", *args), stdout=out, stderr=-2,
                                        env={**daemon.env, "AICTL_SOCKET": daemon.socket}, cwd=daemon.base)

    def read(self):
        with open(self.path, "rb") as f:
            return f.read()

    def lines(self):
        """Whole ones: of the last one there may be a part yet."""
        return self.read().decode().rpartition("\n")[0].splitlines()

    def wait_for(self, line, timeout=30):
        wait_for(lambda: line in self.lines(), timeout, lambda: f"{line} in {self.lines()[-5:]}")

    def end(self):
        assert self.process.poll() is None, self.read()[-500:]
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(10) in (130, -signal.SIGINT)


@contextlib.contextmanager
def following(daemon, *args):
    follower = Follower(daemon, *args)
    try:
        yield follower
    finally:
        if follower.process.poll() is None:
            follower.process.kill()
            follower.process.wait(10)


def all_logged(daemon, service, n):
    wait_for(lambda: len(daemon.logged(service)) >= n, what=lambda: daemon.logged(service))


def texts(lines):
    return [line["line"] for line in lines]


def readers(daemon):
    """The CLI where it reads the files, and where it asks the API."""
    if os.geteuid() != 0:
        return (daemon.cli,)
    os.chmod(daemon.socket, 0o666)
    return daemon.cli, functools.partial(daemon.cli_as, "nobody")


def test_what_is_chosen(daemon):
    """The files and the API choose alike."""
    daemon.apply({"talk": daemon.shell(SPEAKS), "other": daemon.shell("echo else; exec sleep 1000")})
    all_logged(daemon, "talk", 3)
    all_logged(daemon, "other", 1)
    for options, query, want in (
            ((), "", {"one", "two", "Three"}),
            (("--stream", "stderr"), "&stream=stderr", {"two"}),
            (("--stream", "stdout"), "&stream=stdout", {"one", "Three"}),
            (("--stream", "aictl"), "&stream=aictl", set()),
            (("--grep", "^t"), "&grep=%5Et", {"two"}),
            (("-i", "-g", "^t"), "&grep=%5Et&ignore_case=1", {"two", "Three"}),
            (("--since", "1h"), "&since=1h", {"one", "two", "Three"}),
            (("--until", "1h"), "&until=1h", set()),
            (("--since", "2020-01-02T03:04:05+01:00"), "&since=2020-01-02T03:04:05%2B01:00", {"one", "two", "Three"}),
            (("--until", "2020-01-02T03:04:05Z"), "&until=2020-01-02T03:04:05Z", set()),
            (("--previous",), "&previous=1", set())):
        assert set(daemon.ok("logs", "--no-prefix", *options, "talk").splitlines()) == want, options
        assert set(texts(daemon.lines(f"/v1/logs?service=talk{query}"))) == want, query
    assert daemon.ok("logs", "-n", "1", "-g", "o", "--stream", "stdout", "--no-prefix", "talk") == "one\n"
    assert texts(daemon.lines("/v1/logs?service=talk&n=1&grep=o&stream=stdout")) == ["one"]
    for options in (("-n", "1", "--tail", "1"), ("--tail", "1"), ("-n", "1", "--tail=1", "-n", "1")):
        assert len(daemon.ok("logs", *options, "talk").splitlines()) == 1, options
    assert len(daemon.ok("logs", "-n", "all", "--tail", "-1", "talk").splitlines()) == 3
    everything = daemon.ok("logs")
    assert "talk/0  | one" in everything and "other/0 | else" in everything
    for query in ("stream=stdin", "grep=%28", "since=soon", "since=2020-01-02", "until=x", "previous=1&follow=1",
                  "grep=%5BA"):
        assert daemon.api("GET", f"/v1/logs?service=talk&{query}")[0] == 400, query
    for options in (("--stream", "stdin"), ("-g", "("), ("--until", "x"), ("-p", "-f"),
                    ("--since", "1h", "--until", "2h"), ("-n", "1", "--tail", "2"), ("--tail", "-1", "-n", "0")):
        assert daemon.cli("logs", *options, "talk")[0] == 2, options


@pytest.mark.processes("unrelated")
def test_patterns_of_anybody(daemon):
    """Perl's patterns, bytes of any kind, and one that takes too long is an error by name, not silence."""
    daemon.apply({"talk": daemon.shell(r"printf 'the the\n\303\204RGER\nnot \377 utf\n%05000d!\n'; exec sleep 1000")})
    wait_for(lambda: len(daemon.lines("/v1/logs?service=talk")) == 4)
    for options, query, want in ((("-g", r"(\w+) \1"), "grep=%28%5Cw%2B%29%20%5C1", "the the"),
                                 (("-i", "-g", "ä"), "grep=%C3%A4&ignore_case=1", "ÄRGER"),
                                 (("-g", "not.*utf"), "grep=not.*utf", "not \ufffd utf")):
        assert texts(daemon.lines(f"/v1/logs?service=talk&{query}")) == [want], query
        out = subprocess.run(daemon.cli_argv("logs", "--no-prefix", *options, "talk"), check=True, capture_output=True,
                             env={**daemon.env, "AICTL_SOCKET": daemon.socket}).stdout
        assert out.decode(errors="replace") == f"{want}\n", options
    hostile = daemon.lines("/v1/logs?service=talk&grep=%280%2B%29%2B%24")
    assert "(0+)+$" in hostile[-1]["error"]["message"] and hostile[-1]["error"]["code"] == "invalid", hostile
    for ask in readers(daemon):
        rc, out, err = ask("logs", "-g", "(0+)+$", "talk")
        assert rc == 1 and out == "" and err.count("(0+)+$") == 1 and "limit" in err, (rc, out, err)
    for name in ("aictld", "aictl-logger"):
        with open(os.path.join(BUILD, name), "rb") as f:
            assert b"libpcre2" not in f.read(), name


@pytest.mark.processes("bytes", "dockerd")
def test_raw_is_exact(daemon):
    """Bytes of any kind, by the files and by the API: both streams as they came, no newline more or less."""
    written = b"nul \0 in it\n\xff\xfe\r\n\n\0\0" + b"x" * 70000 + b"\nerr\nno end"
    path = os.path.join(daemon.base, "bytes")
    with open(path, "wb") as f:
        f.write(written)
    os.chmod(path, 0o644)
    daemon.apply({"talk": daemon.shell(f"cat {path}; exit 3", restart={"policy": "never"})}, wait=False)
    wait_for(lambda: b"no end" in daemon.segments("talk"))
    others = [["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]] if len(readers(daemon)) > 1 else []
    for wrapper in ([], *others):
        out = subprocess.run([*wrapper, *daemon.cli_argv("logs", "-o", "raw", "talk")], check=True, capture_output=True,
                             env={**daemon.env, "AICTL_SOCKET": daemon.socket}, cwd=daemon.base).stdout
        assert out == written, (wrapper, len(out), out[-100:])
        out = subprocess.run([*wrapper, *daemon.cli_argv("logs", "--no-prefix", "-n", "6", "talk")], check=True,
                             capture_output=True, env={**daemon.env, "AICTL_SOCKET": daemon.socket}, cwd=daemon.base).stdout
        assert out.startswith(b"nul \0 in it\n"), (wrapper, out[:99])
    lines = daemon.lines("/v1/logs?service=talk&raw=1")
    assert b"".join(base64.b64decode(line["raw"]) for line in lines) == written
    assert not any("line" in line for line in lines)


def test_a_deleted_service(daemon):
    """Whoever may read its files reads them, directly or by the API."""
    daemon.apply({"gone": daemon.shell("echo one; echo two; exec sleep 1000")})
    all_logged(daemon, "gone", 2)
    daemon.ok("delete", "gone")
    assert daemon.api("GET", "/v1/services/gone")[0] == 404
    for reader in readers(daemon):
        assert reader("logs", "gone", "--no-prefix") == (0, "one\ntwo\n", "")
        rc, out, err = reader("logs", "never")
        assert rc == 4 and out == "" and "never" in err, err
    assert texts(daemon.lines("/v1/logs?service=gone")) == ["one", "two"]
    assert texts(daemon.lines("/v1/logs?service=gone&n=1&previous=0")) == ["two"]
    for name in ("never", "..%2Fgone", ".", ""):
        assert daemon.api("GET", f"/v1/logs?service={name}")[0] in (400, 404), name
    assert daemon.api("GET", "/v1/logs?service=never&follow=1")[0] == 404


@pytest.mark.processes("unrelated")
def test_a_damaged_file_is_named(daemon):
    """The last one as well as the first, once, whoever reads."""
    daemon.apply({"talk": daemon.shell("seq 20000; exec sleep 1000", logs={"max_size": "64KiB", "compress": "zstd"})})
    wait_for(lambda: daemon.log_files("talk", kind="log.zst") and len(daemon.log_files("talk", kind="log")) == 1,
             what="compressed segments")
    path = daemon.log_files("talk", kind="log.zst")[0]
    with open(path, "r+b") as f:
        f.truncate(10)
    for reader in readers(daemon):
        rc, out, err = reader("logs", "talk")
        assert rc == 0 and out.endswith("20000\n") and err.count(path) == 1 and "damaged" in err, (rc, out[-99:], err)
    last = daemon.lines("/v1/logs?service=talk&n=100000")[-1]
    assert path in last["warning"] and last["service"] == "talk"


def test_previous(daemon):
    daemon.apply({"talk": daemon.shell("echo I am $AICTL_INCARNATION; exec sleep 1000", restart=AT_ONCE)})
    first = daemon.replica("talk")["incarnation"]
    all_logged(daemon, "talk", 1)
    assert daemon.ok("logs", "-p", "talk") == ""
    old = daemon.pid_of("talk")
    procfs.kill(old)
    second = daemon.wait_new_pid("talk", old)
    assert f"I am {first}" in daemon.ok("logs", "-p", "talk/0")  # also before the new one said anything
    all_logged(daemon, "talk", 2)
    for out in (daemon.ok("logs", "--prev", "--no-prefix", "talk"),
                "".join(f"{line}\n" for line in texts(daemon.lines("/v1/logs?service=talk&previous=1")))):
        assert out == f"I am {first}\n", (first, second)


def test_no_daemon_at_all(daemon):
    daemon.apply({"talk": daemon.shell(SPEAKS), "more": daemon.shell("echo more; exec sleep 1000")})
    all_logged(daemon, "talk", 3)
    all_logged(daemon, "more", 1)
    want = daemon.ok("logs")
    daemon.crash("controller", "logger")
    for options in ((), ("talk",), ("talk/0", "more")):
        rc, out, err = daemon.cli("logs", *options)
        assert rc == 0 and set(out.splitlines()) <= set(want.splitlines()) and "| Three" in out, (out, err)
        assert err.count("no daemon answers") == 1 and daemon.log_dir in err, err
    assert daemon.cli("logs", "never")[0] == 4
    copy = os.path.join(daemon.base, "copy")
    shutil.copytree(daemon.log_dir, copy)
    for env in ({}, {"AICTL_SOCKET": ""}):
        assert daemon.cli("logs", "--log-dir", "copy", "-n", "1", "more", env=env) == (0, "more/0 | more\n", "")
    assert daemon.cli("logs", "--log-dir", "nothing")[0] == 4
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")


def in_order(lines, holes=0):
    """"line N LOST" of play_keep, each once and in order, as the service told it. holes: how often it
    could not."""
    last = 0
    for line in lines:
        number, lost = map(int, re.fullmatch(r"(?:line|end) (\d+) (\d+)", line).groups())
        assert number > last, f"{line} after {last}"
        holes -= number - last != 1 and lost == 0
        assert holes >= 0, f"{line} after {last}"
        last = number
    return last


def runtimes(daemon):
    """What dies besides where containers are somebody's."""
    return (("runtime",), ("runtime", "logger")) if daemon.engine else ()


def test_following_outlives_us_all(start):
    """kill -9 of aictld, controller and logger, together and each: each stored line once, in order."""
    daemon = start(init=True)
    daemon.apply({"keep": daemon.service("keep", "500", logs={"max_size": "64KiB", "max_files": 1000})})
    with following(daemon, "--no-prefix", "keep") as follower:
        wait_for(lambda: len(follower.lines()) > 100, what="the first lines")
        for helpers in (("controller", "logger"), ("logger",), ("controller",), ("controller", "logger"), *runtimes(daemon)):
            before = len(follower.lines())
            daemon.crash(*helpers)
            daemon.start_again()
            wait_for(daemon.answers, what="aictld answers")
            wait_for(lambda n=before: len(follower.lines()) > n + 200, what="it goes on")
        daemon.ok("stop", "keep")
        daemon.wait_state("keep", "stopped")
        wait_for(lambda: follower.lines() and follower.lines()[-1].startswith("end "), what=lambda: follower.lines()[-1:])
        follower.end()
        assert follower.read() == daemon.segments("keep")
        assert in_order(follower.lines(), 4 if daemon.engine else 0) > 800  # "pipes" in docs/engines.md


def test_following_rotation_restart_scale_and_deletion(daemon):
    logs = {"max_size": "64KiB", "max_files": 1000}
    spec = daemon.service("lines", "10", logs=logs, restart=AT_ONCE)
    daemon.apply({"count": {**spec, "replicas": 2}})
    with following(daemon, "-o", "json", "count") as follower:
        wait_for(lambda: len(follower.lines()) > 500, what="the first lines")
        daemon.ok("restart", "count")
        procfs.kill(daemon.pid_of("count"))
        daemon.ok("scale", "count=4")
        wait_for(lambda: any('"replica":3,' in line for line in follower.lines()), what="the fourth replica")
        daemon.ok("scale", "count=1")
        wait_for(lambda: len(stored_files(daemon, "count", 0)) > 7, what="segments")
        daemon.ok("delete", "count")
        wait_for(lambda: "count" not in daemon.ps(), what="it is gone")

        wait_for(lambda: shown(follower) == stored(daemon, "count"), what="all that is stored was shown")
        assert len(shown(follower)) >= 4 + 2 + 1
        daemon.apply({"count": spec})
        before = len(follower.lines())
        wait_for(lambda: len(follower.lines()) > before + 100, what="it is there again")
        follower.end()


def shown(follower):
    """(replica, incarnation) -> its lines; a former run may drain while the next one writes."""
    found = {}
    for line in follower.lines():
        entry = json.loads(line)
        found.setdefault((entry["replica"], entry["incarnation"]), []).append(entry["line"])
    return found


def stored_files(daemon, service, index="*"):
    return sorted(glob.glob(os.path.join(daemon.log_dir, service, str(index), "*.log")))


def stored(daemon, service):
    found = {}
    for path in stored_files(daemon, service):
        with open(path, encoding="ascii") as f:
            key = int(path.split("/")[-2]), os.path.basename(path).split("-")[0]
            found.setdefault(key, []).extend(f.read().splitlines())
    return found


def test_following_everything(daemon):
    """Services that come later are shown from their first line; what was deleted before is not."""
    daemon.apply({"old": daemon.shell("echo old; exec sleep 1000")})
    all_logged(daemon, "old", 1)
    daemon.ok("delete", "old")
    wait_for(lambda: "old" not in daemon.ps(), what="it is gone")
    daemon.apply({"one": daemon.shell("echo first; exec sleep 1000")})
    with following(daemon) as follower:
        follower.wait_for("one/0 | first")
        daemon.apply({"one": daemon.shell("echo first; exec sleep 1000"),
                      "two": daemon.shell("echo second; echo third; exec sleep 1000")})
        follower.wait_for("two/0 | third")
        assert follower.lines() == ["one/0 | first", "two/0 | second", "two/0 | third"]
        daemon.apply({"old": daemon.shell("echo again; exec sleep 1000"),
                      "one": daemon.shell("echo first; exec sleep 1000"),
                      "two": daemon.shell("echo second; echo third; exec sleep 1000")})
        follower.wait_for("old/0 | again")
        assert len(follower.lines()) == 4
        follower.end()


@pytest.mark.waits
def test_until_ends_following(daemon):
    daemon.apply({"count": daemon.service("lines", "20000")})
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    lines = daemon.ok("logs", "-f", "--until", until, "-o", "json", "count").splitlines()
    assert len(lines) > 20 and all(f'"at":"{until[:19]}' >= line[line.index('"at":"'):][:25] for line in lines)
    assert len(daemon.lines(f"/v1/logs?service=count&follow=1&n=1000&until={until}")) == len(lines)


@pytest.mark.processes("hooks")
def test_previous_is_no_hook(daemon):
    """Hooks write into logs of their own, before and after the run they belong to."""
    hooks = {"pre_start": [{"exec": {"command": ["/bin/sh", "-c", "echo hook before"]}}],
             "post_start": [{"exec": {"command": ["/bin/sh", "-c", "echo hook after"]}}]}
    daemon.apply({"talk": daemon.shell("echo I am $$; exec sleep 1000", restart=AT_ONCE, hooks=hooks)})
    first = daemon.pid_of("talk")
    all_logged(daemon, "talk", 3)
    procfs.kill(first)
    daemon.wait_new_pid("talk", first)
    daemon.wait_state("talk", "ready")
    all_logged(daemon, "talk", 6)
    assert daemon.ok("logs", "-p", "--no-prefix", "talk") == f"I am {first}\n"
    assert texts(daemon.lines("/v1/logs?service=talk&previous=1")) == [f"I am {first}"]


def test_following_what_is_compressed_behind(daemon):
    """Closed files become X.log.zst while they are followed and afterwards; what is shown is the same."""
    daemon.apply({"keep": daemon.service("keep", "50", logs={"max_size": "64KiB", "max_files": 1000,
                                                             "compress": "zstd"})})
    with following(daemon, "-o", "raw", "keep") as follower:
        pattern = os.path.join(daemon.log_dir, "keep", "0", "*.zst")
        wait_for(lambda: len(glob.glob(pattern)) > 3, what="compressed files")
        daemon.ok("stop", "keep")
        daemon.wait_state("keep", "stopped")
        wait_for(lambda: follower.lines() and follower.lines()[-1].startswith("end "), what=lambda: follower.lines()[-1:])
        follower.end()
    assert in_order(follower.lines()) == len(follower.lines())
    assert daemon.ok("logs", "-o", "raw", "keep").encode() == follower.read()
    assert daemon.ok("logs", "-n", "5000", "--no-prefix", "keep").splitlines() == follower.lines()[-5000:]
    assert texts(daemon.logged("keep", 5000)) == follower.lines()[-5000:]
    assert daemon.ok("logs", "-g", " 000000077 ", "--no-prefix", "keep") == "line 000000077 0\n"


def open_to_all(daemon):
    """What a stranger needs to ask; the log files stay closed to it."""
    for path in (daemon.base, daemon.runtime_dir):
        os.chmod(path, 0o755)
    os.chmod(daemon.socket, 0o666)


@pytest.mark.needs_root
def test_following_by_the_api_goes_on(daemon):
    """A stranger, who may not read the files: each line once, in order, over the death of each."""
    daemon.apply({"keep": daemon.service("keep", "2000", logs={"max_size": "1GiB"})})
    open_to_all(daemon)
    daemon.wrapper += ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    try:
        follower = Follower(daemon, "--no-prefix", "keep")
    finally:
        del daemon.wrapper[-3:]
    try:
        wait_for(lambda: len(follower.lines()) > 20, what=follower.read)
        for helpers in (("controller",), ("logger",), ("controller", "logger")):
            before = len(follower.lines())
            if helpers == ("controller",):
                procfs.kill(daemon.helper("controller"))
            else:
                daemon.crash(*helpers)
                daemon.start_again()
            wait_for(daemon.answers, what="aictld answers")
            open_to_all(daemon)
            wait_for(lambda n=before: len(follower.lines()) > n + 100, what=lambda: follower.lines()[-3:])
        daemon.ok("stop", "keep")
        wait_for(lambda: follower.lines()[-1].startswith("end "), what=lambda: follower.lines()[-1:])
        follower.end()
        lines = [line for line in follower.lines() if not line.startswith("warning: the daemon does not answer")]
        assert [f"{line}\n" for line in lines] == daemon.segments("keep").decode().splitlines(keepends=True)
        in_order(lines, 2 if daemon.engine else 0)
    finally:
        if follower.process.poll() is None:
            follower.process.kill()
            follower.process.wait(10)


@pytest.mark.processes("unrelated")
@pytest.mark.waits
def test_a_controller_that_hangs(daemon):
    daemon.apply({"talk": daemon.shell(SPEAKS)})
    all_logged(daemon, "talk", 3)
    controller = daemon.helper("controller")
    procfs.kill(controller, signal.SIGSTOP)
    try:
        rc, out, err = daemon.cli("logs", "--no-prefix", "talk")
        assert rc == 0 and set(out.splitlines()) == {"one", "two", "Three"} and "no daemon answers" in err, (out, err)
    finally:
        procfs.kill(controller, signal.SIGCONT)


@pytest.mark.processes("backlog")
@pytest.mark.needs_root
@pytest.mark.waits
def test_what_was_dropped_is_said_among_the_lines(start):
    """A small disk that is full for a while."""
    daemon = start()
    owner, path = os.stat(daemon.log_dir), os.path.join(daemon.log_dir, "talk")
    os.mkdir(path)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"uid={owner.st_uid},gid={owner.st_gid},size=4m", "none", path],
                      capture_output=True, check=False).returncode:
        pytest.skip("no mount")
    try:
        daemon.apply({"talk": daemon.service("lines", "0", logs={"on_full": "drop", "max_size": "64KiB", "max_files": 1000})})
        with following(daemon, "--no-prefix", "talk") as follower:
            wait_for(lambda: len(follower.lines()) > 100, what="lines")
            with open(os.path.join(path, "junk"), "wb") as f, contextlib.suppress(OSError):
                f.write(bytes(8 << 20))
            pid = daemon.pid_of("talk")
            written = []

            def goes_on():  # more than pipes hold: it does not wait
                written.append(int(re.search(r"wchar: (\d+)", procfs.read(f"/proc/{pid}/io")).group(1)))
                return written[-1] > written[0] + (3 << 20)
            wait_for(goes_on, timeout=90, what=lambda: written[-3:])
            os.unlink(os.path.join(path, "junk"))
            wait_for(lambda: any(" dropped: " in line for line in follower.lines()), 60, lambda: follower.lines()[-5:])
            follower.end()
        notes = daemon.ok("logs", "--stream", "aictl", "--no-prefix", "talk").splitlines()
        assert notes and all(re.fullmatch(r"\[aictl: .* dropped: .*\]", note) for note in notes), notes
        assert {line["stream"] for line in daemon.logged("talk") if line["line"] in notes} <= {"aictl"}
        assert " dropped: " not in daemon.ok("logs", "--stream", "stdout", "talk")
        assert " dropped: " not in daemon.ok("logs", "-o", "raw", "talk")
    finally:
        subprocess.run(["umount", "-l", path], capture_output=True, check=False)


def test_what_is_named_twice_comes_once(daemon):
    daemon.apply({"talk": daemon.shell(SPEAKS, replicas=2), "other": daemon.shell("echo hi; exec sleep 1000")})
    all_logged(daemon, "talk", 6)
    all_logged(daemon, "other", 1)
    for names in (("talk/0", "other", "talk"), ("talk", "talk/1", "other"), ("other", "talk/1", "talk/0", "talk/1")):
        assert len(daemon.ok("logs", *names).splitlines()) == 7, names


@pytest.mark.processes("unrelated")
def test_wrong_directories(daemon):
    daemon.apply({"talk": daemon.shell(SPEAKS)})
    all_logged(daemon, "talk", 3)
    rc, out, err = daemon.cli("logs", "--log-dir", daemon.base)  # not the one
    assert rc == 0 and not out and "there are no log lines in" in err, err
    rc, _, err = daemon.cli("logs", "--log-dir", daemon.log_dir, "--since", "1ms", "-g", "never")
    assert rc == 0 and not err, err
    if os.geteuid() == 0:
        rc, _, err = daemon.cli_as("nobody", "logs", "--log-dir", daemon.log_dir)
        assert rc == 7 and "Permission denied" in err, err


def number_of(path):
    return int(path.rsplit("-", 1)[1].split(".")[0])


def test_a_slow_reader_is_told_what_it_missed(daemon):
    script = "i=0; while :; do i=$((i+1)); echo line $i; [ $((i%200)) = 0 ] && sleep 0.02; done"
    daemon.apply({"web": daemon.shell(script, logs={"max_size": "64KiB", "max_files": 2})})
    with following(daemon, "web") as follower:
        wait_for(lambda: len(follower.lines()) > 100, what="it follows")
        follower.process.send_signal(signal.SIGSTOP)
        newest = daemon.log_files("web", kind="log")[-1]
        wait_for(lambda: min(map(number_of, daemon.log_files("web", kind="log"))) > number_of(newest) + 1,
                 what="those behind it were rotated away")
        daemon.ok("stop", "web")
        follower.process.send_signal(signal.SIGCONT)
        wait_for(lambda: any("lines are missing" in line for line in follower.lines()), what="it is told")
        follower.end()
