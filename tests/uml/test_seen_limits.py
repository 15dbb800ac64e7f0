"""What a user sees of limits where the kernel keeps them: no warning, out of memory as the cause of
an exit, a change of a limit while the process runs, and what is used as the kernel counts it.

SPDX-License-Identifier: MIT
"""
import os
import signal

import procfs
from harness import wait_for

AT_ONCE = {"backoff": {"initial": 0}}
# Holds what it has, takes more when told to by SIGUSR1: 64 MiB at a time.
EATER = """
import signal
held = []
signal.signal(signal.SIGUSR1, lambda *_: held.append(bytearray(b"x") * (64 << 20)))
while True:
    signal.pause()
"""


def eater(daemon, **limits):
    service = daemon.service(resources={"required": True, "limits": limits}, restart=AT_ONCE)
    return {**service, "command": ["/usr/bin/python3", "-c", EATER]}


def eat(daemon, pid):
    """Once it listens."""
    def caught():
        return int(procfs.read(f"/proc/{pid}/status").split("SigCgt:")[1].split()[0], 16)
    wait_for(lambda: caught() >> (signal.SIGUSR1 - 1) & 1, what="its handler")
    daemon.ok("kill", "-s", "USR1", "big")


def limit_of(daemon, service, file):
    directory = daemon.get("/v1/daemon")["cgroup"]["dir"]
    return procfs.read(f"{directory}/{service}.0/{file}").strip()


def used(daemon, service):
    return daemon.get(f"/v1/services/{service}?usage=1")["replicas"][0]["usage"]


def test_out_of_memory_is_the_cause_of_an_exit(daemon):
    path = daemon.write({"version": 1, "name": "shop", "services": {"big": eater(daemon, memory="48MiB", swap=0)}})
    code, _, said = daemon.cli("apply", "-f", path, "--wait", "--timeout", "100s", timeout=150)
    assert code == 0 and "not enforced" not in said, said
    assert limit_of(daemon, "big", "memory.max") == str(48 << 20)
    assert limit_of(daemon, "big", "memory.swap.max") in ("0", "")
    assert limit_of(daemon, "big", "memory.oom.group") == "1"
    old = daemon.pid_of("big")
    eat(daemon, old)
    daemon.wait_new_pid("big", old, timeout=60)
    replica = daemon.replica("big")
    assert replica["last_exit"]["cause"] == "oom" and replica["last_exit"]["signal"] == "SIGKILL", replica
    assert any(e["message"] == "signal KILL (oom: memory limit 48MiB)" for e in daemon.events("big"))
    assert "signal SIGKILL (oom)" in daemon.ok("describe", "big")
    said = daemon.ok("why", "big")
    assert "signal SIGKILL after" in said and "cause: oom" in said and ": resources.limits.memory" in said, said
    assert "of 48MiB in use" in said


def test_a_limit_changes_while_the_process_runs(daemon):
    daemon.apply({"big": eater(daemon, memory="48MiB", swap=0, pids=50, cpus=0.5)}, timeout=100)
    old = daemon.pid_of("big")
    assert limit_of(daemon, "big", "cpu.max") == "50000 100000"
    daemon.apply({"big": eater(daemon, memory="200MiB", swap=0, pids=60, cpus=2)}, timeout=100)
    wait_for(lambda: limit_of(daemon, "big", "memory.max") == str(200 << 20), what="the new limit")
    wait_for(lambda: limit_of(daemon, "big", "pids.max") == "60")
    wait_for(lambda: limit_of(daemon, "big", "cpu.max") == "200000 100000")
    eat(daemon, old)  # would have been too much
    wait_for(lambda: used(daemon, "big")["memory_bytes"] > 64 << 20, what=lambda: used(daemon, "big"))
    assert daemon.pid_of("big") == old and used(daemon, "big")["source"] == "cgroup"
    assert "MiB" in daemon.ok("ps", "-o", "wide")
    # no limit any more, told by the next controller: the one that took the apply is dead
    controller = daemon.helper("controller")
    daemon.apply({"big": eater(daemon, memory="200MiB", swap=0)}, timeout=100)
    os.kill(controller, signal.SIGKILL)
    wait_for(lambda: limit_of(daemon, "big", "pids.max") == "max", what="no limit")
    assert limit_of(daemon, "big", "cpu.max").startswith("max ") and daemon.pid_of("big") == old


def test_what_is_missing_is_named(daemon):
    """cpuset is not in this kernel."""
    assert "cpuset" not in daemon.get("/v1/daemon")["cgroup"]["can"]
    path = daemon.write({"version": 1, "name": "shop", "services": {"big": eater(daemon, memory="48MiB", cpuset="0")}})
    code, _, said = daemon.cli("apply", "-f", path)
    assert code == 9 and "resources.limits.cpuset cannot be enforced here: no cpuset controller" in said


def test_a_required_limit_that_got_lost_stops_a_start(daemon):
    """Applied where it could be enforced; now the daemon may use no cgroup."""
    daemon.apply({"big": eater(daemon, memory="48MiB", swap=0)}, timeout=100)
    assert daemon.stop(60) == 0
    daemon.args += ["--cgroup", "none"]
    daemon.start()
    wait_for(lambda: "resources.limits.memory is required and cannot be enforced" in
             (daemon.replica("big") or {"message": ""})["message"], what=daemon.ps)
    assert daemon.pid_of("big") is None
