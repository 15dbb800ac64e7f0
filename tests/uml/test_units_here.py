"""Unit tests of aictld where this kernel differs from most: without PIDFD_GET_INFO and without group
signals through a pidfd (what an old kernel cannot tell is unknown, and nothing else changes), and
with the controllers that limits need.

SPDX-License-Identifier: MIT
"""
import os
import re
import subprocess

import pytest


def run(name):
    """What the unit test printed; it passed."""
    build = os.environ["AICTL_BUILD"]
    program = os.path.join(build, "tests/unit", name)
    if not os.path.exists(program):
        pytest.skip(f"tests/unit/{name} is not built")
    r = subprocess.run([program], env=dict(os.environ, top_builddir=build), timeout=250,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert r.returncode == 0, r.stdout[-4000:]
    return r.stdout


def test_adoption_on_an_old_kernel():
    run("test_adopt")


def test_limits_in_the_cgroup():
    out = run("test_aictld_limits")
    skipped = set(re.findall(r"^\[  SKIPPED \] (\w+)$", out, re.M))
    assert skipped == {"limits_that_nobody_enforces_are_passed_over"}, out
