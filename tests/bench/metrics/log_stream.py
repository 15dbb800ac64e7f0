"""A gibibyte of lines of a hundred bytes in writes of 64 KiB, on tmpfs and on disk, rotation off and
on (at 10 MB, all kept): CPU time of who stores them beside the bare splice pump, and elapsed time
beside supervisord.

SPDX-License-Identifier: MIT
"""
import adapters
import logload
import scale
import stats
from adapters.base import LOG_SIZE
from report import Result

BAR = 1.1        # CPU time, times limit-splice
BAR_TIME = 0.5   # elapsed, times supervisord's with rotation
FLOOR, RIVAL = "limit-splice", "supervisord"
PEERS = (FLOOR, "limit-coalesce", "aictl", RIVAL, "s6-log", "runit-log", "pm2")
ALWAYS = (FLOOR, "limit-coalesce", "aictl", RIVAL)
WRITE = 654 * logload.LINE
COLUMNS = ["where", "peer", "CPU s/GiB: median (90 %)", f"x {FLOOR}", "MB/s", f"time x {RIVAL}", "lost", "n",
           f"against {BAR}x, {BAR_TIME}x"]


def cases(bench):
    total = logload.whole_lines(bench.options.log_mib << 20)
    return {(place, size): logload.Case(f"burst:{total}:{WRITE}", total, place, log_size=size)
            for place in bench.places for size in (0, LOG_SIZE)}


def run(bench):
    names = bench.usable_peers(PEERS, always=FLOOR)
    found = cases(bench)
    samples = logload.rounds(bench, names, found, ALWAYS)
    rows, data = [], {"bar": BAR, "bar_time": BAR_TIME, "peers": {}}
    for (place, size), case in found.items():
        label = f"{place}, {'rotation' if size else 'no rotation'}"
        for name in names:
            if size and not adapters.PEERS[name].rotates:
                continue
            rows.append(row(samples[place, size], case, label, name, data))
    return Result("log-stream", f"{bench.options.log_mib} MiB of lines in writes of 64 KiB", COLUMNS, rows, data)


def row(samples, case, label, name, data):
    gib = case.total / (1 << 30)
    cpu = scale.summary(v / gib for v in samples.column(name, "cpu_s").values())
    speed = scale.summary(case.total / 1e3 / v for v in samples.column(name, "ms").values())
    ratio = scale.summary(samples.ratios(name, FLOOR, "cpu_s"))
    time = scale.summary(samples.ratios(name, RIVAL, "ms"))
    lost = max(samples.column(name, "lost").values())
    told = told_time = ""
    if name == "aictl":
        told = stats.verdict(ratio, BAR)
        told_time = stats.verdict(time, BAR_TIME) if time and case.log_size else "-"
    data["peers"][f"{name}, {label}"] = {"cpu_s": cpu, "ratio": ratio, "MBps": speed, "time": time, "lost": lost,
                                         "verdict": told, "verdict_time": told_time,
                                         "samples": samples.peers[name]}
    return [label, name, scale.show(cpu, 3), scale.show(ratio, 2), scale.show(speed), scale.show(time, 2),
            str(lost), str(cpu["n"]), told and f"{told}, {told_time}"]
