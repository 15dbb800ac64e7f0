"""s6-svscan and one s6-supervise per service. The run script declares readiness before it becomes
the probe, which lifts s6's wait of a second between starts.

SPDX-License-Identifier: MIT
"""
import os

from adapters.base import Base, debian_version


class Adapter(Base):
    programs = ("s6-svscan", "s6-supervise")
    settle = 1.3
    policy = "always, at once for a service that has been ready for a second"

    def version(self):
        return debian_version("s6")

    def start(self):
        for slot in self.slots():
            self.write(f"scan/s{slot}/notification-fd", "3\n")
            self.write(f"scan/s{slot}/run", "#!/bin/sh\necho >&3\nexec 3>&-\nexec "
                       + " ".join(self.command(slot)) + "\n", 0o755)
        self.run(["s6-svscan", "-c", "2500", "-t", "0", os.path.join(self.directory, "scan")])
