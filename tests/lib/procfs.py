"""What /proc says about processes, and how tests and bench end what they started.

The process that runs the tests (or the bench) is made a child subreaper, so whatever it starts,
however that daemonises, is a descendant of it until it is reaped. That makes "did it leave something
behind" and "end it, by pid" answerable without names or patterns.

SPDX-License-Identifier: MIT
"""
import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode("utf-8", "replace")
    except OSError:
        return ""


def stat(pid):
    """(comm, state, ppid, start time) or None."""
    text = read(f"/proc/{pid}/stat")
    if not text:
        return None
    comm = text[text.index("(") + 1:text.rindex(")")]
    fields = text[text.rindex(")") + 2:].split()
    return comm, fields[0], int(fields[1]), int(fields[19])


def alive(pid):
    """Exists and is no zombie."""
    s = stat(pid)
    return s is not None and s[1] not in "ZX"


def is_alive_as(pid, comm):
    """Alive, and of that name: asked once, for it may end between two questions."""
    s = stat(pid)
    return s is not None and s[0] == comm and s[1] not in "ZX"


def hears(pid):
    """Does it read its signals from a descriptor? (That they are blocked says less: a sanitizer does
    that for a moment, too.)"""
    try:
        return any(os.readlink(link) == "anon_inode:[signalfd]" for link in glob.glob(f"/proc/{pid}/fd/*"))
    except OSError:
        return False


def stopped(pid):
    s = stat(pid)
    return s is not None and s[1] in "Tt"


def uid(pid):
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    return None


def children(pid):
    return [int(d) for d in os.listdir("/proc")
            if d.isdigit() and (s := stat(d)) is not None and s[2] == pid]


def descendants(pid, spared=()):
    """All living processes below pid, zombies excluded; of the spared ones, nothing below them, either."""
    below = {}
    for d in os.listdir("/proc"):
        s = stat(d) if d.isdigit() else None
        if s:
            below.setdefault(s[2], []).append((int(d), s[1]))
    found, todo = [], [pid]
    while todo:
        for child, state in below.get(todo.pop(), []):
            if child in spared:
                continue
            todo.append(child)
            if state not in "ZX":
                found.append(child)
    return found


def environ(pid):
    """The environment the process was started with, as a dict."""
    pairs = (e.partition("=") for e in read(f"/proc/{pid}/environ").split("\0") if e)
    return {name: value for name, _, value in pairs}


def fds(pid):
    """fd number -> what it is."""
    out = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                out[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                pass
    except OSError:
        pass
    return out


def with_cookie(incarnation):
    """Processes carrying this AICTL_INCARNATION."""
    needle = f"AICTL_INCARNATION={incarnation}\0"
    return [int(d) for d in os.listdir("/proc")
            if d.isdigit() and needle in read(f"/proc/{d}/environ") and alive(d)]


def escaped(pids):
    """[pids] of a `svc escape` that is done with it, else None: two, one of them in a session whose
    leader is gone. Before, two may be the service and the child between, which is about to exit."""
    try:
        lost = [p for p in pids if os.getsid(p) not in pids]
    except ProcessLookupError:
        return None
    return pids if len(pids) == 2 and len(lost) == 1 else None


def cpu_seconds(pid):
    """CPU time of the living threads, to the nanosecond."""
    texts = (read(p) for p in glob.glob(f"/proc/{pid}/task/*/schedstat"))
    return sum(int(t.split()[0]) for t in texts if t) / 1e9


def reaped_cpu_seconds(pid):
    """CPU time of the children that it has waited for, to the clock tick."""
    text = read(f"/proc/{pid}/stat")
    fields = text[text.rindex(")") + 2:].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def remove_table(runtime_dir):
    """aictld's shared table stands in /dev/shm where its runtime directory is on no tmpfs."""
    st = os.stat(runtime_dir)
    for path in glob.glob(f"/dev/shm/aictl-*-{st.st_dev:x}-{st.st_ino:x}"):
        shutil.rmtree(path, ignore_errors=True)


def kill(pid, signo=signal.SIGKILL):
    """True when there was such a process."""
    try:
        os.kill(pid, signo)
        return True
    except ProcessLookupError:
        return False


def reap():
    """Collects orphans that came back to us; children of a living Popen are left to it."""
    while True:
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if info is None or any(p.pid == info.si_pid for p in POPEN):
            return
        os.waitpid(info.si_pid, os.WNOHANG)


SPARED = set()  # what outlives a test, and ends by itself: end_all leaves it alone
POPEN = []  # subprocess.Popen objects that are not waited for yet


def popen(argv, **kwargs):
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    process = subprocess.Popen(argv, **kwargs)
    POPEN.append(process)
    return process


def end_all():
    """Ends every process below us by pid. Returns pid -> command line of those that ran.

    A process without a command line has lost its memory already: it is on its way out.
    """
    found = {}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = descendants(os.getpid(), SPARED)
        for pid in left:
            cmdline = read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
            if cmdline:
                found.setdefault(pid, cmdline)
            kill(pid)
        for process in POPEN:
            process.poll()
        POPEN[:] = [p for p in POPEN if p.returncode is None]
        reap()
        if not left:
            break
        time.sleep(0.02)
    return found


def read_bytes(pid):
    """What it has read so far, from anything: a FUSE server's requests, for example."""
    return int(re.search(r"^rchar: (\d+)", read(f"/proc/{pid}/io"), re.M)[1])
