"""What an http probe may ask and expect: method, header fields, body, status, JSON, latency.

SPDX-License-Identifier: MIT
"""
import os

import pytest

from harness import wait_for
from scripted import Script


def message(daemon, kind="readiness"):
    found = daemon.describe("web")["replicas"]
    return found[0]["probes"].get(kind, {}).get("message", "") if found else ""


def wait_message(daemon, text, kind="readiness"):
    wait_for(lambda: message(daemon, kind) == text, what=lambda: message(daemon, kind))


def deploy(daemon, script, kind="readiness", **http):
    probe = {"http": http, "period": "100ms", "timeout": "5s"}
    daemon.apply({"web": {**daemon.service(port=18461, restart={"backoff": {"initial": 0}}, probes={kind: probe}),
                          "command": script.command()}}, wait=False)


@pytest.mark.containers
def test_a_golden_request_is_a_probe(daemon):
    """A POST with header fields and a body, judged by the members of its JSON answer."""
    script = Script(os.path.join(daemon.base, "script"))
    script.answer({"/v1/predict": {"body": '{"status": "loading"}'}})
    deploy(daemon, script, path="/v1/predict", method="POST", headers={"X-Key": "k 1", "Empty": ""},
           body='{"text": "a ${b}"}', expect={"json": {"status": "ok", "output": {"label": "pos"}}})
    wait_message(daemon, "HTTP 200, but output is missing")
    asked = script.requests("/v1/predict")[0]
    assert asked["method"] == "POST" and asked["body"] == '{"text": "a ${b}"}'
    assert {"X-Key": "k 1", "Empty": "", "Content-Type": "application/json", "Connection": "close"}.items() \
        <= asked["headers"].items()
    assert "Expect" not in asked["headers"]
    script.answer({"/v1/predict": {"body": '{"status":"ok","output":{"label":"neg","score":0.5}}'}})
    wait_message(daemon, 'HTTP 200, but output.label is "neg", not "pos"')
    assert daemon.replica("web")["state"] == "starting"
    script.answer({"/v1/predict": {"body": '{"x":1,"output":{"score":0.9,"label":"pos"},"status":"ok"}'}})
    daemon.wait_state("web", "ready")
    assert message(daemon) == "HTTP 200, JSON as expected"
    probe = daemon.describe("web")["replicas"][0]["probes"]["readiness"]
    assert probe["handler"] == "http POST /v1/predict"
    peers = [r["peer"] for r in script.requests("/v1/predict")]
    assert len(peers) >= 3 and len(set(peers)) == len(peers), "a new connection each"


@pytest.mark.waits
def test_replicas_that_start_together_are_not_asked_together(daemon):
    """Forty ask the same server: the first time at once, then each at its own place in the period."""
    script = Script(os.path.join(daemon.base, "script"))
    script.answer({"/up": {"status": 200}})
    daemon.apply({"web": {**daemon.service(port=18461), "command": script.command()}})
    port = str(daemon.replica("web")["port"])
    daemon.apply({"many": daemon.service("pause", replicas=40, probes={
        "readiness": {"http": {"path": "/up", "port": port}, "period": "4s", "timeout": "4s"}})})
    wait_for(lambda: len(script.requests("/up")) >= 120)
    at = sorted(r["at"] for r in script.requests("/up"))[40:120]  # without the first round
    crowd = max(sum(begin <= t < begin + 0.4 for t in at) for begin in at)
    assert crowd <= 25, (crowd, at)  # together it would be forty; some four are to be expected


def test_expected_statuses(daemon):
    script = Script(os.path.join(daemon.base, "script"))
    script.answer({"/": {"status": 200}})
    deploy(daemon, script, method="HEAD", expect={"status": [204, "400-404"]})
    wait_message(daemon, "HTTP 200")
    assert daemon.replica("web")["state"] == "starting"
    assert script.requests("/")[0]["method"] == "HEAD"
    script.answer({"/": {"status": 404}})
    daemon.wait_state("web", "ready")


def test_a_late_answer_is_a_failure(daemon):
    """max_latency on liveness: a service that answers, but too late, is restarted."""
    script = Script(os.path.join(daemon.base, "script"))
    deploy(daemon, script, kind="liveness", path="/", max_latency="1s")
    daemon.wait_state("web", "ready")
    wait_message(daemon, "HTTP 200", "liveness")
    old = daemon.pid_of("web")
    script.answer({"/": {"delay": 1.5}})
    wait_for(lambda: daemon.replica("web")["last_exit"])
    assert daemon.replica("web")["last_exit"]["cause"] == "probe"
    script.answer({})
    daemon.wait_new_pid("web", old)
    said = [e["message"] for e in daemon.events("web") if "liveness probe failed" in e["message"]]
    assert "HTTP 200, but it took " in said[0] and said[0].endswith("max_latency is 1000ms"), said


def test_what_cannot_be_is_an_error(daemon):
    path = daemon.write("""version: 1
services:
  web:
    command: [server]
    port: 8000
    probes:
      readiness:
        http: { body: "{}" }
      startup:
        http:
          method: HEAD
          headers: { Content-Length: 5, X-A: "a\\nb" }
          expect: { status: [200, 99], json: { a: 1 } }
          max_latency: 3s
""")
    rc, _, err = daemon.cli("validate", "-f", path)
    assert rc == 9
    for text in ("probes.readiness.http.body: only a POST or PUT has a body",
                 "probes.startup.http.headers.Content-Length is set by aictl itself",
                 "probes.startup.http.headers.X-A: a line break or control character cannot be in a header",
                 '"99" is neither a status from 100 to 599 nor a range such as 200-299',
                 "probes.startup.http.expect.json: the answer to HEAD has no body"):
        assert text in err, err
    path = daemon.write({"version": 1, "services": {"web": daemon.service(port=8000, probes={
        "readiness": {"http": {"max_latency": "3s"}}})}})
    assert "probes.readiness.http.max_latency (3s) is never felt: the timeout is not longer" \
        in daemon.cli("validate", "-f", path)[2]
