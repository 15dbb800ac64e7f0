"""Scale to zero: a service that nobody asks runs no replica; the first request starts one, and is held
until it is ready. No death of a process of ours costs a client more than time.

SPDX-License-Identifier: MIT
"""
import contextlib
import http.client
import json
import pathlib
import random
import socket
import threading
import time

import pytest

import kinds
import procfs
from harness import CAMPAIGN, wait_for
from test_helpers import kill_helper, wait_helper
from test_traffic import READY, START_FIRST, ask, endpoint, free_port, wait_open

RUNS_AS = kinds.ALL
CLIENTS = 50
RANGE = {"min": 0, "max": 4}


def sleeper(daemon, port, delay_ms=700, **keys):
    """Answers delay_ms after its start; to zero after a second without a request."""
    keys = {"port": port, "replicas": RANGE, "idle": "1s", "hold": "30s", "probes": READY,
            "update": START_FIRST, "stop": {"drain": "5s", "grace_period": "2s"}, **keys}
    return daemon.service("talk", str(delay_ms), **daemon.facing(**keys))


def apply(daemon, services):
    """Ready to serve, if only by its first request: and its ports are open."""
    daemon.apply(services)
    for name, keys in services.items():
        if "port" in keys or "ports" in keys:
            wait_open(daemon, name)


def wait_idle(daemon, service="web", timeout=30):
    s = daemon.wait_state(service, "idle", timeout)
    assert (s["desired"], s["ready"], s["replicas"]) == (0, 0, []), s
    return s


def starts(daemon, service="web"):
    """How many processes of it were started."""
    return sum(e["type"] == "state" and e["to"] == "starting" for e in daemon.events(service))


class Clients:
    """Each asks once, at the same time; answers are (status, headers, body), failures exceptions."""

    def __init__(self, port, n=CLIENTS, timeout=60):
        self.port = port
        self.timeout = timeout
        self.answers = []
        self.failures = []
        self.gate = threading.Barrier(n)
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, i):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        body = b"x" * 1000 if i % 2 else None
        self.gate.wait()
        try:
            connection.request("POST" if body else "GET", "/", body)
            reply = connection.getresponse()
            self.answers.append((reply.status, reply.headers, reply.read().decode()))
        except (OSError, http.client.HTTPException) as e:
            self.failures.append(repr(e))
        finally:
            connection.close()

    def join(self):
        for t in self.threads:
            t.join(self.timeout + 10)
        return self

    def check(self):
        """All were answered; returns the incarnations that did."""
        assert not self.failures, f"{len(self.failures)}: {self.failures[:3]}"
        assert len(self.answers) == len(self.threads)
        bad = [a for a in self.answers if a[0] != 200]
        assert not bad, f"{len(bad)}: {bad[0][0]} {bad[0][2]}"
        return {json.loads(a[2])["me"] for a in self.answers}


def from_zero(daemon, service="web"):
    return daemon.ps()[service]["from_zero"]


@pytest.mark.containers
def test_first_requests_start_one_replica(daemon):
    """and when nobody asks any more it is stopped; again and again."""
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port)})  # ready to serve: nothing to wait for
    s = wait_idle(daemon)
    assert s["message"] == f"a request at 127.0.0.1:{port} starts a replica"
    assert from_zero(daemon) == {"idle": True, "since": None, "idle_after_ms": 1000, "waiting": 0, "start_ms": None}
    for round_ in range(1, 4):
        served_by = Clients(port).join().check()
        assert len(served_by) == 1
        assert starts(daemon) == round_, daemon.events("web")
        s = wait_idle(daemon)
        assert from_zero(daemon)["start_ms"] >= 700
        assert "ready in about" in s["message"]
    reasons = [e["reason"] for e in daemon.events("web") if e["type"] == "scale"]
    assert reasons == ["request", "idle"] * 3
    assert not daemon.below("svc talk")


def test_it_stays_up_while_it_is_used(daemon):
    """An answer that takes longer than idle is no idleness, nor are requests that come now and then."""
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 0)})
    status, said = ask(port, "/stream/4000")
    assert (status, len(said)) == (200, 10)
    for _ in range(8):
        assert ask(port, "/sleep/400")[0] == 200
    assert starts(daemon) == 1
    wait_idle(daemon)


def test_then_the_scaler_has_its_say(daemon):
    """Who waited for the first replica is no reason for more; who goes on asking is."""
    port = free_port()
    scaler = {"metric": "concurrency", "target": 2, "panic_window": "3s"}
    apply(daemon, {"web": sleeper(daemon, port, 500, autoscale=scaler)})
    over = threading.Event()

    def load():
        while not over.is_set():
            assert ask(port, "/sleep/200")[0] == 200
    clients = [threading.Thread(target=load, daemon=True) for _ in range(12)]
    for c in clients:
        c.start()
    daemon.wait_state("web", "ready")
    assert starts(daemon) == 1
    wait_for(lambda: daemon.ps()["web"]["ready"] > 1, what="more are started")
    over.set()
    for c in clients:
        c.join(30)


@pytest.mark.containers
@pytest.mark.parametrize("kills", [1, 5])
def test_kill_of_the_controller_during_the_hold(start, kills):
    """costs the clients time, and starts nothing twice."""
    daemon = start("--helper-restart", CAMPAIGN)
    port = free_port()
    web = sleeper(daemon, port)
    web["command"] = ["/bin/sh", "-c", f"echo started; exec {daemon.svc} talk 3000"]
    apply(daemon, {"web": web})
    clients = Clients(port)
    if kills > 1:  # also before it has heard of them
        time.sleep(random.uniform(0, 0.05))
    else:
        wait_for(lambda: starts(daemon) == 1, what="it starts")
    for _ in range(kills):
        wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    assert len(clients.join().check()) == 1
    wait_for(daemon.answers, what="the controller answers")
    wait_idle(daemon)
    assert daemon.segments("web") == b"started\n"


def test_after_the_death_of_aictld(start):
    """What is at zero stays there, and wakes."""
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port)})
    assert ask(port)[0] == 200
    wait_idle(daemon)
    took = from_zero(daemon)["start_ms"]
    for which in ((), ("controller", "logger", "gateway")):
        before = starts(daemon)
        daemon.crash(*which)
        daemon.start_again()
        wait_for(daemon.answers, what="the new one answers")
        wait_idle(daemon)
        assert from_zero(daemon)["start_ms"] == took  # it is known still
        assert len(Clients(port).join().check()) == 1
        assert starts(daemon) == before + 1
        wait_idle(daemon)
        took = from_zero(daemon)["start_ms"]


@pytest.mark.containers
@pytest.mark.parametrize("how", ["kill", "reexec"])
def test_another_aictld_during_the_hold(start, how):
    """The gateway that holds the requests is another one's then: it passes them on."""
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    port = free_port()
    keys = {"network": "host"} if daemon.engine else {}  # "proxy" of docs/engines.md is not what this is about
    apply(daemon, {"web": sleeper(daemon, port, 2500, **keys)})
    clients = Clients(port, 20)
    wait_for(lambda: from_zero(daemon)["waiting"] == 20, what="they wait")
    if how == "kill":
        daemon.crash()
        daemon.start_again()
    else:
        daemon.ok("daemon", "reexec")
    wait_for(daemon.answers, what="the new one answers")
    assert len(clients.join().check()) == 1
    wait_idle(daemon)


def test_kill_of_the_gateway_during_the_hold(start):
    """Who was connected is cut; the start goes on, and who comes then is answered."""
    daemon = start("--helper-restart", CAMPAIGN)
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 1500)})
    clients = Clients(port, 5)
    wait_for(lambda: from_zero(daemon)["waiting"] == 5, what="they wait")
    assert starts(daemon) == 1
    kill_helper(daemon, "gateway")
    assert ask(port)[0] == 200
    assert len(clients.join().failures) == 5
    assert starts(daemon) == 1
    wait_idle(daemon)


def test_tcp(daemon):
    """Connections are held in the same way, with what they have said already."""
    port = free_port()
    web = sleeper(daemon, port, ports={"http": {"port": port, "protocol": "tcp"}})
    del web["port"]
    apply(daemon, {"web": web})
    wait_idle(daemon)
    assert len(Clients(port).join().check()) == 1
    assert starts(daemon) == 1
    wait_idle(daemon)


def test_tcp_deadline(daemon):
    port = free_port()
    web = sleeper(daemon, port, 4000, hold="1s", ports={"http": {"port": port, "protocol": "tcp"}})
    del web["port"]
    apply(daemon, {"web": web})
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert s.recv(1) == b""
        assert 0.9 < time.monotonic() - began < 15
    daemon.wait_state("web", "ready")


def told(answer):
    """(Retry-After, the error) of a 503 in OpenAI's shape."""
    status, headers, body = answer
    assert status == 503, body
    assert headers["Content-Type"] == "application/json"
    error = json.loads(body)["error"]
    assert isinstance(error["message"], str) and error["type"] == "service_unavailable" and error["param"] is None
    retry = headers["Retry-After"]
    return retry and int(retry), error


def test_the_hold_has_an_end(daemon):
    """Then a client hears when to come again; the start goes on meanwhile."""
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 4000, hold="1s")})
    clients = Clients(port, 5).join()
    for answer in clients.answers:
        retry, error = told(answer)
        assert retry >= 1 and error["code"] == "loading"
        assert error["loading"] == {"state": "starting", "eta_seconds": None}
        assert "web is starting" in error["message"]
    assert len(clients.answers) == 5
    daemon.wait_state("web", "ready")  # nobody waits for it any more
    assert ask(port)[0] == 200
    assert starts(daemon) == 1
    wait_idle(daemon)
    took = from_zero(daemon)["start_ms"] / 1000  # it is known now
    retry, error = told(Clients(port, 1).join().answers[0])
    assert took - 2 <= error["loading"]["eta_seconds"] <= took and retry == error["loading"]["eta_seconds"]
    daemon.wait_state("web", "ready")


def test_the_start_goes_on_when_the_client_leaves(daemon):
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 1500)})
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        wait_for(lambda: starts(daemon) == 1, what="it starts")
    wait_for(lambda: from_zero(daemon)["waiting"] == 0, what="the client has left")
    daemon.wait_state("web", "ready")
    wait_idle(daemon)
    assert starts(daemon) == 1


def test_a_client_that_leaves_at_once(daemon):
    """was one all the same."""
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 0)})
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
    wait_for(lambda: starts(daemon) == 1, what="it starts")
    wait_idle(daemon)


def test_too_many_wait(daemon):
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 1500, queue={"max": 10})})
    clients = Clients(port).join()
    good = [a for a in clients.answers if a[0] == 200]
    assert len(good) == 10
    for answer in clients.answers:
        if answer not in good:
            assert told(answer)[0] >= 1


@pytest.mark.containers
def test_a_start_that_fails(daemon):
    """Nobody waits for what will not come: those who do, and who comes after them, hear why at once."""
    port = free_port()
    web = daemon.shell("sleep 0.3; exit 3", port=port, replicas=RANGE, idle="1s", hold="60s", probes=READY,
                       restart={"backoff": {"initial": "100ms"}, "budget": {"restarts": 1, "then": "fail"}})
    apply(daemon, {"web": web})
    began = time.monotonic()
    clients = Clients(port, 5).join()
    for answer in clients.answers:
        retry, error = told(answer)
        assert retry is None and error["code"] == "failed", (retry, error)
        assert error["loading"] == {"state": "failed", "eta_seconds": None}
        assert "exit code 3" in error["message"]
    assert len(clients.answers) == 5
    error = told(Clients(port, 1).join().answers[0])[1]
    assert error["code"] == "failed"
    assert time.monotonic() - began < 40
    assert daemon.ps()["web"]["state"] == "failed"  # for somebody to look at
    ends = starts(daemon)
    daemon.cli("start", "--no-wait", "web")  # the user's word: it is tried again
    wait_for(lambda: starts(daemon) > ends, what="another start")


@pytest.mark.containers
def test_the_user(daemon):
    """start, scale, stop, restart, wait, status, why and describe of one that is idle."""
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 0, idle="1h")})
    wait_idle(daemon)
    assert daemon.ok("wait", "web").split() == ["web", "idle"]
    daemon.ok("status", "web")
    assert "idle, 0/0 (from zero)" in daemon.ok("describe", "web")
    assert "0/0 (from zero): a request at" in daemon.ok("ps")
    why = daemon.ok("why", "web")
    assert f"a request at 127.0.0.1:{port} starts a replica" in why and "aictl start web" in why, why
    assert "0/0 (from zero)" in daemon.ok("restart", "web")
    wait_idle(daemon)
    daemon.ok("start", "web")
    assert daemon.ps()["web"]["state"] == "ready" and starts(daemon) == 1
    daemon.ok("scale", "web=0")  # to sleep, not off
    wait_idle(daemon)
    assert ask(port)[0] == 200
    daemon.ok("scale", "web=2")
    assert daemon.ps()["web"]["ready"] == 2
    daemon.ok("scale", "web=0")
    wait_idle(daemon)
    daemon.ok("scale", "web=2")
    daemon.ok("stop", "web")
    assert daemon.ps()["web"]["state"] == "stopped"


def test_stop_and_start(daemon):
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 0)})
    wait_idle(daemon)
    daemon.ok("stop", "web")
    assert daemon.ps()["web"]["state"] == "stopped" and from_zero(daemon) is None
    daemon.ok("start", "web")
    assert starts(daemon) == 1
    assert ask(port)[0] == 200
    wait_idle(daemon)


def test_an_update_of_one_that_is_idle(daemon):
    """starts nothing; the next request is answered by the new one."""
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 0)})
    assert ask(port)[0] == 200
    wait_idle(daemon)
    path = daemon.write({"version": 1, "name": "shop", "services": {
        "web": sleeper(daemon, port, 0, environment={"V": "2"})}})
    daemon.ok("apply", "-f", path, "--wait")
    wait_idle(daemon)
    assert starts(daemon) == 1
    assert daemon.cli("why", "web")[0] == 0
    assert ask(port)[0] == 200
    assert daemon.replica("web")["revision"] == daemon.ps()["web"]["revision"] == 2
    wait_idle(daemon)
    # one that does not start is taken back, and the request answered by what was good
    bad = sleeper(daemon, port, 0, environment={"V": "3"}, idle="5s",
                  restart={"backoff": {"initial": "100ms"}})
    bad["command"] = ["/bin/false"]
    apply(daemon, {"web": bad})
    wait_idle(daemon)
    assert ask(port)[0] == 200
    assert "rolled back" in daemon.ps()["web"]["message"]


@pytest.mark.processes("many")
@pytest.mark.waits
def test_windows_of_the_schedule(daemon):
    """One starts it without a request, and lets it sleep again; one that allows none ends, too."""
    begins = (int(time.time() + 20) // 60 + 1) * 60

    def keys(**bounds):
        cron = f"{time.localtime(begins).tm_min} * * * *"
        return {"metric": "concurrency", "panic_window": "1s", "schedule": [{"cron": cron, "for": "60s", **bounds}]}
    port, other = free_port(), free_port()
    apply(daemon, {"up": sleeper(daemon, port, 0, autoscale=keys(min=1)),
                   "none": sleeper(daemon, other, 0, autoscale=keys(max=0))})
    wait_idle(daemon, "up")
    wait_idle(daemon, "none")
    wait_for(lambda: daemon.ps()["up"]["state"] == "ready", timeout=110, what="it is started")
    assert begins <= time.time() < begins + 20
    daemon.wait_state("none", "stopped")
    wait_idle(daemon, "up", timeout=90)
    assert time.time() >= begins + 60
    scaler = daemon.get("/v1/services/up/autoscale")
    assert (scaler["desired"], scaler["ready"], scaler["starting"]) == (0, 0, 0)
    daemon.wait_state("none", "idle", 30)
    assert ask(other)[0] == 200


def test_a_port_that_goes(daemon):
    """Who waited there is answered, and nothing of it keeps the service up."""
    port, side = free_port(), free_port()
    web = sleeper(daemon, port, 0)
    web["ports"] = {"http": {"port": web.pop("port")}, "side": {"port": side}}
    apply(daemon, {"web": web})
    assert ask(port)[0] == 200
    daemon.ok("hold", "--timeout", "60s", "web")
    with socket.create_connection(("127.0.0.1", side), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: daemon.describe("web")["traffic"]["waiting"] == 1, what="it waits")
        del web["ports"]["side"]
        apply(daemon, {"web": web})
        assert client.recv(12) == b"HTTP/1.1 503"
    daemon.ok("release", "web")
    assert ask(port)[0] == 200
    wait_idle(daemon)
    assert daemon.describe("web")["traffic"]["waiting"] == 0
    demand = daemon.get("/v1/services/web/autoscale")["demand"]
    assert demand["known"] and demand["now"] == 0, demand


@pytest.mark.waits
def test_several_that_do_not_come_up_again(daemon):
    """While nobody asks: they are not started for ever."""
    port = free_port()
    directory = pathlib.Path(daemon.base) / "shared"
    directory.mkdir()
    directory.chmod(0o755)
    web = sleeper(daemon, port, 0, restart={"backoff": {"initial": "200ms"}},
                  autoscale={"metric": "concurrency", "target": 1, "window": "6s", "panic_window": "2s"})
    web["command"] = ["/bin/sh", "-c", f'test ! -e {directory}/broken && exec "$@"', "sh", *web["command"]]
    apply(daemon, {"web": web})
    over = threading.Event()

    def load():
        while not over.is_set():
            assert ask(port, "/sleep/300")[0] == 200
    clients = [threading.Thread(target=load, daemon=True) for _ in range(3)]
    for c in clients:
        c.start()
    wait_for(lambda: daemon.ps()["web"]["ready"] >= 3, timeout=60, what="three are ready")
    over.set()
    for c in clients:
        c.join(30)
    (directory / "broken").touch()
    for r in daemon.ps()["web"]["replicas"]:
        if r["state"] == "ready":
            procfs.kill(r["pid"])
    wait_idle(daemon, timeout=60)
    (directory / "broken").unlink()
    assert ask(port)[0] == 200


def test_who_depends_on_it_starts(daemon):
    """What sleeps is ready to serve: it wakes when it is asked."""
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 0),
                  "app": daemon.service("beat", depends_on={"web": {"condition": "ready"}})})
    daemon.wait_state("app", "ready")
    wait_idle(daemon)
    pid = daemon.pid_of("app")
    assert ask(port)[0] == 200
    wait_idle(daemon)
    daemon.ok("restart", "app")
    assert daemon.pid_of("app") != pid
    wait_idle(daemon)


def test_a_range_that_no_longer_begins_at_zero(daemon):
    port = free_port()
    apply(daemon, {"web": sleeper(daemon, port, 0)})
    wait_idle(daemon)
    apply(daemon, {"web": sleeper(daemon, port, 0, replicas={"min": 1, "max": 2})})
    assert daemon.ps()["web"]["state"] == "ready" and from_zero(daemon) is None
    apply(daemon, {"web": sleeper(daemon, port, 0)})
    wait_idle(daemon)
    assert endpoint(daemon)["open"]


@pytest.mark.processes("unrelated")
@pytest.mark.parametrize("change, said", [
    ({"port": None}, "0 needs a stable port of mode proxy"),
    ({"type": "task"}, "a task has a number of them, no range"),
])
def test_who_cannot(daemon, change, said):
    web = {k: v for k, v in {**sleeper(daemon, free_port()), **change}.items() if v is not None}
    path = daemon.write({"version": 1, "name": "shop", "services": {"web": web}})
    status, _, err = daemon.cli("apply", "-f", path)
    assert status != 0 and said in err, err
