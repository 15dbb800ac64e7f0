#!/usr/bin/python3
"""prefix: a symbol that leaves its file begins with the file's name: err.c exports err_*.

Looks at the object files of the build directory. Test programs are exempt.

SPDX-License-Identifier: MIT
"""
import os
import re
import subprocess

import lintlib

GENERATED = re.compile(r"^(__asan|__odr_asan|__ubsan|__tsan|_GLOBAL_|__gcov)")


def check(tree):
    found = []
    for obj, source in lintlib.objects(tree):
        out = subprocess.run(["nm", "-g", "--defined-only", obj], capture_output=True, text=True, check=True).stdout
        base = os.path.basename(source)[:-2]
        for line in out.splitlines():
            symbol = line.split()[-1]
            if GENERATED.match(symbol) or symbol == base or symbol.startswith(base + "_"):
                continue
            found.append(lintlib.Finding(source, 0, symbol, "exports %s, want %s_*" % (symbol, base)))
    return found


PLANTED = {
    "lib/a.c": "int a_get(void)\n{\n\treturn 1;\n}\nint other(void)\n{\n\treturn 2;\n}\n",
    "daemon/wire/b.c": "const int bb = 1;\n",
    "cli/c.c": "int main(void)\n{\n\treturn 0;\n}\n",
}
EXPECTED = [r"lib/a.c: exports other", r"daemon/wire/b.c: exports bb", r"cli/c.c: exports main"]
CLEAN = {
    "lib/a.c": "static int other(void)\n{\n\treturn 2;\n}\nint a_get(void)\n{\n\treturn other();\n}\n",
    "cli/main.c": "int main(void)\n{\n\treturn 0;\n}\n",
}

if __name__ == "__main__":
    lintlib.need_tool("nm", "gcc")
    if not any(lintlib.objects(lintlib.Tree(lintlib.TOP, os.getcwd()))):
        lintlib.skip("no object files below %s: build first" % os.getcwd())
    lintlib.main("prefix", check, PLANTED, EXPECTED, CLEAN, prepare=lintlib.compile_planted)
