"""tcp and exec probes, ports by name, and what exit codes mean.

SPDX-License-Identifier: MIT
"""
import os
import signal
import socket
import time

import pytest

import kinds
import procfs
from harness import wait_for

RUNS_AS = kinds.ALL
AT_ONCE = {"backoff": {"initial": 0}}

# Accepts nobody: its backlog is full of its own connections.
FULL = """
import os, socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(os.environ["PORT"])))
s.listen(0)
held = [socket.socket() for _ in range(4)]
for h in held:
    h.setblocking(False)
    h.connect_ex(s.getsockname())
print("full", flush=True)
time.sleep(1000)
"""


def probe(daemon, service, kind="readiness", index=0):
    found = [r for r in daemon.describe(service)["replicas"] if r["index"] == index]
    return found[0]["probes"][kind] if found else {}


def message(daemon, service, kind="readiness"):
    return probe(daemon, service, kind).get("message", "")


# tcp


def test_tcp_probe(daemon):
    tcp = {"tcp": {}, "period": "100ms", "timeout": "300ms"}
    daemon.apply({"late": daemon.service("http", "1500", port=18401, probes={"readiness": tcp}),
                  "full": {**daemon.service(port=18402, probes={"readiness": tcp}),
                           "command": ["python3", "-c", FULL.replace("$", "$$")]}}, wait=False)
    wait_for(lambda: message(daemon, "late") == "connection refused")
    assert daemon.replica("late")["state"] == "starting"
    daemon.wait_state("late", "ready")
    port = daemon.replica("late")["ports"]["http"]
    assert probe(daemon, "late") == {**probe(daemon, "late"), "handler": "tcp", "ok": True,
                                     "target": f"127.0.0.1:{port}", "message": "connected"}
    wait_for(lambda: message(daemon, "full") == "no connection within 300ms",
             what=lambda: message(daemon, "full"))


def test_tcp_liveness_finds_a_closed_listener(daemon):
    """The process lives on, nobody listens any more."""
    script = ("import os, signal, socket, time\n"
              "s = socket.socket()\n"
              "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
              "s.bind(('127.0.0.1', int(os.environ['PORT_GRPC'])))\n"
              "s.listen(64)\n"
              "signal.signal(signal.SIGUSR1, lambda *_: s.close())\n"
              "while True: time.sleep(1)\n")
    daemon.apply({"web": {**daemon.service(ports={"grpc": {}, "metrics": {}}, restart=AT_ONCE, probes={
        "readiness": {"tcp": {"port": "grpc"}, "period": "100ms"},
        "liveness": {"tcp": {"port": "grpc"}, "period": "200ms", "failure_threshold": 2}}),
        "command": ["python3", "-c", script], **({"init": True} if daemon.engine else {})}})
    old = daemon.pid_of("web")
    os.kill(old, signal.SIGUSR1)
    daemon.wait_new_pid("web", old)
    daemon.wait_state("web", "ready")
    assert "liveness probe failed 2/2: connection refused" in daemon.ok("events", "web")


# exec


def test_exec_probe(daemon):
    flag = os.path.join(daemon.base, "ok")
    stderr = "" if daemon.engine else " >&2"  # else the two may change places
    script = f"echo looking; echo not yet{stderr}; echo; test -e {flag}"
    daemon.apply({"web": daemon.service("pause", probes={"readiness": {
        "exec": {"command": ["/bin/sh", "-c", script]}, "period": "100ms"}})}, wait=False)
    wait_for(lambda: message(daemon, "web") == "exit code 1: not yet",
             what=lambda: message(daemon, "web"))
    assert probe(daemon, "web")["handler"] == f"exec /bin/sh -c {script}"
    assert probe(daemon, "web")["target"] is None
    with open(flag, "w", encoding="utf-8"):
        pass
    daemon.wait_state("web", "ready")
    assert message(daemon, "web") == "exit code 0: not yet"
    os.unlink(flag)
    daemon.wait_state("web", "degraded")
    assert "readiness probe failed 3/3: exit code 1: not yet" in daemon.replica("web")["message"]
    assert daemon.replica("web")["restarts"] == 0


def test_exec_probe_runs_in_the_services_context(daemon):
    def whole(name):  # never half written
        return f">{out}/.{name}; mv {out}/.{name} {out}/{name}"
    context = "id -u; id -g; pwd; umask; ulimit -n; echo $MODEL $PORT $PORT_METRICS $AICTL_REPLICA"
    out = os.path.join(daemon.base, "seen")
    os.mkdir(out)
    os.chmod(out, 0o777)
    keys = {"ulimits": {"nofile": 555}, "working_dir": "/usr", "environment": {"MODEL": "m"}, "replicas": 2,
            "ports": {"http": {"port": 18403}, "metrics": {}}}
    if daemon.engine:
        keys["ulimits"]["nproc"] = 400  # else Podman raises it, which not every machine allows
    else:
        keys["umask"] = "027"
    daemon.apply({"web": daemon.shell(
        f"({context}) {whole('own-$AICTL_REPLICA')}; exec sleep 1000", **keys,
        probes={"readiness": {"period": "100ms", "exec": {
            "command": ["/bin/sh", "-c", f"({context}) {whole('probe-${REPLICA}')}".replace(
                "$MODEL $PORT $PORT_METRICS $AICTL_REPLICA",
                "$$MODEL ${PORT} ${PORT_METRICS} $$AICTL_REPLICA")]}}})})
    for index in range(2):
        own = wait_for(lambda i=index: procfs.read(f"{out}/own-{i}"))
        assert procfs.read(f"{out}/probe-{index}") == own
        ports = daemon.replica("web", index)["ports"]
        assert own.endswith(f"m {ports['http']} {ports['metrics']} {index}\n")


def test_exec_probe_times_out_and_its_group_is_killed(daemon):
    command = "sleep 2001 & echo waiting; sleep 2001; true"
    timeout = "3s" if daemon.engine else "500ms"  # an engine takes its time before anything runs
    daemon.apply({"web": daemon.service("pause", probes={"readiness": {
        "exec": {"command": ["/bin/sh", "-c", command]}, "period": "5s", "timeout": timeout}})},
        wait=False)
    wait_for(lambda: len(daemon.below("sleep 2001")) == 3, what="the probe runs")
    wait_for(lambda: message(daemon, "web") == f"no end within {timeout}: waiting",
             what=lambda: message(daemon, "web"))
    wait_for(lambda: not daemon.below("sleep 2001"), 2, "its group is gone")


def test_exec_liveness_kills(daemon):
    flag = os.path.join(daemon.base, "sick")
    daemon.apply({"web": daemon.service("pause", restart=AT_ONCE, probes={"liveness": {
        "exec": {"command": ["/bin/sh", "-c", f"test ! -e {flag} || {{ echo model lost; exit 4; }}"]},
        "period": "200ms", "failure_threshold": 2}})})
    old = daemon.pid_of("web")
    wait_for(lambda: message(daemon, "web", "liveness") == "exit code 0")
    with open(flag, "w", encoding="utf-8"):
        pass
    daemon.wait_new_pid("web", old)
    os.unlink(flag)
    assert "liveness probe failed 2/2: exit code 4: model lost" in daemon.ok("events", "web")
    assert daemon.replica("web")["last_exit"]["cause"] == "probe"


def test_exec_probes_that_cannot_run_or_talk_too_much(daemon):
    def readiness(*command):
        return {"readiness": {"exec": {"command": list(command)}, "period": "200ms", "timeout": "20s"}}
    daemon.apply({"none": daemon.service("pause", probes=readiness("/no/such/probe")),
                  "killed": daemon.service("pause", probes=readiness("/bin/sh", "-c", "kill -9 $$$$")),
                  "talker": daemon.service("pause", probes=readiness(
                      "/bin/sh", "-c", "seq 200000; echo last words; exit 1"))}, wait=False)
    if daemon.engine:  # it starts the probe, and says so in words of its own
        wait_for(lambda: message(daemon, "none").startswith(("exit code 126: ", "exit code 127: ")),
                 what=lambda: message(daemon, "none"))
    else:
        wait_for(lambda: message(daemon, "none") == "cannot start: exec: No such file or directory",
                 what=lambda: message(daemon, "none"))
    wait_for(lambda: message(daemon, "killed") == "signal KILL", what=lambda: message(daemon, "killed"))
    wait_for(lambda: message(daemon, "talker") == "exit code 1: last words")


@pytest.mark.processes("many")
def test_many_slow_exec_probes_are_bounded(daemon):
    """80 replicas at once: 64 run, all pass, nobody times out for waiting."""
    daemon.apply({"web": daemon.service("pause", replicas=80, probes={"readiness": {
        "exec": {"command": ["/bin/sleep", "1.01"]}, "period": "60s", "timeout": "30s"}})}, wait=False)
    most = [0]

    def all_ready():
        most[0] = max(most[0], len(daemon.below("sleep 1.01")))
        return daemon.ps()["web"]["ready"] == 80
    wait_for(all_ready, 60)
    assert 1 < most[0] <= 64


def test_exec_probes_over_the_controllers_death(daemon):
    daemon.apply({"web": daemon.service("pause", replicas=3, probes={"liveness": {
        "exec": {"command": ["/bin/sleep", "0.5"]}, "period": "100ms", "timeout": "20s"}})})
    pids = daemon.pids("web")
    wait_for(lambda: daemon.below("sleep 0.5"))
    procfs.kill(daemon.helper("controller"))
    wait_for(lambda: daemon.mode() == "normal")
    since = time.time()
    wait_for(lambda: all(probe(daemon, "web", "liveness", i).get("ok") for i in range(3)))
    assert time.time() - since < 20
    assert daemon.pids("web") == pids


def test_probe_of_the_old_handler_is_gone_after_a_live_change(daemon):
    slow = {"exec": {"command": ["/bin/sleep", "2002"]}, "period": "100ms", "timeout": "60s"}
    spec = daemon.service("pause", probes={"readiness": slow})
    daemon.apply({"web": spec}, wait=False)
    wait_for(lambda: daemon.below("sleep 2002"))
    pid = daemon.pid_of("web")
    del spec["probes"]
    daemon.apply({"web": spec})
    assert daemon.pid_of("web") == pid
    daemon.ok("delete", "web")
    wait_for(lambda: not daemon.below("sleep 2002"), what="the probe went with its replica")


# ports


def test_named_ports(daemon):
    ports = {"http": {"port": 18405}, "metrics": {}, "admin-api": {}}
    shown = "echo $PORT $PORT_HTTP $PORT_METRICS $PORT_ADMIN_API ${PORT_METRICS} done; exec sleep 1000"
    spec = daemon.shell(shown, replicas=2, ports=ports)
    spec["command"][2] = shown.replace("$", "$$").replace("$${PORT_METRICS}", "${PORT_METRICS}")
    daemon.apply({"web": spec})
    given = [daemon.replica("web", i)["ports"] for i in range(2)]
    numbers = [n for g in given for n in g.values()]
    assert len(set(numbers)) == 6
    assert all(set(g) == set(ports) for g in given)
    for i, g in enumerate(given):
        wait_for(lambda i=i: b"done" in daemon.segments("web", i))
        assert daemon.segments("web", i).decode() == " ".join(
            str(g[name]) for name in ("http", "http", "metrics", "admin-api", "metrics")) + " done\n"
        assert daemon.replica("web", i)["port"] == g["http"]
    old = daemon.pid_of("web")
    procfs.kill(old)
    daemon.wait_new_pid("web", old)
    assert daemon.replica("web")["ports"] == given[0]
    procfs.kill(daemon.helper("controller"))
    wait_for(lambda: daemon.mode() == "normal")
    assert [daemon.replica("web", i)["ports"] for i in range(2)] == given
    ports["extra"] = {}
    spec["ports"] = ports
    daemon.apply({"web": spec})
    now = daemon.replica("web")["ports"]
    assert {**now, **given[0]} == now and set(now) == set(ports)


@pytest.mark.processes("unrelated")
def test_a_taken_port_is_skipped(daemon):
    spec = daemon.service("pause", ports={"http": {"port": 18406}, "metrics": {}})
    daemon.apply({"web": spec})
    taken = daemon.replica("web")["ports"]["metrics"]
    daemon.ok("stop", "web")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        daemon.ok("start", "web")
        assert daemon.replica("web")["ports"]["metrics"] != taken


def test_probes_by_number_name_and_default(daemon):
    """The test program serves on PORT; the other names have nobody."""
    ports = {"http": {"port": 18407}, "metrics": {}}
    daemon.apply({"web": daemon.service("http", ports=ports, probes={
        "startup": {"http": {"path": "/healthz"}, "period": "100ms"},
        "readiness": {"http": {"path": "/ready", "port": "http"}, "period": "100ms"},
        "liveness": {"tcp": {"port": "metrics"}, "period": "100ms", "failure_threshold": 1000}})})
    wait_for(lambda: probe(daemon, "web", "liveness").get("at"))
    own = daemon.replica("web")["ports"]
    assert probe(daemon, "web", "startup")["target"] == f"127.0.0.1:{own['http']}"
    assert probe(daemon, "web", "readiness")["target"] == f"127.0.0.1:{own['http']}"
    assert probe(daemon, "web", "liveness")["target"] == f"127.0.0.1:{own['metrics']}"
    assert message(daemon, "web", "liveness") == "connection refused"
    fixed = str(own["http"])
    daemon.apply({"web": daemon.service("http", ports=ports, probes={
        "liveness": {"tcp": {"port": fixed}, "period": "100ms"}})})
    wait_for(lambda: message(daemon, "web", "liveness") == "connected")


# exit codes


def test_rules_by_exit_code(daemon):
    rules = [{"exit": [125, 126], "then": "fail"}, {"exit": [7], "then": "succeed"},
             {"exit": [3, 7], "then": "restart"}]

    def service(code, policy):
        return daemon.service("exit", str(code), restart={"policy": policy, "rules": rules, **AT_ONCE,
                                                          "budget": {"restarts": 0}})
    daemon.apply({"fails": service(125, "always"), "done": service(7, "always"),
                  "again": service(3, "never"), "policy": service(4, "never")}, wait=False)
    failed = daemon.wait_state("fails", "failed")["replicas"][0]
    assert failed["message"] == "exit code 125: rule says fail" and failed["restarts"] == 0
    done = daemon.wait_state("done", "succeeded")["replicas"][0]
    assert done["message"] == "exit code 7: rule says succeed" and done["restarts"] == 0
    assert daemon.wait_state("policy", "failed")["replicas"][0]["message"] == "exit code 4"
    wait_for(lambda: daemon.replica("again")["restarts"] >= 3, what="the rule restarts it")
    assert "exit code 3: rule says restart" in daemon.ok("events", "again")
    daemon.ok("stop", "again")


def test_success_exit_codes(daemon):
    def service(code, policy, codes):
        return daemon.service("exit", str(code), restart={"policy": policy, "success_exit_codes": codes,
                                                          "backoff": {"initial": "60s"}})
    daemon.apply({"good": service(3, "on-failure", [0, 3]), "job": service(3, "never", [0, 3]),
                  "zero": service(0, "never", [3]), "bad": service(4, "on-failure", [0, 3])}, wait=False)
    for name in ("good", "job"):
        assert daemon.wait_state(name, "succeeded")["replicas"][0]["message"] == "exit code 3"
    assert daemon.wait_state("zero", "failed")["replicas"][0]["last_exit"]["code"] == 0
    wait_for(lambda: daemon.replica("bad")["state"] == "backoff")
