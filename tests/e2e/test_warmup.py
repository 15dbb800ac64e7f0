"""warmup: requests that must succeed, in order, before a replica is ready.

SPDX-License-Identifier: MIT
"""
import os

import pytest

from harness import wait_for
from scripted import Script

WARMUP = [{"http": {"path": "/load", "method": "POST", "body": "{}"}, "timeout": "5s"},
          {"http": {"path": "/first", "expect": {"json": {"ok": True}}}}]


def deploy(daemon, script, **keys):
    daemon.apply({"web": {**daemon.service(port=18464, warmup=WARMUP, restart={"backoff": {"initial": 0}}, **keys),
                          "command": script.command()}}, wait=False)


def message(daemon):
    found = daemon.describe("web")["replicas"]
    return found[0]["probes"].get("warmup", {}).get("message", "") if found else ""


def wait_message(daemon, text):
    wait_for(lambda: message(daemon) == text, what=lambda: message(daemon))


@pytest.mark.containers
def test_warmup(daemon):
    """After the startup probe, before the others; a failed request is tried again, those before it are not."""
    script = Script(os.path.join(daemon.base, "script"))
    script.answer({"/up": {"status": 503}, "/first": {"body": "{}"}})
    deploy(daemon, script, probes={"startup": {"http": {"path": "/up"}, "period": "100ms", "timeout": "5s"},
                                   "readiness": {"http": {"path": "/ready"}, "period": "100ms", "timeout": "5s"}})
    wait_for(lambda: script.requests("/up"))
    script.answer({"/first": {"body": "{}"}})
    wait_message(daemon, "2 of 2: HTTP 200, but ok is missing")
    assert daemon.replica("web")["state"] == "starting" and not script.requests("/ready")
    assert daemon.cli("check", "web")[0] == 3
    script.answer({"/first": {"body": '{"ok": true}'}})
    daemon.wait_state("web", "ready")
    paths = [r["path"] for r in script.requests() if r["path"] != "/up"]
    assert paths[0] == "/load" and paths.count("/load") == 1 and paths.index("/ready") > paths.index("/first"), paths
    assert message(daemon) == "2 of 2: HTTP 200, JSON as expected"
    again = paths.count("/first")
    wait_for(lambda: len(script.requests("/ready")) > 3)
    assert len(script.requests("/first")) == again, "it is over for good"


@pytest.mark.containers
def test_a_new_process_is_warmed_up_again(daemon):
    script = Script(os.path.join(daemon.base, "script"))
    script.answer({"/first": {"body": '{"ok": true}'}})
    deploy(daemon, script)
    daemon.wait_state("web", "ready")
    assert daemon.replica("web")["message"] == "warm-up passed"
    old = daemon.pid_of("web")
    controller = daemon.helper("controller")
    os.kill(controller, 9)
    wait_for(lambda: daemon.helper("controller") not in (None, controller))
    daemon.wait_state("web", "ready")
    assert daemon.pid_of("web") == old and len(script.requests("/load")) == 1
    os.kill(old, 9)
    daemon.wait_new_pid("web", old)
    daemon.wait_state("web", "ready")
    assert len(script.requests("/load")) == 2


def test_a_warmup_that_never_succeeds_stalls(daemon):
    script = Script(os.path.join(daemon.base, "script"))
    script.answer({"/load": {"status": 500}})
    deploy(daemon, script, probes={"startup": {"http": {"path": "/up"}, "period": "100ms", "timeout": "1s", "deadline": "4s"}})
    wait_message(daemon, "1 of 2: HTTP 500")
    old = daemon.pid_of("web")
    daemon.wait_new_pid("web", old)
    assert daemon.replica("web")["last_exit"]["cause"] in ("stall", "timeout")
