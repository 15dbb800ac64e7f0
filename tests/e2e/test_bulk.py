"""Many at once: a thousand exits, a large environment, many descriptors.

SPDX-License-Identifier: MIT
"""
import os
import time

import pytest

import procfs
from harness import wait_for

AT_ONCE = {"backoff": {"initial": 0}, "budget": {"restarts": 0}}
REPLICAS = 1000


def test_a_thousand_exits_at_once(daemon):
    daemon.apply({"many": daemon.service("pause", replicas=REPLICAS, restart=AT_ONCE)}, timeout=120)
    before = daemon.pids("many")
    assert len(set(before.values())) == REPLICAS
    for pid in before.values():
        procfs.kill(pid)
    killed = time.monotonic()

    def all_new():
        service = daemon.ps()["many"]
        pids = {r["index"]: r["pid"] for r in service["replicas"]}
        return service["ready"] == REPLICAS and not set(pids.values()) & set(before.values())
    wait_for(all_new, 60, "all replaced")
    print(f"{REPLICAS} replaced after {time.monotonic() - killed:.2f} s")
    replicas = daemon.ps()["many"]["replicas"]
    assert {r["restarts"] for r in replicas} == {1}  # every exit seen, none twice
    assert all(r["last_exit"]["signal"].endswith("KILL") for r in replicas)
    assert all(procfs.alive(r["pid"]) for r in replicas)
    daemon.ok("stop", "many")
    daemon.wait_state("many", "stopped")


def test_large_environment(daemon):
    environment = {f"BIG_{n}": str(n) * 100_000 for n in range(3)}
    daemon.apply({"big": daemon.service("pause", replicas=2, environment=environment)})
    for pid in daemon.pids("big").values():
        assert environment.items() <= procfs.environ(pid).items()


@pytest.mark.needs_root
def test_soft_descriptor_limit_as_ordinary_user(start):
    """450 replicas need more than 1024 descriptors; services keep the limit we were given."""
    daemon = start(user="nobody", wrapper=["prlimit", "--nofile=1024:20000"])
    daemon.apply({"many": daemon.service("pause", replicas=450, restart=AT_ONCE)}, timeout=120)
    pids = daemon.pids("many")
    assert len(procfs.fds(daemon.pid)) > 1024
    limits = procfs.read(f"/proc/{pids[0]}/limits")
    (line,) = [text for text in limits.splitlines() if text.startswith("Max open files")]
    assert line.split()[3:5] == ["1024", "20000"]
    for pid in pids.values():
        procfs.kill(pid)
    wait_for(lambda: daemon.ps()["many"]["ready"] == 450
             and not set(daemon.pids("many").values()) & set(pids.values()), 60, "all replaced")


def test_standard_output_can_be_opened(daemon):
    """/dev/stdout is a pipe made by another user: its write end was given to the service's."""
    script = "echo through the file > /dev/stdout; echo other > /dev/stderr; exec sleep 1000"
    daemon.apply({"talk": daemon.shell(script)})
    wait_for(lambda: len(daemon.logged("talk")) == 2, what=lambda: daemon.logged("talk"))
    lines = {(e["stream"], e["line"]) for e in daemon.logged("talk")}
    assert lines == {("stdout", "through the file"), ("stderr", "other")}


def test_escaped_processes_belong_to_their_service(daemon):
    """Two services double-fork, setsid and ignore SIGTERM; stopping one ends all of its own."""
    stop = {"grace_period": "300ms"}
    daemon.apply({name: daemon.service("escape", stop=stop) for name in ("left", "right")})

    def tree(name):
        return procfs.with_cookie(daemon.replica(name)["incarnation"])
    left, right = (wait_for(lambda n=n: procfs.escaped(tree(n)), what=f"{n} escapes")
                   for n in ("left", "right"))
    assert not set(left) & set(right)
    daemon.ok("stop", "left")
    daemon.wait_state("left", "stopped")
    wait_for(lambda: not any(procfs.alive(p) for p in left), what="all of left's processes end")
    assert all(procfs.alive(p) for p in right)
    assert daemon.replica("right")["restarts"] == 0


def test_escaped_processes_end_before_the_next_start(daemon):
    """A replica killed from outside leaves an escapee, which ends too; the neighbour's stays."""
    daemon.apply({"left": daemon.service("escape", restart=AT_ONCE, stop={"grace_period": "300ms"}),
                  "right": daemon.service("escape", stop={"grace_period": "300ms"})})
    first = daemon.replica("left")
    wait_for(lambda: procfs.escaped(procfs.with_cookie(first["incarnation"])), what="left escapes")
    cookie = daemon.replica("right")["incarnation"]
    right = wait_for(lambda: procfs.escaped(procfs.with_cookie(cookie)), what="right escapes")
    procfs.kill(first["pid"])
    daemon.wait_new_pid("left", first["pid"])
    wait_for(lambda: not procfs.with_cookie(first["incarnation"]), what="the escapee ends")
    assert all(procfs.alive(p) for p in right)


def test_stop_of_everything_ends_escaped_processes(daemon):
    daemon.apply({"left": daemon.service("escape", stop={"grace_period": "300ms"})})
    cookie = daemon.replica("left")["incarnation"]
    wait_for(lambda: procfs.escaped(procfs.with_cookie(cookie)), what="it escapes")
    assert daemon.stop() == 0
    assert not procfs.with_cookie(cookie)


def test_environment_is_clean(daemon):
    daemon.apply({"idle": daemon.service("pause", environment={"MODEL": "m-${REPLICA}"})})
    environ = procfs.environ(daemon.pid_of("idle"))
    assert environ["MODEL"] == "m-0"
    assert {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG"} <= set(environ)
    assert not {"ASAN_OPTIONS", "AICTL_SOCKET", "PYTEST_CURRENT_TEST"} & set(environ)
    assert os.readlink(f"/proc/{daemon.pid_of('idle')}/cwd") == os.path.join(daemon.base, "m")
