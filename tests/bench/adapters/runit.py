"""runsvdir and one runsv per service.

SPDX-License-Identifier: MIT
"""
import os

from adapters.base import Base, debian_version


class Adapter(Base):
    programs = ("runsvdir", "runsv")
    settle = 1.3
    policy = "always, at once for a service that ran for a second"

    def version(self):
        return debian_version("runit")

    def start(self):
        for slot in self.slots():
            script = "#!/bin/sh\nexec " + " ".join(self.command(slot)) + "\n"
            self.write(f"sv/s{slot}/run", script, 0o755)
        self.run(["runsvdir", "-P", os.path.join(self.directory, "sv")])
