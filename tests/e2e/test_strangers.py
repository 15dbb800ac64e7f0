"""A replica whose port another process has taken gets no request: with cgroups, and without them by its
user.

SPDX-License-Identifier: MIT
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from harness import wait_for
from test_helpers import kill_helper
from test_traffic import ask, free_port, wait_open
from test_update import wait_rollout

HOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "holder.py")
TCP = {"readiness": {"tcp": {}, "period": "100ms"}}
ALONE = "there is no cgroup2 tree that the daemon may use"

WAYS = [pytest.param("cgroup", id="cgroup"),
        pytest.param("uid", id="uid", marks=pytest.mark.needs_root)]


class Holder:
    """A service by holder.py; user: not the one of all the others."""

    def __init__(self, daemon, name, user=None):
        self.daemon, self.name, self.user = daemon, name, user
        self.dir = pathlib.Path(daemon.base) / name
        self.dir.mkdir()
        self.dir.chmod(0o777)
        self.program = os.path.join(daemon.base, "holder.py")
        shutil.copy(HOLDER, self.program)
        os.chmod(self.program, 0o644)

    def spec(self, at="${PORT}", **keys):
        keys = {"command": [sys.executable, self.program, str(at), self.name, str(self.dir)],
                "stop": {"grace_period": "1s"}, **keys}
        if self.user:
            keys["user"] = self.user
        return {**self.daemon.service(), **keys}

    def listen(self, state="listening"):
        (self.dir / "listen").touch()
        self.wait(state)

    def let_go(self):
        (self.dir / "listen").unlink()
        self.wait("idle")

    def wait(self, state):
        wait_for(lambda: self.state() == state, what=lambda: f"{self.name}: {state}, not {self.state()}")

    def state(self):
        path = self.dir / "state"
        return path.read_text() if path.exists() else None

    def requests(self):
        path = self.dir / "requests"
        return len(path.read_text()) if path.exists() else 0


def replica(daemon, service="web"):
    return daemon.describe(service)["replicas"][0]


def wait_state(daemon, state, service="web"):
    return wait_for(lambda: (r := replica(daemon, service))["state"] == state and r, timeout=60,
                    what=lambda: f"{state}, not {replica(daemon, service)}")


def begin(start, way):
    """(daemon, the service behind the port, the stranger)."""
    daemon = start(*(["--cgroup", "none"] if way == "uid" else []))
    can = daemon.api("GET", "/v1/daemon")[1]["cgroup"]["can"]
    assert way == "cgroup" or not can
    if way == "cgroup" and "track" not in can:
        pytest.skip(ALONE)
    return daemon, Holder(daemon, "web"), Holder(daemon, "thief", "daemon" if way == "uid" else None)


def serve(daemon, web, port, **keys):
    """The service behind the stable port; the number of its replica's own."""
    daemon.apply({web.name: web.spec(port=port, hold="1s", queue={"timeout": "1s"}, **keys)}, name=web.name)
    wait_open(daemon, web.name)
    return replica(daemon, web.name)["port"]


def rob(daemon, thief, port):
    daemon.apply({"thief": thief.spec(port)}, name="thief")
    thief.listen()


@pytest.mark.parametrize("way", WAYS)
def test_it_lets_go_and_another_takes_it(start, way):
    daemon, web, thief = begin(start, way)
    port = free_port()
    own = serve(daemon, web, port)
    web.listen()
    assert ask(port)[0] == 200 and web.requests() == 1
    pid = daemon.pid_of("web")
    web.let_go()
    rob(daemon, thief, own)
    r = wait_state(daemon, "unready")
    before = thief.requests()
    assert r["reason"] == "port_taken" and str(own) in r["message"], r
    assert ("thief/0" if way == "cgroup" else "uid") in r["message"], r
    for _ in range(3):
        assert ask(port)[0] == 503
    assert thief.requests() == before and daemon.pid_of("web") == pid
    check_told(daemon, way, own, thief)
    thief.let_go()
    web.listen()
    r = wait_state(daemon, "ready")
    assert r["restarts"] == 0 and daemon.pid_of("web") == pid
    seen = web.requests()
    assert ask(port)[0] == 200 and web.requests() == seen + 1 and thief.requests() == before


def check_told(daemon, way, own, thief):
    """ps, describe, why and events say who it is."""
    who = "thief/0" if way == "cgroup" else "uid"
    for command in ("ps", "describe web", "why web", "events"):
        text = daemon.ok(*command.split())
        assert f"listens on its port {own}" in " ".join(text.split()) and who in text, (command, text)
    why = json.loads(daemon.ok("why", "web", "-o", "json"))
    proof = [e["text"] for link in why["links"] for e in link["evidence"] if e["kind"] == "port"]
    assert proof and f"127.0.0.1:{own}" in proof[0], why
    if way == "cgroup":
        assert f"pid {daemon.pid_of('thief')}" in proof[0]


@pytest.mark.parametrize("way", WAYS)
def test_one_who_was_there_first(start, way):
    """No request reaches it, not one: the replica is never ready, and is when the other one is gone."""
    daemon, web, thief = begin(start, way)
    port = free_port()
    gate = web.dir / "ready"
    daemon.apply({"web": web.spec(port=port, hold="1s", queue={"timeout": "1s"}, probes={
        "readiness": {"exec": {"command": ["test", "-e", str(gate)]}, "period": "100ms"}})}, wait=False, name="web")
    own = wait_for(lambda: daemon.pid_of("web") and replica(daemon)["port"], what="it runs")
    wait_open(daemon)
    rob(daemon, thief, own)
    web.dir.joinpath("listen").touch()
    web.wait("taken")
    gate.touch()
    r = wait_for(lambda: (r := replica(daemon))["reason"] == "port_taken" and r, what="it is told")
    assert r["state"] == "starting" and r["port"] == own, r
    check_told(daemon, way, own, thief)
    assert ask(port)[0] == 503 and thief.requests() == 0
    thief.let_go()
    wait_state(daemon, "ready")
    web.wait("listening")
    assert ask(port)[0] == 200 and web.requests() == 1 and thief.requests() == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_probe_that_the_other_one_answers(start, way):
    """Its readiness passes all the same; what a controller knew the next one finds out."""
    daemon, web, thief = begin(start, way)
    port = free_port()
    web.dir.joinpath("listen").touch()
    own = serve(daemon, web, port, probes=TCP)
    web.let_go()
    wait_state(daemon, "unready")
    rob(daemon, thief, own)
    wait_for(lambda: replica(daemon)["reason"] == "port_taken", what=lambda: f"it is told: {replica(daemon)}")
    kill_helper(daemon, "controller")
    wait_for(lambda: daemon.mode() == "normal", what="the next controller")
    r = wait_for(lambda: (r := replica(daemon))["reason"] == "port_taken" and r, timeout=60,
                 what=lambda: f"it is told again: {replica(daemon)}")
    assert r["state"] == "unready" and ask(port)[0] == 503 and thief.requests() == 0
    thief.let_go()
    web.listen()
    wait_state(daemon, "ready")
    assert ask(port)[0] == 200 and thief.requests() == 0


def robbed(start, change=None):
    """A replica that is unready since another one took its port."""
    daemon, web, thief = begin(start, "cgroup")
    spec = web.spec(port=free_port())
    daemon.apply({"web": {**spec, **(change(spec) if change else {})}}, name="web")
    rob(daemon, thief, replica(daemon)["port"])
    wait_state(daemon, "unready")
    return daemon, thief


def test_an_update_whose_port_is_taken(start):
    """It fails by its deadline, and that is why: its probe has passed."""
    daemon, web, thief = begin(start, "cgroup")
    gate = web.dir / "ready"
    probes = {"readiness": {"exec": {"command": ["sh", "-c", f"test -e {gate} && echo all is well"]},
                            "period": "100ms"}}
    keys = {"port": free_port(), "update": {"order": "stop-first", "on_failure": "continue"}}
    daemon.apply({"web": web.spec(**keys)}, name="web")
    before = daemon.pid_of("web")
    keys.update(probes=probes, environment={"AGAIN": "1"})
    daemon.apply({"web": web.spec(**keys)}, wait=False, name="web")
    wait_for(lambda: daemon.pid_of("web") not in (None, 0, before), what="the next one")
    own = replica(daemon)["port"]
    rob(daemon, thief, own)
    gate.touch()
    wait_for(lambda: replica(daemon)["reason"] == "port_taken", what=lambda: f"it is told: {replica(daemon)}")
    keys["update"]["deadline"] = "1s"
    daemon.apply({"web": web.spec(**keys)}, wait=False, name="web")
    r = wait_rollout(daemon, "failed")
    assert f"listens on its port {own}" in r["reason"] and "all is well" not in r["reason"], r
    assert replica(daemon)["restarts"] == 0


def test_a_stop_stays_one(start):
    """While it takes its time nobody asks it any more: that is no probe that passed."""
    daemon, _ = robbed(start, lambda spec: {
        "command": ["/bin/sh", "-c", 'trap "" TERM; exec "$@"', "sh", *spec["command"]],
        "stop": {"grace_period": "3s", "drain": "0s"}})
    with subprocess.Popen(daemon.cli_argv("stop", "web"), env={**daemon.env, "AICTL_SOCKET": daemon.socket},
                          stdout=subprocess.DEVNULL) as stop:
        wait_state(daemon, "stopping")
        seen = set()
        while (r := daemon.describe("web")["replicas"]) and r[0]["state"] == "stopping":
            seen.add(r[0]["reason"])
        assert stop.wait(timeout=60) == 0
    assert seen == {"user_stop"}, seen
    assert "nobody else listens" not in daemon.log()


def limit_descriptors(pid, soft):
    """As the user of that process, for that may be another one than ours."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    uid, gid = (int(re.search(rf"^{key}:\s+(\d+)", status, re.M)[1]) for key in ("Uid", "Gid"))
    user = {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={soft}:"], check=True, **user)


def test_a_shortage_passes(start):
    """A controller that had no descriptor for a moment still looks: the replica is not left unready."""
    daemon, thief = robbed(start)
    controller = daemon.helper("controller")
    limits = pathlib.Path(f"/proc/{controller}/limits").read_text()
    before = re.search(r"^Max open files\s+(\d+)", limits, re.M)[1]
    limit_descriptors(controller, 0)
    wait_for(lambda: "who listens (Too many open files)" in daemon.log(), what="it cannot look")
    limit_descriptors(controller, before)
    thief.let_go()
    wait_state(daemon, "ready")
    assert daemon.helper("controller") == controller


def test_what_belongs_to_it(start):
    """A child listens, in a session of its own: that is the replica's."""
    daemon, web, _ = begin(start, "cgroup")
    port = free_port()
    spec = web.spec(port=port, probes=TCP)
    web.dir.joinpath("listen").touch()
    spec["command"] = ["/bin/sh", "-c", 'setsid "$@" & wait', "sh", *spec["command"]]
    daemon.apply({"web": spec})
    wait_open(daemon)
    assert ask(port)[0] == 200


@pytest.mark.needs_root
def test_a_cgroup_below_its_own(start):
    """A replica may have made cgroups of its own: who was born there belongs to it."""
    daemon, web, thief = begin(start, "cgroup")
    bait, port = Holder(daemon, "bait"), free_port()
    serve(daemon, web, port)
    below = pathlib.Path(daemon.api("GET", "/v1/daemon")[1]["cgroup"]["dir"]) / "web.0" / "a" / "b"
    below.mkdir(parents=True)
    (below / "cgroup.procs").write_text(str(daemon.pid_of("web")))
    web.listen()
    # The look that finds this one is of all.
    rob(daemon, thief, serve(daemon, bait, free_port()))
    wait_state(daemon, "unready", "bait")
    assert replica(daemon)["state"] == "ready" and ask(port)[0] == 200


def test_nobody_can_say(start, base):
    """A kernel that refuses: all is as without the check; doctor and the log say so, once."""
    daemon = start(wrapper=[os.path.join(base, "svc"), "nodiag"])
    web, thief = Holder(daemon, "web"), Holder(daemon, "thief")
    port = free_port()
    own = serve(daemon, web, port)
    rob(daemon, thief, own)
    assert replica(daemon)["state"] == "ready" and ask(port)[0] == 200 and thief.requests() == 1
    checks = json.loads(daemon.cli("doctor", "-o", "json")[1])["checks"]
    assert "not checked" in next(c["found"] for c in checks if c["name"] == "ports"), checks
    assert daemon.log().count("the kernel does not say who listens") == 1
