#!/usr/bin/python3
"""mandoc: the man pages parse, also those that the build generated; warnings and style are
tolerated, errors are not.

SPDX-License-Identifier: MIT
"""
import glob
import os
import re
import subprocess

import lintlib


def generated(tree):
    if os.path.realpath(tree.build) == os.path.realpath(tree.top):
        return []
    return sorted(glob.glob(os.path.join(tree.build, "man", "*.[1-8]")))


def check(tree):
    paths = tree.files("man/*.[1-8]") + generated(tree)
    if not paths:
        return []
    run = subprocess.run(["mandoc", "-T", "lint", "-W", "error"] + paths, capture_output=True, text=True, cwd=tree.top)
    found = []
    for line in (run.stdout + run.stderr).splitlines():
        m = re.match(r"mandoc: (\S+?):(\d+):\d+: (ERROR|UNSUPP|BADARG|SYSERR): (.*)$", line)
        if m:
            found.append(lintlib.Finding(m.group(1), int(m.group(2)), m.group(3), m.group(4)))
    if run.returncode >= 3 and not found:
        found.append(lintlib.Finding("mandoc", 0, "tool", (run.stdout + run.stderr).strip()))
    return found


HEAD = ".Dd January 2, 2026\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd something\n"
PLANTED = {"man/a.1": HEAD + ".Sh DESCRIPTION\n.It Fl x\nNo list here.\n.El\n"}
EXPECTED = [r"man/a.1:\d+: skipping"]
CLEAN = {"man/a.1": HEAD + ".Sh DESCRIPTION\n.Bl -tag -width x\n.It Fl x\nAn option.\n.El\n"}

if __name__ == "__main__":
    lintlib.need_tool("mandoc")
    lintlib.main("mandoc", check, PLANTED, EXPECTED, CLEAN, want=("man/*.[1-8]", "configure.ac"))
