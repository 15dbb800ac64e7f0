"""A fresh life: what each verb does to services, and what each read shows of them.

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import signal

import pytest

import kinds
import procfs
from harness import wait_for

RUNS_AS = kinds.ALL
SERVICE_KEYS = {"name", "set", "type", "state", "runtime", "revision", "desired", "ready", "message", "next_run_at",
                "held_until", "from_zero", "traffic", "endpoints", "labels", "drift", "override", "autoscale", "replicas"}
REPLICA_KEYS = {"id", "index", "traffic", "pid", "incarnation", "state", "revision", "port", "ports",
                "restarts", "started_at", "since", "reason", "message", "frozen", "slow_mode",
                "next_attempt_at", "next_run_at", "notify", "last_exit", "logs"}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
READY = {"readiness": {"http": {"path": "/ready"}, "period": "200ms", "timeout": "2s"}}


@pytest.fixture
def web(daemon):
    """Two replicas of an http service with a readiness probe, ready."""
    daemon.apply({"web": daemon.service("http", port=18100, replicas=2, probes=READY)})
    return daemon


def test_ps_json_contract(web):
    reply = json.loads(web.ok("ps", "-o", "json"))
    assert set(reply) == {"api_version", "services"} and reply["api_version"] == "v1"
    (service,) = reply["services"]
    assert set(service) == SERVICE_KEYS
    assert (service["name"], service["set"], service["state"]) == ("web", "shop", "ready")
    assert (service["desired"], service["ready"], service["runtime"]) == (2, 2, "docker" if web.engine else "process")
    assert [e["name"] for e in service["endpoints"]] == ["http"]
    assert [r["id"] for r in service["replicas"]] == ["web/0", "web/1"]
    for replica in service["replicas"]:
        assert set(replica) == REPLICA_KEYS | ({"container"} if web.engine else set())
        assert replica["state"] == "ready" and replica["reason"] == "probe_passed"
        assert replica["ports"] == {"http": replica["port"]}
        assert RFC3339.fullmatch(replica["started_at"]) and RFC3339.fullmatch(replica["since"])
        assert re.fullmatch(r"[0-9a-f]{32}", replica["incarnation"])
        assert replica["last_exit"] is None and replica["restarts"] == 0
        environ = procfs.environ(replica["pid"])
        assert environ["PORT"] == str(replica["port"])
        assert environ["AICTL_SERVICE"] == "web"
        assert environ["AICTL_REPLICA"] == str(replica["index"])
        assert environ["AICTL_INCARNATION"] == replica["incarnation"]
    assert web.ps() == {"web": service}  # the CLI's JSON is the API's


def test_child_has_only_the_three_descriptors(web):
    for pid in web.pids("web").values():
        fds = procfs.fds(pid)
        sockets = [n for n, what in fds.items() if n > 2 and what.startswith("socket:")]
        assert set(fds) - set(sockets) == {0, 1, 2}, fds  # its own server sockets apart
        assert fds[0] == "/dev/null"
        assert fds[1].startswith("pipe:") and fds[2].startswith("pipe:") and fds[1] != fds[2]


def test_stop_and_start(web):
    pids = web.pids("web")
    web.ok("stop", "web")
    web.ok("wait", "web", "--for", "stopped", "--timeout", "20s")
    service = web.wait_state("web", "stopped")
    assert service["replicas"] == []
    assert not any(procfs.alive(p) for p in pids.values())
    web.ok("start", "web")
    web.ok("wait", "web", "--for", "ready", "--timeout", "20s")
    assert set(web.pids("web")) == {0, 1}


def test_restart_of_one_replica_and_of_all(web):
    first = web.pids("web")
    web.ok("restart", "web/1")
    web.wait_new_pid("web", first[1], index=1)
    assert web.pid_of("web", 0) == first[0]
    web.wait_state("web", "ready")
    second = web.pids("web")
    web.ok("restart", "web", "--now")
    web.wait_new_pid("web", second[0], index=0)
    web.wait_new_pid("web", second[1], index=1)
    service = web.wait_state("web", "ready")
    wait_for(lambda: len(web.describe("web")["exits"]) == 3, what=lambda: web.describe("web"))
    assert all(not r["slow_mode"] for r in service["replicas"])


def test_scale(web):
    first = web.pids("web")
    web.ok("scale", "web=4")
    wait_for(lambda: web.ps()["web"]["ready"] == 4, what=lambda: web.ps())
    pids = web.pids("web")
    assert set(pids) == {0, 1, 2, 3} and {i: pids[i] for i in (0, 1)} == first
    ports = [r["port"] for r in web.ps()["web"]["replicas"]]
    assert len(set(ports)) == 4
    web.ok("scale", "web=1")
    wait_for(lambda: set(web.pids("web")) == {0}, what=lambda: web.ps())
    wait_for(lambda: not any(procfs.alive(pids[i]) for i in (1, 2, 3)), what="surplus replicas end")
    assert web.pid_of("web") == first[0]


def test_delete(web):
    pids = web.pids("web")
    web.ok("delete", "web")
    wait_for(lambda: "web" not in web.ps(), what=lambda: web.ps())
    wait_for(lambda: not any(procfs.alive(p) for p in pids.values()), what="replicas end")
    assert web.cli("describe", "web")[0] == 4


def test_changed_command_replaces_one_by_one_stop_first(daemon):
    beat = {"a": daemon.service("beat", replicas=3),
            "b": daemon.service("beat", replicas=2)}
    daemon.apply(beat)
    before_a, before_b = daemon.pids("a"), daemon.pids("b")
    mark = daemon.events()[-1]["seq"]
    daemon.apply({**beat, "a": daemon.service("beat", "changed", replicas=3)})
    after = daemon.pids("a")
    assert set(after) == set(before_a) and not set(after.values()) & set(before_a.values())
    assert daemon.pids("b") == before_b
    for index in range(3):  # the services' own words: the old one stops first
        def words(index=index):
            return [line.split()[0] for line in daemon.segments("a", index).decode().splitlines()]
        wait_for(lambda w=words: w() == ["start", "stop", "start"], what=lambda w=words: w())
    ready = {0, 1, 2}
    for event in daemon.events("a"):
        if event["seq"] > mark and event["type"] == "state" and event["replica"] is not None:
            (ready.add if event["to"] == "ready" else ready.discard)(event["replica"])
            assert len(ready) >= 2, f"two were down at once: {daemon.events('a')}"
    assert ready == {0, 1, 2}


def test_unchanged_apply_changes_nothing(web):
    before = web.ps()["web"]["replicas"]
    out = web.apply({"web": web.service("http", port=18100, replicas=2, probes=READY)})
    assert "nothing to change (revision 1)" in out
    assert web.ps()["web"]["replicas"] == before


def test_live_change_touches_no_process(web):
    before = web.pids("web")
    probes = {"readiness": {"http": {"path": "/ready"}, "period": "300ms", "timeout": "1s"}}
    web.apply({"web": web.service("http", port=18100, replicas=3, probes=probes)})
    after = web.pids("web")
    assert {i: after[i] for i in (0, 1)} == before and set(after) == {0, 1, 2}


@pytest.mark.processes("unrelated")
def test_malformed_manifest(web):
    before = web.ps()
    path = web.write('version: 1\nname: shop\nservices:\n  web:\n    command: [x]\n'
                     '    user: nobody\n    replicsa: 2\n    port: 99999\n')
    rc, _, err = web.cli("apply", "-f", path)
    assert rc == 9, err
    assert "m/aictl.yaml:7:5: error: " in err and "replicsa" in err and "replicas" in err  # nearest known key
    assert "m/aictl.yaml:8:11: error: " in err and "99999" in err  # all errors at once
    assert re.search(r"^ *\| *\^", err, re.MULTILINE), err  # a caret under the place
    path = web.write("version: 1\nservices: [unclosed\n")
    assert web.cli("apply", "-f", path)[0] == 9
    assert web.ps() == before


@pytest.mark.processes("unrelated")
def test_what_the_set_no_longer_holds_is_reported_not_removed(web):
    spec = {"version": 1, "name": "shop", "services": {"other": web.service("pause")}}
    rc, out, err = web.cli("apply", "-f", web.write(spec), "--wait", "--timeout", "20s")
    assert rc == 0 and "web" in err and "no longer in the manifest" in err, out + err
    assert web.ps()["web"]["ready"] == 2


@pytest.mark.processes("unrelated")
def test_exit_codes(web):
    assert web.cli("frobnicate")[0] == 2
    assert web.cli("stop")[0] == 2
    assert web.cli("scale", "web")[0] == 2
    for verb in ("stop", "start", "restart", "delete", "describe", "logs"):
        rc, _, err = web.cli(verb, "nosuch")
        assert rc == 4, f"{verb}: {rc} {err}"
    assert web.cli("wait", "web", "--for", "stopped", "--timeout", "200ms")[0] == 5
    rc, _, err = web.cli("ps", env={"AICTL_SOCKET": web.socket + ".none"})
    assert rc == 6 and "aictl.sock.none" in err
    assert web.cli("ps", "--socket", web.socket, env={"AICTL_SOCKET": "/nonexistent"})[0] == 0
    slow = {"slow": web.service("http", "60000", port=18101, probes=READY)}
    path = web.write({"version": 1, "name": "slow", "services": slow})
    rc, _, _ = web.cli("apply", "-f", path, "--wait", "--timeout", "500ms")
    assert rc == 5
    assert "slow" in web.ps()  # nothing is undone


@pytest.mark.processes("unrelated")
def test_unknown_names_change_nothing(web):
    pids = web.pids("web")
    status, reply = web.api("POST", "/v1/changes", {"id": "0123456789abcdef-1", "kind": "stop",
                                                    "services": ["web", "nosuch"]})
    assert status == 404 and reply["error"]["code"] == "not_found"
    assert web.pids("web") == pids
    assert web.api("GET", "/v1/services?service=nosuch")[0] == 404
    status, reply = web.api("GET", "/v1/frobnicate")
    assert status == 404 and reply["error"]["code"] == "unknown_endpoint"
    assert set(reply["error"]) == {"code", "message", "file", "line", "column", "hint"}


@pytest.mark.processes("unrelated")
def test_a_retried_change_is_done_once(web):
    body = {"id": "retry-0123456789abcdef", "kind": "restart", "services": ["web/0"]}
    before = web.pid_of("web")
    first = web.api("POST", "/v1/changes", body)
    again = web.api("POST", "/v1/changes", body)
    assert first[0] == again[0] == 202 and first[1]["id"] == again[1]["id"]
    pid = web.wait_new_pid("web", before)
    web.api("GET", f"/v1/changes/{body['id']}/wait?timeout_ms=20000")
    assert web.api("POST", "/v1/changes", body)[1]["state"] == "done"
    assert web.pid_of("web") == pid
    assert len(web.describe("web")["exits"]) == 1


def test_events_tell_the_story(web):
    pid = web.pid_of("web")
    procfs.kill(pid)
    web.wait_new_pid("web", pid)
    web.wait_state("web", "ready")
    events = [json.loads(e) for e in web.ok("events", "-o", "json").splitlines()]
    assert [e["seq"] for e in events] == sorted({e["seq"] for e in events})
    story = [(e["from"], e["to"]) for e in events if e["service"] == "web" and e["replica"] == 0
             and e["type"] == "state"]
    assert story[-1][1] == "ready"
    assert ("starting", "ready") in story and ("ready", "backoff") in story, story
    assert any(e["reason"] == "signaled" and "KILL" in e["message"] for e in events), events
    assert any(e["type"] == "apply" for e in events)
    assert "KILL" in web.ok("events")


def test_describe(web):
    text = web.ok("describe", "web")
    assert "web/0" in text and "web/1" in text
    full = web.describe("web")
    assert SERVICE_KEYS <= set(full) and {"spec", "file", "line", "events", "exits"} <= set(full)
    assert full["file"].endswith("shop.yaml")
    readiness = full["replicas"][0]["probes"]["readiness"]
    assert readiness["ok"] is True and readiness["enabled"] is True
    assert json.loads(web.ok("describe", "web", "-o", "json"))["name"] == "web"


@pytest.mark.processes("unended", "dockerd")
def test_logs(daemon):
    script = "echo one; echo two >&2; sleep 0.2; printf 'no newline'; exec sleep 1000"
    daemon.apply({"talk": daemon.shell(script)})
    wait_for(lambda: len(daemon.logged("talk")) == 3, what=lambda: daemon.logged("talk"))
    lines = sorted(daemon.logged("talk"), key=lambda line: line["line"])
    assert [(e["line"], e["stream"]) for e in lines] == [
        ("no newline", "stdout"), ("one", "stdout"), ("two", "stderr")]
    for entry in lines:
        assert entry["service"] == "talk" and entry["replica"] == 0
        assert entry["incarnation"] == daemon.replica("talk")["incarnation"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["at"])
    raw = daemon.ok("logs", "talk", "-o", "raw")
    assert sorted(raw.splitlines()) == ["no newline", "one", "two"]
    assert daemon.ok("logs", "talk", "-n", "1").count("\n") == 1


def test_logs_follow(daemon):
    daemon.apply({"count": daemon.service("lines", "20000")})
    process = procfs.popen(daemon.cli_argv("logs", "-f", "-n", "5", "-o", "raw", "count"),
                           stdout=-1, text=True, env={**daemon.env, "AICTL_SOCKET": daemon.socket})
    first = int(process.stdout.readline().split()[1])
    for expected in range(first + 1, first + 50):
        assert process.stdout.readline() == f"line {expected:09d}\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) in (130, -signal.SIGINT)
    process.stdout.close()


def test_logs_rotate_by_size_and_count(daemon):
    logs = {"max_size": "64KiB", "max_files": 2}
    pause = "20" if daemon.engine else "0"  # else an engine is behind by more than a minute of reading
    daemon.apply({"count": daemon.service("lines", pause, logs=logs)})
    directory = os.path.join(daemon.log_dir, "count", "0")

    def last_number():
        lines = daemon.logged("count", 2)  # the last one may be half there yet
        return int(lines[0]["line"].split()[1]) if len(lines) == 2 else 0
    wait_for(lambda: last_number() > 50000, what=last_number)
    daemon.ok("stop", "count")
    daemon.wait_state("count", "stopped")
    wait_for(lambda: b"end " in daemon.segments("count"), what="the last line is stored")

    def sizes():
        return [entry.stat().st_size for entry in os.scandir(directory)
                if entry.name.endswith(".log")]
    wait_for(lambda: sum(sizes()) <= 3 * 64 * 1024 or None, what=sizes)  # deletion may lag a second
    assert max(sizes()) <= 128 * 1024, sizes()
    numbers = [int(line.split()[1]) for line in daemon.segments("count").decode().splitlines()]
    assert numbers[:-1] == list(range(numbers[0], numbers[-1] + 1))  # a tail without gap


@pytest.mark.processes("unrelated")
def test_second_instance_is_refused(daemon):
    second = procfs.popen(daemon.argv(), stdout=-1, stderr=-2, text=True, env=daemon.env)
    out, _ = second.communicate(timeout=20)
    assert second.returncode != 0 and out.strip()
    assert daemon.mode() == "normal"


def test_sigterm_leaves_nothing(web):
    pids = [*web.pids("web").values(), *web.our_pids()]
    assert web.stop() == 0
    assert not any(procfs.alive(p) for p in pids)
    assert not os.path.exists(web.socket)


def test_stop_kills_after_the_grace_period(daemon):
    stop = {"signal": "SIGTERM", "grace_period": "300ms"}
    daemon.apply({"deaf": daemon.service("http", "0", "stubborn", port=18102, stop=stop)})
    pid = daemon.pid_of("deaf")
    daemon.ok("stop", "deaf")
    daemon.wait_state("deaf", "stopped")
    assert not procfs.alive(pid)
    exits = wait_for(lambda: daemon.describe("deaf")["exits"], what="the exit is recorded")
    assert exits[-1]["signal"].endswith("KILL")


def test_second_sigterm_kills_at_once(daemon):
    daemon.apply({"deaf": daemon.service("http", "0", "stubborn", port=18103,
                                         stop={"grace_period": "300s"})})
    pid = daemon.pid_of("deaf")
    procfs.kill(daemon.pid, signal.SIGTERM)
    wait_for(lambda: daemon.mode() in ("shutdown", None), what=daemon.mode)
    assert procfs.alive(pid)
    procfs.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait(10) == 0
    assert not procfs.alive(pid)


@pytest.mark.processes("unrelated")
def test_manifest_directory_is_applied_at_start_and_on_sighup(base, start):
    directory = os.path.join(base, "services")
    os.mkdir(directory, 0o755)

    def write(name, services):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
            json.dump({"version": 1, "name": "box", "services": services}, f)
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    one = {"command": [os.path.join(base, "svc"), "pause"], **user}
    write("one.yaml", {"one": one, "gone": one})
    daemon = start("--manifests", directory)
    daemon.wait_state("one", "ready")
    daemon.wait_state("gone", "ready")
    pid = daemon.pid_of("one")
    write("one.yaml", {"one": one, "two": one})
    procfs.kill(daemon.pid, signal.SIGHUP)
    wait_for(lambda: set(daemon.ps()) == {"one", "two"}, what=lambda: daemon.ps())
    daemon.wait_state("two", "ready")
    assert daemon.pid_of("one") == pid
    write("one.yaml", {"one": one})
    daemon.ok("daemon", "reload")
    wait_for(lambda: set(daemon.ps()) == {"one"}, what=lambda: daemon.ps())
    assert daemon.pid_of("one") == pid


def test_services_come_back_after_a_restart_of_the_daemon(base, start):
    daemon = start()
    daemon.apply({"web": daemon.service("http", port=18104, replicas=2, probes=READY),
                  "idle": daemon.service("pause")})
    daemon.ok("scale", "web=3")
    daemon.ok("stop", "idle")
    daemon.wait_state("idle", "stopped")
    wait_for(lambda: daemon.ps()["web"]["ready"] == 3, what=lambda: daemon.ps())
    exits = len(daemon.describe("idle")["exits"])
    assert daemon.stop() == 0
    daemon.start()
    wait_for(lambda: daemon.ps()["web"]["ready"] == 3, what=lambda: daemon.ps())
    assert daemon.ps()["idle"]["state"] == "stopped"
    assert len(daemon.describe("idle")["exits"]) == exits


@pytest.mark.processes("unrelated")
def test_version_and_daemon_info(daemon):
    status, version = daemon.api("GET", "/v1/version")
    assert status == 200 and set(version) == {"api_version", "version"}
    assert version["version"] in daemon.ok("version")
    info = json.loads(daemon.ok("daemon", "info", "-o", "json"))
    assert info["pid"] == daemon.pid
    assert info["controller_pid"] == daemon.helper("controller")
    assert info["logger_pid"] == daemon.helper("logger")
    assert info["runtime_dir"] == daemon.runtime_dir


def test_daemon_stop(daemon):
    daemon.apply({"idle": daemon.service("pause")})
    pid = daemon.pid_of("idle")
    daemon.ok("daemon", "stop")
    assert daemon.wait() == 0
    assert not procfs.alive(pid)
