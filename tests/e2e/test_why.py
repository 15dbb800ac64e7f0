"""aictl why: the chain of causes, its evidence and the line that decides, for each cause.

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import signal
import subprocess

import pytest

from harness import AS_ROOT, stable_ports, wait_for
from test_hung import hung  # noqa: F401, pylint: disable=unused-import

needs_fuse = pytest.mark.skipif(not AS_ROOT or not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="no /dev/fuse")

PORTS = stable_ports(18720)
NEVER = {"startup": {"http": {"path": "/ready"}, "period": "100ms", "stall": "60s"}}  # it does not listen yet
READY = {"readiness": {"http": {"path": "/ready"}, "period": "100ms", "timeout": "2s", "failure_threshold": 1}}
AT_ONCE = {"backoff": {"initial": "0s"}}
SLOWLY = {"backoff": {"initial": "30s"}}


def why(daemon, what):
    name, _, index = what.partition("/")
    reply = daemon.get(f"/v1/services/{name}/why" + (f"?replica={index}" if index else ""))
    assert reply["logs_read"]
    depths = [link["depth"] for link in reply["links"]]
    assert depths[0] == 0 and all(b <= a + 1 for a, b in zip(depths, depths[1:])), depths
    return reply


def links(daemon, what):
    return {link["what"]: link for link in why(daemon, what)["links"]}


def evidence(link, kind):
    return [e["text"] for e in link["evidence"] if e["kind"] == kind]


def place(daemon, link, name="shop"):
    """(key, the text of the line it stands in)"""
    at = link["place"]
    path = os.path.join(daemon.base, "m", f"{name}.yaml")
    assert os.path.samefile(at["file"], path)
    with open(path, encoding="utf8") as f:
        return at["key"], f.read().splitlines()[at["line"] - 1]


def test_all_is_well_in_one_line(daemon):
    daemon.apply({"a": daemon.service("pause", replicas=2)})
    reply = why(daemon, "a")
    assert reply["fine"] and [link["text"] for link in reply["links"]] == ["2 of 2 ready"]
    link = reply["links"][0]
    assert link["state"] == "ready" and link["since"] == max(r["since"] for r in daemon.ps()["a"]["replicas"])
    assert not link["evidence"] and not link["place"]
    out = daemon.ok("why", "a")
    assert out.startswith("a is ready, for ") and out.count("\n") == 1
    assert daemon.ok("why", "a/1").startswith("a/1 is ready, for ")


@pytest.mark.containers
def test_exit_loop(daemon):
    """Each round: how it ended, after how long, what it wrote last, the budget and the next attempt."""
    pause = "sleep 1; " if daemon.engine else ""  # else the streams may change places
    says = f"for i in 1 2 3 4 5 6 7; do echo line $i; done; {pause}echo no model in /srv/x >&2; exit 3"
    daemon.apply({"a": daemon.shell(says, restart=SLOWLY)}, wait=False)
    daemon.wait_state("a", "degraded")
    wait_for(lambda: len(evidence(links(daemon, "a")["a/0"], "log")) == 5)
    a = links(daemon, "a")
    assert a["a"]["state"] == "degraded" and a["a"]["text"] == "0 of 1 ready" and a["a"]["since"]
    link = a["a/0"]
    assert link["state"] == "backoff" and link["text"] == "exit code 3"
    assert evidence(link, "exit")[0].startswith("exit code 3 after ")
    assert evidence(link, "log") == ["line 4", "line 5", "line 6", "line 7", "no model in /srv/x"]
    assert evidence(link, "restarts") == ["1 of 10 within 10m, then one attempt every 5m"]
    following = [e for e in link["evidence"] if e["kind"] == "next"]
    assert following[0]["at"] == daemon.replica("a")["next_attempt_at"]
    key, line = place(daemon, link)
    assert key == "restart.backoff" and "initial" in line or "backoff" in line
    assert not why(daemon, "a")["fine"]
    out = daemon.ok("why", "a")
    for part in ("a/0 is in backoff", "exit code 3 after", "no model in /srv/x", "next attempt, in ", "restart.backoff"):
        assert part in out, out


def test_slow_mode_and_given_up(daemon):
    budget = {"budget": {"restarts": 1, "window": "10m"}, **AT_ONCE}
    daemon.apply({"slow": daemon.service("exit", "4", restart=budget),
                  "lost": daemon.service("exit", "5", restart={**AT_ONCE, "budget": {"restarts": 1, "then": "fail"}})},
                 wait=False)
    wait_for(lambda: daemon.replica("slow")["slow_mode"])
    daemon.wait_state("lost", "failed")
    slow, lost = links(daemon, "slow")["slow/0"], links(daemon, "lost")["lost/0"]
    assert evidence(slow, "restarts") == ["the budget of 1 within 10m is spent: one attempt every 5m"]
    assert place(daemon, slow)[0] == place(daemon, lost)[0] == "restart.budget"
    assert "restart.budget of 1 is spent" in lost["text"]
    assert evidence(lost, "hint") == ["aictl reset lost starts it again"]
    assert evidence(lost, "next")[0].startswith("not started again")


def test_policy_and_rule_that_end_it(daemon):
    daemon.apply({"never": daemon.service("exit", "6", restart="never"),
                  "rule": daemon.service("exit", "7", restart={"rules": [{"exit": [7], "then": "fail"}]})}, wait=False)
    for name, key in (("never", "restart.policy"), ("rule", "restart.rules")):
        daemon.wait_state(name, "failed")
        link = links(daemon, name)[f"{name}/0"]
        assert link["state"] == "failed" and place(daemon, link)[0] == key, link


@pytest.mark.parametrize("case", ["command", "working_dir"])
def test_it_cannot_start(daemon, case):
    """Both are fine when they are applied, and gone when it starts."""
    gone = os.path.join(daemon.base, "gone")
    os.mkdir(gone)
    program = os.path.join(gone, "program")
    with open(program, "w", encoding="utf8") as f:
        f.write("#!/nonexistent/interpreter\n")
    os.chmod(program, 0o755)
    web = daemon.service("pause", restart=SLOWLY)
    if case == "command":
        daemon.apply({"a": {**web, "command": [program]}}, wait=False)
    else:
        daemon.apply({"a": {**web, "working_dir": gone, "restart": {"backoff": {"initial": "1s"}}}})
        os.rename(gone, gone + ".away")
        os.kill(daemon.pid_of("a"), signal.SIGKILL)
        wait_for(lambda: "cannot start" in daemon.replica("a")["message"])
    daemon.wait_state("a", "degraded")
    link = wait_for(lambda: (x := links(daemon, "a").get("a/0")) and "cannot start" in x["text"] and x)
    assert evidence(link, "exit") == ["it never ran"] and place(daemon, link)[0] == case


def test_start_that_is_not_through(daemon):
    """The probe's last results and until when it must make progress."""
    daemon.apply({"a": daemon.service("http", "600000", port=next(PORTS), probes=NEVER, replicas=3)}, wait=False)
    wait_for(lambda: any("refused" in text for text in evidence(links(daemon, "a").get("a/0", {"evidence": []}), "probe")))
    reply = links(daemon, "a")
    assert set(reply) == {"a", "a/0"} and evidence(reply["a/0"], "others") == ["2 more of a are like it"]
    link = reply["a/0"]
    assert link["state"] == "starting" and link["text"] == "its startup probe has not passed yet"
    assert evidence(link, "probe")[0].startswith("startup probe (http GET /ready to 127.0.0.1:")
    deadline = [e for e in link["evidence"] if e["kind"] == "deadline"][0]
    assert "probes.startup.stall: 60s" in deadline["text"] and deadline["at"] > why(daemon, "a")["at"]
    assert place(daemon, link)[0] == "probes.startup"


def test_start_that_stalls(daemon):
    """After it: the cause stays told while the next one is under way."""
    probes = {"startup": {"http": {"path": "/nope"}, "period": "100ms", "stall": "1s"}}
    silent = {"command": ["/bin/sleep", "1000"]}
    daemon.apply({"a": {**daemon.service(port=next(PORTS), probes=probes, restart=SLOWLY), **silent}}, wait=False)
    wait_for(lambda: daemon.replica("a")["state"] == "backoff")
    link = links(daemon, "a")["a/0"]
    assert "no progress for 1s" in link["text"] and "cause: stall" in evidence(link, "exit")[0]
    assert place(daemon, link)[0] == "probes.startup.stall"


@pytest.mark.containers
def test_unready_and_dead(daemon):
    probes = {**READY, "liveness": {"http": {"path": "/health"}, "period": "100ms", "failure_threshold": 2}}
    daemon.apply({"a": daemon.service("http", port=next(PORTS), probes=probes, restart=SLOWLY)})
    daemon.tell("a", "/set/ready/error")
    wait_for(lambda: daemon.replica("a")["state"] == "unready")
    link = links(daemon, "a")["a/0"]
    assert link["state"] == "unready" and "failed" in evidence(link, "probe")[0] and len(evidence(link, "probe")) <= 3
    assert place(daemon, link)[0] == "probes.readiness" and evidence(link, "next") == ["readiness never restarts it"]
    daemon.tell("a", "/set/live/error")
    wait_for(lambda: daemon.replica("a")["state"] == "backoff")
    link = links(daemon, "a")["a/0"]
    assert "liveness probe failed 2/2" in link["text"] and "cause: probe" in evidence(link, "exit")[0]
    assert place(daemon, link)[0] == "probes.liveness"


@pytest.mark.containers
def test_chain_of_three(daemon):
    """From what waits to the root that fails, each with the line that makes it wait."""
    needs = {"condition": "ready"}
    daemon.apply({"app": daemon.service("pause", depends_on={"cache": needs}),
                  "cache": daemon.service("pause", depends_on={"db": {"condition": "completed"}}),
                  "db": daemon.shell("echo the disk is full; exit 9", type="task", retries=5, restart=SLOWLY)}, wait=False)
    wait_for(lambda: evidence(links(daemon, "app").get("db/0", {"evidence": []}), "log"))
    reply = why(daemon, "app")
    assert [(x["depth"], x["what"], x["state"]) for x in reply["links"]] == [
        (0, "app", "waiting"), (1, "cache", "waiting"), (2, "db", "degraded"), (3, "db/0", "backoff")]
    app, cache, db, root = reply["links"]
    assert place(daemon, app)[0] == "depends_on.cache" and place(daemon, cache)[0] == "depends_on.db"
    assert app["text"] == "0 of 1 ready, waiting for cache (ready): waiting" and "it has to be completed" in db["text"]
    assert evidence(root, "log") == ["the disk is full"]
    out = daemon.ok("why", "app/0")
    assert out.startswith("app/0 is waiting") and "\n  cache is waiting" in out and "the disk is full" in out
    assert "depends_on.cache" in out.partition("\n  cache")[0]


def test_by_whom_it_is_stopped(daemon):
    daemon.apply({"a": daemon.service("pause"), "none": daemon.service("pause", replicas=0)})
    daemon.ok("stop", "a")
    daemon.wait_state("a", "stopped")
    a = links(daemon, "a")["a"]
    assert a["text"] == "stopped by the user" and a["since"] and evidence(a, "hint") == ["aictl start a starts it"]
    none = links(daemon, "none")["none"]
    assert none["text"] == "no replica is wanted" and place(daemon, none)[0] == "replicas"
    daemon.ok("start", "a")
    daemon.ok("scale", "a=0")
    daemon.wait_state("a", "stopped")
    a = links(daemon, "a")["a"]
    assert a["text"] == "scaled to 0 by the user; the manifest says 1"


@pytest.mark.containers
def test_stop_that_takes_long(daemon):
    deaf = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    daemon.apply({"a": daemon.shell(deaf, stop={"grace_period": "20s"})})
    wait_for(lambda: daemon.logged("a"))
    daemon.ok("stop", "a", "--no-wait")
    wait_for(lambda: daemon.replica("a")["state"] == "stopping")
    link = links(daemon, "a")["a/0"]
    deadline = [e for e in link["evidence"] if e["kind"] == "deadline"][0]
    assert "stop.grace_period: 20s" in deadline["text"] and place(daemon, link)[0] == "stop.grace_period"
    assert deadline["at"] > why(daemon, "a")["at"]
    daemon.ok("kill", "-s", "KILL", "a")
    daemon.wait_state("a", "stopped")


def test_no_free_port(start):
    daemon = start("--port-range", "18798-18799")
    daemon.apply({"a": daemon.service("pause", port=next(PORTS), replicas=2)})
    daemon.apply({"b": daemon.service("pause", port=next(PORTS), restart=SLOWLY)}, wait=False, name="two")
    link = wait_for(lambda: (x := links(daemon, "b").get("b/0")) and "--port-range" in x["text"] and x)
    assert place(daemon, link, "two")[0] == "ports" and evidence(link, "next")


def test_update_that_was_rolled_back(daemon):
    """Why is the old one running? The link of the update has the reason, the end and the log."""
    keys = {"ports": {"http": {}}, "probes": {"readiness": {"tcp": {}, "period": "100ms"}},
            "update": {"min_ready": "100ms", "deadline": "20s"}, "restart": AT_ONCE}
    daemon.apply({"a": daemon.service("http", environment={"VERSION": "1"}, **keys)})
    bad = {**daemon.shell("echo no such model >&2; exit 5", environment={"VERSION": "2"}, **keys)}
    daemon.apply({"a": bad}, wait=False)
    wait_for(lambda: daemon.describe("a")["rollout"]["state"] == "rolled_back")
    wait_for(lambda: evidence(links(daemon, "a")["the update of a"], "log"))
    reply = why(daemon, "a")
    update = reply["links"][1]
    assert not reply["fine"] and update["state"] == "rolled_back" and "exit code 5" in update["text"], update
    assert "environment.VERSION" in update["text"] and evidence(update, "log") == ["no such model"]
    assert evidence(update, "exit")[0].startswith("exit code 5 after") and update["place"]["key"] == "update.on_failure"


def test_update_that_is_paused(daemon):
    keys = {"update": {"min_ready": 0, "pause_after": 1}, "replicas": 2}
    daemon.apply({"a": daemon.service("pause", environment={"V": "1"}, **keys)})
    daemon.apply({"a": daemon.service("pause", environment={"V": "2"}, **keys)}, wait=False)
    wait_for(lambda: daemon.describe("a")["rollout"]["state"] == "paused")
    update = links(daemon, "a")["the update of a"]
    assert update["state"] == "paused" and place(daemon, update)[0] == "update.pause_after"
    assert evidence(update, "hint") == ["aictl rollout resume a, or aictl rollout undo a"]


def test_tasks(daemon):
    """One that has failed, one that has succeeded, and one whose time has not come."""
    daemon.apply({"bad": daemon.shell("echo no input; exit 4", type="task"),
                  "good": daemon.shell("exit 0", type="task"),
                  "late": daemon.shell("exit 0", type="task", schedule={"every": "1h"})}, wait=False)
    daemon.wait_state("bad", "failed")
    daemon.wait_state("good", "succeeded")
    bad = wait_for(lambda: (x := links(daemon, "bad")["bad/0"]) and evidence(x, "log") and x)
    assert place(daemon, bad)[0] == "retries" and evidence(bad, "next") == ["a task that has ended"]
    assert evidence(bad, "log") == ["no input"] and evidence(bad, "exit")[0].startswith("exit code 4 after")
    reply = why(daemon, "good")
    assert reply["fine"] and [x["text"] for x in reply["links"]] == ["it has succeeded"]
    late = wait_for(lambda: (x := links(daemon, "late")["late"]) and evidence(x, "next") and x)
    following = [e for e in late["evidence"] if e["kind"] == "next"][0]
    assert following["text"] == "the next run" and following["at"] == daemon.ps()["late"]["next_run_at"]
    assert place(daemon, late)[0] == "schedule"


def test_hooks(daemon):
    """One that runs before the start, and one that failed."""
    def hook(script):
        return {"pre_start": [{"exec": {"command": ["/bin/sh", "-c", script]}, "timeout": "60s"}]}
    daemon.apply({"slow": daemon.service("pause", hooks=hook("echo fetching; exec sleep 50"), stop={"grace_period": "1s"}),
                  "bad": daemon.service("pause", hooks=hook("echo no disk; exit 3"), restart="never")}, wait=False)
    slow = wait_for(lambda: (x := links(daemon, "slow").get("slow/0")) and evidence(x, "hook") and x)
    assert evidence(slow, "hook") == ["its pre_start hook runs"]
    assert place(daemon, slow)[0] == "hooks.pre_start"
    daemon.wait_state("bad", "failed")
    bad = links(daemon, "bad")["bad/0"]
    assert "hooks.pre_start[0]: exit code 3" in bad["text"]
    assert place(daemon, bad)[0] in ("hooks", "hooks.pre_start")


def test_restarted_and_well_again(daemon):
    """Why did it restart? Also when all is well since."""
    daemon.apply({"a": daemon.shell("echo hello; exec sleep 1000", restart=AT_ONCE)})
    pid = daemon.pid_of("a")
    wait_for(lambda: daemon.logged("a"))
    os.kill(pid, signal.SIGSEGV)
    daemon.wait_new_pid("a", pid)
    daemon.wait_state("a", "ready")
    reply = why(daemon, "a")
    assert reply["fine"] and [link["what"] for link in reply["links"]] == ["a", "a/0"]
    link = reply["links"][1]
    assert link["text"].startswith("restarted 1 time") and evidence(link, "log") == ["hello"]
    assert evidence(link, "exit")[0].startswith("signal SIGSEGV after ")


def test_unknown_ones_and_formats(daemon):
    daemon.apply({"a": daemon.service("pause")})
    assert daemon.cli("why", "nobody")[0] == 4
    rc, _, err = daemon.cli("why", "a/7")
    assert rc == 4 and 'no replica "a/7"' in err
    assert json.loads(daemon.ok("why", "-o", "json", "a"))["links"][0]["what"] == "a"
    assert daemon.ok("why", "-o", "name", "a") == "a\n"
    assert "what: a\n" in daemon.ok("why", "-o", "yaml", "a")
    assert "\x1b" not in daemon.ok("why", "a")
    assert daemon.api("GET", "/v1/services/a/why?replica=x")[0] == 400


@needs_fuse
def test_a_hung_log_does_not_keep_the_answer(start, hung):  # noqa: F811
    """The directory of its log never answers: the rest is told all the same, also to the next ones who ask."""
    daemon = start()
    daemon.apply({"a": daemon.shell("echo x; exit 1", restart=SLOWLY)}, wait=False)
    daemon.wait_state("a", "degraded")
    wait_for(lambda: evidence(links(daemon, "a")["a/0"], "log"))
    path, _ = hung("unread")
    log = os.path.join(daemon.log_dir, "a")
    subprocess.run(["mount", "--bind", path, log], check=True, timeout=20)
    try:
        for _ in range(4):
            reply = daemon.get("/v1/services/a/why")
            assert not reply["logs_read"] and evidence(reply["links"][1], "exit") and not evidence(reply["links"][1], "log")
        assert "the log could not be read in time" in daemon.ok("why", "a")
        daemon.apply({"b": daemon.service("pause")}, name="two")  # nothing else waits for it
    finally:
        subprocess.run(["umount", "-l", log], check=True, timeout=20)


def test_out_of_memory(daemon):
    if "memory" not in daemon.get("/v1/daemon")["cgroup"]["can"]:
        pytest.skip("no memory controller in our cgroup: nobody keeps a limit here")
    eat = {"command": ["/usr/bin/python3", "-c", "print('loading', flush=True); x = bytearray(1 << 30)"]}
    limits = {"resources": {"limits": {"memory": "64MiB", "swap": 0}}, "restart": SLOWLY}
    daemon.apply({"a": {**daemon.service(**limits), **eat}}, wait=False)
    wait_for(lambda: daemon.replica("a")["state"] == "backoff")
    link = links(daemon, "a")["a/0"]
    assert link["text"] == "signal KILL (oom: memory limit 64MiB)" and "cause: oom" in evidence(link, "exit")[0]
    assert place(daemon, link)[0] == "resources.limits.memory" and evidence(link, "log") == ["loading"]


def test_memory_in_use(daemon):
    """Of one that runs, against the limit; one that nobody keeps here is no evidence."""
    kept = "memory" in daemon.get("/v1/daemon")["cgroup"]["can"]
    daemon.apply({"a": daemon.service("http", "600000", port=next(PORTS), probes=NEVER,
                                      resources={"limits": {"memory": "64MiB"}})}, wait=False)
    wait_for(lambda: daemon.replica("a")["pid"])
    said = evidence(links(daemon, "a")["a/0"], "memory")
    assert re.fullmatch(r"(\d+MiB|0B?) of 64MiB in use", said[0]) if kept else not said
