"""What plan says is what apply does: 200 random pairs of manifests, observed by incarnations, pids
and events; and what survives an apply: a stop, a scaled number, the revision's history.

SPDX-License-Identifier: MIT
"""
import base64
import json
import os
import random
import subprocess
import threading
import time
import uuid

import pytest

import procfs
from harness import AS_ROOT, CAMPAIGN, IN_PLACE, Daemon, wait_for
from test_helpers import kill_helper, wait_helper

PAIRS = int(os.environ.get("AICTL_E2E_PAIRS", "200"))
SEED = int(os.environ.get("AICTL_E2E_SEED", time.time_ns() % 1_000_000))
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox"]
# What manifests may name, sent along as a client does; two pairs of equal content.
FILES = {"/s/env1": "E=1\n", "/s/env2": "# another\nE=1\n", "/s/env3": "E=2\nF=3\n",
         "/s/key1": "hunter2", "/s/key2": "hunter2", "/s/key3": "swordfish"}
VARIABLES = {"/s/env1": {"E": "1"}, "/s/env2": {"E": "1"}, "/s/env3": {"E": "2", "F": "3"}}
EXEC_PROBE = {"readiness": {"exec": {"command": ["/bin/true"]}, "period": "100ms"}}


# ---- random manifests ----

def choices(daemon, name):
    """key -> the values it may have; None = not given."""
    port = 18300 + NAMES.index(name)
    return {"command": [[daemon.svc, "pause"], [daemon.svc, "beat"]],
            "environment": [None, {"A": "1"}, {"A": "2"}, {"A": "1", "E": "1"}],
            "env_file": [None, ["/s/env1"], ["/s/env2"], ["/s/env3"]],
            "secrets": [None, {"key": {"file": "/s/key1"}}, {"key": {"file": "/s/key2"}},
                        {"key": {"file": "/s/key3"}}],
            "ports": [None, {"m": {}}, {"m": {"port": port}}, {"n": {}}],
            "umask": [None, "077"],
            "nice": [None, 3],
            "ulimits": [None, {"core": 0}],
            "working_dir": [None, "/tmp"],
            "replicas": [None, 0, 1, 2, 3],
            "description": [None, "one", "two"],
            "labels": [None, {"team": "nlp"}],
            "probes": [None, None, EXEC_PROBE],
            "restart": [None, {"policy": "on-failure"}, {"backoff": {"max": "7s"}}],
            "stop": [None, {"grace_period": "9s"}, {"signal": "SIGINT"}],
            "logs": [None, {"max_files": 3}]}


def random_service(rng, daemon, name):
    spec = {key: rng.choice([None, *values]) if key != "command" else rng.choice(values)
            for key, values in choices(daemon, name).items()}
    if AS_ROOT:
        spec["user"] = "nobody"
    spec["update"] = IN_PLACE  # who was replaced is seen by the index
    return {key: value for key, value in spec.items() if value is not None}


def mutate(rng, daemon, name, spec):
    """Another value for none to three of its keys."""
    spec, values = dict(spec), choices(daemon, name)
    for key in rng.sample(sorted(values), rng.choice([0, 0, 1, 1, 2, 3])):
        spec[key] = rng.choice(values[key])
    return {key: value for key, value in spec.items() if value is not None}


def next_manifest(rng, daemon, last):
    services = {name: mutate(rng, daemon, name, spec) for name, spec in last.items()
                if rng.random() > 0.12}
    for name in NAMES:
        if name not in services and rng.random() < 0.3:
            services[name] = random_service(rng, daemon, name)
    return services or {"ant": random_service(rng, daemon, "ant")}


def of_the_process(spec):
    """What a process is started with: a change of it replaces. Written down a second time here:
    the daemon's own table is not asked."""
    environment = {}
    for path in spec.get("env_file", []):
        environment |= VARIABLES[path]
    environment |= spec.get("environment", {})
    secrets = {name: FILES[s["file"]] for name, s in spec.get("secrets", {}).items()}
    return [environment, secrets, sorted(spec.get("ports", {})),
            *(spec.get(key) for key in ("command", "umask", "nice", "ulimits", "working_dir"))]


def expected_action(name, old, new, prune):
    """By the keys alone. None: the plan does not name it."""
    if name not in new:
        return "stop" if prune else None
    if name not in old:
        return "start"
    if of_the_process(old[name]) != of_the_process(new[name]):
        return "replace"
    before, after = ({"replicas": 1, **m[name], "environment": None} for m in (old, new))
    return "live" if before != after else "none"


# ---- observing ----

def manifests(daemon, services):
    named = {path for s in services.values()
             for path in [*s.get("env_file", []),
                          *(x["file"] for x in s.get("secrets", {}).values())]}
    return [{"path": os.path.join(daemon.base, "m", "aictl.yaml"),
             "text": json.dumps({"version": 1, "name": "zoo", "services": services})},
            *({"path": path, "base64": base64.b64encode(FILES[path].encode()).decode()}
              for path in sorted(named))]


def processes(daemon):
    """id -> (incarnation, pid)"""
    return {r["id"]: (r["incarnation"], r["pid"])
            for s in daemon.get("/v1/services")["services"] for r in s["replicas"]}


def observed(before, after):
    """id -> start, stop or restart, by what ran before and what runs after."""
    touched = {i: "start" for i in after.keys() - before.keys()}
    touched |= {i: "stop" for i in before.keys() - after.keys()}
    return touched | {i: "restart" for i in before.keys() & after.keys()
                      if before[i] != after[i]}


def order(events):
    """service -> ids in the order in which they were first touched."""
    seen = {}
    for e in events:
        if e["type"] == "state" and e["to"] in ("starting", "stopping"):
            ids = seen.setdefault(e["service"], [])
            if f"{e['service']}/{e['replica']}" not in ids:
                ids.append(f"{e['service']}/{e['replica']}")
    return seen


def newest(daemon):
    lines = daemon.lines("/v1/events?n=1")
    return lines[-1]["seq"] if lines else 0


def meddle(rng, daemon, services):
    """Now and then the user has stopped or scaled something before."""
    if not services or rng.random() > 0.25:
        return
    name = rng.choice(sorted(services))
    if rng.random() < 0.4:
        daemon.change("stop", services=[name])
    elif rng.random() < 0.5:
        daemon.change("start", services=[name])
    else:
        daemon.change("scale", replicas={name: rng.randrange(4)})


def one_pair(daemon, old, new, prune):
    body = {"manifests": manifests(daemon, new), "prune": prune}
    status, plan = daemon.api("POST", "/v1/plan", body)
    assert status == 200, plan
    actions = {s["name"]: s["action"] for s in plan["services"]}
    names = old.keys() | new.keys()
    assert actions == {n: a for n in names if (a := expected_action(n, old, new, prune))}
    for s in plan["services"]:  # the keys say the same
        classes = {key["class"] for key in s["keys"]}
        said = "replace" if "replace" in classes else "live" if classes else "none"
        assert s["action"] in ("start", "stop") or s["action"] == said, s
    assert plan["changes"] == any(a != "none" for a in actions.values())
    assert set(plan["not_in_manifest"]) == (set() if prune else old.keys() - new.keys())
    before, seq = processes(daemon), newest(daemon)
    change = daemon.change("apply", **body)
    assert change["revision"] == plan["next_revision"]
    planned = {r["id"]: r["action"] for s in plan["services"] for r in s["replicas"]}
    assert observed(before, processes(daemon)) == planned
    in_order = {s["name"]: [r["id"] for r in s["replicas"]] for s in plan["services"]
                if s["replicas"]}
    assert order(daemon.lines(f"/v1/events?since={seq}&n=1000")) == in_order
    return planned


def test_plan_is_what_apply_does(daemon):
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    os.makedirs(os.path.join(daemon.base, "m"))
    have, touched = {}, []
    for pair in range(PAIRS):
        meddle(rng, daemon, have)
        prune = rng.random() < 0.5
        new = next_manifest(rng, daemon, have)
        try:
            touched += one_pair(daemon, have, new, prune).values()
        except AssertionError as error:
            raise AssertionError(f"seed {SEED}, pair {pair}, prune {prune}\nfrom {have}\nto {new}\n"
                                 f"{error}") from error
        have = new if prune else {**have, **new}
    if PAIRS >= 200:  # it has seen something of all kinds
        assert min(touched.count(a) for a in ("start", "stop", "restart")) >= PAIRS / 4


# ---- what survives ----

def test_stopped_stays_stopped(start):
    daemon = start("--helper-restart", CAMPAIGN)
    spec = daemon.service("pause", replicas=2)
    daemon.apply({"a": spec, "b": daemon.service("pause")})
    daemon.ok("stop", "a")
    out = daemon.apply({"a": {**spec, "environment": {"X": "1"}}, "b": daemon.service("pause")})
    assert "updated" in out and daemon.ps()["a"]["state"] == "stopped"
    old = kill_helper(daemon, "controller")
    wait_helper(daemon, "controller", old)
    assert daemon.get("/v1/services")["services"][0]["state"] == "stopped"
    assert daemon.ps()["b"]["state"] == "ready"
    daemon.stop()
    daemon.start()
    service = daemon.wait_state("a", "stopped")
    assert service["drift"] == [{"key": "stopped", "manifest": False, "actual": True}]
    assert service["replicas"] == []
    assert daemon.ok("apply", "-f", os.path.join(daemon.base, "m", "shop.yaml")) == \
        "nothing to change (revision 2)\n"
    daemon.ok("start", "a")
    assert procfs.environ(daemon.pid_of("a"))["X"] == "1"


def test_scale_survives_until_the_number_changes(start):
    daemon = start("--helper-restart", CAMPAIGN)
    daemon.apply({"a": daemon.service("pause", replicas=2)})
    daemon.ok("scale", "a=3")
    daemon.apply({"a": daemon.service("pause", replicas=2, environment={"X": "1"})})
    assert len(daemon.ps()["a"]["replicas"]) == 3
    kill_helper(daemon, "controller")
    service = daemon.wait_state("a", "ready")
    assert service["drift"] == [{"key": "replicas", "manifest": 2, "actual": 3}]
    plan = json.loads(daemon.ok("plan", "-f", os.path.join(daemon.base, "m", "shop.yaml"),
                                "-o", "json"))
    assert not plan["changes"] and plan["services"][0]["action"] == "none"
    assert plan["drift"] == [{"service": "a", "key": "replicas", "manifest": 2, "actual": 3}]
    daemon.apply({"a": daemon.service("pause", replicas=1, environment={"X": "1"})})
    service = daemon.ps()["a"]
    assert len(service["replicas"]) == 1 and service["drift"] == []


def test_expected_unavailability(start):
    """From how long the last start took; known to the next controller, too."""
    daemon = start("--helper-restart", CAMPAIGN)
    spec = daemon.service("http", "400", port=18350, probes={
        "readiness": {"http": {"path": "/ready"}, "period": "100ms"}})
    daemon.apply({"a": spec, "b": {**spec, "port": 18351, "replicas": 2}})

    def plan():
        changed = {n: {**s, "environment": {"X": "1"}} for n, s in
                   {"a": spec, "b": {**spec, "port": 18351, "replicas": 2}}.items()}
        path = daemon.write({"version": 1, "name": "shop", "services": changed}, "next.yaml")
        reply = json.loads(daemon.ok("plan", "-f", path, "-o", "json"))
        return [s["unavailable"] for s in reply["services"]]

    before = plan()
    a, b = before
    assert (a["replicas"], a["of"], a["service_down"]) == (1, 1, True)
    assert (b["replicas"], b["of"], b["service_down"]) == (1, 2, False)
    assert 400 <= a["expected_ms"] < 20000 and 400 <= b["expected_ms"] < 20000
    old = kill_helper(daemon, "controller")
    wait_helper(daemon, "controller", old)
    daemon.wait_state("b", "ready")
    assert plan() == before


# ---- revisions ----

def test_revisions(daemon):
    spec = daemon.service("pause")
    for n in range(12):
        daemon.apply({"a": {**spec, "description": str(n)}}, wait=False)
    daemon.apply({"a": {**spec, "description": "11"}}, wait=False)  # unchanged: no revision
    history = json.loads(daemon.ok("rollout", "history", "-o", "json"))
    assert history["set"] == "shop"
    assert [r["number"] for r in history["revisions"]] == list(range(12, 2, -1))
    assert len({r["hash"] for r in history["revisions"]}) == 10
    newest_one = history["revisions"][0]
    assert newest_one["services"] == ["a"] and newest_one["uid"] == os.geteuid()
    assert newest_one["user"] and newest_one["git"] is None
    daemon.stop()
    daemon.start()
    assert json.loads(daemon.ok("rollout", "history", "shop", "-o", "json")) == history
    (one,) = json.loads(daemon.ok("rollout", "history", "--revision", "5", "-o",
                                  "json"))["revisions"]
    assert json.loads(one["manifests"][0]["text"])["services"]["a"]["description"] == "4"
    assert '"description": "4"' in daemon.ok("rollout", "history", "--revision", "5")
    assert daemon.cli("rollout", "history", "--revision", "2")[0] == 4
    assert daemon.cli("rollout", "history", "nope")[0] == 4
    assert daemon.cli("rollout", "undo")[0] == 2
    assert daemon.get("/v1/sets") == {"sets": [{"name": "shop", "revision": 12,
                                                "services": ["a"]}]}


def git(directory, *args):
    subprocess.run(["git", "-C", directory, "-c", "user.name=x", "-c", "user.email=x@localhost",
                    *args], check=True, capture_output=True, stdin=subprocess.DEVNULL,
                   env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})


def has_git():
    try:
        return subprocess.run(["git", "version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not has_git(), reason="needs git")
def test_git_commit_of_the_manifest(daemon):
    def last():
        return daemon.get("/v1/revisions?set=shop")["revisions"][0]["git"]

    spec = daemon.service("pause")
    path = daemon.write({"version": 1, "name": "shop", "services": {"a": spec}})
    directory = os.path.dirname(path)
    git(directory, "init", "-q", "-b", "trunk")
    daemon.ok("apply", "-f", path)
    assert last() is None  # no commit yet
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "one")
    commit = subprocess.run(["git", "-C", directory, "rev-parse", "HEAD"], check=True, text=True,
                            capture_output=True).stdout.strip()
    daemon.write({"version": 1, "name": "shop", "services": {"a": {**spec, "description": "x"}}})
    daemon.ok("apply", "-f", path)
    assert last() == {"commit": commit, "branch": "trunk", "dirty": True}
    git(directory, "commit", "-q", "-a", "-m", "two")
    git(directory, "checkout", "-q", "--detach")
    spec["description"] = "y"
    other = daemon.write({"version": 1, "name": "shop", "services": {"a": spec}}, "other.yaml")
    daemon.ok("apply", "-f", other)
    assert last()["branch"] is None and last()["dirty"] is False
    assert "(dirty)" not in daemon.ok("rollout", "history").splitlines()[1]


def test_a_hung_git_holds_nothing(daemon):
    tools = os.path.join(daemon.base, "bin")
    os.mkdir(tools)
    with open(os.path.join(tools, "git"), "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nexec sleep 60\n")
    os.chmod(os.path.join(tools, "git"), 0o755)
    path = daemon.write({"version": 1, "name": "shop", "services": {"a": daemon.service("pause")}})
    rc, out, err = daemon.cli("apply", "-f", path, env={"PATH": f"{tools}:{os.environ['PATH']}"},
                              timeout=20)
    assert rc == 0, out + err
    assert daemon.get("/v1/revisions")["revisions"][0]["git"] is None


# ---- conflicts, ids ----

def test_if_revision(daemon):
    path = daemon.write({"version": 1, "name": "shop", "services": {"a": daemon.service("pause")}})
    assert daemon.cli("apply", "-f", path, "--if-revision", "1")[0] == 8
    assert daemon.get("/v1/sets") == {"sets": []}
    daemon.ok("apply", "-f", path, "--if-revision", "0")
    rc, _, err = daemon.cli("apply", "-f", path, "--if-revision", "0")
    assert rc == 8 and 'set "shop" is at revision 1, not 0' in err
    assert "rollout history" in err
    assert daemon.cli("apply", "-f", path, "--if-revision", "0", "--dry-run")[0] == 8
    assert daemon.cli("apply", "-f", path, "--if-revision", "1", "--dry-run")[0] == 0
    daemon.ok("apply", "-f", path, "--if-revision", "1")
    assert daemon.cli("apply", "-f", path, "--if-revision", "-1")[0] == 2
    daemon.ok("delete", "--set", "shop")
    daemon.ok("apply", "-f", path, "--if-revision", "0")  # there is no such set again


def test_two_at_once_one_wins(daemon):
    daemon.write("", "x.yaml")
    results = []

    def apply(n):
        services = {"a": daemon.service("pause", description=str(n))}
        results.append(daemon.api("POST", "/v1/changes", {
            "id": str(uuid.uuid4()), "kind": "apply", "if_revision": 0,
            "manifests": manifests(daemon, services)}))

    threads = [threading.Thread(target=apply, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(status for status, _ in results) == [202] + 7 * [409]
    assert {r["error"]["code"] for status, r in results if status == 409} == {"revision_conflict"}
    assert len(daemon.get("/v1/revisions?set=zoo")["revisions"]) == 1


def test_an_id_is_one_change(daemon):
    daemon.write("", "x.yaml")
    body = {"id": str(uuid.uuid4()), "kind": "apply",
            "manifests": manifests(daemon, {"a": daemon.service("pause")})}
    other = {**body, "manifests": manifests(daemon, {"b": daemon.service("pause")})}
    results = []
    threads = [threading.Thread(target=lambda b=b: results.append(
        daemon.api("POST", "/v1/changes", b))) for b in (body, other, body, other)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [status for status, _ in results] == 4 * [202]
    assert len({json.dumps([s["name"] for s in c["services"]]) for _, c in results}) == 1
    assert len(daemon.get("/v1/services")["services"]) == 1
    status, reply = daemon.api("POST", "/v1/changes", {**body, "kind": "stop", "services": ["a"]})
    assert (status, reply["error"]["code"]) == (409, "conflict")


def test_wrong_bodies(daemon):
    daemon.write("", "x.yaml")
    good = {"manifests": manifests(daemon, {"a": daemon.service("pause")})}
    for wrong in ({"prune": "yes"}, {"if_revision": -1}, {"if_revision": 1.5},
                  {"if_revision": "1"}, {"origin": {"user": "x" * 300}},
                  {"origin": {"user": "\x1b[31m"}}, {"origin": {"user": "\x9b31m"}},
                  {"origin": {"git": {"commit": 7}}},
                  {"manifests": []}, {"manifests": [{"path": "a", "text": ""}]}):
        for where, more in (("/v1/plan", {}),
                            ("/v1/changes", {"kind": "apply", "id": str(uuid.uuid4())})):
            status, reply = daemon.api("POST", where, {**good, **more, **wrong})
            assert (status, reply["error"]["code"]) == (400, "invalid"), (where, wrong, reply)
    for wrong in ({"kind": "kill", "services": ["a"], "signal": 9},
                  {"kind": "kill", "services": ["a"], "signal": "SIGNONE"},
                  {"kind": "delete", "set": 7}, {"kind": "reset", "services": "a"}):
        status, reply = daemon.api("POST", "/v1/changes", {"id": str(uuid.uuid4()), **wrong})
        assert (status, reply["error"]["code"]) == (400, "invalid"), (wrong, reply)
    assert daemon.ps() == {} and daemon.get("/v1/sets") == {"sets": []}


# ---- prune, delete, kill, reset ----

def test_prune_and_leftovers(daemon):
    daemon.apply({n: daemon.service("pause") for n in "abc"})
    daemon.apply({"x": daemon.service("pause")}, name="lab")
    path = daemon.write({"version": 1, "name": "shop", "services": {"a": daemon.service("pause")}})
    rc, out, err = daemon.cli("apply", "-f", path)
    assert rc == 0 and out == "nothing to change (revision 1)\n"
    assert "b is in set shop" in err and "--prune" in err
    rc, out, _ = daemon.cli("plan", "-f", path, "--exit-code")
    assert rc == 0
    rc, out, _ = daemon.cli("plan", "-f", path, "--exit-code", "--prune")
    assert rc == 10
    before = processes(daemon)
    assert daemon.cli("apply", "-f", path, "--prune", "--dry-run")[0] == 0
    assert processes(daemon) == before
    daemon.ok("apply", "-f", path, "--prune", "--wait")
    assert sorted(daemon.ps()) == ["a", "x"]
    assert processes(daemon) == {i: p for i, p in before.items() if i[0] in "ax"}


def test_delete_by_set_and_by_manifest(daemon):
    shop = {n: daemon.service("pause") for n in "ab"}
    daemon.apply(shop)
    daemon.apply({"x": daemon.service("pause")}, name="lab")
    assert daemon.cli("delete")[0] == 2
    assert daemon.cli("delete", "a", "--set", "shop")[0] == 2
    assert daemon.cli("delete", "--set", "nope")[0] == 4
    path = daemon.write({"version": 1, "name": "shop",
                         "services": {"a": shop["a"], "new": shop["a"], "x": shop["a"]}})
    rc, _, err = daemon.cli("delete", "-f", path)
    assert rc == 0 and '"new"' in err and '"x"' in err  # x is another set's
    assert sorted(daemon.ps()) == ["b", "x"]
    daemon.ok("delete", "--set", "lab")
    assert sorted(daemon.ps()) == ["b"]
    assert daemon.cli("delete", "-f", path)[0] == 4


@pytest.mark.containers
def test_kill(daemon):
    daemon.apply({"a": daemon.service("pause", replicas=2, restart={"backoff": {"initial": 0}})})
    pids = daemon.pids("a")
    daemon.ok("kill", "a/1")
    daemon.wait_new_pid("a", pids[1], 1)
    assert daemon.pid_of("a", 0) == pids[0]
    exit_ = daemon.replica("a", 1)["last_exit"]
    assert (exit_["signal"], exit_["cause"]) == ("SIGKILL", "signal")
    daemon.ok("kill", "-s", "TERM", "a")
    daemon.wait_new_pid("a", pids[0], 0)
    assert daemon.cli("kill", "-s", "SIGNONE", "a")[0] == 2
    assert daemon.cli("kill", "a/7")[0] == 4
    daemon.ok("stop", "a")
    assert daemon.cli("kill", "a")[0] == 3


@pytest.mark.containers
def test_reset_tries_again_now(daemon):
    flag = os.path.join(daemon.base, "flag")
    keys = {"restart": {"backoff": {"initial": "300s", "max": "300s"}}}
    daemon.apply({"a": daemon.shell(f"test -e {flag} && exec {daemon.svc} pause; exit 3", **keys),
                  "b": daemon.service("pause")}, wait=False)
    wait_for(lambda: (r := daemon.replica("a")) and r["state"] == "backoff", what="back-off")
    daemon.wait_state("b", "ready")
    before = daemon.pid_of("b")
    with open(flag, "w", encoding="ascii"):
        pass
    assert "ready" in daemon.ok("reset", "a", "b")
    replica = daemon.replica("a")
    assert replica["state"] == "ready" and replica["restarts"] == 0
    assert daemon.pid_of("b") == before


# ---- who sees what, who is not there ----

@pytest.mark.needs_root
def test_plan_is_masked_below_admin(daemon):
    spec = daemon.service("pause", environment={"TOKEN": "hunter2"})
    daemon.apply({"a": spec})
    path = daemon.write({"version": 1, "name": "shop",
                         "services": {"a": {**spec, "environment": {"TOKEN": "swordfish"}}}})
    os.chmod(daemon.socket, 0o666)
    rc, out, err = daemon.cli_as("nobody", "plan", "-f", path, "-o", "json")
    assert rc == 0, out + err
    assert "hunter2" not in out and "swordfish" not in out and "***" in out
    assert "environment.TOKEN" in out
    rc, out, _ = daemon.cli_as("nobody", "rollout", "history", "--revision", "1", "-o", "json")
    (revision,) = json.loads(out)["revisions"]
    assert rc == 0 and "manifests" not in revision and revision["hash"] is None
    assert "hunter2" in daemon.ok("plan", "-f", path)
    assert daemon.cli_as("nobody", "apply", "-f", path)[0] == 7


def test_unreachable(base):
    daemon = Daemon(base)
    path = daemon.write({"version": 1, "services": {"a": daemon.service("pause")}})
    for verb in (("plan", "-f", path), ("apply", "-f", path), ("kill", "a"), ("reset", "a"),
                 ("rollout", "history"), ("delete", "a")):
        rc, out, err = daemon.cli(*verb)
        assert rc == 6 and out == "" and err, (verb, rc, out, err)


def test_what_the_machine_lacks(daemon):
    """Found by the client, and by the daemon when a client sends it all the same."""
    spec = daemon.service("pause")
    services = {"a": {**spec, "command": ["/nonexistent/program"]},
                "b": {**spec, "user": "no-such-user"}, "c": {**spec, "user": "no-such-one"}}
    path = daemon.write({"version": 1, "name": "shop", "services": services})
    rc, out, err = daemon.cli("apply", "-f", path)
    assert rc == 9 and out == ""
    for word in ("/nonexistent/program", "no-such-user", "no-such-one"):
        assert word in err
    for where, body in (("/v1/plan", {}), ("/v1/changes", {"kind": "apply"})):
        status, reply = daemon.api("POST", where, {**body, "id": str(uuid.uuid4()),
                                                   "manifests": manifests(daemon, services)})
        assert status == 422
        messages = [e["message"] for e in reply["errors"]]
        assert len(messages) == 3, messages
        for word in ("/nonexistent/program", "no-such-user", "no-such-one"):
            assert len([m for m in messages if word in m]) == 1, messages
    assert daemon.ps() == {}
