"""What one start of a child costs, by primitive: `clone3` is aictld's own code, `uv_spawn` what a
program on libuv gets. With 200 MiB of ballast as well, since fork pays for its parent's memory.

Methods take turns within a round; the sample of a round is its median.

SPDX-License-Identifier: MIT
"""
import random
import statistics
import subprocess

import scale
from report import Result

METHODS = ("vfork", "clone3", "posix_spawn", "fork", "uv_spawn")
FLOOR = "vfork"
BALLAST_MIB = (0, 200)
COLUMNS = ["method", "parent busy us", "to first instruction us", f"x {FLOOR}", "rounds"]


def run(bench):
    samples, rng = scale.Samples(), random.Random(1)
    cases = [(method, ballast) for method in METHODS for ballast in BALLAST_MIB]
    for n in range(bench.options.scale_rounds):
        rng.shuffle(cases)
        for method, ballast in cases:
            samples.add(f"{method}/{ballast}", n, measure(bench, method, ballast))
    return result(samples)


def measure(bench, method, ballast):
    command = [bench.program("tests/bench/spawn"), method, str(bench.options.spawns), str(ballast),
               bench.probe, bench.beats.path, "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    return {"parent_us": statistics.median(line[0] for line in lines) / 1e3,
            "first_us": statistics.median(line[1] for line in lines) / 1e3}


def result(samples):
    rows, data = [], {"peers": {}}
    for ballast in BALLAST_MIB:
        for method in METHODS:
            name = f"{method}/{ballast}"
            parent = scale.summary(samples.column(name, "parent_us").values())
            first = scale.summary(samples.column(name, "first_us").values())
            ratio = scale.summary(samples.ratios(name, f"{FLOOR}/{ballast}", "first_us"))
            label = f"{method}, {ballast} MiB"
            rows.append([label, scale.show(parent, 1), scale.show(first, 1),
                         scale.show(ratio, 2), str(first["n"])])
            data["peers"][label] = {"parent_us": parent, "first_us": first, "ratio": ratio,
                                    "verdict": ""}
    return Result("spawn", "Start of one child", COLUMNS, rows, data)
