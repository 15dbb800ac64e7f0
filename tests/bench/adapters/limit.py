"""Not peers: the floors. limit.c restarts children and does nothing else.

SPDX-License-Identifier: MIT
"""
import os

from adapters.base import Base, read_all


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
        return [self.path("log")]

    def captured(self, slot):
        return read_all([self.path("log", f"{slot}.log")])
