"""Canary: a new revision gets a share of the requests that grows by steps, and is judged by what the
gateway counted of it and of the stable one at the same time. A bad one is taken back within its step,
and nobody but those of its share has noticed; a good one is promoted. By hand, too; and whatever dies
meanwhile. Containers run where replicas come, go and fail; the verdict is the same for all.

SPDX-License-Identifier: MIT
"""
import collections
import http.client
import json
import math
import random
import threading
import time

import pytest

import procfs
from harness import CAMPAIGN, wait_for
from test_helpers import kill_helper, wait_helper
from test_traffic import MANY, READY, SEED, free_port, wait_open
from test_update import rollout, wait_rollout

CLIENTS = 16
SLOW = 40  # ms of the stable one
STEPS = ["20%/4s", "50%/4s", "100%"]
LONG = ["20%/10m", "100%"]


def talker(daemon, port, steps=None, version="1", errors=0, slow=SLOW, drops=0, **keys):
    update = {"strategy": "canary", "steps": steps or STEPS, "min_ready": "100ms", "deadline": "20s",
              **keys.pop("update", {})}
    return daemon.service("talk", **daemon.facing(
        port=port, probes=READY, replicas=keys.pop("replicas", 2), update=update,
        environment={"VERSION": version, "ERRORS": str(errors), "SLOW": str(slow), "DROPS": str(drops)},
        stop={"drain": "20s", "grace_period": "2s"}, **keys))


class Load:
    """Clients that ask without a pause. Of each answer: when, its status, whose it was."""

    def __init__(self, port, clients=CLIENTS):
        self.port = port
        self.answers = []  # (time, status, incarnation, seconds)
        self.broken = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.over.is_set():
            began = time.time()
            try:
                connection.request("GET", "/")
                reply = connection.getresponse()
                me = json.loads(reply.read())["me"]
                self.answers.append((time.time(), reply.status, me, time.time() - began))
            except Exception as e:  # pylint: disable=broad-except
                self.broken.append((round(time.time(), 3), repr(e)))
                connection.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        n = len(self.answers)
        wait_for(lambda: len(self.answers) > n + CLIENTS, what=lambda: f"answers come: {self.broken[:3]}")
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(60)


def incarnations(daemon, revision, service="web"):
    return {r["incarnation"] for r in daemon.ps()[service]["replicas"] if r["revision"] == revision}


def canary(daemon):
    return (rollout(daemon) or {}).get("canary") or {}


def wait_step(daemon, percent, timeout=60):
    return wait_for(lambda: (c := canary(daemon)) and c["share_percent"] == percent and c, timeout=timeout,
                    what=lambda: f"the canary has {percent} %: {rollout(daemon)}")


def counted(daemon, n):
    wait_for(lambda: canary(daemon).get("new", {}).get("requests", 0) >= n,
             what=lambda: f"{n} requests of the canary are counted: {rollout(daemon)}")


def check_share(load, new, percent):
    """Of all that was answered while it was there, no more than its share."""
    times = [a[0] for a in load.answers if a[2] in new]
    among = [a for a in load.answers if times[0] <= a[0] <= times[-1]]
    share = percent / 100
    bound = len(among) * share + 3 * math.sqrt(len(among) * share * (1 - share))
    assert len(times) <= bound, f"{len(times)} of {len(among)} at {percent} %"


def check_only_canary_failed(load, new):
    assert not load.broken, load.broken[:5]
    others = [a for a in load.answers if a[1] != 200 and a[2] not in new]
    assert not others, f"{len(others)} of {len(load.answers)}: {others[:5]}"


def stable(daemon, port, **keys):
    """Two replicas of a first revision, without any step: there is nothing to compare it with."""
    daemon.apply({"web": talker(daemon, port, **keys)})
    wait_open(daemon)
    assert rollout(daemon)["canary"] is None
    return daemon.pids("web")


@pytest.mark.containers
def test_a_share_and_then_all_by_hand(daemon):
    port = free_port()
    before = stable(daemon, port, steps=LONG, replicas=4)
    daemon.apply({"web": talker(daemon, port, steps=LONG, replicas=4, version="2")}, wait=False)
    step = wait_step(daemon, 20)
    assert (step["step"], step["steps"], step["replicas"], step["verdict"]) == (1, 2, 1, "waits")
    now = daemon.ps()["web"]
    assert now["state"] == "updating" and now["message"] == "canary: revision 2 has 20 % of the requests"
    assert len(now["replicas"]) == 5 and set(before.values()) < set(daemon.pids("web").values())
    new = incarnations(daemon, 2)
    with Load(port) as load:
        counted(daemon, 100)
    check_only_canary_failed(load, set())
    check_share(load, new, 20)
    assert collections.Counter(a[2] in new for a in load.answers)[True] > len(load.answers) * 0.15
    text = daemon.ok("rollout", "status", "web")
    assert "Step       1 of 2: 20 %, for 9m" in text, text
    assert "Verdict    good: no worse than the stable revision" in text, text
    assert "canary  2         20 %" in text and "stable  1         80 %" in text, text
    daemon.ok("rollout", "promote", "web")
    assert rollout(daemon)["state"] == "complete" and rollout(daemon)["canary"] is None
    assert not set(before.values()) & set(daemon.pids("web").values())
    assert len(daemon.ps()["web"]["replicas"]) == 4
    rc, _, err = daemon.cli("rollout", "promote", "web")
    assert rc == 8 and 'no canary of "web" is under way' in err and "aictl rollout status web" in err, err
    assert daemon.cli("rollout", "abort", "web")[0] == 8


@pytest.mark.containers
def test_abort_takes_it_back_at_once(daemon):
    port = free_port()
    before = stable(daemon, port, steps=LONG)
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, steps=LONG, version="2")}, wait=False)
        wait_step(daemon, 20)
        new = incarnations(daemon, 2)
        counted(daemon, 20)
        daemon.ok("rollout", "abort", "web")
    check_only_canary_failed(load, set())
    check_share(load, new, 20)
    assert rollout(daemon)["state"] == "rolled_back" and daemon.pids("web") == before
    assert daemon.ps()["web"]["message"] == "rolled back from revision 2: aborted by the user"
    rc, _, err = daemon.cli("rollout", "promote", "web")
    assert rc == 8 and 'the canary of "web" was taken back: aborted by the user' in err and "apply it again" in err, err


def test_a_failed_one_cannot_be_promoted(daemon):
    port = free_port()
    stable(daemon, port)
    with Load(port):
        daemon.apply({"web": talker(daemon, port, version="2", errors=10, update={
            "steps": ["20%/10m", "100%"], "on_failure": "continue"})}, wait=False)
        wait_rollout(daemon, "failed")
        rc, _, err = daemon.cli("rollout", "promote", "web")
        assert rc == 8 and 'the canary of "web" has failed: canary at 20 %: errors ' in err, err
        assert "aictl rollout abort web" in err, err
        assert rollout(daemon)["state"] == "failed" and canary(daemon)["step"] == 1
        daemon.ok("rollout", "abort", "web")
    assert rollout(daemon)["state"] == "rolled_back"


def test_its_step_is_known_before_anything_is_counted(start):
    """A controller in safe mode looks at nothing."""
    daemon = start()
    port = free_port()
    stable(daemon, port, steps=LONG)
    daemon.apply({"web": talker(daemon, port, steps=LONG, version="2")}, wait=False)
    wait_step(daemon, 20)
    for _ in range(5):
        kill_helper(daemon, "controller")
        wait_for(daemon.mode, what="the API answers")
    wait_for(lambda: daemon.mode() == "safe", what=daemon.mode)
    step = canary(daemon)
    assert (step.get("step"), step.get("share_percent"), step.get("verdict")) == (1, 20, "waits"), rollout(daemon)
    assert step["message"] == "waits for 50 more requests of the canary"
    assert "waits for 50 more requests of the canary" in daemon.ok("why", "web")


@pytest.mark.containers
@pytest.mark.parametrize("fault", ({"errors": 10}, {"slow": 3 * SLOW}), ids=("errors", "latency"))
def test_a_bad_one_is_taken_back_within_its_step(daemon, fault):
    port = free_port()
    before = stable(daemon, port)
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, version="2", **fault)}, wait=False)
        wait_step(daemon, 20)
        new = incarnations(daemon, 2)
        r = wait_rollout(daemon, "rolled_back")
        end = time.time()
        n = len(load.answers)
        wait_for(lambda: len(load.answers) > n + 5 * CLIENTS, what="answers still come")
    what = "errors" if "errors" in fault else "p95"
    assert r["reason"].startswith(f"canary at 20 %: {what} "), r["reason"]
    assert daemon.pids("web") == before
    check_only_canary_failed(load, new)
    check_share(load, new, 20)
    assert not [a for a in load.answers if a[2] in new and a[0] - a[3] > end]  # begun after that
    failed = [a for a in load.answers if a[1] != 200]
    assert bool(failed) == ("errors" in fault)


@pytest.mark.containers
def test_what_another_replica_answered_after_all_counts(daemon):
    """The clients notice nothing: what the canary drops is sent again, to a stable one."""
    port = free_port()
    before = stable(daemon, port)
    path = daemon.write({"version": 1, "name": "shop", "services": {"web": talker(daemon, port, version="2", drops=20)}})
    with Load(port) as load:
        rc, _, err = daemon.cli("apply", "-f", path, "--wait")
    assert rc == 1 and "rolled back from revision 2: canary at 20 %: errors " in err, err
    assert not load.broken and {a[1] for a in load.answers} == {200}
    assert daemon.pids("web") == before


@pytest.mark.containers
def test_a_good_one_is_promoted(daemon):
    port = free_port()
    before = stable(daemon, port)
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, version="2")}, wait=False)
        wait_step(daemon, 20)
        wait_step(daemon, 50)
        wait_rollout(daemon, "complete")
    check_only_canary_failed(load, set())
    assert not set(before.values()) & set(daemon.pids("web").values())
    steps = [e["message"] for e in daemon.events("web") if e["type"] == "rollout"]
    assert [s for s in steps if "canary" in s] == [
        "revision 2: progressing: canary at 20 % of the requests",
        "revision 2: progressing: the canary is good: replicas for 50 %",
        "revision 2: progressing: canary at 50 % of the requests",
        "revision 2: progressing: the canary is good: all get it"], steps


def test_nothing_is_decided_without_requests(daemon):
    port = free_port()
    stable(daemon, port, steps=["20%/1s", "100%"])
    daemon.apply({"web": talker(daemon, port, steps=["20%/1s", "100%"], version="2")}, wait=False)
    wait_step(daemon, 20)
    wait_for(lambda: "its time is over" in daemon.ok("rollout", "status", "web"), what="the step's time is over")
    assert canary(daemon)["message"] == "waits for 50 more requests of the canary"
    with Load(port) as load:
        wait_rollout(daemon, "complete")
    check_only_canary_failed(load, set())


@pytest.mark.containers
def test_the_controller_dies_during_a_step(daemon):
    port = free_port()
    before = stable(daemon, port)
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, steps=["20%/6s", "50%/4s", "100%"], version="2")}, wait=False)
        wait_step(daemon, 20)
        pids = daemon.pids("web")
        wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
        assert daemon.pids("web") == pids
        assert canary(daemon).get("step") == 1, rollout(daemon)
        wait_step(daemon, 50)
        wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
        assert canary(daemon).get("step") == 2, rollout(daemon)
        wait_rollout(daemon, "complete")
    check_only_canary_failed(load, set())
    assert not set(before.values()) & set(daemon.pids("web").values())


def test_the_controller_dies_with_a_bad_one(daemon):
    port = free_port()
    before = stable(daemon, port)
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, version="2", errors=10, update={"steps": ["20%/20s", "100%"]})}, wait=False)
        wait_step(daemon, 20)
        new = incarnations(daemon, 2)
        kill_helper(daemon, "controller")
        r = wait_rollout(daemon, "rolled_back")
    assert r["reason"].startswith("canary at 20 %: errors "), r["reason"]
    check_only_canary_failed(load, new)
    check_share(load, new, 20)
    assert daemon.pids("web") == before


def test_pause_holds_the_step(daemon):
    port = free_port()
    stable(daemon, port, steps=["20%/1s", "100%"])
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, steps=["20%/1s", "100%"], version="2")}, wait=False)
        wait_step(daemon, 20)
        daemon.ok("rollout", "pause", "web")
        counted(daemon, 100)
        assert rollout(daemon)["state"] == "paused" and canary(daemon)["share_percent"] == 20
        daemon.ok("rollout", "resume", "web")
        wait_rollout(daemon, "complete")
    check_only_canary_failed(load, set())


def test_another_update_supersedes_it(daemon):
    port = free_port()
    before = stable(daemon, port, steps=LONG)
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, steps=LONG, version="2")}, wait=False)
        wait_step(daemon, 20)
        daemon.apply({"web": talker(daemon, port, steps=LONG, version="3")}, wait=False)
        wait_for(lambda: {r["revision"] for r in daemon.ps()["web"]["replicas"]} == {1, 3} and
                 len(daemon.ps()["web"]["replicas"]) == 3, what=lambda: f"it has gone: {daemon.ps()['web']['replicas']}")
        wait_step(daemon, 20)
        assert set(before.values()) < set(daemon.pids("web").values())
        assert rollout(daemon)["history"][0]["state"] == "superseded"
        daemon.apply({"web": talker(daemon, port, steps=LONG)})  # and back, by hand
        assert daemon.pids("web") == before
    check_only_canary_failed(load, set())


def test_one_that_does_not_come_up_fails_as_any_update(daemon):
    port = free_port()
    before = stable(daemon, port)
    bad = {**talker(daemon, port, version="2"), "command": [daemon.svc, "exit", "3"]}
    with Load(port) as load:
        daemon.apply({"web": bad}, wait=False)
        r = wait_rollout(daemon, "rolled_back")
    assert "ended 3 times: exit code 3" in r["reason"]
    check_only_canary_failed(load, set())
    assert daemon.pids("web") == before


def revisions(daemon):
    return collections.Counter(r["revision"] for r in daemon.ps()["web"]["replicas"] if r["state"] == "ready")


def test_plan_and_why_speak_of_it(daemon):
    port = free_port()
    stable(daemon, port, steps=["20%/10m", "50%/1h", "100%"])
    path = daemon.write(json.dumps({"version": 1, "name": "shop", "services": {
        "web": talker(daemon, port, steps=["20%/10m", "50%/1h", "100%"], version="2")}}))
    assert "a canary first (update.strategy): 20 % of the requests for 10m, 50 % of the requests for 1h" in \
        " ".join(daemon.ok("plan", "-f", path).split())
    daemon.ok("apply", "-f", path)
    wait_step(daemon, 20)
    text = daemon.ok("why", "web")
    assert "its canary has 20 % of the requests: waits for 50 more requests of the canary" in text, text
    assert "update.steps" in text, text


def test_other_numbers_of_replicas_meanwhile(daemon):
    port = free_port()
    stable(daemon, port, steps=["30%/10m", "100%"])
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, steps=["30%/10m", "100%"], version="2")}, wait=False)
        wait_step(daemon, 30)
        assert revisions(daemon) == {1: 2, 2: 1}
        daemon.ok("scale", "--no-wait", "web=4")
        wait_for(lambda: revisions(daemon) == {1: 4, 2: 2}, what=lambda: f"both grow: {revisions(daemon)}")
        daemon.ok("scale", "--no-wait", "web=1")
        wait_for(lambda: revisions(daemon) == {1: 1, 2: 1} and len(daemon.ps()["web"]["replicas"]) == 2,
                 what=lambda: f"both shrink: {revisions(daemon)}")
    check_only_canary_failed(load, set())


def test_one_that_was_stopped_starts_with_its_stable_replicas(daemon):
    port = free_port()
    stable(daemon, port, steps=LONG)
    daemon.ok("stop", "web")
    daemon.apply({"web": talker(daemon, port, steps=LONG, version="2")}, wait=False)
    daemon.ok("start", "--no-wait", "web")
    wait_step(daemon, 20)
    assert revisions(daemon) == {1: 2, 2: 1}


@pytest.mark.containers
def test_what_crashes_comes_back_as_it_was(daemon):
    port = free_port()
    before = stable(daemon, port, steps=LONG, restart={"backoff": {"initial": "200ms"}})
    daemon.apply({"web": talker(daemon, port, steps=LONG, version="2", restart={"backoff": {"initial": "200ms"}})}, wait=False)
    wait_step(daemon, 20)
    for replica in daemon.ps()["web"]["replicas"]:
        procfs.kill(replica["pid"])
    wait_for(lambda: revisions(daemon) == {1: 2, 2: 1} and not set(before.values()) & set(daemon.pids("web").values()),
             what=lambda: f"they come back: {daemon.ps()['web']['replicas']}")
    assert canary(daemon)["share_percent"] == 20


def test_the_gateway_dies_during_a_step(daemon):
    port = free_port()
    stable(daemon, port)
    with Load(port):
        daemon.apply({"web": talker(daemon, port, version="2", errors=10, update={"steps": ["20%/20s", "100%"]})}, wait=False)
        wait_step(daemon, 20)
        wait_helper(daemon, "gateway", kill_helper(daemon, "gateway"))
        r = wait_rollout(daemon, "rolled_back")
    assert r["reason"].startswith("canary at 20 %: errors "), r["reason"]


def test_a_bad_one_may_be_kept_for_a_look(daemon):
    port = free_port()
    before = stable(daemon, port)
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, version="2", errors=30, update={"on_failure": "pause"})}, wait=False)
        wait_step(daemon, 20)
        new = incarnations(daemon, 2)
        wait_rollout(daemon, "paused")
        assert canary(daemon)["share_percent"] == 0
        end = time.time() + 1
        wait_for(lambda: load.answers[-1][0] > end + 1, what="answers still come")
        assert set(before.values()) < set(daemon.pids("web").values())
        daemon.ok("rollout", "abort", "web")
    assert not [a for a in load.answers if a[2] in new and a[0] - a[3] > end]  # begun after that
    check_only_canary_failed(load, new)
    assert daemon.pids("web") == before


def test_from_zero_replicas(daemon):
    """Nobody sees the new one before it has a share, though nothing ran."""
    port = free_port()
    keys = {"replicas": {"min": 0, "max": 2}, "idle": "2s", "steps": ["20%/1h", "100%"]}
    daemon.apply({"web": talker(daemon, port, **keys)}, wait=False)
    wait_open(daemon)
    daemon.wait_state("web", "idle")
    with Load(port, clients=2):
        wait_for(lambda: revisions(daemon) == {1: 1}, what="it is there, and complete")
        wait_rollout(daemon, "complete")
    daemon.wait_state("web", "idle")
    daemon.apply({"web": talker(daemon, port, version="2", **keys)}, wait=False)
    with Load(port, clients=4) as load:
        wait_step(daemon, 20)
        assert revisions(daemon) == {1: 1, 2: 1}
        counted(daemon, 20)
        new = incarnations(daemon, 2)
    check_only_canary_failed(load, set())
    check_share(load, new, 20)


KILLS = 5 * MANY


@pytest.mark.containers
def test_kills_at_any_moment(start):
    """Of the controller and of aictld, from the apply to the end: nobody notices, and it gets there."""
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    port = free_port()
    before = stable(daemon, port)
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    with Load(port) as load:
        daemon.apply({"web": talker(daemon, port, steps=["20%/3s", "50%/3s", "100%"], version="2")}, wait=False)
        for _ in range(KILLS):
            end = time.time() + rng.uniform(0, 1.5)
            wait_for(lambda end=end: load.answers[-1][0] > end, what="answers come")
            if rng.random() < 0.3:
                daemon.crash()
                daemon.start_again()
                wait_for(daemon.answers, what="the new one answers")
            else:
                wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
        wait_rollout(daemon, "complete")
        wait_for(lambda: revisions(daemon) == {2: 2}, what=lambda: f"all are new: {revisions(daemon)}")
    check_only_canary_failed(load, set())
    assert not set(before.values()) & set(daemon.pids("web").values())
