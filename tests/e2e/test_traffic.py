"""Traffic: the stable port of a service. Who asks it is answered by a ready replica; updates, scaling,
restarts and the death of any process of ours lose no request.

SPDX-License-Identifier: MIT
"""
import collections
import contextlib
import http.client
import json
import os
import random
import socket
import threading
import time

import pytest

import kinds
import procfs
from harness import CAMPAIGN, wait_for
from test_helpers import kill_helper, wait_helper

RUNS_AS = kinds.ALL
SEED = int(os.environ.get("AICTL_E2E_SEED", time.time_ns() % 1_000_000))
MANY = int(os.environ.get("AICTL_TRAFFIC_MANY", "1"))  # times as many rounds
MIB = 1 << 20
READY = {"readiness": {"tcp": {}, "period": "100ms"}}
START_FIRST = {"min_ready": "100ms"}


def free_port():
    """One that nobody has; the daemons of other tests take theirs from below 30000."""
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", random.randrange(30500, 32000)))
            return s.getsockname()[1]


def talker(daemon, port, **keys):
    keys = {"port": port, "probes": READY, "update": START_FIRST,
            "stop": {"drain": "20s", "grace_period": "2s"}, **keys}
    return daemon.service("talk", **daemon.facing(**keys))


def ask(port, path="/", body=None, timeout=40):
    """(status, decoded reply lines)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        reply = connection.getresponse()
        text = reply.read().decode()
        return reply.status, [json.loads(line) for line in text.splitlines()] if reply.status == 200 else text
    finally:
        connection.close()


class Load:
    """Clients of each kind that ask without a pause; what was not answered as it should be is kept."""

    KINDS = {"get": ("/", None, 1), "sleep": ("/sleep/200", None, 1), "post": ("/", b"x" * 100, 1),
             "upload": ("/", b"x" * MIB, 1), "stream": ("/stream/1500", None, 10)}

    def __init__(self, port, pause=0.005):
        self.port = port
        self.pause = pause
        self.failures = []
        self.done = collections.Counter()
        self.answered_by = collections.Counter()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(kind,), daemon=True)
                        for kind in self.KINDS for _ in range(2)]

    def run(self, kind):
        path, body, lines = self.KINDS[kind]
        connection = None
        while not self.over.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request("GET" if body is None else "POST", path, body)
                reply = connection.getresponse()
                text = reply.read()
                said = [json.loads(line) for line in text.splitlines()] if reply.status == 200 else []
                if len(said) != lines or said[-1]["bytes"] != len(body or b""):
                    raise ValueError(f"{reply.status} {reply.getheader('content-type')} {text[:200]!r}")
                self.done[kind] += 1
                self.answered_by[said[-1]["me"]] += 1
                if random.random() < 0.3 or reply.will_close:
                    connection.close()
                    connection = None
            except Exception as e:  # pylint: disable=broad-except
                self.failures.append((round(time.time(), 3), kind, repr(e)))
                connection = None
            time.sleep(self.pause)

    def __enter__(self):
        for t in self.threads:
            t.start()
        self.flows()
        return self

    def flows(self):
        """Requests of each kind that were begun after now are answered."""
        before = dict(self.done)
        wait_for(lambda: all(self.done[k] > before.get(k, 0) + 2 for k in self.KINDS),
                 what=lambda: f"requests are answered: {self.done} {self.failures[-5:]}")

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(60)

    def check(self):
        assert not self.failures, f"{len(self.failures)} of {sum(self.done.values())}: {self.failures[:5]}"


def endpoint(daemon, service="web"):
    return daemon.ps()[service]["endpoints"][0]


def wait_open(daemon, service="web"):
    return wait_for(lambda: (e := endpoint(daemon, service)) and e["open"] and e,
                    what=lambda: f"it is open: {endpoint(daemon, service)}")


def test_a_client_is_answered_by_ready_replicas(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port, replicas=2)})
    e = wait_open(daemon)
    assert (e["name"], e["protocol"], e["address"], e["error"]) == ("http", "http", f"127.0.0.1:{port}", None)
    replicas = {r["incarnation"] for r in daemon.ps()["web"]["replicas"]}
    with Load(port) as load:
        wait_for(lambda: set(load.answered_by) == replicas, what="both answer")
        wait_for(lambda: endpoint(daemon)["active"] > 0, what="requests are counted")
    load.check()
    assert f"http 127.0.0.1:{port}" in daemon.ok("describe", "web")


def test_a_client_waits_for_the_first_replica(daemon):
    port = free_port()
    web = {**talker(daemon, port), "command": [daemon.svc, "talk", "1500"]}
    daemon.apply({"web": web}, wait=False)
    wait_open(daemon)
    status, said = ask(port)
    assert status == 200
    assert said[0]["me"] == daemon.replica("web")["incarnation"]


def test_updates_lose_no_request(daemon):
    """A container's also from one network to the other, and in the machine's."""
    port = free_port()
    networks = [{"network": which} for which in ("bridge", "host", "host", "bridge")] if daemon.engine else [{}] * 3
    daemon.apply({"web": talker(daemon, port, replicas=2)})
    with Load(port) as load:
        for version, network in enumerate(networks * MANY):
            daemon.apply({"web": talker(daemon, port, replicas=2, environment={"V": str(version)}, **network)})
            now = {r["incarnation"] for r in daemon.ps()["web"]["replicas"]}
            wait_for(lambda now=now: now <= set(load.answered_by), what=lambda: load.answered_by)
        daemon.ok("restart", "web")
        load.flows()
    load.check()
    steps = [e["to"] for e in daemon.events("web") if e["type"] == "state"]
    assert "draining" in steps


def test_scaling_loses_no_request(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port, replicas=2)})
    rnd = random.Random(SEED)
    with Load(port) as load:
        for _ in range(8 * MANY):
            daemon.ok("scale", f"web={rnd.choice([1, 2, 3, 4])}")
        load.flows()
    load.check()


def test_a_stop_waits_for_what_is_under_way(daemon):
    """and no longer than stop.drain."""
    port = free_port()
    daemon.apply({"web": talker(daemon, port, stop={"drain": "10s", "grace_period": "1s"})})
    got = []
    client = threading.Thread(target=lambda: got.append(ask(port, "/stream/3000")))
    client.start()
    wait_for(lambda: endpoint(daemon)["active"] == 1, what="it is under way")
    daemon.ok("stop", "--no-wait", "web")
    r = wait_for(lambda: (r := daemon.replica("web")) and r["state"] == "draining" and r, what="it drains")
    assert "1 request under way, cut in " in r["message"]
    assert "stop.drain" in daemon.ok("why", "web")
    client.join(30)
    assert got[0][0] == 200 and len(got[0][1]) == 10
    wait_for(lambda: not daemon.ps()["web"]["replicas"], what="it has stopped")


def test_drain_has_an_end(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port, stop={"drain": "1s", "grace_period": "1s"})})
    failed = []

    def client():
        try:
            ask(port, "/stream/60000")
        except (http.client.HTTPException, ConnectionError) as e:
            failed.append(e)
    thread = threading.Thread(target=client)
    thread.start()
    wait_for(lambda: endpoint(daemon)["active"] == 1, what="it is under way")
    pid = daemon.pid_of("web")
    began = time.monotonic()
    daemon.ok("stop", "--no-wait", "web")
    wait_for(lambda: not procfs.alive(pid), what="it ends")
    assert time.monotonic() - began >= 1
    thread.join(30)
    assert failed


def test_a_shutdown_waits_for_what_is_under_way(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port, stop={"drain": "20s", "grace_period": "1s"})})
    got = []
    client = threading.Thread(target=lambda: got.append(ask(port, "/stream/4000")))
    client.start()
    wait_for(lambda: endpoint(daemon)["active"] == 1, what="it is under way")
    assert daemon.stop(60) == 0
    client.join(30)
    assert got and got[0][0] == 200 and len(got[0][1]) == 10


def test_tcp(daemon):
    """Whole connections go to one replica, and drain as such."""
    port = free_port()
    ports = {"http": {"port": port, "protocol": "tcp"}}
    web = talker(daemon, port, ports=ports, replicas=2)
    del web["port"]
    daemon.apply({"web": web})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    seen = set()
    for _ in range(5):
        connection.request("GET", "/")
        seen.add(json.loads(connection.getresponse().read())["me"])
    assert len(seen) == 1
    assert endpoint(daemon)["protocol"] == "tcp"
    wait_for(lambda: endpoint(daemon)["active"] == 1, what="it is counted")
    daemon.apply({"web": {**web, "environment": {**web.get("environment", {}), "V": "2"}}}, wait=False)
    wait_for(lambda: any(r["state"] == "draining" for r in daemon.ps()["web"]["replicas"]), what="it drains")
    connection.request("GET", "/")
    assert json.loads(connection.getresponse().read())["me"] in seen
    connection.close()
    daemon.ok("wait", "web")
    assert ask(port)[1][0]["me"] not in seen


@pytest.mark.parametrize("which", ["controller", "gateway"])
def test_kills_of_a_helper(start, which):
    """Of the controller: nothing is noticed. Of the gateway: what it had under way is lost, new
    clients wait."""
    daemon = start("--helper-restart", CAMPAIGN)
    port = free_port()
    daemon.apply({"web": talker(daemon, port, replicas=2)})
    kills = []
    with Load(port) as load:
        for _ in range(5 * MANY):
            kills.append(time.time())
            wait_helper(daemon, which, kill_helper(daemon, which))
            load.flows()
        if which == "controller":
            daemon.apply({"web": talker(daemon, port, replicas=2, environment={"V": "2"})})
            load.flows()
    if which == "controller":
        load.check()
    else:  # lost by a kill, and at once: none that came after it
        late = [f for f in load.failures if not any(0 <= f[0] - k < 2 for k in kills)]
        assert not late, late
        assert len(load.failures) <= 5 * MANY * len(load.threads)


def test_kills_of_aictld(start):
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    port = free_port()
    daemon.apply({"web": talker(daemon, port, replicas=2)})
    with Load(port) as load:
        for version in range(3 * MANY):
            daemon.crash()
            load.flows()  # there is no aictld now
            daemon.start_again()
            wait_for(daemon.answers, what="the new one answers")
            load.flows()
            daemon.apply({"web": talker(daemon, port, replicas=2, environment={"V": str(version)})})
            load.flows()
    load.check()


def test_reexec_loses_no_request(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port, replicas=2)})
    with Load(port) as load:
        for _ in range(3 * MANY):
            daemon.ok("daemon", "reexec")
            wait_for(daemon.answers, what="it answers")
            load.flows()
    load.check()


@pytest.mark.processes("unrelated")
def test_a_port_that_is_taken_is_told_and_tried_again(daemon):
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        path = daemon.write({"version": 1, "name": "shop", "services": {"web": talker(daemon, port)}})
        status, _, err = daemon.cli("apply", "-f", path, "--wait")
        assert (status, err) == (0, f"warning: web: not open at 127.0.0.1:{port}: Address already in use\n")
        e = wait_for(lambda: (e := endpoint(daemon))["error"] and e, what="the error")
        assert e["error"] == "Address already in use" and not e["open"]
        assert daemon.ps()["web"]["message"] == f"127.0.0.1:{port}: Address already in use"
        assert f"127.0.0.1:{port}, not open: Address already in use" in daemon.ok("describe", "web")
        status, out, _ = daemon.cli("why", "web")
        assert f"127.0.0.1:{port} cannot be opened: Address already in use" in out, (status, out)
    wait_open(daemon)
    assert ask(port)[0] == 200
    assert daemon.cli("why", "web")[0] == 0


@pytest.mark.processes("unrelated")
def test_two_services_on_one_port_are_refused(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port)})
    path = daemon.write({"version": 1, "name": "other", "services": {"api": talker(daemon, port)}}, "other.yaml")
    status, _, err = daemon.cli("apply", "-f", path)
    assert status != 0
    assert f'port {port} is a port of service "web" already' in err
    assert set(daemon.ps()) == {"web"}


def test_a_deleted_service_closes_its_port(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port)})
    assert ask(port)[0] == 200
    daemon.ok("delete", "web")

    def refused():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return False
        except ConnectionRefusedError:
            return True
    wait_for(refused, what="nobody listens any more")


@pytest.mark.processes("ports")
def test_another_port_is_a_live_change(daemon):
    first, second = free_port(), free_port()
    daemon.apply({"web": talker(daemon, first)})
    pid = daemon.pid_of("web")
    assert ask(first)[0] == 200
    daemon.apply({"web": talker(daemon, second)})
    wait_open(daemon)
    assert ask(second)[0] == 200
    assert daemon.pid_of("web") == pid
