"""What processes use: memory, context switches, CPU time.

CPU time is taken from a cgroup of the peer's own where there is one (a v1 cpuacct hierarchy, else
cgroup2): it is exact, holds what short-lived processes used, and nothing of the machine's other
load. Elsewhere it is not known and left out.

SPDX-License-Identifier: MIT
"""
import glob
import os

import procfs

PAGE_KB = 1024


def memory(pids):
    """Bytes: proportional, and private that no file holds (a library's pages are private as long as
    nobody else runs that uses it). Summed over the processes."""
    total = {"pss": 0, "private": 0}
    for pid in pids:
        for line in procfs.read(f"/proc/{pid}/smaps_rollup").splitlines():
            key, _, rest = line.partition(":")
            if key == "Pss":
                total["pss"] += int(rest.split()[0]) * PAGE_KB
            elif key == "Private_Dirty":
                total["private"] += int(rest.split()[0]) * PAGE_KB
    return total


def switches(pids):
    """Context switches so far, of all threads."""
    total = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/status"):
            total += sum(int(line.split()[1]) for line in procfs.read(path).splitlines()
                         if "ctxt_switches" in line)
    return total


class CpuGroup:
    """A cgroup that counts the CPU time of all that is started in it, dead or alive."""

    def __init__(self, name):
        self.directory, self.counter = None, None
        root, self.counter = hierarchy()
        if not root:
            return
        self.directory = os.path.join(root, name)
        try:
            os.mkdir(self.directory)
        except OSError:
            self.directory = None

    def enter(self):
        """In the child, before its exec."""
        if self.directory:
            with open(os.path.join(self.directory, "cgroup.procs"), "w", encoding="ascii") as f:
                f.write("0")

    def seconds(self):
        """CPU time so far, or None."""
        if not self.directory:
            return None
        text = procfs.read(os.path.join(self.directory, self.counter))
        if self.counter == "cpuacct.usage":
            return int(text) / 1e9
        return int(text.split()[1]) / 1e6  # usage_usec of cpu.stat

    def close(self):
        """Only when all that was in it has ended."""
        if not self.directory:
            return
        for path, _, _ in os.walk(self.directory, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                pass


def hierarchy():
    """Directory of our own cgroup that counts, and the counting file's name; or None, None."""
    mounts = [line.split()[1:4] for line in procfs.read("/proc/self/mounts").splitlines()]
    v1 = [place for place, kind, options in mounts
          if kind == "cgroup" and "cpuacct" in options.split(",")]
    v2 = [place for place, kind, _ in mounts if kind == "cgroup2"]
    for line in procfs.read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if v1 and "cpuacct" in controllers.split(","):
            return v1[0] + path, "cpuacct.usage"
        if v2 and not v1 and not controllers:
            return v2[0] + path, "cpu.stat"
    return None, None
