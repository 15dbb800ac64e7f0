"""The gateway outlives aictld: it serves on, gives its ports back and lets end what it has under way.

SPDX-License-Identifier: MIT
"""
import http.client
import json
import os
import pwd
import random
import signal
import socket
import time

import pytest

import procfs
from harness import CAMPAIGN, Daemon, wait_for
from test_reexec import InstalledDaemon, install, installed  # noqa: F401 (fixture)
from test_traffic import SEED, Load, ask, free_port, talker, wait_open


def serve(daemon, **keys):
    """A service behind a port; the port."""
    port = free_port()
    daemon.apply({"web": talker(daemon, port, **keys)})
    wait_open(daemon)
    assert ask(port)[0] == 200
    return port


class Stream:
    """A reply in ten chunks that is under way; what the gateway has for it."""

    def __init__(self, port, ms):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.request("GET", f"/stream/{ms}")
        self.reply = self.connection.getresponse()
        self.first = self.reply.readline()

    def rest(self):
        text = (self.first + self.reply.read()).decode()
        self.connection.close()
        return [json.loads(line) for line in text.splitlines()]


def gateways():
    """All that live of this user's tests; more than one where an old one lets things end."""
    return {pid for pid in procfs.descendants(os.getpid())
            if (s := procfs.stat(pid)) and s[0] == "aictl-gateway"[:15] and s[1] not in "ZX"}


def present(daemon):
    """aictld's own: after a reexec an old one is its child, too."""
    try:
        return daemon.get("/v1/daemon")["gateway_pid"]
    except OSError:
        return 0


def next_gateway(daemon, old):
    return wait_for(lambda: (pid := present(daemon)) and pid != old and pid, what="another gateway")


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return False
    except ConnectionRefusedError:
        return True


def goes(pid, what="the old gateway ends"):
    wait_for(lambda: not procfs.alive(pid), what=what)


def test_it_starts_with_the_first_port(daemon):
    daemon.apply({"plain": daemon.service("pause")})
    assert daemon.helper("gateway") is None
    assert daemon.get("/v1/daemon")["gateway_pid"] == 0
    port = serve(daemon)
    pid = daemon.helper("gateway")
    assert daemon.get("/v1/daemon")["gateway_pid"] == pid
    assert f"gateway {pid}" in daemon.ok("daemon", "info")
    daemon.ok("delete", "web")
    wait_for(lambda: refused(port), what="the port is closed")
    assert daemon.helper("gateway") == pid


@pytest.mark.needs_root
def test_it_has_a_user_of_its_own(daemon):
    serve(daemon)
    pid = daemon.helper("gateway")
    entry = pwd.getpwnam("aictl-gw")
    assert procfs.uid(pid) == entry.pw_uid
    status = procfs.read(f"/proc/{pid}/status")
    assert [line.split()[1:] for line in status.splitlines() if line.startswith("Groups:")] == [[]]


@pytest.mark.containers
@pytest.mark.parametrize("how", ["crash", "reexec"])
def test_what_is_under_way_ends_in_its_time(start, how):
    daemon = start(init=True)
    port = serve(daemon)
    old = daemon.helper("gateway")
    stream = Stream(port, 4000)
    if how == "crash":
        daemon.crash()
        assert ask(port)[0] == 200  # there is no aictld now
        daemon.start_again()
    else:
        daemon.ok("daemon", "reexec")
    new = next_gateway(daemon, old)
    assert ask(port)[0] == 200
    assert procfs.alive(old)
    assert len(stream.rest()) == 10
    goes(old)
    assert present(daemon) == new
    assert ask(port)[0] == 200


def test_two_deaths_and_one_stream(start):
    """Who has been sent away is known to the aictld after that, and goes with the last one."""
    daemon = start(init=True)
    port = serve(daemon)
    old = daemon.helper("gateway")
    stream = Stream(port, 60000)
    for _ in range(2):
        before = daemon.helper("gateway")
        daemon.crash()
        daemon.start_again()
        next_gateway(daemon, before)
        wait_for(daemon.answers, what="it answers")
        assert ask(port)[0] == 200
    assert procfs.alive(old)
    assert daemon.stop() == 0
    assert not procfs.alive(old)
    assert refused(port)
    assert not gateways()
    stream.connection.close()


def test_reexec_to_another_build(installed):  # noqa: F811
    d = installed.start()
    port = serve(d)
    old = d.helper("gateway")
    install(d, "other")
    d.ok("daemon", "reexec")
    next_gateway(d, old)
    assert ask(port)[0] == 200
    goes(old)
    assert ask(port)[0] == 200


def test_without_its_program_nothing_is_served(base):
    directory = os.path.join(base, "bin")
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    d = InstalledDaemon(base, directory)
    install(d)
    os.unlink(os.path.join(directory, "aictl-gateway"))
    d.start()
    port = free_port()
    d.apply({"web": talker(d, port)})  # it runs all the same
    e = wait_for(lambda: (e := d.ps()["web"]["endpoints"][0])["error"] and e, what="the port has an error")
    assert e["error"] == os.strerror(65) and not e["open"]  # ENOPKG
    assert refused(port)
    assert d.stop() == 0


def test_nobody_serves_after_detach_but_the_gateway(installed):  # noqa: F811
    d = installed.start()
    port = serve(d)
    d.expected_exit = 100
    d.ok("daemon", "detach")
    assert d.wait() == 100
    for _ in range(10):
        assert ask(port)[0] == 200
    old = gateways()
    d.start_again()
    wait_for(d.answers, what="it answers")
    wait_for(lambda: not old & gateways(), what="the old gateway ends")
    assert ask(port)[0] == 200
    d.expected_exit = 0


@pytest.mark.containers
def test_both_killed_the_port_is_opened_again(start):
    daemon = start(init=True)
    port = serve(daemon)
    daemon.crash("gateway")
    wait_for(lambda: refused(port), what="nobody has the port")
    daemon.start_again()
    wait_for(lambda: not refused(port), what="the port is open again")
    assert ask(port)[0] == 200


@pytest.mark.waits
def test_one_that_hangs_is_ended(start):
    daemon = start(init=True)
    port = serve(daemon)
    old = daemon.helper("gateway")
    daemon.crash()
    os.kill(old, signal.SIGSTOP)
    daemon.start_again()
    goes(old, "the one that hangs is killed")
    next_gateway(daemon, old)
    assert ask(port)[0] == 200


def test_a_stop_does_not_wait_for_idle_clients(daemon):
    port = serve(daemon)
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    idle.request("GET", "/")
    idle.getresponse().read()
    assert daemon.stop() == 0
    assert "did not end in time" not in daemon.log()
    assert refused(port)
    idle.close()


def test_clients_that_wait_are_refused_when_all_stops(daemon):
    port = free_port()
    web = {**talker(daemon, port), "command": [daemon.svc, "talk", "60000"]}  # never ready
    daemon.apply({"web": web}, wait=False)
    wait_open(daemon)
    s = socket.create_connection(("127.0.0.1", port), 60)
    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 25  # less than a request waits
    s.settimeout(20)
    try:
        assert not s.recv(100).startswith(b"HTTP/1.1 200")
    except ConnectionResetError:
        pass
    s.close()


def test_user_instances_serve_too(start):
    if os.geteuid() != 0:
        pytest.skip("the other tests do that")
    daemon = start(user="nobody")
    port = free_port()
    daemon.apply({"web": {k: v for k, v in talker(daemon, port).items() if k != "user"}})
    wait_open(daemon)
    assert ask(port)[0] == 200
    assert procfs.uid(daemon.helper("gateway")) == pwd.getpwnam("nobody").pw_uid
    assert isinstance(daemon, Daemon)


@pytest.mark.containers
@pytest.mark.waits
def test_deaths_at_any_moment_lose_no_request(start):
    """of aictld and the controller: also while ports are given back, and before the new gateway serves."""
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    port = serve(daemon, replicas=2)
    rnd = random.Random(SEED)
    print(f"seed {SEED}")
    with Load(port) as load:
        for _ in range(20):
            daemon.crash(*rnd.choice([(), ("controller",)]))
            daemon.start_again()
            until = time.monotonic() + rnd.choice([0, rnd.uniform(0, 0.1), rnd.uniform(0, 0.6)])
            wait_for(lambda t=until: time.monotonic() >= t, poll=0.002)
        wait_for(daemon.answers, what="it answers")
        load.flows()
    load.check()
    pid = wait_for(lambda: present(daemon), what="the gateway runs")
    wait_for(lambda: gateways() == {pid}, what="the old ones end", timeout=60)
    assert ask(port)[0] == 200
