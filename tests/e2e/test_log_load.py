"""Many replicas that write: what the logger takes of memory for them, also while journald takes nothing,
and how all of them come out of a full disk.

SPDX-License-Identifier: MIT
"""
import os
import re
import shutil
import socket

import pytest

import procfs
from harness import BUILD, numbered, wait_for
from test_log_faults import SIZE, rss, small  # noqa: F401

SANITIZED = "-fsanitize" in procfs.read(os.path.join(BUILD, "config.log"))
REPLICAS = int(os.environ.get("AICTL_E2E_WRITERS", "200"))
ROTATED = {"max_size": "64KiB", "max_files": 2}
MOST = 16 << 20  # bytes of the logger
GROWS = 4 << 20  # meanwhile


def warnings(daemon):
    return "\n".join(line for line in daemon.log().splitlines() if " info " not in line)


def all_have_lines(daemon, n=REPLICAS):
    wait_for(lambda: len({os.path.dirname(f) for f in daemon.log_files("web", kind="log")}) == n, what="each has a file")


def takes_no_more(daemon, n):
    """While the files of the replicas are written n times."""
    logger = daemon.helper("logger")
    before, seen = rss(logger), newest(daemon)
    wait_for(lambda: newest(daemon) > seen + n * REPLICAS, timeout=60, what=lambda: newest(daemon) - seen)
    after = rss(logger)
    print(f"{before >> 10} KiB, then {after >> 10} KiB")
    assert daemon.helper("logger") == logger
    assert after < before + GROWS and after < MOST, (before, after)


def newest(daemon):
    """The sum of the newest files' numbers."""
    found = {}
    for path in daemon.log_files("web", kind="log"):
        directory, name = os.path.split(path)
        found[directory] = max(found.get(directory, 0), int(name.rsplit("-", 1)[1].split(".")[0]))
    return sum(found.values())


@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory")
def test_memory_with_many_writers(daemon):
    daemon.apply({"web": daemon.service("chatter", "100000", replicas=REPLICAS, logs=ROTATED)})
    all_have_lines(daemon)
    takes_no_more(daemon, 4)


@pytest.fixture
def journal(base):
    """(a socket that journald would read from, how to start a daemon that takes it for journald)"""
    path = os.path.join(base, "journal")
    os.mkdir(path)
    os.chmod(path, 0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(os.path.join(path, "socket"))
        os.chmod(os.path.join(path, "socket"), 0o666)
        script = "mount -t tmpfs -o mode=755 none /run && mkdir -p /run/systemd/journal && " \
            f"mount --bind {path} /run/systemd/journal && exec \"$@\""
        yield sock, ["unshare", "--mount", "sh", "-c", script, "sh"]


@pytest.mark.needs_root
@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare")
@pytest.mark.skipif(SANITIZED, reason="sanitizers take memory")
def test_memory_while_journald_hangs(start, journal):
    """Nobody reads its socket: no writer waits, nothing piles up, what goes with the files is counted, and
    it goes on once somebody reads."""
    sock, wrapper = journal
    daemon = start(wrapper=wrapper)
    logs = {**ROTATED, "to": ["file", "journald"]}
    daemon.apply({"web": daemon.service("chatter", "100000", replicas=REPLICAS, logs=logs),
                  "few": daemon.service("lines", "50000", logs={"to": ["file", "journald"]})})
    all_have_lines(daemon)
    takes_no_more(daemon, 4)
    wait_for(lambda: "journal/socket takes no lines; they wait in their files" in daemon.log(), what=lambda: warnings(daemon))
    sock.settimeout(30)
    said = set()
    wait_for(lambda: said.add(re.search(rb"AICTL_SERVICE=(\w+)", sock.recv(1 << 17)).group(1)) or said == {b"web", b"few"},
             what=lambda: said, poll=0)
    wait_for(lambda: sock.recv(1 << 17) and re.search("files=[1-9].* rotated away", daemon.log()), what=lambda: warnings(daemon), poll=0)
    assert "journal/socket takes lines again" in daemon.log()


def faults(daemon):
    return [(r["logs"] or {}).get("state") for r in daemon.describe("web")["replicas"]]


@pytest.mark.needs_root
@pytest.mark.waits
def test_all_come_out_of_a_full_disk(small):  # noqa: F811
    n = 5 * REPLICAS
    daemon, disk = small("web", max(SIZE, n << 15))
    daemon.apply({"web": daemon.service("lines", "20000", replicas=n)})
    all_have_lines(daemon, n)
    logger, pids = daemon.helper("logger"), daemon.pids("web")
    disk.fill()
    wait_for(lambda: faults(daemon) == ["waiting"] * n, what=lambda: faults(daemon))
    before = rss(logger)
    disk.free()
    wait_for(lambda: not any(faults(daemon)), what=lambda: faults(daemon))
    assert SANITIZED or rss(logger) < min(before + GROWS, MOST), (before, rss(logger))
    assert daemon.helper("logger") == logger and daemon.pids("web") == pids
    daemon.ok("stop", "web")
    for i in range(n):
        wait_for(lambda i=i: b"\nend " in daemon.segments("web", i), timeout=240, what=f"the end of {i}")
        assert numbered(daemon.segments("web", i))
