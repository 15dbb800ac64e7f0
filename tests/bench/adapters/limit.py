"""Not peers: the floors. limit.c restarts children and does nothing else.

SPDX-License-Identifier: MIT
"""
import glob
import os

from adapters.base import Base


class Limit(Base):
    policy = "always, at once"
    method = ""

    def start(self):
        self.run([self.bench.program("tests/bench/limit"), self.method, self.bench.probe,
                  self.bench.beats.path, str(self.first), str(self.n), *self.more()])

    def more(self):
        return []


class Vfork(Limit):
    method = "vfork"


class Clone3(Limit):
    method = "clone3"


class Log(Limit):
    method = "log"
    captures = True

    def more(self):
        os.makedirs(self.path("log"), exist_ok=True)
        return [self.path("log"), self.part]

    def log_paths(self, slot):
        return [*sorted(glob.glob(self.path("log", f"{slot}.log.*"))), self.path("log", f"{slot}.log")]


class Pump(Log):
    """All of its probes do the same."""

    def more(self):
        return [*super().more(), str(self.log_size)]


class Splice(Pump):
    method = "splice"


class Coalesce(Pump):
    method = "coalesce"
