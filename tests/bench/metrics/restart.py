"""Restart latency: SIGKILL of a probe to the first instruction of its successor.

All peers run side by side, idle but for the one whose turn it is. A round kills one process of
each, in random order; the sample of a peer is its time, and its ratio to the floor of that round.

SPDX-License-Identifier: MIT
"""
import random
import time

import adapters
import procfs
import stats
from report import Result

BAR = 1.5  # DESIGN: times limit-clone3, one replica, no probe, logs captured
QUIET = 0.02  # seconds before a kill: the previous restart's work is over


def run(bench):
    names = bench.usable_peers(adapters.SIDE_BY_SIDE, always=adapters.FLOOR)
    running = bench.start_peers(names, bench.options.services)
    samples = {name: [] for name in running}
    order = list(running)
    rng = random.Random(1)
    settle = max(peer.settle for peer in running.values())
    for n in range(bench.options.rounds):
        time.sleep(settle)
        rng.shuffle(order)
        for name in order:
            samples[name].append(kill_one(bench, running[name], n))
    bench.stop_peers(running.values())
    return result(bench, running, samples)


def kill_one(bench, peer, n):
    """Milliseconds from the kill to the successor's first instruction."""
    slot = peer.first + n % peer.n
    time.sleep(QUIET)
    killed_ns = time.monotonic_ns()
    if not procfs.kill(bench.beats.pid(slot)):
        raise RuntimeError(f"probe {slot} was not running")
    return (bench.beats.wait_start(slot, killed_ns) - killed_ns) / 1e6


def result(bench, running, samples):
    floor = samples[adapters.FLOOR]
    rows, data = [], {"bar": BAR, "services": bench.options.services, "peers": {}}
    for name, values in samples.items():
        ms = stats.summary(values)
        ratio = stats.summary([value / base for value, base in zip(values, floor)])
        told = stats.verdict(ratio, BAR) if name == "aictl" else ""
        rows.append([name, f"{ms['median']:.3f} ({ms['low']:.3f}..{ms['high']:.3f})",
                     f"{ratio['median']:.2f} ({ratio['low']:.2f}..{ratio['high']:.2f})",
                     str(ms["n"]), told])
        data["peers"][name] = {"ms": ms, "ratio": ratio, "verdict": told, "samples_ms": values,
                               "version": running[name].version(),
                               "policy": running[name].policy}
    title = f"Restart, SIGKILL to first instruction; bar {BAR}x {adapters.FLOOR}"
    columns = ["peer", "ms: median (90 %)", "x floor: median (90 %)", "n", f"against {BAR}x"]
    return Result("restart", title, columns, rows, data)
