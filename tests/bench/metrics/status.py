"""The state of N processes as a person asks for it: `aictl ps` and its like, into /dev/null.

All peers run side by side and are asked in turn, in random order. CPU time is the command's own and
that of the supervisor's processes while it ran.

SPDX-License-Identifier: MIT
"""
import os
import random
import time

import adapters
import procfs
import scale
import stats
from metrics import start
from report import Result

BAR = 0.5
FLOOR = "runit"  # sv status
COLUMNS = ["peer", "ms: median (90 %)", f"x {FLOOR}", "CPU ms", f"x {FLOOR}", "n",
           f"against {BAR}x"]


def run(bench):
    names = bench.usable_peers(adapters.SIDE_BY_SIDE)
    running = bench.start_peers(names, bench.options.replicas)
    names = [name for name in names if running[name].status_command()]
    time.sleep(scale.QUIET_S)
    samples, rng = scale.Samples(), random.Random(1)
    for n in range(bench.options.scale_rounds):
        rng.shuffle(names)
        for name in names:
            samples.add(name, n, ask(running[name]))
    bench.stop_peers(running.values())
    return result(bench, samples)


def ask(peer):
    command, pids = peer.status_command(), peer.pids()
    cpu_s = sum(map(procfs.cpu_seconds, pids))
    begin_ns = time.monotonic_ns()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, used = os.wait4(pid, 0)
    end_ns = time.monotonic_ns()
    if status != 0:
        raise RuntimeError(f"{command[0]}: status {status}")
    cpu_s = sum(map(procfs.cpu_seconds, pids)) - cpu_s + used.ru_utime + used.ru_stime
    return {"ms": (end_ns - begin_ns) / 1e6, "cpu_ms": cpu_s * 1e3}


def result(bench, samples):
    rows, data = [], {"bar": BAR, "peers": {}}
    for peer, figures in start.in_order(scale.compare(samples, FLOOR, ("ms", "cpu_ms"))):
        (ms, ratio), (cpu, cpu_ratio) = figures["ms"], figures["cpu_ms"]
        told = ""
        if peer.startswith("aictl") and ratio:
            told = f"{stats.verdict(ratio, BAR)} (CPU {stats.verdict(cpu_ratio, BAR)})"
        rows.append([peer, scale.show(ms, 1), scale.show(ratio, 2), scale.show(cpu, 1),
                     scale.show(cpu_ratio, 2), str(ms["n"]), told])
        data["peers"][peer] = {"ms": ms, "ratio": ratio, "cpu_ms": cpu, "cpu_ratio": cpu_ratio,
                               "verdict": told}
    title = f"State of {bench.options.replicas}; bar {BAR}x {FLOOR}"
    return Result("status", title, COLUMNS, rows, data)
