"""Autoscaling: the number of replicas follows the load, processor, memory or a metric of the replicas'
own; the user's number goes before it until it expires; our own restart changes nothing. Containers run
where a signal is read from replicas; what is decided of it is the same for all.

SPDX-License-Identifier: MIT
"""
import http.client
import json
import pathlib
import re
import threading
import time

import pytest

from harness import wait_for
from test_helpers import kill_helper
from test_traffic import free_port, talker

pytestmark = pytest.mark.waits
READY = {"readiness": {"tcp": {}, "period": "100ms"}}
# Short windows: what is shown here is that the parts work together, not the arithmetic.
SHORT = {"window": "6s", "panic_window": "2s", "stabilization": "4s"}
GAUGE = """
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            text = open(sys.argv[1]).read()
        except OSError:
            text = "# nothing\\n"
        if text == "fail":
            self.send_error(500)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""
BURN = """
import os, sys, time
while True:
    share = float(open(sys.argv[1]).read())
    begin = time.monotonic()
    while time.monotonic() - begin < 0.1 * share:
        pass
    time.sleep(0.1 * (1 - share))
"""


def scaler(daemon, name="talk"):
    return daemon.get(f"/v1/services/{name}/autoscale")


def desired(daemon, name="talk"):
    return daemon.describe(name)["desired"]


class Clients:
    """So many requests under way all the time, each half a second long."""

    def __init__(self, port, n):
        self.port, self.over, self.failures, self.answered = port, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(n)]

    def run(self):
        connection = None
        while not self.over.is_set():
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request("GET", "/sleep/500")
                reply = connection.getresponse()
                reply.read()
                if reply.status != 200:
                    self.failures.append(reply.status)
                self.answered += 1
            except (OSError, http.client.HTTPException) as e:
                self.failures.append(repr(e))
                connection = None
                time.sleep(0.1)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *args):
        self.over.set()
        for t in self.threads:
            t.join()


def shared(daemon):
    """A directory that the services' user may read."""
    directory = pathlib.Path(daemon.base) / "shared"
    directory.mkdir()
    directory.chmod(0o755)
    return directory


def python(daemon, *command, **keys):
    return daemon.python(*command, stop={"grace_period": "1s"}, **keys)


def scaled(daemon, port, **keys):
    """Four requests under way each, one to five replicas."""
    return talker(daemon, port, replicas={"min": 1, "max": 5},
                  **{"autoscale": {"metric": "concurrency", "target": 4, **SHORT}, **keys})


@pytest.mark.containers
def test_replicas_follow_the_load(daemon):
    """Two clients are one replica; sixteen are four, within seconds; when they have gone it is one again,
    but not before the window. Nobody's request is lost meanwhile."""
    port = free_port()
    daemon.apply({"talk": scaled(daemon, port)})
    with Clients(port, 2) as few:
        wait_for(lambda: scaler(daemon)["metrics"][0]["value"] > 1, what="the load is seen")
        assert scaler(daemon)["demand"]["known"] and desired(daemon) == 1
        with Clients(port, 14) as more:
            wait_for(lambda: desired(daemon) == 4, timeout=20, what="four are wanted")
            wait_for(lambda: daemon.describe("talk")["ready"] == 4, timeout=20, what="four are ready")
            said = scaler(daemon)
            assert said["metrics"][0]["panicking"] and said["reason"] in ("panic", "steady"), said
            assert said["replicas"] == 4
        gone = time.monotonic()
        wait_for(lambda: desired(daemon) == 1, timeout=60, what="one again")
        assert time.monotonic() - gone > 3
    assert few.failures == [] and more.failures == [] and more.answered > 10
    numbers = [int(e["message"].split()[2]) for e in daemon.events("talk") if e["type"] == "scale"]
    assert max(numbers) <= 4


def test_stop_and_start(daemon):
    """It begins with as many as before: that nothing came meanwhile is no reason for fewer."""
    port = free_port()
    daemon.apply({"talk": scaled(daemon, port)})
    with Clients(port, 16):
        wait_for(lambda: daemon.describe("talk")["ready"] == 4, timeout=30, what="four are ready")
    daemon.ok("stop", "talk")
    stopped = time.monotonic()
    wait_for(lambda: time.monotonic() > stopped + 8, what="the windows are empty")
    daemon.ok("start", "talk")
    started = time.monotonic()
    wait_for(lambda: desired(daemon) != 4 or time.monotonic() > started + 4, what="a few decisions", poll=0.2)
    assert desired(daemon) == 4, scaler(daemon)
    wait_for(lambda: desired(daemon) == 1, timeout=60, what="one again")


def test_requests_per_second(daemon):
    """Four clients whose requests last half a second are eight a second: four replicas at two each."""
    port = free_port()
    daemon.apply({"talk": scaled(daemon, port, autoscale={"metric": "rps", "target": 2, **SHORT})})
    with Clients(port, 4) as clients:
        wait_for(lambda: desired(daemon) >= 4, timeout=30, what="four")
        assert desired(daemon) <= 5
    assert clients.failures == []


@pytest.mark.containers
def test_the_controller_dies_under_load(daemon):
    """The next one begins with the same number, and does not go down before it has seen a window."""
    port = free_port()
    daemon.apply({"talk": scaled(daemon, port)})
    with Clients(port, 12) as clients:
        wait_for(lambda: daemon.describe("talk")["ready"] == 3, timeout=30, what="three")
        pids = daemon.pids("talk")
        kill_helper(daemon, "controller")
        wait_for(lambda: scaler(daemon)["decided_at"], what="the next scaler")
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert desired(daemon) == 3
            time.sleep(0.2)
        assert daemon.pids("talk") == pids
        kill_helper(daemon, "gateway")
        wait_for(lambda: scaler(daemon)["metrics"][0]["value"] > 8, timeout=20, what="the next gateway tells")
        assert desired(daemon) == 3
    assert clients.failures == [] or all("Error" in str(f) or "Disconnected" in str(f) for f in clients.failures)


def test_it_sleeps_without_load(daemon):
    """Nothing is looked at, and nothing decided, while nobody asks; a request wakes it."""
    port = free_port()
    daemon.apply({"talk": scaled(daemon, port)})
    with Clients(port, 1):
        wait_for(lambda: scaler(daemon)["demand"]["now"], what="the load is seen")
    asleep = []

    def quiet():
        asleep.append(scaler(daemon)["decided_at"])
        return len(asleep) > 40 and len(set(asleep[-40:])) == 1
    wait_for(quiet, timeout=60, what="it sleeps", poll=0.1)
    with Clients(port, 1):
        wait_for(lambda: scaler(daemon)["decided_at"] != asleep[-1], what="it is awake")


def gauge(daemon, value):
    """A service scaled by a number in a file, its range, and the file."""
    script, page = (directory := shared(daemon)) / "gauge.py", directory / "page"
    script.write_text(GAUGE)
    show(page, value)
    return page, python(daemon, script, page, ports={"http": {}}, probes=READY, replicas={"min": 1, "max": 4},
                        autoscale={"metric": "prometheus", "name": "waiting", "target": 5, **SHORT})


def show(page, value):
    page.write_text(f'# TYPE waiting gauge\nwaiting{{model="a"}} {value / 2}\nwaiting{{model="b"}} {value / 2}\nother 99\n')


@pytest.mark.containers
def test_metric_of_the_replicas(daemon):
    """Each says 4, then 9: two of them want four, at most the range; then none: one after the window."""
    page, service = gauge(daemon, 5)
    daemon.apply({"gauge": service})
    wait_for(lambda: scaler(daemon, "gauge")["metrics"][0]["known"], what="the page was read")
    assert desired(daemon, "gauge") == 1
    show(page, 9)
    wait_for(lambda: desired(daemon, "gauge") == 4, timeout=60, what="up to max")
    said = scaler(daemon, "gauge")
    assert said["max"] == 4 and said["metrics"][0]["value"] == 9
    assert "waiting 9 on average" in said["message"]
    page.write_text("fail")
    wait_for(lambda: not scaler(daemon, "gauge")["metrics"][0]["known"], timeout=60, what="the signal is lost")
    assert scaler(daemon, "gauge")["reason"] == "no_signal" and desired(daemon, "gauge") == 4
    assert "HTTP 500" in scaler(daemon, "gauge")["metrics"][0]["error"]
    show(page, 0)
    wait_for(lambda: desired(daemon, "gauge") == 1, timeout=60, what="down")
    reasons = [e["reason"] for e in daemon.events("gauge") if e["type"] == "scale"]
    assert "scaler_up" in reasons and "scaler_down" in reasons


@pytest.mark.containers
def test_processor(daemon):
    """A replica that keeps a processor as busy as others let it is two."""
    script, share = (directory := shared(daemon)) / "burn.py", directory / "share"
    script.write_text(BURN)
    share.write_text("0.9")
    daemon.apply({"burn": python(daemon, script, share, replicas={"min": 1, "max": 2},
                                 autoscale={"metric": "cpu", "target": 4, **SHORT})})
    wait_for(lambda: desired(daemon, "burn") == 2, timeout=90, what="two")
    share.write_text("0")
    wait_for(lambda: desired(daemon, "burn") == 1, timeout=90, what="one again")


def test_override(daemon):
    """The user's number counts until it expires, or is taken back; the controller's death changes nothing."""
    page, service = gauge(daemon, 5)
    daemon.apply({"gauge": service})
    done = daemon.ok("scale", "gauge=3", "--timeout", "30s")
    assert re.search("for (1h|59m5.s), then the scaler's number counts again", done), done
    state = daemon.describe("gauge")
    assert state["desired"] == 3 and state["override"]["replicas"] == 3 and state["override"]["until"]
    assert state["drift"][0]["scaler"] == 1
    assert "scaled to 3 for" in daemon.ok("ps")
    kill_helper(daemon, "controller")
    wait_for(lambda: daemon.describe("gauge")["override"] == state["override"], what="the override is kept")
    daemon.ok("scale", "gauge", "--auto", "--timeout", "30s")
    state = daemon.describe("gauge")
    assert state["override"] is None and state["desired"] == 1
    show(page, 1)
    daemon.ok("scale", "gauge", "2", "--for", "3s", "--timeout", "30s")
    assert desired(daemon, "gauge") == 2
    wait_for(lambda: desired(daemon, "gauge") == 1, what="it has expired")
    wait_for(lambda: any(e["reason"] == "override_over" for e in daemon.events("gauge")), what="the event")


def test_for_without_a_scaler(daemon):
    daemon.apply({"plain": daemon.service("pause", replicas=1)})
    assert "scaler" not in daemon.ok("scale", "plain=2")
    daemon.ok("scale", "plain=3", "--for", "2s")
    wait_for(lambda: desired(daemon, "plain") == 1, what="the manifest's number")
    assert daemon.cli("scale", "plain", "--auto", "--for", "2s")[0] == 2
    assert daemon.cli("autoscale", "plain")[0] == 8


def test_an_override_that_is_over_in_safe_mode(start):
    """Nothing is changed then: it ends afterwards, and nobody is busy with it meanwhile."""
    daemon = start()
    daemon.apply({"web": daemon.service("pause")})
    daemon.ok("scale", "web=2", "--for", "20s")
    until = time.monotonic() + 20
    for _ in range(5):
        kill_helper(daemon, "controller")
        wait_for(daemon.mode, what="the API answers")
    wait_for(lambda: daemon.mode() == "safe", what=daemon.mode)
    assert time.monotonic() < until
    status = pathlib.Path(f"/proc/{daemon.helper('controller')}/status")

    def switches():
        return int(status.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
    wait_for(lambda: time.monotonic() > until + 1, timeout=30, what="it is over")
    assert daemon.mode() == "safe" and desired(daemon, "web") == 2
    before, since = switches(), time.monotonic()
    wait_for(lambda: time.monotonic() > since + 1, what="a second passes", poll=0.5)
    assert switches() - before < 100
    daemon.ok("daemon", "reload")
    wait_for(lambda: desired(daemon, "web") == 1, what="the manifest's number counts")


def test_apply_does_not_fight(daemon):
    """The same manifest again changes nothing of the scaler's number; another range does what it must."""
    page, service = gauge(daemon, 9)
    daemon.apply({"gauge": service})
    wait_for(lambda: daemon.describe("gauge")["ready"] == 4, timeout=60, what="four")
    pids = daemon.pids("gauge")
    daemon.apply({"gauge": service})
    assert desired(daemon, "gauge") == 4 and daemon.pids("gauge") == pids
    kill_helper(daemon, "controller")
    wait_for(lambda: scaler(daemon, "gauge")["decided_at"], what="the next controller's scaler")
    assert desired(daemon, "gauge") == 4 and daemon.pids("gauge") == pids
    daemon.write(json.dumps({"version": 1, "name": "shop",
                             "services": {"gauge": {**service, "replicas": {"min": 1, "max": 3}}}}))
    plan = json.loads(daemon.ok("plan", "-o", "json", "-f", daemon.base + "/m/aictl.yaml"))
    assert [(r["id"], r["action"]) for r in plan["services"][0]["replicas"]] == [("gauge/3", "stop")], plan
    daemon.apply({"gauge": {**service, "replicas": {"min": 1, "max": 3}}})
    assert desired(daemon, "gauge") == 3
    del service["autoscale"]
    daemon.apply({"gauge": {**service, "replicas": 2}})
    assert desired(daemon, "gauge") == 2


def test_schedule(daemon):
    """A window that is open now raises min, and is told."""
    page, service = gauge(daemon, 0)
    service["autoscale"]["schedule"] = [{"cron": "* * * * *", "for": "1h", "min": 2}]
    daemon.apply({"gauge": service})
    wait_for(lambda: daemon.describe("gauge")["ready"] == 2, what="two by the schedule")
    said = scaler(daemon, "gauge")
    assert (said["min"], said["max"], said["windows_open"], said["range"]["min"]) == (2, 4, 1, 1)
    assert "by a window of the schedule" in daemon.ok("autoscale", "gauge")
    service["autoscale"]["schedule"] = [{"cron": "* * * * *", "for": "1h", "timezone": "Nowhere/At_All"}]
    daemon.write(json.dumps({"version": 1, "name": "shop", "services": {"gauge": service}}))
    rc, _, said = daemon.cli("apply", "-f", daemon.base + "/m/aictl.yaml")
    assert rc == 9 and "Nowhere/At_All" in said


def test_what_is_said(daemon):
    page, service = gauge(daemon, 5)
    daemon.apply({"gauge": service})
    wait_for(lambda: scaler(daemon, "gauge")["reason"] == "steady", timeout=30, what="a decision")
    text = daemon.ok("autoscale", "gauge")
    assert "waiting 5 on average wants 1 of 5 each" in text and "within tolerance" in text
    assert "1 of 1..4: waiting 5" in daemon.ok("describe", "gauge")
    assert "1 of 1..4: waiting 5" in daemon.ok("ps", "-o", "wide")
    assert "1 of 1..4: waiting 5" in daemon.ok("why", "gauge")
