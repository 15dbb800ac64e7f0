"""Cold start: the supervisor with its configuration in place, to the first instruction of the last
of N processes.

SPDX-License-Identifier: MIT
"""
import adapters
import scale
import stats
from report import Result

BAR = 1.5  # times limit-log, the bare loop with a pipe and a file for each
COLUMNS = ["peer", "ms: median (90 %)", "x floor", "CPU s", "x floor", "n", f"against {BAR}x"]


def rounds(options):
    return options.scale_rounds


def sample(bench, peer):
    return scale.start(bench, peer)


def result(bench, samples):
    title = f"Cold start of {bench.options.replicas}; bar {BAR}x {adapters.FLOOR_LOG}"
    return against_floor("start", title, samples)


def against_floor(name, title, samples):
    """The table that start and mass share."""
    floor, rows, data = adapters.FLOOR_LOG, [], {"bar": BAR, "peers": {}}
    for peer, figures in in_order(scale.compare(samples, floor, ("ms", "cpu_s"))):
        (ms, ratio), (cpu, cpu_ratio) = figures["ms"], figures["cpu_s"]
        told = told_cpu = ""
        if peer.startswith("aictl"):
            told = stats.verdict(ratio, BAR)
            told_cpu = stats.verdict(cpu_ratio, BAR)
        rows.append([peer, scale.show(ms), scale.show(ratio, 2), scale.show(cpu, 2),
                     scale.show(cpu_ratio, 2), str(ms["n"]),
                     told and f"{told} (CPU {told_cpu})"])
        data["peers"][peer] = {"ms": ms, "ratio": ratio, "cpu_s": cpu, "cpu_ratio": cpu_ratio,
                               "verdict": told, "verdict_cpu": told_cpu,
                               "samples": samples.peers[peer]}
    return Result(name, title, COLUMNS, rows, data)


def in_order(by_peer):
    return sorted(by_peer.items(), key=lambda item: list(adapters.PEERS).index(item[0]))
