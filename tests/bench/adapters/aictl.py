"""aictld with its helpers: logs captured, back-off 0, no probe.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import subprocess
import time

import procfs
from adapters.base import Base

AT_ONCE = {"backoff": {"initial": 0}, "budget": {"restarts": 0}}
PER_SERVICE = 50  # replicas
NEVER = 1 << 40   # a size that no log reaches
PER_FILE = 100    # services; a manifest file has a size limit


class Adapter(Base):
    """Services of fifty replicas each."""

    settle = 0.05
    captures = True
    policy = "always, at once (back-off 0)"
    per_service = PER_SERVICE

    def version(self):
        done = subprocess.run([self.bench.program("aictl"), "version"], capture_output=True,
                              text=True, check=False)
        return done.stdout.strip()

    def services(self):
        """Name -> service. One with another part than "beat" stands for itself."""
        found = {}
        slots = [slot for slot in self.slots() if slot not in self.parts]
        for i in range(0, len(slots), self.per_service):
            n = len(slots[i:i + self.per_service])
            found[f"s{slots[i]}"] = self.service(slots[i], n, restart=AT_ONCE)
        for slot in self.parts:
            found[f"s{slot}"] = self.service(slot, 1, restart=AT_ONCE)
        return found

    def service(self, slot, replicas=1, **keys):
        return self.program([*self.command(slot), "${REPLICA}"], replicas, **keys)

    def program(self, command, replicas, **keys):
        """A service that is no probe."""
        user = {"user": "root"} if os.geteuid() == 0 else {}
        return {"command": command, "replicas": replicas,
                "logs": {"max_size": self.log_size or NEVER, "max_files": 200,
                         "compress": "zstd" if self.log_compress else "none"}, **user, **keys}

    def configure(self):
        self.configure_with(self.services())

    def configure_with(self, services):
        """A directory of manifests with exactly these services."""
        os.chmod(self.directory, 0o755)  # root's helpers run under other uids
        items = sorted(services.items())
        for i in range(0, max(len(items), 1), PER_FILE):
            manifest = {"version": 1, "name": "bench", "services": dict(items[i:i + PER_FILE])}
            self.write(f"manifests/{i}.yaml", json.dumps(manifest))

    def start(self):
        where = [a for name in ("runtime", "state", "log")
                 for a in (f"--{name}-dir", self.path(name))]
        self.run([self.bench.program("aictld"), *where, "--manifests", self.path("manifests")])

    def is_probe(self, pid):
        """Only aictld's helpers are its own, the exec'd probe is not; nor is a child before exec."""
        s = procfs.stat(pid)
        return s is None or not s[0].startswith("aictl")

    def status_command(self):
        return [self.bench.program("aictl"), "--socket", self.path("runtime/aictl.sock"), "ps"]

    def wait_answer(self, timeout=10):
        """Until `aictl ps` works."""
        deadline = time.monotonic() + timeout
        while subprocess.run(self.status_command(), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise TimeoutError("aictld does not answer")
            time.sleep(0.02)

    def log_paths(self, slot):
        first = slot if slot in self.parts else slot - (slot - self.first) % self.per_service
        return sorted(glob.glob(self.path("log", f"s{first}", str(slot - first), "*.log")))

    def compressed(self):
        """Files."""
        return glob.glob(self.path("log", "*", "*", "*.zst"))

    def log_pids(self):
        return [pid for pid in self.pids() if procfs.stat(pid)[0].startswith("aictl-logger")]

    def follow_command(self, slot):
        return [self.bench.program("aictl"), "--socket", self.path("runtime/aictl.sock"), "logs",
                "--lines", "0", "--follow", "--no-prefix", f"s{slot}"]

    def clean(self):
        procfs.remove_table(self.path("runtime"))
        super().clean()


class Services(Adapter):
    """Many services: a set of manifests has room for some four hundred."""

    per_service = 4
