"""Updates: start first and stop first, the bounds, the gate, automatic rollback with the reason, pause
and undo, and that a rollout goes on where it was whatever dies meanwhile.

SPDX-License-Identifier: MIT
"""
import json
import os
import random
import time

import pytest

import procfs
from harness import CAMPAIGN, Daemon, claim_ports, wait_for
from test_crashloop import when
from test_helpers import kill_helper, wait_helper

SEED = int(os.environ.get("AICTL_E2E_SEED", time.time_ns() % 1_000_000))
KILLS = 20
QUICK = {"min_ready": "100ms", "deadline": "3s"}
READY = {"readiness": {"tcp": {}, "period": "100ms"}}


def deadline(daemon):
    """Of an update: on a busy machine a container needs longer than a process."""
    return "10s" if daemon.engine else QUICK["deadline"]


def server(daemon, version, update=None, **keys):
    """Ready as soon as it listens."""
    keys = {"ports": {"http": {}}, "probes": READY, "stop": {"grace_period": "2s"}, **keys}
    return daemon.service("http", "0", environment={"VERSION": version},
                          update={**QUICK, "deadline": deadline(daemon), **(update or {})}, **keys)


def deaf(daemon, version, update=None, **keys):
    """Never ready: nothing listens."""
    return {**server(daemon, version, update, **keys), "command": [daemon.svc, "pause"]}


def rollout(daemon, service="web"):
    return daemon.describe(service)["rollout"]


def wait_rollout(daemon, state, service="web", timeout=60):
    return wait_for(lambda: (r := rollout(daemon, service)) and r["state"] == state and r,
                    timeout=timeout, what=lambda: f"{state}: {rollout(daemon, service)}")


def pids_of(daemon, service="web"):
    return set(daemon.pids(service).values())


def indexes(daemon, service="web"):
    return [r["index"] for r in service_of(daemon, service)["replicas"]]


def service_of(daemon, name="web"):
    return daemon.ps()[name]


def states(daemon, service="web"):
    """(index, state) in the order in which replicas came into it."""
    return [(e["replica"], e["to"]) for e in daemon.events(service) if e["type"] == "state"]


@pytest.mark.containers
def test_start_first_is_never_without(daemon):
    daemon.apply({"web": server(daemon, "1")})
    old = daemon.pid_of("web")
    before = len(states(daemon))
    daemon.apply({"web": server(daemon, "2")})
    assert indexes(daemon) == [1]
    assert not procfs.alive(old)
    steps = states(daemon)[before:]
    assert steps.index((1, "ready")) < steps.index((0, "stopping"))
    assert wait_rollout(daemon, "complete")["revision"] == 2
    daemon.apply({"web": server(daemon, "3")})
    assert indexes(daemon) == [0]


def test_time_without_a_daemon_is_not_counted(daemon):
    """A daemon that was down for longer than update.deadline goes on, and does not roll back."""
    update = {"deadline": "5s"}
    daemon.apply({"web": server(daemon, "1", update)})
    slow = {**server(daemon, "2", update), "command": [daemon.svc, "http", "3000"]}
    daemon.apply({"web": slow}, wait=False)
    wait_for(lambda: rollout(daemon)["revision"] == 2)
    daemon.stop()
    stopped = time.monotonic()
    wait_for(lambda: time.monotonic() - stopped > 5.5)
    daemon.start()
    assert wait_rollout(daemon, "complete")["revision"] == 2


def test_time_stopped_is_not_counted(daemon):
    """A stop that lasts longer than update.deadline: the start goes on with the update."""
    update = {"deadline": "2s"}
    daemon.apply({"web": server(daemon, "1", update)})
    slow = {**server(daemon, "2", update), "command": [daemon.svc, "http", "1000"]}
    daemon.apply({"web": slow}, wait=False)
    daemon.ok("stop", "web")
    stopped = time.monotonic()
    wait_for(lambda: time.monotonic() - stopped > 2.5)
    daemon.ok("start", "web", "--no-wait")
    assert wait_rollout(daemon, "complete")["revision"] == 2


def test_update_to_no_replicas(daemon):
    """Nothing is there to prove it: who waits need not, and the first replica proves it later."""
    daemon.apply({"web": server(daemon, "1")})
    daemon.apply({"web": server(daemon, "2", replicas=0)})
    assert indexes(daemon) == []
    daemon.ok("scale", "web=1")
    wait_rollout(daemon, "complete")


def test_no_port_for_a_surge(start):
    """The range is used up: the reason says so and what helps; stop-first then does it."""
    first, _claim = claim_ports()
    daemon = start("--port-range", f"{first}-{first + 1}")
    daemon.apply({"web": server(daemon, "1", replicas=2)})
    daemon.apply({"web": server(daemon, "2", replicas=2)}, wait=False)
    reason = wait_rollout(daemon, "rolled_back")["reason"]
    assert "no free port" in reason and "stop-first" in reason
    daemon.apply({"web": server(daemon, "2", {"order": "stop-first"}, replicas=2)})
    assert rollout(daemon)["state"] == "complete"


def test_restart_now_is_more_than_restart(daemon):
    """It does not wait for the new one that a restart waits for."""
    daemon.apply({"web": {**server(daemon, "1"), "command": [daemon.svc, "http", "1500"]}})
    old = daemon.pid_of("web")
    daemon.ok("restart", "web", "--no-wait")
    wait_for(lambda: (1, "starting") in states(daemon))
    daemon.ok("restart", "web", "--now", "--no-wait")
    wait_for(lambda: (0, "stopping") in states(daemon))
    assert (1, "ready") not in states(daemon)[:states(daemon).index((0, "stopping"))]
    wait_for(lambda: (p := pids_of(daemon)) and old not in p)


@pytest.mark.containers
def test_stop_first_keeps_the_index(daemon):
    daemon.apply({"web": server(daemon, "1", {"order": "stop-first"}, replicas=2)})
    before = len(states(daemon))
    daemon.apply({"web": server(daemon, "2", {"order": "stop-first"}, replicas=2)})
    assert indexes(daemon) == [0, 1]
    steps = states(daemon)[before:]
    assert steps.index((0, "ready")) < steps.index((1, "stopping"))


def test_plan_shows_a_start_first_update(daemon):
    daemon.apply({"web": server(daemon, "1")})
    path = daemon.write({"version": 1, "name": "shop", "services": {"web": server(daemon, "2")}})
    text = daemon.ok("plan", "-f", path)
    assert "web/1" in text and "web/0" in text
    assert text.index("web/1") < text.index("web/0")


def test_min_ready_counts(daemon):
    daemon.apply({"web": server(daemon, "1")})
    daemon.apply({"web": server(daemon, "2", {"min_ready": "2200ms"})})
    times = {(e["replica"], e["to"]): e["at"] for e in daemon.events("web") if e["type"] == "state"}
    assert when(times[0, "stopping"]) - when(times[1, "ready"]) >= 2  # both are cut to seconds
    assert service_of(daemon)["state"] == "ready"


def bad_update(daemon, update=None, replicas=10):
    """Ten good ones, then a revision that never gets ready; returns the pids before."""
    daemon.apply({"web": server(daemon, "1", update, replicas=replicas)})
    pids = pids_of(daemon)
    daemon.apply({"web": deaf(daemon, "2", update, replicas=replicas)}, wait=False)
    return pids


def check_rolled_back(daemon, pids, touched):
    r = wait_rollout(daemon, "rolled_back")
    assert r["revision"] == 2 and f"no progress for {deadline(daemon)}" in r["reason"], r
    wait_for(lambda: service_of(daemon)["ready"] == len(pids) == len(indexes(daemon)),
             what=lambda: service_of(daemon))
    assert len(pids - pids_of(daemon)) <= touched
    assert service_of(daemon)["revision"] == 1
    assert all(x["revision"] == 1 for x in service_of(daemon)["replicas"])


@pytest.mark.containers
def test_rolls_back_by_itself(daemon):
    pids = bad_update(daemon, replicas=4 if daemon.engine else 10)
    check_rolled_back(daemon, pids, touched=0)  # start-first: the old ones are not touched at all
    assert "rolled back from revision 2" in service_of(daemon)["message"]
    out = daemon.ok("rollout", "status", "web")
    assert "rolled back" in out and "no progress" in out
    out = daemon.ok("why", "web")
    assert "the update of web is rolled back" in out and f"no progress for {deadline(daemon)}" in out, out


def test_bounds_of_a_bad_update(daemon):
    pids = bad_update(daemon, {"max_surge": 1, "max_unavailable": 2, "deadline": "3s"})
    worst = 10

    def rolled_back():
        nonlocal worst
        worst = min(worst, service_of(daemon)["ready"])
        return rollout(daemon)["state"] == "rolled_back"
    wait_for(rolled_back, timeout=60)
    assert worst >= 8
    check_rolled_back(daemon, pids, touched=2)


@pytest.mark.containers
def test_apply_tells_of_the_rollback(daemon):
    daemon.apply({"web": server(daemon, "1")})
    path = daemon.write({"version": 1, "name": "shop", "services": {
        "web": {**server(daemon, "2"), "command": [daemon.svc, "exit", "3"],
                "restart": {"backoff": {"initial": "10ms"}}}}})
    rc, _, err = daemon.cli("apply", "-f", path, "--wait", "--timeout", "60s", timeout=90)
    assert rc == 1 and "rolled back" in err and "exit code 3" in err, err
    assert service_of(daemon)["state"] == "ready"


def test_first_deployment_stays(daemon):
    daemon.apply({"web": deaf(daemon, "1")}, wait=False)
    assert "0 of 1 available" in wait_rollout(daemon, "failed")["reason"]
    assert len(indexes(daemon)) == 1
    daemon.apply({"web": server(daemon, "2")})
    wait_rollout(daemon, "complete")


@pytest.mark.containers
def test_superseded_goes_to_the_newest(daemon):
    daemon.apply({"web": server(daemon, "1", replicas=3)})
    pids = pids_of(daemon)
    daemon.apply({"web": deaf(daemon, "2", {"deadline": "1h"}, replicas=3)}, wait=False)
    wait_for(lambda: len(pids_of(daemon)) == 4)
    assert pids < pids_of(daemon)
    daemon.apply({"web": server(daemon, "3", replicas=3)})
    r = wait_rollout(daemon, "complete")
    assert r["revision"] == 3
    assert [(p["revision"], p["state"]) for p in r["history"]] == [(2, "superseded"), (1, "complete")]


def test_pause_after_and_resume(daemon):
    keys = {"replicas": 3}
    daemon.apply({"web": server(daemon, "1", **keys)})
    path = daemon.write({"version": 1, "name": "shop", "services": {
        "web": server(daemon, "2", {"pause_after": 1, "max_surge": 3}, **keys)}})
    assert "pauses after 1 of 3 (update.pause_after)" in daemon.ok("plan", "-f", path)
    daemon.apply({"web": server(daemon, "2", {"pause_after": 1, "max_surge": 3}, **keys)})
    assert rollout(daemon)["state"] == "paused"
    assert sorted(r["revision"] for r in service_of(daemon)["replicas"])[-2:] == [1, 2]
    daemon.ok("rollout", "resume", "web")
    wait_rollout(daemon, "complete")
    assert {r["revision"] for r in service_of(daemon)["replicas"]} == {2}


@pytest.mark.containers
def test_pause_and_scale(daemon):
    """Who looks at one new replica does not get five by scaling up: the last good revision grows."""
    daemon.apply({"web": server(daemon, "1", replicas=2)})
    daemon.apply({"web": server(daemon, "2", {"pause_after": 1}, replicas=2)})
    assert rollout(daemon)["state"] == "paused"
    daemon.ok("scale", "web=5")
    wait_for(lambda: service_of(daemon)["ready"] == 5, what=lambda: service_of(daemon))
    versions = [procfs.environ(pid)["VERSION"] for pid in pids_of(daemon)]
    assert sorted(versions) == ["1", "1", "1", "1", "2"]
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    wait_for(lambda: service_of(daemon)["ready"] == 5)
    assert sorted(r["revision"] for r in service_of(daemon)["replicas"]) == [1, 1, 1, 1, 2]
    daemon.ok("rollout", "resume", "web")
    wait_rollout(daemon, "complete")
    assert {procfs.environ(pid)["VERSION"] for pid in pids_of(daemon)} == {"2"}


def test_pause_undo(daemon):
    daemon.apply({"web": server(daemon, "1", replicas=4)})
    pids = pids_of(daemon)
    daemon.apply({"web": server(daemon, "2", {"pause_after": 1}, replicas=4)})
    daemon.ok("rollout", "undo", "web")
    wait_rollout(daemon, "rolled_back")
    assert service_of(daemon)["revision"] == 1
    assert len(pids - pids_of(daemon)) <= 1


def test_the_user_pauses_and_resumes(daemon):
    """In the middle of it, and over the controller's death: nothing more is replaced until then."""
    def revisions():
        return sorted(r["revision"] for r in service_of(daemon)["replicas"])

    daemon.apply({"web": server(daemon, "1", replicas=3)})
    assert daemon.cli("rollout", "pause", "web")[0] == 8
    slow = {**server(daemon, "2", replicas=3), "command": [daemon.svc, "http", "1000"]}
    daemon.apply({"web": slow}, wait=False)
    wait_for(lambda: revisions() == [1, 1, 1, 2])
    daemon.ok("rollout", "pause", "web")
    assert (rollout(daemon)["state"], rollout(daemon)["reason"]) == ("paused", "by the user")
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    wait_for(lambda: service_of(daemon)["ready"] == 4, what=lambda: service_of(daemon))
    assert "manifest changed: command, environment.VERSION" in daemon.ok("why", "web")
    settled = time.monotonic()
    wait_for(lambda: time.monotonic() - settled > 1)  # the next one would be there
    assert revisions() == [1, 1, 1, 2] and rollout(daemon)["state"] == "paused"
    assert "paused" in daemon.ok("rollout", "status", "web")
    assert "by the user" in daemon.ok("why", "web")
    daemon.ok("rollout", "resume", "web")
    wait_rollout(daemon, "complete")
    assert revisions() == [2, 2, 2]


def test_on_failure_continue(daemon):
    """It has failed and says so, goes on all the same, and is complete once it is well."""
    flag = os.path.join(daemon.base, "well")
    os.chmod(daemon.base, 0o755)
    daemon.apply({"web": server(daemon, "1", replicas=2)})
    late = server(daemon, "2", {"on_failure": "continue", "deadline": "1s"}, replicas=2,
                  probes={"readiness": {"file": {"path": flag}, "period": "100ms"}})
    daemon.apply({"web": late}, wait=False)
    assert "no progress for 1s" in wait_rollout(daemon, "failed")["reason"]
    with open(flag, "w", encoding="utf8"):
        pass
    wait_rollout(daemon, "complete")
    assert {procfs.environ(pid)["VERSION"] for pid in pids_of(daemon)} == {"2"}


@pytest.mark.containers
def test_undo_of_a_complete_one(daemon):
    for version in "123":
        daemon.apply({"web": server(daemon, version)})
        wait_rollout(daemon, "complete")
    daemon.ok("rollout", "undo", "web")
    assert wait_rollout(daemon, "complete")["revision"] == 2
    daemon.ok("rollout", "undo", "web", "--to", "1")
    assert wait_rollout(daemon, "complete")["revision"] == 1
    assert procfs.environ(daemon.pid_of("web", indexes(daemon)[0]))["VERSION"] == "1"
    rc, _, err = daemon.cli("rollout", "undo", "web", "--to", "9")
    assert rc == 4 and "revision 9" in err


def test_on_failure_pause(daemon):
    pids = bad_update(daemon, {"on_failure": "pause"}, replicas=2)
    assert "no progress" in wait_rollout(daemon, "paused")["reason"]
    assert pids < pids_of(daemon)
    daemon.ok("rollout", "undo", "web")
    wait_rollout(daemon, "rolled_back")
    assert pids == pids_of(daemon)


@pytest.mark.containers
def test_old_ones_come_back_as_they_were(daemon):
    """One of the old revision that crashes while the new one is not proved."""
    daemon.apply({"web": server(daemon, "1", replicas=2)})
    daemon.apply({"web": deaf(daemon, "2", {"deadline": "1h"}, replicas=2)}, wait=False)
    wait_for(lambda: len(pids_of(daemon)) == 3)
    old = daemon.pid_of("web", 0)
    procfs.kill(old)
    daemon.wait_new_pid("web", old)
    wait_for(lambda: daemon.replica("web", 0)["state"] == "ready")
    assert daemon.replica("web", 0)["revision"] == 1
    assert procfs.environ(daemon.pid_of("web", 0))["VERSION"] == "1"
    kill_helper(daemon, "controller")
    old = daemon.pid_of("web", 1)
    procfs.kill(old)
    daemon.wait_new_pid("web", old, 1)
    wait_for(lambda: daemon.replica("web", 1)["state"] == "ready")
    assert procfs.environ(daemon.pid_of("web", 1))["VERSION"] == "1"


@pytest.mark.containers
def test_restart_starts_first(daemon):
    daemon.apply({"web": server(daemon, "1")})
    daemon.ok("restart", "web")
    assert indexes(daemon) == [1]
    pid = daemon.pid_of("web", 1)
    daemon.ok("restart", "web", "--now")
    assert indexes(daemon) == [1] and daemon.pid_of("web", 1) != pid
    daemon.ok("restart", "web/1")
    assert indexes(daemon) == [1]


@pytest.mark.containers
def test_survives_a_crash_of_all(daemon):
    pids = bad_update(daemon, {"deadline": "4s"}, replicas=3)
    wait_for(lambda: len(pids_of(daemon)) == 4)
    daemon.crash("controller")
    daemon.start_again()
    r = wait_rollout(daemon, "rolled_back")
    assert "no progress" in r["reason"]
    assert pids == pids_of(daemon)


@pytest.mark.waits
def test_controller_killed_at_twenty_moments(base):
    """The end is the same: the last good revision, all ready, and the reason is there."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    daemon = Daemon(base, "--helper-restart", CAMPAIGN)
    daemon.start()
    try:
        pids = bad_update(daemon)
        for _ in range(KILLS):
            time.sleep(rng.uniform(0, 0.3))  # the moments themselves are what is random
            old = kill_helper(daemon, "controller")
            wait_helper(daemon, "controller", old)
        check_rolled_back(daemon, pids, touched=0)
    finally:
        daemon.stop()


def ended_by(daemon, cause, service="web"):
    return [e for e in daemon.describe(service)["exits"] if e["cause"] == cause]


@pytest.mark.containers
def test_max_age_replaces_before_it_ends(daemon):
    age = {"max_age": "1s", "max_age_variance": 0.5}
    daemon.apply({"web": server(daemon, "1", restart=age)})
    before = len(states(daemon))
    wait_for(lambda: len(ended_by(daemon, "max_age")) >= 2, what=lambda: daemon.events("web"))
    steps = states(daemon)[before:]
    assert steps.index((1, "ready")) < steps.index((0, "stopping"))
    assert service_of(daemon)["replicas"][0]["restarts"] == 0  # not a failure


@pytest.mark.containers
@pytest.mark.waits
def test_memory_above_the_ceiling_recycles(daemon):
    """Looked at every ten seconds."""
    script = "data = bytearray(120 << 20); import time; time.sleep(1000)"
    daemon.apply({"web": daemon.python("-c", script, restart={"max_memory": "64MiB"}, update=QUICK),
                  "small": daemon.service("pause", restart={"max_memory": "64MiB"})})
    wait_for(lambda: ended_by(daemon, "memory"), timeout=60, what=lambda: daemon.events("web"))
    assert "restart.max_memory" in str(daemon.events("web"))
    assert not ended_by(daemon, "memory", "small")


def test_a_start_does_not_try_again_what_was_rolled_back(start, base):
    """The directory of manifests still says it; only who asks for a reload gets it."""
    directory = os.path.join(base, "manifests")
    os.mkdir(directory)

    def put(daemon, make, version):
        with open(os.path.join(directory, "web.yaml"), "w", encoding="utf-8") as file:
            json.dump({"version": 1, "name": "dir", "services": {"web": make(daemon, version)}}, file)

    probe = Daemon(base)
    put(probe, server, "1")
    daemon = start("--manifests", directory)
    daemon.wait_state("web", "ready")
    put(daemon, deaf, "2")
    daemon.ok("daemon", "reload")
    wait_rollout(daemon, "rolled_back")
    pids = pids_of(daemon)
    daemon.crash("controller")
    daemon.start_again()
    wait_for(lambda: "controller ready: 1 services" in daemon.log())
    wait_for(lambda: service_of(daemon)["ready"] == 1)
    assert rollout(daemon)["state"] == "rolled_back" and rollout(daemon)["number"] == 2
    assert pids == pids_of(daemon)
    daemon.ok("daemon", "reload")
    wait_for(lambda: rollout(daemon)["number"] == 3)
    wait_rollout(daemon, "rolled_back")
