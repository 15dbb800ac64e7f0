"""The bench runs: one short round. What it measures is no matter of the tests.

SPDX-License-Identifier: MIT
"""
import json
import os
import subprocess

import harness

BENCH_BUILD = harness.BUILD  # the probes are there, not in a copy


def test_bench_runs_one_round(base):
    results = os.path.join(base, "results")
    command = [os.path.join(harness.ROOT, "tests/bench/run"), "--build", BENCH_BUILD,
               "--rounds", "2", "--seconds", "2", "--peers", "limit-clone3,aictl",
               "--work-dir", base, "--results", results]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(os.path.join(results, "restart.json"), encoding="utf-8") as f:
        restart = json.load(f)
    assert restart["peers"]["aictl"]["ratio"]["n"] == 2
    assert restart["peers"]["aictl"]["verdict"] == "undecided"  # two samples prove nothing
    with open(os.path.join(results, "crashloop.json"), encoding="utf-8") as f:
        assert json.load(f)["attempts"] >= 1
    assert "limit-clone3" in done.stdout
