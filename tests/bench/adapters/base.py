"""What a metric may ask of a peer.

SPDX-License-Identifier: MIT
"""
import os
import shutil
import subprocess

import procfs


class Base:
    """A peer that supervises probes `first` ... `first + n - 1` below a directory of its own."""

    programs = ()  # what must be installed
    settle = 0.0   # seconds a process must have run before the peer restarts it without delay
    policy = ""    # of restarts, for the record

    def __init__(self, bench, directory, first, n):
        self.bench, self.directory = bench, directory
        self.first, self.n = first, n
        self.process = None
        os.makedirs(directory)

    @classmethod
    def missing(cls):
        return [p for p in cls.programs if not shutil.which(p)]

    def version(self):
        return ""

    def start(self):
        """Writes the configuration and starts the supervisor with it; does not wait."""
        raise NotImplementedError

    def pids(self):
        """Processes of the supervisor itself."""
        return [self.process.pid]

    def stop(self):
        """Ends the supervisor and what it supervises: by pid, it first."""
        for pid in [*self.pids(), *procfs.descendants(self.process.pid)]:
            procfs.kill(pid)

    # for the adapters

    def slots(self):
        return range(self.first, self.first + self.n)

    def command(self, slot, part="beat"):
        return [self.bench.probe, part, self.bench.beats.path, str(slot)]

    def run(self, argv):
        with open(os.path.join(self.directory, "output"), "ab") as out:
            self.process = procfs.popen(argv, stdout=out, stderr=out, start_new_session=True)

    def write(self, path, text, mode=0o644):
        path = os.path.join(self.directory, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path


def debian_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True,
                          text=True, check=False)
    return f"{package} {done.stdout.strip()}"
