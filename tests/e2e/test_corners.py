"""Corners that a review found: each of these hung, crashed or stopped what should have run.

SPDX-License-Identifier: MIT
"""
import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import sqlite3
import uuid

import pytest

import procfs
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


def test_another_state_directory_stops_nothing(start):
    """It knows nothing of what runs: that is no reason to end it."""
    daemon = start()
    daemon.apply({"web": daemon.service("pause", replicas=2)})
    pids = daemon.pids("web")
    daemon.ok("daemon", "detach")
    assert daemon.wait() == 100
    shutil.rmtree(daemon.state_dir)
    os.mkdir(daemon.state_dir, 0o700)
    daemon.start()
    wait_for(lambda: daemon.mode() == "normal" or None)
    assert daemon.pids("web") == pids
    wait_for(lambda: "manifest is lost: left alone" in daemon.log(), what=daemon.log)
    daemon.apply({"web": daemon.service("pause", replicas=2)})
    assert daemon.pids("web") == pids, "it is the same"


def test_the_state_of_another_instance_stops_nothing(start):
    """Its store knows other services: they run as well, and what runs stays; also when it goes back."""
    daemon = start()
    own = daemon.state_dir
    daemon.apply({"api": daemon.service("pause")})
    assert daemon.stop() == 0
    os.rename(own, own + ".other")
    daemon.start()
    daemon.apply({"web": daemon.service("pause", replicas=2)})
    web = daemon.pids("web")

    def restart(directory):
        daemon.ok("daemon", "detach")
        assert daemon.wait() == 100
        daemon.state_dir = directory
        daemon.start()
        wait_for(lambda: daemon.mode() == "normal" or None)

    restart(own + ".other")
    daemon.wait_state("api", "ready")
    api = daemon.pids("api")
    assert "begun with another state directory" in daemon.log()
    assert daemon.pids("web") == web
    assert daemon.ps()["web"]["message"] == "its manifest is lost: left alone until it is applied again"
    os.kill(daemon.pid, signal.SIGKILL)  # it is remembered
    daemon.wait()
    daemon.start()
    wait_for(lambda: daemon.mode() == "normal" or None)
    assert daemon.pids("web") == web and daemon.pids("api") == api
    restart(own)
    wait_for(lambda: daemon.ps()["web"]["state"] == "ready" or None)
    assert daemon.pids("web") == web and daemon.pids("api") == api
    assert daemon.ps()["api"]["message"] == "its manifest is lost: left alone until it is applied again"
    assert daemon.stop() == 0
    daemon.start()  # none of the two runs any more: all is as ever
    daemon.wait_state("web", "ready")
    assert "api" not in daemon.ps()


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
    assert daemon.pid_of("web", 1) == before[1] and daemon.ps()["web"]["set"] == "shop"


@pytest.mark.containers
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


def test_a_service_that_is_made_again_elsewhere(daemon):
    """It has not gone yet when another set wants its name: it is that set's from then on."""
    slow = daemon.shell("trap '' TERM; while :; do sleep 0.1; done", stop={"grace_period": "3s"})
    daemon.apply({"x": slow}, name="one")
    status, change = daemon.api("POST", "/v1/changes", {"id": str(uuid.uuid4()), "kind": "delete",
                                                        "services": ["x"]})
    assert status == 202, change
    wait_for(lambda: daemon.replica("x")["state"] == "stopping")
    daemon.apply({"x": daemon.service("pause")}, name="two")
    assert daemon.ps()["x"]["set"] == "two"
    sets = {s["name"]: s["services"] for s in daemon.get("/v1/sets")["sets"]}
    assert sets == {"one": [], "two": ["x"]}
    daemon.apply({"x": daemon.service("pause")}, name="two")  # no conflict with itself


def probing(marker):
    """How many commands of a probe run."""
    return sum(marker in procfs.read(f"/proc/{pid}/cmdline").split("\0")
               for pid in os.listdir("/proc") if pid.isdigit())


def test_a_probe_that_goes_and_comes_back_runs_once(daemon):
    """An edit takes a probe away while it runs, the next one gives it back: the first run must not
    outlive its replica."""
    marker = "2003.25"
    probes = {"liveness": {"exec": {"command": ["/bin/sleep", marker]}, "period": "100ms",
                           "timeout": "20s"}}
    with_probe = {"x": daemon.service("pause", probes=probes)}
    daemon.apply(with_probe)
    wait_for(lambda: probing(marker) == 1)
    daemon.apply({"x": daemon.service("pause")})
    wait_for(lambda: probing(marker) == 0, 5, "nobody asks any more")
    daemon.apply(with_probe)
    wait_for(lambda: probing(marker) == 1)
    daemon.apply({"x": daemon.service("pause")})
    daemon.apply(with_probe)
    daemon.change("delete", services=["x"])
    wait_for(lambda: probing(marker) == 0, 5, "it went with its replica")


@pytest.mark.containers
def test_reset_while_a_sick_one_is_stopped(daemon):
    """The back-off that was decided when it was condemned is forgotten, too."""
    daemon.apply({"x": daemon.shell(
        "trap '' TERM; while :; do sleep 0.1; done", stop={"grace_period": "2s"},
        restart={"backoff": {"initial": "50s", "jitter": 0}, "budget": {"restarts": 0}},
        probes={"liveness": {"exec": {"command": ["/bin/false"]}, "period": "100ms",
                             "failure_threshold": 1}})}, wait=False)
    wait_for(lambda: (r := daemon.replica("x")) and r["state"] == "stopping")
    before = daemon.replica("x")["incarnation"]
    status, change = daemon.api("POST", "/v1/changes", {"id": str(uuid.uuid4()), "kind": "reset",
                                                        "services": ["x"]})
    assert status == 202, change
    wait_for(lambda: daemon.replica("x")["incarnation"] != before, 15, "it starts again")


def while_the_disk_is_slow(daemon, *bodies):
    """Sends the changes one after the other; each is under way before the next, none is written."""
    database = sqlite3.connect(os.path.join(daemon.state_dir, "aictl.db"), isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            replies = []
            for body in bodies:
                replies.append(pool.submit(daemon.api, "POST", "/v1/changes", body))
                wait_for(lambda: daemon.api("GET", f"/v1/changes/{body['id']}")[0] == 200)
            database.execute("ROLLBACK")
            assert [r.result()[0] for r in replies] == [202] * len(bodies)
    finally:
        database.close()


def test_a_scale_while_an_apply_is_being_written(daemon):
    """Both are kept: the row of the later one must not bring the old manifest back."""
    def spec(value):
        return {"x": daemon.service("pause", environment={"VALUE": value})}

    daemon.apply(spec("old"))
    path = daemon.write({"version": 1, "name": "shop", "services": spec("new")}, "new.yaml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    bodies = [{"id": str(uuid.uuid4()), "kind": "apply", "manifests": [{"path": path, "text": text}]},
              {"id": str(uuid.uuid4()), "kind": "scale", "replicas": {"x": 2}}]
    while_the_disk_is_slow(daemon, *bodies)
    wait_for(lambda: len(daemon.ps()["x"]["replicas"]) == 2)
    controller = daemon.helper("controller")
    os.kill(controller, signal.SIGKILL)
    wait_for(lambda: daemon.helper("controller") not in (None, controller))
    wait_for(lambda: daemon.mode() == "normal")
    assert daemon.describe("x")["spec"]["environment"] == {"VALUE": "new"}
    assert len(daemon.ps()["x"]["replicas"]) == 2


def test_an_apply_while_a_delete_is_being_written(daemon):
    """The later of the two wins, here and in the store."""
    daemon.apply({"x": daemon.service("pause"), "y": daemon.service("pause")})
    path = daemon.write({"version": 1, "name": "shop", "services": {
        "x": daemon.service("pause"), "y": daemon.service("pause", environment={"A": "1"})}}, "n.yaml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    bodies = [{"id": str(uuid.uuid4()), "kind": "delete", "services": ["x"]},
              {"id": str(uuid.uuid4()), "kind": "apply", "manifests": [{"path": path, "text": text}]}]
    while_the_disk_is_slow(daemon, *bodies)
    for body in bodies:
        change = daemon.get(f"/v1/changes/{body['id']}/wait?timeout_ms=15000")
        assert change["state"] == "done", change
    daemon.wait_state("x", "ready", 10)
    daemon.wait_state("y", "ready", 10)
    controller = daemon.helper("controller")
    os.kill(controller, signal.SIGKILL)
    wait_for(lambda: daemon.helper("controller") not in (None, controller))
    wait_for(lambda: daemon.mode() == "normal")
    assert set(daemon.ps()) == {"x", "y"}


@pytest.mark.containers
def test_a_stop_that_a_start_overtakes(daemon):
    """Whoever waits for the stop does not wait for ever."""
    daemon.apply({"x": daemon.shell("trap '' TERM; while :; do sleep 0.1; done",
                                    stop={"grace_period": "2s"})})
    ids = [str(uuid.uuid4()), str(uuid.uuid4())]
    for number, kind in zip(ids, ("stop", "start")):
        status, change = daemon.api("POST", "/v1/changes",
                                    {"id": number, "kind": kind, "services": ["x"]})
        assert status == 202, change
    for number in ids:
        status, change = daemon.api("GET", f"/v1/changes/{number}/wait?timeout_ms=15000")
        assert change["state"] == "done", change


def test_the_end_while_plans_are_made(start):
    """The worker still reads what it was given when the controller ends."""
    daemon = start()
    services = {f"s{i}": daemon.service("pause", environment={f"N{k}": "v" for k in range(20)})
                for i in range(150)}
    body = {"manifests": [{"path": "/x.yaml",
                           "text": json.dumps({"version": 1, "name": "big", "services": services})}]}

    def ask():
        try:
            return daemon.api("POST", "/v1/plan", body)[0]
        except (OSError, http.client.HTTPException):
            return None  # it ended first

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask) for _ in range(16)]
        wait_for(lambda: any(a.done() for a in asked))
        assert daemon.stop() == 0


def test_a_live_edit_leaves_what_is_still_to_be_replaced(daemon):
    """In the middle of an update that gets stuck, the old replica keeps the probes that it passes."""
    def spec(value, probe, **keys):
        return {"x": daemon.service("pause", replicas=2, environment={"VALUE": value}, probes={
            "readiness": {"exec": {"command": [probe]}, "period": "100ms"}}, **keys)}

    daemon.apply(spec("old", "/bin/true"))
    pid = daemon.pid_of("x", 1)
    daemon.apply(spec("new", "/bin/false"), wait=False)
    wait_for(lambda: any(r["revision"] == 2 for r in daemon.ps()["x"]["replicas"]))
    daemon.apply(spec("new", "/bin/false", logs={"max_files": 7}), wait=False)
    old = [r for r in daemon.describe("x")["replicas"] if r["index"] == 1][0]
    assert old["probes"]["readiness"]["handler"] == "exec /bin/true"
    assert (old["pid"], old["revision"], old["state"]) == (pid, 1, "ready")
