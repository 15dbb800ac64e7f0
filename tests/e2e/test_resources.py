"""What a user sees of resources.limits: the warning where this machine cannot keep a limit, the
error where it is required; freeze and thaw; usage. Each test asks the daemon what it can do here.

SPDX-License-Identifier: MIT
"""
import json
import os
import signal
import subprocess

import pytest

import procfs
from harness import program, wait_for

LIMITS = {"memory": "64MiB", "pids": 100}


def can(daemon):
    """The words of what the daemon's cgroups can do: track, memory, cpu, io, pids, cpuset."""
    return daemon.get("/v1/daemon")["cgroup"]["can"]


def lacking(daemon):
    return [word for word in LIMITS if word not in can(daemon)]


def manifest(daemon, **services):
    return daemon.write({"version": 1, "name": "shop", "services": services}, "shop.yaml")


# ---- limits that cannot be enforced ----

def test_a_limit_that_nobody_keeps_is_a_warning_at_apply(daemon):
    missing = lacking(daemon)
    path = manifest(daemon, web=daemon.service("pause", resources={"limits": LIMITS}), api=daemon.service("run"))
    for verb in (("plan",), ("apply", "--dry-run"), ("apply", "--wait"), ("apply",)):
        code, _, said = daemon.cli(verb[0], "-f", path, *verb[1:])
        assert code == 0, said
        assert said.count(" is not enforced here: ") == len(missing), said
        for key in missing:
            assert f'warning: service "web": resources.limits.{key} is not enforced here: ' in said
    assert ("see aictl doctor" in said) == bool(missing)


def test_a_required_limit_is_an_error_with_its_place(daemon):
    missing = lacking(daemon)
    if not missing:
        pytest.skip("this machine can keep every limit")
    path = manifest(daemon, web=daemon.service("pause", resources={"required": True, "limits": LIMITS}))
    for verb in ("plan", "apply"):
        code, _, said = daemon.cli(verb, "-f", path)
        assert code == 9, said
        assert "m/shop.yaml:" in said
        assert f"resources.limits.{missing[0]} cannot be enforced here: " in said
        assert "without resources.required it is only a warning" in said
    assert daemon.ps() == {}


def test_the_daemons_own_manifests_say_it_in_its_log(base, start):
    directory = os.path.join(base, "services")
    os.mkdir(directory)
    daemon = start("--manifests", directory)
    with open(os.path.join(directory, "web.yaml"), "w", encoding="utf-8") as f:
        json.dump({"version": 1, "name": "own", "services": {
            "web": daemon.service("pause", resources={"limits": LIMITS})}}, f)
    daemon.ok("daemon", "reload")
    wait_for(lambda: daemon.ps().get("web"), what=daemon.log)
    wait_for(lambda: daemon.log().count(" is not enforced here: ") == len(lacking(daemon)), what=daemon.log)


# ---- freeze and thaw ----

def frozen(daemon, service):
    return {r["index"]: r["frozen"] for r in daemon.ps()[service]["replicas"]}


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_limit_that_cannot_be_written_is_named(base):
    """What aictld's child says of it; the kernel refuses in tests/unit/test_aictld_limits."""
    os.mkdir(os.path.join(base, "memory.max"))
    done = subprocess.run([program("aictld"), "--cgroup-write", base, "pids.max=5", "memory.max=7"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "memory.max: Is a directory\n")  # the other is not there


def needs_cgroup(daemon):
    if "track" not in can(daemon):
        pytest.skip("no cgroup2 tree that the daemon may use")


def test_without_a_cgroup_freezing_says_why(start):
    daemon = start("--cgroup", "none")
    daemon.apply({"web": daemon.service("pause")})
    assert can(daemon) == [] and daemon.get("/v1/daemon")["cgroup"]["dir"] is None
    code, _, said = daemon.cli("freeze", "web")
    assert code == 1 and "nothing can be frozen: the daemon may use no cgroup2 tree here (see aictl doctor)" in said
    code, _, said = daemon.cli("freeze", "nobody")
    assert code in (1, 4), said


def test_what_was_started_without_a_cgroup_is_not_frozen(start):
    daemon = start("--cgroup", "none")
    daemon.apply({"web": daemon.service("pause")})
    daemon.ok("daemon", "detach")
    assert daemon.wait() == 100
    daemon.args = [a for a in daemon.args if a not in ("--cgroup", "none")]
    daemon.start()
    needs_cgroup(daemon)
    code, _, said = daemon.cli("freeze", "web", "--timeout", "5s")
    assert code == 1 and '"web/0" cannot be frozen: it was started without a cgroup' in said
    daemon.ok("restart", "web")
    daemon.ok("freeze", "web")


def test_freeze_and_thaw(daemon):
    needs_cgroup(daemon)
    daemon.apply({"spin": daemon.shell("while :; do :; done", replicas=2)})
    first = daemon.pids("spin")
    daemon.ok("freeze", "spin/1")
    assert frozen(daemon, "spin") == {0: False, 1: True}
    web = daemon.ps()["spin"]
    assert web["state"] == "degraded" and web["ready"] == 1 and web["message"] == "frozen by the user"
    assert web["replicas"][1]["reason"] == "frozen" and web["replicas"][1]["state"] == "ready"
    assert "frozen" in daemon.ok("ps") and daemon.cli("status", "spin")[0] == 3
    used = cpu_ticks(first[1])
    other = cpu_ticks(first[0])
    wait_for(lambda: cpu_ticks(first[0]) > other + 20, what="the other one runs on")
    assert cpu_ticks(first[1]) == used
    assert daemon.ok("freeze", "spin/1") == daemon.ok("pause", "spin/1")  # again is fine
    daemon.ok("freeze", "spin")
    assert frozen(daemon, "spin") == {0: True, 1: True}
    daemon.ok("thaw", "spin")
    assert frozen(daemon, "spin") == {0: False, 1: False}
    wait_for(lambda: cpu_ticks(first[1]) > used, what="it runs on")
    assert daemon.wait_state("spin", "ready")["ready"] == 2 and daemon.pids("spin") == first
    kinds = [e["type"] for e in daemon.events("spin") if e["type"] in ("frozen", "thawed")]
    assert sorted(kinds) == ["frozen", "frozen", "thawed", "thawed"]


def test_freeze_and_thaw_at_once(daemon):
    """Neither waits for what the other has undone."""
    needs_cgroup(daemon)
    daemon.apply({"web": daemon.service("pause", replicas=5)})
    for _ in range(40):
        both = [procfs.popen(daemon.cli_argv("--socket", daemon.socket, verb, "web", "--timeout", "5s"))
                for verb in ("freeze", "thaw")]
        assert [p.wait(10) for p in both] == [0, 0]


def test_probes_pause_while_it_is_frozen(daemon):
    """A liveness probe that would have failed many times over: the same process answers afterwards."""
    needs_cgroup(daemon)
    probe = {"http": {"path": "/"}, "period": "100ms", "timeout": "100ms"}
    daemon.apply({"web": daemon.service("http", port=18400, probes={
        "readiness": probe, "liveness": {**probe, "failure_threshold": 2}})})
    first = daemon.pids("web")
    wait_for(lambda: daemon.describe("web")["replicas"][0]["probes"]["liveness"]["at"])
    daemon.ok("freeze", "web")
    at = daemon.describe("web")["replicas"][0]["probes"]["liveness"]["at"]
    # A second of its own clock: ten probes.
    other = {"beat": daemon.shell("for i in 1 2 3 4 5; do sleep 0.2; done; exit 0", restart="never")}
    daemon.apply(other, name="clock", wait=False)
    daemon.wait_state("beat", "succeeded")
    replica = daemon.describe("web")["replicas"][0]
    assert replica["frozen"] and replica["pid"] == first[0]
    assert replica["probes"]["liveness"]["at"] == at
    daemon.ok("thaw", "web")
    wait_for(lambda: daemon.describe("web")["replicas"][0]["probes"]["liveness"]["at"] > at, what="probes go on")
    web = daemon.wait_state("web", "ready")
    assert daemon.pids("web") == first and web["replicas"][0]["restarts"] == 0


def test_a_start_that_was_frozen_has_its_time_again(daemon):
    """Frozen for longer than its start may take: the same process becomes ready afterwards."""
    needs_cgroup(daemon)
    probe = {"http": {"path": "/"}, "period": "100ms", "timeout": "100ms"}
    daemon.apply({"web": daemon.service("http", "700", port=18401, probes={"startup": {**probe, "stall": "1s"}})},
                 wait=False)
    pid = wait_for(lambda: daemon.pid_of("web"))
    daemon.ok("freeze", "web")
    assert daemon.replica("web")["state"] == "starting" and "frozen" in daemon.ok("ps")
    daemon.apply({"beat": daemon.shell("sleep 1.5; exit 0", restart="never")}, name="clock", wait=False)
    daemon.wait_state("beat", "succeeded")
    daemon.ok("thaw", "web")
    daemon.wait_state("web", "ready")
    assert daemon.pid_of("web") == pid and daemon.replica("web")["restarts"] == 0


def test_a_frozen_one_survives_the_controller(daemon):
    needs_cgroup(daemon)
    daemon.apply({"web": daemon.service("pause")})
    first = daemon.pids("web")
    daemon.ok("freeze", "web")
    old = daemon.helper("controller")
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: daemon.helper("controller") not in (None, old) and daemon.mode() == "normal")
    assert frozen(daemon, "web") == {0: True} and daemon.pids("web") == first
    # found as it was: no second event (the first may have died with the old one)
    assert len([e for e in daemon.events("web") if e["type"] == "frozen"]) <= 1
    daemon.ok("thaw", "web")
    assert frozen(daemon, "web") == {0: False}


@pytest.mark.parametrize("verb", [("restart", "web"), ("restart", "web/0")])
def test_a_restart_thaws(daemon, verb):
    needs_cgroup(daemon)
    daemon.apply({"web": daemon.service("beat")})
    old = daemon.pid_of("web")
    daemon.ok("freeze", "web")
    daemon.ok(*verb)
    assert daemon.pid_of("web") != old and frozen(daemon, "web") == {0: False}
    assert daemon.describe("web")["exits"][-1]["code"] == 0, "it got the signal, and time to end"


def test_a_stop_thaws_and_a_kill_replaces(daemon):
    needs_cgroup(daemon)
    daemon.apply({"web": daemon.service("beat"), "mob": daemon.service("pause")})
    daemon.ok("freeze", "web", "mob")
    daemon.ok("stop", "web")
    assert daemon.describe("web")["exits"][-1]["code"] == 0
    old = daemon.pid_of("mob")
    daemon.ok("kill", "mob")
    daemon.wait_new_pid("mob", old)
    assert frozen(daemon, "mob") == {0: False}
    daemon.wait_state("mob", "ready")
    for name, code in (("web", 3), ("nobody", 4)):
        assert daemon.cli("freeze", name)[0] == code


def test_what_is_being_stopped_is_not_frozen(daemon):
    needs_cgroup(daemon)
    daemon.apply({"slow": daemon.shell("trap '' TERM; echo here; while :; do sleep 1; done",
                                       stop={"grace_period": "30s"})})
    wait_for(lambda: b"here" in daemon.segments("slow"), what="it ignores SIGTERM")
    daemon.ok("stop", "--no-wait", "slow")
    wait_for(lambda: daemon.ps()["slow"]["replicas"][0]["state"] == "stopping")
    code, _, said = daemon.cli("freeze", "slow")
    assert code == 3 and 'nothing of "slow" runs' in said
    daemon.ok("kill", "slow")


def test_what_is_killed_starts_at_once_and_thawed(daemon):
    """aictld itself starts the next process, into the cgroup that is frozen."""
    needs_cgroup(daemon)
    daemon.apply({"web": daemon.service("pause", restart={"backoff": {"initial": 0}, "budget": {"restarts": 0}})})
    for _ in range(5):
        old = daemon.pid_of("web")
        daemon.ok("freeze", "web")
        daemon.ok("kill", "web")
        daemon.wait_new_pid("web", old)
        daemon.wait_state("web", "ready")
        assert frozen(daemon, "web") == {0: False}


def test_what_is_frozen_serves_nobody(daemon):
    needs_cgroup(daemon)
    daemon.apply({"web": daemon.service("pause", replicas=2)})
    daemon.ok("freeze", "web/0")
    code, _, said = daemon.cli("exec", "web/0", "--", "true")
    assert code == 3 and "is frozen: aictl thaw web/0" in said, (code, said)
    assert daemon.ok("exec", "web", "--", "sh", "-c", "echo $AICTL_REPLICA") == "1\n"
    assert daemon.cli("wait", "--timeout", "1s", "web")[0] == 5
    daemon.ok("thaw", "web")
    daemon.ok("wait", "web")
    # a change of the manifest replaces it like any other
    daemon.ok("freeze", "web")
    daemon.apply({"web": daemon.service("pause", replicas=2, environment={"A": "1"})})
    assert frozen(daemon, "web") == {0: False, 1: False}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_frozen_and_aictld(daemon, how):
    """A crash of aictld leaves it frozen; its end stops it as anything else."""
    needs_cgroup(daemon)
    daemon.apply({"web": daemon.service("beat")})
    old = daemon.pid_of("web")
    daemon.ok("freeze", "web")
    if how == signal.SIGTERM:
        assert daemon.stop() == 0 and not procfs.alive(old)
        return
    os.kill(daemon.pid, how)
    daemon.wait()
    daemon.start()
    assert frozen(daemon, "web") == {0: True} and daemon.pid_of("web") == old
    daemon.ok("thaw", "web")
    assert frozen(daemon, "web") == {0: False} and daemon.pid_of("web") == old
    daemon.ok("stop", "web")
    assert not procfs.alive(old)


# ---- usage ----

@pytest.mark.containers
def test_usage(daemon):
    daemon.apply({"web": daemon.shell("sleep 1000 & sleep 1000 & while :; do :; done"),
                  "gone": daemon.shell("exit 0", restart="never")}, wait=False)
    daemon.wait_state("web", "ready")
    assert "usage" not in daemon.replica("web")

    def used():
        services = {s["name"]: s for s in daemon.get("/v1/services?usage=1")["services"]}
        return services["web"]["replicas"][0]["usage"]
    processes = 4 if daemon.engine else 3  # with its init
    first = wait_for(lambda: (u := used()) and u["pids"] == processes and u, what=used)
    source = "container" if daemon.engine else "cgroup" if "track" in can(daemon) else "session"
    assert first["source"] == source
    assert 4096 <= first["memory_bytes"] < 64 << 20
    wait_for(lambda: used()["cpu_usec"] > first["cpu_usec"] + 100000, what=used)
    daemon.wait_state("gone", "succeeded")
    assert daemon.get("/v1/services/gone?usage=1")["replicas"][0]["usage"] is None
    assert daemon.api("GET", "/v1/services?usage=yes")[0] == 400
    row = [line for line in daemon.ok("ps", "-o", "wide", "web").splitlines() if line.startswith("web/0")]
    assert row and ("KiB" in row[0] or "MiB" in row[0])
    assert f"{processes} processes and threads" in daemon.ok("describe", "web")
    shown = json.loads(daemon.ok("ps", "--usage", "-o", "json"))["services"][1]
    assert shown["replicas"][0]["usage"]["pids"] == processes


def test_usage_without_a_cgroup(start):
    daemon = start("--cgroup", "none")
    daemon.apply({"web": daemon.shell("sleep 1000 & exec sleep 1000", replicas=2)})

    def used():
        return [r["usage"] for r in daemon.get("/v1/services/web?usage=1")["replicas"]]
    wait_for(lambda: [u["pids"] for u in used()] == [2, 2], what=used)
    assert {u["source"] for u in used()} == {"session"}
    assert all(u["memory_bytes"] > 4096 for u in used())
