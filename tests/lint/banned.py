#!/usr/bin/python3
"""banned: calls that this project does not make (STYLE: house rules in CONTRIBUTING.md).

SPDX-License-Identifier: MIT
"""
import re

import lintlib

# call -> what to use instead
BANNED = {
    "sprintf": "snprintf or buf_printf", "vsprintf": "vsnprintf or buf_vprintf",
    "strcpy": "mem_strdup or memcpy", "strcat": "buf_str", "stpcpy": "buf_str",
    "strncpy": "snprintf or memcpy", "strncat": "buf_str", "gets": "fs_read_fd",
    "atoi": "parse_i64", "atol": "parse_i64", "atoll": "parse_i64", "atof": "parse_double",
    "strtol": "parse_i64", "strtoul": "parse_i64", "strtoll": "parse_i64", "strtoull": "parse_i64",
    "strtoimax": "parse_i64", "strtoumax": "parse_i64", "strtod": "parse_double",
    "strtof": "parse_double", "strtold": "parse_double", "strtok": "strchr or strcspn",
    "popen": "spawn through aictld", "system": "spawn through aictld",
    "fork": "spawn_start (clone3)", "vfork": "spawn_start (clone3)", "uv_spawn": "spawn_start (clone3)",
    "posix_spawn": "spawn_start (clone3)", "posix_spawnp": "spawn_start (clone3)",
    "daemon": "the service manager's work", "signal": "signalfd, uv_signal or sigaction",
    "sleep": "a timer with a deadline", "usleep": "a timer with a deadline", "alarm": "a timer",
    "gmtime": "clock_rfc3339 or gmtime_r", "localtime": "localtime_r", "ctime": "clock_rfc3339",
    "asctime": "clock_rfc3339", "exit": "return to main", "tmpnam": "memfd_create",
    "tempnam": "memfd_create", "mktemp": "mkostemp",
    "rand": "getrandom", "srand": "getrandom", "alloca": "mem_alloc",
    "malloc": "mem_alloc", "calloc": "mem_array", "realloc": "mem_realloc", "free": "mem_free",
    "strdup": "mem_strdup", "strndup": "mem_strndup", "asprintf": "mem_printf", "vasprintf": "mem_vprintf",
}
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(sorted(BANNED, key=len, reverse=True)))


def check(tree):
    found = []
    for path in tree.files("*.c", "*.h"):
        text = lintlib.strip_c(tree.text(path))
        for m in CALL.finditer(text):
            name = m.group(1)
            message = "%s() is banned; use %s" % (name, BANNED[name])
            found.append(lintlib.Finding(path, lintlib.line_of(text, m.start()), name, message))
    return found


PLANTED = {
    "lib/a.c": "void a(char *d)\n{\n\tsprintf(d, \"x\");\n\tif (fork() == 0)\n\t\tsystem (\"ls\");\n}\n",
    "daemon/b.c": "int b(const char *s)\n{\n\treturn atoi(s) + (int)strtoul(s, 0, 10);\n}\n",
    "lib/parse.c": "void p(void)\n{\n\texit(1);\n}\n",
}
EXPECTED = [r"lib/a.c:3: sprintf", r"lib/a.c:4: fork", r"lib/a.c:5: system", r"b.c:3: atoi", r"b.c:3: strtoul",
            r"lib/parse.c:3: exit"]
CLEAN = {
    "lib/c.c": "/* never fork() */\nint c(struct o *o)\n{\n\to->exit(1);\n\t_exit(0);\n\treturn x_fork(\"atoi(1)\");\n}\n",
    "lib/parse.c": "long p(const char *s)\n{\n\treturn strtol(s, 0, 10);\n}\n",
    "lib/main.c": "int main(void)\n{\n\texit(0);\n}\n",
}

if __name__ == "__main__":
    lintlib.main("banned", check, PLANTED, EXPECTED, CLEAN)
