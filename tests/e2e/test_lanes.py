"""What logs to one file system does not wait for another one: a service's log directory may be a
mount of its own, and may hang (an ext4, frozen) while the others' lines are stored as ever.

SPDX-License-Identifier: MIT
"""
import glob
import os
import re
import signal
import struct
import time

import pytest

import procfs
from harness import numbered, wait_for
from test_hung import pytestmark  # noqa: F401
from test_hung_disks import command, disk, in_disk_wait, kill_is_pending, line_count  # noqa: F401

KEYS = {"restart": {"backoff": {"initial": 0}, "budget": {"restarts": 0}},
        "stop": {"grace_period": "1s"}}


@pytest.fixture
def slow(disk, start):  # noqa: F811
    """slow() -> the disk at the log directory of the service "slow", and a daemon. Thawed before the
    daemon is stopped: it cannot end before."""
    disks = []

    def make():
        daemon = start()
        made = disk("log/slow")
        disks.append(made)
        owner = os.stat(daemon.log_dir)
        os.chown(made.path, owner.st_uid, owner.st_gid)
        return made, daemon

    yield make
    for one in disks:
        if one.frozen:
            one.thaw()


def stamps(daemon, service):
    """When each chunk was stored: ms."""
    found = []
    for path in sorted(glob.glob(os.path.join(daemon.log_dir, service, "0", "*.idx"))):
        with open(path, "rb") as f:
            entries = f.read()[64:]
        found += [struct.unpack_from("<QIIq", entries, at)[3] for at in range(0, len(entries) - 23, 24)]
    return found


def begin(daemon):
    daemon.apply({"slow": daemon.service("lines", "500"), "fast": daemon.service("lines", "10000"),
                  "good": daemon.service("lines", "500", **KEYS)})
    wait_for(lambda: line_count(daemon, "slow") > 100 and line_count(daemon, "fast") > 10, what="lines")


def end(daemon, *services):
    for service in services:
        daemon.ok("stop", service)
        wait_for(lambda s=service: b"\nend " in daemon.segments(s), what=f"the end of {service}")
        assert numbered(daemon.segments(service)) > 10


def hang(daemon, disk):  # noqa: F811
    disk.freeze()
    wait_for(lambda: in_disk_wait(daemon.helper("logger")), what="a lane waits for the disk")


@pytest.mark.containers
@pytest.mark.processes("backlog", "podman")
@pytest.mark.waits
def test_others_go_on(slow):
    disk, daemon = slow()  # noqa: F811
    begin(daemon)
    logger = daemon.helper("logger")
    hang(daemon, disk)
    since = time.time() * 1000
    wait_for(lambda: "log/slow service=slow/0 the file system does not answer" in daemon.log(),
             what=daemon.log)
    old = daemon.pid_of("good")
    for _ in range(3):  # begin and end of an incarnation: STREAM, GONE, DRAINED
        procfs.kill(old)
        old = daemon.wait_new_pid("good", old)
    daemon.apply({"late": daemon.service("lines", "1000")}, name="more")
    wait_for(lambda: line_count(daemon, "late") > 1000, what="a new service's lines")
    waits = wait_for(lambda: len(s := [t for t in stamps(daemon, "fast") if t > since]) > 300 and s,
                     what="lines")
    gaps = sorted(b - a for a, b in zip(waits, waits[1:]))
    assert gaps[len(gaps) * 9 // 10] < 100, gaps[-20:]
    daemon.ok("stop", "late")
    wait_for(lambda: b"\nend " in daemon.segments("late"), what="its end")
    assert daemon.helper("logger") == logger
    disk.thaw()
    wait_for(lambda: "the file system answers again" in daemon.log(), what=daemon.log)
    end(daemon, "slow", "fast")
    assert daemon.helper("logger") == logger


@pytest.mark.waits
def test_killed_while_one_hangs(slow):
    """The logger cannot end before the disk answers. Nothing is lost, nothing comes twice."""
    disk, daemon = slow()  # noqa: F811
    begin(daemon)
    logger = daemon.helper("logger")
    hang(daemon, disk)
    procfs.kill(logger)
    wait_for(lambda: kill_is_pending(logger), what="it is to be ended")
    disk.thaw()
    wait_for(lambda: (new := daemon.helper("logger")) and new != logger, what="a new logger")
    end(daemon, "slow", "fast")


@pytest.mark.waits
def test_next_aictld_while_one_hangs(slow):
    """What hangs is given back, too: the new logger stores the others at once, and this one when the
    old one's bytes are where they were going."""
    disk, daemon = slow()  # noqa: F811
    begin(daemon)
    logger, fast = daemon.helper("logger"), daemon.pid_of("fast")
    hang(daemon, disk)
    procfs.kill(daemon.pid, signal.SIGKILL)
    daemon.wait()
    daemon.start_again()
    assert daemon.helper("logger") != logger
    assert daemon.pid_of("fast") == fast
    lines = line_count(daemon, "fast")
    wait_for(lambda: line_count(daemon, "fast") > lines + 10, what="lines")
    wait_for(lambda: "a former logger still waits for the disk" in daemon.log(), what=daemon.log)
    disk.thaw()
    wait_for(lambda: not procfs.alive(logger), what="the old one ends")
    end(daemon, "slow", "fast")


def told(data):
    """Checks that what is missing between `line 1` and `end N` is what the notes say; returns how many
    lines are."""
    missing, last, lost = 0, 0, 0
    for line in data.decode().splitlines():
        if note := re.fullmatch(r"\[aictl: (\d+) lines? \(.*\) of stdout dropped: .*\]", line):
            missing += int(note.group(1))
        elif whole := re.fullmatch(r"line (\d{9})", line):
            lost += int(whole.group(1)) - last - 1
            last = int(whole.group(1))
        elif end := re.fullmatch(r"end (\d+)", line):
            assert int(end.group(1)) == last
        else:
            assert "line 000000000".startswith(line[:5])  # torn where it stopped
    assert missing == lost
    return missing


@pytest.mark.waits
def test_dropping_while_one_hangs(slow):
    """Two replicas log to the disk that hangs; the bytes of one of them are in the system call. The
    other one does not wait for long, and what it lost is said."""
    disk, daemon = slow()  # noqa: F811
    logs = {"on_full": "drop"}
    daemon.apply({"slow": daemon.service("lines", "50", replicas=2, logs=logs)})
    wait_for(lambda: all(len(daemon.segments("slow", i)) > 1000 for i in (0, 1)), what="lines")
    hang(daemon, disk)
    stuck = int(wait_for(lambda: re.search(r"service=slow/(\d) the file system does not answer", daemon.log()),
                         what=daemon.log).group(1))
    other = daemon.pid_of("slow", 1 - stuck)
    written = []

    def goes_on():
        written.append(int(re.search(r"wchar: (\d+)", procfs.read(f"/proc/{other}/io")).group(1)))
        return written[-1] > written[0] + (2 << 20)  # more than any pipe holds

    wait_for(goes_on, timeout=90, what=lambda: written)
    disk.thaw()
    wait_for(lambda: "the file system answers again" in daemon.log(), what=daemon.log)
    daemon.ok("stop", "slow")
    wait_for(lambda: all(b"\nend " in daemon.segments("slow", i) for i in (0, 1)), what="the ends")
    assert told(daemon.segments("slow", 1 - stuck)) > 0
    assert b"dropped: the file system did not answer]" in daemon.segments("slow", 1 - stuck)


@pytest.mark.waits
def test_dropping_before_it_hangs(slow):
    """Who drops does not wait for the verdict that the disk hangs."""
    disk, daemon = slow()  # noqa: F811
    daemon.apply({"slow": daemon.service("lines", "1", replicas=2, logs={"on_full": "drop"})})
    wait_for(lambda: all(len(daemon.segments("slow", i)) > 100000 for i in (0, 1)), what="lines")
    disk.freeze()

    def dropped():
        logs = [r["logs"] for r in daemon.describe("slow")["replicas"]]
        return any(one and one["dropped_lines_total"] > 0 for one in logs)

    wait_for(dropped, what=lambda: daemon.describe("slow"))
    disk.thaw()
    daemon.ok("stop", "slow")
    wait_for(lambda: all(b"\nend " in daemon.segments("slow", i) for i in (0, 1)), what="the ends")
    assert sum(told(daemon.segments("slow", i)) for i in (0, 1)) > 0
    assert any(b"dropped: the file system is slow]" in daemon.segments("slow", i) for i in (0, 1))


@pytest.fixture
def many():
    """many(daemon, n) -> paths of small file systems at the log directories of "own0" and so on."""
    paths = []

    def make(daemon, n):
        owner = os.stat(daemon.log_dir)
        for i in range(n):
            paths.append(os.path.join(daemon.log_dir, f"own{i}"))
            os.mkdir(paths[-1])
            os.chown(paths[-1], owner.st_uid, owner.st_gid)
            if not command("mount", "-t", "tmpfs", "-o", f"uid={owner.st_uid},gid={owner.st_gid},size=1m",
                           "none", paths[-1]):
                pytest.skip("no mount")
        return paths

    yield make
    for path in paths:
        command("umount", "-l", path)


def test_many_file_systems(start, many):
    """More than there are lanes: they are shared. One that nobody logs to can be unmounted."""
    daemon = start()
    paths = many(daemon, 12)
    services = {f"own{i}": daemon.service("lines", "5000") for i in range(12)}
    daemon.apply({**services, "good": daemon.service("lines", "5000")})
    for name in [*services, "good"]:
        wait_for(lambda n=name: line_count(daemon, n) > 20, what=name)
    assert all(os.listdir(path) == ["0"] for path in paths)
    assert len(os.listdir(f"/proc/{daemon.helper('logger')}/task")) == 1 + 8 + 1  # and the witness
    for i, path in enumerate(paths[:4]):
        daemon.ok("stop", f"own{i}")
        wait_for(lambda i=i: b"\nend " in daemon.segments(f"own{i}"), what="its end")
        numbered(daemon.segments(f"own{i}"))
        wait_for(lambda p=path: command("umount", p), what="it is not busy")
        daemon.ok("start", f"own{i}")  # below the log directory's own file system now
        wait_for(lambda i=i: line_count(daemon, f"own{i}") > 20, what="lines again")


def waiting(daemon):
    text = "logs wait: the file system does not answer"
    return {name for name, s in daemon.ps().items() if any(text in r["message"] for r in s["replicas"])}


@pytest.mark.waits
def test_many_file_systems_and_one_hangs(slow, many):
    """What shares its lane stands still with it, and that is said of each. All others go on."""
    disk, daemon = slow()  # noqa: F811
    many(daemon, 12)
    names = ["slow", "good", *(f"own{i}" for i in range(12))]
    daemon.apply({name: daemon.service("lines", "5000") for name in names})
    for name in names:
        wait_for(lambda n=name: line_count(daemon, n) > 20, what=name)
    hang(daemon, disk)
    wait_for(lambda: "the file system does not answer" in daemon.log(), what=daemon.log)
    hung = set(re.findall(r"path=\S+/log/(\w+)(?: service=\S+)? the file system does not answer", daemon.log()))
    assert "slow" in hung and len(hung) <= 3 and "good" not in hung, hung  # 12 in 7 lanes
    since = {name: line_count(daemon, name) for name in names if name not in hung}
    for name, n in since.items():
        wait_for(lambda name=name, n=n: line_count(daemon, name) > n + 100, what=f"lines of {name}")
    assert waiting(daemon) == hung
    disk.thaw()
    wait_for(lambda: not waiting(daemon), what=daemon.ps)
    end(daemon, *names)
