#!/usr/bin/python3
"""shell: shellcheck has nothing to say about any shell script.

SPDX-License-Identifier: MIT
"""
import re
import subprocess

import lintlib


def scripts(tree):
    for path in tree.paths:
        if path.endswith((".sh", ".bash")) or re.match(r"#!.*\b(ba|da)?sh\b", tree.first_line(path)):
            yield path


def check(tree):
    paths = list(scripts(tree))
    if not paths:
        return []
    run = subprocess.run(["shellcheck", "-f", "gcc", "--"] + paths, capture_output=True, text=True, cwd=tree.top)
    found = []
    for line in run.stdout.splitlines():
        m = re.match(r"(.+?):(\d+):\d+: (.*?)(?: \[(SC\d+)\])?$", line)
        if m:
            found.append(lintlib.Finding(m.group(1), int(m.group(2)), m.group(4) or "shell", m.group(3)))
    if run.returncode > 1:
        found.append(lintlib.Finding("shellcheck", 0, "tool", run.stderr.strip()))
    return found


PLANTED = {"scripts/a": "#!/bin/bash\ncd $1\nrm -rf $2/*\n", "b.sh": "#!/bin/sh\necho $1\n"}
EXPECTED = [r"scripts/a:2:", r"scripts/a:3:", r"b.sh:2:"]
CLEAN = {"scripts/a": "#!/bin/bash\ncd \"$1\" || exit 1\n", "c.txt": "cd $1\n"}

if __name__ == "__main__":
    lintlib.need_tool("shellcheck")
    lintlib.main("shell", check, PLANTED, EXPECTED, CLEAN, want=("scripts/*",))
