"""What a user reads: counts that are true, places that are named, words of other tools.

SPDX-License-Identifier: MIT
"""
import os
import subprocess

import pytest

from harness import AS_ROOT, wait_for

LONG_BACKOFF = {"backoff": {"initial": "10m", "max": "10m", "jitter": 0}}


def with_one_in_backoff(d):
    """Two replicas that run, and a service between two attempts."""
    d.apply({"runs": d.service("pause", replicas=2), "dies": d.shell("exit 3", restart=LONG_BACKOFF)},
            wait=False)
    d.wait_state("runs", "ready")
    wait_for(lambda: (r := d.replica("dies")) and r["state"] == "backoff", what=d.ps)


def test_what_runs_on_is_counted(daemon):
    with_one_in_backoff(daemon)
    out = daemon.ok("daemon", "info")
    assert "2, 3 replicas, 2 of them running" in out, out
    out = daemon.ok("daemon", "reexec")
    assert "as before, 2 replicas run on, 1 has no process" in out, out
    out = daemon.ok("daemon", "detach")
    assert "has ended, 2 replicas run on, 1 has no process" in out, out
    daemon.wait()
    daemon.start_again()
    wait_for(daemon.answers)
    assert daemon.get("/v1/daemon")["running"] == 2


def test_daemon_info_names_the_cgroups(daemon):
    lines = {line.split()[0]: line for line in daemon.ok("daemon", "info").splitlines()}
    cgroup = daemon.get("/v1/daemon")["cgroup"]
    if cgroup["dir"]:
        assert f"{cgroup['dir']}: tracking, freezing, " in lines["Cgroups"]
        assert all(word in lines["Cgroups"] for word in cgroup["can"] if word != "track")
    else:
        assert "none: no limits, no freezing" in lines["Cgroups"]


def test_daemon_info_without_cgroups(start):
    out = start("--cgroup", "none").ok("daemon", "info")
    assert "Cgroups      none: no limits, no freezing (see aictl doctor)" in out, out


def test_the_brief_list_is_the_list_with_less(daemon):
    with_one_in_backoff(daemon)
    whole, brief = (daemon.get("/v1/services" + query)["services"] for query in ("", "?brief=1"))
    for full, short in zip(whole, brief):
        assert set(full) - set(short) == {"traffic"}
        assert {k: v for k, v in full.items() if k not in ("replicas", "traffic")} == \
            {k: v for k, v in short.items() if k != "replicas"}
        for all_, few in zip(full["replicas"], short["replicas"]):
            assert len(few) < len(all_)
            assert few == {k: all_[k] for k in few}, (few, all_)
            assert None not in few.values()
    assert [len(s["replicas"]) for s in brief] == [1, 2]
    status, answer = daemon.api("GET", "/v1/services?brief=2")
    assert status == 400, answer


def test_events_of_a_replica(daemon):
    daemon.apply({"runs": daemon.service("pause", replicas=2)})
    daemon.ok("restart", "runs/1")
    every = daemon.events("runs")
    one = [e for e in every if e["replica"] == 1]
    assert one and len(one) < len(every)
    assert daemon.events("runs/1") == one
    lines = daemon.ok("events", "runs/1").splitlines()
    assert len(lines) == 1 + len(one) and all("runs/1" in line for line in lines[1:]), lines
    code, _, said = daemon.cli("events", "runs/7")
    assert code == 4 and 'no replica "runs/7", and no events of one' in said
    code, _, said = daemon.cli("events", "runs/x")
    assert code == 2 and "a replica is written SERVICE/INDEX" in said


def test_logs_in_the_words_of_docker_and_kubectl(daemon):
    daemon.apply({"says": daemon.shell("for i in 1 2 3; do echo line $i; done; exec sleep 1000")})
    wait_for(lambda: len(daemon.logged("says")) == 3)
    assert daemon.ok("logs", "--tail", "1", "--no-log-prefix", "says") == "line 3\n"
    assert daemon.ok("logs", "--tail=-1", "says") == daemon.ok("logs", "--tail", "all", "says") \
        == daemon.ok("logs", "says")
    assert daemon.ok("logs", "--since", "1h", "says").count("line") == 3
    assert daemon.ok("logs", "--since", "2999-01-02T03:04:05Z", "says") == ""
    code, _, said = daemon.cli("logs", "--since", "soon", "says")
    assert code == 2 and "expected a duration such as 10m" in said


def test_logs_of_a_deleted_service(daemon):
    daemon.apply({"gone": daemon.shell("echo last words; exec sleep 1000")})
    wait_for(lambda: daemon.logged("gone"))
    daemon.ok("delete", "gone")
    assert "gone" not in daemon.ps()
    assert "last words" in daemon.ok("logs", "gone")
    assert "last words" in daemon.ok("logs", "gone/0")
    code, _, said = daemon.cli("logs", "never")
    assert code == 4 and 'no service "never"' in said, said


def test_what_has_ended_is_stopped(daemon):
    once = {"policy": "never"}
    daemon.apply({"job": daemon.shell("exit 0", restart=once), "bad": daemon.shell("exit 1", restart=once),
                  "runs": daemon.service("pause")}, wait=False)
    assert daemon.ok("wait", "--for", "stopped", "--timeout", "20s", "job").split() == ["job", "succeeded"]
    assert daemon.ok("wait", "--for", "stopped", "--timeout", "20s", "bad").split() == ["bad", "failed"]
    code, _, said = daemon.cli("wait", "--for", "stopped", "--timeout", "300ms", "runs")
    assert code == 5 and "timed out: runs is ready" in said and "hint: see: aictl describe runs" in said


def waiting_for(daemon, service):
    wait_for(lambda: (r := daemon.replica(service)) and r["state"] == "backoff", what=daemon.ps)
    return daemon.replica(service)["message"]


def test_what_execve_does_not_take_is_said_with_sizes(daemon):
    daemon.apply({"one": daemon.service("pause", environment={"BIG": "x" * 200000}, restart=LONG_BACKOFF)}, wait=False)
    said = waiting_for(daemon, "one")
    assert "environment: BIG has 200005 bytes, the kernel takes at most 131072" in said
    many = {f"V{i}": "y" * 90000 for i in range(10)}
    small = {"stack": 1 << 20}
    daemon.apply({"all": daemon.service("pause", environment=many, ulimits=small, restart=LONG_BACKOFF)}, wait=False,
                 name="other")
    said = waiting_for(daemon, "all")
    assert "command and environment have 90" in said and "at most 262144 (a quarter of ulimits.stack" in said
    # what just fits is not refused
    daemon.apply({"fits": daemon.service("pause", environment={"BIG": "x" * (131072 - 5)})}, name="third")


def test_a_tilde_in_working_dir_is_an_error(daemon):
    path = daemon.write({"version": 1, "services": {"a": daemon.service("pause", working_dir="~/x")}})
    code, _, said = daemon.cli("apply", "-f", path)
    assert code == 9 and 'working_dir: "~" is not replaced here' in said and "./~" in said
    assert daemon.ps() == {}


@pytest.mark.skipif(not AS_ROOT, reason="makes a file of a cgroup unwritable: needs root")
def test_who_asks_for_freezing_learns_that_it_failed(daemon):
    directory = daemon.get("/v1/daemon")["cgroup"]["dir"]
    if not directory:
        pytest.skip("no cgroup2 tree here")
    daemon.apply({"web": daemon.service("pause", replicas=2)})
    path = os.path.join(directory, "web.1", "cgroup.freeze")
    if subprocess.run(["mount", "--bind", "/dev/full", path], check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        code, _, said = daemon.cli("freeze", "--timeout", "20s", "web/1")
        assert code == 1 and 'the kernel has not frozen "web/1"' in said, said
        code, _, said = daemon.cli("freeze", "--timeout", "20s", "web")
        assert code == 1 and 'the kernel has not frozen "web/1"' in said, said
    finally:
        subprocess.run(["umount", path], check=True)
    said = [e["message"] for e in daemon.events("web/1") if e["reason"] == "freeze_failed"]
    assert said == ["cannot be frozen: No space left on device"] * 2
    wait_for(lambda: daemon.replica("web")["frozen"])
    assert not daemon.replica("web", 1)["frozen"]
    daemon.ok("freeze", "web")
    daemon.ok("thaw", "web")
    assert not daemon.replica("web", 1)["frozen"]


def test_what_cannot_start_names_the_file(daemon):
    never = {"policy": "never"}
    daemon.apply({"program": {**daemon.service(restart=never), "command": ["no-such-program"]},
                  "directory": daemon.service("pause", restart=never, working_dir="/no/such/directory")}, wait=False)
    for name, text in {"program": "cannot start: exec no-such-program: No such file or directory",
                       "directory": "cannot start: chdir /no/such/directory: No such file or directory"}.items():
        assert daemon.wait_state(name, "failed")["message"] == text


def test_a_spent_budget_is_said_and_where_to_look(daemon):
    probe = {"readiness": {"exec": {"command": ["/bin/false"]}}}  # lest it be ready for a moment
    path = daemon.write({"version": 1, "services": {"dies": daemon.shell("exit 3", probes=probe, restart={
        "backoff": {"initial": "20ms", "jitter": 0}, "budget": {"restarts": 2, "window": "1m", "then": "fail"}})}})
    code, _, said = daemon.cli("apply", "-f", path, "--wait", "--timeout", "20s")
    assert code == 1 and 'service "dies" failed: exit code 3; given up: restart.budget of 2 is spent' in said
    assert "hint: dies is failed (0/1 ready), see: aictl describe dies, aictl logs dies" in said, said
    assert daemon.replica("dies")["reason"] == "budget_spent"
