"""Logs of containers: memory of aictl's processes with fifty that talk beside that with five, and CPU
time to store what one writes beside that of `docker logs -f` to nowhere. The engine's is in neither.

SPDX-License-Identifier: MIT
"""
import os
import random
import subprocess

import containers
import scale
import stats
import usage
from report import Result

BAR = 1.0
MEMORY_BAR = 1.05
FEW, MANY = 5, 50
TALKS = 1000  # lines of each before memory is looked at, a hundred in a second
COLUMNS = ["peer", "CPU s per GiB: median (90 %)", "x docker logs -f", "n", f"against {BAR}x"]
WRITES = "yes 'a line of a hundred bytes, as a service would write one: 0123456789 abcdefghij klmnopqrst uvwxyz' | head -c {n}"


def run(bench):
    if why := containers.missing():
        return bench.say(f"container-logs left out: {why}")
    n, rng, samples = bench.options.container_log_mib << 20, random.Random(1), scale.Samples()
    with containers.shop(bench) as shop:
        memory = {many: talking(shop, many) for many in (FEW, min(MANY, bench.options.containers))}
        for number in range(bench.options.container_rounds):
            ways = [("aictl", ours), ("docker logs -f", theirs)]
            rng.shuffle(ways)
            for name, way in ways:
                samples.add(name, number, {"cpu_s": way(shop, n) * (1 << 30) / n})
                bench.say(f"container-logs: round {number + 1}: {name}")
    return result(samples, memory, n)


def talking(shop, many):
    """Bytes of aictl's processes once all have said enough."""
    shop.apply({"image": "localhost/svc:1", "command": ["/svc", "lines", "10000"], "network": "none", "replicas": many,
                "logs": {"max_size": "1MiB", "max_files": 2, "compress": "none"}, "stop": {"signal": "SIGKILL"}})
    shop.wait_running(many)
    containers.wait(lambda: all(size(shop, i) > 14 * TALKS for i in range(many)))
    pss = usage.memory(shop.ours())["pss"]
    shop.delete()
    return pss


def size(shop, index):
    return sum(os.path.getsize(p) for p in shop.daemon.log_files("web", index, "log"))


def ours(shop, n):
    before, stored = shop.used()[0], size(shop, 0)  # logs outlive their service
    shop.apply({"image": "localhost/busybox:1", "command": ["/bin/sh", "-c", WRITES.format(n=n)], "network": "none",
                "restart": {"policy": "never"}, "logs": {"max_size": "10GiB", "compress": "none"}})
    containers.wait(lambda: size(shop, 0) >= stored + n)
    cpu = shop.used()[0] - before
    shop.delete()
    return cpu


def theirs(shop, n):
    made = shop.engine.run("localhost/busybox:1", "/bin/sh", "-c", WRITES.format(n=n))
    with open(os.devnull, "wb") as nowhere, subprocess.Popen(shop.docker("logs", "-f", made), stdout=nowhere) as reader:
        cpu = os.wait4(reader.pid, 0)[2]
        reader.returncode = 0
    shop.engine.reset()
    return cpu.ru_utime + cpu.ru_stime


def result(samples, memory, n):
    few, many = memory.values()
    told = "better" if many <= MEMORY_BAR * few else "worse"
    data = {"bar": BAR, "memory_bar": MEMORY_BAR, "bytes": n, "peers": {},
            "memory": {"pss": {str(k): v for k, v in memory.items()}, "ratio": many / few, "verdict": told}}
    rows = []
    for name in ("aictl", "docker logs -f"):
        cpu = scale.summary(samples.column(name, "cpu_s").values())
        ratio = scale.summary(samples.ratios(name, "docker logs -f", "cpu_s"))
        verdict = stats.verdict(ratio, BAR) if name == "aictl" else ""
        rows.append([name, scale.show(cpu, 2), scale.show(ratio, 2), str(cpu["n"]), verdict])
        data["peers"][name] = {"cpu_s": cpu, "ratio": ratio, "verdict": verdict, "samples": samples.peers[name]}
    for number, pss in memory.items():
        rows.append([f"memory with {number} that talk", f"{pss / 1e6:.1f} MB PSS", f"{pss / few:.2f}", "1",
                     f"{MEMORY_BAR}x: {told}" if number != FEW else ""])
    return Result("container-logs", "Logs of containers, with dockerd", COLUMNS, rows, data)
