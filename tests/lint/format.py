#!/usr/bin/python3
"""format: clang-format has nothing to change in any .c or .h.

SPDX-License-Identifier: MIT
"""
import os
import re
import subprocess

import lintlib

STYLE = os.path.join(lintlib.TOP, ".clang-format")


def check(tree):
    paths = tree.files("*.c", "*.h")
    if not paths:
        return []
    run = subprocess.run(["clang-format", "--dry-run", "--style=file:" + STYLE] + paths,
                         capture_output=True, text=True, cwd=tree.top)
    found = {}
    for m in re.finditer(r"^(\S+?):(\d+):\d+: \w+: code should be clang-formatted", run.stderr, re.M):
        found.setdefault(m.group(1), int(m.group(2)))
    if run.returncode != 0 and not found:
        return [lintlib.Finding(".clang-format", 0, "tool", run.stderr.strip())]
    return [lintlib.Finding(p, n, "format", "not formatted: run clang-format -i %s" % p) for p, n in found.items()]


PLANTED = {"lib/a.c": "int a(void){\n    return 1; }\n", "lib/b.h": "int  b( void );\n"}
EXPECTED = [r"lib/a.c:1: not formatted", r"lib/b.h:1: not formatted"]
CLEAN = {"lib/a.c": "int a(void)\n{\n\treturn 1;\n}\n"}

if __name__ == "__main__":
    lintlib.need_tool("clang-format")
    lintlib.main("format", check, PLANTED, EXPECTED, CLEAN)
