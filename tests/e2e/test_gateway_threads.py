"""The gateway with several threads: each port is served by one of them, and nothing else is different.

SPDX-License-Identifier: MIT
"""
import collections
import concurrent.futures
import http.client
import json
import os
import threading

import pytest

import balancer
import procfs
from harness import CAMPAIGN, wait_for
from test_gateway_life import Stream, next_gateway
from test_helpers import kill_helper, wait_helper
from test_traffic import Load, ask, endpoint, free_port, talker, wait_open

THREADS = 3
READY = {"readiness": {"tcp": {}, "period": "100ms"}}


class Loads:
    """A few clients at each of the ports."""

    class Some(Load):
        KINDS = {"get": Load.KINDS["get"], "upload": Load.KINDS["upload"], "stream": ("/stream/500", None, 10)}

    def __init__(self, ports):
        self.all = [self.Some(port, pause=0.02) for port in ports]

    def __enter__(self):
        for load in self.all:
            for t in load.threads:
                t.start()
        self.flows()
        return self

    def flows(self):
        for load in self.all:
            load.flows()

    def __exit__(self, *_):
        for load in self.all:
            load.over.set()
        for load in self.all:
            load.__exit__()

    def check(self):
        for load in self.all:
            load.check()


def ports_of_each():
    """One of each thread's."""
    found = {}
    while len(found) < THREADS:
        port = free_port()
        found.setdefault(port % THREADS, port)
    return [found[i] for i in range(THREADS)]


def services(daemon, ports, **keys):
    return {f"s{i}": talker(daemon, port, **keys) for i, port in enumerate(ports)}


def serve(daemon, **keys):
    """A service at a port of each thread; the ports."""
    ports = ports_of_each()
    daemon.apply(services(daemon, ports, **keys))
    for i, port in enumerate(ports):
        wait_open(daemon, f"s{i}")
        assert ask(port)[0] == 200
    return ports


def turns(pid):
    """How often each thread has waited, by its name. (Where an access log is written, its writers have the
    name of the thread that had the first line.)"""
    result = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        status = procfs.read(f"/proc/{pid}/task/{tid}/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if fields.get("Name", "").startswith("gateway/"):
            result[fields["Name"]] = int(fields["voluntary_ctxt_switches"])
    return result


def test_each_port_has_its_thread(start):
    daemon = start("--gateway-threads", str(THREADS))
    ports = serve(daemon)
    info = daemon.get("/v1/daemon")
    assert info["gateway_threads"] == THREADS
    pid = info["gateway_pid"]
    assert f"gateway {pid} ({THREADS} threads)" in daemon.ok("daemon", "info")
    assert set(turns(pid)) == {f"gateway/{i}" for i in range(THREADS)}
    for i, port in enumerate(ports):
        before = turns(pid)

        def mine(port=port, before=before, name=f"gateway/{i}"):
            assert ask(port)[0] == 200
            return turns(pid)[name] - before[name] >= 50
        wait_for(mine, poll=0, what="it serves")
        grown = {name: n - before[name] for name, n in turns(pid).items()}
        assert all(n * 2 < grown[f"gateway/{i}"] for name, n in grown.items() if name != f"gateway/{i}"), grown
    daemon.apply(services(daemon, ports, access_log=1))
    log = os.path.join(daemon.log_dir, "_gateway", "access.log")

    def logged():
        assert all(ask(port)[0] == 200 for port in ports)
        lines = [json.loads(line) for line in procfs.read(log).splitlines()]
        return {line["service"] for line in lines} == {"s0", "s1", "s2"}
    wait_for(logged, what="all have their lines in the one file")


def test_without_the_option_there_is_one(daemon):
    port = free_port()
    daemon.apply({"s0": talker(daemon, port)})
    wait_open(daemon, "s0")
    assert ask(port)[0] == 200
    info = daemon.get("/v1/daemon")
    assert info["gateway_threads"] == 1
    assert not turns(info["gateway_pid"])
    assert "threads)" not in daemon.ok("daemon", "info")


def test_updates_lose_no_request(start):
    daemon = start("--gateway-threads", str(THREADS))
    ports = serve(daemon, replicas=2)
    with Loads(ports) as loads:
        for version in range(2):
            daemon.apply(services(daemon, ports, replicas=2, environment={"V": str(version)}), timeout=120)
            loads.flows()
        daemon.ok("scale", "s0=1", "s1=3")
        loads.flows()
    loads.check()


def test_deaths_of_controller_and_aictld_lose_no_request(start):
    daemon = start("--gateway-threads", str(THREADS), "--helper-restart", CAMPAIGN, init=True)
    ports = serve(daemon, replicas=2)
    with Loads(ports) as loads:
        for version in range(2):
            wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
            loads.flows()
            old = daemon.helper("gateway")
            daemon.crash()
            loads.flows()  # there is no aictld now
            daemon.start_again()
            next_gateway(daemon, old)
            loads.flows()
            daemon.apply(services(daemon, ports, replicas=2, environment={"V": str(version)}), timeout=120)
            loads.flows()
        daemon.ok("daemon", "reexec")
        wait_for(daemon.answers, what="it answers")
        loads.flows()
    loads.check()
    assert daemon.get("/v1/daemon")["gateway_threads"] == THREADS


def test_a_death_of_the_gateway_loses_what_was_under_way(start):
    """and nothing else: of each client one request at most."""
    daemon = start("--gateway-threads", str(THREADS), "--helper-restart", CAMPAIGN)
    ports = serve(daemon)
    with Loads(ports) as loads:
        for _ in range(2):
            wait_helper(daemon, "gateway", kill_helper(daemon, "gateway"))
            loads.flows()
    for load in loads.all:
        assert len(load.failures) <= 2 * len(load.threads), load.failures


def test_what_is_under_way_ends_after_the_ports_were_given_back(start):
    daemon = start("--gateway-threads", str(THREADS), init=True)
    ports = serve(daemon)
    old = daemon.helper("gateway")
    streams = [Stream(port, 4000) for port in ports]
    daemon.crash()
    assert all(ask(port)[0] == 200 for port in ports)
    daemon.start_again()
    next_gateway(daemon, old)
    assert all(ask(port)[0] == 200 for port in ports)
    assert all(len(stream.rest()) == 10 for stream in streams)
    wait_for(lambda: not procfs.alive(old), what="the old gateway ends")
    assert all(ask(port)[0] == 200 for port in ports)


def test_another_number_keeps_the_thread(start):
    """What came by the old number is counted with the rest: the old replica is not stopped before it."""
    daemon = start("--gateway-threads", str(THREADS))
    first, second, _ = ports_of_each()
    daemon.apply({"web": talker(daemon, first)})
    wait_open(daemon)
    stream = Stream(first, 5000)
    wait_for(lambda: endpoint(daemon)["active"] == 1, what="it is under way")
    daemon.apply({"web": talker(daemon, second)})
    wait_open(daemon)
    assert ask(second)[0] == 200
    daemon.apply({"web": talker(daemon, second, environment={"V": "2"})})
    assert len(stream.rest()) == 10
    assert ask(second)[0] == 200


@pytest.mark.parametrize("threads", [THREADS, 7])
def test_slots_are_exact(start, threads):
    """As the replicas of each service count, while all are asked at once."""
    daemon = start("--gateway-threads", str(threads))
    ports = ports_of_each()
    specs = {}
    for i, port in enumerate(ports):
        directory = os.path.join(daemon.base, f"s{i}")
        os.mkdir(directory)
        os.chmod(directory, 0o777)
        specs[f"s{i}"] = {**daemon.service(), "port": port, "concurrency": 2, "probes": READY,
                          "command": ["/usr/bin/python3", os.path.abspath(balancer.__file__), directory]}
    daemon.apply(specs)
    for i in range(THREADS):
        wait_open(daemon, f"s{i}")
    most = collections.defaultdict(int)
    lock = threading.Lock()

    def one(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/?ms=100")
        said = json.loads(connection.getresponse().read())
        connection.close()
        with lock:
            most[port] = max(most[port], said["most"])
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        list(pool.map(one, ports * 10))
    assert most == dict.fromkeys(ports, 2)
