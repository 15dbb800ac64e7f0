"""The supervisor is SIGKILLed, its first process or all that are its own, and started again as an
operator would: which processes live on with their pids, which run twice, and what becomes of the
lines that a writer writes all the while.

SPDX-License-Identifier: MIT
"""
import time

import adapters
import procfs
from beats import FAILED, LINES, PID, STARTS
from report import Result

SERVICES = 11  # ten and a writer
LINE = 16      # bytes, as probe.c writes them
DEAD_S = 1.0   # before it is started again
AFTER_S = 3.0  # for the new one to do what it does
STORED_S = 1.0  # what was written by then is in the log
COLUMNS = ["peer", "killed", "alive", "same pid", "new", "twice", "lines written", "not written", "lost",
           "bar"]


def run(bench):
    rows, data = [], {"peers": {}}
    for name in bench.usable_peers():
        for killed in ("first", "all") if name not in adapters.FLOORS else ():
            f = one(bench, bench.make_peer(name, SERVICES), killed)
            lost = "-" if f["lost"] is None else str(f["lost"])
            f["verdict"] = told = verdict(f) if name.startswith("aictl") else ""
            rows.append([name, killed, f"{f['alive']}/{f['n']}", f"{f['same']}/{f['n']}",
                         str(f["new"]), str(f["twice"]), str(f["lines"]), str(f["failed"]), lost,
                         told])
            data["peers"][f"{name}, {killed}"] = f
    title = f"SIGKILL of the supervisor over {SERVICES}, the last of them a writer"
    return Result("death", title, COLUMNS, rows, data)


def verdict(f):
    right = f["same"] == f["n"] and not (f["new"] or f["twice"] or f["failed"] or f["lost"])
    return "better" if right else "worse"


def one(bench, peer, killed):
    writer = peer.slots()[-1]
    peer.parts[writer] = "line"
    peer.configure()
    time.sleep(max(peer.settle_conf, 0.2))
    try:
        peer.start()
        bench.beats.wait_all(peer.slots(), 0, peer.timeout)
        time.sleep(max(peer.settle, 1.0))
        before = bench.beats.column(peer.slots(), PID)
        for pid in peer.roots() if killed == "first" else peer.pids():
            procfs.kill(pid)
        time.sleep(DEAD_S)
        procfs.reap()
        alive = sum(procfs.alive(pid) for pid in before)
        peer.start_again()
        time.sleep(AFTER_S + peer.settle)
        return figures(bench, peer, before, alive, writer)
    finally:
        bench.stop_peers([peer])


def figures(bench, peer, before, alive, writer):
    running = probes(bench)
    after = bench.beats.column(peer.slots(), PID)
    owners = [running.get(slot, []) for slot in peer.slots()]
    found = {"n": peer.n, "alive": alive,
             "same": sum(pids == [pid] for pids, pid in zip(owners, before)),
             "new": sum(a != b for a, b in zip(after, before)),
             "twice": sum(len(pids) > 1 for pids in owners),
             "starts": sum(bench.beats.column(peer.slots(), STARTS)),
             "lines": bench.beats.word(writer, LINES),
             "failed": bench.beats.word(writer, FAILED), "lost": None}
    if peer.captures:
        time.sleep(STORED_S)
        found["lost"] = lost(peer.captured(writer), found["lines"])
    return found


def probes(bench):
    """Slot -> pids of the probes that run for it, seen in /proc."""
    found = {}
    for pid in procfs.descendants(bench.pid):
        words = procfs.read(f"/proc/{pid}/cmdline").split("\0")[:-1]
        if words and words[0] == bench.probe:
            slot = int(words[3]) + (int(words[4]) if len(words) > 4 else 0)
            found.setdefault(slot, []).append(pid)
    return found


def lost(stored, written):
    """How many of the numbered lines are not in what was stored."""
    numbers = {int(line) for line in stored.split(b"\n") if line.isdigit() and len(line) == LINE - 1}
    return sum(n not in numbers for n in range(written))
