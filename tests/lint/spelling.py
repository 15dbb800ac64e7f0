#!/usr/bin/python3
"""spelling: codespell knows no better spelling for any word in our text files. Words that it gets
wrong stand in the exceptions file.

SPDX-License-Identifier: MIT
"""
import re
import subprocess

import lintlib


OWN = ("tests/lint/spelling.py", "tests/lint/exceptions")  # they hold the mistakes


def check(tree):
    paths = [p for p in tree.paths if not p.startswith("tests/fuzz/seeds/") and p not in OWN]
    if not paths:
        return []
    found = []
    run = subprocess.run(["codespell", "--quiet-level=3", "--builtin=clear,rare"] + paths,
                         capture_output=True, text=True, cwd=tree.top)
    for line in run.stdout.splitlines():
        m = re.match(r"(?:\./)?(.+?):(\d+): (\S+) ==> (.*)$", line)
        if m:
            message = "%s: perhaps %s" % (m.group(3), m.group(4))
            found.append(lintlib.Finding(m.group(1), int(m.group(2)), m.group(3).lower(), message))
    if run.returncode not in (0, len(found), 65) and not found:
        found.append(lintlib.Finding("codespell", 0, "tool", run.stderr.strip()))
    return found


PLANTED = {"README.md": "This is teh first.\n", "lib/a.c": "/* recieve nothing */\n"}
EXPECTED = [r"README.md:1: teh", r"lib/a.c:1: recieve"]
CLEAN = {"README.md": "This is the first.\n"}

if __name__ == "__main__":
    lintlib.need_tool("codespell")
    lintlib.main("spelling", check, PLANTED, EXPECTED, CLEAN)
