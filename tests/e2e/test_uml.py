"""The tests of ../uml, which run in a kernel of their own (user-mode-linux): one boot for all, one
result here for each, and a guest that panics or hangs is a failure.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile

import pytest

import harness
import procfs

UML = os.path.join(harness.ROOT, "tests/uml")
RUN = os.path.join(UML, "run")
pytestmark = pytest.mark.machine
MISSING = "no linux.uml" if shutil.which("linux.uml") is None else None
ELSEWHERE = ("a user-mode-linux process has less address space than a sanitizer wants"
             if harness.built_with("AICTL_SANITIZED") else None)


def guest_tests():
    """Their names; none is made by parameters."""
    found = []
    for path in sorted(glob.glob(os.path.join(UML, "test_*.py"))):
        found += re.findall(r"^def (test_\w+)", procfs.read(path), re.M)
    assert len(found) == len(set(found)), "two tests of one name"
    return found


def run(*words):
    """(exit status, what it printed)."""
    done = subprocess.run([RUN, harness.BUILD, *words], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def results():
    """Name -> result line; "" -> what the runner printed."""
    out = tempfile.mkdtemp(prefix="aictl-uml-")
    _, text = run("--out", out)
    found = {"": text, **json.loads(procfs.read(os.path.join(out, "summary")))}
    shutil.rmtree(out)
    return found


@pytest.mark.parametrize("name", guest_tests())
def test_in_the_guest(results, name):
    assert name in results, f"it did not come to this test\n{results['']}"
    if results[name]["outcome"] == "skipped":
        pytest.skip(results[name]["text"])
    assert results[name]["outcome"] == "passed", results[name]["text"]


def test_guest_ended_well(results):
    """Also when each test had passed before: no crash on the way out, no test that we do not know."""
    assert set(results) - {""} == set(guest_tests()), results[""]
    assert "uml: " not in results[""], results[""]


def first_process(base, script):
    path = os.path.join(base, "init")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\n{script}\n")
    os.chmod(path, 0o755)
    return path


def test_panic_is_a_failure_with_the_console(base):
    rc, text = run("--init", first_process(base, "echo so far; exit 1"), "--deadline", "60")
    assert rc == 1 and "so far" in text and "Attempted to kill init" in text


def test_hang_is_a_failure_with_the_console(base):
    rc, text = run("--init", first_process(base, "echo so far; read never"), "--deadline", "5")
    assert rc == 1 and "so far" in text and "guest was killed" in text
