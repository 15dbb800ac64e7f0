"""Up: `aictl up` in a directory with a manifest, and other verbs beside it.

As root it runs as nobody with directories of its own, so that nothing is written to /run.

SPDX-License-Identifier: MIT
"""
import json
import os
import pwd
import subprocess

import procfs
from harness import AS_ROOT, program, sanitizer_env, wait_for


class Up:
    def __init__(self, base):
        self.base = base
        self.directory = os.path.join(base, "m")
        self.out = os.path.join(base, "up.err")
        self.prefix = []
        if AS_ROOT:
            entry = pwd.getpwnam("nobody")
            os.chown(base, entry.pw_uid, entry.pw_gid)
            self.prefix = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}",
                           "--clear-groups"]
        self.env = {**os.environ, **sanitizer_env(base), "HOME": base, "XDG_RUNTIME_DIR": base,
                    "XDG_STATE_HOME": base, "NO_COLOR": "1", "FROM_CALLER": "yes"}
        self.env.pop("AICTL_SOCKET", None)

    def start(self, **kwargs):
        with open(self.out, "ab") as log:
            kwargs = {"stdout": log, "stderr": log, **kwargs}
            return procfs.popen([*self.prefix, program("aictl"), "up"], env=self.env,
                                cwd=self.directory, start_new_session=True, **kwargs)

    def cli(self, *args):
        return subprocess.run([*self.prefix, program("aictl"), *args], env=self.env,
                              cwd=self.directory, capture_output=True, text=True, timeout=60,
                              check=False, stdin=subprocess.DEVNULL)

    def ps(self):
        """name -> service object; empty while nothing answers."""
        done = self.cli("ps", "-o", "json")
        services = json.loads(done.stdout)["services"] if done.returncode == 0 else []
        return {s["name"]: s for s in services}

    def wait_ready(self, *names, timeout=30):
        """pids of all replicas of exactly these services, once they are ready."""
        def ready():
            services = self.ps()
            if set(services) == set(names) and all(s["state"] == "ready"
                                                   for s in services.values()):
                return [r["pid"] for s in services.values() for r in s["replicas"]]
            return None
        return wait_for(ready, timeout,
                        lambda: f"{procfs.read(self.out)}\n{self.cli('ps')}")

    def down(self, process):
        """`aictl down`, after which `up` has ended well and nothing is left."""
        done = self.cli("down")
        assert done.returncode == 0, done.stderr
        assert process.wait(30) in (0, 130)
        all_gone()


def all_gone():
    """Nothing that we started runs any more."""
    wait_for(lambda: not procfs.descendants(os.getpid(), procfs.SPARED),
             what=lambda: [procfs.read(f"/proc/{p}/cmdline")
                           for p in procfs.descendants(os.getpid(), procfs.SPARED)])
