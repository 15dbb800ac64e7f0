"""The unit tests of adoption on a kernel without PIDFD_GET_INFO and without group signals through a
pidfd: what an old kernel cannot tell is unknown, and nothing else changes.

SPDX-License-Identifier: MIT
"""
import os
import subprocess

import pytest


def test_adoption_on_an_old_kernel():
    build = os.environ["AICTL_BUILD"]
    program = os.path.join(build, "tests/unit/test_adopt")
    if not os.path.exists(program):
        pytest.skip("tests/unit/test_adopt is not built")
    r = subprocess.run([program], env=dict(os.environ, top_builddir=build), timeout=250,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert r.returncode == 0, r.stdout[-4000:]
