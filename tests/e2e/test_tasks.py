"""Tasks: how they end, when they run again, schedules, limits, who waits for them.

SPDX-License-Identifier: MIT
"""
import json
import os
import sqlite3
import time

import pytest

import procfs
from harness import wait_for
from test_crashloop import when

FAST = {"backoff": {"initial": "100ms", "jitter": 0}}


@pytest.fixture
def mark(daemon):
    """A file to which every run of task() adds a line."""
    path = os.path.join(daemon.base, "marks")
    os.mkdir(path)
    os.chmod(path, 0o777)
    return os.path.join(path, "runs")


def task(daemon, script, **keys):
    return daemon.shell(script, type="task", **keys)


def runs(mark):
    try:
        return procfs.read(mark).split()
    except FileNotFoundError:
        return []


def state(daemon, name):
    return daemon.ps()[name]["state"]


def reasons(daemon, name):
    return [e["reason"] for e in daemon.events(name) if e["type"] == "schedule"]


# how it ends

@pytest.mark.containers
def test_a_one_shot_is_no_failure(daemon, mark):
    """`--wait` succeeds when the task has (a bug of others), and it stays succeeded."""
    daemon.apply({"once": task(daemon, f"echo run >>{mark}")})
    once = daemon.ps()["once"]
    assert once["state"] == "succeeded" and once["type"] == "task" and once["next_run_at"] is None
    assert once["replicas"][0]["last_exit"]["code"] == 0 and runs(mark) == ["run"]
    daemon.ok("wait", "once")
    assert "succeeded" in daemon.ok("ps") and "task" in daemon.ok("describe", "once")


def test_wait_means_its_end(daemon):
    """A task that runs is not there yet, though its process is."""
    daemon.apply({"slow": task(daemon, "sleep 1")})
    assert state(daemon, "slow") == "succeeded"


@pytest.mark.containers
def test_a_failed_one_fails_the_apply(daemon, mark):
    path = daemon.write({"version": 1, "name": "shop",
                         "services": {"bad": task(daemon, f"echo run >>{mark}; exit 3")}})
    result = daemon.cli("apply", "-f", path, "--wait")
    assert result[0] == 1 and "exit code 3" in result[2], result
    assert state(daemon, "bad") == "failed" and runs(mark) == ["run"]
    assert daemon.cli("wait", "bad")[0] == 1


def test_success_exit_codes(daemon):
    daemon.apply({"odd": task(daemon, "exit 3", restart={"success_exit_codes": [0, 3]})})
    assert state(daemon, "odd") == "succeeded"


@pytest.mark.containers
def test_retries(daemon, mark):
    """Three attempts, the third succeeds; the restart policy has no say."""
    script = f"echo run >>{mark}; test $(wc -l <{mark}) -ge 3"
    daemon.apply({"flaky": task(daemon, script, retries=2, restart=FAST)})
    assert state(daemon, "flaky") == "succeeded" and len(runs(mark)) == 3


def test_retries_are_spent(daemon, mark):
    daemon.apply({"bad": task(daemon, f"echo run >>{mark}; exit 1", retries=2, restart=FAST)},
                 wait=False)
    bad = daemon.wait_state("bad", "failed")
    assert len(runs(mark)) == 3
    assert bad["replicas"][0]["reason"] == "retries_spent"
    assert bad["message"] == "exit code 1; given up: retries of 2 are spent"


@pytest.mark.containers
def test_timeout(daemon):
    daemon.apply({"long": task(daemon, "sleep 600", timeout="1s")}, wait=False)
    long = daemon.wait_state("long", "failed")
    assert long["replicas"][0]["last_exit"]["cause"] == "timeout"
    assert "timeout of 1s" in long["message"]


def test_timeout_counts_on_without_the_controller(daemon):
    daemon.apply({"long": task(daemon, "sleep 600", timeout="4s")}, wait=False)
    begun = wait_for(lambda: daemon.pid_of("long") and time.monotonic())
    time_left = daemon.helper("controller")
    os.kill(time_left, 9)
    daemon.wait_state("long", "failed")
    assert time.monotonic() - begun < 15
    assert daemon.replica("long")["last_exit"]["cause"] == "timeout"


# when it runs again

def test_a_change_runs_it_again(daemon, mark):
    for value in ("a", "a", "b"):
        daemon.apply({"once": task(daemon, f"echo {value} >>{mark}")})
    assert runs(mark) == ["a", "b"]


@pytest.mark.containers
def test_a_change_never_runs_two_at_once(daemon, mark):
    """The old run is ended before the new one begins, whatever update.order says."""
    script = f"echo begin >>{mark}; trap 'sleep 0.3; echo end >>{mark}; exit 0' TERM; sleep 60 & wait"
    daemon.apply({"once": task(daemon, script)}, wait=False)
    wait_for(lambda: runs(mark) == ["begin"])
    daemon.apply({"once": task(daemon, f"echo new >>{mark}")})
    assert runs(mark) == ["begin", "end", "new"]


def test_never_again(daemon, mark):
    for value in ("a", "b"):
        daemon.apply({"once": task(daemon, f"echo {value} >>{mark}", run_again="never")})
    assert runs(mark) == ["a"] and state(daemon, "once") == "succeeded"


def test_always_again(daemon, mark):
    for _ in range(2):
        daemon.apply({"once": task(daemon, f"echo run >>{mark}", run_again="always")})
    assert runs(mark) == ["run", "run"]


@pytest.mark.parametrize("run_again,expected", [("on_change", 1), ("always", 2), ("never", 1)])
def test_a_start_of_the_daemon(daemon, mark, run_again, expected):
    """Not run again for that (a bug of others), except when it is to be."""
    daemon.apply({"once": task(daemon, f"echo run >>{mark}", run_again=run_again)})
    daemon.stop()
    daemon.start()
    once = daemon.wait_state("once", "succeeded")
    assert len(runs(mark)) == expected
    if expected == 1:
        assert "before the daemon started" in once["replicas"][0]["message"]


def test_a_failure_is_known_after_a_start_of_the_daemon(daemon, mark):
    daemon.apply({"bad": task(daemon, f"echo run >>{mark}; exit 4")}, wait=False)
    daemon.wait_state("bad", "failed")
    daemon.stop()
    daemon.start()
    assert daemon.wait_state("bad", "failed")["replicas"][0]["last_exit"]["code"] == 4
    assert len(runs(mark)) == 1


@pytest.mark.containers
def test_what_the_shutdown_interrupted_runs_again(daemon, mark):
    script = f"echo run >>{mark}; test $(wc -l <{mark}) -ge 2 || exec sleep 600"
    daemon.apply({"once": task(daemon, script, stop={"grace_period": "1s"})}, wait=False)
    wait_for(lambda: runs(mark) == ["run"])
    daemon.stop()
    daemon.start()
    daemon.wait_state("once", "succeeded")
    assert runs(mark) == ["run", "run"]


def test_a_dead_controller_runs_nothing_again(daemon, mark):
    daemon.apply({"once": task(daemon, f"echo run >>{mark}", run_again="always")})
    os.kill(daemon.helper("controller"), 9)
    daemon.wait_state("once", "succeeded")
    assert runs(mark) == ["run"]


@pytest.mark.containers
@pytest.mark.parametrize("run_again", ["on_change", "always"])
def test_a_dead_daemon_runs_nothing_again(daemon, mark, run_again):
    """kill -9 of everything is no start of the daemon either: it goes on where it was."""
    daemon.apply({"once": task(daemon, f"echo run >>{mark}", run_again=run_again)})
    daemon.crash("controller", "logger")
    daemon.start()
    daemon.wait_state("once", "succeeded")
    assert runs(mark) == ["run"]


def test_start_runs_it_now(daemon, mark):
    daemon.apply({"once": task(daemon, f"echo run >>{mark}")})
    daemon.ok("start", "once")
    assert len(runs(mark)) == 2
    daemon.ok("restart", "once")
    assert len(runs(mark)) == 3


def test_a_plan_says_that_it_runs_again(daemon):
    services = {"always": task(daemon, "true", run_again="always"), "once": task(daemon, "true")}
    daemon.apply(services)
    path = daemon.write({"version": 1, "name": "shop", "services": services})
    plan = {s["name"]: s for s in json.loads(daemon.ok("plan", "-f", path, "-o", "json"))["services"]}
    assert len(plan["always"]["replicas"]) == 1 and plan["once"]["replicas"] == []
    assert "runs again" in daemon.ok("plan", "-f", path)
    table = daemon.ok("apply", "-f", path, "--wait").splitlines()
    said = {line.split()[0]: line.split()[1] for line in table if line.split()[:1] in (["always"], ["once"])}
    assert said == {"always": "run", "once": "unchanged"}


# schedules

@pytest.mark.waits
def test_every(daemon, mark):
    daemon.apply({"tick": task(daemon, f"date +%s.%N >>{mark}", schedule={"every": "1s"})})
    wait_for(lambda: len(runs(mark)) >= 4)
    times = [float(t) for t in runs(mark)[:4]]
    assert 2.5 < times[3] - times[0] < 4.5, times
    tick = daemon.ps()["tick"]
    assert tick["next_run_at"] and daemon.replica("tick")["restarts"] == 0


def test_a_scheduled_one_has_not_run(daemon, mark):
    """It counts as settled at once, and says when it runs."""
    daemon.apply({"nightly": task(daemon, f"echo run >>{mark}",
                                  schedule={"cron": "0 3 * * *", "timezone": "Europe/Vienna"})})
    nightly = daemon.ps()["nightly"]
    assert nightly["state"] == "waiting" and runs(mark) == []
    assert nightly["next_run_at"][11:16] in ("01:00", "02:00")
    assert f"({nightly['next_run_at'][:19]}" in daemon.ok("ps")
    assert "next run in" in daemon.ok("ps") and "Europe/Vienna" in daemon.ok("describe", "nightly")
    daemon.ok("wait", "nightly")
    daemon.ok("start", "nightly")
    assert runs(mark) == ["run"] and state(daemon, "nightly") == "succeeded"
    assert daemon.replica("nightly")["next_run_at"] == nightly["next_run_at"]
    daemon.apply({"nightly": task(daemon, f"echo other >>{mark}", schedule="0 3 * * *")})
    assert runs(mark) == ["run"]


def test_a_run_that_is_due_while_one_runs_is_skipped(daemon, mark):
    daemon.apply({"slow": task(daemon, f"echo run >>{mark}; exec sleep 600",
                               schedule={"every": "1s"})})
    wait_for(lambda: "overlap" in reasons(daemon, "slow"), timeout=4, what=lambda: json.dumps(daemon.events()))
    assert runs(mark) == ["run"]
    assert "the last one still runs" in daemon.ok("events", "slow")


@pytest.mark.containers
def test_a_failed_run_does_not_end_the_schedule(daemon, mark):
    daemon.apply({"bad": task(daemon, f"echo run >>{mark}; exit 1", schedule={"every": "1s"})})
    wait_for(lambda: len(runs(mark)) >= 2)
    wait_for(lambda: state(daemon, "bad") == "failed")
    assert "next run" in daemon.ok("ps")


def test_restart_of_a_scheduled_one(daemon, mark):
    """One that rests runs now; of one that runs the run is ended and begun anew."""
    daemon.apply({"nightly": task(daemon, f"echo run >>{mark}; test $(wc -l <{mark}) -ge 3 || exec sleep 600",
                                  schedule={"every": "1h"})})
    daemon.cli("restart", "--no-wait", "nightly")
    wait_for(lambda: len(runs(mark)) == 1)
    daemon.cli("restart", "--no-wait", "nightly")
    wait_for(lambda: len(runs(mark)) == 2)
    daemon.cli("restart", "--no-wait", "nightly")
    daemon.wait_state("nightly", "succeeded")
    assert len(runs(mark)) == 3


@pytest.mark.waits
def test_a_schedule_goes_on_after_the_controllers_death(daemon, mark):
    daemon.apply({"tick": task(daemon, f"echo run >>{mark}", schedule={"every": "1s"})})
    wait_for(lambda: len(runs(mark)) >= 1)
    os.kill(daemon.helper("controller"), 9)
    before = len(runs(mark))
    wait_for(lambda: len(runs(mark)) >= before + 2)
    assert daemon.ps()["tick"]["state"] in ("succeeded", "ready", "starting", "pending")


def test_a_stopped_schedule_does_not_run(daemon, mark):
    daemon.apply({"tick": task(daemon, f"echo run >>{mark}", schedule={"every": "1s"})})
    daemon.ok("stop", "tick")
    before = len(runs(mark))
    daemon.apply({"tock": task(daemon, f"echo tock >>{mark}.tock", schedule={"every": "1s"})},
                 name="other")
    wait_for(lambda: len(runs(mark + ".tock")) >= 2)
    assert len(runs(mark)) == before and state(daemon, "tick") == "stopped"


@pytest.mark.parametrize("restart", ["controller", "aictld"])
def test_the_schedule_goes_on_after_a_restart(daemon, mark, restart):
    """A run by hand moves no later run, and neither does a new controller or daemon."""
    daemon.apply({"tick": task(daemon, f"echo run >>{mark}", schedule={"every": "1h"})})
    planned = daemon.ps()["tick"]["next_run_at"]
    daemon.ok("start", "tick")
    assert daemon.ps()["tick"]["next_run_at"] == planned
    if restart == "controller":
        kill_controller(daemon)
    else:
        daemon.stop()
        daemon.start()
    wait_for(lambda: daemon.ps().get("tick", {}).get("next_run_at"))
    assert daemon.ps()["tick"]["next_run_at"] == planned
    assert runs(mark) == ["run"] and state(daemon, "tick") == "succeeded"


def kill_controller(daemon):
    controller = daemon.helper("controller")
    os.kill(controller, 9)
    wait_for(lambda: daemon.helper("controller") not in (None, controller))


def away_for(daemon, seconds):
    """Stopped and started, with the schedules' last look so many seconds ago."""
    daemon.stop()
    db = sqlite3.connect(os.path.join(daemon.state_dir, "aictl.db"))
    with db:
        assert db.execute("UPDATE service SET run_after_ms = ?",
                          (int((time.time() - seconds) * 1000),)).rowcount > 0
    db.close()
    daemon.start()


def test_missed_runs(daemon, mark):
    """While the daemon was away for hours: skip says so, run runs once."""
    daemon.apply({name: task(daemon, f"echo {name} >>{mark}", schedule={"every": "1h", **keys})
                  for name, keys in {"skips": {}, "runs": {"missed": "run"}}.items()})
    away_for(daemon, 4 * 3600 + 1800)
    wait_for(lambda: runs(mark) == ["runs"], what=daemon.ps)
    wait_for(lambda: reasons(daemon, "skips") == ["missed"], what=lambda: daemon.events("skips"))
    assert "it was missed" in daemon.ok("events", "skips") and reasons(daemon, "runs") == []
    for name in ("skips", "runs"):  # and the phase of `every` stays
        left = (when(daemon.ps()[name]["next_run_at"]) - time.time()) / 60
        assert 25 < left < 35, left


def test_cron(daemon, mark):
    """Each minute, of a zone: the last one fell into the daemon's restart and is made up for."""
    daemon.apply({"tick": task(daemon, f"echo run >>{mark}", schedule={"cron": "* * * * *", "timezone": "Asia/Kolkata"}),
                  "year": task(daemon, f"echo year >>{mark}", schedule={"cron": "0 0 29 2 *", "timezone": "Asia/Kolkata"})})
    next_run = daemon.ps()["year"]["next_run_at"]
    assert next_run[5:16] == "02-28T18:30"  # their midnight
    away_for(daemon, 61)
    wait_for(lambda: runs(mark)[:1] == ["run"], what=daemon.ps)
    left = when(daemon.ps()["tick"]["next_run_at"]) - time.time()
    assert -1 < left < 61 and when(daemon.ps()["tick"]["next_run_at"]) % 60 == 0
    assert reasons(daemon, "tick") == []


def test_a_run_that_is_held_is_not_forgotten(daemon, mark):
    """It is due, and its dependency is not there: it runs once that is, whatever controller there is."""
    web = daemon.shell("exec sleep 600")
    tick = task(daemon, f"echo run >>{mark}", schedule={"every": "1h"}, depends_on={"web": {"condition": "ready"}})
    daemon.apply({"web": web, "tick": tick})
    daemon.ok("stop", "web")
    daemon.wait_state("web", "stopped")
    daemon.cli("start", "--no-wait", "tick")
    wait_for(lambda: "waiting for web" in (daemon.replica("tick") or {}).get("message", ""))
    for _ in range(2):
        kill_controller(daemon)
        wait_for(lambda: "waiting for web" in (daemon.replica("tick") or {}).get("message", ""), what=daemon.ps)
    assert runs(mark) == []
    daemon.ok("start", "web")
    wait_for(lambda: runs(mark) == ["run"], what=daemon.ps)
    daemon.wait_state("tick", "succeeded")
    kill_controller(daemon)
    wait_for(lambda: daemon.ps().get("tick", {}).get("next_run_at"))
    assert state(daemon, "tick") == "succeeded" and runs(mark) == ["run"]


def test_a_run_that_is_due_waits_for_what_it_depends_on(daemon, mark):
    """Its time comes while that is not there: it is held like any other start."""
    web = daemon.shell("exec sleep 600")
    daemon.apply({"web": web, "tick": task(daemon, f"echo run >>{mark}", schedule={"every": "1s"},
                                           depends_on={"web": {"condition": "ready"}})})
    daemon.ok("stop", "web")
    daemon.wait_state("web", "stopped")
    done = len(runs(mark))
    wait_for(lambda: "waiting for web" in (daemon.replica("tick") or {}).get("message", ""), what=daemon.ps)
    wait_for(lambda: reasons(daemon, "tick")[-1:] == ["overlap"], what=lambda: daemon.events("tick"))
    assert len(runs(mark)) in (done, done + 1)  # one may have been under way
    done = len(runs(mark))
    daemon.ok("start", "web")
    wait_for(lambda: len(runs(mark)) > done, what=daemon.ps)


@pytest.mark.parametrize("missed", ["run", "skip"])
def test_a_run_that_another_daemon_finds_held_was_missed(daemon, mark, missed):
    """It was due, did not begin, and the daemon ended: what is to become of it the schedule says."""
    web = daemon.shell("exec sleep 600")
    tick = task(daemon, f"echo run >>{mark}", schedule={"every": "1h", "missed": "run"},
                depends_on={"web": {"condition": "ready"}})
    daemon.apply({"web": web, "tick": tick})
    daemon.ok("stop", "web")
    away_for(daemon, 4 * 3600 + 1800)
    wait_for(lambda: "waiting for web" in (daemon.replica("tick") or {}).get("message", ""), what=daemon.ps)
    tick["schedule"]["missed"] = missed
    daemon.apply({"web": web, "tick": tick}, wait=False)
    kill_controller(daemon)  # it is the same run for this one
    wait_for(lambda: "waiting for web" in (daemon.replica("tick") or {}).get("message", ""), what=daemon.ps)
    assert reasons(daemon, "tick") == []
    daemon.stop()
    daemon.start()
    wait_for(lambda: daemon.ps()["tick"]["next_run_at"])
    daemon.ok("start", "web")
    if missed == "run":
        wait_for(lambda: runs(mark) == ["run"], what=daemon.ps)
    else:
        wait_for(lambda: reasons(daemon, "tick") == ["missed"], what=lambda: daemon.events("tick"))
        assert runs(mark) == []


# others wait for it

def test_completed_is_a_condition(daemon, mark):
    services = {"import": task(daemon, f"sleep 0.3; echo import >>{mark}"),
                "web": daemon.shell(f"echo web >>{mark}; exec sleep 600",
                                    depends_on={"import": {"condition": "completed"}})}
    daemon.apply(services)
    wait_for(lambda: runs(mark) == ["import", "web"])


def test_a_service_never_completes(daemon):
    path = daemon.write({"version": 1, "name": "shop", "services": {
        "a": daemon.service("pause", depends_on={"b": {"condition": "completed"}}),
        "b": daemon.service("pause")}})
    result = daemon.cli("apply", "-f", path)
    assert result[0] != 0
    assert "depends_on.b: b is a service and never completes" in result[2]


# what is wrong

@pytest.mark.parametrize("schedule,what", [
    ({"cron": "0 3 * *"}, "five fields"),
    ({"cron": "0 3 * * *", "timezone": "Europe/Nowhere"}, "Europe/Nowhere"),
    ({"cron": "0 3 * * *", "every": "1h"}, "only one of"),
    ({"missed": "run"}, "one of cron, every"),
])
def test_a_wrong_schedule_is_refused(daemon, schedule, what):
    path = daemon.write({"version": 1, "name": "shop",
                         "services": {"t": task(daemon, "true", schedule=schedule)}})
    result = daemon.cli("apply", "-f", path)
    assert result[0] != 0 and what in result[2], result[2]
    assert f"{os.path.basename(path)}:" in result[2]


def test_a_plan_starts_nothing_before_its_time(daemon):
    path = daemon.write({"version": 1, "name": "shop", "services": {
        "nightly": task(daemon, "true", schedule={"cron": "@daily"}),
        "once": task(daemon, "true")}})
    plan = {s["name"]: s for s in json.loads(daemon.ok("plan", "-f", path, "-o", "json"))["services"]}
    assert plan["nightly"]["replicas"] == [] and len(plan["once"]["replicas"]) == 1
