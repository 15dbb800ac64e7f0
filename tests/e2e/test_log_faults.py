"""A disk for logs that is full: services run on, ps, why, describe and events say that lines wait or
are lost, and it is over by itself when there is room again.

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import sqlite3
import subprocess

import pytest

import procfs
from harness import BUILD, CAMPAIGN, numbered, wait_for

pytestmark = pytest.mark.needs_root
SIZE = 4 << 20


class Small:
    """A tmpfs for the logs of one service."""

    def __init__(self, daemon, service, size):
        self.path = os.path.join(daemon.log_dir, service)
        os.makedirs(self.path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0750", "tmpfs", self.path],
                              capture_output=True, check=False, timeout=30)
        if done.returncode:
            pytest.skip("no mount")
        owner = os.stat(daemon.log_dir)
        os.chown(self.path, owner.st_uid, owner.st_gid)
        self.ballast = os.path.join(self.path, "ballast")

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def free(self):
        os.unlink(self.ballast)

    def remove(self):
        if os.path.exists(self.ballast):
            self.free()  # aictld's end waits for what waits
        subprocess.run(["umount", "-l", self.path], check=False, timeout=30)


@pytest.fixture
def small(start):
    """small(service, size) -> a daemon, and that service's own file system."""
    made = []

    def make(service, size=SIZE):
        daemon = start()
        made.append(Small(daemon, service, size))
        return daemon, made[-1]

    yield make
    for one in made:
        one.remove()


def message(daemon, service):
    return daemon.replica(service)["message"]


def events(daemon, service):
    return [(e["reason"], e["message"]) for e in daemon.events(service) if e["type"] == "logs"]


def stored_events(daemon):
    path = os.path.join(daemon.state_dir, "aictl.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return db.execute("SELECT count(*) FROM event WHERE type = 'logs'").fetchone()[0]


@pytest.mark.containers
def test_full_disk(small):
    daemon, disk = small("web")
    daemon.apply({"web": daemon.service("lines", "1000"), "other": daemon.service("lines", "100")})
    assert daemon.describe("web")["replicas"][0]["logs"] is None
    disk.fill()
    wait_for(lambda: "; logs wait: No space left on device" in message(daemon, "web"),
             what=lambda: message(daemon, "web"))
    web = daemon.describe("web")
    assert web["state"] == "ready" and web["replicas"][0]["state"] == "ready"
    logs = web["replicas"][0]["logs"]
    assert logs["state"] == "waiting" and logs["error"] == "No space left on device" and logs["since"]
    assert logs["dropped_bytes"] == logs["dropped_lines_total"] == 0
    assert "logs wait: No space left on device" in daemon.ok("ps")
    assert "logs wait: No space left on device, for " in daemon.ok("describe", "web")
    out = daemon.ok("why", "web")
    assert "logs wait: No space left on device" in out and "nothing is lost" in out, out
    assert "logs wait" not in message(daemon, "other")
    wait_for(lambda: events(daemon, "web"), what="an event")
    assert events(daemon, "web") == [("logs_wait", "logs wait: No space left on device")]
    assert daemon.logged("other") and not events(daemon, "other")

    # whoever comes new is told, and does not tell it again
    wait_for(lambda: stored_events(daemon) == 1, what="it is in the store")
    for helper in "controller", "logger":
        old = daemon.helper(helper)
        procfs.kill(old)
        wait_for(lambda h=helper, o=old: (new := daemon.helper(h)) and new != o, what="another one")
        wait_for(lambda: "logs wait" in message(daemon, "web"), what="it is still said")
    assert events(daemon, "web") == [("logs_wait", "logs wait: No space left on device")]

    disk.free()
    wait_for(lambda: "logs" not in message(daemon, "web"), what=lambda: str(daemon.replica("web")))
    wait_for(lambda: len(events(daemon, "web")) == 2, what="an event")
    reason, text = events(daemon, "web")[1]
    assert reason == "logs_stored" and text.startswith("logs are stored again after "), text
    assert text.endswith("; nothing was lost")
    assert daemon.describe("web")["replicas"][0]["logs"] is None
    daemon.ok("stop", "web")
    wait_for(lambda: b"\nend " in daemon.segments("web"), what="its end")
    assert numbered(daemon.segments("web"))


@pytest.mark.containers
def test_end_of_the_process_in_trouble(small):
    """Its lines wait on after it; the next process's, too."""
    daemon, disk = small("web")
    daemon.apply({"web": daemon.service("lines", "1000", restart={"backoff": {"initial": 0}})})
    disk.fill()
    wait_for(lambda: "logs wait" in message(daemon, "web"), what="it is said")
    for _ in range(2):
        old = daemon.pid_of("web")
        procfs.kill(old)
        daemon.wait_new_pid("web", old)
    wait_for(lambda: "logs wait" in message(daemon, "web"), what="it is still said")
    disk.free()
    wait_for(lambda: len(events(daemon, "web")) == 2, what=lambda: events(daemon, "web"))
    assert [e[0] for e in events(daemon, "web")] == ["logs_wait", "logs_stored"]
    wait_for(lambda: "logs" not in message(daemon, "web"), what=lambda: str(daemon.replica("web")))


@pytest.mark.containers
def test_dropping(small):
    daemon, disk = small("web")
    daemon.apply({"web": daemon.service("lines", "50", logs={"on_full": "drop"}),
                  "other": daemon.service("lines", "100")})
    disk.fill()
    wait_for(lambda: "; log lines are dropped: No space left on device" in message(daemon, "web"),
             what=lambda: message(daemon, "web"))
    logs = wait_for(lambda: (n := daemon.describe("web")["replicas"][0]["logs"]) and n["dropped_lines"] > 1000 and n,
                    what="lines are counted")
    assert logs["state"] == "dropping" and daemon.replica("web")["state"] == "ready"
    assert logs["dropped_bytes"] == logs["dropped_bytes_total"] > 10 * logs["dropped_lines"]
    assert "log lines are dropped: No space left on device; lost so far: " in " ".join(daemon.ok("why", "web").split())
    assert "lost: " in daemon.ok("describe", "web")
    disk.free()
    wait_for(lambda: "log lines" not in message(daemon, "web"), what=lambda: message(daemon, "web"))
    last = wait_for(lambda: (e := events(daemon, "web")) and e[-1][0] == "logs_stored" and e[-1], what="an event")
    lines = daemon.describe("web")["replicas"][0]["logs"]["dropped_lines"]
    assert re.fullmatch(fr"logs are stored again after .*; lost: {lines} lines \(.* [KM]iB\)", last[1]), last
    daemon.ok("stop", "web")
    wait_for(lambda: b"\nend " in daemon.segments("web"), what="its end")
    numbers = [int(n) for n in re.findall(rb"line (\d+)", daemon.segments("web"))]
    missing = numbers[-1] - len(numbers)
    assert missing in (lines, lines - 1), "exactly those are missing, but for the beginning of the first one"


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", procfs.read(f"/proc/{pid}/status")).group(1)) << 10


def dropped_bytes(daemon, service):
    return [(r["logs"] or {}).get("dropped_bytes_total", 0) for r in daemon.describe(service)["replicas"]]


@pytest.mark.skipif("-fsanitize" in procfs.read(os.path.join(BUILD, "config.log")), reason="sanitizers take memory")
def test_dropping_takes_no_memory(small):
    """Not even for a line that never ends."""
    daemon, disk = small("web")
    chunk = "head -c 500000 /dev/zero | tr '\\0' x"
    script = f"while :; do {chunk}; [ $AICTL_REPLICA = 0 ] || echo; sleep 0.05; done"
    daemon.apply({"web": daemon.shell(script, replicas=3, logs={"on_full": "drop"})})
    disk.fill()
    wait_for(lambda: min(dropped_bytes(daemon, "web")) > 0, what=lambda: dropped_bytes(daemon, "web"))
    logger = daemon.helper("logger")
    before = rss(logger)
    wait_for(lambda: min(dropped_bytes(daemon, "web")) > 16 << 20, timeout=60, what=lambda: dropped_bytes(daemon, "web"))
    assert daemon.helper("logger") == logger and rss(logger) < before + (8 << 20), (before, rss(logger))


def test_copied(start, base):
    """A file system that cannot splice: nothing is lost, and what is weaker is said."""
    daemon = start("--helper-restart", CAMPAIGN, wrapper=[os.path.join(base, "svc"), "nosplice"])
    daemon.apply({"web": daemon.service("lines", "500", logs={"max_size": "64KiB", "max_files": 1000}),
                  "rotated": daemon.service("both", "500", replicas=2)})
    for name in "web", "rotated":
        wait_for(lambda n=name: all((r["logs"] or {}).get("state") == "copied" for r in daemon.describe(n)["replicas"]),
                 what=lambda n=name: daemon.describe(n))
    assert daemon.log().count("this file system cannot splice") == 1
    assert "copied: if the logger is killed, the last bytes may come twice" in daemon.ok("describe", "web")
    assert "logs are copied" in daemon.ok("ps")
    found = {c["name"]: c for c in json.loads(daemon.cli("doctor", "-o", "json")[1])["checks"]}["log-dir"]
    assert found["level"] == "warning" and "cannot splice" in found["found"], found
    assert not events(daemon, "web")  # it is no trouble
    wait_for(lambda: len(daemon.log_files("web", kind="log")) > 2, what="rotation")
    for _ in range(10):
        old, n = daemon.helper("logger"), daemon.segments("web").count(b"\n")
        procfs.kill(old)
        wait_for(lambda o=old: (new := daemon.helper("logger")) and new != o, what="another logger")
        wait_for(lambda n=n: daemon.segments("web").count(b"\n") > n, what="more lines")
    daemon.ok("stop", "web")
    wait_for(lambda: b"\nend " in daemon.segments("web"), what="its end")
    numbers = [int(n) for n in re.findall(rb"line (\d{9})", daemon.segments("web"))]
    assert sorted(set(numbers)) == list(range(1, numbers[-1] + 1))  # at least once
