"""depends_on: who waits for whom, at the start, at a restart and at the end.

SPDX-License-Identifier: MIT
"""
import json
import os
import signal

import pytest

import procfs
from harness import stable_ports, wait_for

READY = {"readiness": {"http": {"path": "/ready"}, "period": "100ms", "timeout": "2s"}}
PORTS = stable_ports(18600)


def http(daemon, *args, **keys):
    return daemon.service("http", *args, port=next(PORTS), probes=READY, **keys)


def manifest(daemon, services, name="shop"):
    return daemon.write({"version": 1, "name": name, "services": services}, f"{name}.yaml")


def order_of(daemon, *wanted):
    """The (service, state) pairs of wanted, in the order in which they first came."""
    seen = []
    for event in daemon.events():
        pair = (event["service"], event.get("to"))
        if pair in wanted and pair not in seen:
            seen.append(pair)
    return seen


@pytest.mark.containers
def test_starts_after_readiness(daemon):
    """Applied at once, in an order that is wrong by the alphabet."""
    daemon.apply({"a": http(daemon, depends_on={"b": {"condition": "ready"}}),
                  "b": http(daemon, "300", depends_on={"c": {"condition": "ready"}}),
                  "c": http(daemon, "300")})
    pairs = [("c", "ready"), ("b", "starting"), ("b", "ready"), ("a", "starting"), ("a", "ready")]
    assert order_of(daemon, *pairs) == pairs


@pytest.mark.containers
def test_of_several_kinds(daemon):
    """A process that needs what may be a container, which needs a process; they stop in reverse."""
    def process(*args, **keys):
        return daemon.plain("http", *args, port=next(PORTS), probes=READY, **keys)
    daemon.apply({"a": process(depends_on={"b": {"condition": "ready"}}),
                  "b": http(daemon, "300", depends_on={"c": {"condition": "ready"}}),
                  "c": process("300")})
    pairs = [("c", "ready"), ("b", "starting"), ("b", "ready"), ("a", "starting"), ("a", "ready")]
    assert order_of(daemon, *pairs) == pairs
    daemon.ok("stop", *CHAIN)
    for name in CHAIN:
        daemon.wait_state(name, "stopped")
    assert stops(daemon, *CHAIN) == ["a", "b", "c"]


def test_short_form_waits_for_the_start_only(daemon):
    """`[b]` is condition started, as in Compose: b is never ready here."""
    daemon.apply({"a": daemon.service("pause", depends_on=["b"]),
                  "b": daemon.service("http", "60000", port=next(PORTS), probes=READY)}, wait=False)
    daemon.wait_state("a", "ready")
    assert daemon.ps()["b"]["state"] == "starting"


def test_a_waiting_replica_says_for_what(daemon):
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}}),
                  "b": daemon.service("http", "60000", port=next(PORTS), probes=READY)}, wait=False)
    a = daemon.wait_state("a", "waiting")
    wait_for(lambda: daemon.replica("a")["message"] == "waiting for b (ready): starting")
    replica = daemon.replica("a")
    assert replica["state"] == "waiting" and replica["reason"] == "waiting_dependency"
    assert replica["pid"] is None and a["message"]
    assert "waiting for b (ready)" in daemon.ok("ps")


def test_stop_while_waiting_leaves_nothing(daemon):
    """A stop in the wait: nothing of it starts later (a bug of others)."""
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}}),
                  "b": daemon.service("http", "60000", port=next(PORTS), probes=READY)}, wait=False)
    daemon.wait_state("a", "waiting")
    daemon.ok("stop", "a")
    daemon.wait_state("a", "stopped")
    daemon.ok("delete", "b")
    wait_for(lambda: "b" not in daemon.ps())
    assert daemon.ps()["a"]["replicas"] == []


@pytest.mark.containers
def test_a_restart_waits_too(daemon):
    """The condition is a level: what was ready once does not count."""
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}},
                                      restart={"backoff": {"initial": "0s"},
                                               "budget": {"restarts": 0}}),
                  "b": http(daemon)})
    pid = daemon.pid_of("a")
    daemon.tell("b", "/set/ready/error")
    wait_for(lambda: daemon.replica("b")["state"] == "unready")
    assert procfs.alive(pid)  # what runs is left alone
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: daemon.replica("a")["state"] == "waiting")
    assert daemon.replica("a")["message"] == "waiting for b (ready): degraded"
    daemon.tell("b", "/set/ready/ok")
    daemon.wait_new_pid("a", pid)
    assert daemon.replica("a")["restarts"] == 1


def test_a_wanted_restart_leaves_the_old_one_until_then(daemon):
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}}),
                  "b": http(daemon)})
    pid = daemon.pid_of("a")
    daemon.ok("stop", "b")
    daemon.wait_state("b", "stopped")
    rc, _, err = daemon.cli("restart", "a", "--timeout", "1s")
    assert rc == 5, err
    assert daemon.pid_of("a") == pid and procfs.alive(pid)
    assert daemon.ps()["a"]["message"] == "waiting for b (ready): stopped"
    daemon.ok("start", "b")
    daemon.wait_new_pid("a", pid)


def test_timeout_fails_and_a_level_mends_it(daemon):
    daemon.apply({"a": daemon.service("pause", depends_on={
                      "b": {"condition": "ready", "timeout": "300ms"}}),
                  "b": http(daemon)})
    daemon.tell("b", "/set/ready/error")
    wait_for(lambda: daemon.replica("b")["state"] == "unready")
    os.kill(daemon.pid_of("a"), signal.SIGKILL)
    a = daemon.wait_state("a", "failed")
    assert a["message"] == "b was not ready within 300ms"
    assert daemon.replica("a")["reason"] == "dependency_timeout"
    daemon.tell("b", "/set/ready/ok")
    daemon.wait_state("a", "ready")


def test_a_restart_that_is_given_up_stays_so(daemon):
    """The user's restart of one that waits: it fails once, and does not wait and fail in turns."""
    def waiting(timeout):
        return daemon.service("pause", depends_on={"b": {"condition": "ready", "timeout": timeout}})

    daemon.apply({"a": waiting("1s"), "b": daemon.service("http", "60000", port=next(PORTS), probes=READY)}, wait=False)
    daemon.wait_state("a", "waiting")
    daemon.cli("restart", "a", "--no-wait")
    daemon.wait_state("a", "failed")
    before = len(daemon.events("a"))
    daemon.apply({"c": daemon.service("pause", depends_on={
        "b": {"condition": "ready", "timeout": "2500ms"}})}, wait=False, name="two")
    daemon.wait_state("c", "failed")
    assert len(daemon.events("a")) == before and daemon.ps()["a"]["state"] == "failed"


def test_what_was_given_up_is_mended_by_another_controller(daemon):
    """It ran before, so it has a record: what it was given up for is in that."""
    flag = os.path.join(daemon.base, "up")
    os.chmod(daemon.base, 0o755)

    def put():
        with open(flag, "w", encoding="ascii"):
            pass
    put()
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready", "timeout": "500ms"}}),
                  "b": daemon.service("pause", probes={"readiness": {"file": {"path": flag}, "period": "100ms"}})})
    os.unlink(flag)
    daemon.wait_state("b", "degraded")
    os.kill(daemon.pid_of("a"), signal.SIGKILL)
    daemon.wait_state("a", "failed")
    for _ in range(2):
        kill_controller(daemon)
        wait_for(lambda: daemon.mode() == "normal")
        replica = daemon.replica("a")
        assert (replica["state"], replica["reason"]) == ("failed", "dependency_timeout"), replica
        assert "not there in time" in replica["message"]
    put()
    daemon.wait_state("a", "ready")


def test_not_required_goes_on_after_its_timeout(daemon):
    daemon.apply({"a": daemon.service("pause", depends_on={
                      "b": {"condition": "ready", "timeout": "300ms", "required": False},
                      "nobody": {"required": False}}),
                  "b": daemon.service("http", "60000", port=next(PORTS), probes=READY)}, wait=False)
    daemon.wait_state("a", "ready")
    assert daemon.ps()["b"]["state"] == "starting"


def test_apply_wait_says_what_it_waits_for(daemon):
    path = manifest(daemon, {"a": daemon.service("pause", depends_on={
        "b": {"condition": "ready", "timeout": "200ms"}}),
        "b": daemon.service("http", "60000", port=next(PORTS), probes=READY)})
    rc, out, err = daemon.cli("apply", "-f", path, "--wait", "--timeout", "20s")
    assert rc == 1 and "b was not ready within 200ms" in out + err


def test_missing_dependency_is_an_error_at_its_place(daemon):
    path = manifest(daemon, {"a": daemon.service("pause", depends_on=["tokeniser"])})
    rc, _, err = daemon.cli("apply", "-f", path)
    assert rc == 9 and "depends_on.tokeniser: there is no such service" in err
    assert daemon.ps() == {}


def test_dependency_in_another_set(daemon):
    daemon.apply({"b": http(daemon)}, name="one")
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}})},
                 name="two")
    rc, _, err = daemon.cli("apply", "-f", manifest(
        daemon, {"b": http(daemon, depends_on=["a"])}, name="one"))
    assert rc == 9 and "a -> b -> a is a cycle" in err


def stops(daemon, *services):
    """The services in the order in which their first exit was seen."""
    seen = []
    for event in daemon.events():
        if event["service"] in services and event["type"] == "exit":
            if event["service"] not in seen:
                seen.append(event["service"])
    return seen


CHAIN = ("a", "b", "c")


def chain(daemon):
    """a needs b needs c; each takes a moment to end."""
    slow = "trap 'sleep 0.2; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    return {"a": daemon.shell(slow, depends_on=["b"]), "b": daemon.shell(slow, depends_on=["c"]),
            "c": daemon.shell(slow)}


@pytest.mark.containers
def test_stop_of_several_goes_in_reverse(daemon):
    daemon.apply(chain(daemon))
    for name in CHAIN:
        wait_for(lambda name=name: daemon.logged(name))
    daemon.ok("stop", *CHAIN)
    for name in CHAIN:
        daemon.wait_state(name, "stopped")
    assert stops(daemon, *CHAIN) == ["a", "b", "c"]


def test_stop_of_a_dependency_alone_does_not_wait(daemon):
    daemon.apply(chain(daemon))
    daemon.ok("stop", "c")
    daemon.wait_state("c", "stopped")
    assert daemon.ps()["a"]["state"] == "ready" and daemon.ps()["b"]["state"] == "ready"


@pytest.mark.containers
def test_delete_goes_in_reverse(daemon):
    daemon.apply(chain(daemon))
    for name in CHAIN:
        wait_for(lambda name=name: daemon.logged(name))
    daemon.ok("delete", *CHAIN)
    wait_for(lambda: daemon.ps() == {})
    assert stops(daemon, *CHAIN) == ["a", "b", "c"]


@pytest.mark.containers
@pytest.mark.parametrize("hung", [False, True], ids=["controller-there", "controller-stopped"])
def test_shutdown_goes_in_reverse(daemon, hung):
    """Also at aictld's own end; a controller that says nothing is not waited for long."""
    end = "trap 'sleep 0.2; /usr/bin/date +%s%N; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    daemon.apply({"a": daemon.shell(end, depends_on=["b"]),
                  "b": daemon.shell(end, depends_on=["c"]), "c": daemon.shell(end)})
    for name in CHAIN:
        wait_for(lambda name=name: daemon.logged(name))
    if hung:
        os.kill(daemon.helper("controller"), signal.SIGSTOP)
    assert daemon.stop(timeout=40) == 0
    ended = {name: int(daemon.segments(name).split()[-1]) for name in CHAIN}
    if hung:  # all at once
        assert max(ended.values()) - min(ended.values()) < 5e9
        assert "stopping all at once" in daemon.log()
    else:
        assert sorted(CHAIN, key=ended.get) == ["a", "b", "c"]
        assert ended["b"] - ended["a"] > 1.5e8 and ended["c"] - ended["b"] > 1.5e8


@pytest.mark.containers
def test_dependency_restart(daemon):
    """restart: follows once the dependency is there again; ignore: does not."""
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}},
                                      on_dependency_restart="restart"),
                  "i": daemon.service("pause", depends_on={"b": {"condition": "ready"}}),
                  "b": http(daemon, replicas=2)})
    a, i, b = daemon.pid_of("a"), daemon.pid_of("i"), daemon.pid_of("b", 1)
    os.kill(b, signal.SIGKILL)
    daemon.wait_new_pid("b", b, index=1)
    daemon.wait_new_pid("a", a)
    assert daemon.pid_of("i") == i
    assert daemon.replica("a")["last_exit"]["cause"] == "dependency"
    a = daemon.pid_of("a")
    daemon.ok("scale", "b=3")  # more of it is no restart
    daemon.wait_state("b", "ready")
    daemon.ok("wait", "b", "--for", "ready")
    assert daemon.pid_of("a") == a


def test_dependency_replaced_start_first(daemon):
    """The new process has another index, and the old one is no more: replaced all the same."""
    b = daemon.service("http", "0", ports={"http": {}}, update={"min_ready": "50ms"},
                       probes={"readiness": {"tcp": {}, "period": "100ms"}})
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}},
                                      on_dependency_restart="restart"), "b": b})
    old = daemon.pid_of("a")
    before = {r["index"] for r in daemon.ps()["b"]["replicas"]}
    daemon.ok("restart", "b")
    assert {r["index"] for r in daemon.ps()["b"]["replicas"]} != before
    wait_for(lambda: (pids := daemon.pids("a")) and old not in pids.values())


def follower(**keys):
    return {"depends_on": {"b": {"condition": "ready"}}, "on_dependency_restart": "restart", **keys}


def kill_controller(daemon):
    controller = daemon.helper("controller")
    os.kill(controller, signal.SIGKILL)
    wait_for(lambda: daemon.helper("controller") not in (None, controller))


@pytest.mark.containers
@pytest.mark.parametrize("at_once", [True, False], ids=["started-by-aictld", "started-by-the-controller"])
def test_a_dependency_that_restarts_while_the_controller_is_away(daemon, at_once):
    """Its exit record tells the next controller; what did not restart is not taken for it."""
    restart = {"backoff": {"initial": 0 if at_once else "100ms"}}
    daemon.apply({"a": daemon.service("pause", **follower()),
                  "b": daemon.service("pause", restart=restart), "c": daemon.service("pause", **follower(
                      depends_on={"d": {"condition": "ready"}})), "d": daemon.service("pause")})
    old = {name: daemon.pid_of(name) for name in "abcd"}
    controller = daemon.helper("controller")
    os.kill(controller, signal.SIGSTOP)
    os.kill(old["b"], signal.SIGKILL)
    if at_once:
        wait_for(lambda: not procfs.alive(old["b"]))
    os.kill(controller, signal.SIGKILL)
    wait_for(lambda: daemon.helper("controller") not in (None, controller))
    daemon.wait_new_pid("b", old["b"])
    new = daemon.wait_new_pid("a", old["a"])
    assert daemon.replica("a")["last_exit"]["cause"] == "dependency"
    for _ in range(2):  # and once only
        kill_controller(daemon)
        wait_for(lambda: daemon.replica("a")["state"] == "ready")
    assert daemon.pid_of("a") == new
    assert daemon.pid_of("c") == old["c"] and daemon.pid_of("d") == old["d"]


def test_a_reaction_survives_the_controller(daemon):
    """The dependency has ended and is not there again when the controller dies: also start first,
    where the one that ended is forgotten."""
    flag = os.path.join(daemon.base, "go")
    script = f"while ! [ -e {flag} ]; do sleep 0.05; done; sleep 1000"
    ready = {"readiness": {"file": {"path": flag}, "period": "100ms", "timeout": "2s"}}
    with open(flag, "w", encoding="ascii"):
        pass
    daemon.apply({"a": daemon.service("pause", **follower()),
                  "b": daemon.shell(script, replicas=2, probes=ready, update={"min_ready": "50ms"})})
    old, b = daemon.pid_of("a"), daemon.pid_of("b", 1)
    os.unlink(flag)
    os.kill(b, signal.SIGKILL)
    daemon.wait_new_pid("b", b, index=1)
    kill_controller(daemon)
    wait_for(lambda: daemon.replica("b")["state"] == "unready")
    assert daemon.pid_of("a") == old
    with open(flag, "w", encoding="ascii"):
        pass
    daemon.wait_new_pid("a", old)


def test_the_wall_clock_is_not_asked(daemon):
    """A failed update, a scaling, a stop and a start: only the last has other processes."""
    b = http(daemon, replicas=2, update={"min_ready": "50ms", "deadline": "1s"})
    daemon.apply({"a": daemon.service("pause", **follower()), "b": b})
    old = daemon.pid_of("a")
    bad = {**b, "command": ["/bin/sh", "-c", "sleep 1000"]}
    daemon.apply({"a": daemon.service("pause", **follower()), "b": bad}, wait=False)
    wait_for(lambda: daemon.describe("b")["rollout"]["state"] == "rolled_back")
    for n in (3, 1, 2):
        daemon.ok("scale", f"b={n}")
        daemon.ok("wait", "b", "--for", "ready")
    assert daemon.pid_of("a") == old
    daemon.ok("stop", "b")
    daemon.wait_state("b", "stopped")
    assert daemon.pid_of("a") == old
    daemon.ok("start", "b")
    daemon.wait_new_pid("a", old)


def test_rollback_depends_on_what_it_did(daemon):
    """What the good revision depends on is waited for again, and tells when it is there."""
    b = http(daemon, "300")
    quick = {"min_ready": "50ms", "deadline": "1s"}
    a = daemon.service("pause", depends_on={"b": {"condition": "ready"}}, update=quick)
    daemon.apply({"a": a, "b": b})
    bad = {**http(daemon, "600000", update=quick)}
    daemon.apply({"a": bad, "b": b}, wait=False)
    wait_for(lambda: daemon.describe("a")["rollout"]["state"] == "rolled_back")
    daemon.ok("stop", "b")
    daemon.ok("restart", "a", "--no-wait")
    procfs.kill(daemon.pid_of("a"))
    wait_for(lambda: daemon.replica("a")["state"] == "waiting")
    daemon.ok("start", "b", "--no-wait")
    daemon.wait_state("a", "ready")


@pytest.mark.containers
def test_controller_death_while_waiting(daemon):
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}}),
                  "b": http(daemon, "1500")}, wait=False)
    daemon.wait_state("a", "waiting")
    os.kill(daemon.helper("controller"), signal.SIGKILL)
    daemon.wait_state("a", "ready", timeout=20)
    assert order_of(daemon, ("b", "ready"), ("a", "starting")) == [("b", "ready"),
                                                                   ("a", "starting")]


def test_graph_and_describe_show_it(daemon):
    services = {"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}, "c": {}}),
                "b": daemon.service("http", "60000", port=next(PORTS), probes=READY),
                "c": daemon.service("pause")}
    daemon.apply(services, wait=False)
    daemon.wait_state("b", "starting")
    daemon.wait_state("c", "ready")
    assert "Depends on  b (ready: starting), c (started)" in daemon.ok("describe", "a")
    depends = json.loads(daemon.ok("describe", "a", "-o", "json"))["depends_on"]
    assert depends[0] == {"service": "b", "condition": "ready", "required": True, "holds": False,
                          "state": "starting"}
    assert "after b (ready)" in daemon.ok("graph")
    assert '"a" -> "b" [label="ready"];' in daemon.ok("graph", "-o", "dot")
    path = manifest(daemon, services)
    assert '"a" -> "c" [label="started"];' in daemon.ok("graph", "-f", path, "-o", "dot")
