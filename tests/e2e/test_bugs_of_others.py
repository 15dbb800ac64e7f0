"""What other supervisors got wrong, each from one of their issues or release notes, as a test of ours.
Those that have a test elsewhere already are named at the end of this text.

 process-compose   stop while waiting on a dependency: test_order.py; #544 below
 pebble            first start that fails within a second is never tried again: below
 dinit             reload rejected for a cycle: below
 nomad             killed in the middle of a restart, deleted ones keep running: below
 autoheal          told again while it restarts already: below
 supervisord       one broken group blocks all others, a group restarts as a whole: below; test_life.py
 pm2               removed variables stay, dump lost in a crash: below
 compose           a one-shot is a failure: test_tasks.py; dependents do not follow: test_order.py
 kserve            slow starters are killed: test_health.py, test_stall.py
 kubernetes        why did it restart: test_why.py
 supervisord, process-compose: orphans: test_bulk.py, test_life.py::test_sigterm_leaves_nothing

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import signal
import threading

import pytest

import procfs
from harness import stable_ports, wait_for
from test_up import up  # noqa: F401 (fixture)

PORTS = stable_ports(18900)
AT_ONCE = {"backoff": {"initial": "0s"}, "budget": {"restarts": 0}}
QUICK = {"update": {"min_ready": 0}}
READY = {"readiness": {"http": {"path": "/ready"}, "period": "100ms", "failure_threshold": 1}}


def counter(daemon):
    """(file that each start adds a byte to, shell text that does it)"""
    path = os.path.join(daemon.base, "starts")
    with open(path, "w", encoding="ascii"):
        pass
    os.chmod(path, 0o666)
    return path, f"printf x >>{path}"


def starts(path):
    return len(procfs.read(path))


def ours(daemon):
    """pids of the replicas that run, by aictld's children."""
    helpers = {daemon.helper(which) for which in ("controller", "logger", "gateway")}
    return [p for p in procfs.children(daemon.pid) if p not in helpers]


def only(daemon, service="a"):
    """The pid of its one replica, whatever its index is by now."""
    (pid,) = daemon.pids(service).values()
    return pid


# process-compose

def test_stop_in_the_moment_the_dependency_is_there(daemon):
    """1.122: stopped while it waited, it left a copy that nobody knew and that `down` did not end."""
    daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}}),
                  "b": daemon.service("http", "600000", port=next(PORTS), probes=READY)}, wait=False)
    daemon.wait_state("a", "waiting")
    for delay in range(8):
        daemon.ok("stop", "b")
        daemon.ok("start", "a", "b", "--no-wait")
        daemon.wait_state("a", "waiting")
        daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}}),
                      "b": daemon.service("http", str(delay * 10), port=next(PORTS), probes=READY)}, wait=False)
        daemon.ok("stop", "a")
        daemon.wait_state("a", "stopped")
        daemon.wait_state("b", "ready")
        assert daemon.ps()["a"]["replicas"] == [] and len(ours(daemon)) == 1
        daemon.apply({"a": daemon.service("pause", depends_on={"b": {"condition": "ready"}}),
                      "b": daemon.service("http", "600000", port=next(PORTS), probes=READY)}, wait=False)


def test_a_wanted_restart_is_no_end(daemon):
    """1.122: a restart by the user counted as the end of a process that must not end."""
    daemon.apply({"a": daemon.service("pause", restart={"policy": "never"})})
    pid = daemon.pid_of("a")
    daemon.ok("restart", "a")
    assert daemon.wait_state("a", "ready") and daemon.ps()["a"]["replicas"][0]["pid"] != pid
    assert "failed" not in [e["to"] for e in daemon.events("a")]
    assert daemon.ps()["a"]["replicas"][0]["restarts"] == 0


def test_up_goes_on_while_its_only_process_is_replaced(up):  # noqa: F811
    """1.122: the update of the only running process ended the whole project."""
    svc = os.path.join(up.base, "svc")
    path = os.path.join(up.directory, "aictl.yaml")

    def write(word):
        with open(path, "w", encoding="utf8") as f:
            json.dump({"version": 1, "name": "demo", "services": {
                "only": {"command": [svc, "pause"], "environment": {"WORD": word}, **QUICK}}}, f)

    write("one")
    process = up.start()
    old = up.wait_ready("only")
    write("two")
    done = up.cli("apply", "--wait")
    assert done.returncode == 0, done.stderr
    new = up.wait_ready("only")
    assert new != old and procfs.environ(new[0])["WORD"] == "two" and process.poll() is None
    done = up.cli("restart", "only")
    assert done.returncode == 0 and up.wait_ready("only") != new and process.poll() is None
    up.down(process)


def test_a_dependency_that_flickers(daemon):
    """#544: readiness that came and went skipped the dependent for good. It is a level here."""
    needs = {"depends_on": {"b": {"condition": "ready"}}}
    daemon.apply({"b": daemon.service("http", port=next(PORTS), probes=READY)})
    daemon.apply({"a": daemon.service("pause", restart=AT_ONCE, **needs),
                  "b": daemon.service("http", port=next(PORTS), probes=READY)})
    for _ in range(3):
        pid = daemon.pid_of("a")
        daemon.tell("b", "/set/ready/error")
        wait_for(lambda: daemon.replica("b")["state"] == "unready")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: daemon.replica("a")["state"] == "waiting")
        daemon.tell("b", "/set/ready/ok")
        daemon.wait_new_pid("a", pid)


def test_success_threshold(daemon):
    """#170: it was written down and "not respected". One good answer in between starts the count anew."""
    probes = {"readiness": {**READY["readiness"], "success_threshold": 5}}
    daemon.apply({"a": daemon.service("http", port=next(PORTS), probes=probes)})
    results = daemon.describe("a")["replicas"][0]["probes"]["readiness"]["history"]
    assert len([r for r in results if r["ok"]]) >= 5
    daemon.tell("a", "/set/ready/error")
    wait_for(lambda: daemon.replica("a")["state"] == "unready")
    daemon.tell("a", "/set/ready/ok")
    daemon.wait_state("a", "ready")
    history = daemon.describe("a")["replicas"][0]["probes"]["readiness"]["history"]
    assert [r["ok"] for r in history[:5]] == [True] * 5


# pebble

def test_a_first_start_that_fails_at_once_is_tried_again(daemon):
    """#240: a service that ended within its first second was left dead."""
    path, count = counter(daemon)
    script = f"{count}; [ $(wc -c <{path}) -ge 3 ] || exit 1; exec sleep 1000"
    daemon.apply({"a": daemon.shell(script, restart={"backoff": {"initial": "50ms", "jitter": 0}})}, wait=False)
    daemon.wait_state("a", "ready")
    wait_for(lambda: starts(path) == 3)
    assert daemon.replica("a")["restarts"] == 2


# dinit

def test_a_refused_edit_leaves_the_old_one_whole(daemon):
    """0.22: a reload that was refused for a cycle had changed the command already."""
    daemon.apply({"a": daemon.service("pause", environment={"WORD": "old"}), "b": daemon.service("pause", depends_on=["a"])})
    bad = daemon.write({"version": 1, "name": "shop", "services": {
        "a": daemon.service("exit", "1", environment={"WORD": "new"}, depends_on=["b"]),
        "b": daemon.service("pause", depends_on=["a"])}}, "bad.yaml")
    rc, _, err = daemon.cli("apply", "-f", bad)
    assert rc == 9 and "is a cycle" in err
    pid = daemon.pid_of("a")
    os.kill(pid, signal.SIGKILL)
    new = daemon.wait_new_pid("a", pid)
    assert procfs.environ(new)["WORD"] == "old" and daemon.describe("a")["revision"] == 1
    daemon.crash("controller", "logger")
    daemon.start_again()
    daemon.wait_state("a", "ready")
    daemon.ok("restart", "a")
    assert procfs.environ(only(daemon))["WORD"] == "old"


def test_a_start_is_one_start(daemon):
    """0.21: a start asked for while one was under way ran twice."""
    path, count = counter(daemon)
    daemon.apply({"a": daemon.shell(f"{count}; sleep 0.05; exec sleep 1000")})
    for _ in range(5):
        daemon.ok("stop", "a")
        before = starts(path)
        askers = [threading.Thread(target=daemon.cli, args=("start", "a")) for _ in range(4)]
        for t in askers:
            t.start()
        for t in askers:
            t.join()
        daemon.wait_state("a", "ready")
        wait_for(lambda before=before: starts(path) == before + 1)
        assert len(ours(daemon)) == 1


# nomad

@pytest.mark.parametrize("phase", ["starting", "ready", "stopping", "backoff", "waiting"])
def test_deleted_ones_end(daemon, phase):
    """2.0.4: deleted ones kept running. Whatever it was doing when it was deleted."""
    deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    what = {"starting": daemon.service("http", "600000", port=next(PORTS), probes=READY),
            "ready": daemon.service("pause"),
            "stopping": daemon.shell(deaf, stop={"grace_period": "1s"}),
            "backoff": daemon.service("exit", "1", restart={"backoff": {"initial": "30s"}}),
            "waiting": daemon.service("pause", depends_on=["b"])}[phase]
    others = {"b": daemon.service("pause", replicas=0)} if phase == "waiting" else {}
    daemon.apply({"a": what, **others}, wait=False)
    if phase == "stopping":
        wait_for(lambda: daemon.logged("a"))
        daemon.ok("restart", "a", "--no-wait", "--now")
    wait_for(lambda: (r := daemon.replica("a")) and r["state"] == phase)
    daemon.ok("delete", "a")
    wait_for(lambda: "a" not in daemon.ps())
    wait_for(lambda: ours(daemon) == [], what=lambda: ours(daemon))


def test_an_edit_in_the_middle_of_a_restart(daemon):
    """2.0.3: killed in the middle of its restart by a change of its definition. The newest wins, once."""
    path, count = counter(daemon)

    def version(word):
        slow = f"{count}; trap 'sleep 0.2; exit 0' TERM; echo up; while :; do sleep 0.02; done"
        return {"a": daemon.shell(slow, environment={"WORD": word}, update={"order": "stop-first", "min_ready": 0})}

    daemon.apply(version("0"))
    for i in range(1, 5):
        wait_for(lambda i=i: len(daemon.logged("a")) >= i)
        old = daemon.replica("a")["incarnation"]
        daemon.ok("restart", "a", "--no-wait")
        wait_for(lambda old=old: (r := daemon.replica("a"))["state"] != "ready" or r["incarnation"] != old)
        daemon.apply(version(str(i)))
        pids = ours(daemon)
        assert len(pids) == 1 and procfs.environ(only(daemon))["WORD"] == str(i)


def test_looking_at_what_is_long_gone(daemon):
    """2.0.5: a panic after what had ended was cleaned up."""
    daemon.apply({"a": daemon.service("exit", "1", restart={"backoff": {"initial": "10ms", "max": "10ms"},
                                                          "budget": {"restarts": 0}}, replicas=3)}, wait=False)
    wait_for(lambda: len(daemon.describe("a")["exits"]) == 10)
    daemon.ok("scale", "a=0")
    daemon.wait_state("a", "stopped")
    for verb in ("describe", "events", "logs", "why"):
        daemon.ok(verb, "a")
    assert daemon.cli("why", "a/2")[0] == 4
    daemon.ok("delete", "a")
    wait_for(lambda: daemon.ps() == {})
    daemon.ok("events")
    assert daemon.cli("why", "a")[0] == 4


def test_a_log_that_became_a_link(daemon):
    """CVE-2026-6959: a link in the log's place made the agent write, or read, elsewhere."""
    if os.geteuid() != 0:
        pytest.skip("needs root: only the logger's user may write there")
    victim = os.path.join(daemon.base, "victim")
    with open(victim, "w", encoding="ascii") as f:
        f.write("SECRET\n")
    daemon.apply({"a": daemon.shell("echo line; exec sleep 1000", restart=AT_ONCE)})
    wait_for(lambda: daemon.logged("a"))
    directory = os.path.join(daemon.log_dir, "a", "0")
    for name in os.listdir(directory):
        os.rename(os.path.join(directory, name), os.path.join(directory, name + ".away"))
        os.symlink(victim, os.path.join(directory, name))
    pid = daemon.pid_of("a")
    os.kill(pid, signal.SIGKILL)
    daemon.wait_new_pid("a", pid)
    wait_for(lambda: b"line" in daemon.segments("a"))
    assert procfs.read(victim) == "SECRET\n"
    assert not [line for line in daemon.logged("a") if "SECRET" in line["line"]]
    assert "SECRET" not in daemon.ok("why", "a")


# autoheal

def test_what_is_being_replaced_is_not_condemned_again(daemon):
    """#53: it was told to restart again and again while it restarted. Its stop takes many periods here."""
    probes = {"liveness": {"http": {"path": "/live"}, "period": "100ms", "failure_threshold": 1, "timeout": "1s"}}
    daemon.apply({"a": daemon.service("http", "0", "stubborn", port=next(PORTS), probes=probes, restart=AT_ONCE,
                                      stop={"grace_period": "1500ms"})})
    pid = daemon.pid_of("a")
    daemon.tell("a", "/set/live/error")
    daemon.wait_new_pid("a", pid)
    daemon.wait_state("a", "ready")
    assert [e["to"] for e in daemon.events("a") if e["type"] == "state"].count("stopping") == 1
    assert daemon.replica("a")["restarts"] == 1 and len(ours(daemon)) == 1


# supervisord

def test_one_broken_set_blocks_no_other(daemon):
    """#1713: one broken group kept every other from being updated."""
    daemon.apply({"a": daemon.service("pause")}, name="one")
    daemon.apply({"b": daemon.service("exit", "1", restart={"policy": "never"})}, wait=False, name="two")
    broken = daemon.write("version: 1\nname: two\nservices: {b: {colour: blue}}\n", "two.yaml")
    assert daemon.cli("apply", "-f", broken)[0] == 9
    pid = only(daemon)
    daemon.apply({"a": daemon.service("pause", environment={"X": "1"}, **QUICK)}, name="one")
    assert only(daemon) != pid and procfs.environ(only(daemon))["X"] == "1"


def test_what_is_stopped_stays_stopped_over_a_crash(daemon):
    """supervisord #591, pm2 #2827: what was stopped by hand came back, or the list was lost, with a crash."""
    daemon.apply({"a": daemon.service("pause"), "b": daemon.service("pause")})
    daemon.ok("stop", "a")
    daemon.crash("controller", "logger")
    daemon.start_again()
    daemon.wait_state("b", "ready")
    assert daemon.ps()["a"]["state"] == "stopped"
    assert daemon.stop() == 0
    daemon.start()
    daemon.wait_state("b", "ready")
    assert daemon.ps()["a"]["state"] == "stopped" and len(ours(daemon)) == 1


# pm2

def test_a_variable_that_is_removed_is_gone(daemon):
    """#3486: what the file no longer had stayed in the environment, also over a restart."""
    daemon.apply({"a": daemon.service("pause", environment={"STAYS": "1", "GOES": "1"})})
    daemon.apply({"a": daemon.service("pause", environment={"STAYS": "2"}, **QUICK)})
    for _ in range(2):
        environ = procfs.environ(only(daemon))
        assert environ["STAYS"] == "2" and "GOES" not in environ
        daemon.ok("restart", "a")


def test_an_edit_that_is_not_applied_is_shown(daemon):
    """#3192: edits that silently do not apply. plan says it before, and an apply of the same changes nothing."""
    path = daemon.write({"version": 1, "name": "shop", "services": {"a": daemon.service("pause", environment={"X": "1"})}})
    daemon.ok("apply", "-f", path, "--wait")
    assert daemon.cli("plan", "-f", path, "--exit-code")[0] == 0
    path = daemon.write({"version": 1, "name": "shop", "services": {"a": daemon.service("pause", environment={"X": "2"}, **QUICK)}})
    rc, out, _ = daemon.cli("plan", "-f", path, "--exit-code")
    assert rc == 10 and "environment.X" in out
    daemon.ok("apply", "-f", path, "--wait")
    pid = only(daemon)
    assert procfs.environ(pid)["X"] == "2"
    daemon.ok("apply", "-f", path, "--wait")
    assert only(daemon) == pid


# nomad: out of its cpuset

@pytest.mark.parametrize("how", ["by-the-controller", "by-aictld"])
def test_nothing_is_outside_of_its_cgroup(daemon, how):
    """2.0.4: a task that started again ran outside of the group that limits it."""
    if "track" not in daemon.get("/v1/daemon")["cgroup"]["can"]:
        pytest.skip("no cgroup2 tree that the daemon may use")
    restart = {"backoff": {"initial": "50ms" if how == "by-the-controller" else "0s"}, "budget": {"restarts": 0}}
    daemon.apply({"a": daemon.shell("sleep 1000 & sleep 1000 & wait", restart=restart)})

    def group(pid):
        (line,) = [x for x in procfs.read(f"/proc/{pid}/cgroup").splitlines() if x.startswith("0::")]
        return line[3:]

    for _ in range(3):
        pid = daemon.pid_of("a")
        tree = wait_for(lambda: (t := procfs.descendants(pid)) and len(t) >= 2 and t)
        assert {group(p) for p in tree} == {group(pid)} and group(pid) != group(daemon.pid)
        os.kill(pid, signal.SIGKILL)
        daemon.wait_new_pid("a", pid)


# what we say of it

def test_the_comparison_names_tests_that_are_there():
    """docs/compared.md: each test that it names exists."""
    here = os.path.dirname(os.path.abspath(__file__))
    text = procfs.read(os.path.join(here, "../../docs/compared.md"))
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", text)
    files = re.findall(r"`(tests/unit/\w+\.c)`", text)
    units = re.findall(r"`(tests/unit/\w+\.c)` \((\w+)\)", text)
    assert len(named) > 80 and files
    for file, test in named:
        assert re.search(rf"^def {test}\(", procfs.read(os.path.join(here, file)), re.M), f"{file}::{test}"
    for file, test in units:
        assert f"unit_test({test})" in procfs.read(os.path.join(here, "../..", file)), f"{file}: {test}"
    for file in files:
        assert os.path.exists(os.path.join(here, "../..", file)), file
