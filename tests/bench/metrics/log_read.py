"""Reading what is kept: the last hundred lines of many gigabytes, the last lines by time, and the
merged view of fifty replicas.

"cold" is after the files were written back and dropped from the page cache.

SPDX-License-Identifier: MIT
"""
import os
import subprocess
import time

import logload
import scale
import stats
from report import Result

BAR_MS, BAR_MBPS = 50.0, 200.0
LOG_SIZE = 100_000_000
REPLICAS, EACH = 50, 4_000_000
COLUMNS = ["what", "median (90 %)", "n", "bar", "verdict"]


def run(bench):
    rows, data = [], {"peers": {}}
    tail(bench, rows, data)
    merge(bench, rows, data)
    return Result("log-read", f"aictl logs, {bench.options.log_gib:g} GiB kept", COLUMNS, rows, data)


def tail(bench, rows, data):
    total = logload.whole_lines(int(bench.options.log_gib * (1 << 30)))
    case = logload.Case(f"burst:{total}:{654 * logload.LINE}", total, "disk", log_size=LOG_SIZE)
    peer = logload.begin(bench, "aictl", case)
    try:
        bench.beats.go(peer.slots())
        bench.beats.wait_end(peer.slots(), 60.0 + 60.0 * bench.options.log_gib)
        logload.wait_stored(peer, total)
        for what, words in (("-n 100", ["-n", "100"]), ("--since 1s, none", ["--since", "1s"])):
            for cold in (False, True):
                values = [once(peer, words, cold)[0] for _ in range(bench.options.log_rounds)]
                add(rows, data, f"{what}, {'cold' if cold else 'warm'}", values, BAR_MS, "ms")
    finally:
        bench.stop_peers([peer])


def once(peer, words, cold=False):
    """(milliseconds, bytes that were shown)."""
    if cold:
        for path in peer.log_paths(peer.first):
            forget(path)
            forget(path.removesuffix(".log") + ".idx")
    command = [peer.bench.program("aictl"), "--socket", peer.path("runtime/aictl.sock"), "logs", "--no-prefix",
               *words, f"s{peer.first}"]
    begin_ns, n = time.monotonic_ns(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while text := os.read(process.stdout.fileno(), 1 << 20):
            n += len(text)
    if process.returncode != 0:
        raise RuntimeError(f"{command}: status {process.returncode}")
    return (time.monotonic_ns() - begin_ns) / 1e6, n


def forget(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def merge(bench, rows, data):
    """All replicas of one service wrote at the same time."""
    case = logload.Case(f"burst:{EACH}:4000", REPLICAS * EACH, n=REPLICAS)
    peer = logload.begin(bench, "aictl", case, together=True)
    try:
        bench.beats.go(peer.slots())
        bench.beats.wait_end(peer.slots(), 60.0)
        logload.wait_stored(peer, case.total)
        values = []
        for _ in range(bench.options.log_rounds):
            ms, n = once(peer, ["-n", "all"])
            if n != case.total:
                raise RuntimeError(f"{n} of {case.total} bytes were shown")
            values.append(n / 1e3 / ms)
        add(rows, data, f"{REPLICAS} replicas merged", values, BAR_MBPS, "MB/s")
    finally:
        bench.stop_peers([peer])


def add(rows, data, what, values, bar, unit):
    found = stats.summary(values)
    if unit == "ms":
        told = stats.verdict(found, bar)
    else:
        told = stats.verdict({"n": found["n"], "low": -found["high"], "high": -found["low"]}, -bar)
    rows.append([what, f"{scale.show(found, 1)} {unit}", str(found["n"]), f"{bar:g} {unit}", told])
    data["peers"][what] = {"found": found, "unit": unit, "bar": bar, "ratio": None, "verdict": told,
                           "samples": values}
