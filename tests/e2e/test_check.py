"""aictl check, and the last ten results that describe shows.

SPDX-License-Identifier: MIT
"""
import json
import os

from harness import wait_for
from scripted import Script

UP = {"http": {"path": "/up"}, "period": "100ms"}  # the others are asked once it listens


def deploy(daemon, **extra):
    script = Script(os.path.join(daemon.base, "script"))
    daemon.apply({"web": {**daemon.service(port=18462, restart={"backoff": {"initial": 0}}, **extra),
                          "command": script.command()}})
    return script


def probe(daemon, kind="readiness"):
    return daemon.describe("web")["replicas"][0]["probes"][kind]


def check(daemon, *args):
    """(exit code, {probe: its row})"""
    rc, out, err = daemon.cli("check", "web", "-o", "json", *args)
    assert out, err
    return rc, {p["probe"]: p for p in json.loads(out)["replicas"][0]["probes"]}


def test_the_last_ten_results(daemon):
    script = deploy(daemon, probes={"readiness": {"http": {}, "period": "100ms", "failure_threshold": 100}})
    wait_for(lambda: len(h := probe(daemon)["history"]) == 10 and all(r["ok"] for r in h))
    script.answer({"/": {"status": 503}})
    wait_for(lambda: probe(daemon)["failures"] >= 2)
    script.answer({})
    wait_for(lambda: probe(daemon)["ok"])
    p = probe(daemon)
    history = p["history"]
    assert len(history) == 10 and p["results"] > 10
    assert history[0]["message"] == p["message"] and history[0]["at"] == p["at"]
    assert [h["at"] for h in history] == sorted((h["at"] for h in history), reverse=True)
    assert {h["message"] for h in history if h["ok"]} == {"HTTP 200"}
    assert {h["message"] for h in history if not h["ok"]} <= {"HTTP 503"}
    text = daemon.ok("describe", "web")
    assert "of the last 10:" in text and "passed in" in text, text


def test_check_now(daemon):
    """Probes with a period of an hour answer at once when they are asked to, one at a time, and count."""
    slow = {"http": {}, "period": "1h", "timeout": "10s", "failure_threshold": 2}
    script = deploy(daemon, probes={"startup": UP, "readiness": slow, "liveness": {**slow, "http": {"path": "/live"}}})
    rc, rows = check(daemon)
    assert rc == 0 and rows["readiness"]["message"] == "HTTP 200", rows
    rc, rows = check(daemon, "--now")
    assert rc == 0 and rows["liveness"]["ok"] is True and rows["readiness"]["ok"] is True, rows
    asked = len(script.requests("/"))
    script.answer({"/": {"status": 500}})
    rc, rows = check(daemon, "--now")
    assert rc == 3 and rows["readiness"]["ok"] is False and rows["readiness"]["message"] == "HTTP 500"
    assert rows["liveness"]["ok"] is True
    assert len(script.requests("/")) == asked + 1
    assert daemon.replica("web")["state"] == "ready", "one of two failures"
    rc, out, _ = daemon.cli("check", "web/0", "--now")
    assert rc == 3 and "HTTP 500" in out
    daemon.wait_state("web", "degraded")
    script.answer({})
    assert daemon.cli("check", "web", "--now")[0] == 0
    daemon.wait_state("web", "ready")


def test_never_two_of_one_probe(daemon):
    """Asked for while it runs: what runs is the answer."""
    probes = {"startup": UP, "readiness": {"http": {}, "period": "1h", "timeout": "20s"}}
    script = deploy(daemon, probes=probes)
    before = len(script.requests("/"))
    script.answer({"/": {"delay": 1}})
    for _ in range(5):
        assert daemon.api("POST", "/v1/services/web/check")[0] == 202
    rc, _ = check(daemon, "--now")
    assert rc == 0
    times = [r["at"] for r in script.requests("/")[before:]]
    assert all(b - a >= 1 for a, b in zip(times, times[1:])), times


def test_check_of_what_is_not_there(daemon):
    deploy(daemon)
    assert daemon.cli("check", "nobody")[0] == 4
    assert daemon.cli("check", "web/7")[0] == 4
    rc, out, _ = daemon.cli("check", "web")
    assert rc == 0 and "running" in out
    daemon.ok("stop", "web")
    assert daemon.cli("check", "web")[0] == 3
