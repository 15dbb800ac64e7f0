"""What passes the gateway is counted: GET /v1/metrics and /metrics. The numbers are exactly what the clients sent,
whatever of ours dies in between.

SPDX-License-Identifier: MIT
"""
import collections
import http.client
import json
import os
import re
import shutil
import socket
import subprocess

import pytest

import procfs
from harness import UnixConnection, wait_for
from test_helpers import kill_helper, wait_helper
from test_traffic import READY, ask, free_port, talker, wait_open

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? ([0-9.eE+-]+|\+Inf|NaN)")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def labels_of(text):
    """A dict; strict."""
    found, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        assert m, f"bad labels: {text}"
        assert m[1] not in found, f"{m[1]} twice: {text}"
        found[m[1]] = m[2]
        at = m.end()
    return found


class Families:
    """Text in Prometheus' format, read as strictly as promtool does, and a little more: each family in one place, with
    HELP and TYPE before; our own names and base units; no sample twice; histograms that add up."""

    def __init__(self, text):
        self.types, self.samples, helped, current = {}, {}, set(), None
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# HELP "):
                current = line.split(" ", 3)[2]
                assert current not in helped and line.split(" ", 3)[3], line
                helped.add(current)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name == current and name not in self.types and kind in SUFFIXES, line
                self.types[name] = kind
            else:
                self.sample(line, current)
        for name, kind in self.types.items():
            assert name.startswith("aictl_"), name
            assert (kind == "counter") == name.endswith("_total"), name
            assert not re.search(r"_(ms|us|milliseconds|kb|mb|percent)(_|$)", name), name
            if kind == "histogram":
                self.check_histogram(name)

    def sample(self, line, family):
        m = SAMPLE.fullmatch(line)
        assert m, f"bad line: {line}"
        assert m[1] in [family + s for s in SUFFIXES[self.types[family]]], f"{line} below {family}"
        key = (m[1], tuple(sorted(labels_of(m[2] or "").items())))
        assert key not in self.samples, f"twice: {line}"
        self.samples[key] = float(m[3])

    def check_histogram(self, name):
        series = collections.defaultdict(list)
        for (sample, labels), value in self.samples.items():
            if sample == name + "_bucket":
                le = dict(labels)["le"]
                rest = tuple(x for x in labels if x[0] != "le")
                series[rest].append((float("inf") if le == "+Inf" else float(le), value))
        for labels, buckets in series.items():
            assert buckets == sorted(buckets) and buckets[-1][0] == float("inf"), (name, labels)
            assert [n for _, n in buckets] == sorted(n for _, n in buckets), (name, labels)
            count, total = self.samples[(name + "_count", labels)], self.samples[(name + "_sum", labels)]
            assert count == buckets[-1][1] and total >= 0 and (count > 0 or total == 0), (name, labels)

    def sum(self, name, **labels):
        return sum(v for (n, have), v in self.samples.items() if n == name and set(labels.items()) <= set(have))

    def values(self, name, label):
        return {dict(have)[label] for n, have in self.samples if n == name}


def text_of(daemon):
    """Of a controller that is there."""
    def answer():
        try:
            connection = UnixConnection(daemon.socket, 30)
            connection.request("GET", "/v1/metrics")
            reply = connection.getresponse()
            text = reply.read().decode()
            connection.close()
        except OSError:
            return None
        if reply.status == 503:  # starting
            return None
        assert reply.status == 200, text
        assert reply.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        return text

    return wait_for(answer, what="GET /v1/metrics")


def metrics(daemon):
    return Families(text_of(daemon))


def promtool():
    return os.environ.get("PROMTOOL") or shutil.which("promtool")


def lint(text):
    """By promtool; test_promtool says when there is none."""
    if not promtool():
        return
    done = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True, text=True, timeout=60,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not promtool(), reason="no promtool (scripts/deps unpacks it)")
def test_promtool(daemon):
    lint(text_of(daemon))


def scripted(daemon, port, answers, **keys):
    """A service whose answers are ours."""
    directory = os.path.join(daemon.base, f"answers-{port}")
    os.makedirs(directory)
    os.chmod(directory, 0o777)
    with open(os.path.join(directory, "answers"), "w", encoding="utf-8") as f:
        json.dump(answers, f)
    shutil.copy(os.path.join(HERE, "scripted.py"), daemon.base)
    return {**daemon.service(port=port, probes=READY, **keys),
            "command": ["/usr/bin/python3", os.path.join(daemon.base, "scripted.py"), directory]}


def wait_sum(daemon, n, name="aictl_requests_total", **labels):
    return wait_for(lambda: (m := metrics(daemon)).sum(name, **labels) >= n and m,
                    what=lambda: f"{name} {labels} is {metrics(daemon).sum(name, **labels)}, not {n}")


def test_numbers_add_up(daemon):
    """By class, by replica, and in bytes, with what the client sent and got."""
    port = free_port()
    daemon.apply({"web": scripted(daemon, port, {"/404": {"status": 404}, "/500": {"status": 500}, "/302": {"status": 302},
                                                 "/slow": {"delay": 0.3, "body": "0"}, "*": {"body": "0"}}, replicas=2)})
    wait_open(daemon)
    plan = {"/": 20, "/404": 7, "/500": 3, "/302": 4, "/slow": 2}
    for path, n in plan.items():
        for _ in range(n):
            ask(port, path)
    m = wait_sum(daemon, sum(plan.values()))
    lint(text_of(daemon))
    total = sum(plan.values())
    assert m.sum("aictl_requests_total", service="web") == total
    for code, n in (("2xx", 22), ("3xx", 4), ("4xx", 7), ("5xx", 3), ("none", 0)):
        assert m.sum("aictl_requests_total", service="web", port="http", code=code) == n, code
    both = [m.sum("aictl_requests_total", service="web", replica=str(i)) for i in range(2)]
    assert sum(both) == total and min(both) > 0
    assert m.values("aictl_requests_total", "revision") == {"1"}
    for name in ("aictl_request_duration_seconds", "aictl_request_first_byte_seconds"):
        assert m.sum(name + "_count", service="web") == total
        slow = total - m.sum(name + "_bucket", service="web", le="0.256")
        assert slow == 2, slow
        assert 0.6 <= m.sum(name + "_sum", service="web") < 60
    assert m.sum("aictl_response_bytes_total", service="web") > 2 * total
    assert m.sum("aictl_request_bytes_total", service="web") > 40 * total
    assert m.sum("aictl_requests_in_flight", service="web") == 0
    assert m.sum("aictl_replicas", service="web", state="ready") == m.sum("aictl_replicas", service="web") == 2
    assert m.sum("aictl_replicas_desired", service="web") == 2
    assert m.sum("aictl_port_open", service="web", address=f"127.0.0.1:{port}") == 1
    assert m.sum("aictl_replica_memory_bytes", service="web") > 1 << 20
    assert m.sum("aictl_replica_cpu_seconds_total", service="web") > 0
    assert m.sum("aictl_build_info") == m.sum("aictl_gateway_up") == 1


def test_nothing_is_lost_by_updates_and_deaths(daemon):
    """of replicas, the controller and the gateway; no counter goes back but with the controller."""
    port = free_port()
    daemon.apply({"web": talker(daemon, port, replicas=2)})
    wait_open(daemon)

    def serve(n):
        for _ in range(n):
            assert ask(port)[0] == 200

    serve(10)
    wait_sum(daemon, 10)
    daemon.apply({"web": talker(daemon, port, replicas=2, environment={"V": "2"})})
    serve(10)
    m = wait_sum(daemon, 20)
    assert m.sum("aictl_requests_total") == 20
    assert m.sum("aictl_requests_total", revision="1") == 10
    assert m.sum("aictl_requests_total", revision="2") == 10
    procfs.kill(daemon.pid_of("web"))
    wait_for(lambda: daemon.replica("web")["restarts"] == 1 and daemon.replica("web")["state"] == "ready",
             what="it is back")
    serve(10)
    assert wait_sum(daemon, 30).sum("aictl_requests_total") == 30
    assert metrics(daemon).sum("aictl_replica_restarts_total", service="web", replica="0") == 1
    old = kill_helper(daemon, "gateway")
    wait_helper(daemon, "gateway", old)
    serve(10)
    m = wait_sum(daemon, 40)
    assert m.sum("aictl_requests_total") == 40
    assert m.sum("aictl_helper_restarts_total", helper="gateway") == 1
    old = kill_helper(daemon, "controller")
    wait_helper(daemon, "controller", old)
    serve(10)
    m = wait_sum(daemon, 20)  # what the gateway of now has counted
    assert m.sum("aictl_requests_total") == 20


def test_requests_under_way_and_given_up(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port)})
    wait_open(daemon)
    clients = []
    for _ in range(3):
        s = socket.create_connection(("127.0.0.1", port), timeout=30)
        s.sendall(b"GET /sleep/60000 HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(s)
    wait_for(lambda: metrics(daemon).sum("aictl_requests_in_flight", service="web", replica="0", port="http") == 3,
             what="three are under way")
    for s in clients:
        s.close()
    m = wait_sum(daemon, 3, "aictl_requests_cancelled_total")
    assert m.sum("aictl_requests_cancelled_total") == 3
    assert m.sum("aictl_requests_total") == 0
    wait_for(lambda: metrics(daemon).sum("aictl_requests_in_flight") == 0, what="none is under way")


def test_a_new_controller_knows_no_last_minute(daemon):
    """All that a gateway has ever counted is told to it at once: that is no load of now."""
    port = free_port()
    daemon.apply({"web": talker(daemon, port)})
    wait_open(daemon)
    for _ in range(40):
        assert ask(port)[0] == 200
    wait_sum(daemon, 40)
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    wait_sum(daemon, 40)
    t = daemon.describe("web")["traffic"]
    assert (t["requests"], sum(t["last_minute"]), t["requests_per_second"], t["p95_ms"]) == (40, 0, 0, None)
    assert ask(port)[0] == 200
    wait_for(lambda: sum(daemon.describe("web")["traffic"]["last_minute"]) == 1, what="what comes now is counted")


def test_who_waits_and_who_is_refused(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port, replicas=0, queue={"timeout": "2s", "max": 2})})
    wait_open(daemon)
    clients = []
    for _ in range(5):
        s = socket.create_connection(("127.0.0.1", port), timeout=30)
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(s)
    m = wait_sum(daemon, 3, "aictl_requests_refused_total", service="web")
    assert m.sum("aictl_requests_arrived_total", service="web", port="http") == 5
    assert m.sum("aictl_requests_waiting", service="web") == 2
    assert 0 <= m.sum("aictl_request_longest_wait_seconds") < 10
    assert daemon.ps()["web"]["traffic"]["waiting"] == 2
    m = wait_sum(daemon, 5, "aictl_requests_refused_total", service="web")
    assert m.sum("aictl_requests_waiting") == 0
    assert [s.recv(12) for s in clients] == [b"HTTP/1.1 503"] * 5
    old = kill_helper(daemon, "gateway")
    wait_helper(daemon, "gateway", old)
    assert ask(port)[0] == 503  # its counters go on from there
    assert wait_sum(daemon, 6, "aictl_requests_refused_total").sum("aictl_requests_arrived_total") == 6
    for s in clients:
        s.close()


def test_metrics_on_tcp(start):
    """Nothing else is served there; it comes again with the next controller."""
    port, web = free_port(), free_port()
    daemon = start("--metrics", f"127.0.0.1:{port}")
    daemon.apply({"web": talker(daemon, web)})
    wait_open(daemon)

    def get(path="/metrics", method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text

    assert ask(web)[0] == 200
    wait_sum(daemon, 1)
    status, text = get()
    assert status == 200
    lint(text)
    wait_for(lambda: Families(get()[1]).sum("aictl_requests_total", service="web") == 1, what="it is counted here, too")
    for path in ("/", "/v1/services", "/v1/metrics", "/metrics/x", "/../v1/daemon"):
        assert get(path)[0] == 404, path
    for method in ("POST", "DELETE", "PUT"):
        assert get(method=method)[0] == 405, method
    assert get(method="HEAD") == (200, "")
    idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(40)]
    wait_for(lambda: get()[0] == 200, what="who comes is served, and idle ones go")
    for s in idle:
        s.close()
    old = kill_helper(daemon, "controller")
    wait_helper(daemon, "controller", old)

    def answers():
        try:
            return get()[0] == 200
        except OSError:
            return False

    wait_for(answers, what="it is served again")


def test_an_address_that_is_taken_is_tried_again(start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        daemon = start("--metrics", f"127.0.0.1:{port}")
        wait_for(lambda: f"--metrics 127.0.0.1:{port}" in daemon.log(), what="it says so")

    def answers():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/metrics")
            return connection.getresponse().status == 200
        except OSError:
            return False

    wait_for(answers, what="it is served")
    for bad in ("9145", "localhost:9145", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "[::1:9145", "1.2.3:9"):
        done = subprocess.run([*daemon.argv()[:1], "--metrics", bad, "--version"], capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 2 and "want ADDRESS:PORT" in done.stderr, (bad, done.stderr)


def test_who_calls_whom(daemon):
    """A client that keeps its connection is seen, by the cgroup that it made it in."""
    port = free_port()
    script = ("import http.client, sys, time\n"
              "c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))\n"
              "while True:\n c.request('GET', '/')\n c.getresponse().read()\n time.sleep(0.05)")
    daemon.apply({"web": talker(daemon, port),
                  "front": {**daemon.service(), "command": ["/usr/bin/python3", "-c", script, str(port)]},
                  "idle": daemon.shell("sleep 1000")})
    wait_open(daemon)
    if "track" not in daemon.get("/v1/daemon")["cgroup"]["can"]:
        assert daemon.describe("web")["callers"] == []
        return
    (found,) = wait_for(lambda: daemon.describe("web")["callers"], what="the caller is seen")
    assert (found["service"], found["port"], found["connections"]) == ("front", "http", 1)
    assert daemon.describe("front")["callers"] == daemon.describe("idle")["callers"] == []
    assert re.search(r"^  Called by +front \(1 connection\)$", daemon.ok("describe", "web"), re.M)
    daemon.ok("stop", "front")
    (found,) = wait_for(lambda: [c for c in daemon.describe("web")["callers"] if c["connections"] == 0],
                        what="it is gone, and known")
    assert found["service"] == "front"
    assert re.search(r"^  Called by +front \(\S+ ago\)$", daemon.ok("describe", "web"), re.M)
