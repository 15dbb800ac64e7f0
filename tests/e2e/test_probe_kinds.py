"""grpc, file, log and progress probes.

SPDX-License-Identifier: MIT
"""
import json
import os
import time

import pytest

import grpc_health
import procfs
from harness import wait_for
from scripted import Script

AT_ONCE = {"backoff": {"initial": 0}}


def message(daemon, kind="readiness"):
    found = daemon.describe("web")["replicas"]
    return found[0]["probes"].get(kind, {}).get("message", "") if found else ""


def wait_message(daemon, text, kind="readiness"):
    wait_for(lambda: text in message(daemon, kind), what=lambda: message(daemon, kind))


def deploy(daemon, command, wait=False, **keys):
    spec = {**daemon.service(port=18463, restart=AT_ONCE, **keys), "command": command}
    daemon.apply({"web": spec}, wait=wait)


def new_directory(daemon, name="dir"):
    path = os.path.join(daemon.base, name)
    os.mkdir(path)
    os.chmod(path, 0o777)
    return path


def write(path, text):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


# grpc


def deploy_grpc(daemon, directory, **grpc):
    deploy(daemon, ["/usr/bin/python3", os.path.abspath(grpc_health.__file__), directory],
           probes={"readiness": {"grpc": grpc, "period": "100ms", "timeout": "5s"}})


@pytest.mark.containers
def test_grpc(daemon):
    """Against a server of grpc's own library: no health service, not serving, serving, gone."""
    directory = new_directory(daemon)
    deploy_grpc(daemon, directory)
    wait_message(daemon, "connection refused")
    wait_message(daemon, "gRPC UNIMPLEMENTED: it has no health service")
    write(os.path.join(directory, "status"), json.dumps({"": 2}))
    wait_message(daemon, "NOT_SERVING")
    write(os.path.join(directory, "status"), json.dumps({"": 0}))
    wait_message(daemon, "UNKNOWN")
    assert daemon.replica("web")["state"] == "starting"
    write(os.path.join(directory, "status"), json.dumps({"": 1}))
    daemon.wait_state("web", "ready")
    assert message(daemon) == "SERVING"
    probe = daemon.describe("web")["replicas"][0]["probes"]["readiness"]
    assert probe["handler"] == "grpc" and probe["target"].startswith("127.0.0.1:")
    write(os.path.join(directory, "status"), json.dumps({"": 2}))
    daemon.wait_state("web", "degraded")
    assert daemon.replica("web")["restarts"] == 0


def test_grpc_asks_for_a_service(daemon):
    name = "inference.GRPCInferenceService"
    directory = new_directory(daemon)
    write(os.path.join(directory, "status"), json.dumps({"": 1}))
    deploy_grpc(daemon, directory, service=name)
    wait_message(daemon, f'gRPC NOT_FOUND: it knows no service "{name}"')
    write(os.path.join(directory, "status"), json.dumps({"": 2, name: 1}))
    daemon.wait_state("web", "ready")


def test_grpc_takes_a_new_connection_each_time(daemon):
    """A server that accepts nobody any more is found, whatever an old connection says."""
    directory = new_directory(daemon)
    write(os.path.join(directory, "status"), json.dumps({"": 1}))
    deploy_grpc(daemon, directory)
    peers = wait_for(lambda: len(p := procfs.read(os.path.join(directory, "peers")).split()) >= 5 and p)
    assert len(set(peers)) == len(peers), peers


def test_grpc_of_something_else(daemon):
    """A server that speaks HTTP/1.1 only."""
    script = Script(os.path.join(daemon.base, "script"))
    deploy(daemon, script.command(), probes={"readiness": {"grpc": {}, "period": "100ms", "timeout": "2s"}})
    wait_for(lambda: message(daemon) not in ("", "connection refused"))
    said = message(daemon)
    assert daemon.replica("web")["state"] == "starting" and said, said


# file


def test_file(daemon):
    directory = new_directory(daemon)
    deploy(daemon, [daemon.svc, "pause"], working_dir=directory,
           probes={"readiness": {"file": {"path": "up-${REPLICA}"}, "period": "100ms", "timeout": "5s"}})
    wait_message(daemon, "No such file or directory")
    write(os.path.join(directory, "up-0"), "")
    daemon.wait_state("web", "ready")
    assert message(daemon).startswith("changed ")


def test_a_heartbeat_file(daemon):
    """liveness by the age of a file: one that is not touched any more has a process that is stuck."""
    directory = new_directory(daemon)
    beat = os.path.join(directory, "beat")
    stuck = os.path.join(directory, "stuck")
    script = f"while :; do [ -e {stuck} ] || touch {beat}; sleep 0.2; done"
    deploy(daemon, ["/bin/sh", "-c", script.replace("$", "$$")],
           probes={"startup": {"file": {"path": beat}, "period": "100ms", "timeout": "5s"},
                   "liveness": {"file": {"path": beat, "max_age": "3s"}, "period": "300ms", "timeout": "5s",
                                "failure_threshold": 2}})
    daemon.wait_state("web", "ready")
    wait_message(daemon, "changed ", "liveness")
    old = daemon.pid_of("web")
    write(stuck, "")
    wait_for(lambda: daemon.replica("web")["last_exit"])
    assert daemon.replica("web")["last_exit"]["cause"] == "probe"
    os.unlink(stuck)
    daemon.wait_new_pid("web", old)
    said = [e["message"] for e in daemon.events("web") if "liveness probe failed 2/2: changed " in e["message"]]
    assert said, daemon.events("web")


# log


def log_probe(pattern, **extra):
    return {"log": {"pattern": pattern}, "period": "100ms", "timeout": "5s", **extra}


@pytest.mark.containers
def test_log(daemon):
    """A line of either stream, of this process only; seen once it stays seen."""
    flag = os.path.join(new_directory(daemon), "go")
    script = f"echo model loaded in 7 s; while ! [ -e {flag} ]; do sleep 0.1; done; echo model loaded in 12.5 s >&2; sleep 1000"
    deploy(daemon, ["/bin/sh", "-c", script.replace("$", "$$")],
           probes={"readiness": log_probe("^model loaded in [0-9]{2,}[.][0-9]+ s$")})
    wait_message(daemon, 'no line matches "^model loaded in')
    assert daemon.replica("web")["state"] == "starting"
    write(flag, "")
    daemon.wait_state("web", "ready")
    assert message(daemon) == "seen: model loaded in 12.5 s"
    count = daemon.describe("web")["replicas"][0]["probes"]["readiness"]["results"]
    wait_for(lambda: daemon.describe("web")["replicas"][0]["probes"]["readiness"]["results"] > count + 3)
    assert daemon.replica("web")["state"] == "ready"
    os.unlink(flag)
    old = daemon.pid_of("web")
    os.kill(old, 9)
    daemon.wait_new_pid("web", old)
    wait_message(daemon, "no line matches")  # what the former process wrote does not count
    assert daemon.replica("web")["state"] == "starting"
    write(flag, "")
    daemon.wait_state("web", "ready")


def test_log_after_much_output(daemon):
    """More than one attempt reads, over a rotation."""
    script = "i=0; while [ $i -lt 60000 ]; do echo line $i of much output that is not it, and more of it; i=$((i+1)); done; echo UP; sleep 1000"
    deploy(daemon, ["/bin/sh", "-c", script.replace("$", "$$")], logs={"max_size": "1MiB", "max_files": 20},
           probes={"startup": log_probe("^UP$")})
    daemon.wait_state("web", "ready")
    assert message(daemon, "startup") == "seen: UP"


def test_log_survives_the_controller(daemon):
    script = "echo UP; sleep 1000"
    deploy(daemon, ["/bin/sh", "-c", script], wait=True, probes={"readiness": log_probe("UP")})
    old = daemon.pid_of("web")
    controller = daemon.helper("controller")
    os.kill(controller, 9)
    wait_for(lambda: daemon.helper("controller") not in (None, controller))
    wait_for(lambda: message(daemon) == "seen: UP")
    assert daemon.pid_of("web") == old and daemon.replica("web")["state"] == "ready"


# progress


def page(done, waiting):
    return {"/metrics": {"body": f'# TYPE tokens_total counter\ntokens_total{{model="a"}} {done}\n'
                                 f'tokens_total{{model="b"}} 5\nrequests_waiting{{model="a"}} {waiting}\n'}}


@pytest.mark.containers
def test_progress(daemon):
    """Work waits and the counter stands still: stuck. An idle one, or a slow one, is left alone."""
    script = Script(os.path.join(daemon.base, "script"))
    script.answer(page(100, 0))
    progress = {"metric": "tokens_total", "pending": "requests_waiting", "stall": "2s"}
    deploy(daemon, script.command(), probes={
        "startup": {"http": {"path": "/up"}, "period": "100ms", "timeout": "5s"},
        "liveness": {"progress": progress, "period": "200ms", "timeout": "5s", "failure_threshold": 1}})
    daemon.wait_state("web", "ready")
    old = daemon.pid_of("web")
    wait_message(daemon, "nothing waits, counter at 105", "liveness")
    deadline = time.monotonic() + 4
    done = 100
    while time.monotonic() < deadline:  # busy: slow, but it moves
        done += 1
        script.answer(page(done, 3))
        time.sleep(0.5)
    assert daemon.pid_of("web") == old and daemon.replica("web")["restarts"] == 0
    wait_for(lambda: daemon.replica("web")["last_exit"])
    assert daemon.replica("web")["last_exit"]["cause"] == "probe"
    said = [e["message"] for e in daemon.events("web") if "liveness probe failed" in e["message"]]
    assert f"3 waiting, counter stands at {done + 5} for " in said[0], said
    script.answer(page(1, 0))
    daemon.wait_new_pid("web", old)
    daemon.wait_state("web", "ready")


def test_progress_without_its_metric(daemon):
    script = Script(os.path.join(daemon.base, "script"))
    progress = {"metric": "tokens_total", "pending": "requests_waiting"}
    deploy(daemon, script.command(), probes={
        "startup": {"http": {"path": "/up"}, "period": "100ms", "timeout": "5s"},
        "liveness": {"progress": progress, "period": "100ms", "timeout": "5s", "failure_threshold": 1000}})
    wait_message(daemon, "the page has no metric requests_waiting", "liveness")


@pytest.mark.parametrize("probe, text", [
    ({"log": {"pattern": "("}}, "is not a POSIX extended regular expression"),
    ({"file": {}}, "path is missing"),
    ({"progress": {"metric": "a", "pending": "b"}}, "unknown key"),
    ({"grpc": {"port": "other"}}, 'the service has no port named "other"'),
    ({"grpc": {}, "tcp": {}}, "only one of"),
])
def test_what_cannot_be(daemon, probe, text):
    path = daemon.write({"version": 1, "services": {"web": daemon.service(port=1, probes={"readiness": probe})}})
    rc, _, err = daemon.cli("validate", "-f", path)
    assert rc == 9 and text in err, err
