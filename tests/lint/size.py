#!/usr/bin/python3
"""size: a file has at most 800 lines, a function at most 100 lines and 6 parameters.

SPDX-License-Identifier: MIT
"""
import re
import subprocess

import lintlib

FILE_MAX, FUNCTION_MAX, PARAMETERS_MAX = 800, 100, 6


def functions(tree, paths):
    """(path, name, first line, last line, signature) of each function, by ctags."""
    out = subprocess.run(
        ["ctags", "-f", "-", "-u", "--languages=C", "--langmap=C:.c.h", "--c-kinds=f", "--fields=neSk", "-L", "-"],
        input="\n".join(paths), capture_output=True, text=True, check=True, cwd=tree.top).stdout
    for line in out.splitlines():
        row = line.split("\t")
        if line.startswith("!") or len(row) < 4:
            continue
        fields = dict(x.split(":", 1) for x in row[3:] if ":" in x)
        if "end" in fields and "line" in fields:
            yield row[1], row[0], int(fields["line"]), int(fields["end"]), fields.get("signature", "()")


def parameters(signature):
    inside = re.sub(r"\([^()]*\)", "", signature.strip()[1:-1])  # function pointers' own lists do not count
    return 0 if not inside.strip() else inside.count(",") + 1


def check(tree):
    found = []
    for path in tree.files("*.c", "*.h", "*.py", "*.def", "scripts/*"):
        lines = tree.text(path).count("\n")
        if lines > FILE_MAX:
            found.append(lintlib.Finding(path, 0, "file", "%d lines, the limit is %d" % (lines, FILE_MAX)))
    sources = tree.files("*.c", "*.h")
    for path, name, first, last, signature in functions(tree, sources) if sources else []:
        if last - first + 1 > FUNCTION_MAX:
            message = "%s has %d lines, the limit is %d" % (name, last - first + 1, FUNCTION_MAX)
            found.append(lintlib.Finding(path, first, name, message))
        if parameters(signature) > PARAMETERS_MAX:
            message = "%s has %d parameters, the limit is %d" % (name, parameters(signature), PARAMETERS_MAX)
            found.append(lintlib.Finding(path, first, name, message))
    return found


PLANTED = {
    "lib/a.c": "int a(void)\n{\n" + "\tb();\n" * 101 + "}\n",
    "lib/b.c": "int x;\n" * 801,
    "lib/c.c": "int c(int a, int b, int c, int d, int e, int f, int g)\n{\n\treturn 1;\n}\n",
}
EXPECTED = [r"lib/a.c:1: a has 104 lines", r"lib/b.c: 801 lines", r"lib/c.c:1: c has 7 parameters"]
CLEAN = {
    "lib/a.c": "int a(int b, void (*f)(int, int, int), int c, int d, int e, int g)\n{\n" + "\tb();\n" * 90 + "}\n",
    "lib/b.c": "int x;\n" * 800,
}

if __name__ == "__main__":
    lintlib.need_tool("ctags")
    lintlib.main("size", check, PLANTED, EXPECTED, CLEAN)
