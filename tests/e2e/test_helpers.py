"""Controller and logger may die at any moment: nothing is restarted, lost, doubled or forgotten.

SPDX-License-Identifier: MIT
"""
import datetime
import http.client
import os
import random
import signal
import time

import pytest

import procfs
from harness import CAMPAIGN, numbered, wait_for

KILLS = 10
SEED = int(os.environ.get("AICTL_E2E_SEED", time.time_ns() % 1_000_000))
READY = {"readiness": {"http": {"path": "/ready"}, "period": "100ms"},
         "liveness": {"http": {"path": "/healthz"}, "period": "100ms", "failure_threshold": 10}}


def kill_helper(daemon, which):
    """SIGKILLs the helper and returns its pid."""
    pid = wait_for(lambda: daemon.helper(which), what=f"{which} runs")
    procfs.kill(pid)
    wait_for(lambda: not procfs.alive(pid), what=f"{which} {pid} dies")
    return pid


def wait_helper(daemon, which, old):
    return wait_for(lambda: (pid := daemon.helper(which)) and pid != old and pid,
                    what=f"a new {which}")


def campaign(daemon, *helpers):
    """KILLS kills of each helper at random moments, under load; returns the slowest CLI answer."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    schedule = [*helpers] * KILLS
    rng.shuffle(schedule)
    slowest = 0.0
    for which in schedule:
        until = time.monotonic() + rng.uniform(0.0, 0.3)
        while time.monotonic() < until:
            daemon.api("GET", "/v1/services")
        kill_helper(daemon, which)
        started = time.monotonic()
        daemon.ok("ps")
        slowest = max(slowest, time.monotonic() - started)
    return slowest


@pytest.mark.containers
@pytest.mark.processes("backlog", "podman")
def test_random_kills_under_load(start):
    daemon = start("--helper-restart", CAMPAIGN)
    daemon.apply({"count": daemon.service("lines", "500", replicas=3, logs={"max_size": "1GiB"}),
                  "flat-out": daemon.service("lines", "500" if daemon.engine else "20", logs={"max_size": "1GiB"}),
                  "web": daemon.service("http", port=18130, replicas=2, probes=READY)})
    before = {name: daemon.pids(name) for name in ("count", "flat-out", "web")}
    slowest = campaign(daemon, "controller", "logger", *(["runtime"] if daemon.engine else []))
    daemon.wait_state("web", "ready")
    assert {name: daemon.pids(name) for name in before} == before
    _, info = daemon.api("GET", "/v1/daemon")
    assert info["controller_restarts"] >= KILLS and info["logger_restarts"] >= KILLS
    assert info["mode"] == "normal"
    daemon.ok("stop", "count", "flat-out")
    for name in ("count", "flat-out"):
        daemon.wait_state(name, "stopped")
        for index in before[name]:
            wait_for(lambda n=name, i=index: b"\nend " in daemon.segments(n, i), what="the end")
            assert numbered(daemon.segments(name, index)) > 1000
    assert slowest < 10, f"the CLI was answered after {slowest:.2f} s"


def test_the_log_view_agrees_with_the_segments(start):
    """The index beside a segment survives kills too: every line once, in order, with a time."""
    daemon = start("--helper-restart", CAMPAIGN)
    daemon.apply({"count": daemon.service("lines", "1000")})
    for _ in range(KILLS):
        wait_helper(daemon, "logger", kill_helper(daemon, "logger"))
    daemon.ok("stop", "count")
    daemon.wait_state("count", "stopped")
    wait_for(lambda: b"\nend " in daemon.segments("count"), what="the last line")
    count = numbered(daemon.segments("count"))
    entries = daemon.logged("count", count + 10)
    assert [e["line"] for e in entries[:-1]] == [f"line {n:09d}" for n in range(1, count + 1)]
    times = [e["at"] for e in entries]
    assert times == sorted(times)


def test_commands_outlive_the_controller(start):
    """One that waits goes on, one that follows loses and doubles nothing."""
    daemon = start("--helper-restart", CAMPAIGN)
    daemon.apply({"count": daemon.service("lines", "2000")})
    env = {**daemon.env, "AICTL_SOCKET": daemon.socket}
    follow = procfs.popen(daemon.cli_argv("logs", "-f", "-n", "1", "-o", "raw", "count"),
                          stdout=-1, text=True, env=env)
    first = int(follow.stdout.readline().split()[1])
    slow = {"version": 1, "name": "slow", "services": {
        "slow": daemon.service("http", "2000", port=18133,
                               probes={"readiness": READY["readiness"]})}}
    apply = procfs.popen(daemon.cli_argv("apply", "-f", daemon.write(slow, "slow.yaml"), "--wait",
                                         "--timeout", "30s"), stdout=-1, stderr=-2, text=True,
                         env=env)
    wait_for(lambda: "slow" in daemon.ps(), what=daemon.ps)
    for which in ("controller", "logger", "controller"):
        wait_helper(daemon, which, kill_helper(daemon, which))
    out, _ = apply.communicate(timeout=40)
    assert apply.returncode == 0, out
    assert daemon.ps()["slow"]["state"] == "ready"
    for expected in range(first + 1, first + 1000):
        assert follow.stdout.readline() == f"line {expected:09d}\n"
    follow.send_signal(signal.SIGINT)
    follow.wait(10)
    follow.stdout.close()


@pytest.mark.containers
def test_exit_while_the_controller_is_stopped_keeps_its_status(start):
    daemon = start("--helper-restart", CAMPAIGN)
    daemon.apply({"web": daemon.service("http", port=18131, probes=READY,
                                        restart={"backoff": {"initial": "100ms"}})})
    pid = daemon.pid_of("web")
    port = daemon.replica("web")["port"]
    controller = daemon.helper("controller")
    procfs.kill(controller, signal.SIGSTOP)
    wait_for(lambda: procfs.stopped(controller), what="the controller stops")
    exit_with(port, 7)
    wait_for(lambda: not procfs.alive(pid), what="the replica exits")
    procfs.kill(controller)
    daemon.wait_new_pid("web", pid)
    assert daemon.replica("web")["last_exit"]["code"] == 7
    exits = daemon.describe("web")["exits"]
    assert [(x["code"], x["signal"], x["cause"]) for x in exits] == [(7, None, "exit")]


@pytest.mark.containers
def test_exit_while_there_is_no_controller_keeps_its_status(start):
    """The second death in a row waits for the back-off: two seconds without a controller."""
    daemon = start("--helper-restart", "2s,2s,0")
    daemon.apply({"web": daemon.service("http", port=18132),
                  "other": daemon.service("pause")})
    pid, other = daemon.pid_of("web"), daemon.pid_of("other")
    port = daemon.replica("web")["port"]
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    kill_helper(daemon, "controller")
    exit_with(port, 9)
    wait_for(lambda: not procfs.alive(pid), what="the replica exits")
    procfs.kill(other, signal.SIGTERM)
    wait_for(lambda: not procfs.alive(other), what="the other one dies")
    assert daemon.helper("controller") is None
    daemon.wait_new_pid("web", pid)
    daemon.wait_new_pid("other", other)
    assert daemon.replica("web")["last_exit"]["code"] == 9
    assert daemon.replica("other")["last_exit"]["signal"].endswith("TERM")


def exit_with(port, code):
    """Makes a `svc http` exit without asking our API where it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"/exit/{code}")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()


def when(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def in_backoff(daemon, attempts):
    """The crashing replica once it waits after so many attempts."""
    def waits():
        enough = daemon.segments("crash") == b"attempt\n" * attempts
        replica = daemon.replica("crash")  # after it has been seen: else this may be the back-off before
        return enough and replica["state"] == "backoff" and replica
    return wait_for(waits, what=daemon.ps)


@pytest.mark.containers
def test_backoff_survives_the_controller(start):
    daemon = start("--helper-restart", CAMPAIGN)
    restart = {"backoff": {"initial": "1s", "factor": 3, "max": "60s", "jitter": 0},
               "budget": {"restarts": 0}}
    daemon.apply({"crash": daemon.shell("echo attempt; exit 3", restart=restart)}, wait=False)
    second = in_backoff(daemon, 2)
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    after = daemon.replica("crash")
    assert (after["state"], after["restarts"]) == ("backoff", second["restarts"])
    assert abs(when(after["next_attempt_at"]) - when(second["next_attempt_at"])) <= 1
    kill_helper(daemon, "controller")
    third = in_backoff(daemon, 3)
    started = when(third["last_exit"]["at"])  # it exits at once
    assert abs(started - when(second["next_attempt_at"])) <= 1
    assert 8 <= when(third["next_attempt_at"]) - started <= 10  # 1 s, 3 s, now 9 s


@pytest.mark.containers
def test_what_has_ended_is_not_found_running(start):
    """The next controller says of it how it ended."""
    daemon = start("--helper-restart", CAMPAIGN)
    daemon.apply({"bad": daemon.shell("exit 3", restart="never"), "good": daemon.shell("exit 0", type="task")},
                 wait=False)
    daemon.wait_state("bad", "failed")
    daemon.wait_state("good", "succeeded")
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    wait_for(lambda: daemon.mode() == "normal")
    assert daemon.replica("bad")["message"] == "exit code 3"
    assert daemon.replica("good")["message"] == "exit code 0"


def test_budget_survives_the_controller(start):
    daemon = start("--helper-restart", CAMPAIGN)
    restart = {"backoff": {"initial": "300ms", "factor": 1, "jitter": 0},
               "budget": {"restarts": 4, "window": "10m", "then": "fail"}}
    daemon.apply({"crash": daemon.shell("echo attempt; exit 3", restart=restart)},
                 wait=False)
    while daemon.ps()["crash"]["state"] != "failed":
        kill_helper(daemon, "controller")
        wait_for(lambda: daemon.mode() == "normal", what=daemon.mode)
    kill_helper(daemon, "controller")
    wait_for(lambda: daemon.mode() == "normal", what=daemon.mode)
    assert daemon.ps()["crash"]["state"] == "failed"
    wait_for(lambda: daemon.segments("crash") == b"attempt\n" * 5, 5,
             lambda: daemon.segments("crash"))
    assert daemon.replica("crash")["restarts"] == 4


@pytest.mark.containers
def test_default_helper_restart_and_safe_mode(start):
    daemon = start()
    daemon.apply({"web": daemon.service("pause", replicas=2, restart={"backoff": {"initial": 0}})})
    pids = daemon.pids("web")
    for _ in range(5):
        kill_helper(daemon, "controller")
        wait_for(lambda: daemon.mode(), what="the API answers")
    wait_for(lambda: daemon.mode() == "safe", what=daemon.mode)
    assert daemon.pids("web") == pids
    assert "web" in daemon.ok("ps")
    status, reply = daemon.api("POST", "/v1/changes", {
        "id": "0123456789abcdef-safe", "kind": "stop", "services": ["web"]})
    assert status == 503 and reply["error"]["code"] == "safe_mode"
    rc, _, err = daemon.cli("scale", "web=1")
    assert rc != 0 and "safe mode" in err
    procfs.kill(pids[0])
    wait_for(lambda: not procfs.alive(pids[0]), what="it dies")
    sees_no_restart(daemon, pids)
    daemon.ok("daemon", "reload")
    daemon.wait_new_pid("web", pids[0])
    assert daemon.mode() == "normal"
    assert daemon.pid_of("web", 1) == pids[1]


def sees_no_restart(daemon, pids):
    """Safe mode changes nothing: for a second no new replica appears (back-off 0 would take ms)."""
    until = time.monotonic() + 1
    while time.monotonic() < until:
        assert daemon.pid_of("web") in (None, pids[0])
        assert daemon.mode() == "safe"


@pytest.mark.waits
def test_a_stopped_controller_is_replaced(start):
    """Hung, not dead: 15 s of silence end it, and nothing else is touched."""
    daemon = start("--helper-restart", CAMPAIGN)
    daemon.apply({"idle": daemon.service("pause")})
    pid, controller = daemon.pid_of("idle"), daemon.helper("controller")
    procfs.kill(controller, signal.SIGSTOP)
    procfs.kill(pid)  # something is outstanding: the exit
    wait_helper(daemon, "controller", controller)
    daemon.wait_new_pid("idle", pid)
