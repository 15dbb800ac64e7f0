"""Restart policy: back-off, budget, slow mode, never, on-failure.

Each attempt is counted by the service itself: it prints a line.

SPDX-License-Identifier: MIT
"""
import datetime
import os
import re
import signal
import time

import kinds
from harness import wait_for

RUNS_AS = kinds.ALL
FACTOR_2 = {"initial": "200ms", "factor": 2, "max": "800ms", "jitter": 0}


def when(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def attempts(daemon, service):
    return daemon.segments(service).count(b"attempt\n")


def stays_at(daemon, service, number, seconds=0.5):
    """There come to be so many attempts, and no more."""
    wait_for(lambda: attempts(daemon, service) >= number, what=lambda: daemon.ps()[service])
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert attempts(daemon, service) == number
        time.sleep(0.05)


def crash(daemon, restart, script="echo attempt; exit 3"):
    daemon.apply({"crash": daemon.shell(script, restart=restart)}, wait=False)


def starts(daemon):
    """The times of the attempts, by their own words: an engine passes them on when it likes to."""
    return [float(e["line"].split()[1]) for e in daemon.logged("crash")]


def test_backoff_grows_as_configured(daemon):
    crash(daemon, {"backoff": FACTOR_2, "budget": {"restarts": 0}},
          "read up idle </proc/uptime; echo attempt $up; exit 3")
    wait_for(lambda: len(starts(daemon)) >= 6, what=lambda: daemon.ps())
    times = starts(daemon)[:6]
    gaps = [b - a for a, b in zip(times, times[1:])]
    start = 10 if daemon.engine else 1  # the engine's time on a busy machine
    for gap, delay in zip(gaps, (0.2, 0.4, 0.8, 0.8, 0.8)):
        assert delay - 0.02 <= gap <= delay + start, gaps


def test_next_attempt_is_shown(daemon):
    crash(daemon, {"backoff": {"initial": "30s", "jitter": 0}})
    replica = wait_for(lambda: (r := daemon.replica("crash")) and r["state"] == "backoff" and r,
                       what=daemon.ps)
    assert 28 <= when(replica["next_attempt_at"]) - when(replica["last_exit"]["at"]) <= 32
    assert replica["last_exit"]["code"] == 3 and replica["last_exit"]["cause"] == "exit"
    assert "exit code 3" in replica["message"] and not replica["slow_mode"]
    assert re.search(r"next attempt in (30|2\d)s", daemon.ok("ps"))
    # a user's own restart neither waits nor counts
    daemon.ok("restart", "--no-wait", "crash")
    wait_for(lambda: attempts(daemon, "crash") == 2, what=daemon.ps)


def test_budget_ends_in_slow_mode(daemon):
    crash(daemon, {"backoff": {"initial": "50ms", "factor": 1, "jitter": 0},
                   "budget": {"restarts": 4, "window": "10m", "then": "slow"}})
    replica = wait_for(lambda: (r := daemon.replica("crash")) and r["slow_mode"] and r,
                       what=daemon.ps)
    assert 200 <= when(replica["next_attempt_at"]) - when(replica["last_exit"]["at"]) <= 400
    assert replica["restarts"] == 4 and replica["reason"] in ("slow_mode", "crash_loop")
    assert "slow" in daemon.ok("ps")
    stays_at(daemon, "crash", 5)


def test_budget_ends_in_failed(daemon):
    crash(daemon, {"backoff": {"initial": "50ms", "factor": 1, "jitter": 0},
                   "budget": {"restarts": 2, "window": "10m", "then": "fail"}})
    daemon.wait_state("crash", "failed")
    assert daemon.replica("crash")["next_attempt_at"] is None
    assert daemon.cli("wait", "crash", "--for", "ready", "--timeout", "20s")[0] == 1
    stays_at(daemon, "crash", 3)


def test_policy_never(daemon):
    daemon.apply({"bad": daemon.shell("echo attempt; exit 3", restart={"policy": "never"}),
                  "good": daemon.shell("echo attempt", restart={"policy": "never"})},
                 wait=False)
    daemon.wait_state("bad", "failed")
    daemon.wait_state("good", "succeeded")
    stays_at(daemon, "bad", 1)
    stays_at(daemon, "good", 1)


def test_policy_always(daemon):
    """A success is no reason to stay down, and neither is a stop signal from outside."""
    daemon.apply({"a": daemon.shell("echo attempt", restart={
        "policy": "always", "backoff": {"initial": "50ms", "max": "50ms"}, "budget": {"restarts": 0}})}, wait=False)
    wait_for(lambda: attempts(daemon, "a") >= 4)
    daemon.apply({"b": daemon.service("pause", restart={"backoff": {"initial": "50ms"}})}, name="two")
    pid = daemon.pid_of("b")
    os.kill(pid, signal.SIGTERM)
    daemon.wait_new_pid("b", pid)


def test_policy_on_failure(daemon):
    restart = {"policy": "on-failure", "backoff": {"initial": "50ms"}}
    scratch = os.path.join(daemon.base, "scratch")
    os.mkdir(scratch)
    os.chmod(scratch, 0o777)
    third_time = "echo attempt; test -e 2 && exit 0; test -e 1 && : > 2; : > 1; exit 3"
    daemon.apply({"good": daemon.shell("echo attempt", restart=restart),
                  "third": daemon.shell(third_time, restart=restart, working_dir=scratch)},
                 wait=False)
    daemon.wait_state("good", "succeeded")
    daemon.wait_state("third", "succeeded")
    stays_at(daemon, "good", 1)
    stays_at(daemon, "third", 3)


def test_program_that_cannot_start(daemon):
    restart = {"backoff": {"initial": "50ms", "factor": 1},
               "budget": {"restarts": 1, "window": "10m", "then": "fail"}}
    broken = {**daemon.service(restart=restart), "command": ["nonexistent-program"]}
    daemon.apply({"broken": broken}, wait=False)
    service = daemon.wait_state("broken", "failed")
    words = "nonexistent-program" if daemon.engine else "No such file"  # an engine has its own
    assert words in service["replicas"][0]["message"], service


def test_a_restart_and_a_reset_by_the_user_begin_anew(daemon):
    """Counters, back-off, budget and slow mode are forgotten, and nothing is waited for."""
    crash(daemon, {"backoff": {"initial": "50ms", "factor": 1, "jitter": 0},
                   "budget": {"restarts": 2, "window": "10m"}})
    for round_, verb in enumerate((None, "restart", "reset"), 1):
        if verb:
            daemon.ok(verb, "crash", "--no-wait") if verb == "restart" else daemon.ok(verb, "crash")
        stays_at(daemon, "crash", 3 * round_)  # a start and what the budget allows
        replica = daemon.replica("crash")
        assert replica["slow_mode"] and replica["restarts"] == 2, replica
