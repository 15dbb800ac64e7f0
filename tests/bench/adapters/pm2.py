"""pm2, installed by `scripts/deps --bench` into a cache directory of the user's.

SPDX-License-Identifier: MIT
"""
import json
import os
import subprocess

import procfs
from adapters.base import Base

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "aictl-bench")
PROGRAM = os.path.join(CACHE, "node_modules/.bin/pm2")


class Adapter(Base):
    programs = ("node", PROGRAM)
    settle = 0.5
    slow = True
    captures = True
    rotates = False
    timeout = 120.0
    policy = "always, at once (restart_delay 0)"

    def env(self):
        return {**os.environ, "PM2_HOME": self.path("home"), "PM2_DISCRETE_MODE": "true",
                "CI": "1"}

    def version(self):
        with open(os.path.join(CACHE, "node_modules/pm2/package.json"), encoding="utf-8") as f:
            pm2 = json.load(f)["version"]
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
        return f"pm2 {pm2}, node {node.stdout.strip()}"

    def configure(self):
        apps = [{"name": f"s{slot}", "script": self.command(slot)[0],
                 "args": self.command(slot)[1:], "interpreter": "none", "exec_mode": "fork",
                 "autorestart": True, "max_restarts": 1000000, "min_uptime": 0,
                 "restart_delay": 0, "out_file": self.path(f"{slot}.log"),
                 "error_file": "/dev/null", "vizion": False, "pmx": False, "treekill": False,
                 "cwd": "/"} for slot in self.slots()]
        self.write("ecosystem.json", json.dumps({"apps": apps}))

    def start(self):
        what = ["start", self.path("ecosystem.json"), "--silent"] if self.n else ["ping"]
        self.run([PROGRAM, *what], env=self.env())

    def roots(self):
        """The daemon that `pm2 start` leaves behind; first that command itself."""
        text = procfs.read(self.path("home/pm2.pid")).strip()
        found = [int(text)] if text else []
        return [pid for pid in [*found, self.process.pid] if procfs.alive(pid)]

    def status_command(self):
        return ["env", f"PM2_HOME={self.path('home')}", "PM2_DISCRETE_MODE=true", "CI=1", PROGRAM,
                "jlist"]

    def log_paths(self, slot):
        return [self.path(f"{slot}.log")]
