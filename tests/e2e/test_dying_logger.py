"""The logger is killed while one of the file systems hangs: it cannot end before that answers, for a
thread of it is in a system call. The next one begins beside it: what logs elsewhere goes on, what
logs there waits, and has every line once and in order afterwards.

SPDX-License-Identifier: MIT
"""
import os
import re
import signal
import time

import pytest

import procfs
from harness import numbered, wait_for
from test_hung import pytestmark  # noqa: F401
from test_hung_disks import disk, in_disk_wait, line_count, thawed  # noqa: F401
from test_lanes import begin, end, hang, many, slow, waiting  # noqa: F401
from test_log_disks import Failing, written

BESIDE = "starting the next one beside it"
DYING_MAX = 2


class Stuck(Failing):
    """Hangs in the middle of a write: the kernel has the pipe locked whose bytes are written."""

    service = "slow"

    def hang(self, daemon):
        self.do("hang")
        wait_for(lambda: in_disk_wait(daemon.helper("logger")) or kill_would_hang(daemon), what="a write hangs")

    def __exit__(self, *args):
        self.do("go on")  # else nobody who waits for it can be ended
        super().__exit__(*args)


def kill_would_hang(daemon):
    """A thread is in a write that fusehang has taken: not in D state before it is to be killed."""
    logger = daemon.helper("logger")
    tasks = os.listdir(f"/proc/{logger}/task")
    return any(procfs.read(f"/proc/{logger}/task/{t}/wchan").startswith(("request_wait", "fuse")) for t in tasks)


def exists(pid):
    """Perhaps as a zombie of which a thread hangs."""
    return procfs.stat(pid) is not None


def kill(daemon, beside=True):
    """Returns the logger that was killed, and the next one."""
    old = daemon.helper("logger")
    procfs.kill(old)
    new = wait_for(lambda: (n := daemon.helper("logger")) and n != old and n, what=daemon.log)
    assert in_disk_wait(old) == beside
    return old, new


def go_on(daemon, *services):
    since = {name: line_count(daemon, name) for name in services}
    for name, n in since.items():
        wait_for(lambda name=name, n=n: line_count(daemon, name) > n + 20, what=f"lines of {name}")


def ends(pid):
    def ended():
        procfs.reap()  # when its aictld is gone
        return not exists(pid)

    wait_for(ended, what="the old one ends")


@pytest.mark.waits
def test_others_go_on(slow):  # noqa: F811
    """Also what begins and ends meanwhile."""
    disk, daemon = slow()  # noqa: F811
    begin(daemon)
    hang(daemon, disk)
    old, new = kill(daemon)
    go_on(daemon, "fast", "good")
    wait_for(lambda: waiting(daemon) == {"slow"}, what=daemon.ps)
    assert "logs wait" in daemon.ok("why", "slow")
    daemon.apply({"late": daemon.service("lines", "1000")}, name="more")
    wait_for(lambda: line_count(daemon, "late") > 100, what="a new one's lines")
    end(daemon, "late", "good")
    assert in_disk_wait(old) and daemon.log().count(BESIDE) == 1
    disk.thaw()
    ends(old)
    wait_for(lambda: not waiting(daemon), what=daemon.ps)
    go_on(daemon, "slow", "fast")
    assert daemon.helper("logger") == new  # the old one's end is not its
    end(daemon, "slow", "fast")


@pytest.mark.waits
def test_killed_again_and_again(slow):  # noqa: F811
    """The disk holds one thread, of the first. The others end at once: they never touched it."""
    disk, daemon = slow()  # noqa: F811
    begin(daemon)
    hang(daemon, disk)
    first, _ = kill(daemon)
    for _ in range(DYING_MAX + 2):
        go_on(daemon, "fast")
        wait_for(lambda: waiting(daemon) == {"slow"}, what=daemon.ps)
        kill(daemon, beside=False)
    go_on(daemon, "fast", "good")
    assert in_disk_wait(first) and daemon.log().count(BESIDE) == 1
    disk.thaw()
    ends(first)
    end(daemon, "slow", "fast", "good")


@pytest.mark.waits
def test_more_disks_than_loggers_may_hang(disk, start):  # noqa: F811
    """Each holds another logger. With one too many the last one is waited for, until one of them ends."""
    daemon = start()
    names = [f"slow{i}" for i in range(DYING_MAX + 1)]
    disks, olds = {}, []
    try:
        for name in names:
            disks[name] = disk(f"log/{name}")
            owner = os.stat(daemon.log_dir)
            os.chown(disks[name].path, owner.st_uid, owner.st_gid)
        daemon.apply({name: daemon.service("lines", "500") for name in [*names, "fast"]})
        for i, name in enumerate(names):
            go_on(daemon, name, "fast")
            disks[name].freeze()
            wait_for(lambda: in_disk_wait(daemon.helper("logger")), what="a lane waits for the disk")
            olds.append(daemon.helper("logger"))
            if i < DYING_MAX:
                kill(daemon)
        procfs.kill(olds[-1])
        killed = time.monotonic()
        wait_for(lambda: time.monotonic() > killed + 3, what="nothing happens")
        assert daemon.helper("logger") is None and all(in_disk_wait(pid) for pid in olds)
        disks[names[0]].thaw()
        wait_for(lambda: daemon.helper("logger"), what=daemon.log)
        go_on(daemon, "fast", names[0])
        wait_for(lambda: waiting(daemon) == set(names[1:]), what=daemon.ps)
        assert "waiting for one of them" in daemon.log()
    finally:
        for one in disks.values():
            if one.frozen:
                one.thaw()
    end(daemon, *names, "fast")


@pytest.mark.waits
def test_what_shared_the_lane_goes_on(slow, many):  # noqa: F811
    """It stood still with the disk that hangs; with the next logger it does not."""
    disk, daemon = slow()  # noqa: F811
    many(daemon, 12)
    names = ["slow", "good", *(f"own{i}" for i in range(12))]
    daemon.apply({name: daemon.service("lines", "5000") for name in names})
    go_on(daemon, *names)
    hang(daemon, disk)
    wait_for(lambda: len(waiting(daemon)) > 1, what=daemon.ps)
    kill(daemon)
    go_on(daemon, *names[1:])
    wait_for(lambda: waiting(daemon) == {"slow"}, what=daemon.ps)
    disk.thaw()
    end(daemon, *names)


@pytest.mark.waits
def test_who_drops_does_not_wait(slow):  # noqa: F811
    """But for the one whose bytes are in the system call."""
    disk, daemon = slow()  # noqa: F811
    logs = {"on_full": "drop"}
    daemon.apply({"slow": daemon.service("lines", "50", replicas=2, logs=logs)})
    wait_for(lambda: all(len(daemon.segments("slow", i)) > 1000 for i in (0, 1)), what="lines")
    hang(daemon, disk)
    stuck = int(wait_for(lambda: re.search(r"service=slow/(\d) the file system does not answer", daemon.log()),
                         what=daemon.log).group(1))
    old, _ = kill(daemon)
    pid = daemon.pid_of("slow", 1 - stuck)
    since = written(pid)
    wait_for(lambda: written(pid) > since + (2 << 20), timeout=90, what="it goes on")  # more than a pipe holds
    assert in_disk_wait(old)
    disk.thaw()
    daemon.ok("stop", "slow")
    wait_for(lambda: all(b"\nend " in daemon.segments("slow", i) for i in (0, 1)), what="the ends")
    data = daemon.segments("slow", 1 - stuck)
    assert b"dropped: the file system did not answer]" in data
    numbers = [int(n) for n in re.findall(rb"^line (\d{9})$", data, re.M)]
    assert numbers == sorted(set(numbers))
    dropped = sum(int(n) for n in re.findall(rb"^\[aictl: (\d+) lines", data, re.M))
    assert 0 < dropped <= numbers[-1] - len(numbers)  # what the old one had counted nobody knows


@pytest.mark.waits
def test_shutdown_does_not_wait(slow):  # noqa: F811
    """The others are stored to their end; of this one there are whole lines, what was in its pipe is lost."""
    disk, daemon = slow()  # noqa: F811
    begin(daemon)
    hang(daemon, disk)
    old, _ = kill(daemon)
    go_on(daemon, "fast")
    assert daemon.stop() == 0
    assert in_disk_wait(old)
    assert "replica=slow/0 unfinished: undrained=1" in daemon.log()
    assert numbered(daemon.segments("fast")) > 10 and numbered(daemon.segments("good")) > 10
    disk.thaw()
    ends(old)
    data = daemon.segments("slow")
    numbered(data[:data.rindex(b"\n") + 1] + b"end %d\n" % data.count(b"\n"))


@pytest.mark.waits
def test_killed_while_it_shuts_down(slow):  # noqa: F811
    """The logger hangs, and is killed when nobody starts another one: that is not waited for either."""
    disk, daemon = slow()  # noqa: F811
    begin(daemon)
    hang(daemon, disk)
    old = daemon.helper("logger")
    procfs.kill(daemon.pid, signal.SIGTERM)
    wait_for(lambda: "stopping everything" in daemon.log(), what=daemon.log)
    procfs.kill(old)
    assert daemon.wait() == 0
    assert in_disk_wait(old)
    disk.thaw()
    ends(old)


def next_aictld(daemon, *pids):
    """These die with the present one."""
    for pid in [daemon.pid, *pids]:
        procfs.kill(pid, signal.SIGKILL)
    daemon.wait()
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")


@pytest.mark.waits
def test_next_aictld(slow):  # noqa: F811
    """The second logger gives all back, and the third waits as it did."""
    disk, daemon = slow()  # noqa: F811
    begin(daemon)
    hang(daemon, disk)
    old, _ = kill(daemon)
    pids = {name: daemon.pid_of(name) for name in ("slow", "fast", "good")}
    go_on(daemon, "fast")
    next_aictld(daemon)
    go_on(daemon, "fast", "good")
    wait_for(lambda: waiting(daemon) == {"slow"}, what=daemon.ps)
    assert {name: daemon.pid_of(name) for name in pids} == pids and in_disk_wait(old)
    disk.thaw()
    ends(old)
    end(daemon, "slow", "fast", "good")


@pytest.mark.waits
def test_next_aictld_when_the_second_logger_died_too(slow):  # noqa: F811
    """Only what hangs has the pipe of the one that hangs: it is opened again when that can be done."""
    disk, daemon = slow()  # noqa: F811
    begin(daemon)
    hang(daemon, disk)
    old, new = kill(daemon)
    pids = {name: daemon.pid_of(name) for name in ("fast", "good")}
    next_aictld(daemon, new)
    go_on(daemon, "fast", "good")
    assert {name: daemon.pid_of(name) for name in pids} == pids and in_disk_wait(old)
    assert waiting(daemon) == set() and line_count(daemon, "slow") > 0
    disk.thaw()
    ends(old)
    go_on(daemon, "slow", "fast")
    end(daemon, "fast")


@pytest.mark.waits
@pytest.mark.parametrize("both", [False, True], ids=["logger", "and-aictld"])
def test_hangs_with_the_pipe(start, both):
    """Nobody may touch the pipe, not even open it once more."""
    daemon = start()
    with Stuck(daemon) as disk:  # noqa: F811
        begin(daemon)
        disk.hang(daemon)
        old, _ = kill(daemon)
        go_on(daemon, "fast", "good")
        if both:
            next_aictld(daemon)
            go_on(daemon, "fast", "good")
        wait_for(lambda: waiting(daemon) == {"slow"}, what=daemon.ps)
        assert in_disk_wait(old)
        disk.work()
        ends(old)
        go_on(daemon, "slow", "fast")
        end(daemon, "slow", "fast", "good")
