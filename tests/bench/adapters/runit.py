"""runsvdir and one runsv per service.

SPDX-License-Identifier: MIT
"""
import glob
import os

from adapters.base import Base, debian_version


class Adapter(Base):
    programs = ("runsvdir", "runsv", "sv")
    settle = 1.3
    settle_conf = 1.3  # runsvdir skips a directory that changed within the current second
    slow = True
    policy = "always, at once for a service that ran for a second"

    def version(self):
        return debian_version("runit")

    def configure(self):
        for slot in self.slots():
            script = "#!/bin/sh\nexec " + " ".join(self.command(slot)) + " 2>&1\n"
            self.write(f"sv/s{slot}/run", script, 0o755)

    def start(self):
        self.run(["runsvdir", "-P", self.path("sv")])

    def status_command(self):
        return ["sv", "status", *(self.path("sv", f"s{slot}") for slot in self.slots())]


class Log(Adapter):
    """Besides, a runsv-supervised svlogd per service."""

    captures = True

    def configure(self):
        super().configure()
        for slot in self.slots():
            where = self.path("log", str(slot))
            os.makedirs(where)
            self.write(f"log/{slot}/config", f"s{self.log_size}\nn200\n")
            self.write(f"sv/s{slot}/log/run", f"#!/bin/sh\nexec svlogd -b 65536 {where}\n", 0o755)

    def log_paths(self, slot):
        where = self.path("log", str(slot))
        return [*sorted(glob.glob(where + "/@*")), where + "/current"]
