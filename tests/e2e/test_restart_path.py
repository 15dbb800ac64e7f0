"""What a restart costs and leaves behind: no descriptor, and no file-system call on its way.

SPDX-License-Identifier: MIT
"""
import os
import re
import shutil
import signal

import pytest

import procfs
from harness import wait_for

AT_ONCE = {"backoff": {"initial": 0}, "budget": {"restarts": 0}}
RESTARTS, REPLICAS = 1000, 50
# Calls that name a file, and those that write one through a descriptor.
BY_FD = ("write", "pwrite64", "writev", "pwritev", "splice", "fsync", "fdatasync", "ftruncate",
         "fallocate")
LINE = re.compile(r"(?P<pid>\d+) +[\d.]+ (?:<\.\.\. )?(?P<rest>(?P<call>\w*).*)")


def test_no_descriptor_is_left_after_a_thousand_restarts(daemon):
    daemon.apply({"many": daemon.service("pause", replicas=REPLICAS, restart=AT_ONCE)})
    ours = daemon.our_pids()

    def counts():
        return [len(procfs.fds(p)) for p in ours]
    wait_for(lambda: daemon.ps()["many"]["ready"] == REPLICAS, what=daemon.ps)
    replace_all(daemon)  # lazily opened files are open now
    before = steady(counts)
    for _ in range(RESTARTS // REPLICAS):
        replace_all(daemon)
    wait_for(lambda: counts() <= before, what=lambda: f"descriptors {before} -> {counts()}")
    assert daemon.our_pids() == ours
    assert {r["restarts"] for r in daemon.ps()["many"]["replicas"]} == {RESTARTS // REPLICAS + 1}


def steady(look):
    """What ten looks in a row agree on: the logger lets go of old pipes, and the store writes, a little later."""
    last, same = look(), 0

    def settled():
        nonlocal last, same
        now = look()
        last, same = now, same + 1 if now == last else 0
        return same >= 10
    wait_for(settled, what=lambda: f"it settles: {last}")
    return last


def replace_all(daemon):
    old = daemon.pids("many")
    for pid in old.values():
        procfs.kill(pid)
    wait_for(lambda: (s := daemon.ps()["many"])["ready"] == REPLICAS
             and not {r["pid"] for r in s["replicas"]} & set(old.values()), 60, "all replaced")


@pytest.mark.needs_root
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_no_file_system_call_between_exit_and_exec(daemon):
    daemon.apply({"one": daemon.service("pause", restart=AT_ONCE)})
    trace = os.path.join(daemon.base, "trace")
    old = daemon.pid_of("one")
    tracer = attach(trace, [*daemon.our_pids(), old])
    for _ in range(5):
        steady(lambda: os.path.getsize(trace))  # what is written of the last one is written
        procfs.kill(old)
        new = daemon.wait_new_pid("one", old)
        started = re.compile(rf"^{new} .*execve.* = 0\n", re.MULTILINE)
        wait_for(lambda s=started: s.search(procfs.read(trace)), what="the new one in the trace")
        slot_is_clean(procfs.read(trace).splitlines(), old, daemon)
        old = new
    tracer.send_signal(signal.SIGINT)
    tracer.wait(20)


def attach(trace, pids):
    """strace on all of them; skips the test where ptrace is refused."""
    process = procfs.popen(["strace", "-f", "-y", "-ttt", "-o", trace, "-e",
                            f"trace=%file,{','.join(BY_FD)}",
                            *(a for pid in pids for a in ("-p", str(pid)))], stderr=-1, text=True)
    for _ in pids:
        line = process.stderr.readline()
        if "attached" not in line:
            process.kill()
            process.wait()
            pytest.skip(f"strace cannot attach: {line.strip()}")
    return process


def slot_is_clean(lines, old, daemon):
    """Between the end of `old` and the next successful execve only the child may touch files. The store's
    thread, and who reads a former end's last lines, do not count: nobody waits for them."""
    foreign, begun, ended, ours = [], False, False, daemon.our_pids()
    for line in lines:
        found = LINE.fullmatch(line)
        if not found:
            continue  # the last line is still being written
        pid = int(found["pid"])
        if pid == old and "+++" in line:
            ended = True
        elif ended and found["call"] == "execve":
            begun = True
            if line.endswith("= 0"):
                break
        elif ended and pid in ours and touches_files(found, daemon):
            foreign.append(line)
    assert ended and begun, lines[-20:]
    assert not foreign, "\n".join(foreign)


def touches_files(found, daemon):
    """By name always; by descriptor where that is a file of ours (stderr is the starter's)."""
    if found["call"] in BY_FD:
        return f"<{daemon.base}/" in found["rest"] and f"<{daemon.own_log}>" not in found["rest"]
    if found["call"] == "newfstatat" and re.search("<pipe:|S_IFIFO", found["rest"]):
        return False  # of a descriptor: which pipe it is
    return bool(found["call"])  # else a signal, or the end of another process
