#!/usr/bin/python3
"""tidy: the few checks of clang-tidy that fire on C and find real mistakes: unchecked conversions,
handlers that are not async-signal-safe, wrong tests of POSIX results, macros without parentheses.
(Its close-on-exec checks miss sockets on glibc and flags that have a name: cloexec.py is ours.)

SPDX-License-Identifier: MIT
"""
import concurrent.futures
import os
import re
import subprocess

import lintlib

CHECKS = ("-*,cert-err34-c,bugprone-signal-handler,bugprone-macro-parentheses,"
          "bugprone-posix-return,bugprone-suspicious-memset-usage,"
          "bugprone-suspicious-string-compare,bugprone-too-small-loop-variable,bugprone-undelegated-constructor")
WARNING = re.compile(r"^(\S+?):(\d+):\d+: (?:warning|error): (.*) \[([\w.,-]+)\]$", re.M)
SYSTEM_HEADER = re.compile(r"^/usr/")


def flags(tree):
    """What the compiler gets, as far as it matters here; with the points of tests (lib/point.h)."""
    config = os.path.join(tree.build, "config.h")
    found = ["-std=gnu11", "-D_GNU_SOURCE", "-I" + tree.top, "-I" + os.path.join(tree.top, "include"), "-DLIBEXECDIR=\"\"", "-DPLUGINDIR=\"\"",
             "-DSBINDIR=\"\"", "-DDATADIR=\"\"", "-DPKGVERSION=\"\"", "-DPLUGIN_VERSION=\"\""]
    if os.path.exists(config):
        found += ["-include", config]
        if "#define AICTL_POINTS" not in open(config, encoding="utf-8").read():
            found.append("-DAICTL_POINTS=1")
    makefile = os.path.join(tree.build, "Makefile")
    text = open(makefile, encoding="utf-8").read() if os.path.exists(makefile) else ""
    for m in re.finditer(r"^(?:UV|YAML|CURL|CJSON|SQLITE|LLHTTP)_CFLAGS = (.*)$", text, re.M):
        found += m.group(1).split()
    return found


def tidy(tree, path, args):
    run = subprocess.run(["clang-tidy", "--quiet", "--checks=" + CHECKS, path, "--"] + args,
                         capture_output=True, text=True, cwd=tree.top)
    found = {}
    for m in WARNING.finditer(run.stdout):
        where = os.path.relpath(os.path.join(tree.top, m.group(1)), tree.top)
        if not SYSTEM_HEADER.match(m.group(1)) and not where.startswith(".."):
            key = (where, int(m.group(2)), m.group(4))
            found[key] = lintlib.Finding(where, key[1], key[2], "%s [%s]" % (m.group(3), key[2]))
    return found


def check(tree):
    args, found = flags(tree), {}
    paths = tree.files("lib/*.c", "daemon/*.c", "cli/*.c", "plugins/*.c")
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for part in pool.map(lambda p: tidy(tree, p, args), paths):
            found.update(part)
    return [found[k] for k in sorted(found)]


PLANTED = {
    "lib/a.c": "#include <stdlib.h>\n#define SUM(a, b) a + b\nint a(const char *s)\n{\n\treturn SUM(atoi(s), 1);\n}\n",
    "cli/c.c": "#include <unistd.h>\n#include <fcntl.h>\nint c(void)\n{\n\treturn posix_fadvise(1, 0, 0, 0) < 0;\n}\n",
}
EXPECTED = [r"lib/a.c:5:.*cert-err34-c", r"lib/a.c:2:.*macro-parentheses", r"cli/c.c:5:.*posix-return"]
CLEAN = {"lib/a.c": "#include <string.h>\n#define SUM(a, b) ((a) + (b))\nint a(int i)\n{\n\treturn SUM(i, 1);\n}\n"}

if __name__ == "__main__":
    lintlib.need_tool("clang-tidy")
    lintlib.main("tidy", check, PLANTED, EXPECTED, CLEAN)
