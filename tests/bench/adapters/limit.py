"""Not a peer: the floor. limit.c restarts children and does nothing else; nothing is logged.

SPDX-License-Identifier: MIT
"""
from adapters.base import Base


class Adapter(Base):
    policy = "always, at once"

    def start(self):
        self.run([self.bench.program("tests/bench/limit"), self.bench.probe,
                  self.bench.beats.path, str(self.first), str(self.n)])
