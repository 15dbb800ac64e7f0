"""docker.so where an engine fails in the middle: what is asked in vain is asked again, nothing hides the rest, and
nothing is asked in a storm. Over fake_engine.py, as test_docker_fake.py.

SPDX-License-Identifier: MIT
"""
import json
import time

import pytest

from harness import wait_for
from test_docker_fake import BB, INSTANCE, T0, begin_logs, up
from test_docker_fake import docker_engine, either_engine, running_check, socket_path  # noqa: F401

GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{{{{{"
OURS = {"Image": "bb:1", "Labels": {"io.aictl.instance": INSTANCE}}


@pytest.mark.parametrize("what", [{"status": 500}, {"raw": GARBAGE}, {"cut": True}])
def test_an_exit_whose_inspection_fails(engine, check, what):
    """The event alone says no exit code, and comes only once."""
    up(check)
    check.do("start", "u-1", BB)
    engine.fault("GET .*/u-1/json", times=3, **what)
    engine.exit("u-1", 7)
    assert check.wait("unit", unit="u-1", phase="exited")["exit_status"] == 7
    assert len(check.seen("engine")) == 1  # it was there all the time


@pytest.mark.parametrize("what", [{"status": 500}, {"raw": GARBAGE}])
def test_a_list_with_one_that_cannot_be_looked_into(engine, check, what):
    for i in range(12):
        engine.run(engine.add("u-%d" % i, OURS))
    engine.fault("GET .*/%s/json" % engine.containers["u-5"].id, times=1, **what)
    up(check)
    op = check.do("list")["op"]
    items = {e["unit"]: e for e in check.seen("item", op=op)}
    assert items.pop("u-5")["phase"] == "unknown"
    assert {e["phase"] for e in items.values()} == {"running"} and len(items) == 11
    check.wait("unit", unit="u-5", phase="running")  # it was asked again


def test_refused_logs_are_asked_for_less_and_less(engine, check):
    up(check)
    check.do("start", "u-1", BB)
    engine.fault("GET .*/logs", times=4, status=500)
    op = begin_logs(check)
    engine.say("u-1", "late\n")
    began = time.monotonic()
    wait_for(lambda: check.output(op) == "late\n")
    assert time.monotonic() - began > 4  # 0.5 + 1 + 2 + 4 s, less what passed before
    assert engine.count(".*/logs") == 5
