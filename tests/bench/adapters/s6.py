"""s6-svscan and one s6-supervise per service. The run script declares readiness before it becomes
the probe, which lifts s6's wait of a second between starts.

SPDX-License-Identifier: MIT
"""
import glob
import os

from adapters.base import Base, debian_version

MOST = 268435455  # bytes; it always rotates


class Ready(Base):
    programs = ("s6-svscan", "s6-supervise", "s6-svstat")
    settle = 1.3
    slow = True
    policy = "always, at once for a service that has been ready for a second"

    def version(self):
        return debian_version("s6")

    def configure(self):
        for slot in self.slots():
            self.write(f"scan/s{slot}/notification-fd", "3\n")
            self.write(f"scan/s{slot}/run", "#!/bin/sh\necho >&3\nexec 3>&-\nexec "
                       + " ".join(self.command(slot)) + " 2>&1\n", 0o755)

    def start(self):
        self.run(["s6-svscan", "-c", "2500", "-t", "0", self.path("scan")])

    def status_command(self):
        loop = f"cd {self.path('scan')} && for s in s*; do s6-svstat $s || exit; done"
        return ["sh", "-c", loop]


class Log(Ready):
    """Besides, a supervised s6-log per service."""

    captures = True

    def configure(self):
        super().configure()
        for slot in self.slots():
            where = self.path("log", str(slot))
            os.makedirs(where)
            self.write(f"scan/s{slot}/log/run",
                       f"#!/bin/sh\nexec s6-log n200 s{self.log_size or MOST} {where}\n", 0o755)

    def log_paths(self, slot):
        where = self.path("log", str(slot))
        return [*sorted(glob.glob(where + "/@*")), where + "/current"]
