"""Requests beside clients that never come to the end of theirs (a byte of the head a second): the 99th
percentile of the latency, and the proxy's CPU time for a request, times those without such clients a
moment before.

SPDX-License-Identifier: MIT
"""
import contextlib
import random
import resource
import shutil
import sys

import scale
import stats
import webload
from report import Result

BAR = 2.0
COLUMNS = ["way", "p99 ms: median (90 %)", "p99 ms beside them", "x", "CPU us/request, x", "failed", "n", f"p99 <= {BAR:g}x"]
FILES = 65536  # descriptors


def run(bench):
    if not shutil.which("wrk"):
        print("run: slow-clients left out: no wrk", file=sys.stderr)
        return None
    n_slow = min(bench.options.slow_clients, room())
    alone, beside, rng = scale.Samples(), scale.Samples(), random.Random(1)
    with webload.Ways(bench, "http", 16384, haproxy=("timeout http-request 20s",)) as ways:
        names = [name for name in ways.ways if name != "direct"]
        for n in range(bench.options.stream_rounds):
            rng.shuffle(names)
            for name in names:
                way, seconds = ways.ways[name], bench.options.web_seconds
                alone.add(name, n, webload.sample(way, "/", seconds))
                with webload.clients(bench, "slow", way, n_slow):
                    beside.add(name, n, webload.sample(way, "/", seconds))
            bench.say(f"slow-clients: round {n + 1}/{bench.options.stream_rounds}")
    data = {**ways.data, "bar": BAR, "clients": n_slow, "peers": {}}
    rows = [row(alone, beside, name, data) for name in webload.ORDER if name in alone.peers]
    title = f"HTTP: 64 connections beside {n_slow:,} slow clients"
    return Result("slow-clients", title, COLUMNS, rows, data)


def room():
    """How many a proxy takes that keeps a second descriptor for each; as root that can be more than at first."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        if files < FILES:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
            files = FILES
    return files // 2 - 4 * webload.CONNECTIONS


def row(alone, beside, name, data):
    def ratio(figure):
        return scale.summary(after / alone.column(name, figure)[n] for n, after in beside.column(name, figure).items())

    p99, p99_beside = (scale.summary(s.column(name, "p99_ms").values()) for s in (alone, beside))
    failed = sum(sum(s.column(name, "failed").values()) for s in (alone, beside))
    told = stats.verdict(ratio("p99_ms"), BAR) if name == "aictl" else ""
    data["peers"][name] = {"p99_ms": p99, "p99_ms_beside": p99_beside, "ratio": ratio("p99_ms"),
                           "cpu_ratio": ratio("cpu_us"), "failed": failed, "verdict": told,
                           "samples": {"alone": alone.peers[name], "beside": beside.peers[name]}}
    return [name, scale.show(p99, 2), scale.show(p99_beside, 2), scale.show(ratio("p99_ms"), 2),
            scale.show(ratio("cpu_us"), 2), str(failed), str(p99["n"]), told]
