"""resources.limits where they are kept: cgroup v2 with all its controllers. What the kernel does to
a service that asks for more, what we say of it, and that a death of ours changes none of it.

SPDX-License-Identifier: MIT
"""
import os
import time

import procfs
from harness import wait_for

ONCE = {"policy": "never"}
AT_ONCE = {"backoff": {"initial": 0}, "budget": {"restarts": 0}}
MIB = 1 << 20
# Eats memory, beside a process that does not.
EATER = "sleep 1000 & sleep 1000 & echo $!; exec tail /dev/zero"
# Each process makes the next and ends: nobody who reads a list of them finds one alive.
HOPPERS = """trap '' TERM
hop() { hop & exit 0; }
for i in 1 2 3 4 5 6 7 8; do hop & done
while :; do sleep 1; done"""


def limits(**limit):
    return {"limits": limit, "required": True}


def cgroup(daemon, service, index=0):
    return os.path.join(daemon.get("/v1/daemon")["cgroup"]["dir"], f"{service}.{index}")


def keys(path):
    """A file of "key number" lines."""
    return {k: int(v) for k, v in (line.split() for line in procfs.read(path).splitlines())}


def value(path):
    return procfs.read(path).strip()


def members(group):
    return [int(line) for line in procfs.read(f"{group}/cgroup.procs").split()]


def crash(daemon):
    daemon.crash()
    daemon.start_again()
    wait_for(lambda: daemon.mode() == "normal", what=daemon.log)


def test_every_limit_is_written(daemon):
    can = daemon.get("/v1/daemon")["cgroup"]["can"]
    assert {"track", "memory", "cpu", "pids"} <= set(can)
    spec = limits(memory="64MiB", memory_high="48MiB", cpus=0.5, cpu_weight=50, pids=30)
    daemon.apply({"web": daemon.service("pause", resources=spec)})
    group = cgroup(daemon, "web")
    assert members(group) == [daemon.pid_of("web")]
    assert value(f"{group}/memory.max") == str(64 * MIB)
    assert value(f"{group}/memory.high") == str(48 * MIB)
    assert value(f"{group}/memory.oom.group") == "1"
    assert value(f"{group}/cpu.max") == "50000 100000"
    assert value(f"{group}/cpu.weight") == "50"
    assert value(f"{group}/pids.max") == "30"


def test_a_limit_changes_while_it_runs(daemon):
    daemon.apply({"web": daemon.service("pause", resources=limits(memory="64MiB", pids=30))})
    group, pid = cgroup(daemon, "web"), daemon.pid_of("web")
    daemon.apply({"web": daemon.service("pause", resources=limits(memory="96MiB", cpus=1.5))})
    wait_for(lambda: value(f"{group}/memory.max") == str(96 * MIB), what="the new limit")
    wait_for(lambda: value(f"{group}/cpu.max") == "150000 100000", what="the new limit")
    wait_for(lambda: value(f"{group}/pids.max") == "max", what="the limit is gone")
    assert daemon.pid_of("web") == pid


def oom_exit(daemon, service):
    replica = daemon.replica(service)
    return replica["last_exit"] if replica["last_exit"] else None


def test_memory_limit_kills_the_group_and_says_so(daemon):
    daemon.apply({"other": daemon.service("pause"),
                  "eater": daemon.shell(EATER, restart=ONCE, resources=limits(memory="32MiB"))},
                 wait=False)
    last = wait_for(lambda: oom_exit(daemon, "eater"), what=daemon.ps)
    assert (last["signal"], last["cause"]) == ("SIGKILL", "oom")
    replica = daemon.replica("eater")
    assert replica["reason"] == "oom_killed" and "oom" in replica["message"]
    sleeper = int(daemon.segments("eater"))
    wait_for(lambda: not procfs.alive(sleeper), what="the whole group is killed")
    assert procfs.alive(daemon.pid_of("other")) and daemon.replica("other")["restarts"] == 0
    assert "oom" in daemon.ok("describe", "eater")


def test_memory_limit_without_group_kills_one(daemon):
    """The main process lives on; so does what it had started before."""
    script = "sleep 1000 & tail /dev/zero; echo ended; wait"
    spec = limits(memory="32MiB", oom_group=False)
    daemon.apply({"eater": daemon.shell(script, resources=spec)})
    pid, group = daemon.pid_of("eater"), cgroup(daemon, "eater")
    wait_for(lambda: keys(f"{group}/memory.events")["oom_kill"] >= 1, what="the kernel kills")
    wait_for(lambda: b"ended" in daemon.segments("eater"), what="the shell goes on")
    assert daemon.pid_of("eater") == pid and procfs.alive(pid)
    assert len(members(group)) == 2


def test_cpu_limit(daemon):
    limit = 0.2
    daemon.apply({"spin": daemon.shell("while :; do :; done", resources=limits(cpus=limit))})
    path = f"{cgroup(daemon, 'spin')}/cpu.stat"
    before, began = keys(path), time.monotonic()
    wait_for(lambda: keys(path)["nr_periods"] >= before["nr_periods"] + 40, what="40 periods")
    after, ended = keys(path), time.monotonic()
    used = (after["usage_usec"] - before["usage_usec"]) / 1e6
    assert after["nr_throttled"] > before["nr_throttled"]
    assert 0 < used <= 1.2 * limit * (ended - began)


def test_pids_limit_against_a_fork_bomb(daemon):
    bomb = "bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done"
    daemon.apply({"other": daemon.service("pause", restart=AT_ONCE),
                  "bomb": daemon.shell(bomb, resources=limits(pids=25),
                                       stop={"grace_period": "1s"})})
    group = cgroup(daemon, "bomb")
    wait_for(lambda: keys(f"{group}/pids.events")["max"] > 0, what="the limit is met")
    assert int(value(f"{group}/pids.current")) <= 25
    old = daemon.pid_of("other")
    procfs.kill(old)
    daemon.wait_new_pid("other", old)
    daemon.ok("stop", "bomb")
    daemon.wait_state("bomb", "stopped")
    assert members(group) == []


def test_kill_of_a_tree_that_forks_as_fast_as_it_can(daemon):
    """SIGTERM is ignored, and no list of processes is true when it has been read."""
    daemon.apply({"hop": daemon.shell(HOPPERS, restart=AT_ONCE, stop={"grace_period": "500ms"})})
    group = cgroup(daemon, "hop")
    seen = set()
    wait_for(lambda: len(seen.update(members(group)) or seen) > 100, what="they hop")
    main = daemon.pid_of("hop")
    procfs.kill(main)  # what is left of it goes before the next one comes
    daemon.wait_new_pid("hop", main)
    old = set(members(group))
    assert main not in old
    daemon.ok("stop", "hop")
    daemon.wait_state("hop", "stopped")
    assert members(group) == []


def test_limits_survive_a_crash_of_the_daemon(daemon):
    spec = limits(memory="40MiB", cpus=0.5, pids=30)
    script = "echo $$; while ! test -e " + daemon.base + "/eat; do sleep 0.2; done; exec tail /dev/zero"
    daemon.apply({"web": daemon.service("pause", replicas=2, resources=spec),
                  "eater": daemon.shell(script, restart=ONCE, resources=limits(memory="32MiB"))})
    before, eater = daemon.pids("web"), daemon.pid_of("eater")
    crash(daemon)
    assert daemon.pids("web") == before and daemon.pid_of("eater") == eater
    for index, pid in before.items():
        group = cgroup(daemon, "web", index)
        assert members(group) == [pid]
        assert value(f"{group}/memory.max") == str(40 * MIB)
        assert (value(f"{group}/cpu.max"), value(f"{group}/pids.max")) == ("50000 100000", "30")
    daemon.apply({"web": daemon.service("pause", replicas=2, resources=limits(memory="48MiB")),
                  "eater": daemon.shell(script, restart=ONCE, resources=limits(memory="32MiB"))})
    wait_for(lambda: value(f"{cgroup(daemon, 'web')}/memory.max") == str(48 * MIB), what="a change")
    assert daemon.pids("web") == before
    with open(os.path.join(daemon.base, "eat"), "w", encoding="utf-8"):
        pass
    # Nobody can tell its status on this kernel, but memory.events tells what happened.
    last = wait_for(lambda: oom_exit(daemon, "eater"), what=daemon.ps)
    assert last["cause"] == "oom"
    procfs.kill(before[1])
    daemon.wait_new_pid("web", before[1], 1)
    assert value(f"{cgroup(daemon, 'web', 1)}/memory.max") == str(48 * MIB)
    daemon.ok("stop", "web")
    daemon.wait_state("web", "stopped")


def test_an_exit_in_the_gap_is_unknown_here(daemon):
    """This kernel tells nobody but the parent how a process ended, and the parent has reaped it."""
    daemon.apply({"web": daemon.service("pause", restart=AT_ONCE),
                  "idle": daemon.service("pause", restart=AT_ONCE)})
    pid, idle = daemon.pid_of("web"), daemon.pid_of("idle")
    daemon.crash()
    procfs.kill(pid)
    daemon.wait()
    wait_for(lambda: procfs.reap() or procfs.stat(pid) is None, what="it is gone")
    daemon.start_again()
    daemon.wait_new_pid("web", pid)
    last = daemon.replica("web")["last_exit"]
    assert (last["code"], last["signal"], last["cause"]) == (None, None, "lost")
    assert daemon.pid_of("idle") == idle
    procfs.kill(idle)  # not our child any more: its end is seen all the same
    daemon.wait_new_pid("idle", idle)
    wait_for(lambda: procfs.reap() or procfs.stat(idle) is None, what="it is reaped")


def test_what_is_frozen_stays_so_over_a_crash(daemon):
    daemon.apply({"spin": daemon.shell("while :; do :; done", resources=limits(cpus=0.5))})
    group, pid = cgroup(daemon, "spin"), daemon.pid_of("spin")
    daemon.ok("freeze", "spin")
    wait_for(lambda: keys(f"{group}/cgroup.events")["frozen"] == 1, what="it stands still")
    crash(daemon)
    assert daemon.replica("spin")["frozen"] and keys(f"{group}/cgroup.events")["frozen"] == 1
    used = keys(f"{group}/cpu.stat")["usage_usec"]
    daemon.ok("thaw", "spin")
    wait_for(lambda: keys(f"{group}/cpu.stat")["usage_usec"] > used, what="it runs on")
    assert daemon.pid_of("spin") == pid


def test_usage_comes_from_the_cgroup(daemon):
    daemon.apply({"spin": daemon.shell("while :; do :; done", resources=limits(memory="64MiB"))})
    replica = daemon.get("/v1/services?usage=1")["services"][0]["replicas"][0]
    usage, group = replica["usage"], cgroup(daemon, "spin")
    assert usage["source"] == "cgroup" and usage["pids"] == 1
    assert 0 < usage["memory_bytes"] < 64 * MIB
    assert usage["cpu_usec"] <= keys(f"{group}/cpu.stat")["usage_usec"]


def test_no_cgroup_is_left_behind(daemon):
    daemon.apply({"web": daemon.service("pause", replicas=2, resources=limits(pids=10))})
    tree = daemon.get("/v1/daemon")["cgroup"]["dir"]
    daemon.ok("delete", "web")
    wait_for(lambda: not [d for d in os.listdir(tree) if d.startswith("web.")], what="they go")
    assert daemon.stop() == 0
    assert not os.path.exists(tree)
