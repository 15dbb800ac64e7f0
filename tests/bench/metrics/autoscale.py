"""What the scaler makes of loads that are played to it under a clock of their own: how soon it decides,
how much it orders at most, how often it turns. No process is started, nothing is measured: the same
numbers on each machine. The plot shows load, replicas and decisions.

SPDX-License-Identifier: MIT
"""
import json
import subprocess

from report import Result

COLUMNS = ["load", "first up", "most", "by the formula", "ups", "downs", "turns", "replica seconds", "short by"]


def run(bench):
    done = subprocess.run([bench.program("tests/bench/autoscale")], capture_output=True, text=True, check=True)
    traces = []
    for line in map(json.loads, done.stdout.splitlines()):
        if "trace" in line:
            traces.append({**line, "points": []})
        else:
            traces[-1]["points"].append(line)
    return Result("autoscale", "Decisions of the scaler (replayed loads)", COLUMNS, [row(t) for t in traces],
                  {"traces": [{**t, **figures(t["points"])} for t in traces]})


def figures(points):
    """Short by: replica seconds that the load right then would have needed more."""
    ups = [p for p in points if p["number"] > p["before"]]
    downs = [p for p in points if p["number"] < p["before"]]
    directions = [p["number"] > p["before"] for p in points if p["number"] != p["before"]]
    spans = [(b["at_ms"] - a["at_ms"], a) for a, b in zip(points, points[1:])]
    return {"ups": len(ups), "downs": len(downs), "turns": sum(a != b for a, b in zip(directions, directions[1:])),
            "most": max(p["number"] for p in points), "bound": points[-1]["bound"],
            "first_up_ms": ups[0]["at_ms"] if ups else None,
            "replica_seconds": sum(ms * p["number"] for ms, p in spans) / 1000,
            "short_seconds": sum(ms * max(0, p["needed"] - p["ready"]) for ms, p in spans) / 1000}


def row(trace):
    f = figures(trace["points"])
    first = "-" if f["first_up_ms"] is None else f"{f['first_up_ms'] / 1000:.2f}s"
    return [trace["trace"], first, *(str(f[k]) for k in ("most", "bound", "ups", "downs", "turns")),
            f"{f['replica_seconds']:.0f}", f"{f['short_seconds']:.0f}"]
