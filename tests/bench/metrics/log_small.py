"""Lines of a hundred bytes, each a write of its own, as fast as they come.

SPDX-License-Identifier: MIT
"""
import logload
import scale
import stats
from report import Result

BAR = 1.0
FLOOR = "limit-coalesce"
PEERS = ("limit-splice", FLOOR, "aictl", "supervisord", "s6-log", "runit-log", "pm2")
ALWAYS = ("limit-splice", FLOOR, "aictl")
COLUMNS = ["where", "peer", "CPU s/GiB: median (90 %)", f"x {FLOOR}", "MB/s", "lost", "n", f"against {BAR}x"]


def cases(bench):
    total = logload.whole_lines(bench.options.log_mib << 17)
    return {place: logload.Case(f"burst:{total}:{logload.LINE}", total, place) for place in bench.places}


def run(bench):
    names, found = bench.usable_peers(PEERS, always=FLOOR), cases(bench)
    samples = logload.rounds(bench, names, found, ALWAYS)
    rows, data = [], {"bar": BAR, "peers": {}}
    for place, case in found.items():
        rows += [row(samples[place], case, place, name, data) for name in names]
    return Result("log-small", "Lines of 100 bytes, a write each", COLUMNS, rows, data)


def row(samples, case, label, name, data):
    """Of a table of CPU time against the floor."""
    gib = case.total / (1 << 30)
    cpu = scale.summary(v / gib for v in samples.column(name, "cpu_s").values())
    speed = scale.summary(case.total / 1e3 / v for v in samples.column(name, "ms").values())
    ratio = scale.summary(samples.ratios(name, FLOOR, "cpu_s"))
    lost = max(samples.column(name, "lost").values())
    told = stats.verdict(ratio, BAR) if name == "aictl" else ""
    data["peers"][f"{name}, {label}"] = {"cpu_s": cpu, "ratio": ratio, "MBps": speed, "lost": lost,
                                         "verdict": told, "samples": samples.peers[name]}
    return [label, name, scale.show(cpu, 3), scale.show(ratio, 2), scale.show(speed), str(lost),
            str(cpu["n"]), told]
