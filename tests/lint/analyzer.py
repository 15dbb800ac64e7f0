#!/usr/bin/python3
"""analyzer: gcc -fanalyzer finds no leak, no use after free, no NULL that is followed, on any path of
a function that it can see. It knows neither cJSON nor what our tables promise: exceptions say so.

SPDX-License-Identifier: MIT
"""
import concurrent.futures
import os
import re
import subprocess

import lintlib
import tidy

WARNING = re.compile(r"^(\S+?):(\d+):\d+: warning: (.*) \[-Wanalyzer-([\w-]+)\]$", re.M)
SECONDS = 120  # for one file; the largest takes three


def analyze(tree, path, args):
    run = subprocess.run(["gcc", *args, "-O1", "-fanalyzer", "-fno-diagnostics-show-caret",
                          "-fdiagnostics-path-format=none", "-S", "-o", "/dev/null", path],
                         capture_output=True, text=True, cwd=tree.top, timeout=SECONDS,
                         env={**os.environ, "LC_ALL": "C"})
    found = {}
    for m in WARNING.finditer(run.stderr):
        where = os.path.relpath(os.path.join(tree.top, m.group(1)), tree.top)
        key = (where, int(m.group(2)), m.group(4))
        found[key] = lintlib.Finding(where, key[1], key[2], "%s [%s]" % (m.group(3), key[2]))
    if run.returncode != 0:
        found[path, 0, "gcc"] = lintlib.Finding(path, 0, "gcc", " ".join(run.stderr.split())[-400:])
    return found


def check(tree):
    args, found = tidy.flags(tree), {}
    paths = tree.files("lib/*.c", "daemon/*.c", "cli/*.c", "plugins/*.c")
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for part in pool.map(lambda p: analyze(tree, p, args), paths):
            found.update(part)
    return [found[k] for k in sorted(found)]


PLANTED = {
    "lib/a.c": "#include <string.h>\nint a(const char *s);\nint a(const char *s)\n{\n\tchar *p = strdup(s);\n\n"
               "\treturn p ? p[0] : 0;\n}\n",
    "cli/b.c": "#include <stdlib.h>\nvoid b(char *p);\nvoid b(char *p)\n{\n\tfree(p);\n\tfree(p);\n}\n",
    "daemon/c.c": "int c(void)\n{\n\treturn nothing;\n}\n",
}
EXPECTED = [r"lib/a.c:7:.*malloc-leak", r"cli/b.c:6:.*double-free", r"daemon/c.c: .*error"]
CLEAN = {"lib/a.c": "#include <stdlib.h>\nvoid a(void);\nvoid a(void)\n{\n\tfree(malloc(8));\n}\n"}

if __name__ == "__main__":
    lintlib.need_tool("gcc")
    lintlib.main("analyzer", check, PLANTED, EXPECTED, CLEAN)
