"""Sockets handed over: `mode: socket` gives the listening socket itself to each replica, and who asks is
answered by the kernel's choice, without a proxy. The socket outlives everything but its manifest.

SPDX-License-Identifier: MIT
"""
import collections
import contextlib
import http.client
import json
import socket
import sys
import threading
import time

import pytest

import procfs
from harness import wait_for
from test_helpers import kill_helper, wait_helper
from test_traffic import START_FIRST, ask, endpoint, free_port, wait_open

READY_FD = {"readiness": {"notify_fd": 9, "period": "100ms"}}


class Load:
    """Clients that ask without a pause, each request on a connection of its own."""

    def __init__(self, port, clients=4, path="/", body=None):
        self.port, self.path, self.body = port, path, body
        self.failures = []
        self.answered_by = collections.Counter()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def understand(self, text):
        """Who says that."""
        said = json.loads(text.splitlines()[-1])
        assert said["bytes"] == len(self.body or b"")
        return said["me"]

    def ask(self, connection):
        connection.request("GET" if self.body is None else "POST", self.path, self.body, {"Connection": "close"})
        return connection.getresponse().read()

    def run(self):
        while not self.over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                self.answered_by[self.understand(self.ask(connection))] += 1
            except Exception as e:  # pylint: disable=broad-except
                self.failures.append((round(time.time(), 3), repr(e)))
            finally:
                connection.close()
            time.sleep(0.003)

    def __enter__(self):
        for t in self.threads:
            t.start()
        self.flows()
        return self

    def flows(self, n=20):
        before = sum(self.answered_by.values())
        wait_for(lambda: sum(self.answered_by.values()) > before + n,
                 what=lambda: f"requests are answered: {self.answered_by} {self.failures[-5:]}")

    def heard(self, n):
        """That many have answered by now: who of them gets a connection is the kernel's choice."""
        wait_for(lambda: len(self.answered_by) >= n, what=lambda: f"{n} have answered: {self.answered_by}")

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(70)

    def check(self):
        assert not self.failures, f"{len(self.failures)} of {sum(self.answered_by.values())}: {self.failures[:5]}"


def listener(daemon, port, *where, **keys):
    """It accepts by itself; the port has no gateway before it."""
    keys = {"ports": {"http": {"port": port, "mode": "socket"}}, "update": START_FIRST,
            "stop": {"grace_period": "20s"}, **keys}
    return daemon.service("listen", *(where or ("fds",)), **keys)


def serve(daemon, **keys):
    port = free_port()
    daemon.apply({"web": listener(daemon, port, **keys)})
    wait_open(daemon)
    assert ask(port)[0] == 200
    return port


def inodes(pid):
    """fd -> inode of the sockets that a process has."""
    return {fd: link for fd, link in procfs.fds(pid).items() if link.startswith("socket:[")}


def test_what_a_replica_gets(daemon):
    a, b = free_port(), free_port()
    ports = {"http": {"port": a, "mode": "socket"}, "admin": {"port": b, "mode": "socket"},
             "metrics": {}}
    daemon.apply({"web": listener(daemon, 0, "${LISTEN_FD}", "${LISTEN_FD_ADMIN}", ports=ports,
                                  replicas=2, environment={"SEEN": "${LISTEN_FD_HTTP}"})})
    assert ask(a)[0] == ask(b)[0] == 200
    first = daemon.pid_of("web", 0)
    env = procfs.environ(first)
    assert env["LISTEN_FDS"] == "2" and env["LISTEN_FDNAMES"] == "admin:http"
    assert env["LISTEN_PID"] == str(first) and env["SEEN"] == "4"
    assert inodes(first)[3] == inodes(daemon.pid_of("web", 1))[3]
    assert inodes(first)[4] == inodes(daemon.pid_of("web", 1))[4]
    assert {e["name"]: (e["open"], e["mode"]) for e in daemon.ps()["web"]["endpoints"]} == {
        "http": (True, "socket"), "admin": (True, "socket")}


def test_beside_the_notify_descriptor(daemon):
    port = free_port()
    script = "echo ready >&9; exec %s listen 3" % daemon.svc
    daemon.apply({"web": {**daemon.shell(script, ports={"http": {"port": port, "mode": "socket"}}),
                          "probes": READY_FD}})
    assert ask(port)[0] == 200


def test_what_runs_beside_it_gets_nothing(daemon):
    serve(daemon)
    out = daemon.ok("exec", "web/0", "--", "env")
    assert "LISTEN_" not in out


def test_both_replicas_answer(daemon):
    port = serve(daemon, replicas=2)
    with Load(port) as load:
        load.heard(2)
    load.check()


def test_updates_and_scaling_lose_nothing(daemon):
    port = serve(daemon, replicas=2)
    with Load(port, path="/sleep/20") as load:
        for i in range(4):
            daemon.apply({"web": listener(daemon, port, replicas=2, environment={"ROUND": str(i)})})
            load.heard(2 * (i + 1))
        for n in (4, 1, 3, 2):
            daemon.ok("scale", f"web={n}")
            load.flows()
        before = len(load.answered_by)
        daemon.ok("restart", "web")
        load.heard(before + 2)
    load.check()


def test_one_replica_in_place_waits_in_the_queue(daemon):
    port = serve(daemon)
    inode = inodes(daemon.pid_of("web", 0))[3]
    with Load(port) as load:
        for i in range(3):
            daemon.apply({"web": listener(daemon, port, environment={"ROUND": str(i)},
                                          update={"order": "stop-first", "max_unavailable": 1})})
            load.flows()
    load.check()
    assert inodes(daemon.pid_of("web", 0))[3] == inode


def test_kill_of_aictld_loses_nothing(daemon):
    port = serve(daemon, replicas=2)
    inode = inodes(daemon.pid_of("web", 0))[3]
    with Load(port) as load:
        for _ in range(3):
            daemon.crash()
            load.flows()
            daemon.start_again()
            wait_open(daemon)
            daemon.ok("restart", "web")  # new replicas get the same socket
            load.flows()
            assert inodes(daemon.pid_of("web", 0))[3] == inode
    load.check()


def test_who_waits_while_all_of_them_are_dead_is_answered(daemon):
    """A connection in the queue while neither a replica nor aictld lives."""
    port = serve(daemon)
    pid = daemon.pid_of("web", 0)
    daemon.crash()
    procfs.kill(pid)
    wait_for(lambda: not procfs.alive(pid), what="the replica is gone")
    client = socket.create_connection(("127.0.0.1", port), 60)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    daemon.start_again()
    assert client.recv(100).startswith(b"HTTP/1.1 200")
    client.close()


def test_kill_of_the_other_helpers_loses_nothing(daemon):
    port = serve(daemon, replicas=2)
    with Load(port) as load:
        for name in ("controller", "gateway", "logger"):
            old = kill_helper(daemon, name)
            load.flows()
            wait_helper(daemon, name, old)
            load.flows()
    load.check()


def test_a_restart_while_no_gateway_has_given_back_waits(daemon):
    """A replica that dies right after aictld: its next process gets the same socket."""
    port = serve(daemon)
    inode = inodes(daemon.pid_of("web", 0))[3]
    with Load(port) as load:
        for _ in range(2):
            pid = daemon.pid_of("web", 0)
            daemon.crash()
            daemon.start_again()
            if daemon.pid_of("web", 0) == pid:
                procfs.kill(pid)
            wait_for(lambda old=pid: (p := daemon.pid_of("web", 0)) and p != old, what="another process")
            load.flows()
            assert inodes(daemon.pid_of("web", 0))[3] == inode
    # what a killed process had accepted is lost, nothing else
    assert len(load.failures) <= 2 * 4


@pytest.mark.needs_root
def test_aictld_and_gateway_die_together(daemon):
    """The replicas still have it."""
    port = serve(daemon, replicas=2)
    inode = inodes(daemon.pid_of("web", 0))[3]
    gateway = daemon.helper("gateway")
    with Load(port) as load:
        daemon.crash()
        procfs.kill(gateway)
        wait_for(lambda: not procfs.alive(gateway), what="the gateway is gone")
        daemon.start_again()
        wait_open(daemon)
        daemon.ok("restart", "web")
        load.flows()
    load.check()
    assert inodes(daemon.pid_of("web", 0))[3] == inode


def test_shutdown_by_one_is_repaired(daemon):
    """shutdown(2) ends the socket for all that share it."""
    port = serve(daemon, replicas=2)

    def served():
        try:
            return ask(port, timeout=5)[0] == 200
        except OSError:
            return False

    for _ in range(3):
        ask(port, "/shutdown")
        wait_for(served, what="served again")
    wait_for(lambda: "has shut it down, listening again" in daemon.log(), what="told")
    cpu = procfs.cpu_seconds(daemon.pid)
    assert ask(port)[0] == 200
    daemon.ok("restart", "web")
    assert ask(port)[0] == 200
    assert procfs.cpu_seconds(daemon.pid) - cpu < 2, "it spins"


def test_from_proxy_to_socket_and_back(daemon):
    port = free_port()
    proxied = daemon.service("talk", ports={"http": {"port": port}}, update=START_FIRST,
                             probes={"readiness": {"tcp": {}, "period": "100ms"}})
    daemon.apply({"web": proxied})
    wait_open(daemon)
    with Load(port) as load:
        for _ in range(2):
            daemon.apply({"web": listener(daemon, port)})
            load.flows()
            daemon.apply({"web": proxied})
            load.flows()
    load.check()


def test_a_replica_that_makes_it_block_holds_up_nobody(daemon):
    """It is one flag for all who share the socket, the gateway among them."""
    port = free_port()
    script = (f"{sys.executable} -c 'import fcntl, os; fcntl.fcntl(3, fcntl.F_SETFL, os.O_RDWR)'\n"
              f"exec {daemon.svc} listen fds")
    web = {**listener(daemon, port), "command": ["/bin/sh", "-c", script]}
    daemon.apply({"web": web})
    assert ask(port)[0] == 200
    gateway = daemon.helper("gateway")
    daemon.apply({"web": daemon.service("talk", ports={"http": {"port": port}}, update=START_FIRST,
                                        probes={"readiness": {"tcp": {}, "period": "100ms"}})})
    for _ in range(3):
        assert ask(port)[0] == 200
    assert daemon.helper("gateway") == gateway


@pytest.mark.needs_root
def test_somebody_elses_is_not_taken(daemon):
    """A port is in use: by a replica that listens there by itself, not on what it got from us."""
    port = free_port()
    script = (f"import os, socket, time\ns = socket.create_server(('127.0.0.1', {port}))\n"
              "os.dup2(s.fileno(), 3)\ntime.sleep(10000)")
    daemon.apply({"other": {**daemon.service(), "command": [sys.executable, "-c", script]}})

    def listens():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    wait_for(listens, what="it listens")
    daemon.apply({"web": listener(daemon, port)}, wait=False, name="more")
    wait_for(lambda: "Address already in use" in daemon.ok("why", "web"), what="why tells")
    assert "taken from replica" not in daemon.log()


def test_another_port_replaces(daemon):
    port, other = serve(daemon), free_port()
    out = daemon.ok("plan", "-f", daemon.write({"version": 1, "name": "shop", "services": {
        "web": listener(daemon, other)}}, "other.yaml"))
    assert "ports.http.port" in out and "replace" in out
    with Load(port) as load:
        before = daemon.pid_of("web", 0)
        load.__exit__()
        daemon.apply({"web": listener(daemon, other)})
    assert ask(other)[0] == 200
    assert daemon.pid_of("web", 0) != before
    wait_for(lambda: endpoint(daemon)["address"].endswith(str(other)), what="told")
    with pytest.raises(ConnectionRefusedError):
        ask(port)


def test_a_port_in_use_is_told(daemon):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        daemon.apply({"web": listener(daemon, port)}, wait=False)
        wait_for(lambda: "Address already in use" in daemon.ok("why", "web"), what="why tells")
        text = wait_for(lambda: (r := daemon.replica("web")) and "listening socket" in r["message"] and
                        r["message"], what="the replica tells")
        assert "Address already in use" in text
    wait_for(lambda: daemon.replica("web")["state"] == "ready", what="it starts when the port is free", timeout=60)
    assert ask(port)[0] == 200


def test_checks(daemon):
    base = {"version": 1, "name": "shop"}

    def errors(**keys):
        path = daemon.write({**base, "services": {"web": daemon.service("listen", "fds", **keys)}}, "bad.yaml")
        rc, out, err = daemon.cli("validate", "-f", path)
        assert rc == 9, (out, err)
        return out + err

    assert "only a stable port" in errors(ports={"http": {"mode": "socket"}})
    assert "is a listening socket" in errors(ports={"http": {"port": 1, "mode": "socket"}},
                                             probes={"readiness": {"notify_fd": 3}})
    assert "no replica gets the socket of ports.http" in errors(
        ports={"http": {"port": 8000}}, environment={"FD": "${LISTEN_FD}"})
    assert "has mode: socket" in errors(ports={"http": {"port": 8000, "mode": "socket"}},
                                        environment={"AT": "${SOCKET}"})
    assert "no such port" in errors(environment={"AT": "${SOCKET}"})
