"""What the metrics of containers share: aictl with a dockerd of the bench's own (tests/e2e/engines.py),
and who uses how much CPU time for it.

SPDX-License-Identifier: MIT
"""
import contextlib
import os
import subprocess
import sys
import time

import procfs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
E2E = os.path.join(ROOT, "tests/e2e")
DEADLINE = 300


class Shop:
    """A running aictld and the engine that its services are containers of."""

    def __init__(self, engine, daemon):
        self.engine, self.daemon = engine, daemon

    def ours(self):
        """Pids of all of aictl's processes."""
        return [self.daemon.pid, *(p for p in procfs.children(self.daemon.pid) if is_ours(p))]

    def used(self):
        """(CPU seconds of aictl's processes, of the engine's with its shims and what they waited for)"""
        ours = sum(procfs.cpu_seconds(p) for p in self.ours()) + procfs.reaped_cpu_seconds(self.daemon.pid)
        theirs = [p for p in procfs.descendants(self.engine.box.holder.pid) if is_engine(p)]
        return ours, sum(procfs.cpu_seconds(p) + procfs.reaped_cpu_seconds(p) for p in theirs)

    def apply(self, service):
        self.daemon.apply({"web": service}, wait=False)

    def delete(self):
        self.daemon.ok("delete", "web", timeout=DEADLINE)
        wait(lambda: not self.engine.containers())

    def wait_running(self, n):
        wait(lambda: sum(c["State"] == "running" for c in self.engine.containers()) == n)

    def docker(self, *words):
        return ["docker", "-H", self.engine.url, *words]


def wait(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {DEADLINE} s")
        time.sleep(0.05)


def is_ours(pid):
    s = procfs.stat(pid)
    return s is not None and s[0].startswith("aictl")


def is_engine(pid):
    s = procfs.stat(pid)
    return s is not None and s[0].startswith(("dockerd", "containerd"))


def missing():
    """Why there is no engine here, or None."""
    with e2e() as (engines, _):
        return engines.why_not("dockerd")


@contextlib.contextmanager
def e2e():
    sys.path.insert(0, E2E)
    try:
        import engines
        import harness
        yield engines, harness
    finally:
        sys.path.remove(E2E)


@contextlib.contextmanager
def shop(bench):
    with e2e() as (engines, harness):
        harness.BUILD = bench.build
        base = harness.new_base()
        box = engines.Testbed(bench.program("tests/e2e/svc"))
        os.environ["PATH"] = engines.PATH
        try:
            with box.inside():
                engine = box.engine("dockerd")
                daemon = harness.Daemon(base, engine=engine).start()
                yield Shop(engine, daemon)
                daemon.stop()
        finally:
            box.end()
            harness.remove_base(base)


def quietly(argv):
    return subprocess.run(argv, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
