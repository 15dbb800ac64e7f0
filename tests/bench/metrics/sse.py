"""Streams of events: how long the first byte and the first event are on their way from the server's
write to the client's read, and what a stream that is open and silent costs.

Memory of a stream: what the proxy's process has more than before the first one, and what the kernel has
more (slab, and pages of TCP buffers, of the whole machine) than with the same number of streams
without a proxy: the client's and the server's ends are not the proxy's.

SPDX-License-Identifier: MIT
"""
import os
import random
import subprocess

import procfs
import scale
import stats
import usage
import webload
from report import Result

BAR_MS, BAR_BYTES = 1.0, 20480
AT_ONCE = 10  # streams of a sample, one after the other
COLUMNS = ["way", "first byte ms: median (90 %)", "first event ms", "p99 ms", "streams",
           "bytes/stream, process", "kernel", "bars"]


def run(bench):
    first, memory, rng = scale.Samples(), scale.Samples(), random.Random(1)
    with webload.Ways(bench, "http", 16384, haproxy=("option abortonclose",)) as ways:
        before = {name: private(way) for name, way in ways.ways.items()}
        names = list(ways.ways)
        for n in range(bench.options.stream_rounds):
            rng.shuffle(names)
            for name in names:
                first.add(name, n, delays(bench, ways.ways[name]))
            for name in names:
                memory.add(name, n, hold(bench, ways.ways[name], before[name]))
            bench.say(f"sse: round {n + 1}/{bench.options.stream_rounds}")
    data = {**ways.data, "bar": BAR_MS, "bar_bytes": BAR_BYTES, "streams": bench.options.streams, "peers": {}}
    rows = [row(first, memory, name, data) for name in webload.ORDER if name in first.peers]
    title = f"Streams of events; {bench.options.streams:,} of them open and silent; haproxy with buffers of 16 KiB"
    return Result("sse", title, COLUMNS, rows, data)


def delays(bench, way):
    done = subprocess.run(webload.client(bench, "first", way, AT_ONCE), stdout=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, check=True, timeout=60)
    pairs = [line.split() for line in done.stdout.splitlines()]
    return {"head_ms": [int(head) / 1e6 for head, _ in pairs], "event_ms": [int(event) / 1e6 for _, event in pairs]}


def private(way):
    return usage.memory([way.pid])["private"] if way.pid else 0


def kernel():
    """Bytes: slab, and TCP's buffers."""
    slab = next(int(line.split()[1]) << 10 for line in procfs.read("/proc/meminfo").splitlines()
                if line.startswith("Slab:"))
    tcp = next(line for line in procfs.read("/proc/net/sockstat").splitlines() if line.startswith("TCP:"))
    return slab + int(tcp.split()[-1]) * os.sysconf("SC_PAGE_SIZE")


def hold(bench, way, before):
    """Bytes for each stream."""
    n, kernel_before = bench.options.streams, kernel()
    with webload.clients(bench, "hold", way, n):
        return {"process": (private(way) - before) / n if way.pid else None, "kernel": (kernel() - kernel_before) / n}


def row(first, memory, name, data):
    """Every event counts for the 99th percentile."""
    head, event = ([ms for values in first.column(name, figure).values() for ms in values]
                   for figure in ("head_ms", "event_ms"))
    p99 = sorted(head + event)[len(head + event) * 99 // 100]
    process = scale.summary(memory.column(name, "process").values())
    bare, mine = memory.column("direct", "kernel"), memory.column(name, "kernel")
    more = scale.summary(mine[n] - bare[n] if name != "direct" else mine[n] for n in mine)
    told = ""
    if name == "aictl":
        whole = scale.summary(mine[n] - bare[n] + memory.column(name, "process")[n] for n in mine)
        told = (f"first byte, event <= {BAR_MS:g} ms: {stats.verdict(stats.summary(head), BAR_MS)}, "
                f"{stats.verdict(stats.summary(event), BAR_MS)}; "
                f"memory <= {BAR_BYTES >> 10} KiB: {stats.verdict(whole, BAR_BYTES)}")
    data["peers"][name] = {"head_ms": stats.summary(head), "event_ms": stats.summary(event), "p99_ms": p99,
                           "process_bytes": process, "kernel_bytes": more, "verdict": told, "ratio": None,
                           "samples": {"first": first.peers[name], "memory": memory.peers[name]}}
    return [name, scale.show(stats.summary(head), 3), scale.show(stats.summary(event), 3), f"{p99:.2f}",
            str(len(head)), scale.show(process), scale.show(more), told]
