"""The probes' shared table (see probe.c): one 64-byte slot per probe, on tmpfs.

SPDX-License-Identifier: MIT
"""
import mmap
import os
import tempfile
import time

import procfs

SLOTS = 4096
SLOT_SIZE = 64
WORDS = SLOT_SIZE // 8
START_NS, PID, STARTS = range(3)


class Beats:
    def __init__(self):
        fd, self.path = tempfile.mkstemp(prefix="aictl-bench-", dir="/dev/shm")
        os.truncate(fd, SLOTS * SLOT_SIZE)
        self.memory = mmap.mmap(fd, SLOTS * SLOT_SIZE)
        os.close(fd)
        self.words = memoryview(self.memory).cast("Q")

    def close(self):
        os.unlink(self.path)

    def pid(self, slot):
        return self.words[slot * WORDS + PID]

    def starts(self, slot):
        return self.words[slot * WORDS + STARTS]

    def wait_start(self, slot, after_ns, timeout=30.0):
        """CLOCK_MONOTONIC of the first start later than after_ns; fails at the time-out."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            start_ns = self.words[slot * WORDS + START_NS]
            if start_ns > after_ns:
                return start_ns
            procfs.reap()
            time.sleep(0.0004)
        raise TimeoutError(f"probe {slot} did not start within {timeout} s")
