"""The bench runs: each metric with tiny numbers. What it measures is no matter of the tests.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import subprocess
from xml.etree import ElementTree

import pytest

import harness

BENCH_BUILD = harness.BUILD  # the probes are there, not in a copy


TINY = ["--replicas", "3", "--scale-rounds", "2", "--slow-rounds", "1", "--idle-rounds", "1",
        "--idle-seconds", "0.1", "--spawns", "2", "--rounds", "2", "--seconds", "2"]


@pytest.mark.waits
def test_bench_runs_each_metric_once(base):
    results, work = os.path.join(base, "results"), os.path.join(base, "work")
    os.mkdir(work)
    command = [os.path.join(harness.ROOT, "tests/bench/run"), "--build", BENCH_BUILD, *TINY,
               "--peers", "limit-clone3,limit-log,aictl", "--work-dir", work,
               "--results", results]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for path in glob.glob(os.path.join(results, "*.json")):
        with open(path, encoding="utf-8") as f:
            found[os.path.basename(path)[:-5]] = json.load(f)
    assert sorted(found) == ["crashloop", "death", "footprint", "idle", "mass", "restart", "spawn",
                             "start", "status"]
    for name in ("start", "mass", "restart"):
        aictl = found[name]["peers"]["aictl"]
        assert aictl["ratio"]["n"] == 2
        assert aictl["verdict"] == "undecided"  # two samples prove nothing
    assert found["footprint"]["peers"]["aictl"]["pss"]["median"] > 1e6
    assert found["idle"]["peers"]["aictl"]["switches"][0] >= 0
    assert found["status"]["peers"]["aictl"]["cpu_ms"]["median"] > 0
    assert found["spawn"]["peers"]["clone3, 0 MiB"]["parent_us"]["median"] > 0
    assert found["death"]["peers"]["aictl, first"]["lines"] > 0
    assert found["crashloop"]["attempts"] >= 1
    ElementTree.parse(os.path.join(results, "bench.svg"))
    assert not os.listdir(work)  # the peers' directories are gone


def test_bench_knows_its_peers(base):
    command = [os.path.join(harness.ROOT, "tests/bench/run"), "--build", BENCH_BUILD, "--peers",
               "nobody", "--work-dir", base]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "nobody is not one of" in done.stderr
