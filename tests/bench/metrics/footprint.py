"""Memory of the supervisor with N processes under it: proportional set size of all that is not a
supervised process, and what each one adds in private memory.

SPDX-License-Identifier: MIT
"""
import time

import scale
import usage
from metrics import start
from report import Result

BAR_PSS = 20e6       # bytes
BAR_REPLICA = 4096   # bytes, private, each
COLUMNS = ["peer", "processes", "PSS MB", "private KiB each", "n", "bar 20 MB, 4 KiB"]


def rounds(options):
    return options.slow_rounds


def sample(bench, peer):
    scale.ensure_started(bench, peer)
    time.sleep(scale.QUIET_S)
    pids = peer.pids()
    memory = usage.memory(pids)
    before = empty(bench, peer)
    return {"processes": len(pids), "pss": memory["pss"],
            "each": (memory["private"] - before["private"]) / max(peer.n, 1)}


def empty(bench, peer):
    """Memory of the same peer with nothing to supervise."""
    other = bench.make_like(peer, 0)
    other.configure()
    try:
        other.start()
        time.sleep(scale.QUIET_S)
        return usage.memory(other.pids())
    finally:
        bench.stop_peers([other], alone=False)


def result(bench, samples):
    rows, data = [], {"bar_pss": BAR_PSS, "bar_each": BAR_REPLICA, "peers": {}}
    for peer, rounds_ in start.in_order(samples.peers):
        pss = scale.summary(samples.column(peer, "pss").values())
        each = scale.summary(samples.column(peer, "each").values())
        processes = max(f["processes"] for f in rounds_.values())
        told = ""
        if peer.startswith("aictl"):
            met = max(samples.column(peer, "pss").values()) <= BAR_PSS
            met_each = max(samples.column(peer, "each").values()) <= BAR_REPLICA
            told = f"{'better' if met else 'worse'}, {'better' if met_each else 'worse'}"
        rows.append([peer, str(processes), f"{pss['median'] / 1e6:.2f}",
                     f"{each['median'] / 1024:.2f}", str(pss["n"]), told])
        data["peers"][peer] = {"processes": processes, "pss": pss, "private_each": each,
                               "verdict": told}
    title = f"Memory with {bench.options.replicas}"
    return Result("footprint", title, COLUMNS, rows, data)
