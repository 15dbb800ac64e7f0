"""What the supervisor does when nothing is due: context switches and CPU time of its processes
while N of theirs run, with no probe.

SPDX-License-Identifier: MIT
"""
import time

import procfs
import scale
import usage
from metrics import start
from report import Result

BAR = 0  # context switches
SETTLE = 1 / 2  # of the window, before it: what is due soon after a start is over
COLUMNS = ["peer", "context switches", "CPU ms", "windows", f"bar {BAR}"]


def rounds(options):
    return options.idle_rounds


def sample(bench, peer):
    scale.ensure_started(bench, peer)
    time.sleep(SETTLE * bench.options.idle_seconds)
    pids = peer.pids()
    switches, cpu_s = usage.switches(pids), sum(map(procfs.cpu_seconds, pids))
    time.sleep(bench.options.idle_seconds)
    return {"switches": usage.switches(pids) - switches,
            "cpu_ms": 1e3 * (sum(map(procfs.cpu_seconds, pids)) - cpu_s)}


def result(bench, samples):
    rows, data = [], {"bar": BAR, "seconds": bench.options.idle_seconds, "peers": {}}
    for peer, _ in start.in_order(samples.peers):
        switches = list(samples.column(peer, "switches").values())
        cpu_ms = list(samples.column(peer, "cpu_ms").values())
        told = ""
        if peer.startswith("aictl"):
            told = "better" if max(switches) <= BAR else "worse"
        rows.append([peer, " ".join(map(str, switches)), " ".join(f"{c:.1f}" for c in cpu_ms),
                     str(len(switches)), told])
        data["peers"][peer] = {"switches": switches, "cpu_ms": cpu_ms, "verdict": told}
    title = f"Idle for {bench.options.idle_seconds:g} s with {bench.options.replicas}"
    return Result("idle", title, COLUMNS, rows, data)
