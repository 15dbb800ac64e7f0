"""A disk that is full, fails, or may not be written to, and a directory that somebody removes:
services run on, others are stored as ever, and once the trouble is over so is everything else.

The trouble is a file system of its own at the log directory of the service "bad".

SPDX-License-Identifier: MIT
"""
import errno
import os
import re
import shutil
import subprocess

import pytest

import procfs
from harness import numbered, program, wait_for
from test_hung import pytestmark  # noqa: F401
from test_hung_disks import command, line_count
from test_lanes import told

DROP = {"on_full": "drop"}


@pytest.fixture
def mounted(start):
    """mounted(options) -> a daemon and the path of a small tmpfs."""
    paths = []

    def make(options):
        daemon = start()
        path = os.path.join(daemon.log_dir, "bad")
        os.mkdir(path)
        owner = os.stat(daemon.log_dir)
        if not command("mount", "-t", "tmpfs", "-o",
                       f"mode=2750,uid={owner.st_uid},gid={owner.st_gid},{options}", "none", path):
            pytest.skip("no mount")
        paths.append(path)
        return daemon, path

    yield make
    for path in paths:
        command("umount", "-l", path)


def apply(daemon, interval="500", **logs):
    keys = {"logs": logs} if logs else {}
    daemon.apply({"bad": daemon.service("lines", interval, **keys), "good": daemon.service("lines", "5000")})
    return daemon.pid_of("bad")


def lines_of_good_go_on(daemon):
    before = line_count(daemon, "good")
    wait_for(lambda: line_count(daemon, "good") > before + 20, what="the other one's lines")


def stalled(daemon, reason):
    wait_for(lambda: re.search(f"{reason}.*cannot store logs|too little free disk space", daemon.log()),
             what=daemon.log)
    wait_for(lambda: reason in daemon.replica("bad")["message"], what=lambda: daemon.replica("bad"))
    assert reason in " ".join(daemon.ok("why", "bad").split()) and reason in daemon.ok("ps")
    wait_for(lambda: any(e["type"] == "logs" and reason in e["message"] for e in daemon.events("bad")), what="an event")
    lines_of_good_go_on(daemon)


def recovered(daemon, pid):
    """And stops it; returns its log."""
    before = len(daemon.segments("bad"))
    wait_for(lambda: len(daemon.segments("bad")) > before, what=daemon.log)
    wait_for(lambda: "logs are stored again" in daemon.log(), what=daemon.log)
    assert daemon.pid_of("bad") == pid
    daemon.ok("stop", "bad")
    wait_for(lambda: b"\nend " in daemon.segments("bad"), what="its end")
    return daemon.segments("bad")


def written(pid):
    return int(re.search(r"wchar: (\d+)", procfs.read(f"/proc/{pid}/io")).group(1))


@pytest.mark.parametrize("logs", [{}, DROP], ids=["block", "drop"])
def test_full(mounted, logs):
    daemon, path = mounted("size=1m")
    pid = apply(daemon, "50", **logs)
    wait_for(lambda: line_count(daemon, "bad") > 100, what="lines")
    filler = os.path.join(path, "filler")
    assert not command("dd", "if=/dev/zero", f"of={filler}", "bs=4k")  # until it is full
    stalled(daemon, "No space left on device")
    if logs:
        since = written(pid)
        wait_for(lambda: written(pid) > since + (2 << 20), timeout=90, what="it does not wait")
    os.unlink(filler)
    data = recovered(daemon, pid)
    if logs:
        assert told(data) > 0
        assert "of stdout dropped: No space left on device]" in daemon.ok("logs", "bad", "--no-prefix")
    else:
        numbered(data)


def test_read_only(mounted):
    daemon, path = mounted("size=1m")
    assert command("mount", "-o", "remount,ro", path)
    pid = apply(daemon)
    stalled(daemon, "Read-only file system")
    assert command("mount", "-o", "remount,rw", path)
    numbered(recovered(daemon, pid))


class Served:
    """A file system at a service's log directory, served by fusehang, as long as the block lasts."""

    service = "bad"

    def __init__(self, daemon, *mode):
        self.path = os.path.join(daemon.log_dir, self.service)
        self.argv = [program("tests/e2e/fusehang"), self.path, *mode]
        os.makedirs(self.path, exist_ok=True)
        owner = os.stat(daemon.log_dir)
        os.chown(self.path, owner.st_uid, owner.st_gid)

    def __enter__(self):
        self.server = procfs.popen(self.argv, stdout=subprocess.PIPE)
        assert self.server.stdout.readline() == b"mounted\n"
        return self

    def __exit__(self, *_):
        command("umount", "-l", self.path)
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()


def test_failing(start):
    daemon = start()
    with Served(daemon, "fail"):
        pid = apply(daemon)
        stalled(daemon, "Input/output error")
    numbered(recovered(daemon, pid))


class Failing(Served):
    """One that can be made to fail."""

    def __init__(self, daemon):
        data, self.trigger = os.path.join(daemon.base, "data"), os.path.join(daemon.base, "trigger")
        super().__init__(daemon, "store", data, self.trigger)
        os.mkdir(data)
        owner = os.stat(daemon.log_dir)
        os.chown(data, owner.st_uid, owner.st_gid)

    def do(self, words):
        with open(self.trigger + ".new", "w", encoding="ascii") as f:
            f.write(words + "\n")
        os.rename(self.trigger + ".new", self.trigger)

    def fail(self, error, stored):
        """Each write, though so many bytes of it are stored."""
        self.do(f"{error} {stored}")

    def work(self):
        os.unlink(self.trigger)


FAILURES = {"at-once": (errno.EIO, 0), "half-way": (errno.EIO, 1000), "afterwards": (errno.EIO, 1 << 20),
            "full": (errno.ENOSPC, 0), "full-half-way": (errno.ENOSPC, 1000)}


@pytest.mark.parametrize("how", FAILURES)
def test_failing_in_the_middle(start, how):
    """Reading, and whatever else, goes on; each write fails, although a part of it is there. Nor does a
    logger help that comes new meanwhile."""
    daemon = start()
    with Failing(daemon) as disk:
        pid = apply(daemon, "300", max_size="64KiB", max_files=1000)
        wait_for(lambda: len(daemon.log_files("bad", kind="log")) > 2, what="lines in several files")
        disk.fail(*FAILURES[how])
        stalled(daemon, os.strerror(FAILURES[how][0]))
        old = daemon.helper("logger")
        procfs.kill(old)
        wait_for(lambda: (new := daemon.helper("logger")) and new != old, what="another logger")
        wait_for(lambda: daemon.log().count("cannot store logs") > 1, what=daemon.log)
        lines_of_good_go_on(daemon)
        disk.work()
        n = numbered(recovered(daemon, pid))
        assert numbered(daemon.ok("logs", "-o", "raw", "bad").encode()) == n
        assert [e["reason"] for e in daemon.events("bad") if e["type"] == "logs"] == ["logs_wait", "logs_stored"]


@pytest.mark.parametrize("how", ["at-once", "half-way"])
def test_failing_in_the_middle_and_dropping(start, how):
    daemon = start()
    with Failing(daemon) as disk:
        pid = apply(daemon, "50", **DROP, max_size="64KiB", max_files=1000)
        wait_for(lambda: len(daemon.log_files("bad", kind="log")) > 2, what="lines in several files")
        disk.fail(*FAILURES[how])
        stalled(daemon, "Input/output error")
        wait_for(lambda: daemon.describe("bad")["replicas"][0]["logs"]["dropped_lines"] > 0, what="it does not wait")
        disk.work()
        assert told(recovered(daemon, pid)) > 0


def test_removed_directory(start):
    """What was stored goes with it, and what comes is stored anew."""
    daemon = start()
    pid = apply(daemon, "2000")
    wait_for(lambda: line_count(daemon, "bad") > 100, what="lines")
    shutil.rmtree(os.path.join(daemon.log_dir, "bad"))
    wait_for(lambda: line_count(daemon, "bad") > 100, what="lines again")
    lines_of_good_go_on(daemon)
    assert daemon.pid_of("bad") == pid
    daemon.ok("stop", "bad")
    wait_for(lambda: b"\nend " in daemon.segments("bad"), what="its end")
    numbers = [int(n) for n in re.findall(rb"^line (\d+)$", daemon.segments("bad"), re.M)]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
