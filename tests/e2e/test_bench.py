"""The bench runs: each metric with tiny numbers. What it measures is no matter of the tests.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

import engines
import harness

BENCH_BUILD = harness.BUILD  # the probes are there, not in a copy

pytestmark = pytest.mark.machine
ELSEWHERE = ("with sanitizers there is nothing to measure"
             if harness.built_with("AICTL_SANITIZED") else None)
TINY = ["--replicas", "3", "--scale-rounds", "2", "--slow-rounds", "1", "--idle-rounds", "1",
        "--idle-seconds", "0.1", "--spawns", "2", "--rounds", "2", "--seconds", "2",
        "--log-rounds", "2", "--log-mib", "8", "--log-writers", "3", "--log-seconds", "1",
        "--log-lines", "3", "--log-gib", "0.02", "--web-rounds", "1", "--probe-period", "2", "--stream-rounds", "1",
        "--streams", "50", "--slow-clients", "50", "--containers", "6", "--container-rounds", "2",
        "--container-log-mib", "2"]
WRK = shutil.which("wrk")  # who asks in these:
CONTAINED = () if engines.why_not("dockerd") else ("container-logs", "container-start")
ASKED = ("http", "http-large", "slow-clients", "socket", "tcp")


def test_bench_runs_each_metric_once(base):
    results, work = os.path.join(base, "results"), os.path.join(base, "work")
    os.mkdir(work)
    command = [os.path.join(harness.ROOT, "tests/bench/run"), "--build", BENCH_BUILD, *TINY,
               "--peers", "limit-clone3,limit-log,limit-splice,limit-coalesce,aictl,haproxy", "--work-dir", work,
               "--results", results]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for path in glob.glob(os.path.join(results, "*.json")):
        with open(path, encoding="utf-8") as f:
            found[os.path.basename(path)[:-5]] = json.load(f)
    assert sorted(found) == sorted(["autoscale", "crashloop", "death", "footprint", "idle", "log-latency", "log-read",
                                    "log-small", "log-stream", "log-writers", "mass", "probes", "restart",
                                    "spawn", "sse", "start", "status", *(ASKED if WRK else ()), *CONTAINED])
    for name in ("start", "mass", "restart"):
        aictl = found[name]["peers"]["aictl"]
        assert aictl["ratio"]["n"] == 2
        assert aictl["verdict"] == "undecided"  # two samples prove nothing
    assert found["footprint"]["peers"]["aictl"]["pss"]["median"] > 1e6
    assert found["idle"]["peers"]["aictl"]["switches"][0] >= 0
    assert found["status"]["peers"]["aictl"]["cpu_ms"]["median"] > 0
    assert found["spawn"]["peers"]["clone3, 0 MiB"]["parent_us"]["median"] > 0
    assert found["death"]["peers"]["aictl, first"]["lines"] > 0
    for name, where in (("log-stream", ", disk, rotation"), ("log-small", ", tmpfs"), ("log-writers", "")):
        aictl = found[name]["peers"]["aictl" + where]
        assert aictl["lost"] == 0
        assert aictl["ratio"]["n"] == 2
    for label in ("aictl", "aictl, beside a flood", "aictl, beside compression"):
        assert found["log-latency"]["peers"][label]["ms"]["n"] == 3
    assert found["log-read"]["peers"]["50 replicas merged"]["found"]["median"] > 1
    for name in ASKED if WRK else ():
        aictl = found[name]["peers"]["aictl"]
        assert aictl["failed"] == 0 and aictl["p99_ms"]["median"] > 0
        assert name != "socket" and not shutil.which("haproxy") or aictl["cpu_ratio"]["n"] == 1
    assert found["sse"]["peers"]["aictl"]["event_ms"]["n"] == 10
    assert found["crashloop"]["attempts"] >= 1
    for name in CONTAINED:
        assert found[name]["peers"]["aictl"]["cpu_s"]["median"] > 0
    assert {t["trace"]: t["most"] for t in found["autoscale"]["traces"]}["step"] == 8
    ElementTree.parse(os.path.join(results, "bench.svg"))
    assert not os.listdir(work)  # the peers' directories are gone


def test_bench_knows_its_peers(base):
    command = [os.path.join(harness.ROOT, "tests/bench/run"), "--build", BENCH_BUILD, "--peers",
               "nobody", "--work-dir", base]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "nobody is not one of" in done.stderr
