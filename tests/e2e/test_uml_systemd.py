"""../uml/systemd: aictld under systemd in a kernel of its own, with the controllers of cgroup v2: one
boot for all, one result here for each.

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import shutil
import subprocess
import tempfile

import pytest

import harness
import nspawn
import procfs

HERE = os.path.join(harness.ROOT, "tests/uml/systemd")
RUN = os.path.join(harness.ROOT, "tests/uml/run")
pytestmark = pytest.mark.machine
MISSING = nspawn.why_not() or ("no linux.uml" if shutil.which("linux.uml") is None else None)
ELSEWHERE = ("a build with sanitizers takes minutes there"
             if harness.built_with("AICTL_SANITIZED") else None)


@pytest.fixture(scope="module")
def results():
    """Name -> result; "" -> what the runner printed."""
    out = tempfile.mkdtemp(prefix="aictl-uml-")
    stage = os.path.join(out, "stage")
    subprocess.run(["make", "-s", "-C", nspawn.BUILD, "install", f"DESTDIR={stage}"], check=True,
                   env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.makedirs(os.path.join(stage, "usr/local/bin"), exist_ok=True)
    shutil.copy(harness.program("tests/e2e/svc"), os.path.join(stage, "usr/local/bin/svc"))
    shutil.copy(os.path.join(HERE, "guest.py"), stage)
    done = subprocess.run([RUN, nspawn.BUILD, "--out", out, "--deadline", "300", "--init",
                           os.path.join(HERE, "init")], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    found = {"": done.stdout, **json.loads(procfs.read(os.path.join(out, "summary")) or "{}")}
    shutil.rmtree(out)
    return found


def checks():
    return re.findall(r"^def (test_\w+)", procfs.read(os.path.join(HERE, "guest.py")), re.M)


@pytest.mark.parametrize("name", checks())
def test_under_systemd_in_the_guest(results, name):
    assert name in results, f"it did not come to this\n{results['']}"
    assert results[name]["outcome"] == "passed", results[name]["text"]
