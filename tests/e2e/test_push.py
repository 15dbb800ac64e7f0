"""What services say of themselves: sd_notify's protocol, s6's descriptor, watchdogs.

The clients are systemd-notify and python's socket module: no code of ours on their side.

SPDX-License-Identifier: MIT
"""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import procfs
import pytest
from harness import Daemon, wait_for

AT_ONCE = {"backoff": {"initial": 0}}
NOTIFY = {"readiness": {"notify": True}}

# say(text) sends one message; barrier() waits until all before it has been read.
PYTHON = """
import array, os, socket, sys, time
def say(text, fds=()):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [],
              0, os.environ["NOTIFY_SOCKET"])
    s.close()
def barrier():
    r, w = os.pipe()
    say("BARRIER=1", [w])
    os.close(w)
    assert os.read(r, 1) == b""
    os.close(r)
def wait(path):
    while not os.path.exists(path):
        time.sleep(0.02)
"""


def python(daemon, script, **keys):
    return {**daemon.service(**keys), "command": ["python3", "-c", (PYTHON + script).replace("$", "$$")]}


def notify(daemon, service="web"):
    return daemon.replica(service)["notify"]


def touch(daemon, name):
    path = os.path.join(daemon.base, name)
    with open(path, "w", encoding="utf-8"):
        os.chmod(path, 0o666)


@pytest.mark.skipif(not shutil.which("systemd-notify"), reason="no systemd-notify")
def test_systemd_notify(daemon):
    go = os.path.join(daemon.base, "go")
    script = (f"systemd-notify --status='loading shard 3/8'; until test -e {go}; do sleep 0.02; done; "
              "systemd-notify --ready --status='4,312 requests'; echo said; exec sleep 1000")
    daemon.apply({"web": daemon.shell(script, probes=NOTIFY)}, wait=False)
    wait_for(lambda: notify(daemon) and notify(daemon)["status"] == "loading shard 3/8")
    assert daemon.replica("web")["state"] == "starting"
    assert not notify(daemon)["ready"]
    assert "says: loading shard 3/8" in daemon.ok("ps", "-o", "wide")
    assert "loading shard 3/8" not in daemon.ok("ps")
    assert "says       nothing yet: loading shard 3/8" in daemon.ok("describe", "web")
    assert daemon.cli("check", "web")[0] == 3
    touch(daemon, "go")
    daemon.wait_state("web", "ready")
    assert daemon.cli("check", "web", "--now")[0] == 0
    assert daemon.replica("web")["message"] == "said READY=1"
    assert "4,312 requests" in daemon.ok("describe", "web")
    assert notify(daemon) == {"ready": True, "reloading": False, "stopping": False,
                              "status": "4,312 requests", "errno": 0, "watchdog_ms": 0,
                              "watched": False, "dropped": 0}
    wait_for(lambda: "said" in daemon.ok("logs", "web"))  # its barrier has been seen


def test_levels(daemon):
    script = """
say("READY=1\\nSTATUS=up")
wait("stop1"); say("RELOADING=1\\nSTATUS=reading"); barrier()
wait("stop2"); say("READY=1\\nSTATUS=up again"); barrier()
wait("stop3"); say("STOPPING=1\\nERRNO=28\\nSTATUS=disk full"); barrier()
wait("stop4"); say("READY=1"); time.sleep(1000)
"""
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, working_dir=daemon.base)})
    assert daemon.replica("web")["state"] == "ready"
    touch(daemon, "stop1")
    wait_for(lambda: notify(daemon)["reloading"])
    assert daemon.replica("web")["state"] == "ready"
    assert "reloading" in daemon.ok("describe", "web")
    touch(daemon, "stop2")
    wait_for(lambda: notify(daemon)["status"] == "up again")
    assert not notify(daemon)["reloading"]
    touch(daemon, "stop3")
    wait_for(lambda: daemon.replica("web")["state"] == "unready")
    assert daemon.replica("web")["message"] == "said STOPPING=1"
    assert (notify(daemon)["errno"], notify(daemon)["status"]) == (28, "disk full")
    touch(daemon, "stop4")
    wait_for(lambda: daemon.replica("web")["state"] == "ready")
    assert daemon.replica("web")["restarts"] == 0


def test_a_word_and_a_probe_must_both_hold(daemon):
    script = 'import http.server\nsay("READY=1"); wait("go")\n' \
             's = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), ' \
             'http.server.SimpleHTTPRequestHandler)\ns.serve_forever()\n'
    daemon.apply({"web": python(daemon, script, port=18571, working_dir=daemon.base, probes={
        "readiness": {"notify": True, "http": {}, "period": "100ms"}})}, wait=False)
    wait_for(lambda: notify(daemon) and notify(daemon)["ready"])
    assert daemon.replica("web")["state"] == "starting"
    touch(daemon, "go")
    daemon.wait_state("web", "ready")


def test_watchdog(daemon):
    script = """
assert os.environ["WATCHDOG_PID"] == str(os.getpid())
every = int(os.environ["WATCHDOG_USEC"]) / 2e6
say("READY=1")
while not os.path.exists("hang"):
    say("WATCHDOG=1"); time.sleep(every / 2)
os.unlink("hang")
time.sleep(1000)
"""
    os.chmod(daemon.base, 0o777)
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, watchdog="2s", restart=AT_ONCE,
                                working_dir=daemon.base)})
    old = daemon.pid_of("web")
    wait_for(lambda: notify(daemon)["watched"])
    touch(daemon, "hang")
    daemon.wait_new_pid("web", old)
    daemon.wait_state("web", "ready")
    assert daemon.replica("web")["last_exit"]["cause"] == "watchdog"
    assert "watchdog: no WATCHDOG=1 within 2.0s" in daemon.ok("events", "web")
    assert daemon.replica("web")["restarts"] == 1


def test_a_watchdog_that_is_never_served(daemon):
    """Without a word of its own it begins when the replica is ready."""
    daemon.apply({"web": daemon.service("pause", watchdog="500ms", restart=AT_ONCE)})
    wait_for(lambda: daemon.replica("web")["restarts"] >= 1)
    assert daemon.replica("web")["last_exit"]["cause"] == "watchdog"


@pytest.mark.waits
def test_a_frozen_replica_serves_no_watchdog(daemon):
    script = 'say("READY=1")\nwhile True:\n    say("WATCHDOG=1"); time.sleep(0.1)\n'
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, watchdog="1s")})
    if daemon.cli("freeze", "web")[0] != 0:
        pytest.skip("no cgroups to freeze here")
    old = daemon.pid_of("web")
    end = time.monotonic() + 2.5
    wait_for(lambda: time.monotonic() > end, poll=0.2)
    daemon.ok("thaw", "web")
    assert daemon.pid_of("web") == old
    wait_for(lambda: daemon.replica("web")["state"] == "ready")
    assert daemon.replica("web")["restarts"] == 0


def test_a_word_while_the_controller_is_away(daemon):
    script = 'wait("go"); say("STATUS=alone\\nREADY=1"); barrier(); open("said", "w").close(); time.sleep(1000)\n'
    os.chmod(daemon.base, 0o777)
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, working_dir=daemon.base)}, wait=False)
    wait_for(lambda: daemon.replica("web")["pid"])
    pid = daemon.replica("web")["pid"]
    controller = daemon.helper("controller")
    os.kill(controller, signal.SIGSTOP)
    touch(daemon, "go")
    wait_for(lambda: os.path.exists(os.path.join(daemon.base, "said")))
    os.kill(controller, signal.SIGKILL)
    daemon.wait_state("web", "ready")
    assert daemon.replica("web")["pid"] == pid
    assert notify(daemon)["status"] == "alone"


def test_levels_outlive_aictld(start):
    daemon = start(init=True)
    script = 'say("STATUS=first\\nREADY=1"); wait("go")\nwhile True:\n    try:\n        say("STATUS=second")\n' \
             '    except OSError:\n        pass\n    time.sleep(0.05)\n'
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, working_dir=daemon.base)})
    pid = daemon.pid_of("web")
    daemon.crash()
    daemon.start_again()
    daemon.wait_state("web", "ready")
    assert daemon.pid_of("web") == pid
    assert notify(daemon)["status"] == "first" and notify(daemon)["ready"]
    touch(daemon, "go")
    wait_for(lambda: notify(daemon)["status"] == "second")
    assert daemon.replica("web")["restarts"] == 0


def test_levels_outlive_a_reexec(daemon):
    """Who serves its watchdog is not ended for what it said in between."""
    script = """
say("READY=1\\nSTATUS=kept")
while True:
    try:
        say("WATCHDOG=1")
    except OSError:
        pass
    time.sleep(0.1)
"""
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, watchdog="2s")})
    pid, before = daemon.pid_of("web"), daemon.helper("controller")
    daemon.ok("daemon", "reexec")
    wait_for(lambda: daemon.helper("controller") not in (None, before))
    wait_for(lambda: daemon.replica("web")["state"] == "ready")
    assert (daemon.pid_of("web"), daemon.replica("web")["restarts"]) == (pid, 0)
    assert notify(daemon)["status"] == "kept" and notify(daemon)["watched"]


@pytest.mark.waits
def test_no_word_is_lost_by_a_reexec(daemon):
    """Who never stops talking meets no error over twenty of them, and is heard by each."""
    script = """
said = 0
while True:
    said += 1
    try:
        say(f"READY=1\\nWATCHDOG=1\\nSTATUS={said}")
    except OSError as e:
        open("failed", "a").write(f"{said}: {e}\\n")
"""
    os.chmod(daemon.base, 0o777)
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, watchdog="3s", working_dir=daemon.base)})
    pid, failed = daemon.pid_of("web"), os.path.join(daemon.base, "failed")
    for _ in range(20):
        before, said = daemon.helper("controller"), int(notify(daemon)["status"])
        daemon.ok("daemon", "reexec")
        wait_for(lambda: daemon.helper("controller") not in (None, before))
        wait_for(lambda: notify(daemon) and int(notify(daemon)["status"]) > said)
    assert not os.path.exists(failed), open(failed, encoding="utf-8").read()
    assert (daemon.pid_of("web"), daemon.replica("web")["restarts"]) == (pid, 0)


def test_a_first_word_during_a_reexec(daemon):
    """Said once, while nobody reads: after the exec it is found in the socket."""
    script = 'wait("go"); say("READY=1\\nSTATUS=once"); time.sleep(1000)\n'
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, working_dir=daemon.base)}, wait=False)
    wait_for(lambda: daemon.replica("web")["pid"])
    path = procfs.environ(daemon.replica("web")["pid"])["NOTIFY_SOCKET"]
    inode = os.stat(path).st_ino
    before = daemon.helper("controller")
    touch(daemon, "go")
    daemon.ok("daemon", "reexec")
    wait_for(lambda: daemon.helper("controller") not in (None, before))
    daemon.wait_state("web", "ready")
    assert os.stat(path).st_ino == inode  # not another socket
    assert notify(daemon)["status"] == "once"


@pytest.mark.parametrize("length", [60, 74, 78, 96])
def test_a_long_runtime_directory(base, length):
    """The names of sockets below it would not fit: they lie elsewhere, and go with the daemon."""
    top = tempfile.mkdtemp(dir="/dev/shm", prefix="ae-")
    os.chmod(top, 0o755)
    daemon = Daemon(base)
    daemon.runtime_dir = os.path.join(top, "r" * (length - len(top) - 1))
    daemon.socket = os.path.join(daemon.runtime_dir, "aictl.sock")
    try:
        daemon.start()
        daemon.apply({"web": python(daemon, 'say("READY=1\\nSTATUS=heard"); time.sleep(1000)', probes=NOTIFY)})
        assert notify(daemon)["status"] == "heard"
        path = procfs.environ(daemon.pid_of("web"))["NOTIFY_SOCKET"]
        assert len(path) < 108
        assert daemon.stop() == 0
        assert not os.path.exists(os.path.dirname(path))
    finally:
        daemon.stop()
        shutil.rmtree(top)


def test_main_pid(daemon):
    """A daemon that forks: the child is the service from then on."""
    script = """
if os.fork():
    wait("ready"); os._exit(0)
os.setsid()
say(f"MAINPID={os.getpid()}\\nREADY=1"); barrier()
open("ready", "w").close()
wait("end")
os._exit(3)
"""
    os.chmod(daemon.base, 0o777)
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, working_dir=daemon.base,
                                restart={"policy": "never"})}, wait=False)
    wait_for(lambda: os.path.exists(os.path.join(daemon.base, "ready")))
    if notify(daemon)["dropped"]:
        pytest.skip("without a cgroup another session is nobody's")
    daemon.wait_state("web", "ready")
    pid = daemon.pid_of("web")
    touch(daemon, "end")
    daemon.wait_state("web", "failed")
    assert daemon.replica("web")["last_exit"]["code"] == 3
    assert not procfs.alive(pid)


def test_notify_fd(daemon):
    daemon.apply({"web": daemon.shell("sleep 0.2; echo up >&4; exec 4>&-; exec sleep 1000",
                                      probes={"readiness": {"notify_fd": 4}})})
    assert daemon.replica("web")["message"] == "said that it is ready on descriptor 4"


def test_more_time_to_stop(daemon):
    script = """
import signal
def end(*_):
    say("EXTEND_TIMEOUT_USEC=20000000"); barrier(); time.sleep(1.5); os._exit(7)
signal.signal(signal.SIGTERM, end)
say("READY=1")
while True: time.sleep(1)
"""
    daemon.apply({"web": python(daemon, script, probes=NOTIFY, stop={"grace_period": "300ms"})})
    daemon.ok("stop", "web")
    assert [e["code"] for e in daemon.describe("web")["exits"]] == [7]


@pytest.mark.needs_root
def test_user_instance(start):
    """An ordinary user's daemon, and root, who may speak for a replica only from within it."""
    daemon = start(user="nobody")
    daemon.apply({"web": python(daemon, 'say("READY=1\\nSTATUS=mine"); time.sleep(1000)', probes=NOTIFY)})
    assert notify(daemon)["status"] == "mine"
    path = procfs.environ(daemon.pid_of("web"))["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"STATUS=root's", path)
    wait_for(lambda: notify(daemon)["dropped"] == 1)
    assert notify(daemon)["status"] == "mine"


@pytest.mark.needs_root
def test_other_users_may_not_speak(daemon):
    daemon.apply({"web": daemon.service("pause", probes=NOTIFY)}, wait=False)
    wait_for(lambda: daemon.replica("web")["pid"])
    path = procfs.environ(daemon.replica("web")["pid"])["NOTIFY_SOCKET"]
    done = subprocess.run(["setpriv", "--reuid=1", "--regid=1", "--clear-groups", "/usr/bin/python3", "-c",
                           f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', {path!r})"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert "PermissionError" in done.stderr
    assert notify(daemon)["dropped"] == 0


def test_strangers(daemon):
    """Who is not of the replica says nothing for it."""
    daemon.apply({"web": daemon.service("pause", probes=NOTIFY)}, wait=False)
    wait_for(lambda: daemon.replica("web")["pid"])
    path = procfs.environ(daemon.replica("web")["pid"])["NOTIFY_SOCKET"]
    assert os.stat(path).st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"READY=1", path)
    wait_for(lambda: notify(daemon)["dropped"] == 1)
    assert daemon.replica("web")["state"] == "starting"


def test_what_is_pushed_replaces(daemon):
    """A process has its socket from its start: the manifest's change is one of the process."""
    daemon.apply({"web": daemon.service("pause")})
    for keys in ({"watchdog": "1h"}, {"probes": {"readiness": {"notify_fd": 3}}}):
        old = daemon.pids("web")
        daemon.apply({"web": daemon.service("pause", **keys)}, wait=False)
        wait_for(lambda: set(daemon.pids("web").values()) - set(old.values()))
