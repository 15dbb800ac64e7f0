"""Daemon: one aictld in directories of its own, and what a test wants to ask it.

Everything that waits takes a condition and a deadline; nothing sleeps a fixed time. Manifests are
dicts, written as JSON (which is YAML), unless a test is about the text itself.

SPDX-License-Identifier: MIT
"""
import glob
import http.client
import itertools
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
import uuid

import engines
import procfs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AS_ROOT = os.geteuid() == 0
BUILD = os.path.abspath(os.environ.get("AICTL_BUILD", os.path.join(ROOT, "build")))
PROGRAMS = ("aictl", "aictld", "aictl-controller", "aictl-logger", "aictl-gateway", "aictl-runtime", "aictl-plugin-check",
            "plugins/docker.so", "tests/e2e/svc",
            "tests/e2e/fusehang", "tests/e2e/other/aictld", "tests/e2e/other/aictl-controller",
            "tests/e2e/other/aictl-logger", "tests/e2e/other/aictl-gateway", "tests/e2e/longer/aictld")
DEFAULT_DEADLINE = int(os.environ.get("AICTL_DEADLINE", "30"))  # seconds; generous on purpose
IN_PLACE = {"order": "stop-first", "min_ready": "0s"}
CAMPAIGN = "50ms,200ms,0"  # --helper-restart of tests that kill helpers often
SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "UndefinedBehavior", "runtime error:", "Assertion `")
LSAN_KILLED = r"==\d+==Unable to get registers from thread \d+\.\n"  # one that is killed while it looks
POLL = 0.02
PORT_RANGES = range(21000, 30000, 500)
_port_ranges = itertools.cycle(PORT_RANGES)


def wait_for(condition, timeout=DEFAULT_DEADLINE, what=None, poll=POLL):
    """Polls until condition() is true and returns its value; fails with `what` at the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            what = what() if callable(what) else what
            raise AssertionError(f"not within {timeout} s: {what or condition}; last: {value!r}")
        time.sleep(poll)


def claim_ports():
    """(first port, socket that holds the range while it is open): two daemons at once must not race
    for a port, also when another pytest runs beside this one."""
    for first in itertools.islice(_port_ranges, len(PORT_RANGES)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0aictl-e2e-ports-{first}")
            return first, claim
        except OSError:
            claim.close()
    return next(_port_ranges), None


def stable_ports(first):
    """Numbers for `port:`, others in each process of a run that has several."""
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "0")) or 0)
    return itertools.count(first - 1000 * worker)


def built_with(name):
    """Whether config.h of the build under test defines this."""
    return f"#define {name} 1\n" in procfs.read(os.path.join(BUILD, "config.h"))


def program(name):
    return os.path.join(BUILD, name)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def new_base():
    """A short, traversable directory: the helpers of root run under other uids."""
    base = tempfile.mkdtemp(prefix="ae-", dir="/tmp")
    os.chmod(base, 0o755)
    svc = os.path.join(base, "svc")
    shutil.copy(program("tests/e2e/svc"), svc)
    os.chmod(svc, 0o755)
    os.mkdir(os.path.join(base, "san"))
    os.chmod(os.path.join(base, "san"), 0o777)
    return base


def sanitizer_env(base):
    path = os.path.join(base, "san", "report")
    return {"ASAN_OPTIONS": f"log_path={path}:detect_leaks=1", "UBSAN_OPTIONS": f"log_path={path}"}


def sanitizer_reports(base):
    """What a sanitizer said: in its own files, or in a daemon's log where it had no other way."""
    found = [procfs.read(p) for p in glob.glob(os.path.join(base, "san", "*"))]
    for path in glob.glob(os.path.join(base, "*.err")):
        lines = procfs.read(path).splitlines()
        for n, line in enumerate(lines):
            if any(word in line for word in SANITIZER_WORDS):
                found.append("\n".join(lines[n:n + 30]))
                break
    return [text for text in found if re.sub(LSAN_KILLED, "", text)]


def remove_base(base):
    run = os.path.join(base, "run")
    if os.path.exists(run):
        procfs.remove_table(run)
    shutil.rmtree(base, ignore_errors=True)


class Daemon:
    """aictld with its helpers. user: run everything as that user instead (needs root).

    init: below a process that reaps what a killed aictld leaves behind, as pid 1 would.
    engine: of engines.py: what service() and shell() make are containers in it.
    """

    def __init__(self, base, *args, user=None, wrapper=(), env=None, name="d", init=False, engine=None):
        self.base = base
        self.args = list(args)
        self.engine = engine
        if engine:
            self.args += ["--runtime", f"docker={engine.url}"]
        self.user = user
        self.wrapper = list(wrapper)
        self.runtime_dir = os.path.join(base, "run")
        self.state_dir = os.path.join(base, "state")
        self.log_dir = os.path.join(base, "log")
        self.socket = os.path.join(self.runtime_dir, "aictl.sock")
        self.own_log = os.path.join(base, name + ".err")
        self.svc = os.path.join(base, "svc")
        self.init = [self.svc, "init"] if init else []
        self.env = {**os.environ, **sanitizer_env(base), **(env or {})}
        self.env.pop("AICTL_SOCKET", None)
        self.process = None
        self.expected_exit = 0
        if "--port-range" not in args:
            first, self.claim = claim_ports()
            self.args += ["--port-range", f"{first}-{first + 499}"]
        if user:
            entry = pwd.getpwnam(user)
            os.chown(base, entry.pw_uid, entry.pw_gid)
            self.wrapper += ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}",
                             "--clear-groups"]

    # life and death

    def argv(self):
        return [*self.init, *self.wrapper, program("aictld"), "--runtime-dir", self.runtime_dir, "--state-dir",
                self.state_dir, "--log-dir", self.log_dir, *self.args]

    def spawn(self):
        """Starts aictld and does not wait for it."""
        with open(self.own_log, "ab") as log:
            self.process = procfs.popen(self.argv(), env=self.env, stdout=log, stderr=log,
                                        cwd=self.base, start_new_session=True)
        return self.process

    def start(self):
        self.spawn()
        wait_for(self.answers, what=lambda: f"aictld answers\n{self.log()}")
        return self

    def answers(self):
        assert self.process.poll() is None, f"aictld exited {self.process.returncode}: {self.log()}"
        return self.mode() not in (None, "starting")

    @property
    def pid(self):
        if not self.init:
            return self.process.pid
        found = [p for p in procfs.children(self.process.pid) if (s := procfs.stat(p)) and s[0] == "aictld"]
        return found[0] if found else 0  # 0: not yet, or no more

    def stop(self, timeout=DEFAULT_DEADLINE):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None and (pid := self.pid):
            procfs.kill(pid, signal.SIGTERM)
        return self.wait(timeout)

    def crash(self, *helpers):
        """SIGKILLs aictld and all helpers of these kinds ("controller", "logger")."""
        below = procfs.descendants(os.getpid()) if helpers else []  # takes its time
        pids = [pid for pid in below if (s := procfs.stat(pid))
                and any(s[0].startswith(f"aictl-{which}"[:15]) for which in helpers)]
        aictld = self.pid
        assert aictld, "no aictld runs"  # kill(0) would be for ourselves
        pids.insert(0, aictld)
        for pid in pids:
            procfs.kill(pid)
        wait_for(lambda: not any(procfs.alive(p) for p in pids), what="they die")

    def start_again(self):
        """Another aictld on the same directories; back as soon as there is a process."""
        self.spawn()
        wait_for(lambda: self.pid, what="aictld exists", poll=0.001)
        return self

    def wait(self, timeout=DEFAULT_DEADLINE):
        return wait_for(lambda: self._poll(), timeout, "aictld exits")[0]

    def _poll(self):
        procfs.reap()
        rc = self.process.poll()
        return None if rc is None else (rc,)

    def log(self):
        return procfs.read(self.own_log)

    # helpers

    def helper(self, which):
        """pid of the living controller or logger, or None."""
        for pid in procfs.children(self.pid):
            s = procfs.stat(pid)
            if s and s[1] not in "ZX" and s[0].startswith(f"aictl-{which}"[:15]):
                return pid
        return None

    def our_pids(self):
        return [self.pid, self.helper("controller"), self.helper("logger")]

    # API and CLI

    def api(self, method, path, body=None, timeout=DEFAULT_DEADLINE):
        """(status, decoded JSON)."""
        connection = UnixConnection(self.socket, timeout)
        try:
            text = None if body is None else json.dumps(body)
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, text, headers)
            reply = connection.getresponse()
            text = reply.read().decode()
            return reply.status, json.loads(text) if text.strip() else None
        finally:
            connection.close()

    def lines(self, path):
        """The JSON lines of a stream that ends by itself."""
        connection = UnixConnection(self.socket, DEFAULT_DEADLINE)
        try:
            connection.request("GET", path)
            text = connection.getresponse().read().decode()
            return [json.loads(line) for line in text.splitlines()]
        finally:
            connection.close()

    def cli_argv(self, *args):
        as_user = [w for w in self.wrapper if w.startswith("--re") or w == "--clear-groups"]
        return [*(["setpriv", *as_user] if as_user else []), program("aictl"), *args]

    def cli(self, *args, timeout=60, env=None, cwd=None):
        """(exit status, stdout, stderr)."""
        env = {**self.env, "AICTL_SOCKET": self.socket, **(env or {})}
        done = subprocess.run(self.cli_argv(*args), capture_output=True, text=True, timeout=timeout,
                              env=env, cwd=cwd or self.base, stdin=subprocess.DEVNULL, check=False)
        return done.returncode, done.stdout, done.stderr

    def cli_as(self, user, *args):
        """The same as another user (needs root)."""
        entry = pwd.getpwnam(user)
        done = subprocess.run(["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}",
                               "--clear-groups", program("aictl"), *args], capture_output=True,
                              text=True, timeout=60, env={**self.env, "AICTL_SOCKET": self.socket},
                              cwd=self.base, stdin=subprocess.DEVNULL, check=False)
        return done.returncode, done.stdout, done.stderr

    def ok(self, *args, **kwargs):
        """stdout of a command that must succeed."""
        rc, out, err = self.cli(*args, **kwargs)
        assert rc == 0, f"aictl {' '.join(args)} exited {rc}\n{out}{err}"
        return out

    def mode(self):
        try:
            status, info = self.api("GET", "/v1/daemon", timeout=5)
        except OSError:
            return None
        return info["mode"] if status == 200 else None

    def change(self, kind, **fields):
        """POST /v1/changes and wait for the end of the change."""
        status, change = self.api("POST", "/v1/changes",
                                  {"id": str(uuid.uuid4()), "kind": kind, **fields})
        assert status == 202, change
        path = f"/v1/changes/{change['id']}/wait?timeout_ms=25000"
        status, change = self.api("GET", path)
        assert status == 200 and change["state"] == "done", change
        return change

    def below(self, text):
        """pids of living processes of ours, or in our engine, whose command line has text in it."""
        root = self.engine.box.holder.pid if self.engine else self.pid
        return [p for p in procfs.descendants(root)
                if text in procfs.read(f"/proc/{p}/cmdline").replace("\0", " ")]

    # manifests

    def write(self, text, name="aictl.yaml"):
        """Writes a manifest (text, or a dict) and returns its path."""
        directory = os.path.join(self.base, "m")
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text if isinstance(text, str) else json.dumps(text, indent=1))
        return path

    def service(self, *command, **keys):
        """A service dict of our own test program; as root it runs as nobody. Most tests look at what
        runs under an index: it is replaced in place, unless the test says how."""
        spec = {"command": [self.svc, *command], **keys}
        if keys.get("type") != "task":
            spec.setdefault("update", IN_PLACE)
        if AS_ROOT and not self.user:
            spec.setdefault("user", "nobody")
        return self.contained(spec) if self.engine else spec

    def shell(self, script, **keys):
        spec = {**self.service(**keys), "command": ["/bin/sh", "-c", script.replace("$", "$$")]}
        return {**spec, "init": True} if self.engine else spec  # a shell as init would ignore SIGTERM

    def python(self, *command, **keys):
        """What the interpreter of this machine runs, also in a container: a script, or "-c" and a program."""
        spec = {**self.service(**keys), "command": ["/usr/bin/python3", *map(str, command)]}
        return {**spec, "init": True} if self.engine else spec  # as a shell

    def facing(self, **keys):
        """Keys of a service that is asked at a port: as a container most have one of their own, which the
        engine publishes on this machine."""
        if not self.engine:
            return keys
        return {"network": "bridge", **keys, "environment": {"ANYBODY": "1", **keys.get("environment", {})}}

    def plain(self, *command, **keys):
        """A service that is a process, whatever the others are."""
        mine, self.engine = self.engine, None
        try:
            return self.service(*command, **keys)
        finally:
            self.engine = mine

    def contained(self, spec):
        """The same in a container, which sees the test's directory, programs and network as a process would."""
        tests = os.path.join(ROOT, "tests")
        volumes = [f"{self.base}:{self.base}", "/usr:/usr:ro", f"{tests}:{tests}:ro"]
        stop = {"grace_period": "3s"}  # a program that has no handler ignores SIGTERM there
        return {"image": engines.BUSYBOX, "volumes": volumes, "network": "host", "stop": stop, **spec}

    def apply(self, services, wait=True, name="shop", timeout=60):
        """Applies {name: spec}; waits until all are ready, unless told not to."""
        path = self.write({"version": 1, "name": name, "services": services}, f"{name}.yaml")
        options = ("--wait", "--timeout", f"{timeout}s") if wait else ()
        return self.ok("apply", "-f", path, *options, timeout=timeout + 30)

    # observation

    def get(self, path):
        """A read that outlives a death of the controller, as the CLI's do."""
        def answer():
            try:
                status, reply = self.api("GET", path)
            except (ConnectionError, FileNotFoundError, http.client.HTTPException):
                return None  # FileNotFoundError: a new aictld is putting its socket in place
            return None if status == 503 else (status, reply)
        status, reply = wait_for(answer, what=f"an answer to {path}")
        assert status == 200, reply
        return reply

    def ps(self):
        """name -> service object."""
        return {s["name"]: s for s in self.get("/v1/services")["services"]}

    def describe(self, service):
        return self.get(f"/v1/services/{service}")

    def replica(self, service, index=0):
        found = [r for r in self.ps()[service]["replicas"] if r["index"] == index]
        return found[0] if found else None

    def pid_of(self, service, index=0):
        replica = self.replica(service, index)
        return replica and replica["pid"]

    def pids(self, service):
        return {r["index"]: r["pid"] for r in self.ps()[service]["replicas"]}

    def wait_state(self, service, state, timeout=DEFAULT_DEADLINE):
        return wait_for(lambda: (s := self.ps().get(service)) and s["state"] == state and s,
                        timeout, lambda: f"{service} {state}: {json.dumps(self.ps(), indent=1)}")

    def wait_new_pid(self, service, old, index=0, timeout=DEFAULT_DEADLINE):
        """The pid that follows `old`, once its process runs."""
        def replaced():
            pid = self.pid_of(service, index)
            return pid if pid and pid != old and procfs.alive(pid) else None
        return wait_for(replaced, timeout,
                        lambda: f"{service}/{index} replaced: {self.ps()[service]}")

    def events(self, service=None, n=1000):
        query = f"&service={service}" if service else ""
        return self.lines(f"/v1/events?n={n}{query}")

    def logged(self, service, n=10000):
        """Lines of the service's log, oldest first, as the API gives them."""
        query = urllib.parse.urlencode({"service": service, "n": n})
        return self.lines(f"/v1/logs?{query}")

    def segments(self, service, index=0):
        """The bytes of all segments of a replica in order of time."""
        pattern = os.path.join(self.log_dir, service, str(index), "*.log")

        def read():
            data = b""
            try:
                for path in sorted(glob.glob(pattern)):
                    with open(path, "rb") as f:
                        data += f.read()
            except FileNotFoundError:  # rotated away between the two: look again
                return None
            return [data]
        return wait_for(read)[0]

    def log_files(self, service, index="*", kind="*"):
        """Their paths in order; kind: log, idx, log.zst."""
        return sorted(glob.glob(os.path.join(self.log_dir, service, str(index), "*." + kind)))

    def stored(self, service, index=0):
        """The bytes of all segments, compressed or not; one that is there as both must be the same."""
        def read():
            found = {}
            try:
                for path in self.log_files(service, index, "log") + self.log_files(service, index, "log.zst"):
                    found.setdefault(path.removesuffix(".zst"), []).append(log_content(path))
            except (FileNotFoundError, subprocess.CalledProcessError):  # compressed, or gone, between the two
                return None
            assert all(v == v[:1] * len(v) for v in found.values())
            return [b"".join(v[0] for _, v in sorted(found.items()))]
        return wait_for(read, what="all of it can be read")[0]

    def tell(self, service, path, index=0):
        """GET of a path at the replica's own port (the test program's commands)."""
        return tell_port(self.replica(service, index)["port"], path)


def tell_port(port, path):
    """The same when nobody can be asked which port it is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.read()
    except (OSError, http.client.HTTPException):
        return None


def log_content(path):
    if path.endswith(".zst"):
        return subprocess.run(["zstdcat", path], stdout=subprocess.PIPE, check=True).stdout
    with open(path, "rb") as f:
        return f.read()


def numbered(data):
    """Checks that `line N` runs from 1 without gap or repetition to `end N`; returns N."""
    lines = data.decode().splitlines()
    last = 0
    for line in lines:
        word, number = re.fullmatch(r"(line|end) (\d+)", line).groups()
        assert int(number) == last + (word == "line"), f"{line!r} after {last}"
        last = int(number)
    assert lines and lines[-1].startswith("end "), f"no end: {lines[-1:]}"
    return last
