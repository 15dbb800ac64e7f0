"""Unhealthy leads to action, slow does not.

SPDX-License-Identifier: MIT
"""
import signal
import time

import pytest

import kinds
import procfs
from harness import wait_for

RUNS_AS = kinds.ALL
PERIOD, THRESHOLD, TIMEOUT, GRACE = 1, 2, 1, 1
START = 10  # of a container, on a busy machine
BOUND = PERIOD * THRESHOLD + TIMEOUT + GRACE + 1
AT_ONCE = {"backoff": {"initial": 0}}
LIVENESS = {"http": {"path": "/healthz"}, "period": f"{PERIOD}s", "timeout": f"{TIMEOUT}s",
            "failure_threshold": THRESHOLD}


def test_killed_replica_is_ready_again(daemon):
    probes = {"readiness": {"http": {"path": "/ready"}, "period": "200ms"}}
    daemon.apply({"web": daemon.service("http", port=18110, replicas=2, probes=probes,
                                        restart={"backoff": {"initial": "100ms"}})})
    victim, other = daemon.pid_of("web", 0), daemon.pid_of("web", 1)
    procfs.kill(victim)
    daemon.wait_new_pid("web", victim)
    daemon.wait_state("web", "ready")
    replica = daemon.replica("web")
    assert replica["restarts"] == 1
    assert replica["last_exit"]["signal"].endswith("KILL") and replica["last_exit"]["code"] is None
    assert daemon.pid_of("web", 1) == other


def test_liveness_replaces_what_hangs(daemon):
    """Five ways to be unhealthy at once; one of them also ignores SIGTERM."""
    ways = {"error": "error", "silent": "hang", "drip": "drip", "flood": "flood", "frozen": None}
    daemon.apply({name: daemon.service("http", "0", "stubborn", port=18111 + n, restart=AT_ONCE,
                                       probes={"liveness": LIVENESS},
                                       stop={"grace_period": f"{GRACE}s"})
                  for n, name in enumerate(ways)})
    for name in ways:
        wait_for(lambda n=name: daemon.tell(n, "/healthz") is not None, what=f"{name} listens")
    old = {name: daemon.pid_of(name) for name in ways}
    since = {}
    for name, mode in ways.items():
        since[name] = time.monotonic()
        if mode:
            assert daemon.tell(name, f"/set/live/{mode}") is not None
        else:
            procfs.kill(old[name], signal.SIGSTOP)
    took = {}

    def all_replaced():
        services = daemon.ps()
        for name in ways:
            new = services[name]["replicas"][0]["pid"]
            if name not in took and new not in (None, old[name]) and not procfs.alive(old[name]):
                took[name] = time.monotonic() - since[name]
        return len(took) == len(ways)
    wait_for(all_replaced, BOUND + START + 5, lambda: f"replaced: {took}")
    assert all(t <= BOUND + (START if daemon.engine else 0) for t in took.values()), took
    for name in ways:
        assert "liveness" in daemon.ok("events", name), name
        daemon.wait_state(name, "ready")


def test_readiness_never_restarts(daemon):
    probes = {"readiness": {"http": {"path": "/ready"}, "period": "100ms", "timeout": "200ms",
                            "failure_threshold": 2}}
    daemon.apply({"web": daemon.service("http", port=18120, probes=probes)})
    pid = daemon.pid_of("web")
    for mode in ("error", "hang"):
        daemon.tell("web", f"/set/ready/{mode}")
        wait_for(lambda: daemon.replica("web")["state"] == "unready", what=daemon.ps)
        failures = daemon.describe("web")["replicas"][0]["probes"]["readiness"]["failures"]
        wait_for(lambda least=failures + 5: daemon.describe("web")["replicas"][0]["probes"]
                 ["readiness"]["failures"] >= least, what="more failed probes")
        assert daemon.ps()["web"]["ready"] == 0
        assert daemon.replica("web")["reason"] == "probe_failed"
        daemon.tell("web", "/set/ready/ok")
        daemon.wait_state("web", "ready")
    replica = daemon.replica("web")
    assert replica["pid"] == pid and replica["restarts"] == 0


@pytest.mark.processes("many")
@pytest.mark.waits
def test_slow_start_is_not_touched(daemon):
    """8 s without an answer: liveness alone would have killed it after one."""
    probes = {"startup": {"http": {"path": "/healthz"}, "period": "200ms", "stall": "60s"},
              "liveness": {**LIVENESS, "period": "200ms", "timeout": "200ms"},
              "readiness": {"http": {"path": "/ready"}, "period": "200ms"}}
    daemon.apply({"model": daemon.service("http", "8000", port=18121, probes=probes)})
    replica = daemon.replica("model")
    assert replica["state"] == "ready" and replica["restarts"] == 0
    assert daemon.describe("model")["exits"] == []


def test_a_start_that_stalls_is_replaced(daemon):
    probes = {"startup": {"http": {"path": "/healthz"}, "period": "100ms", "stall": "1s"}}
    daemon.apply({"model": daemon.service("http", "60000", port=18122, probes=probes,
                                          restart=AT_ONCE)}, wait=False)
    pid = wait_for(lambda: daemon.pid_of("model"), what=daemon.ps)
    daemon.wait_new_pid("model", pid, timeout=10)
    assert "stalled" in [e["reason"] for e in daemon.events("model")]
