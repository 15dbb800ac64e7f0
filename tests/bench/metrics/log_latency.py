"""From the write of a single line to whoever follows the log: `aictl logs -f`, else `tail -F` of the
file that the peer writes. Nothing else happens; the line holds the time of its write. Of aictl
also while another service writes as fast as it can, and while what another one wrote is compressed.

SPDX-License-Identifier: MIT
"""
import subprocess
import time

import logload
import scale
import stats
from adapters.base import LOG_SIZE
from report import Result

BAR, BAR_BESIDE = 5.0, 100.0  # ms
EVERY_MS = 150
SKIP = 5  # lines: what comes first is the follower's start
PEERS = ("limit-log", "aictl", "supervisord", "s6-log", "runit-log", "pm2")
FLOOD = logload.Case("burst:1000000000000:65400", 0, n=2, log_size=LOG_SIZE)
PACKED = logload.Case("rate:50000000:3600", 0, n=2, log_size=LOG_SIZE, compress=True)
COLUMNS = ["peer", "ms: median (90 %)", "most ms", "n", "bar ms", "verdict"]


def run(bench):
    rows, data = [], {"peers": {}}
    for name in bench.usable_peers(PEERS):
        add(rows, data, name, lines(bench, name, logload.Case(f"stamp:{EVERY_MS}", 0)), BAR)
        if name == "aictl":
            add(rows, data, "aictl, beside a flood", lines(bench, name, FLOOD), BAR_BESIDE)
            add(rows, data, "aictl, beside compression", lines(bench, name, PACKED), BAR_BESIDE)
    return Result("log-latency", "A single line to the follower of the log", COLUMNS, rows, data)


def add(rows, data, label, values, bar):
    """Every line counts, not the median."""
    ms, told = stats.summary(values), ""
    if label.startswith("aictl"):
        told = stats.verdict({**ms, "low": ms["max"], "high": ms["max"]}, bar)
    rows.append([label, scale.show(ms, 2), f"{ms['max']:.2f}", str(ms["n"]), f"{bar:g}", told])
    data["peers"][label] = {"ms": ms, "bar": bar, "ratio": None, "verdict": told, "samples_ms": values}


def lines(bench, name, case):
    """Milliseconds of each line of the first probe."""
    peer = logload.begin(bench, name, case, {0: f"stamp:{EVERY_MS}"})
    bench.beats.go(peer.slots()[1:])
    try:
        wait_for(lambda: peer.captured(peer.first), "nothing was stored")
        if case.compress:
            wait_for(peer.compressed, "nothing was compressed", 60.0)
        with subprocess.Popen(peer.follow_command(peer.first), stdout=subprocess.PIPE) as follower:
            try:
                return [delay_ms(follower.stdout) for _ in range(SKIP + bench.options.log_lines)][SKIP:]
            finally:
                follower.kill()
    finally:
        bench.stop_peers([peer])


def wait_for(condition, what, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def delay_ms(pipe):
    line = pipe.readline()
    return (time.monotonic_ns() - int(line)) / 1e6
