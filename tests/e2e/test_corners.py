"""Corners that a review found: each of these hung, crashed or stopped what should have run.

SPDX-License-Identifier: MIT
"""
import json
import os
import signal
import uuid

from harness import wait_for

AT_ONCE = {"backoff": {"initial": 0}, "budget": {"restarts": 0}}


def damage_store(daemon):
    """The controller dies over a database that is garbage when it comes back."""
    controller = daemon.helper("controller")
    os.kill(controller, signal.SIGSTOP)
    path = os.path.join(daemon.state_dir, "aictl.db")
    with open(path, "r+b") as file:
        file.write(os.urandom(8192))
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)
    os.kill(controller, signal.SIGKILL)
    wait_for(lambda: daemon.helper("controller") not in (None, controller) or None)
    wait_for(lambda: daemon.mode() == "normal" or None)


def test_no_port_left_and_back_off_zero(start):
    """Two of three replicas can never start: the controller still answers, stop still ends."""
    daemon = start("--port-range", "18390-18390")
    daemon.apply({"web": daemon.service("http", port=18391, replicas=3, restart=AT_ONCE)}, wait=False)
    wait_for(lambda: "no free port" in json.dumps(daemon.ps()["web"]) or None, what=daemon.ps)
    assert daemon.cli("ps")[0] == 0
    daemon.ok("stop", "web")
    assert daemon.ps()["web"]["replicas"] == []


def test_stop_of_many_that_never_started(start):
    daemon = start("--port-range", "18390-18391")
    daemon.apply({"web": daemon.service("http", port=18392, replicas=600)}, wait=False)
    wait_for(lambda: daemon.ps()["web"]["state"] == "degraded" or None)
    daemon.ok("stop", "--timeout", "30s", "web")
    assert daemon.ps()["web"]["replicas"] == []


def test_unfinished_changes_never_block_the_next(daemon):
    daemon.apply({"loop": daemon.shell("exit 1", restart={"backoff": {"initial": "60s"}})}, wait=False)
    for _ in range(450):
        status, _ = daemon.api("POST", "/v1/changes", {"id": uuid.uuid4().hex, "kind": "start",
                                                       "services": ["loop"]})
        assert status == 202
    daemon.ok("stop", "loop")


def test_an_update_probes_each_program_by_its_own_manifest(daemon):
    """The new revision is probed elsewhere: the old one must not look unready meanwhile."""
    def web(path, *more):
        probes = {"readiness": {"http": {"path": path}, "period": "100ms", "failure_threshold": 1}}
        return {"web": daemon.service("http", *more, port=18393, replicas=2, probes=probes)}
    daemon.apply(web("/ready"))
    mark = daemon.events()[-1]["seq"]
    daemon.apply(web("/healthz", "500"))
    assert not [e for e in daemon.events("web") if e["seq"] > mark and e["to"] == "unready"]


def test_a_lost_store_stops_nothing_however_often_we_die(daemon):
    daemon.apply({"web": daemon.shell("exec sleep 1000", replicas=2, restart=AT_ONCE)})
    before = daemon.pids("web")
    damage_store(daemon)
    assert daemon.ps()["web"]["state"] == "unknown" and daemon.pids("web") == before
    os.kill(before[0], signal.SIGKILL)  # a standing order may be there, and no manifest
    os.kill(daemon.helper("controller"), signal.SIGKILL)
    wait_for(lambda: daemon.mode() == "normal" or None)
    assert daemon.pid_of("web", 1) == before[1]
    out = daemon.apply({"web": daemon.shell("exec sleep 1000", replicas=2, restart=AT_ONCE)})
    assert "web" in out
    daemon.wait_state("web", "ready")
    assert daemon.pid_of("web", 1) == before[1]


def test_a_crash_during_an_update_that_adds_a_port(daemon):
    """What is outdated has no standing order for a program it cannot know yet."""
    daemon.apply({"web": daemon.shell("exec sleep 1000", replicas=2, restart=AT_ONCE)})
    old = daemon.pid_of("web", 1)
    probes = {"readiness": {"http": {"path": "/ready"}, "period": "100ms"}}
    daemon.apply({"web": daemon.service("http", "2000", port=18394, replicas=2, probes=probes,
                                        restart=AT_ONCE)}, wait=False)
    os.kill(old, signal.SIGKILL)
    daemon.wait_state("web", "ready")
    assert all(r["port"] for r in daemon.ps()["web"]["replicas"])
