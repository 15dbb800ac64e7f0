#!/usr/bin/python3
"""cloexec: every descriptor of ours is close-on-exec from its creation; calls that cannot say so
are banned. Tests and examples are exempt.

SPDX-License-Identifier: MIT
"""
import re

import lintlib

# call -> flag that must stand in its arguments; None = the call itself is banned
RULES = {
    "open": "O_CLOEXEC", "openat": "O_CLOEXEC", "openat2": "O_CLOEXEC", "open64": "O_CLOEXEC", "creat": None,
    "socket": "SOCK_CLOEXEC", "socketpair": "SOCK_CLOEXEC", "accept4": "SOCK_CLOEXEC", "accept": None,
    "pipe2": "O_CLOEXEC", "pipe": None, "dup": None, "dup2": None, "dup3": "O_CLOEXEC",
    "memfd_create": "MFD_CLOEXEC", "epoll_create": None, "epoll_create1": "EPOLL_CLOEXEC",
    "eventfd": "EFD_CLOEXEC", "signalfd": "SFD_CLOEXEC", "timerfd_create": "TFD_CLOEXEC",
    "inotify_init": None, "inotify_init1": "IN_CLOEXEC", "mkstemp": None, "mkostemp": "O_CLOEXEC",
    "recvmsg": "MSG_CMSG_CLOEXEC", "recvmmsg": "MSG_CMSG_CLOEXEC", "tmpfile": None,
}
CALL = re.compile(r"(?<![\w.>])(%s|fopen|freopen|fcntl|syscall)\s*\(" % "|".join(sorted(RULES, key=len, reverse=True)))
SYSCALLS = {"SYS_open": "O_CLOEXEC", "SYS_openat": "O_CLOEXEC", "SYS_socket": "SOCK_CLOEXEC", "SYS_pipe2": "O_CLOEXEC",
            "SYS_memfd_create": "MFD_CLOEXEC", "SYS_dup3": "O_CLOEXEC"}


def defines(text):
    """Flags that the file gives a name of its own: #define OPEN_DIR (O_RDONLY | O_CLOEXEC)."""
    return dict(re.findall(r"^#define (\w+) +(\(.*\))$", text, re.M))


def complaint(name, args):
    if name in ("fopen", "freopen"):
        return None if re.search(r'"[a-z+]*e[a-z+]*"', args) else 'mode without "e"'
    if name == "fcntl":
        return "use F_DUPFD_CLOEXEC" if re.search(r"\bF_DUPFD\b", args) else None
    if name == "syscall":
        for number, flag in SYSCALLS.items():
            if re.search(r"\b%s\b" % number, args) and flag not in args:
                return "%s without %s" % (number, flag)
        return None
    if RULES[name] is None:
        return "cannot be close-on-exec; use the call with flags"
    return None if RULES[name] in args else "without %s" % RULES[name]


def check(tree):
    found = []
    for path in tree.files("lib/*.[ch]", "daemon/*.[ch]", "cli/*.[ch]", "plugins/*.[ch]"):
        text = lintlib.strip_c(tree.text(path), keep_strings=True)
        bare = lintlib.strip_c(tree.text(path))
        names = defines(text)
        for m in CALL.finditer(bare):
            args = lintlib.call_arguments(text, m.end() - 1)
            if args.startswith("const char *") or args.startswith("int "):
                continue  # a declaration
            why = complaint(m.group(1), re.sub(r"\w+", lambda w: names.get(w.group(0), w.group(0)), args))
            if why:
                line = lintlib.line_of(bare, m.start())
                found.append(lintlib.Finding(path, line, m.group(1), "%s(): %s" % (m.group(1), why)))
    return found


PLANTED = {
    "lib/a.c": 'int a(void)\n{\n\tint fd = open("/x",\n\t\tO_RDONLY);\n\tsocket(AF_UNIX, SOCK_STREAM, 0);\n'
               '\tfopen("/x", "r");\n\taccept(fd, 0, 0);\n\tpipe(p);\n\tfcntl(fd, F_DUPFD, 3);\n'
               '\tsyscall(SYS_openat, 1, "x", O_RDONLY);\n\tsocketpair(AF_UNIX, SOCK_SEQPACKET, 0, p);\n}\n',
}
EXPECTED = [r":3: open\(\)", r":5: socket\(\)", r":6: fopen", r":7: accept", r":8: pipe", r":9: fcntl", r":10: syscall",
            r":11: socketpair"]
CLEAN = {
    "lib/b.c": '/* open(x) */\nint b(void)\n{\n\to->open(1);\n\tx_open(2);\n\treturn open("/x", O_RDONLY |\n\t\tO_CLOEXEC) +\n'
               '\t\tfileno(fopen("/x", "re")) + socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);\n}\n',
    "lib/c.c": '#define DIR (O_RDONLY | O_CLOEXEC)\nint c(void)\n{\n\treturn openat(1, "x", DIR);\n}\n',
    "tests/unit/t.c": 'int t(void)\n{\n\treturn open("/x", O_RDONLY);\n}\n',
}

if __name__ == "__main__":
    lintlib.main("cloexec", check, PLANTED, EXPECTED, CLEAN)
