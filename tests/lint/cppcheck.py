#!/usr/bin/python3
"""cppcheck: its warnings and portability checks have nothing to say: reads and writes beyond arrays,
variables that nobody has set, NULL that is looked at after its use. (Its style checks want another
style.)

SPDX-License-Identifier: MIT
"""
import os
import re
import subprocess

import lintlib

WARNING = re.compile(r"^(\S+?):(\d+): ([\w]+): (.*)$", re.M)
# It reads no system headers: what it must know of them stands in cppcheck.h.
MACROS = ["-D_GNU_SOURCE", "-D__x86_64__", '-DPKGVERSION=""', '-DLIBEXECDIR=""', '-DPLUGINDIR=""', '-DPLUGIN_VERSION=""', '-DSBINDIR=""',
          "--include=" + os.path.join(lintlib.LINT_DIR, "cppcheck.h")]


def check(tree):
    paths = tree.files("lib/*.c", "daemon/*.c", "cli/*.c", "plugins/*.c")
    run = subprocess.run(["cppcheck", "--quiet", "-j", str(len(os.sched_getaffinity(0))), "--std=c11",
                          "--enable=warning,portability", "--suppress=missingIncludeSystem", "-I" + tree.top,
                          "-I" + os.path.join(tree.top, "include"), "--template={file}:{line}: {id}: {message}",
                          *MACROS, *paths], capture_output=True, text=True, cwd=tree.top)
    found = {}
    for m in WARNING.finditer(run.stderr):
        path = os.path.relpath(os.path.join(tree.top, m.group(1)), tree.top)
        key = (path, int(m.group(2)), m.group(3))
        found[key] = lintlib.Finding(*key, "%s [%s]" % (m.group(4), m.group(3)))
    if run.returncode != 0:
        found["cppcheck", 0, "tool"] = lintlib.Finding("cppcheck", 0, "tool", run.stdout + run.stderr[-400:])
    return [found[k] for k in sorted(found)]


PLANTED = {
    "lib/a.c": "#include <string.h>\nvoid a(char *p)\n{\n\tchar small[8];\n\tmemcpy(p, small, 9);\n}\n",
    "cli/b.c": "int b(int *p)\n{\n\tint v = *p;\n\tif (!p)\n\t\treturn 0;\n\treturn v;\n}\n",
    "daemon/c.c": "int c(int n)\n{\n\tint v;\n\tif (n)\n\t\tv = 1;\n\treturn v;\n}\n",
}
EXPECTED = [r"lib/a.c:5:.*bufferAccessOutOfBounds", r"cli/b.c:3:.*nullPointerRedundantCheck", r"daemon/c.c:6:.*uninitvar"]
CLEAN = {"lib/a.c": "int a(const int *p)\n{\n\treturn p ? *p : 0;\n}\n"}

if __name__ == "__main__":
    lintlib.need_tool("cppcheck")
    lintlib.main("cppcheck", check, PLANTED, EXPECTED, CLEAN)
