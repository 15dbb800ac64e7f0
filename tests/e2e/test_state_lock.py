"""One daemon at a time on a state directory: two would both run everything that is in it.

SPDX-License-Identifier: MIT
"""
import fcntl
import json
import os
import sqlite3
import threading

import procfs
import pytest
from harness import Daemon, wait_for


def other_runtime_dir(daemon, name="other"):
    """Another one on the same state directory."""
    other = Daemon(daemon.base, name=name)
    other.runtime_dir = os.path.join(daemon.base, name)
    other.socket = os.path.join(other.runtime_dir, "aictl.sock")
    return other


def stored(daemon):
    path = os.path.join(daemon.state_dir, "aictl.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return [db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
                for table in ("revision", "service", "event")]


def test_second_daemon(start):
    """It says who has the directory and ends; nothing has changed."""
    daemon = start()
    daemon.apply({"idle": daemon.service("pause", replicas=2)})
    pids = daemon.pids("idle")
    wait_for(lambda: len(stored(daemon)[2]) == len(daemon.events()), what="all events are stored")
    before = stored(daemon)
    other = other_runtime_dir(daemon)
    try:
        other.spawn()
        assert other.wait() == 1
        said = other.log()
        assert f"{daemon.state_dir} is in use by pid {daemon.helper('controller')} " in said
        assert f"aictld {daemon.pid} with --runtime-dir {daemon.runtime_dir}" in said
        assert "hint: " in said and "--state-dir" in said
        assert daemon.answers() and daemon.pids("idle") == pids and stored(daemon) == before
        assert not os.path.exists(other.socket)
    finally:
        procfs.remove_table(other.runtime_dir)


def test_after_the_first_has_ended(start):
    """Also one that was killed: its controller ends soon."""
    daemon = start(init=True)
    daemon.apply({"idle": daemon.service("pause")})
    other = other_runtime_dir(daemon)
    try:
        daemon.stop()
        other.start()
        other.wait_state("idle", "ready")
        assert other.stop() == 0
        daemon.start()
        daemon.wait_state("idle", "ready")
    finally:
        procfs.remove_table(other.runtime_dir)


@pytest.mark.parametrize("how", ["controller", "aictld", "both", "reexec"])
def test_restarts(start, how):
    """The same daemon gets its directory back, each time."""
    daemon = start(init=True)
    daemon.apply({"idle": daemon.service("pause")})
    pid = daemon.pid_of("idle")
    for _ in range(3):
        controller = daemon.helper("controller")
        if how == "controller":
            procfs.kill(controller)
        elif how == "reexec":
            daemon.ok("daemon", "reexec")
        else:
            daemon.crash(*(["controller"] if how == "both" else []))
            daemon.start_again()
        wait_for(lambda c=controller: daemon.helper("controller") not in (None, c), what="the next controller")
        wait_for(daemon.answers, what="it answers")
        assert daemon.pid_of("idle") == pid
    assert "is in use by" not in daemon.log()


@pytest.mark.waits
def test_lost_to_somebody_else(start):
    """Where two begin at the same moment, the second one's controller finds the directory taken: it changes
    nothing, says why to whoever asks, and goes on when it can."""
    daemon = start()
    daemon.apply({"idle": daemon.service("pause")})
    pid, controller = daemon.pid_of("idle"), daemon.helper("controller")
    fd = os.open(os.path.join(daemon.state_dir, "aictl.db-lock"), os.O_RDWR | os.O_CLOEXEC)
    try:
        waiting = threading.Thread(target=fcntl.lockf, args=(fd, fcntl.LOCK_EX))
        waiting.start()
        inode = f":{os.fstat(fd).st_ino} "
        wait_for(lambda: any("->" in line and inode in line for line in
                             procfs.read("/proc/locks").splitlines()), what="it waits for the lock")
        procfs.kill(controller)
        waiting.join(20)
        who = f"{daemon.state_dir} is in use by pid {os.getpid()}"

        def refused():
            try:
                status, reply = daemon.api("GET", "/v1/services")
            except OSError:
                return False
            return status == 503 and who in reply["error"]["message"]
        wait_for(refused, what=daemon.log)
        wait_for(lambda: who in daemon.log(), what="it is in the log, too")
        rc, out, err = daemon.cli("ps", timeout=60)
        assert rc == 1 and who in out + err
        found = {c["name"]: c for c in json.loads(daemon.cli("doctor", "-o", "json")[1])["checks"]}
        assert found["daemon"]["level"] == "problem" and who in found["daemon"]["found"]
        assert procfs.alive(pid)
    finally:
        os.close(fd)
    wait_for(daemon.answers, timeout=60, what=daemon.log)
    assert daemon.pid_of("idle") == pid
