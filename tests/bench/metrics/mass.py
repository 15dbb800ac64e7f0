"""Mass crash: SIGKILL of all N processes at once, to the first instruction of the last successor.

SPDX-License-Identifier: MIT
"""
import time

import adapters
import procfs
import scale
from beats import PID
from metrics import start
from report import Result


def rounds(options):
    return options.scale_rounds


def sample(bench, peer):
    scale.ensure_started(bench, peer)
    time.sleep(max(peer.settle, scale.QUIET_S))
    pids = bench.beats.column(peer.slots(), PID)
    cpu_s, begin_ns = peer.cpu.seconds(), time.monotonic_ns()
    for pid in pids:
        procfs.kill(pid)
    last_ns = bench.beats.wait_all(peer.slots(), begin_ns, peer.timeout)
    used = None if cpu_s is None else peer.cpu.seconds() - cpu_s
    return {"ms": (last_ns - begin_ns) / 1e6, "cpu_s": used}


def result(bench, samples) -> Result:
    title = f"Mass crash of {bench.options.replicas}; bar {start.BAR}x {adapters.FLOOR_LOG}"
    return start.against_floor("mass", title, samples)
