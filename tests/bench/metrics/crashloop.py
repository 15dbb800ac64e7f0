"""What a crash loop costs: CPU time of our processes while a service exits at once, at the default
back-off (1 s, doubling). Its own children, and so the crashing service itself, are counted.

SPDX-License-Identifier: MIT
"""
import time

import procfs
from report import Result

BAR = 1.0  # per cent of one core


def run(bench):
    peer = bench.make_peer("aictl", 1)
    slot = peer.first
    peer.parts[slot] = "exit"
    peer.configure_with({"crash": peer.service(slot)})
    peer.start()
    bench.beats.wait_start(slot, 0)
    starts, cpu_s, started = bench.beats.starts(slot), used(peer), time.monotonic()
    time.sleep(bench.options.seconds)
    wall_s = time.monotonic() - started
    percent = 100 * (used(peer) - cpu_s) / wall_s
    attempts = bench.beats.starts(slot) - starts
    bench.stop_peers([peer])
    told = "better" if percent < BAR else "worse"
    data = {"bar": BAR, "percent": percent, "attempts": attempts, "wall_s": wall_s,
            "verdict": told, "version": peer.version()}
    rows = [["aictl", f"{percent:.3f}", str(attempts), f"{wall_s:.0f}", told]]
    columns = ["peer", "CPU %", "restarts", "seconds", f"against {BAR} %"]
    return Result("crashloop", "Crash loop at the default back-off", columns, rows, data)


def used(peer):
    """CPU seconds so far: threads to the nanosecond, reaped children to the tick."""
    pids = peer.pids()
    return sum(procfs.cpu_seconds(p) for p in pids) + procfs.reaped_cpu_seconds(pids[0])
