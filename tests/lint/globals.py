#!/usr/bin/python3
"""globals: no variable that can change outlives a call: neither at file scope nor function-static.

Looks at the object files of the build directory: an object in .data, .bss or thread-local storage
is mutable (a constant table with pointers lies in .data.rel.ro and is fine). Tests are exempt.

SPDX-License-Identifier: MIT
"""
import os
import re
import subprocess

import lintlib

MUTABLE = re.compile(r"^(\.data(?!\.rel\.ro)|\.bss|\.tdata|\.tbss|\*COM\*)")
GENERATED = re.compile(r"^(__asan|__odr_asan|__ubsan|__tsan|__gcov|_GLOBAL_|\.L|completed\.)")
# 0000000000000000 l     O .bss	0000000000000004 counter
ROW = re.compile(r"^[0-9a-f]+ .{7} (\S+)\t[0-9a-f]+ +(?:\.hidden )?(\S+)$")


def check(tree):
    found = []
    for obj, source in lintlib.objects(tree):
        out = subprocess.run(["objdump", "-t", obj], capture_output=True, text=True, check=True).stdout
        for line in out.splitlines():
            m = ROW.match(line)
            if m and MUTABLE.match(m.group(1)) and m.group(2) != m.group(1) and not GENERATED.match(m.group(2)):
                message = "%s can change (section %s)" % (m.group(2), m.group(1))
                found.append(lintlib.Finding(source, 0, m.group(2), message))
    return found


PLANTED = {
    "lib/a.c": "int a_count;\nint a(void)\n{\n\tstatic int calls = 1;\n\treturn ++calls + a_count;\n}\n",
    "daemon/wire/b.c": "static __thread int depth;\nint b(void)\n{\n\treturn ++depth;\n}\n",
    "cli/c.c": "static const char *name = \"x\";\nconst char *c(int i)\n{\n\tif (i)\n\t\tname = \"y\";\n\treturn name;\n}\n",
}
EXPECTED = [r"lib/a.c: a_count", r"lib/a.c: calls", r"b.c: depth", r"c.c: name"]
CLEAN = {
    "lib/a.c": "static const char *const names[] = {\"a\", \"b\"};\nconst char *a(int i)\n{\n\treturn names[i];\n}\n",
    "lib/log.c": "int log_fd = 2;\n",
}

if __name__ == "__main__":
    lintlib.need_tool("objdump", "gcc")
    if not any(lintlib.objects(lintlib.Tree(lintlib.TOP, os.getcwd()))):
        lintlib.skip("no object files below %s: build first" % os.getcwd())
    lintlib.main("globals", check, PLANTED, EXPECTED, CLEAN, prepare=lintlib.compile_planted)
