"""What a service manager sees of aictld, with the test in its place: READY, STATUS, RELOADING,
STOPPING, WATCHDOG on the socket of sd_notify, and the control socket handed over. test_systemd.py
has the real one.

SPDX-License-Identifier: MIT
"""
import os
import signal
import socket
import time

import procfs
from harness import Daemon, wait_for

# Makes a listener at $1 into descriptor 3 of the rest, as systemd does.
ACTIVATE = """import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class Manager:
    """$NOTIFY_SOCKET, and what came."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.socket.setblocking(False)
        self.got = []

    def read(self):
        try:
            while True:
                self.got.append((time.monotonic(), self.socket.recv(4096).decode()))
        except BlockingIOError:
            return [text for _, text in self.got]

    def wait(self, text, after=0):
        """Waits for a datagram that begins with text; its number + 1."""
        def found():
            got = self.read()
            at = [i for i in range(after, len(got)) if got[i].startswith(text)]
            return at[0] + 1 if at else None
        return wait_for(found, what=lambda: f"{text}: {self.got}")


def manager(base, start, *args, watchdog=None):
    m = Manager(os.path.join(base, "notify"))
    env = {"NOTIFY_SOCKET": m.path}
    if watchdog:
        env["WATCHDOG_USEC"] = str(watchdog)
    return m, start(*args, env=env)


def pause(daemon, n=3):
    return {"p": daemon.service("pause", replicas=n)}


def test_life(base, start):
    """Ready when it answers, a status with counts, more time while it stops."""
    manifests = os.path.join(base, "manifests")
    os.mkdir(manifests)
    m, daemon = manager(base, start, "--manifests", manifests)
    at = m.wait("READY=1")
    at = m.wait("STATUS=replicas: 0 running", at)
    daemon.apply(pause(daemon))
    at = m.wait("STATUS=replicas: 3 running, 0 starting, 0 stopping, 0 down", at)
    os.kill(daemon.pid, signal.SIGHUP)
    at = m.wait("RELOADING=1\nMONOTONIC_USEC=", at)
    at = m.wait("READY=1", at)
    daemon.ok("daemon", "reload")
    at = m.wait("RELOADING=1", at)
    at = m.wait("READY=1", at)
    assert daemon.stop() == 0
    at = m.wait("STOPPING=1", at)
    assert any(t.startswith("EXTEND_TIMEOUT_USEC=") for t in m.read()[at:])
    assert not any(t.startswith(("READY", "WATCHDOG")) for t in m.read()[at:])


def test_status_without_controller(base, start):
    m, daemon = manager(base, start, "--helper-restart", "3s,3s,0")
    daemon.apply(pause(daemon))
    at = m.wait("STATUS=replicas: 3 running, 0 starting, 0 stopping, 0 down")
    for _ in range(2):  # the first time it is started again at once
        old = wait_for(lambda: daemon.helper("controller"))
        procfs.kill(old)
        wait_for(lambda: not procfs.alive(old))
    at = m.wait("STATUS=replicas: 3 running, 0 starting, 0 stopping, 0 down; controller down", at)
    wait_for(lambda: "STATUS=replicas: 3 running, 0 starting, 0 stopping, 0 down" in m.read()[at:])


def test_nobody_else_speaks(base, start):
    """Neither helpers nor services get the variables, not even with --inherit-env."""
    m, daemon = manager(base, start, "--inherit-env", watchdog=10_000_000)
    m.wait("READY=1")
    daemon.apply(pause(daemon, 1))
    for pid in (daemon.helper("controller"), daemon.helper("logger"), daemon.pid_of("p")):
        names = set(procfs.environ(pid))
        assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS",
                            "LISTEN_PID", "LISTEN_FDNAMES"}


def test_watchdog(base, start):
    """A datagram in each half of the time, from a loop that turns; none from one that does not."""
    m, daemon = manager(base, start, watchdog=400_000)
    at = m.wait("READY=1")
    for _ in range(5):
        at = m.wait("WATCHDOG=1", at)
    times = [t for t, text in m.got if text == "WATCHDOG=1"]
    assert times[4] - times[0] < 10, "far too slow"  # a busy machine is late, not early
    assert times[4] - times[0] > 4 * 0.15, "far too fast"
    os.kill(daemon.pid, signal.SIGSTOP)
    wait_for(lambda: procfs.stopped(daemon.pid))
    n = len(m.read())
    time.sleep(1)
    assert len(m.read()) == n
    os.kill(daemon.pid, signal.SIGCONT)
    m.wait("WATCHDOG=1", n)


def test_a_manager_that_does_not_read(base, start):
    """Its socket is full: aictld goes on, and says the rest when there is room again."""
    m, daemon = manager(base, start, watchdog=2_000)
    daemon.apply(pause(daemon))
    old = daemon.pids("p")
    os.kill(old[0], signal.SIGKILL)
    daemon.wait_new_pid("p", old[0])
    before = len(m.read())
    assert before > 1
    daemon.apply(pause(daemon, 2))
    m.wait("STATUS=replicas: 2 running", before)


def test_a_watchdog_for_somebody_else(base, start):
    m = Manager(os.path.join(base, "notify"))
    daemon = start(env={"NOTIFY_SOCKET": m.path, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    m.wait("READY=1")
    daemon.apply(pause(daemon))
    m.wait("STATUS=replicas: 3 running")
    assert "WATCHDOG=1" not in m.read()


def activated(base, start, name):
    os.mkdir(os.path.join(base, "run"))
    if os.geteuid() != 0:
        os.chmod(os.path.join(base, "run"), 0o700)
    path = os.path.join(base, "run", "aictl.sock")
    return path, start(wrapper=["/usr/bin/python3", "-c", ACTIVATE, path, name])


def test_activation(base, start):
    """The API answers on the socket that came with the start, and its file stays at the end."""
    path, daemon = activated(base, start, "aictld.socket")
    inode = os.stat(path).st_ino
    daemon.apply(pause(daemon))
    assert os.stat(path).st_ino == inode, "bound anew"
    assert 3 not in procfs.fds(daemon.pid_of("p"))
    assert daemon.stop() == 0
    assert os.stat(path).st_ino == inode, "not ours to remove"


def test_activation_with_our_own(base, start):
    """What a former aictld bound and handed on is removed at the end."""
    path, daemon = activated(base, start, "aictl.sock")
    daemon.apply(pause(daemon))
    assert daemon.stop() == 0
    assert not os.path.exists(path)


def test_activation_with_something_else(base):
    """Descriptor 3 is no listener: an error that says so."""
    code = ("import os, sys\nos.dup2(0, 3)\nos.environ.update(LISTEN_PID=str(os.getpid()),"
            " LISTEN_FDS='1')\nos.execv(sys.argv[1], sys.argv[1:])")
    daemon = Daemon(base, wrapper=["/usr/bin/python3", "-c", code])
    daemon.spawn()
    assert daemon.wait() == 1
    assert "LISTEN_FDS: descriptor 3 is no listening Unix stream socket" in daemon.log()
