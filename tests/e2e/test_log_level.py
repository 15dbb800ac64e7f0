"""The level of the daemon's own log is set at run time, in all three processes and in those that
follow them.

SPDX-License-Identifier: MIT
"""
import re

import procfs
from harness import wait_for

OURS = ("aictld", "aictl-controller", "aictl-logger")


def debug_lines(daemon):
    """program -> how many debug lines it wrote so far."""
    found = re.findall(r"^\S+ debug (\S+):", daemon.log(), re.M)
    return {name: found.count(name) for name in OURS}


def last_words(daemon):
    """How often each of the three took a new level, as their log says: aictld, logger, controller."""
    log = daemon.log()
    return [len(re.findall(pattern, log, re.M)) for pattern in (
        r"^\S+ debug aictld: .*packet=LOG_LEVEL", r"^\S+ debug aictl-logger: packet=LOG_LEVEL",
        r"^\S+ info aictl-controller: log level info$")]


def stir(daemon):
    """Something that each of the three does: a request, a spawn, a stream."""
    daemon.change("restart", services=["idle"])


def all_grow(daemon):
    before = debug_lines(daemon)

    def grown():
        stir(daemon)
        now = debug_lines(daemon)
        return all(now[name] > before[name] for name in OURS)
    wait_for(grown, what=lambda: f"debug lines of all: {debug_lines(daemon)}")


def test_level_at_run_time(daemon):
    daemon.apply({"idle": daemon.service("pause")})
    assert daemon.ok("daemon", "log-level") == "info\n"
    assert daemon.get("/v1/daemon")["log_level"] == "info"
    stir(daemon)
    assert debug_lines(daemon) == dict.fromkeys(OURS, 0)
    assert daemon.ok("daemon", "log-level", "debug") == ""
    assert daemon.ok("daemon", "log-level") == "debug\n"
    assert "Log level" in daemon.ok("daemon", "info") and "debug" in daemon.ok("daemon", "info")
    all_grow(daemon)
    for which in ("controller", "logger"):  # helpers started later get it, too
        old = daemon.helper(which)
        procfs.kill(old)
        wait_for(lambda w=which, o=old: daemon.helper(w) not in (None, o), what=f"a new {which}")
    wait_for(lambda: daemon.mode() == "normal", what="the new controller answers")
    assert daemon.get("/v1/daemon")["log_level"] == "debug"
    all_grow(daemon)
    passed = last_words(daemon)
    daemon.ok("daemon", "log-level", "info")
    # What each of the three says last before it falls silent; the pipes keep the order.
    wait_for(lambda: all(now > then for now, then in zip(last_words(daemon), passed)),
             what=lambda: f"the last debug lines: {last_words(daemon)}, before {passed}")
    before = debug_lines(daemon)
    for _ in range(5):
        stir(daemon)
    assert debug_lines(daemon) == before


def test_wrong_levels(daemon):
    assert daemon.cli("daemon", "log-level", "loud")[0] == 2
    assert daemon.cli("daemon", "log-level", "info", "more")[0] == 2
    for body in ({}, {"level": 3}, {"level": "loud"}, {"level": None}):
        status, reply = daemon.api("POST", "/v1/daemon/log-level", body)
        assert status == 400 and "warn" in reply["error"]["message"]
    assert daemon.get("/v1/daemon")["log_level"] == "info"
