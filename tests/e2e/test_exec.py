"""aictl exec: the service's own context, streams byte by byte, terminals, and clean ends.

SPDX-License-Identifier: MIT
"""
import contextlib
import fcntl
import grp
import json
import os
import pwd
import select
import signal
import socket
import struct
import subprocess
import termios
import time

import harness
import procfs
import pytest
from harness import wait_for

CONTEXT = """
id; pwd; umask; ulimit -a; nice; cat /proc/self/oom_score_adj
env | grep -v -e '^PWD=' -e '^OLDPWD=' -e '^_=' -e '^SHLVL=' | sort
"""
QUIET = {"restart": {"policy": "never"}}


@pytest.fixture
def web(daemon):
    daemon.apply({"web": daemon.shell("exec sleep 1000", **QUIET)})
    return daemon


def client_env(daemon):
    return {**daemon.env, "AICTL_SOCKET": daemon.socket, "TERM": "xterm-test"}


def popen(daemon, *args, **kwargs):
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return procfs.popen(daemon.cli_argv("exec", *args), env=client_env(daemon), cwd=daemon.base,
                        **{**options, **kwargs})


class Terminal:
    """aictl exec as the leader of a session on a terminal of ours."""

    def __init__(self, daemon, *args, rows=33, columns=99):
        self.master, slave = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = procfs.popen(daemon.cli_argv("exec", *args), env=client_env(daemon),
                                    stdin=slave, stdout=slave, stderr=slave, cwd=daemon.base,
                                    preexec_fn=own_terminal)
        self.slave = slave
        self.seen = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def say(self, text):
        os.write(self.master, text.encode())

    def read_some(self):
        if select.select([self.master], [], [], 0)[0]:
            with contextlib.suppress(OSError):
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        return self.seen

    def expect(self, text):
        """What came up to text and text itself, which is then forgotten."""
        wait_for(lambda: text in self.read_some(), what=lambda: f"{text!r} in {self.seen!r}")
        end = self.seen.index(text) + len(text)
        found, self.seen = self.seen[:end], self.seen[end:]
        return found

    def wait(self):
        def ended():
            self.read_some()
            return self.process.poll() is not None
        wait_for(ended, what=lambda: f"the client ends: {self.seen!r}")
        self.read_some()
        return self.process.returncode

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    opened = []

    def opener(*args, **kwargs):
        opened.append(Terminal(*args, **kwargs))
        return opened[-1]
    yield opener
    for t in opened:
        t.close()


# context


def test_context_is_the_services_own(daemon):
    with open(os.path.join(daemon.base, "token"), "w", encoding="utf-8") as f:
        f.write("hush-hush\n")
    os.mkdir(os.path.join(daemon.base, "work"))
    os.chmod(os.path.join(daemon.base, "work"), 0o755)
    daemon.apply({"web": daemon.shell(
        CONTEXT + "cat $TOKEN; echo end; exec sleep 1000", working_dir=daemon.base + "/work",
        umask="027", ulimits={"nofile": 777, "core": 0}, nice=3, replicas=2,
        ports={"http": {"port": 18301}, "metrics": {}},
        secrets={"token": {"file": os.path.join(daemon.base, "token")}},
        environment={"MODEL": "m ä $$x", "TOKEN": "${secret:token}"})})
    for index in range(2):
        wait_for(lambda i=index: b"end\n" in daemon.segments("web", i))
        own = daemon.segments("web", index).decode()
        text = daemon.ok("exec", f"web/{index}", "sh", "-c", CONTEXT + "cat $TOKEN; echo end")
        assert text == own
        assert f"AICTL_REPLICA={index}\n" in text and "MODEL=m ä $x\n" in text
        assert "hush-hush\n" in text and f"{daemon.base}/work\n" in text
        assert f"PORT={daemon.replica('web', index)['ports']['http']}\n" in text
        assert f"PORT_METRICS={daemon.replica('web', index)['ports']['metrics']}\n" in text


@pytest.mark.needs_root
def test_an_old_replica_keeps_its_user(start):
    """In an update that changes the user and gets stuck, exec joins the old process as it is."""
    daemon = start()
    ready = {"readiness": {"exec": {"command": ["sh", "-c", "exit $BAD"]}, "period": "100ms"}}
    command = ["sh", "-c", "exec sleep 1000"]
    old = {"command": command, "replicas": 2, "probes": ready, "stop": {"grace_period": "1s"},
           "user": "nobody", "environment": {"BAD": "0"}, "update": {"order": "stop-first"}}
    daemon.apply({"web": old})
    daemon.apply({"web": old | {"user": "daemon", "environment": {"BAD": "1"}}}, wait=False)

    def who(index):
        return daemon.cli("exec", f"web/{index}", "sh", "-c", "id -un; echo $USER $AICTL_REVISION")[1]

    wait_for(lambda: who(0) == "daemon\ndaemon 2\n", what="the first one is new")
    assert daemon.replica("web", 1)["state"] == "ready"
    assert who(1) == "nobody\nnobody 1\n"


def test_environment_and_directory_of_the_request(web):
    out = web.ok("exec", "-e", "MORE=a=b", "-e", "MORE=c=d", "--env", "FROM_US", "-w", "/usr",
                 "web", "sh", "-c", "echo $MORE,$FROM_US,$TERM; pwd", env={"FROM_US": "yes"})
    assert out == "c=d,yes,\n/usr\n"
    rc, _, err = web.cli("exec", "-e", "AICTL_INCARNATION=0", "web", "true")
    assert rc == 2 and "AICTL_INCARNATION" in err
    rc, _, err = web.cli("exec", "-w", "not/absolute", "web", "true")
    assert rc == 2 and "absolute" in err
    rc, _, err = web.cli("exec", "-w", "/nonexistent", "web", "true")
    assert rc == 125 and "chdir" in err


def test_dashes_behind_the_service_are_the_commands(web):
    assert web.ok("exec", "web", "echo", "-n", "--help", "-i", "--") == "--help -i --"
    assert web.ok("exec", "web", "--", "echo", "--") == "--\n"


# pipes


@pytest.mark.containers
def test_ten_megabytes_there_and_back(web):
    data = os.urandom(10 << 20)
    done = subprocess.run(web.cli_argv("exec", "-i", "web", "cat"), input=data, timeout=60,
                          capture_output=True, env=client_env(web), check=False)
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout == data


@pytest.mark.containers
def test_streams_are_separate(web):
    rc, out, err = web.cli("exec", "web", "sh", "-c", "echo out; echo err >&2; cat; echo end")
    assert (rc, out, err) == (0, "out\nend\n", "err\n")


@pytest.mark.containers
@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit_code_is_the_commands(web, code):
    assert web.cli("exec", "web", "sh", "-c", f"exit {code}") == (code, "", "")


@pytest.mark.containers
@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV"])
def test_death_by_signal(web, name):
    rc, out, _ = web.cli("exec", "web", "sh", "-c", f"echo dying; kill -{name} $$; echo no")
    assert (rc, out) == (128 + getattr(signal, "SIG" + name), "dying\n")


def test_death_by_a_real_time_signal(web):
    rc, _, err = web.cli("exec", "web", "sh", "-c", "kill -40 $$")
    assert (rc, err) == (128 + 40, "")


@pytest.mark.containers
def test_what_cannot_run(web):
    answer = web.cli("exec", "web", "no-such-program")
    if web.engine:  # its words, in a place of its own
        assert answer[0] in (126, 127) and "no-such-program" in answer[1] + answer[2], answer
    else:
        assert answer == (127, "", "error: no-such-program: cannot start: exec: No such file or directory\n")
    rc, out, err = web.cli("exec", "web", "/etc/passwd")
    assert rc == 126 and "permission denied" in (out + err).lower()
    assert web.cli("exec", "nobody-there", "true")[0] == 4
    assert web.cli("exec", "web/7", "true")[0] == 4
    assert web.cli("exec", "web")[0] == 2
    web.ok("stop", "web")
    rc, _, err = web.cli("exec", "web", "true")
    assert rc == 3 and "not running" in err


@pytest.mark.containers
def test_our_interrupt_goes_to_the_command(web):
    process = popen(web, "web", "sh", "-c", "trap 'echo caught; exit 9' INT; echo up; sleep 60 & wait")
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (9, b"caught\n")


@pytest.mark.containers
def test_the_end_waits_for_no_grandchild(web):
    """One that has left the group and keeps the pipes open."""
    since = time.monotonic()
    rc, out, _ = web.cli("exec", "web", "sh", "-c", "setsid sleep 5 & echo done")
    assert (rc, out) == (0, "done\n")
    assert time.monotonic() - since < 4


# terminals


@pytest.mark.containers
def test_terminal(web, terminal):
    t = terminal(web, "web", "sh")
    t.expect("$ ")
    t.say("stty -echo; PS1=; echo ready:$?\n")
    first = t.expect("ready:0\r\n")
    assert "job control" not in first and "access tty" not in first
    t.say("tty; stty size; echo $TERM; : >/dev/tty && : >$(tty) && echo opened\n")
    said = t.expect("opened\r\n")
    assert "/dev/pts/" in said and "33 99" in said and "xterm-test" in said
    t.say("trap 'echo window' WINCH; stty size\n")
    t.expect("33 99\r\n")
    t.resize(44, 111)
    wait_for(lambda: t.say("stty size\n") or "44 111" in t.read_some())
    t.say("echo hold; sleep 1003\n")
    t.expect("hold\r\n")
    wait_for(lambda: web.below("sleep 1003"), what="the terminal's sleep")
    t.say("\x03")
    wait_for(lambda: not web.below("sleep 1003"), what="Ctrl-C ends it")
    t.say("echo still; exit 5\n")
    t.expect("still\r\n")
    assert t.wait() == 5
    assert t.is_restored()


def test_terminal_by_option_and_none(web, terminal):
    assert web.ok("exec", "-t", "web", "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo tty") \
        == "tty\n"  # "\r\n" on the wire
    t = terminal(web, "-T", "web", "sh", "-c", "test -t 1 || echo pipe")
    t.expect("pipe")
    assert t.wait() == 0
    rc, _, err = web.cli("exec", "-t", "-T", "web", "true")
    assert rc == 2 and "exclude" in err


def test_terminal_is_restored_on_every_way_out(web, terminal):
    for number in (signal.SIGTERM, signal.SIGHUP):
        t = terminal(web, "web", "sh", "-c", "echo up; sleep 1001")
        t.expect("up\r\n")
        wait_for(lambda t=t: not t.is_restored(), what="raw mode")
        t.process.send_signal(number)
        assert t.wait() == 128 + number
        assert t.is_restored()
    wait_for(lambda: not web.below("sleep 1001"), what="their commands end")
    t = terminal(web, "web", "no-such-program")
    assert t.wait() == 127 and t.is_restored()


def test_terminal_is_restored_when_the_reader_leaves(web, terminal):
    """aictl exec -t web yes | head -1"""
    t = terminal(web, "-T", "web", "true")
    assert t.wait() == 0  # only its terminal is wanted
    read_end, write_end = os.pipe()
    client = procfs.popen(web.cli_argv("exec", "-t", "web", "yes"), env=client_env(web),
                          stdin=t.slave, stdout=write_end, stderr=subprocess.PIPE, cwd=web.base)
    os.close(write_end)
    assert os.read(read_end, 3) == b"y\r\n"
    assert not t.is_restored()
    os.close(read_end)
    assert client.wait(30) == 128 + signal.SIGPIPE and client.stderr.read() == b""
    assert t.is_restored()
    wait_for(lambda: not web.below("yes"))


def test_nohup_is_heard(web):
    process = popen(web, "web", "sh", "-c", "echo up; sleep 60 & wait",
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)  # comes later, and goes to the command
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM


def test_end_of_file_and_many_bytes_by_terminal(web):
    """stdin that is no terminal, given to one: its end is what Ctrl-D is."""
    done = subprocess.run(web.cli_argv("exec", "-t", "-i", "web", "sh", "-c",
                                       "stty -echo -onlcr; cat; seq 100000"),
                          input=b"one\ntwo\n", capture_output=True, timeout=60, check=False,
                          env=client_env(web))
    lines = done.stdout.decode().split("\n")
    assert done.returncode == 0
    assert lines[-100001:] == [str(n) for n in range(1, 100001)] + [""]
    assert "two" in lines[:-100001]


# ends


@pytest.mark.containers
@pytest.mark.parametrize("options", [("-i",), ("-t",)])
def test_client_killed_command_dies(web, options):
    process = popen(web, *options, "web", "sh", "-c", "trap '' HUP; echo up; sleep 1002; sleep 1002")
    assert process.stdout.readline().strip() == b"up"
    wait_for(lambda: len(web.below("sleep 1002")) == 2)
    since = time.monotonic()
    process.kill()
    process.wait()
    wait_for(lambda: not web.below("sleep 1002"), 10, "SIGKILL follows SIGHUP")
    assert time.monotonic() - since >= 1.9
    assert web.replica("web")["state"] == "ready"


@pytest.mark.containers
def test_controller_killed_session_ends(web):
    process = popen(web, "-i", "web", "sh", "-c", "trap '' HUP TERM; echo up; sleep 1003")
    assert process.stdout.readline() == b"up\n"
    procfs.kill(web.helper("controller"))
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (125, b"")
    assert b"the connection to the daemon broke: the command was ended" in err
    wait_for(lambda: not web.below("sleep 1003"), what="nothing is left of it")
    wait_for(lambda: web.mode() == "normal")
    assert web.ok("exec", "web", "echo", "again") == "again\n"


@pytest.mark.containers
def test_daemon_stops_with_sessions_open(web):
    processes = [popen(web, *o, "web", "sh", "-c", "trap '' HUP TERM; echo up; sleep 1004")
                 for o in (("-i",), ("-t",))]
    for process in processes:
        assert process.stdout.readline().strip() == b"up"
    assert web.stop() == 0
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode in (125, 137)


@pytest.mark.containers
def test_replica_stop_takes_its_sessions_along(web):
    polite = popen(web, "web", "sh", "-c", "echo up; sleep 1005")
    stubborn = popen(web, "web", "sh", "-c", "trap '' HUP TERM; echo up; sleep 1005")
    for process in (polite, stubborn):
        assert process.stdout.readline() == b"up\n"
    web.ok("stop", "web")
    ends = []
    for process in (polite, stubborn):
        process.communicate(timeout=30)
        ends.append(process.returncode - 128)
    if web.engine:  # the kernel kills them all with the container's first process
        assert ends[0] in (signal.SIGHUP, signal.SIGKILL) and ends[1] == signal.SIGKILL, ends
    else:
        assert ends == [signal.SIGHUP, signal.SIGKILL]
    wait_for(lambda: not web.below("sleep 1005"))


@pytest.mark.needs_root
def test_ordinary_users_daemon(start):
    daemon = start(user="nobody")
    daemon.apply({"web": daemon.shell("exec sleep 1000", **QUIET)})
    out = daemon.ok("exec", "-t", "web", "sh", "-c", ": >/dev/tty && : >$(tty) && id -un")
    assert out == "nobody\n"
    assert daemon.ok("exec", "web", "sh", "-c", "echo $AICTL_SERVICE") == "web\n"


def test_beside_up(base):
    daemon = harness.Daemon(base)  # only its manifest and its environment
    path = daemon.write({"version": 1, "name": "here", "services": {
        "web": {"command": ["sleep", "1000"], "environment": {"MODEL": "m"}}}})
    where = os.path.dirname(path)
    env = {**daemon.env, "FROM_CALLER": "yes", "XDG_RUNTIME_DIR": base}
    up = procfs.popen([harness.program("aictl"), "up", "-f", path], env=env, cwd=where,
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask():
        done = subprocess.run([harness.program("aictl"), "exec", "web", "sh", "-c",
                               "echo $MODEL $FROM_CALLER; pwd"], env=env, cwd=where, check=False,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.returncode == 0 and done.stdout
    assert wait_for(ask) == f"m yes\n{where}\n"
    up.send_signal(signal.SIGINT)
    up.wait(30)


# limits and rights


class Raw:
    """A session by raw bytes."""

    def __init__(self, daemon, **body):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(daemon.socket)
        text = json.dumps({"replica": "web", **body})
        self.socket.sendall((f"POST /v1/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                             f"Upgrade: aictl-exec\r\nContent-Length: {len(text)}\r\n\r\n{text}")
                            .encode())
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            self.head += self.socket.recv(1)

    def frame(self, kind, payload):
        self.socket.sendall(struct.pack(">BBHI", kind, 0, 0, len(payload)) + payload)

    def next(self):
        """(type, payload), or None at the end."""
        def exactly(n):
            data = b""
            while len(data) < n and (more := self.socket.recv(n - len(data))):
                data += more
            return data
        head = exactly(8)
        if len(head) < 8:
            return None
        kind, length = head[0], struct.unpack(">I", head[4:])[0]
        return kind, exactly(length)


def rss(pid):
    for line in procfs.read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def test_a_client_that_does_not_read_stops_the_command(web):
    quiet = Raw(web, command=["sh", "-c", "echo $$; exec yes"])
    assert b" 101 " in quiet.head
    pid = int(quiet.next()[1].split(b"\n")[0])

    def written():
        for line in procfs.read(f"/proc/{pid}/io").splitlines():
            if line.startswith("wchar:"):
                return int(line.split()[1])
        return 0
    before = [-1]

    def stands_still():
        before.append(written())
        return before[-1] == before[-2] > 0 and procfs.stat(pid)[1] == "S"
    wait_for(stands_still, what="yes waits")
    assert written() < 4 << 20
    controller = web.helper("controller")
    assert rss(controller) < 200 << 20
    assert web.ok("exec", "web", "echo", "served") == "served\n"
    quiet.frame(0, b"x" * 60000)  # nobody reads it
    quiet.socket.close()
    wait_for(lambda: not procfs.alive(pid), what="it is ended")


def test_a_late_reader_gets_all(web):
    """The last frames, end of file among them, wait with us when nothing more comes. Around the
    place where both pipe and buffer are full."""
    sessions = {n: Raw(web, command=["sh", "-c", "sleep 1; wc -c"]) for n in range(310, 370, 3)}
    for n, late in sessions.items():
        late.socket.sendall((struct.pack(">BBHI", 0, 0, 0, 1000) + b"x" * 1000) * n
                            + struct.pack(">BBHI", 0, 0, 0, 0))
    for n, late in sessions.items():
        assert late.next() == (1, b"%d000\n" % n)
        assert json.loads(late.next()[1])["code"] == 0
        late.socket.close()


def test_a_command_that_does_not_read_stops_the_client(web):
    full = Raw(web, command=["sleep", "1006"])
    full.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        for _ in range(1000):
            full.frame(0, b"x" * 60000)
    full.socket.close()  # noticed, though nothing is read from it
    wait_for(lambda: not web.below("sleep 1006"), what="it is ended")


def test_frames_of_no_client_end_the_session(web):
    for bad in (b"\x01\0\0\0\0\0\0\1x", b"\x07\0\0\0\0\0\0\0", b"\0\0\0\1\0\0\0\0",
                b"\0\0\0\0\0\1\0\1", b"\4\0\0\0\0\0\0\1\0", b"\3\0\0\0\0\0\0\2ab"):
        raw = Raw(web, command=["sleep", "1007"])
        raw.socket.sendall(bad)
        assert raw.next() is None
        raw.socket.close()
    wait_for(lambda: not web.below("sleep 1007"))


def test_at_most_32_sessions(web):
    sessions = [Raw(web, command=["cat"]) for _ in range(32)]
    assert all(b" 101 " in s.head for s in sessions)
    one_more = Raw(web, command=["cat"])
    assert b" 503 " in one_more.head
    sessions[0].frame(0, b"")
    assert json.loads(sessions[0].next()[1])["code"] == 0
    sessions[0].socket.close()
    assert web.ok("exec", "web", "echo", "room") == "room\n"
    for s in sessions + [one_more]:
        s.socket.close()
    wait_for(lambda: not web.below("cat"))


def test_signal_frames(web):
    raw = Raw(web, command=["sh", "-c", "trap 'echo usr1' USR1; echo up; sleep 60 & wait; kill $!"])
    assert raw.next() == (1, b"up\n")
    raw.frame(4, bytes([signal.SIGUSR1]))
    said = raw.next()
    assert said == (1, b"usr1\n") or said[0] == 5  # the group's sleep may die of it, too
    raw.socket.close()


def test_without_upgrade(web):
    status, reply = web.api("POST", "/v1/exec", {"replica": "web", "command": ["true"]})
    assert status == 426 and reply["error"]["code"] == "upgrade_required"
    for body in ({}, {"command": "true"}, {"command": []}, {"command": [""]}, {"command": [1]},
                 {"command": ["a"], "env": {"A=B": "x"}}, {"command": ["a"], "env": {"A": 1}},
                 {"command": ["a"], "env": []}, {"command": ["a"], "working_dir": "x"},
                 {"replica": 7, "command": ["a"]}):
        raw = Raw(web, **body)
        assert b" 400 " in raw.head, body
        raw.socket.close()


@pytest.mark.needs_root
def test_only_admins(web):
    os.chmod(web.socket, 0o666)
    rc, _, err = web.cli_as("nobody", "exec", "web", "true")
    assert rc == 7 and "not allowed" in err or "may" in err
    entry, group = pwd.getpwnam("nobody"), grp.getgrgid(os.stat(web.socket).st_gid)
    operate = subprocess.run(["setpriv", f"--reuid={entry.pw_uid}", f"--regid={group.gr_gid}",
                              "--clear-groups", harness.program("aictl"), "exec", "web", "true"],
                             env=client_env(web), capture_output=True, text=True, timeout=60,
                             check=False)
    assert operate.returncode == 7, operate
