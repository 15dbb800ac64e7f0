#!/usr/bin/python3
"""header: every .c and .h opens with a comment that says what it owns, and names the licence.

SPDX-License-Identifier: MIT
"""
import os
import re

import lintlib

LINES_MIN, LINES_MAX = 3, 60  # 5-25 is the aim; a protocol or a format may need more
SHORT = 100  # lines: a .c that a reader sees at a glance may say its purpose in one


def refers_to_own_header(tree, path, comment):
    """`/* err: see err.h. */`: the contract stands in the header, which is checked itself."""
    own = path[:-2] + ".h"
    return path.endswith(".c") and own in tree.paths and "see " + os.path.basename(own) in comment


def check(tree):
    found = []
    for path in tree.files("*.c", "*.h"):
        text = tree.text(path)
        m = re.match(r"/\*.*?\*/", text, re.S)
        if not m:
            found.append(lintlib.Finding(path, 1, "comment", "does not open with a comment that says what it owns"))
            continue
        lines = m.group(0).count("\n") + 1
        short = path.endswith(".c") and text.count("\n") <= SHORT
        least = 1 if short or path.startswith(("tests/", "examples/")) else LINES_MIN
        says = re.search(r"\w", re.sub(r"SPDX-License-Identifier: \S+", "", m.group(0)))
        if not says or not (least <= lines <= LINES_MAX or refers_to_own_header(tree, path, m.group(0))):
            found.append(lintlib.Finding(path, 1, "comment", "opening comment of %d lines" % lines))
        if "SPDX-License-Identifier: MIT" not in "\n".join(text.split("\n")[: lines + 2]):
            found.append(lintlib.Finding(path, 1, "spdx", "no SPDX-License-Identifier line at its head"))
    return found


GOOD = "/*\n * a: owns nothing, returns 1.\n * Called by the test.\n *\n * SPDX-License-Identifier: MIT\n */\nint a(void);\n"
PLANTED = {
    "lib/a.c": "int a(void);\n",
    "lib/b.h": "/*\n * b: something.\n * No licence.\n */\nint b(void);\n",
    "lib/c.c": "/* SPDX-License-Identifier: MIT */\nint c(void);\n",
    "lib/d.c": "/* d: does a lot. */\n/* SPDX-License-Identifier: MIT */\n" + "int d(void);\n" * 200,
}
EXPECTED = [r"lib/a.c:1: does not open", r"lib/b.h:1: no SPDX", r"lib/c.c:1: opening comment",
            r"lib/d.c:1: opening comment"]
CLEAN = {
    "lib/a.h": GOOD,
    "lib/a.c": "/* a: see a.h. SPDX-License-Identifier: MIT */\nint a(void);\n",
    "lib/b.c": GOOD,
}

if __name__ == "__main__":
    lintlib.main("header", check, PLANTED, EXPECTED, CLEAN)
