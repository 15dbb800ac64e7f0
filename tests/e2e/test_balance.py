"""Which replica gets a request, which waits, and what is done when one fails or is slow: the rules of
a manifest at a stable port, as clients and replicas see them. Containers run where the replica's end
counts; what is the gateway's alone is the same for all.

SPDX-License-Identifier: MIT
"""
import collections
import concurrent.futures
import http.client
import json
import os
import shutil
import socket
import time

import pytest

import balancer
import procfs
from harness import CAMPAIGN, wait_for
from test_helpers import kill_helper, wait_helper
from test_traffic import Load, endpoint, free_port, talker, wait_open

READY = {"readiness": {"tcp": {}, "period": "100ms"}}


class Web:
    """A service of balancer.py behind a port."""

    def __init__(self, daemon, replicas=1, **keys):
        self.daemon = daemon
        self.port = free_port()
        self.directory = os.path.join(daemon.base, "web")
        os.mkdir(self.directory)
        os.chmod(self.directory, 0o777)
        self.replicas = replicas
        self.apply(**keys)
        wait_open(daemon)

    def apply(self, **keys):
        program = shutil.copy(balancer.__file__, self.daemon.base)
        spec = self.daemon.python(program, self.directory, **self.daemon.facing(
            replicas=self.replicas, port=self.port, probes=READY, stop={"drain": "1s", "grace_period": "1s"}), **keys)
        if "ports" in keys:
            del spec["port"]
        self.daemon.apply({"web": spec})

    def mode(self, replica, what):
        path = os.path.join(self.directory, str(replica))
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(what)
        os.rename(path + ".new", path)

    def ask(self, path="/", method="GET", headers=None, timeout=30):
        """(status, reply's headers, what it said)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, headers=headers or {})
            reply = connection.getresponse()
            return reply.status, reply.headers, json.loads(reply.read())
        finally:
            connection.close()

    def asked(self, name=None):
        """[(replica, method, name)] in the order in which replicas saw them."""
        try:
            with open(os.path.join(self.directory, "asked"), encoding="utf-8") as f:
                lines = [tuple(line.split()) for line in f]
        except FileNotFoundError:
            return []
        return [line for line in lines if name in (None, line[2])]

    def at_once(self, n, path="/?ms=50", **keys):
        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            return list(pool.map(lambda i: self.ask(f"{path}&n={i}", **keys), range(n)))


@pytest.mark.containers
def test_slots_are_never_exceeded(daemon):
    """As the replicas count: each is full, and not one request more."""
    web = Web(daemon, replicas=2, concurrency=3)
    replies = web.at_once(40)
    assert {status for status, _, _ in replies} == {200}
    most = collections.defaultdict(int)
    for _, _, said in replies:
        most[said["me"]] = max(most[said["me"]], said["most"])
    assert most == {"0": 3, "1": 3}
    web.apply(concurrency=1)  # no restart
    wait_for(lambda: endpoint(daemon)["active"] == 0, what="all have ended")
    assert {said["now"] for _, _, said in web.at_once(10)} == {1}


def test_connections_have_slots_too(daemon):
    port = free_port()
    web = Web(daemon, ports={"http": {"port": port, "protocol": "tcp"}}, concurrency=1)
    web.port = port
    with socket.create_connection(("127.0.0.1", port)) as first:
        wait_for(lambda: endpoint(daemon)["active"] == 1, what="it has the slot")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            second = pool.submit(web.ask)
            done, _ = concurrent.futures.wait([second], 0.5)
            assert not done
            first.close()
            assert second.result(20)[0] == 200


def test_first_come_first_served(daemon):
    web = Web(daemon, concurrency=1)
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        replies = [pool.submit(web.ask, "/?ms=2500&n=0")]
        wait_for(lambda: web.asked(), what="the slot is taken")
        for i in range(1, 9):
            replies.append(pool.submit(web.ask, f"/?n={i}"))
            time.sleep(0.1)  # so is their order known
        assert {r.result()[0] for r in replies} == {200}
    assert [name for _, _, name in web.asked()] == [str(i) for i in range(9)]


def test_a_full_queue_is_refused(daemon):
    web = Web(daemon, concurrency=1, queue={"max": 2, "timeout": "20s"})
    replies = web.at_once(8, "/?ms=500")
    refused = [r for r in replies if r[0] == 503]
    assert len(refused) == 5
    for _, headers, said in refused:
        assert int(headers["Retry-After"]) >= 1
        assert said["error"]["message"] == "every replica is busy, and too many requests wait"


def test_a_request_waits_for_so_long(daemon):
    web = Web(daemon, concurrency=1, queue={"timeout": "500ms"})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(web.ask, "/?ms=3000")
        wait_for(lambda: web.asked(), what="the slot is taken")
        began = time.monotonic()
        status, headers, said = web.ask()
        assert (status, said["error"]["message"]) == (503, "every replica is busy")
        assert headers["Retry-After"]
        assert 0.4 < time.monotonic() - began < 2.5
        assert slow.result()[0] == 200


def test_who_left_the_queue_is_never_asked_for(daemon):
    web = Web(daemon, concurrency=1)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = pool.submit(web.ask, "/?ms=1500&n=slow")
        wait_for(lambda: web.asked("slow"), what="the slot is taken")
        with socket.create_connection(("127.0.0.1", web.port)) as gone:
            gone.sendall(b"GET /?n=gone HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.2)
        last = pool.submit(web.ask, "/?n=last")
        assert (slow.result()[0], last.result()[0]) == (200, 200)
    assert not web.asked("gone")


@pytest.mark.containers
def test_affinity_stays(daemon):
    web = Web(daemon, replicas=4, affinity={"header": "X-User"})
    users = [f"user-{i}" for i in range(40)]

    def where():
        return {u: web.ask(headers={"x-user": u})[2]["me"] for u in users}
    first = where()
    assert where() == first
    assert len(set(first.values())) == 4
    daemon.ok("scale", "web=3")
    second = where()
    for u in users:  # who was at the one that is gone goes, nobody else
        assert second[u] == first[u] if first[u] != "3" else second[u] != "3"
    daemon.ok("scale", "web=4")
    assert where() == first
    # without the field all take part
    assert len({web.ask()[2]["me"] for _ in range(8)}) == 4


@pytest.mark.containers
def test_a_replica_that_fails_is_left_out(daemon):
    web = Web(daemon, replicas=3)
    web.mode(1, "500")
    statuses = [web.ask()[0] for _ in range(60)]
    assert statuses.count(500) == 5
    assert 500 not in statuses[-30:]
    assert "ejected for 10 s: it fails requests" in daemon.log()
    web.mode(1, "")  # it is back, by itself
    wait_for(lambda: web.ask()[2]["me"] == "1", timeout=30, what="it is asked again")
    assert daemon.replica("web", 1)["state"] == "ready"


def test_the_last_one_is_not_ejected(daemon):
    web = Web(daemon, replicas=2)
    web.mode(0, "503")
    web.mode(1, "503")
    statuses = [web.ask()[0] for _ in range(30)]
    assert set(statuses) == {503}
    assert all(web.ask()[2].get("me") for _ in range(5))  # by a replica, not by us


@pytest.mark.containers
def test_what_is_repeated(daemon):
    web = Web(daemon, replicas=2)
    web.mode(0, "drop")
    assert {web.ask(f"/?n=get{i}")[0] for i in range(4)} == {200}
    assert any(len(web.asked(f"get{i}")) == 2 for i in range(4))
    web.apply(retry="never")
    daemon.ok("restart", "web")  # it was ejected
    assert sorted(web.ask()[0] for _ in range(2)) == [200, 502]
    web.apply(retry="unsafe")
    daemon.ok("restart", "web")
    assert {web.ask(f"/?n=post{i}", "POST")[0] for i in range(4)} == {200}
    assert any(len(web.asked(f"post{i}")) == 2 for i in range(4))


def closed_after(connection):
    """Seconds until it ends, and what came."""
    began, text = time.monotonic(), b""
    connection.settimeout(20)
    try:
        while part := connection.recv(65536):
            text += part
    except ConnectionResetError:
        pass
    return time.monotonic() - began, text


def test_time_outs(daemon):
    """Each has its own length, so that what ends is ended by its own."""
    web = Web(daemon, timeouts={"head": "400ms", "idle": "800ms", "stall": "1200ms", "response": "1600ms"})
    cases = {"head": (b"GET / HTTP/1.1\r\nHo", 0.4, b"408"), "idle": (b"", 0.8, b""),
             "stall": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", 1.2, b"408"),
             "response": (b"GET /?ms=9000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 1.6, b"504")}
    for name, (sent, after, status) in cases.items():
        with socket.create_connection(("127.0.0.1", web.port)) as client:
            client.sendall(sent)
            took, text = closed_after(client)
        assert text[9:12] == status, (name, text)
        assert after - 0.1 < took < after + 5, (name, took)  # the end after it is waited for, 2 s
    web.mode(0, "half")  # between two pieces of an answer a replica may think
    assert web.ask("/?gap=2500")[0] == 200


def test_a_time_out_for_all_of_it(daemon):
    web = Web(daemon, timeouts={"total": "700ms"})
    assert web.ask("/?ms=100")[0] == 200
    began = time.monotonic()
    status, _, said = web.ask("/?ms=5000")
    assert (status, said["error"]["message"]) == (504, "the request took longer than timeouts.total")
    assert 0.6 < time.monotonic() - began < 4
    web.mode(0, "half")
    with socket.create_connection(("127.0.0.1", web.port)) as client:  # cut: what came is no answer
        client.sendall(b"GET /?gap=5000 HTTP/1.1\r\nHost: a\r\n\r\n")
        took, text = closed_after(client)
    assert text.startswith(b"HTTP/1.1 200") and 0.6 < took < 4
    web.mode(0, "")
    web.apply(timeouts={"total": "10s"})  # a live change
    assert web.ask("/?ms=1500")[0] == 200


def test_a_connection_without_a_byte(daemon):
    port = free_port()
    Web(daemon, ports={"http": {"port": port, "protocol": "tcp"}}, timeouts={"tunnel": "900ms", "idle": "100ms"})
    with socket.create_connection(("127.0.0.1", port)) as client:
        for part in (b"GET /?ms=0", b" HTTP/1.1\r\n", b"Host: a\r\n", b"\r\n"):
            time.sleep(0.4)
            client.sendall(part)
        took, text = closed_after(client)
    assert text.startswith(b"HTTP/1.1 200") and 0.8 < took < 6


# hold and release


def held_until(daemon):
    return daemon.ps()["web"]["held_until"]


def waits(web, futures, names):
    done, _ = concurrent.futures.wait(futures, 0.7)
    assert not done
    assert not [n for n in names if web.asked(n)]


@pytest.mark.containers
def test_a_hold_loses_nothing(daemon):
    """The one under way ends; those that come wait, and go on in their order."""
    web = Web(daemon, queue={"timeout": "1s"})
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        under_way = pool.submit(web.ask, "/?ms=1000&n=before")
        wait_for(lambda: web.asked("before"), what="it is under way")
        assert "held" in daemon.ok("hold", "--timeout", "60s", "web")
        later = [pool.submit(web.ask, f"/?n={i}") for i in range(8)]
        assert under_way.result()[0] == 200
        waits(web, later, map(str, range(8)))
        assert held_until(daemon)
        assert "requests wait, for " in daemon.ps()["web"]["message"]
        assert "requests wait, for " in daemon.ok("describe", "web")
        code, said, _ = daemon.cli("why", "web")
        assert "web requests" in said and "release web" in said, (code, said)
        daemon.ok("restart", "web", "--timeout", "30s")  # what one holds it for
        waits(web, later, map(str, range(8)))  # longer than queue.timeout by now
        assert "released" in daemon.ok("release", "web")
        assert {r.result()[0] for r in later} == {200}
    assert held_until(daemon) is None
    assert [e["reason"] for e in daemon.events("web") if e["type"] == "hold"] == ["user_hold", "user_release"]


def test_a_hold_ends_by_itself(daemon):
    web = Web(daemon)
    began = time.monotonic()
    daemon.ok("hold", "--timeout", "1500ms", "web")
    assert web.ask()[0] == 200
    assert time.monotonic() - began > 1.4
    wait_for(lambda: held_until(daemon) is None, what="it is told, too")
    assert [e["reason"] for e in daemon.events("web") if e["type"] == "hold"] == ["user_hold", "hold_over"]


def test_a_hold_outlives_the_controller(start):
    daemon = start("--helper-restart", CAMPAIGN)
    web = Web(daemon)
    daemon.ok("hold", "--timeout", "5m", "web")
    until = held_until(daemon)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        request = pool.submit(web.ask, "/?n=x")
        wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
        assert held_until(daemon) == until
        waits(web, [request], ["x"])
        daemon.ok("release", "web")
        assert request.result()[0] == 200


def test_a_hold_ends_without_a_controller(start):
    """Nobody need be alive for that but the gateway."""
    daemon = start("--helper-restart", CAMPAIGN)
    web = Web(daemon)
    daemon.ok("hold", "--timeout", "4s", "web")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        request = pool.submit(web.ask)
        controller = daemon.helper("controller")
        os.kill(controller, 19)  # SIGSTOP
        try:
            assert request.result(20)[0] == 200
        finally:
            if procfs.alive(controller):
                os.kill(controller, 18)


@pytest.mark.containers
def test_a_hold_outlives_aictld(start):
    """The old gateway's requests hear of no release; they go on when the time is over."""
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    web = Web(daemon)
    daemon.ok("hold", "--timeout", "20s", "web")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        before = pool.submit(web.ask, "/?n=before", timeout=60)
        waits(web, [before], ["before"])
        daemon.crash()
        daemon.start_again()
        wait_for(daemon.answers, what="the new one answers")
        wait_for(lambda: held_until(daemon), what="it knows of the hold")
        after = pool.submit(web.ask, "/?n=after")
        waits(web, [before, after], ["before", "after"])
        daemon.ok("release", "web")
        assert (after.result()[0], before.result()[0]) == (200, 200)


@pytest.mark.containers
def test_connections_are_held_too(daemon):
    port = free_port()
    web = Web(daemon, ports={"http": {"port": port, "protocol": "tcp"}})
    web.port = port
    daemon.ok("hold", "web")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        request = pool.submit(web.ask, "/?n=x")
        waits(web, [request], ["x"])
        daemon.ok("release", "web")
        assert request.result()[0] == 200


def test_what_cannot_be_held(daemon):
    daemon.apply({"plain": daemon.service("pause")})
    code, _, err = daemon.cli("hold", "plain")
    assert (code, "has no stable port" in err) == (8, True), err
    assert daemon.cli("hold", "nobody")[0] == 4
    assert daemon.cli("hold", "--timeout", "2d", "plain")[0] == 2
    assert "released" in daemon.ok("release", "plain")  # it is not held


@pytest.mark.containers
def test_a_line_survives_changes(daemon):
    """More clients than slots all the time, while replicas come and go: nobody is forgotten in
    the line."""
    port = free_port()
    keys = {"replicas": 2, "concurrency": 2, "retry": "unsafe"}
    daemon.apply({"web": talker(daemon, port, **keys)})
    with Load(port) as load:
        for n in (3, 1, 4, 2):
            daemon.ok("scale", f"web={n}")
            load.flows()
        daemon.apply({"web": talker(daemon, port, **{**keys, "concurrency": 1}, environment={"V": "2"})})
        load.flows()
        daemon.ok("hold", "--timeout", "2s", "web")
        load.flows()
    load.check()
    wait_for(lambda: endpoint(daemon)["active"] == 0, what="none is left")
