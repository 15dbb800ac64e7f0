"""hooks: what is done around starts and stops, and what a death in the middle of it leaves.

SPDX-License-Identifier: MIT
"""
import os
import random
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import procfs
from harness import CAMPAIGN, wait_for


def sh(script, **keys):
    return {"exec": {"command": ["/bin/sh", "-c", script.replace("$", "$$")]}, **keys}


@pytest.fixture
def trace(base):
    """A file to which hooks write, and its lines."""
    directory = os.path.join(base, "hooks")
    os.mkdir(directory)
    os.chmod(directory, 0o777)  # the service may be another user's
    path = os.path.join(directory, "trace")
    with open(path, "w", encoding="utf-8"):
        os.chmod(path, 0o666)

    class Trace:
        def says(self, text):
            return f"echo {text} >>{path}"

        def lines(self):
            with open(path, encoding="utf-8") as f:
                return f.read().splitlines()

        def clear(self):
            os.truncate(path, 0)

        def wait(self, *wanted):
            wait_for(lambda: self.lines() == list(wanted), what=lambda: self.lines())

    trace = Trace()
    trace.path = path
    return trace


def lines_of(daemon, service):
    return [e["line"] for e in daemon.logged(service)]


def every(trace):
    return {kind: [sh(trace.says(f"{kind} $AICTL_HOOK"))]
            for kind in ("pre_start", "post_start", "pre_stop", "post_stop")}


def test_all_four_in_order(trace, daemon):
    daemon.apply({"a": daemon.shell(trace.says("main") + "; exec sleep 1000", hooks=every(trace))})
    wait_for(lambda: "main" in trace.lines() and "post_start post_start" in trace.lines())
    assert trace.lines()[0] == "pre_start pre_start"
    assert len(trace.lines()) == 3
    trace.clear()
    daemon.ok("stop", "a")
    daemon.wait_state("a", "stopped")
    assert trace.lines() == ["pre_stop pre_stop", "post_stop post_stop"]


def test_its_output_is_in_the_log(daemon):
    daemon.apply({"a": daemon.shell("echo main; exec sleep 1000",
                                    hooks={"pre_start": [sh("echo prepared; echo oops >&2")]})})
    wait_for(lambda: {"prepared", "oops", "main"} <= set(lines_of(daemon, "a")))
    assert lines_of(daemon, "a").index("prepared") < lines_of(daemon, "a").index("main")


def test_context_is_the_service_s(trace, daemon):
    where = os.path.dirname(trace.path)
    daemon.apply({"a": daemon.shell("exec sleep 1000", working_dir=where,
                                    environment={"X": "y"}, port=18701,
                                    hooks={"pre_start": [sh("echo $PWD $X $AICTL_SERVICE "
                                                            "$AICTL_REPLICA $PORT")]})})
    port = daemon.replica("a")["port"]
    wait_for(lambda: f"{where} y a 0 {port}" in lines_of(daemon, "a"),
             what=lambda: lines_of(daemon, "a"))


def test_a_crash_runs_post_stop_with_its_cause(trace, daemon):
    """No pre_stop after a crash; the next start waits for post_stop."""
    hooks = every(trace)
    hooks["post_stop"] = [sh("sleep 0.3; " + trace.says(
        '"c=$AICTL_EXIT_CODE s=$AICTL_EXIT_SIGNAL w=$AICTL_EXIT_CAUSE"'))]
    daemon.apply({"a": daemon.shell(trace.says("main") + "; exec sleep 1000", hooks=hooks,
                                    restart={"backoff": {"initial": "0s"}})})
    wait_for(lambda: len(trace.lines()) == 3)
    trace.clear()
    os.kill(daemon.pid_of("a"), signal.SIGKILL)
    wait_for(lambda: len(trace.lines()) >= 4)
    assert trace.lines()[:2] == ["c= s=KILL w=signal", "pre_start pre_start"]
    assert sorted(trace.lines()[2:]) == ["main", "post_start post_start"]
    trace.clear()
    daemon.ok("stop", "a")
    daemon.wait_state("a", "stopped")
    assert trace.lines()[0] == "pre_stop pre_stop"
    assert trace.lines()[1].endswith("w=user")


def test_exit_code(trace, daemon):
    hooks = {"post_stop": [sh(trace.says('"c=$AICTL_EXIT_CODE s=$AICTL_EXIT_SIGNAL '
                                         'w=$AICTL_EXIT_CAUSE"'))]}
    daemon.apply({"a": daemon.shell("exit 7", restart="never", hooks=hooks)}, wait=False)
    daemon.wait_state("a", "failed")
    trace.wait("c=7 s= w=exit")


def test_a_failed_pre_start_starts_nothing(trace, daemon):
    daemon.apply({"a": daemon.shell(trace.says("main"), restart="never", hooks={
        "pre_start": [sh(trace.says("one")), sh("echo broken >&2; exit 3"), sh(trace.says("no"))],
        "post_stop": [sh(trace.says("after $AICTL_EXIT_CAUSE"))]})}, wait=False)
    daemon.wait_state("a", "failed")
    trace.wait("one", "after hook")
    wait_for(lambda: daemon.replica("a")["message"] == (
        "cannot start: hooks.pre_start[1]: exit code 3"))
    assert daemon.replica("a")["last_exit"]["cause"] == "hook"
    assert "broken" in lines_of(daemon, "a")
    assert any(e["type"] == "hook" and e["message"] == "hooks.pre_start[1]: exit code 3"
               for e in daemon.events("a"))


def test_ignored_failures_and_timeouts(trace, daemon):
    daemon.apply({"a": daemon.shell("exec sleep 1000", hooks={
        "pre_start": [sh("exit 3", on_failure="ignore"),
                      sh("sleep 1000 & sleep 1000", timeout="200ms", on_failure="ignore"),
                      {"exec": {"command": ["/nonexistent"]}, "on_failure": "ignore"},
                      sh(trace.says("last"))]})})
    assert trace.lines() == ["last"]
    said = [e["message"] for e in daemon.events("a") if e["type"] == "hook"]
    assert said[0] == "hooks.pre_start[0]: exit code 3"
    assert said[1] == "hooks.pre_start[1]: no end within its timeout, killed"
    assert said[2].startswith("hooks.pre_start[2]: cannot start: exec")


def test_pre_start_is_tried_again(trace, daemon):
    """By the restart policy, with its back-off; the second attempt succeeds."""
    daemon.apply({"a": daemon.shell(trace.says("main") + "; exec sleep 1000", hooks={
        "pre_start": [sh(f"test -e {trace.path}.2 || {{ : >{trace.path}.2; exit 1; }}")]},
        restart={"backoff": {"initial": "10ms"}})}, wait=False)
    daemon.wait_state("a", "ready")
    assert trace.lines() == ["main"]
    assert daemon.replica("a")["restarts"] == 1


@pytest.mark.containers
def test_not_ready_before_post_start_is_done(trace, daemon):
    daemon.apply({"a": daemon.shell("exec sleep 1000", hooks={
        "post_start": [sh(f"until test -e {trace.path}.go; do sleep 0.02; done")]})}, wait=False)
    wait_for(lambda: daemon.replica("a") and daemon.replica("a")["pid"])
    wait_for(lambda: daemon.replica("a")["message"] == "post_start runs")
    assert daemon.replica("a")["state"] == "starting"
    open(f"{trace.path}.go", "w").close()
    daemon.wait_state("a", "ready")


@pytest.mark.containers
def test_a_failed_post_start_ends_the_process(trace, daemon):
    daemon.apply({"a": daemon.shell(trace.says("main $$") + "; exec sleep 1000", restart="never",
                                    hooks={"post_start": [sh(f"until test -s {trace.path}; do sleep 0.02; done; exit 4")],
                                           "pre_stop": [sh(trace.says("pre_stop"))]})}, wait=False)
    daemon.wait_state("a", "failed")
    assert daemon.replica("a")["last_exit"]["cause"] == "hook"
    assert trace.lines()[0].startswith("main") and not daemon.below("sleep 1000")


def hooks_of(daemon, script):
    """Pids of the processes that are a hook's sleep."""
    return [p for p in os.listdir("/proc")
            if p.isdigit() and script in procfs.read(f"/proc/{p}/cmdline").replace("\0", " ")]


@pytest.mark.parametrize("how", ["stop", "delete", "apply"])
def test_a_stop_in_pre_start_leaves_nothing(trace, daemon, how):
    """The main process never runs, the hook is gone, its descendants too."""
    mark = f"sleep 7{os.getpid()}"
    service = daemon.shell(trace.says("main") + "; exec sleep 1000", hooks={
        "pre_start": [sh(f"setsid {mark} & {mark}")],
        "post_stop": [sh(trace.says("post_stop"))]})
    daemon.apply({"a": service}, wait=False)
    wait_for(lambda: len(hooks_of(daemon, mark)) >= 2)
    replica = daemon.replica("a")
    assert replica["state"] == "starting" and replica["pid"] is None
    assert replica["message"] == "pre_start runs"
    if how == "apply":
        daemon.apply({"a": daemon.shell("exec sleep 1000")})
        trace.wait("post_stop")
        assert daemon.ps()["a"]["state"] == "ready"
    else:
        daemon.ok(how, "a")
        trace.wait("post_stop")
    wait_for(lambda: not hooks_of(daemon, mark))
    assert trace.lines() == ["post_stop"]


def test_the_controller_dies_in_pre_start(trace, daemon):
    """The hook is killed; the next controller begins with it anew, and runs main only after it."""
    mark = f"sleep 8{os.getpid()}"
    daemon.apply({"a": daemon.shell(trace.says("main") + "; exec sleep 1000", hooks={
        "pre_start": [sh(trace.says("begun") + f"; test -e {trace.path}.go || {mark}"),
                      sh(trace.says("second"))]})}, wait=False)
    wait_for(lambda: hooks_of(daemon, mark))
    os.kill(daemon.helper("controller"), signal.SIGKILL)
    wait_for(lambda: trace.lines() == ["begun", "begun"])
    assert len(hooks_of(daemon, mark)) <= 2  # the shell and its sleep of the second one
    open(f"{trace.path}.go", "w").close()
    os.kill(daemon.helper("controller"), signal.SIGKILL)
    daemon.wait_state("a", "ready")
    wait_for(lambda: not hooks_of(daemon, mark))
    assert trace.lines() == ["begun", "begun", "begun", "second", "main"]


def test_the_controller_dies_in_post_stop(trace, daemon):
    """It is run again before the next start: it says the same of the end."""
    mark = f"sleep 9{os.getpid()}"
    daemon.apply({"a": daemon.shell(trace.says("main") + "; exec sleep 1000", hooks={
        "post_stop": [sh(trace.says("post_stop $AICTL_EXIT_SIGNAL $AICTL_EXIT_CAUSE")
                         + f"; test -e {trace.path}.go || {mark}")]},
        restart={"backoff": {"initial": "0s"}})})
    trace.wait("main")
    os.kill(daemon.pid_of("a"), signal.SIGKILL)
    wait_for(lambda: hooks_of(daemon, mark))
    assert daemon.replica("a")["message"] == "signal KILL; post_stop runs"
    open(f"{trace.path}.go", "w").close()
    os.kill(daemon.helper("controller"), signal.SIGKILL)
    wait_for(lambda: len(trace.lines()) == 4, what=lambda: trace.lines())
    assert trace.lines() == ["main", "post_stop KILL signal", "post_stop KILL signal", "main"]
    wait_for(lambda: not hooks_of(daemon, mark))


@pytest.mark.containers
def test_the_controller_dies_in_post_start(trace, daemon):
    daemon.apply({"a": daemon.shell(trace.says("main") + "; exec sleep 1000", hooks={
        "post_start": [sh(trace.says("post_start")
                          + f"; test -e {trace.path}.go || sleep 1000")]})}, wait=False)
    wait_for(lambda: "post_start" in trace.lines())
    pid = daemon.pid_of("a")
    open(f"{trace.path}.go", "w").close()
    os.kill(daemon.helper("controller"), signal.SIGKILL)
    daemon.wait_state("a", "ready")
    assert daemon.pid_of("a") == pid
    assert sorted(trace.lines()) == ["main", "post_start", "post_start"]


@pytest.mark.containers
def test_pre_stop_is_inside_the_grace_period(trace, daemon):
    """One that hangs is cut off, and the process still gets its signal."""
    daemon.apply({"a": daemon.shell(f"trap '{trace.says('term')}; exit' TERM; "
                                    "while :; do sleep 0.05; done",
                                    stop={"grace_period": "2s"},
                                    hooks={"pre_stop": [sh("exec sleep 1000")]})})
    began = time.monotonic()
    daemon.ok("stop", "a")
    daemon.wait_state("a", "stopped")
    assert trace.lines() == ["term"]
    assert time.monotonic() - began > 1.9
    assert any(e["message"].startswith("hooks.pre_stop[0]") for e in daemon.events("a"))


@pytest.mark.containers
def test_the_process_ends_in_pre_stop(trace, daemon):
    """Nothing is waited for any more."""
    hooks = {"pre_stop": [sh("exec sleep 1000", timeout="1h")]}
    if not daemon.engine:
        hooks["post_stop"] = [sh(trace.says("post_stop $AICTL_EXIT_CAUSE"))]
    daemon.apply({"a": daemon.shell("exec sleep 1000", hooks=hooks, stop={"grace_period": "1h"})})
    pid = daemon.pid_of("a")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(daemon.cli, "stop", "a")
        wait_for(lambda: daemon.replica("a")["state"] == "stopping")
        os.kill(pid, signal.SIGKILL)
        daemon.wait_state("a", "stopped")
    if not daemon.engine:
        trace.wait("post_stop signal")


@pytest.mark.containers
def test_http(trace, daemon):
    """Asks somebody before the start, and the process itself while it lives."""
    daemon.apply({"helper": daemon.service("http", port=18711, probes={
        "readiness": {"http": {"path": "/ready"}, "period": "100ms"}})})
    other = daemon.replica("helper")["port"]
    readiness = {"readiness": {"http": {"path": "/ready"}, "period": "100ms"}}
    daemon.apply({"a": daemon.service("http", port=18712, probes=readiness, hooks={
        "pre_start": [{"http": {"path": "/ready", "port": other}},
                      {"http": {"path": "/", "port": 1}, "on_failure": "ignore"}],
        "pre_stop": [{"http": {"path": "/ready"}}]})}, name="two")
    said = [e["message"] for e in daemon.events("a") if e["type"] == "hook"]
    assert said == ["hooks.pre_start[1]: connection refused"]
    daemon.ok("stop", "a")
    assert said == [e["message"] for e in daemon.events("a") if e["type"] == "hook"]


def test_shutdown_runs_them(trace, daemon):
    daemon.apply({name: daemon.shell("exec sleep 1000", hooks={
        "pre_stop": [sh(trace.says("pre_stop"))],
        "post_stop": [sh("sleep 0.5; " + trace.says("post_stop $AICTL_EXIT_CAUSE"))]})
        for name in ("a", "b")})
    daemon.stop()
    assert sorted(trace.lines()) == ["post_stop shutdown"] * 2 + ["pre_stop"] * 2
    assert trace.lines()[-1] == "post_stop shutdown"


def test_no_standby_beside_hooks(trace, daemon):
    """What aictld starts by itself would have had no pre_start; also when hooks come later."""
    fast = {"backoff": {"initial": "0s"}}
    daemon.apply({"a": daemon.shell("exec sleep 1000", restart=fast)})
    daemon.apply({"a": daemon.shell("exec sleep 1000", restart=fast, hooks={
        "pre_start": [sh(trace.says("pre_start"))]})})
    old = daemon.pid_of("a")
    os.kill(old, signal.SIGKILL)
    daemon.wait_new_pid("a", old)
    assert trace.lines() == ["pre_start"]


def test_what_cannot_be(daemon):
    bad = daemon.write({"version": 1, "services": {"a": daemon.shell("exec sleep 1", hooks={
        "pre_start": [{"http": {"path": "/x"}}]})}}, "bad.yaml")
    code, _, err = daemon.cli("validate", "-f", str(bad))
    assert code == 9
    assert "hooks.pre_start[0].http.port: the replica itself cannot answer then" in err


def test_aictld_dies_in_pre_start(trace, daemon):
    """The hook and what it left are ended by the next one; main runs only after a whole pre_start."""
    mark = f"sleep 6{os.getpid()}"
    daemon.apply({"a": daemon.shell(trace.says("main") + "; exec sleep 1000", hooks={
        "pre_start": [sh(trace.says("begun")
                         + f"; test -e {trace.path}.go || {{ setsid {mark} & {mark}; }}")]})},
                 wait=False)
    wait_for(lambda: len(hooks_of(daemon, mark)) >= 2)
    daemon.crash()
    open(f"{trace.path}.go", "w").close()
    daemon.start_again()
    daemon.wait_state("a", "ready")
    wait_for(lambda: not hooks_of(daemon, mark), what=lambda: hooks_of(daemon, mark))
    assert trace.lines() == ["begun", "begun", "main"]


def test_what_clears_its_environment_goes_as_well(trace, daemon):
    """It carries no cookie, but is in the hook's process group: the next aictld ends that."""
    mark = f"sleep 7{os.getpid()}"
    daemon.apply({"a": daemon.shell("exec sleep 1000", hooks={
        "pre_start": [sh(trace.says("begun")
                         + f"; test -e {trace.path}.go || {{ env -i /bin/{mark} & {mark}; }}")]})},
                 wait=False)
    wait_for(lambda: len(hooks_of(daemon, mark)) >= 2)
    daemon.crash()
    open(f"{trace.path}.go", "w").close()
    daemon.start_again()
    daemon.wait_state("a", "ready")
    wait_for(lambda: not hooks_of(daemon, mark), what=lambda: hooks_of(daemon, mark))


def test_post_stop_owed_in_safe_mode(trace, start):
    """Nothing runs while it lasts; what is owed is done when it is over, before the next start."""
    daemon = start("--helper-restart", "50ms,100ms,3")
    daemon.apply({"a": daemon.shell(trace.says("main") + "; exec sleep 1000", restart={
        "backoff": {"initial": "0s"}}, hooks={
            "post_stop": [sh(trace.says("post") + f"; test -e {trace.path}.go || sleep 1000")]})})
    wait_for(lambda: trace.lines() == ["main"])
    os.kill(daemon.pid_of("a"), signal.SIGKILL)
    wait_for(lambda: "post" in trace.lines())
    for _ in range(3):
        old = wait_for(lambda: daemon.helper("controller"))
        os.kill(old, signal.SIGKILL)
        wait_for(lambda o=old: daemon.helper("controller") not in (None, o) and daemon.mode())
    wait_for(lambda: daemon.mode() == "safe", what=daemon.mode)
    before = trace.lines()
    assert "main" not in before[1:]
    open(f"{trace.path}.go", "w").close()
    daemon.ok("daemon", "reload")
    daemon.wait_state("a", "ready")
    wait_for(lambda: trace.lines() == before + ["post", "main"], what=trace.lines)


@pytest.mark.parametrize("kind", ["pre_start", "post_start"])
def test_why_shows_what_a_failed_hook_said(daemon, kind):
    daemon.apply({"a": daemon.shell("echo from main; exec sleep 1000", restart="never", hooks={
        kind: [sh("echo the disk is not there >&2; exit 3")]})}, wait=False)
    daemon.wait_state("a", "failed")
    assert f"hooks.{kind}[0]: exit code 3" in daemon.ok("why", "a")
    wait_for(lambda: "the disk is not there" in daemon.ok("why", "a"),
             what=lambda: daemon.ok("why", "a"))


def test_a_failed_stop_hook_holds_nothing_up(trace, daemon):
    """The rest of its steps is left out, the stop and the next start go on."""
    daemon.apply({"a": daemon.shell(trace.says("main") + "; exec sleep 1000", hooks={
        "pre_stop": [sh("exit 1"), sh(trace.says("not this"))],
        "post_stop": [sh("exit 2"), sh(trace.says("nor this"))]})})
    daemon.ok("restart", "a")
    daemon.ok("stop", "a")
    assert trace.lines() == ["main"] * 2
    assert [e["message"] for e in daemon.events("a") if e["type"] == "hook"] == [
        "hooks.pre_stop[0]: exit code 1", "hooks.post_stop[0]: exit code 2"] * 2


@pytest.mark.containers
def test_the_controller_dies_in_pre_stop(trace, daemon):
    """It is not repeated: the process is told to stop at once."""
    daemon.apply({"a": daemon.shell("exec sleep 1000", stop={"grace_period": "1h"}, hooks={
        "pre_stop": [sh(trace.says("begun") + "; exec sleep 1000", timeout="1h")]})})
    daemon.cli("stop", "a", "--no-wait")
    wait_for(lambda: trace.lines() == ["begun"])
    os.kill(daemon.helper("controller"), signal.SIGKILL)
    daemon.wait_state("a", "stopped")
    assert trace.lines() == ["begun"]


def test_describe_lists_them(daemon):
    daemon.apply({"a": daemon.shell("exec sleep 1000", hooks={
        "pre_start": [sh("true"), sh("true")], "post_stop": [sh("true")]})})
    assert re.search(r"Hooks +pre_start \(2 steps\), post_stop\n", daemon.ok("describe", "a"))


@pytest.mark.waits
def test_the_controller_dies_at_any_moment(trace, start):
    """Each start has had its pre_start, each end its post_stop, whatever dies in between."""
    daemon = start("--helper-restart", CAMPAIGN)
    daemon.apply({"a": daemon.shell(trace.says("main") + "; sleep 0.05; exit 1",
                                    restart={"backoff": {"initial": "0s"},
                                             "budget": {"restarts": 0}},
                                    hooks={"pre_start": [sh(trace.says("pre"))],
                                           "post_stop": [sh(trace.says("post"))]})}, wait=False)
    moments = random.Random(4711)
    for _ in range(20):
        seen = trace.lines().count("main")
        wait_for(lambda: trace.lines().count("main") > seen + 1)
        time.sleep(moments.uniform(0, 0.15))  # no condition: any moment will do
        os.kill(wait_for(lambda: daemon.helper("controller")), signal.SIGKILL)
    daemon.ok("stop", "a")
    lines = trace.lines()
    starts = [i for i, line in enumerate(lines) if line == "main"]
    assert len(starts) > 40
    for last, start in zip([None] + starts, starts):
        assert lines[start - 1] == "pre", lines[start - 5:start + 5]
        assert last is None or "post" in lines[last:start], lines[last:start + 1]
