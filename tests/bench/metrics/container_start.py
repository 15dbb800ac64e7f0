"""Fifty containers at once: elapsed time beside as many `docker run -d` in parallel, in turns, and CPU
time of aictl's processes beside the engine's for it.

SPDX-License-Identifier: MIT
"""
import random
import time

import containers
import scale
import stats
from report import Result

BAR = 1.0
CPU_BAR = 0.05
COLUMNS = ["peer", "ms: median (90 %)", "x docker run", "CPU s", "engine's CPU s", "share", "n", "against"]
LOOP = 'for i in $(seq {n}); do docker -H {url} run -d --network none {image} /svc pause >/dev/null & done; wait'


def run(bench):
    if why := containers.missing():
        return bench.say(f"container-start left out: {why}")
    n, rng, samples = bench.options.containers, random.Random(1), scale.Samples()
    with containers.shop(bench) as shop:
        for number in range(bench.options.container_rounds):
            ways = [("aictl", ours), ("docker run", loop)]
            rng.shuffle(ways)
            for name, way in ways:
                time.sleep(0.5)
                samples.add(name, number, measured(shop, way, n))
                bench.say(f"container-start: round {number + 1}: {name}")
    return result(samples, n)


def measured(shop, way, n):
    before, began = shop.used(), time.monotonic()
    clean = way(shop, n)
    shop.wait_running(n)
    ms = 1e3 * (time.monotonic() - began)
    cpu, engine = (b - a for a, b in zip(before, shop.used()))
    clean()
    return {"ms": ms, "cpu_s": cpu, "engine_s": engine, "share": cpu / engine}


def ours(shop, n):
    shop.apply({"image": "localhost/svc:1", "command": ["/svc", "pause"], "network": "none", "replicas": n,
                "stop": {"signal": "SIGKILL"}})
    return shop.delete


def loop(shop, n):
    containers.quietly(["bash", "-c", LOOP.format(n=n, url=shop.engine.url, image="localhost/svc:1")])
    return shop.engine.reset


def result(samples, n):
    rows, data = [], {"bar": BAR, "cpu_bar": CPU_BAR, "containers": n, "peers": {}}
    for name in ("aictl", "docker run"):
        figures = {f: scale.summary(samples.column(name, f).values()) for f in ("ms", "cpu_s", "engine_s", "share")}
        ratio = scale.summary(samples.ratios(name, "docker run", "ms"))
        told = (f"{BAR}x: {stats.verdict(ratio, BAR)}, share {CPU_BAR}: {stats.verdict(figures['share'], CPU_BAR)}"
                if name == "aictl" else "")
        rows.append([name, scale.show(figures["ms"], 0), scale.show(ratio, 2), scale.show(figures["cpu_s"], 3),
                     scale.show(figures["engine_s"], 2), scale.show(figures["share"], 3), str(ratio["n"]), told])
        data["peers"][name] = {**figures, "ratio": ratio, "verdict": told, "samples": samples.peers[name]}
    return Result("container-start", f"{n} containers at once, with dockerd", COLUMNS, rows, data)
