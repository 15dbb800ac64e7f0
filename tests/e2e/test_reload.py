"""reload: what a service declares is what `aictl reload` and a dependency's replacement do.

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import signal

import pytest

import procfs
from harness import wait_for

LISTENS = "trap 'echo again' HUP; echo up; while :; do sleep 0.05; done"


def lines_of(daemon, service):
    return [e["line"] for e in daemon.logged(service)]


def reloads(daemon, service):
    return [(e["reason"], e["message"]) for e in daemon.events(service) if e["type"] == "reload"]


@pytest.mark.containers
def test_signal(daemon):
    """To services and to single replicas; no process ends."""
    daemon.apply({"a": daemon.shell(LISTENS, replicas=2, reload={"signal": "SIGHUP"})})
    wait_for(lambda: lines_of(daemon, "a").count("up") == 2)
    pids = daemon.pids("a")
    daemon.ok("reload", "a/1")
    wait_for(lambda: [e["replica"] for e in daemon.logged("a") if e["line"] == "again"] == [1])
    daemon.ok("reload", "a")
    wait_for(lambda: lines_of(daemon, "a").count("again") == 3)
    assert daemon.pids("a") == pids
    assert reloads(daemon, "a") == [("reloaded", "user: SIGHUP was sent")] * 3
    assert daemon.replica("a")["message"] == "running"


@pytest.mark.containers
def test_request(daemon):
    daemon.apply({"a": daemon.service("http", port=18751, reload={"http": {"path": "/ready"}}),
                  "b": daemon.service("pause", port=18752, reload={
                      "http": {"path": "/x"}, "timeout": "2s"})})
    daemon.ok("reload", "a", "b")
    wait_for(lambda: reloads(daemon, "a") == [("reloaded", "HTTP 200")])
    wait_for(lambda: reloads(daemon, "b") == [("reload_failed", "connection refused")])


def test_refused(daemon):
    daemon.apply({"a": daemon.service("pause"),
                  "b": daemon.service("pause", reload={"signal": "SIGHUP"}, replicas=0)})
    code, _, err = daemon.cli("reload", "a")
    assert code == 8 and "declares no reload" in err
    assert daemon.cli("reload", "b")[0] == 3
    assert daemon.cli("reload", "nobody")[0] == 4


def test_after_a_dependency(daemon):
    """Once for each replacement, and nothing is restarted."""
    daemon.apply({"a": daemon.shell(LISTENS, depends_on={"b": {}}, reload={"signal": "SIGHUP"},
                                    on_dependency_restart="reload"),
                  "b": daemon.service("pause", restart={"backoff": {"initial": "0s"}})})
    pid, old = daemon.pid_of("a"), daemon.pid_of("b")
    wait_for(lambda: "up" in lines_of(daemon, "a"))
    os.kill(old, signal.SIGKILL)
    daemon.wait_new_pid("b", old)
    wait_for(lambda: lines_of(daemon, "a") == ["up", "again"])
    daemon.ok("restart", "b")
    wait_for(lambda: lines_of(daemon, "a") == ["up", "again", "again"],
             what=lambda: lines_of(daemon, "a"))
    assert daemon.pid_of("a") == pid
    assert reloads(daemon, "a") == [("reloaded", "dependency: SIGHUP was sent")] * 2


def test_a_dependency_waits_until_it_is_up(daemon):
    """What still starts has not said how to take a signal: it is told afterwards."""
    go = os.path.join(daemon.base, "go")
    spec = daemon.shell(f"while [ ! -e {go} ]; do sleep 0.05; done; " + LISTENS,
                        depends_on={"b": {}}, reload={"signal": "SIGHUP"},
                        on_dependency_restart="reload",
                        probes={"startup": {"log": {"pattern": "^up"}, "period": "100ms"}})
    daemon.apply({"a": spec, "b": daemon.service("pause", restart={"backoff": {"initial": "0s"}})},
                 wait=False)
    daemon.wait_state("a", "starting")
    pid = wait_for(lambda: daemon.pid_of("a"))
    old = daemon.pid_of("b")
    os.kill(old, signal.SIGKILL)
    daemon.wait_new_pid("b", old)
    daemon.wait_state("b", "ready")
    assert reloads(daemon, "a") == []
    with open(go, "w", encoding="utf8"):
        pass
    daemon.wait_state("a", "ready")
    wait_for(lambda: lines_of(daemon, "a") == ["up", "again"], what=lambda: lines_of(daemon, "a"))
    assert daemon.pid_of("a") == pid


def test_reload_must_be_declared(daemon):
    bad = daemon.write({"version": 1, "services": {"a": daemon.service(
        "pause", depends_on=["b"], on_dependency_restart="reload"), "b": daemon.service("pause")}})
    code, _, err = daemon.cli("validate", "-f", bad)
    assert code == 9 and "on_dependency_restart: the service declares no reload" in err
    bad = daemon.write({"version": 1, "services": {"a": daemon.service(
        "pause", reload={"signal": "SIGKILL"})}})
    code, _, err = daemon.cli("validate", "-f", bad)
    assert code == 9 and "reload.signal: no process can handle SIGKILL" in err


# ---- secrets: contents that change under the same names ----

READS = "trap 'cat ${secret:tok}' HUP; cat ${secret:tok}; while :; do sleep 0.05; done"


def put(daemon, content, name="tok"):
    """The file that the manifest names, on its own line so that the service can say it."""
    path = os.path.join(daemon.base, "m", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf8") as f:
        f.write(content + "\n")


def reader(daemon, **keys):
    spec = daemon.service(secrets={"tok": {"file": "tok"}}, reload={"signal": "SIGHUP"},
                          environment={"TOKEN_FILE": "${secret:tok}"}, **keys)
    return {**spec, "command": ["/bin/sh", "-c", READS]}


def manifest(daemon, **services):
    return daemon.write({"version": 1, "name": "shop", "services": services})


def plan_of(daemon, path, service="a"):
    plan = json.loads(daemon.ok("plan", "-f", path, "-o", "json"))
    return next(s for s in plan["services"] if s["name"] == service)


def token_files(daemon, service):
    found = set()
    for pid in daemon.pids(service).values():
        found.add(wait_for(lambda p=pid: procfs.environ(p).get("TOKEN_FILE")))
    return found


def contents(daemon, service="a"):
    path, = token_files(daemon, service)
    return procfs.read(path)


def test_changed_secrets(daemon):
    """The plan says reload, every replica reads the new ones where the old ones were, none ends."""
    put(daemon, "one")
    path = manifest(daemon, a=reader(daemon, replicas=2), b=daemon.service("pause"))
    daemon.ok("apply", "-f", path, "--wait")
    wait_for(lambda: lines_of(daemon, "a").count("one") == 2)
    pids, files = daemon.pids("a"), token_files(daemon, "a")
    assert plan_of(daemon, path)["action"] == "none"
    put(daemon, "two")
    plan = plan_of(daemon, path)
    assert plan["action"] == "reload"
    assert [(k["key"], k["class"]) for k in plan["keys"]] == [("secrets.tok", "reload")]
    assert plan["replicas"] == [{"id": "a/0", "action": "reload"}, {"id": "a/1", "action": "reload"}]
    assert plan["unavailable"]["replicas"] == 0
    text = daemon.ok("plan", "-f", path)
    assert re.search(r"~ +a +reload +secrets.tok", text) or re.search(r"a +reload +secrets.tok", text), text
    assert "1 to reload" in text and "two" not in text
    out = daemon.ok("apply", "-f", path, "--wait")
    assert re.search(r"a +reloaded", out), out
    wait_for(lambda: lines_of(daemon, "a").count("two") == 2)
    assert daemon.pids("a") == pids and token_files(daemon, "a") == files and len(files) == 1
    assert procfs.read(files.pop()) == "two\n"
    assert reloads(daemon, "a") == [("reloaded", "secrets changed: SIGHUP was sent")] * 2
    assert plan_of(daemon, path)["action"] == "none"
    daemon.ok("apply", "-f", path, "--wait")
    os.kill(pids[0], signal.SIGKILL)  # the next one begins with them
    daemon.wait_new_pid("a", pids[0])
    wait_for(lambda: lines_of(daemon, "a").count("two") == 3)
    assert len(reloads(daemon, "a")) == 2


def test_nothing_of_the_former_secrets_is_left(daemon):
    put(daemon, "one")
    path = manifest(daemon, a=reader(daemon))
    daemon.ok("apply", "-f", path, "--wait")
    wait_for(lambda: lines_of(daemon, "a") == ["one"])  # its trap is set
    directory = os.path.dirname(token_files(daemon, "a").pop())
    mode = os.stat(directory)
    put(daemon, "two")
    daemon.ok("apply", "-f", path, "--wait")
    assert os.listdir(directory) == ["tok"]
    assert os.listdir(os.path.dirname(directory)) == [os.path.basename(directory)]
    now = os.stat(directory)
    assert (now.st_mode, now.st_uid) == (mode.st_mode, mode.st_uid)


def test_what_is_more_than_contents_replaces(daemon):
    """A secret more, another command beside it; and without reload."""
    put(daemon, "one")
    put(daemon, "x", "more")
    spec = reader(daemon)
    daemon.ok("apply", "-f", manifest(daemon, a=spec), "--wait")
    assert plan_of(daemon, manifest(daemon, a={**spec, "secrets": {
        "tok": {"file": "tok"}, "more": {"file": "more"}}}))["action"] == "replace"
    put(daemon, "two")
    assert plan_of(daemon, manifest(daemon, a={**spec, "nice": 1}))["action"] == "replace"
    assert plan_of(daemon, manifest(daemon, a={**spec, "replicas": 2}))["action"] == "reload"
    without = {k: v for k, v in spec.items() if k != "reload"}
    plan = plan_of(daemon, manifest(daemon, a=without))
    assert plan["action"] == "replace"
    assert sorted(k["key"] for k in plan["keys"]) == ["reload", "secrets.tok"]
    pid = daemon.pid_of("a")
    path = manifest(daemon, a=without)
    daemon.ok("apply", "-f", path, "--wait")
    assert daemon.pid_of("a") != pid
    put(daemon, "three")
    assert plan_of(daemon, path)["action"] == "replace"


def test_a_replacement_keeps_the_former_secrets_apart(daemon):
    """Who runs the old revision still finds what it was started with."""
    put(daemon, "one")
    daemon.ok("apply", "-f", manifest(daemon, a=reader(daemon)), "--wait")
    old = token_files(daemon, "a").pop()
    put(daemon, "two")
    daemon.ok("apply", "-f", manifest(daemon, a=reader(daemon, nice=1)), "--wait")
    new = token_files(daemon, "a").pop()
    assert new != old and procfs.read(new) == "two\n"
    assert reloads(daemon, "a") == []
    wait_for(lambda: not os.path.exists(old), what="the former one is removed")


def http_reader(daemon, timeout="1s", **keys):
    return daemon.service("http", port=18753, replicas=3, secrets={"tok": {"file": "tok"}},
                          reload={"http": {"path": "/ready"}, "timeout": timeout},
                          environment={"TOKEN_FILE": "${secret:tok}"}, **keys)


def test_a_failed_reload(daemon):
    """It is told, the others are asked all the same, nobody ends; the user has it tried again."""
    put(daemon, "one")
    path = manifest(daemon, a=http_reader(daemon))
    daemon.ok("apply", "-f", path, "--wait")
    pids = daemon.pids("a")
    daemon.tell("a", "/set/ready/error", index=1)
    put(daemon, "two")
    code, out, err = daemon.cli("apply", "-f", path, "--wait")
    assert code == 1, out + err
    assert '"a/1" has not reloaded: HTTP 500' in err and "aictl reload a" in err, err
    assert [(e["replica"], e["reason"]) for e in daemon.events("a") if e["type"] == "reload"] == [
        (0, "reloaded"), (1, "reload_failed"), (2, "reloaded")]
    assert daemon.pids("a") == pids and daemon.ps()["a"]["state"] == "ready"
    assert "has not reloaded: HTTP 500" in daemon.ok("why", "a/1")
    assert plan_of(daemon, path)["action"] == "none"
    daemon.tell("a", "/set/ready/ok", index=1)
    daemon.ok("reload", "a/1")
    wait_for(lambda: reloads(daemon, "a")[3:] == [("reloaded", "HTTP 200")])
    assert "has not reloaded" not in daemon.ok("why", "a/1")
    assert daemon.pids("a") == pids


def test_one_after_the_other_and_bounded(daemon):
    """The first one hangs: the second is asked when its time is over, not before."""
    put(daemon, "one")
    path = manifest(daemon, a=http_reader(daemon))
    daemon.ok("apply", "-f", path, "--wait")
    daemon.tell("a", "/set/ready/hang", index=0)
    put(daemon, "two")
    code, _, err = daemon.cli("apply", "-f", path, "--wait")
    assert code == 1 and '"a/0" has not reloaded' in err, err
    events = [e for e in daemon.events("a") if e["type"] == "reload"]
    assert [(e["replica"], e["reason"]) for e in events] == [
        (0, "reload_failed"), (1, "reloaded"), (2, "reloaded")]


def asked(pid):
    """Another thread than the one that listens: somebody's connection."""
    return len(os.listdir(f"/proc/{pid}/task")) > 1


def told(daemon):
    """In the daemon's log: an event may die with the controller that has it."""
    return daemon.log().count(" reload: HTTP 200")


def test_the_controller_dies_before_the_reload(start):
    """The contents are switched, the answer never came: the next one asks again."""
    daemon = start()
    put(daemon, "one")
    path = manifest(daemon, a=http_reader(daemon, timeout="1h"))
    daemon.ok("apply", "-f", path, "--wait")
    pids = daemon.pids("a")
    daemon.tell("a", "/set/ready/hang")
    put(daemon, "two")
    daemon.ok("apply", "-f", path)
    old = daemon.helper("controller")
    wait_for(lambda: contents(daemon) == "two\n", what="the new contents")
    wait_for(lambda: asked(daemon.pid_of("a")), what="the request that hangs")
    daemon.tell("a", "/set/ready/ok")  # for the next request
    assert reloads(daemon, "a") == []
    procfs.kill(old)
    wait_for(lambda: daemon.helper("controller") not in (None, old))
    wait_for(lambda: told(daemon) == 3, what=daemon.log)
    assert daemon.pids("a") == pids
    os.kill(daemon.helper("controller"), signal.SIGKILL)  # and not once more
    daemon.wait_state("a", "ready")
    put(daemon, "three")
    daemon.ok("apply", "-f", path, "--wait")
    wait_for(lambda: told(daemon) == 6, what=daemon.log)
    assert daemon.stop() == 0
    assert told(daemon) == 6


def test_another_aictld_adopts_them(start):
    """It does not know which contents lie there: it finds out, and nobody is asked for nothing."""
    daemon = start()
    put(daemon, "one")
    path = manifest(daemon, a=reader(daemon))
    daemon.ok("apply", "-f", path, "--wait")
    wait_for(lambda: lines_of(daemon, "a") == ["one"])  # its trap is set
    put(daemon, "two")
    daemon.ok("apply", "-f", path, "--wait")
    wait_for(lambda: lines_of(daemon, "a") == ["one", "two"])
    pids = daemon.pids("a")
    daemon.crash()
    daemon.start_again()
    daemon.wait_state("a", "ready")
    put(daemon, "three")
    daemon.ok("apply", "-f", path, "--wait")
    daemon.ok("daemon", "reexec")
    put(daemon, "four")
    daemon.ok("apply", "-f", path, "--wait")
    wait_for(lambda: lines_of(daemon, "a") == ["one", "two", "three", "four"],
             what=lambda: lines_of(daemon, "a"))
    assert daemon.pids("a") == pids
    assert len(reloads(daemon, "a")) == 3


def test_secrets_that_cannot_be_written(daemon):
    """It says so, nobody is asked, and the user has it tried again."""
    put(daemon, "one")
    path = manifest(daemon, a=reader(daemon))
    daemon.ok("apply", "-f", path, "--wait")
    wait_for(lambda: lines_of(daemon, "a") == ["one"])  # its trap is set
    base = os.path.dirname(os.path.dirname(token_files(daemon, "a").pop()))
    os.rename(base, base + ".away")
    with open(base, "w", encoding="utf8"):
        pass
    put(daemon, "two")
    code, _, err = daemon.cli("apply", "-f", path, "--wait")
    assert code == 1 and 'the secrets of "a" cannot be written' in err, err
    assert reloads(daemon, "a") == [] and daemon.ps()["a"]["state"] == "ready"
    os.unlink(base)
    os.rename(base + ".away", base)
    daemon.ok("reload", "a")
    wait_for(lambda: lines_of(daemon, "a")[-1] == "two", what=lambda: lines_of(daemon, "a"))
    assert contents(daemon) == "two\n"


def test_a_start_tries_to_write_them_again(daemon):
    """What died meanwhile does not stay away when there is room again."""
    put(daemon, "one")
    path = manifest(daemon, a=reader(daemon, restart={"backoff": {"initial": "200ms",
                                                                  "max": "500ms"}}))
    daemon.ok("apply", "-f", path, "--wait")
    wait_for(lambda: lines_of(daemon, "a") == ["one"])
    base = os.path.dirname(os.path.dirname(token_files(daemon, "a").pop()))
    os.rename(base, base + ".away")
    with open(base, "w", encoding="utf8"):
        pass
    put(daemon, "two")
    assert daemon.cli("apply", "-f", path, "--wait")[0] == 1
    os.kill(daemon.pid_of("a"), signal.SIGKILL)
    wait_for(lambda: "secrets: Not a directory" in daemon.replica("a")["message"])
    os.unlink(base)
    os.rename(base + ".away", base)
    daemon.wait_state("a", "ready")
    wait_for(lambda: lines_of(daemon, "a")[-1] == "two", what=lambda: lines_of(daemon, "a"))


def test_not_before_it_is_up(daemon):
    """A signal to one that has not said how to take it would end it."""
    put(daemon, "one")
    go = os.path.join(daemon.base, "go")
    os.chmod(daemon.base, 0o755)
    spec = reader(daemon, probes={"startup": {"log": {"pattern": "^two"}, "period": "100ms"}})
    spec["command"] = ["/bin/sh", "-c", f"while [ ! -e {go} ]; do sleep 0.05; done; " + READS]
    path = manifest(daemon, a=spec)
    daemon.ok("apply", "-f", path)
    daemon.wait_state("a", "starting")
    pid = wait_for(lambda: daemon.pid_of("a"))
    put(daemon, "two")
    daemon.ok("apply", "-f", path)
    wait_for(lambda: contents(daemon) == "two\n")
    assert reloads(daemon, "a") == []
    with open(go, "w", encoding="utf8"):
        pass
    daemon.wait_state("a", "ready")
    wait_for(lambda: len(reloads(daemon, "a")) == 1)
    assert daemon.pid_of("a") == pid
