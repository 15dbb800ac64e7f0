"""aictld dies while a helper hangs: the next aictld does not wait for it, and costs no service
anything.

SPDX-License-Identifier: MIT
"""
import json
import os
import signal
import subprocess

import procfs
import pytest
from harness import program, wait_for
from test_hung import hung, pytestmark as on_fuse  # noqa: F401 (fixture)
from test_notify import Manager

LOOK_S = 30  # ten seconds of tries, or three of looking, on a busy machine


def lines_of(daemon, service):
    """(number, lost) of each line of `svc keep`."""
    return [tuple(map(int, line.split()[1:3])) for line in daemon.segments(service).decode().splitlines()
            if line.startswith("line ")]


@pytest.mark.waits
def test_stopped_logger(start):
    """Its pipes are opened again before it is killed: no write fails, no line is lost."""
    daemon = start(init=True)
    daemon.apply({"count": daemon.service("keep", "2000")}, wait=False)
    daemon.wait_state("count", "ready")
    pid = daemon.pid_of("count")
    wait_for(lambda: len(lines_of(daemon, "count")) > 100, what="lines")
    logger = daemon.helper("logger")
    os.kill(logger, signal.SIGSTOP)
    daemon.crash()
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")
    daemon.wait_state("count", "ready")
    assert daemon.pid_of("count") == pid
    assert not procfs.alive(logger)
    before = len(lines_of(daemon, "count"))
    wait_for(lambda: len(lines_of(daemon, "count")) > before + 100, what="more lines")
    lines = lines_of(daemon, "count")
    assert [number for number, _ in lines] == list(range(1, len(lines) + 1))
    assert lines[-1][1] == 0
    assert "may have met SIGPIPE" not in daemon.log()


def writes(pid):
    """How often it has written, heard or not."""
    return int(procfs.read(f"/proc/{pid}/io").split("syscw: ")[1].split()[0])


@pytest.mark.waits
def test_logger_dies_before_it_gives_back(start):
    """At any moment from when it may join: the next aictld has the pipes open already, no write fails
    and no line is lost."""
    daemon = start(init=True)
    daemon.apply({"count": daemon.service("keep", "2000")}, wait=False)
    daemon.wait_state("count", "ready")
    pid = daemon.pid_of("count")
    wait_for(lambda: len(lines_of(daemon, "count")) > 100, what="lines")
    logger = daemon.helper("logger")
    os.kill(logger, signal.SIGSTOP)
    daemon.crash()
    daemon.start_again()
    wait_for(lambda: os.path.exists(f"{daemon.runtime_dir}/sup/sup.sock"), what="it waits", poll=0.001)
    aictld = daemon.pid
    os.kill(aictld, signal.SIGSTOP)
    wait_for(lambda: procfs.stopped(aictld), what="aictld stops")
    procfs.kill(logger)
    wait_for(lambda: not procfs.alive(logger), what="the logger dies")
    before = writes(pid)
    wait_for(lambda: writes(pid) > before + 50, what="it writes where nobody reads")
    os.kill(aictld, signal.SIGCONT)
    wait_for(daemon.answers, what="aictld answers")
    daemon.wait_state("count", "ready")
    before = len(lines_of(daemon, "count"))
    wait_for(lambda: len(lines_of(daemon, "count")) > before + 100, what="more lines")
    lines = lines_of(daemon, "count")
    assert [number for number, _ in lines] == list(range(1, len(lines) + 1))
    assert lines[-1][1] == 0 and daemon.pid_of("count") == pid
    assert "may have met SIGPIPE" not in daemon.log()
    fds = [os.readlink(f"/proc/{aictld}/fd/{fd}") for fd in os.listdir(f"/proc/{aictld}/fd")]
    ours = os.readlink(f"/proc/{pid}/fd/1")
    assert fds.count(ours) == 1


@pytest.mark.waits
def test_pipes_are_held_once(start):
    """What was opened early is closed when the logger gives back the same pipes."""
    daemon = start(init=True)
    daemon.apply({"count": daemon.service("keep", "2000")}, wait=False)
    daemon.wait_state("count", "ready")
    ours = os.readlink(f"/proc/{daemon.pid_of('count')}/fd/1")

    def held():
        fds = f"/proc/{daemon.pid}/fd"
        return [os.readlink(f"{fds}/{fd}") for fd in os.listdir(fds)].count(ours)

    assert held() == 1
    daemon.crash()
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")
    assert held() == 1
    assert "gave its log pipes back" not in daemon.log()


@pytest.mark.containers
@pytest.mark.waits
def test_stopped_controller(start):
    """It could not end by itself: it is killed, and there are never two."""
    daemon = start(init=True)
    daemon.apply({"idle": daemon.service("pause")})
    pid = daemon.pid_of("idle")
    controller = daemon.helper("controller")
    os.kill(controller, signal.SIGSTOP)
    daemon.crash()
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")
    assert not procfs.alive(controller)
    assert daemon.pid_of("idle") == pid


STDOUT_ON = """
import os, sys, time
os.dup2(os.open(sys.argv[1], os.O_PATH | os.O_DIRECTORY), 1)
time.sleep(3600)
"""


@pytest.mark.parametrize("mode", ["unread", "read"])
@pytest.mark.needs_root
@on_fuse[1]
def test_stdout_on_a_hung_disk(start, hung, mode):  # noqa: F811
    """The logger died, too: looking for the log pipes, aictld touches nothing else."""
    daemon = start(init=True)
    directory, server = hung(mode)
    daemon.apply({"far": daemon.service(command=["/usr/bin/python3", "-c", STDOUT_ON, directory]),
                  "near": daemon.service("keep", "2000")}, wait=False)
    daemon.wait_state("far", "ready")
    daemon.wait_state("near", "ready")
    wait_for(lambda: os.readlink(f"/proc/{daemon.pid_of('far')}/fd/1") == directory, what="its stdout")
    pids = {name: daemon.pid_of(name) for name in ("far", "near")}
    daemon.crash("logger")
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")
    daemon.wait_state("near", "ready")
    assert {name: daemon.pid_of(name) for name in pids} == pids
    before = len(lines_of(daemon, "near"))
    wait_for(lambda: len(lines_of(daemon, "near")) > before, what="lines")
    server.kill()


@pytest.mark.waits
@pytest.mark.needs_root
@on_fuse[1]
@pytest.mark.parametrize("which", ["--state-dir", "--log-dir"])
def test_directory_on_a_hung_disk(start, which):
    """aictld starts and takes over; the helpers hang, or wait."""
    daemon = start(init=True)
    daemon.apply({"near": daemon.service("pause"), "gone": daemon.service("pause")})
    near, gone = daemon.pid_of("near"), daemon.pid_of("gone")
    argv = daemon.argv()
    path = argv[argv.index(which) + 1]
    server = procfs.popen([program("tests/e2e/fusehang"), path, "read"], stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"mounted\n"
        daemon.crash()
        procfs.kill(gone)
        daemon.start_again()
        wait_for(lambda: daemon.helper("logger"), what="aictld has taken over")
        assert procfs.alive(near)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
        subprocess.run(["umount", "-l", path], check=False, capture_output=True)
    wait_for(daemon.answers, what="aictld answers")
    wait_for(lambda: daemon.pid_of("gone") not in (None, gone), what=daemon.ps)
    assert "does not answer" in daemon.log()
    assert daemon.pid_of("near") == near


@pytest.mark.waits
@pytest.mark.needs_root
@on_fuse[1]
def test_ready_without_a_controller(base, start):
    """The former controller waits for the disk of its state and cannot be killed, and the next one waits
    for it as well, but says so; a service manager is told READY and WATCHDOG all the same, or it would
    end aictld again and again."""
    m = Manager(os.path.join(base, "notify"))
    daemon = start(init=True, env={"NOTIFY_SOCKET": m.path, "WATCHDOG_USEC": "30000000"})
    m.wait("WATCHDOG=1", m.wait("READY=1"))
    argv = daemon.argv()
    path = argv[argv.index("--state-dir") + 1]
    server = procfs.popen([program("tests/e2e/fusehang"), path, "read"], stdout=subprocess.PIPE)

    def asked():
        try:
            return daemon.api("GET", "/v1/services", timeout=5)
        except OSError:
            return None

    try:
        assert server.stdout.readline() == b"mounted\n"
        seen = len(m.read())
        daemon.crash()
        daemon.start_again()
        m.wait("WATCHDOG=1", m.wait("READY=1", seen))
        wait_for(lambda: "hangs in the kernel" in daemon.log(), what="its log says why")
        wait_for(lambda: daemon.helper("controller"), what="the next one")
        status, reply = wait_for(asked, what="it says what it waits for")
        assert status == 503 and path in reply["error"]["message"], reply
        rc, out, err = daemon.cli("ps", timeout=LOOK_S)
        assert rc == 1 and path in out + err
        rc, out, err = daemon.cli("doctor", "-o", "json", timeout=LOOK_S)
        found = {c["name"]: c for c in json.loads(out)["checks"]}
        assert rc == 1 and found["state-dir"]["level"] == found["daemon"]["level"] == "problem", found
        assert found["state-dir"]["found"].startswith(f"{path} does not answer")
        assert path in found["daemon"]["found"]
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
        subprocess.run(["umount", "-l", path], check=False, capture_output=True)
    wait_for(daemon.answers, what="aictld answers")
