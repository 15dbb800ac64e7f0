"""The probes' shared table (see probe.c): one 64-byte slot per probe, on tmpfs.

SPDX-License-Identifier: MIT
"""
import mmap
import os
import tempfile
import time

import procfs

SLOTS = 16384
SLOT_SIZE = 64
WORDS = SLOT_SIZE // 8
START_NS, PID, STARTS, LINES, FAILED, BEGIN_NS, END_NS, BYTES = range(8)
POLL = 0.002
POLL_END = 0.01


class Beats:
    def __init__(self):
        fd, self.path = tempfile.mkstemp(prefix="aictl-bench-", dir="/dev/shm")
        os.truncate(fd, SLOTS * SLOT_SIZE)
        self.memory = mmap.mmap(fd, SLOTS * SLOT_SIZE)
        os.close(fd)
        self.words = memoryview(self.memory).cast("Q")

    def close(self):
        os.unlink(self.path)

    def clear(self):
        self.memory[:] = bytes(SLOTS * SLOT_SIZE)

    def word(self, slot, which):
        return self.words[slot * WORDS + which]

    def pid(self, slot):
        return self.word(slot, PID)

    def starts(self, slot):
        return self.word(slot, STARTS)

    def go(self, slots):
        """Lets those that wait for it begin to write."""
        for slot in slots:
            self.words[slot * WORDS + BEGIN_NS] = 1

    def column(self, slots, which):
        """One word of each of the slots, a range."""
        return self.words[slots.start * WORDS + which:slots.stop * WORDS:WORDS].tolist()

    def wait_all(self, slots, after_ns, timeout):
        """CLOCK_MONOTONIC when the last of the slots had started, each later than after_ns."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            starts = self.column(slots, START_NS)
            if min(starts) > after_ns:
                return max(starts)
            procfs.reap()
            time.sleep(POLL)
        late = sum(start <= after_ns for start in self.column(slots, START_NS))
        raise TimeoutError(f"{late} of {len(slots)} probes did not start within {timeout} s")

    def wait_end(self, slots, timeout):
        """(CLOCK_MONOTONIC when the first of the slots began to write, when the last ended)."""
        deadline = time.monotonic() + timeout
        while 0 in (ends := self.column(slots, END_NS)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{ends.count(0)} of {len(slots)} probes did not end within {timeout} s")
            time.sleep(POLL_END)
        return min(self.column(slots, BEGIN_NS)), max(ends)

    def wait_start(self, slot, after_ns, timeout=30.0):
        """CLOCK_MONOTONIC of the first start later than after_ns; fails at the time-out."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            start_ns = self.words[slot * WORDS + START_NS]
            if start_ns > after_ns:
                return start_ns
            procfs.reap()
            time.sleep(POLL)  # not sooner: it would take the processor from what is measured
        raise TimeoutError(f"probe {slot} did not start within {timeout} s")
