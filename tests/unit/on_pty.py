"""Runs a program on a terminal of its own, as the tests of what aictl shows on one need it.

SPDX-License-Identifier: MIT
"""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios


def run(argv, columns, deadline, **more):
    """The bytes it writes on a terminal of that width, with its escape sequences and "\\n" as the end
    of a line. It waits at most `deadline` seconds for each piece; `more` goes to Popen."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    p = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, **more)
    os.close(slave)
    out = b""
    try:
        while select.select([master], [], [], deadline)[0]:
            data = os.read(master, 65536)
            if not data:
                break
            out += data
    except OSError:  # EIO: the other side is closed
        pass
    os.close(master)
    p.wait(deadline)
    return out.replace(b"\r\n", b"\n")
