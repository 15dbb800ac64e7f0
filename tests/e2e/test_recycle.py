"""Recycling by memory has a brake: a ceiling below what the service needs.

SPDX-License-Identifier: MIT
"""
import pytest

from harness import wait_for
from test_helpers import kill_helper, wait_helper
from test_update import QUICK, ended_by, pids_of

BIG = "data = bytearray(120 << 20); import time; time.sleep(1000)"


def held(daemon):
    return [e for e in daemon.events("web") if e["type"] == "recycle"]


@pytest.mark.waits
def test_a_ceiling_that_is_too_low(daemon):
    """Recycled once; its successor, which is above it at once, stays for a minute at least, also for
    the next controller. Events and why say so and name the key. A reset forgets it."""
    daemon.apply({"web": {**daemon.service(restart={"max_memory": "64MiB"}, update=QUICK),
                          "command": ["/usr/bin/python3", "-c", BIG]}})
    wait_for(lambda: ended_by(daemon, "memory"), timeout=60, what=lambda: daemon.events("web"))
    wait_for(lambda: held(daemon), timeout=60, what=lambda: daemon.events("web"))
    pids = pids_of(daemon)
    assert "more than restart.max_memory (64MiB), as soon as the 1 before it" in held(daemon)[0]["message"]
    why = daemon.ok("why", "web")
    assert "raise restart.max_memory" in why and "shop.yaml" in why, why
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    wait_for(lambda: daemon.log().count("as soon as the 1 before it") == 2, timeout=60)
    assert len(ended_by(daemon, "memory")) == 1 and pids_of(daemon) == pids
    daemon.ok("reset", "web")
    wait_for(lambda: len(ended_by(daemon, "memory")) == 2, timeout=40,
             what=lambda: daemon.events("web"))
