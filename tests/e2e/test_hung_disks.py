"""Supervision does not wait: for a disk that hangs under the state or the log directory (an ext4 of
its own, frozen: writes stand still and not even SIGKILL ends them), for a replica or a probe that
nothing can end, for a helper that is stopped. Other services restart as ever, and once the trouble
is over everything is as if it had not been.

SPDX-License-Identifier: MIT
"""
import os
import re
import signal
import subprocess
import time

import pytest

import procfs
from harness import numbered, wait_for
from test_hung import NORMAL_S, hung, pytestmark, restart_seconds  # noqa: F401 (fixture, marks)

KEYS = {"restart": {"backoff": {"initial": 0}, "budget": {"restarts": 0}},
        "stop": {"grace_period": "1s"}}
SILENCE_S = 15  # after so long a helper that does not answer is replaced


def command(*argv):
    return subprocess.run(argv, capture_output=True, check=False, timeout=30,
                          stdin=subprocess.DEVNULL).returncode == 0


class Disk:
    """A file system that can be made to hang."""

    def __init__(self, path):
        self.path, self.image = path, path + ".img"
        with open(self.image, "wb") as f:
            f.truncate(64 << 20)
        os.mkdir(path)
        self.frozen = False
        if not command("mke2fs", "-q", "-F", "-t", "ext4", self.image) or \
                not command("mount", "-o", "loop", self.image, path):
            pytest.skip("no loop device")

    def freeze(self):
        assert command("fsfreeze", "-f", self.path)
        self.frozen = True

    def thaw(self):
        assert command("fsfreeze", "-u", self.path)
        self.frozen = False

    def remove(self):
        if self.frozen:
            self.thaw()
        command("umount", "-l", self.path)


@pytest.fixture
def disk(base):
    """disk(name) -> Disk under the daemon's state or log directory; thawed whatever happens."""
    made = []

    def make(name):
        made.append(Disk(os.path.join(base, name)))
        return made[-1]

    yield make
    for one in made:
        one.remove()


@pytest.fixture
def thawed(disk, start):  # noqa: F811
    """start(), torn down only after the disks are thawed: a daemon cannot end before."""
    disks = []

    def make(name):
        disks.append(disk(name))
        return disks[-1], start()

    yield make
    for one in disks:
        if one.frozen:
            one.thaw()


def in_disk_wait(pid):
    """A thread of pid waits for the disk."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    return any(") D " in procfs.read(f"/proc/{pid}/task/{t}/stat") for t in tasks)


def kill_is_pending(pid):
    pending = re.search(r"^ShdPnd:\s*(\w+)$", procfs.read(f"/proc/{pid}/status"), re.M)
    return pending and int(pending.group(1), 16) & 1 << signal.SIGKILL - 1


def line_count(daemon, service):
    return daemon.segments(service).count(b"\n")


def replaced_times(daemon, service):
    return sum((e.get("from"), e.get("to")) == ("ready", "backoff") for e in daemon.events(service))


@pytest.mark.waits
def test_hung_state_directory(thawed):
    disk, daemon = thawed("state")
    daemon.apply({"good": daemon.service("pause", **KEYS), "other": daemon.service("pause", **KEYS),
                  "talks": daemon.service("lines", "1000", **KEYS)})
    controller, other = daemon.helper("controller"), daemon.pid_of("other")
    disk.freeze()
    assert restart_seconds(daemon, "good") < NORMAL_S
    wait_for(lambda: in_disk_wait(controller), what="the store waits for the disk")
    assert restart_seconds(daemon, "good") < NORMAL_S
    lines = line_count(daemon, "talks")
    wait_for(lambda: line_count(daemon, "talks") > lines, what="lines are captured")
    stop = procfs.popen(daemon.cli_argv("stop", "other"), stdout=subprocess.DEVNULL,
                        env={**daemon.env, "AICTL_SOCKET": daemon.socket})
    ps = daemon.ok("ps")
    assert "good" in ps and daemon.mode() == "normal"
    disk.thaw()
    assert stop.wait(30) == 0
    daemon.wait_state("other", "stopped")
    assert not procfs.alive(other) and daemon.helper("controller") == controller
    wait_for(lambda: replaced_times(daemon, "good") == 14, what=lambda: daemon.events("good"))


@pytest.mark.waits
def test_hung_log_directory(thawed):
    """The logger waits for the disk and answers all the same: it is not replaced, says what hangs,
    and goes on where it was."""
    disk, daemon = thawed("log")
    daemon.apply({"good": daemon.service("pause", **KEYS), "loud": daemon.service("lines", "20"),
                  "talks": daemon.service("lines", "1000", **KEYS)})
    logger, loud = daemon.helper("logger"), daemon.pid_of("loud")
    wait_for(lambda: line_count(daemon, "loud") > 1000, what="lines")
    disk.freeze()
    frozen = time.monotonic()
    wait_for(lambda: in_disk_wait(logger), what="the logger waits for the disk")
    wait_for(lambda: "the file system does not answer" in daemon.log(), what=daemon.log)
    assert restart_seconds(daemon, "talks") < NORMAL_S  # although nobody reads what it writes
    wait_for(lambda: time.monotonic() > frozen + SILENCE_S + 5, poll=0.5, what="it is not replaced")
    for _ in range(6):  # more often than ends of incarnations are kept: it has never said anything
        assert restart_seconds(daemon, "good") < NORMAL_S
    assert daemon.helper("logger") == logger
    disk.thaw()
    wait_for(lambda: "the file system answers again" in daemon.log(), what=daemon.log)
    assert daemon.helper("logger") == logger and daemon.pid_of("loud") == loud
    daemon.ok("stop", "loud")
    wait_for(lambda: b"\nend " in daemon.segments("loud"), what="the end of the log")
    assert numbered(daemon.segments("loud")) > 1000


@pytest.mark.waits
def test_hung_log_directory_and_killed_logger(thawed):
    """SIGKILL ends it only when the disk lets go of it; the next one goes on where it was, and not before."""
    disk, daemon = thawed("log")
    daemon.apply({"good": daemon.service("pause", **KEYS), "loud": daemon.service("lines", "20")})
    logger, loud = daemon.helper("logger"), daemon.pid_of("loud")
    wait_for(lambda: line_count(daemon, "loud") > 1000, what="lines")
    disk.freeze()
    wait_for(lambda: in_disk_wait(logger), what="the logger waits for the disk")
    procfs.kill(logger)
    wait_for(lambda: kill_is_pending(logger), what="it is to be ended")
    assert restart_seconds(daemon, "good") < NORMAL_S
    disk.thaw()
    wait_for(lambda: (new := daemon.helper("logger")) and new != logger, what="a new logger")
    assert daemon.pid_of("loud") == loud
    daemon.ok("stop", "loud")
    wait_for(lambda: b"\nend " in daemon.segments("loud"), what="the end of the log")
    assert numbered(daemon.segments("loud")) > 1000


def stuck_reader(daemon, directory, server):
    """Its process waits for a mount that never answers: SIGKILL puts it into D state for good.
    Returns its pid."""
    before = procfs.read_bytes(server.pid)
    keys = {**KEYS, "environment": {"TARGET": os.path.join(directory, "file")}}
    daemon.apply({"good": daemon.service("pause", **KEYS)})
    daemon.apply({"good": daemon.service("pause", **KEYS),
                  "stuck": daemon.shell('exec cat "$TARGET"', **keys)}, wait=False)
    pid = wait_for(lambda: daemon.pid_of("stuck"), what=daemon.ps)
    wait_for(lambda: readers(directory) == [pid], what="it reads")
    wait_for(lambda: procfs.read_bytes(server.pid) > before, what="its request is taken")
    return pid


@pytest.mark.waits
def test_replica_in_disk_wait(start, hung):  # noqa: F811
    """Nothing ends it: it is not started a second time, and nobody waits for it."""
    daemon = start()
    directory, server = hung("read")
    pid = stuck_reader(daemon, directory, server)
    stop = procfs.popen(daemon.cli_argv("restart", "stuck"), stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL, env={**daemon.env, "AICTL_SOCKET": daemon.socket})
    wait_for(lambda: procfs.stat(pid)[1] == "D", what="it is in D state")
    wait_for(lambda: daemon.replica("stuck")["state"] == "unknown", what=daemon.ps)
    for _ in range(2):
        assert restart_seconds(daemon, "good") < NORMAL_S
        assert daemon.pid_of("stuck") == pid
        assert readers(directory) == [pid]
    server.kill()
    daemon.wait_new_pid("stuck", pid)  # cat fails now, and its policy starts it again
    daemon.ok("stop", "stuck")
    daemon.wait_state("stuck", "stopped")
    stop.wait(30)


def readers(directory):
    needle = f"cat\0{directory}/file\0"
    return [int(d) for d in os.listdir("/proc")
            if d.isdigit() and procfs.read(f"/proc/{d}/cmdline") == needle and procfs.alive(int(d))]


@pytest.mark.waits
def test_probe_in_disk_wait(start, hung):  # noqa: F811
    """An exec probe that cannot be ended fails by its timeout, and is not run a second time."""
    daemon = start()
    directory, server = hung("read")
    probe = {"exec": {"command": ["cat", f"{directory}/file"]}, "period": "1s", "timeout": "1s",
             "failure_threshold": 1}
    daemon.apply({"good": daemon.service("pause", **KEYS)})
    daemon.apply({"good": daemon.service("pause", **KEYS),
                  "probed": daemon.service("pause", probes={"readiness": probe}, **KEYS)}, wait=False)
    wait_for(lambda: readers(directory), what="the probe runs")
    def result():
        return daemon.describe("probed")["replicas"][0]["probes"]["readiness"]

    wait_for(lambda: "cannot be killed" in (result()["message"] or ""), what=result)
    for _ in range(3):
        assert restart_seconds(daemon, "good") < NORMAL_S
        assert len(readers(directory)) == 1
    server.kill()
    wait_for(lambda: "exit code 1" in result()["message"], what=result)  # cat's own word now


@pytest.mark.waits
def test_stopped_logger_is_replaced(start):
    """It holds nothing that its successor does not get: no line is lost, no writer is hurt."""
    daemon = start()
    daemon.apply({"good": daemon.service("pause", **KEYS), "loud": daemon.service("lines", "200")})
    logger, loud = daemon.helper("logger"), daemon.pid_of("loud")
    wait_for(lambda: line_count(daemon, "loud") > 1000, what="lines")
    procfs.kill(logger, signal.SIGSTOP)
    wait_for(lambda: procfs.stopped(logger), what="the logger stops")
    assert restart_seconds(daemon, "good") < NORMAL_S  # something is outstanding now
    wait_for(lambda: (new := daemon.helper("logger")) and new != logger, timeout=2 * SILENCE_S,
             what=daemon.log)
    assert restart_seconds(daemon, "good") < NORMAL_S
    assert daemon.pid_of("loud") == loud
    daemon.ok("stop", "loud")
    wait_for(lambda: b"\nend " in daemon.segments("loud"), what="the end of the log")
    assert numbered(daemon.segments("loud")) > 1000


@pytest.mark.waits
def test_stopped_controller_and_logger(start):
    """Nobody restarts what dies while the controller stands still; it is replaced by itself, then
    all is made good, and what needs no decision (a stop under way) has gone on."""
    daemon = start()
    daemon.apply({"good": daemon.service("pause", replicas=3, **KEYS),
                  "loud": daemon.service("lines", "200")})
    before, loud = daemon.pids("good"), daemon.pid_of("loud")
    helpers = [daemon.helper(which) for which in ("controller", "logger")]
    for pid in helpers:
        procfs.kill(pid, signal.SIGSTOP)
    for pid in before.values():
        procfs.kill(pid)
    for which, old in zip(("controller", "logger"), helpers):
        wait_for(lambda w=which, o=old: (new := daemon.helper(w)) and new != o,
                 timeout=2 * SILENCE_S, what=daemon.log)
    for index, old in before.items():
        daemon.wait_new_pid("good", old, index)
    assert daemon.pid_of("loud") == loud
    assert restart_seconds(daemon, "good") < NORMAL_S


def test_log_probe_of_a_log_that_hangs(start, hung):  # noqa: F811
    """Each attempt ends with its time-out and says so; it goes on where it was once the disk answers."""
    def said():
        return daemon.describe("web")["replicas"][0]["probes"]["readiness"]

    daemon = start()
    probe = {"log": {"pattern": "^up$"}, "period": "100ms", "timeout": "300ms"}
    daemon.apply({"web": daemon.shell("echo up >&2; sleep 1000", probes={"readiness": probe}),
                  "other": daemon.shell("sleep 1; echo up; sleep 1000", probes={"readiness": probe})})
    path, server = hung("unread")
    log = os.path.join(daemon.log_dir, "web")
    command("mount", "--bind", path, log)
    try:
        old = daemon.pid_of("web")
        os.kill(old, signal.SIGKILL)
        pid = daemon.wait_new_pid("web", old)
        wait_for(lambda: said()["message"] == "the log was not read within 300ms: its disk does not answer",
                 what=said)
        before = said()["results"]
        wait_for(lambda: said()["results"] > before + 3, what=said)
        assert daemon.replica("web")["state"] == "starting"
        daemon.ok("restart", "other")  # its log is read meanwhile
        daemon.wait_state("other", "ready")
    finally:
        command("umount", "-l", log)
        server.kill()
    daemon.wait_state("web", "ready")
    assert daemon.pid_of("web") == pid
