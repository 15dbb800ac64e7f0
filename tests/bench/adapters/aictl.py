"""aictld with its helpers: one service per probe, logs captured, back-off 0, no probe.

SPDX-License-Identifier: MIT
"""
import json
import os
import subprocess
import time

import procfs
from adapters.base import Base

AT_ONCE = {"backoff": {"initial": 0}, "budget": {"restarts": 0}}


class Adapter(Base):
    settle = 0.05
    policy = "always, at once (back-off 0)"

    def version(self):
        done = subprocess.run([self.bench.program("aictl"), "version"], capture_output=True,
                              text=True, check=False)
        return done.stdout.strip()

    def start(self):
        self.start_with({f"s{slot}": self.service(slot, restart=AT_ONCE) for slot in self.slots()})

    def service(self, slot, part="beat", **keys):
        user = {"user": "root"} if os.geteuid() == 0 else {}
        return {"command": self.command(slot, part), **user, **keys}

    def start_with(self, services):
        """aictld with exactly these services, applied when it answers."""
        os.chmod(self.directory, 0o755)  # root's helpers run under other uids
        where = [a for name in ("runtime", "state", "log")
                 for a in (f"--{name}-dir", os.path.join(self.directory, name))]
        self.run([self.bench.program("aictld"), *where])
        manifest = {"version": 1, "name": "bench", "services": services}
        self.cli("apply", "-f", self.write("aictl.yaml", json.dumps(manifest)))

    def cli(self, *args):
        """Runs aictl; waits for aictld to answer, at most ten seconds."""
        env = {**os.environ, "AICTL_SOCKET": os.path.join(self.directory, "runtime/aictl.sock")}
        deadline = time.monotonic() + 10
        while True:
            done = subprocess.run([self.bench.program("aictl"), *args], env=env, text=True,
                                  capture_output=True, check=False)
            if done.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"aictl {args[0]}: {done.stderr}")
            time.sleep(0.05)

    def pids(self):
        return [self.process.pid, *(p for p in procfs.children(self.process.pid)
                                    if (s := procfs.stat(p)) and s[0].startswith("aictl-"))]
