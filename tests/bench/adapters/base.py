"""What a metric may ask of a peer.

SPDX-License-Identifier: MIT
"""
import os
import shutil
import subprocess

import procfs
import usage

LOG_SIZE = 10_000_000


class Base:
    """A peer that supervises probes `first` ... `first + n - 1` below a directory of its own."""

    programs = ()     # what must be installed
    settle = 0.0      # seconds a process must have run before the peer restarts it without delay
    settle_conf = 0.0  # seconds its configuration must have been in place before it starts
    slow = False      # takes seconds for what others do at once: fewer rounds
    captures = False  # standard output of what it supervises
    rotates = True    # what it captures
    timeout = 60.0    # for all of its processes to start
    policy = ""       # of restarts, for the record

    def __init__(self, bench, directory, first, n):
        self.bench, self.directory = bench, directory
        self.first, self.n = first, n
        self.process = None
        self.part = "beat"  # what the probes do,
        self.parts = {}  # and slot -> what another one does
        self.log_size = LOG_SIZE  # bytes at which a log is rotated, 200 are kept; 0 = never
        self.log_compress = False  # what was rotated, by those that can
        os.makedirs(directory)
        self.cpu = usage.CpuGroup(f"aictl-bench-{os.getpid()}-{os.path.basename(directory)}")

    @classmethod
    def missing(cls):
        return [p for p in cls.programs if not shutil.which(p)]

    def version(self):
        return ""

    def configure(self):
        """Writes the configuration."""

    def start(self):
        """Starts the supervisor with it; does not wait."""
        raise NotImplementedError

    def start_again(self):
        """What an operator does when it died."""
        self.start()

    def roots(self):
        """The supervisor's first process, or processes."""
        return [self.process.pid]

    def pids(self):
        """All processes of the supervisor itself."""
        found = []
        for root in self.roots():
            found += [root, *procfs.descendants(root)]
        return [pid for pid in found if not self.is_probe(pid)]

    def is_probe(self, pid):
        try:
            return os.readlink(f"/proc/{pid}/exe") == self.bench.probe
        except OSError:
            return False

    def status_command(self):
        """argv that shows the state of every service, or None."""
        return None

    def log_paths(self, slot):
        """The files with standard output of one probe, the oldest first."""
        raise NotImplementedError

    def captured(self, slot):
        """The bytes of standard output that it has stored of one probe."""
        return read_all(self.log_paths(slot))

    def log_pids(self):
        """The processes that the bytes go through."""
        return self.pids()

    def follow_command(self, slot):
        """argv that shows what one probe writes from now on."""
        return ["tail", "-n", "0", "-F", self.log_paths(slot)[-1]]

    def output(self):
        """The last words of its own."""
        return procfs.read(self.path("output"))[-2000:]

    def stop(self):
        """Ends the supervisor and what it supervises: by pid, it first."""
        roots = self.roots()
        below = [pid for root in roots for pid in procfs.descendants(root)]
        for pid in [*roots, *below]:
            procfs.kill(pid)

    def clean(self):
        """When nothing of it runs any more. The files are emptied only, the bench removes them at
        its end: ext4 makes new files slowly for minutes after many were deleted."""
        self.cpu.close()
        for path, _, names in os.walk(self.directory):
            for file in (os.path.join(path, name) for name in names):
                if os.path.isfile(file) and not os.path.islink(file):
                    os.truncate(file, 0)

    # for the adapters

    def slots(self):
        return range(self.first, self.first + self.n)

    def command(self, slot):
        return [self.bench.probe, self.parts.get(slot, self.part), self.bench.beats.path, str(slot)]

    def run(self, argv, **kwargs):
        with open(os.path.join(self.directory, "output"), "ab") as out:
            self.process = procfs.popen(argv, stdout=out, stderr=out, start_new_session=True,
                                        preexec_fn=self.cpu.enter, **kwargs)

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def write(self, path, text, mode=0o644):
        path = self.path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path


def debian_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True,
                          text=True, check=False)
    return f"{package} {done.stdout.strip()}"


def read_all(paths):
    """The files' bytes, in the order given."""
    text = b""
    for path in paths:
        with open(path, "rb") as f:
            text += f.read()
    return text
