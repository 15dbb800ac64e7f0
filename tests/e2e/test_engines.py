"""The engines of engines.py themselves: what they run, that they come back, that nothing is left.

SPDX-License-Identifier: MIT
"""
import os

import engines
import harness
import procfs
from harness import wait_for

MISSING = engines.why_not()
ELSEWHERE_OF_ENGINES = ("/etc/docker", "/var/lib/containers", "/run/docker", "/run/netns", "/dev/shm/libpod_lock")


def test_runs_busybox(engine):
    """Also that the test is in the namespace where ports are published."""
    ran = engine.run(engines.BUSYBOX, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert wait_for(lambda: (s := engine.inspect(ran)["State"])["Status"] == "exited" and s)["ExitCode"] == 3
    assert engine.logs(ran) == (b"out\n", b"err\n")
    assert os.readlink("/proc/self/ns/net") == os.readlink(f"/proc/{engine.pid}/ns/net")


def test_runs_the_test_program(engine):
    assert engine.inspect(engine.run(engines.SVC, "/svc", "pause"))["State"]["Status"] == "running"


def test_killed_and_started_again(engine):
    """Containers of podman have no engine to die with; dockerd's are stopped by the next one."""
    ran = engine.run(engines.BUSYBOX, "sleep", "1000", StopSignal="KILL")
    pid = engine.inspect(ran)["State"]["Pid"]
    engine.kill()
    assert procfs.alive(pid)
    engine.restart()
    wait_for(lambda: procfs.alive(pid) == (engine.name == "podman"), what="it lives, or does not")


def test_live_restore(dockerd):
    dockerd.restart(live_restore=True)
    ran = dockerd.run(engines.BUSYBOX, "sleep", "1000")
    pid = dockerd.inspect(ran)["State"]["Pid"]
    dockerd.restart(live_restore=True)
    state = dockerd.inspect(ran)["State"]
    assert state["Running"] and state["Pid"] == pid and procfs.alive(pid)


def test_nothing_is_left_of_a_testbed():
    before = [os.path.exists(p) for p in ELSEWHERE_OF_ENGINES]
    box = engines.Testbed(harness.program("tests/e2e/svc"))
    pids = [box.holder.pid]
    with box.inside():
        for name in engines.NAMES:
            engine = box.engine(name)
            ran = engine.run(engines.BUSYBOX, "sleep", "1000", host={"NetworkMode": "bridge"})
            pids += [engine.pid, engine.inspect(ran)["State"]["Pid"]]
    assert all(procfs.alive(p) for p in pids)
    box.end()
    assert not any(procfs.alive(p) for p in pids)
    assert not engines.cgroups(box.dir)
    assert [os.path.exists(p) for p in ELSEWHERE_OF_ENGINES] == before
