"""A hundred writers of a megabyte a second each for ten seconds: bytes lost, and CPU time of who
stores them.

SPDX-License-Identifier: MIT
"""
import logload
import scale
import stats
from report import Result

BAR = 1.2
RATE = 1_000_000
FLOOR = "limit-coalesce"
PEERS = ("limit-splice", FLOOR, "aictl", "supervisord", "s6-log", "runit-log", "pm2")
ALWAYS = ("limit-splice", FLOOR, "aictl")
COLUMNS = ["peer", "CPU s: median (90 %)", f"x {FLOOR}", "took s", "lost bytes", "n", f"against {BAR}x, 0 lost"]


def run(bench):
    n, seconds = bench.options.log_writers, bench.options.log_seconds
    case = logload.Case(f"rate:{RATE}:{seconds}", n * RATE * seconds, n=n)
    names = bench.usable_peers(PEERS, always=FLOOR)
    samples = logload.rounds(bench, names, {"": case}, ALWAYS)[""]
    rows, data = [], {"bar": BAR, "writers": n, "peers": {}}
    for name in names:
        cpu = scale.summary(samples.column(name, "cpu_s").values())
        ratio = scale.summary(samples.ratios(name, FLOOR, "cpu_s"))
        took = scale.summary(v / 1e3 for v in samples.column(name, "ms").values())
        lost = max(samples.column(name, "lost").values())
        told = f"{stats.verdict(ratio, BAR)}, {'worse' if lost else 'better'}" if name == "aictl" else ""
        rows.append([name, scale.show(cpu, 2), scale.show(ratio, 2), scale.show(took, 2), str(lost), str(cpu["n"]),
                     told])
        data["peers"][name] = {"cpu_s": cpu, "ratio": ratio, "took_s": took, "lost": lost, "verdict": told,
                               "samples": samples.peers[name]}
    return Result("log-writers", f"{n} writers of {RATE / 1e6:g} MB/s for {seconds} s", COLUMNS, rows, data)
