"""A load of lines on a peer that captures standard output: what it costs until all is stored.

CPU time is that of the processes the bytes go through, from the first write until the log files
hold every byte; the probes wait for each other and for the reading before.

SPDX-License-Identifier: MIT
"""
import os
import random
import time

import procfs
import scale

LINE = 100         # bytes
PATIENCE_S = 8.0   # without a new byte: the rest is lost
POLL_S = 0.005
SETTLE_S = 0.1     # between the last start and the first write


class Case:
    """What n probes write, and where it is stored."""

    def __init__(self, part, total, place="tmpfs", n=1, log_size=0, compress=False):
        self.part, self.total, self.n = part, total, n
        self.place, self.log_size, self.compress = place, log_size, compress


def whole_lines(n):
    return n - n % LINE


def stored(peer):
    total = 0
    for slot in peer.slots():
        for path in peer.log_paths(slot):
            try:
                total += os.path.getsize(path)
            except OSError:  # it is being rotated
                pass
    return total


def wait_stored(peer, total):
    """(CLOCK_MONOTONIC when the last byte was in the files, how many are there)."""
    most, since = -1, time.monotonic()
    while True:
        now_ns, n = time.monotonic_ns(), stored(peer)
        if n >= total:
            return now_ns, n
        if n > most:
            most, since = n, time.monotonic()
        elif time.monotonic() - since > PATIENCE_S:
            return now_ns, n
        time.sleep(POLL_S)


def begin(bench, name, case, parts=None, together=False):
    """The peer, with probes that wait for beats.go(). parts: which do something else than the case
    says; together: as replicas, where it has such."""
    peer = bench.make_peer(name, case.n, case.place)
    peer.log_size, peer.log_compress = case.log_size, case.compress
    peer.part = (parts or {}).get(0, case.part)
    if not together:
        peer.parts = {slot: (parts or {}).get(i, case.part) for i, slot in enumerate(peer.slots())}
    peer.configure()
    time.sleep(peer.settle_conf)
    try:
        peer.start()
        bench.beats.wait_all(peer.slots(), 0, peer.timeout)
    except TimeoutError as e:
        bench.stop_peers([peer])
        raise TimeoutError(f"{name}: {e}; its output ends:\n{peer.output()}") from e
    time.sleep(max(peer.settle, SETTLE_S))
    return peer


def sample(bench, name, case, timeout=240.0):
    peer = begin(bench, name, case)
    try:
        pids, every = peer.log_pids(), peer.pids()
        cpu_s, all_s = cpu(pids), cpu(every)
        bench.beats.go(peer.slots())
        begin_ns, end_ns = bench.beats.wait_end(peer.slots(), timeout)
        stored_ns, n = wait_stored(peer, case.total)
        return {"ms": (stored_ns - begin_ns) / 1e6, "writer_ms": (end_ns - begin_ns) / 1e6,
                "cpu_s": cpu(pids) - cpu_s, "all_s": cpu(every) - all_s, "lost": case.total - n}
    finally:
        bench.stop_peers([peer])


def cpu(pids):
    return sum(map(procfs.cpu_seconds, pids))


def rounds(bench, names, cases, always):
    """Samples of each (name, case): all take turns. always: who is no slow peer here."""
    samples, rng = {label: scale.Samples() for label in cases}, random.Random(1)
    turns = [(name, label) for name in names for label in cases]
    for n in range(bench.options.log_rounds):
        rng.shuffle(turns)
        for name, label in turns:
            if name not in always and n >= bench.options.slow_rounds:
                continue
            samples[label].add(name, n, sample(bench, name, cases[label]))
        bench.say(f"round {n + 1}/{bench.options.log_rounds}")
    return samples
