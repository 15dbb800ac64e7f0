"""The API under abuse: each a clear error or a cut, everybody else is served meanwhile, the
controller's memory stays within a stated bound, and its descriptors come back.

SPDX-License-Identifier: MIT
"""
import contextlib
import json
import os
import pwd
import re
import resource
import socket
import subprocess
import threading
import time
import uuid

import pytest

import procfs
from harness import DEFAULT_DEADLINE, wait_for

MIB = 1 << 20
# What abuse may cost beyond the start. While it goes on: the server holds 64 MiB for all (HELD_MAX),
# the rest is bodies of 16 MiB being parsed. Afterwards: what malloc keeps (about 20 MiB as measured).
RSS_GROWTH = 128 * MIB
RSS_KEPT = 64 * MIB
ANSWER_SECONDS = 5  # `ps` of the second client; generous: sanitizers, a busy machine
HEAD = "Host: x\r\n"


def sanitized():
    return "-fsanitize" in procfs.read(os.path.join(os.environ.get("AICTL_BUILD", "build"), "config.log"))


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", procfs.read(f"/proc/{pid}/status")).group(1)) * 1024


class Client:
    """A raw connection."""

    def __init__(self, path, timeout=DEFAULT_DEADLINE):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)  # blocking: a full backlog is waited for
        self.sock.settimeout(timeout)

    def send(self, data):
        """False: the other side has cut."""
        try:
            self.sock.sendall(data.encode() if isinstance(data, str) else data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def hear(self):
        """All until the end, or until nothing comes for as long as the time-out."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while True:
                piece = self.sock.recv(1 << 16)
                if not piece:
                    break
                data += piece
        return data

    def close(self):
        self.sock.close()


def ask(daemon, method, path, body=b"", headers=HEAD, timeout=DEFAULT_DEADLINE):
    """(status, decoded body) of raw bytes; (None, None) when it was cut without an answer."""
    client = Client(daemon.socket, timeout)
    body = body.encode() if isinstance(body, str) else body
    client.send(f"{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode())
    client.send(body)
    answer = client.hear()
    client.close()
    if not answer:
        return None, None
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(text)


class Watch:
    """Seconds, less those in which the controller could have run and others did: how much else the
    machine has to do is not its fault."""

    def __init__(self, daemon):
        self.pid = daemon.helper("controller")
        self.begun = self.now()

    def now(self):
        numbers = procfs.read(f"/proc/{self.pid}/schedstat").split()  # of the loop's thread
        return time.monotonic() - (int(numbers[1]) / 1e9 if numbers else 0)

    def passed(self):
        return self.now() - self.begun


class Witness:
    """A second client that asks for the services all the while, and how long it took at most. Told
    that the server is busy it asks again, as one should."""

    def __init__(self, daemon):
        self.daemon, self.worst, self.answers, self.failure = daemon, 0.0, 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set():
            watch = Watch(self.daemon)
            try:
                status, reply = ask(self.daemon, "GET", "/v1/services")
                while status == 503 and watch.passed() < ANSWER_SECONDS:  # "busy": once more
                    self.over.wait(0.05)
                    status, reply = ask(self.daemon, "GET", "/v1/services")
                assert status == 200 and reply["services"], reply
            except (AssertionError, OSError, ValueError) as error:
                self.failure = self.failure or f"{error!r} after {watch.passed():.2f} s"
            self.worst = max(self.worst, watch.passed())
            self.answers += 1
            self.over.wait(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.thread.join(DEFAULT_DEADLINE * 2)
        if exc[0] is None:
            assert not self.failure, self.failure
            assert self.answers > 0 and self.worst < ANSWER_SECONDS, self.worst


@pytest.fixture
def abused(daemon):
    """A daemon with a ready service; around the test its memory, descriptors and pid are compared."""
    low, high = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (high, high))
    daemon.apply({"idle": daemon.shell("echo hello; exec sleep 1000"), "again": daemon.service("pause")})
    controller, idle = daemon.helper("controller"), daemon.pid_of("idle")
    wait_for(lambda: daemon.segments("idle"), what="the log is written")
    daemon.logged("idle")  # what is opened once and kept
    fds, memory = procfs.fds(controller), rss(controller)
    with Witness(daemon):
        yield daemon
    assert daemon.helper("controller") == controller, "the controller died"
    assert daemon.pid_of("idle") == idle
    wait_for(lambda: len(procfs.fds(controller)) <= len(fds) + 2,  # the asking connection itself
             what=lambda: f"descriptors come back: {len(fds)} -> {len(procfs.fds(controller))}")
    print(f"the controller grew by {(rss(controller) - memory) / MIB:.0f} MiB")
    if not sanitized():
        assert rss(controller) - memory < RSS_KEPT, (rss(controller) - memory) / MIB
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, high))


def change(kind="start", **fields):
    return json.dumps({"id": str(uuid.uuid4()), "kind": kind, **fields})


def is_error(reply, status, *words):
    got, body = reply
    assert got == status, reply
    assert body["error"]["message"] and body["error"]["code"], reply
    for word in words:
        assert word in body["error"]["message"], reply


def test_bodies(abused):
    post = lambda body, **kwargs: ask(abused, "POST", "/v1/changes", body, **kwargs)  # noqa: E731
    is_error(post(b"x" * (17 * MIB)), 413, "too large")
    is_error(post(b"[" + b"0," * (6 * MIB) + b"0]"), 400, "20,000 values")
    is_error(post(b"[" * (2 * MIB)), 400, "32 levels")
    is_error(post(b'{"a":' * 5000 + b"1" + b"}" * 5000), 400, "32 levels")
    for broken in (b"", b"{", b"[]", b"null", b'{"id":', b"{} {}", b"\xff\xfe", b'{"id":"a" "b"}', b"{'id': 1}",
                   b'"' + b"x" * MIB, b"{\"a\":\"\\"):
        is_error(post(broken), 400)
    is_error(post(b'{"id":"a\0b"}'), 400, "NUL")
    is_error(post(b'{"id":"a\\u0000b"}'), 400, "u0000")
    is_error(post('{"id":"a","kind":"start","id":"b"}'), 400, '"id" twice')
    is_error(post(change(replicas={"idle": 1}).replace('"idle"', '"idle": 2, "idle"')), 400, '"idle" twice')
    for size in ("-1", "18446744073709551616", "1e3", "abc", "5, 5"):
        client = Client(abused.socket)
        client.send(f"POST /v1/changes HTTP/1.1\r\n{HEAD}Content-Length: {size}\r\n\r\nhello")
        assert client.hear().split(b" ")[1] in (b"400", b"413")
        client.close()
    client = Client(abused.socket)  # an endless body in chunks
    client.send(f"POST /v1/changes HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + b" " * MIB + b"\r\n"
    sent = 0
    while sent < 64 and client.send(chunk):
        sent += 1
    assert sent < 64 and b" 413 " in client.hear()[:20]
    client.close()


def test_heads(abused):
    for head, status in (("GET /v1/services HTTP/1.1\r\nX: " + "y" * 70000, 431),
                         ("GET /v1/services HTTP/1.1\r\n" + "X: y\r\n" * 200 + HEAD, 431),
                         ("GET /" + "a" * 70000 + " HTTP/1.1\r\n" + HEAD, 431),
                         ("GET /v1/services HTTP/1.1\r\n" + HEAD + HEAD, 400),
                         ("GET /v1/services HTTP/1.1\r\nHost : x\r\n", 400),
                         ("GET /v1/services HTTP/2.0\r\n" + HEAD, 400),
                         ("\x16\x03\x01\x02", 400),
                         ("GET /v1/services?" + "a&" * 100 + " HTTP/1.1\r\n" + HEAD, 400),
                         ("GET /v1/%zz HTTP/1.1\r\n" + HEAD, 400),
                         ("GET /v1/a%00b HTTP/1.1\r\n" + HEAD, 400),
                         ("GET /v1/services/" + "a" * 5000 + " HTTP/1.1\r\n" + HEAD, 404),
                         ("GET /v1/services/../daemon HTTP/1.1\r\n" + HEAD, 404),
                         ("DELETE /v1/services HTTP/1.1\r\n" + HEAD, 405),
                         ("BREW /v1/services HTTP/1.1\r\n" + HEAD, 400)):
        client = Client(abused.socket)
        client.send(head + "Connection: close\r\n\r\n" if head.endswith("\n") else head + "\r\n\r\n")
        answer = client.hear()
        client.close()
        assert int(answer.split(b" ")[1]) == status, (head[:60], answer[:200])
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_numbers_and_names(abused):
    for path in ("/v1/events?n=-1", "/v1/events?n=9999999999999999999", "/v1/events?n=a", "/v1/events?since=-5",
                 "/v1/logs?service=idle&n=x", "/v1/logs?service=idle&replica=-1", "/v1/logs", "/v1/logs?service=../../etc",
                 "/v1/services/idle/wait?for=nothing", "/v1/services/idle/wait?timeout_ms=1e9"):
        is_error(ask(abused, "GET", path), 400)
    for path in ("/v1/nothing", "/", "/v1", "/v1/services/nobody", "/v1/services?service=nobody",
                 "/v1/services/nobody/wait", "/v1/changes/0123456789abcdef"):
        is_error(ask(abused, "GET", path), 404)
    for body in ({}, {"id": "short", "kind": "stop"}, {"id": "a" * 65, "kind": "stop"}, {"id": "a" * 20},
                 {"id": "UPPER-CASE-IS-NOT-ALLOWED", "kind": "stop"}, {"id": "../../../../etc/passwd", "kind": "stop"},
                 {"id": "a\nb" * 10, "kind": "stop"}, {"id": 5, "kind": "stop"}, {"id": "a" * 20, "kind": 5},
                 {"id": "a" * (10 * MIB), "kind": "stop"}, {"id": "a" * 20, "kind": "explode"},
                 {"id": "a" * 20, "kind": "b" * (10 * MIB)},
                 {"id": "a" * 20, "kind": "stop"}, {"id": "a" * 20, "kind": "stop", "services": "idle"},
                 {"id": "a" * 20, "kind": "stop", "services": []},
                 {"id": "a" * 20, "kind": "stop", "services": [["idle"]]},
                 {"id": "a" * 20, "kind": "scale", "replicas": {"idle": -1}},
                 {"id": "a" * 20, "kind": "scale", "replicas": {"idle": 1e300}},
                 {"id": "a" * 20, "kind": "scale", "replicas": {"idle": 0.5}},
                 {"id": "a" * 20, "kind": "apply", "manifests": "x"}):
        is_error(ask(abused, "POST", "/v1/changes", json.dumps(body)), 400)
    is_error(ask(abused, "POST", "/v1/changes", change("stop", services=["idle", "nobody"])), 404, "nobody")
    assert abused.ps()["idle"]["state"] == "ready"  # all names are checked before anything is done


def test_new_endpoints_bodies(abused):
    """plan and exec take bodies, too."""
    for path in ("/v1/plan", "/v1/exec", "/v1/daemon/log-level"):
        is_error(ask(abused, "POST", path, b"x" * (17 * MIB)), 413)
        for broken in (b"", b"{", b"[" * MIB, b'{"a":1,"a":2}', b"[" + b"0," * (6 * MIB) + b"0]", b"null"):
            status, body = ask(abused, "POST", path, broken)
            assert status in (400, 426) and body["error"]["message"], (path, status, body)
    many = [{"path": f"/srv/{n}.yaml", "layer": 0, "text": "version: 1\n"} for n in range(4000)]
    for wrong in ({"manifests": many}, {"manifests": [{"path": "/a", "layer": -1, "text": "x"}]},
                  {"manifests": [{"path": "/a", "text": "x" * (2 * MIB), "layer": 0}]},
                  {"manifests": [{"path": "/a\nb", "text": "&a [*a]", "layer": 0}]},
                  {"manifests": [{"path": "/a", "base64": "%%%"}]}, {"manifests": {"path": "/a"}}):
        status, body = ask(abused, "POST", "/v1/plan", json.dumps(wrong))
        assert status in (400, 422) and body["error"]["message"], (str(wrong)[:80], status, body)
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    status, body = ask(abused, "POST", "/v1/plan", json.dumps({"manifests": [{"path": "/a", "layer": 0, "text": bomb}]}))
    assert status == 422, body


def test_many_plans(abused):
    """Two hundred large plans at once: each answered or refused, and a restart is done meanwhile."""
    services = "".join(f"  s{n}: {{command: [x, '{'y' * 200}']}}\n" for n in range(1500))
    text = f"version: 1\nname: big\nservices:\n{services}"
    body = json.dumps({"manifests": [{"path": "/srv/a.yaml", "layer": 0, "text": text}]}).encode()
    clients = []
    for _ in range(200):
        client = Client(abused.socket, timeout=120)
        client.send(f"POST /v1/plan HTTP/1.1\r\n{HEAD}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                    .encode() + body)
        clients.append(client)
    begun = time.monotonic()
    abused.change("restart", services=["again"])
    assert time.monotonic() - begun < 2 * ANSWER_SECONDS
    statuses = {client.hear()[9:12] for client in clients}
    assert statuses <= {b"200", b"422", b"503"} and statuses & {b"200", b"422"}, statuses
    for client in clients:
        client.close()


def test_many_execs(abused):
    """More sessions than there may be, half of them cut without a word: each answered or refused."""
    clients, statuses = [], set()
    body = json.dumps({"replica": "again", "command": ["/bin/sleep", "1000"], "tty": False})
    for _ in range(300):
        client = Client(abused.socket)
        client.send(f"POST /v1/exec HTTP/1.1\r\n{HEAD}Connection: Upgrade\r\nUpgrade: aictl-exec\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n{body}")
        clients.append(client)
    for client in clients:
        statuses.add(client.sock.recv(4096).split()[1])
    assert b"101" in statuses and statuses <= {b"101", b"503"}, statuses
    for client in clients:
        client.close()
    wait_for(lambda: not [p for p in procfs.descendants(abused.pid) if "sleep" in procfs.read(f"/proc/{p}/cmdline")
                          and "1000" in procfs.read(f"/proc/{p}/cmdline") and p != abused.pid_of("idle")],
             what="the commands end with their clients")


def test_forged_change(abused):
    first = json.loads(change("restart", services=["again/0"]))
    pid = abused.pid_of("again")
    status, reply = ask(abused, "POST", "/v1/changes", json.dumps(first))
    assert status == 202
    abused.wait_new_pid("again", pid)
    abused.wait_state("again", "ready")
    pid = abused.pid_of("again")
    for kind in ("stop", "delete", "apply"):
        is_error(ask(abused, "POST", "/v1/changes", json.dumps({**first, "kind": kind})), 409, "exists already")
    status, again = ask(abused, "POST", "/v1/changes", json.dumps(first))  # a retry does nothing twice
    assert status == 202 and again["id"] == reply["id"]
    assert abused.pid_of("again") == pid


def test_pipelining(abused):
    client = Client(abused.socket)
    one = f"GET /v1/version HTTP/1.1\r\n{HEAD}\r\n"
    client.send(one * 199 + f"GET /v1/version HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n")
    answer = client.hear()
    client.close()
    assert answer.count(b"HTTP/1.1 200 OK") == 200
    client = Client(abused.socket)  # endless, never read: reading stops, and then sending
    client.sock.settimeout(1)
    sent = 0
    with contextlib.suppress(socket.timeout):
        while sent < 64 * MIB and client.send(one * 1000):
            sent += 1000 * len(one)
    assert sent < 16 * MIB
    client.close()


def test_idle_connections(abused):
    """More than the server takes: the oldest give way, and every newcomer is answered."""
    idle = []
    for more in (1000, 500):
        idle += [Client(abused.socket) for _ in range(more)]
        wait_for(lambda: ask(abused, "GET", "/v1/version")[0] == 200, ANSWER_SECONDS, "an answer")
    idle += [Client(abused.socket) for _ in range(10)]
    controller = abused.helper("controller")
    assert len(procfs.fds(controller)) < 1100
    idle[0].sock.settimeout(5)
    assert idle[0].hear() == b""  # cut
    assert idle[-1].send(f"GET /v1/version HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n")
    assert b" 200 " in idle[-1].hear()
    for client in idle:
        client.close()


def test_slow_requests(abused):
    """A thousand that send their request byte by byte, and as many that send half of it."""
    slow = []
    for n in range(1100):
        client = Client(abused.socket)
        client.send("GET /v1/serv" if n % 2 else f"POST /v1/changes HTTP/1.1\r\n{HEAD}Content-Length: 100\r\n\r\n{{")
        slow.append(client)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        for client in slow[::50]:
            client.send("i")
        assert wait_for(lambda: ask(abused, "GET", "/v1/version")[0] == 200, ANSWER_SECONDS)
    for client in slow:
        client.close()


@pytest.mark.waits
def test_head_time_out(abused):
    """Half a request is answered 408 when its time is up."""
    client = Client(abused.socket, timeout=60)
    begun = time.monotonic()
    client.send("GET /v1/services HTTP/1.1\r\nHo")
    answer = client.hear()
    client.close()
    assert b" 408 " in answer[:20] and 20 < time.monotonic() - begun < 50


def test_streams_that_nobody_reads(abused):
    """Hundreds of followers of events and logs who never read, while much happens."""
    noisy = {"noisy": abused.shell("while :; do echo $0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb; done")}
    controller = abused.helper("controller")
    abused.apply(noisy, name="noise")
    before = rss(controller)
    streams = []
    for n in range(300):
        client = Client(abused.socket)
        path = "/v1/logs?service=noisy&n=100000&follow=1" if n % 2 else "/v1/events?follow=1"
        client.send(f"GET {path} HTTP/1.1\r\n{HEAD}\r\n")
        streams.append(client)
    for _ in range(10):
        abused.change("restart", services=["again"])
        if not sanitized():
            assert rss(controller) < before + RSS_GROWTH
    for client in streams:
        client.close()
    abused.change("delete", services=["noisy"])


def test_replies_that_nobody_reads(abused):
    """A thousand clients that ask for something large and take none of it."""
    big = {f"s{n:03}": abused.service("pause", replicas=0, description="x" * 1000) for n in range(40)}
    controller = abused.helper("controller")
    abused.apply(big, name="big")
    before = rss(controller)
    clients = []
    for n in range(900):
        client = Client(abused.socket)
        client.send(f"GET /v1/services HTTP/1.1\r\n{HEAD}\r\n" * 40)
        clients.append(client)
    for _ in range(20):
        watch = Watch(abused)
        assert ask(abused, "GET", "/v1/services")[0] == 200
        assert watch.passed() < ANSWER_SECONDS
        if not sanitized():
            assert rss(controller) < before + RSS_GROWTH
    for client in clients:
        client.close()
    abused.change("delete", services=sorted(big))


def test_many_changes_at_once(abused):
    """Eight clients, 25 scales each: every one is answered, and the last word holds."""
    failures = []

    def scale():
        for n in range(25):
            status, reply = ask(abused, "POST", "/v1/changes", change("scale", replicas={"idle": 1 + n % 2}))
            if status not in (202, 503):
                failures.append((status, reply))

    threads = [threading.Thread(target=scale) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures[:3]
    abused.change("scale", replicas={"idle": 1})
    wait_for(lambda: len(abused.pids("idle")) == 1, what=abused.ps)


@pytest.mark.needs_root
def test_a_strangers_connections(start):
    """One user but root and the owner has 256 connections at most; the others are served."""
    daemon = start()
    daemon.apply({"idle": daemon.service("pause")})
    os.chmod(daemon.socket, 0o666)
    script = ("import socket, sys\n"
              "held = []\n"
              "for n in range(400):\n"
              "    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); held.append(s)\n"
              "s.settimeout(10)\n"
              "print(s.recv(100).split()[1].decode(), flush=True)\n"
              "sys.stdin.read()\n")
    entry = pwd.getpwnam("nobody")
    with subprocess.Popen(["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups",
                           "/usr/bin/python3", "-c", script, daemon.socket], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout.readline().strip() == "503"
        assert len(procfs.fds(daemon.helper("controller"))) < 330
        assert daemon.api("GET", "/v1/services")[0] == 200
        stranger.stdin.close()


def test_the_controllers_limits_are_raised(daemon):
    """A thousand connections need more than the usual 1,024 descriptors."""
    limits = procfs.read(f"/proc/{daemon.helper('controller')}/limits")
    soft, hard = re.search(r"Max open files\s+(\S+)\s+(\S+)", limits).groups()
    assert soft == hard
