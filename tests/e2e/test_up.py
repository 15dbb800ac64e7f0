"""`aictl up`: a daemon for as long as its terminal.

As root these run as nobody with directories of their own, so that nothing is written to /run.

SPDX-License-Identifier: MIT
"""
import fcntl
import json
import os
import pty
import pwd
import signal
import subprocess
import termios

import pytest

import procfs
from harness import AICTL, AS_ROOT, sanitizer_env, wait_for


class Up:
    """Runs `aictl up` and other verbs in one manifest directory."""

    def __init__(self, base):
        self.base = base
        self.directory = os.path.join(base, "m")
        self.out = os.path.join(base, "up.err")
        os.mkdir(self.directory)
        self.prefix = []
        if AS_ROOT:
            entry = pwd.getpwnam("nobody")
            os.chown(base, entry.pw_uid, entry.pw_gid)
            self.prefix = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}",
                           "--clear-groups"]
        self.env = {**os.environ, **sanitizer_env(base), "HOME": base, "XDG_RUNTIME_DIR": base,
                    "XDG_STATE_HOME": base, "NO_COLOR": "1", "FROM_CALLER": "yes"}
        self.env.pop("AICTL_SOCKET", None)
        services = {"idle": {"command": [os.path.join(base, "svc"), "pause"], "replicas": 2},
                    "talk": {"command": [os.path.join(base, "svc"), "lines", "50000"]}}
        with open(os.path.join(self.directory, "aictl.yaml"), "w", encoding="utf-8") as f:
            json.dump({"version": 1, "name": "demo", "services": services}, f)

    def start(self, **kwargs):
        with open(self.out, "ab") as log:
            kwargs = {"stdout": log, "stderr": log, **kwargs}
            return procfs.popen([*self.prefix, AICTL, "up"], env=self.env, cwd=self.directory,
                                start_new_session=True, **kwargs)

    def cli(self, *args):
        return subprocess.run([*self.prefix, AICTL, *args], env=self.env, cwd=self.directory,
                              capture_output=True, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL)

    def wait_ready(self):
        """pids of all replicas once both services are ready."""
        def ready():
            done = self.cli("ps", "-o", "json")
            services = json.loads(done.stdout)["services"] if done.returncode == 0 else []
            if len(services) == 2 and all(s["state"] == "ready" for s in services):
                return [r["pid"] for s in services for r in s["replicas"]]
            return None
        return wait_for(ready, what=lambda: f"{procfs.read(self.out)}\n{self.cli('ps')}")


@pytest.fixture
def up(base):
    instance = Up(base)
    yield instance
    print(procfs.read(instance.out))


def all_gone(pids):
    wait_for(lambda: not any(procfs.alive(p) for p in pids) and not procfs.descendants(os.getpid()),
             what=lambda: f"left: {procfs.descendants(os.getpid())}")


def test_up_without_a_terminal_and_down(up):
    process = up.start()
    pids = up.wait_ready()
    assert len(pids) == 3
    assert procfs.environ(pids[0])["FROM_CALLER"] == "yes"
    text = procfs.read(up.out)
    assert "idle" in text and "ready" in text and "\x1b" not in text  # plain lines
    assert up.cli("down").returncode == 0
    assert process.wait(20) == 0
    all_gone(pids)


def test_interrupt_stops_all(up):
    process = up.start()
    pids = up.wait_ready()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) in (0, 130)
    all_gone(pids)


def test_killed_up_stops_all(up):
    process = up.start()
    pids = up.wait_ready()
    process.kill()
    process.wait()
    all_gone(pids)


def test_closed_terminal_stops_all(up):
    """The terminal's master side goes away: SIGHUP for up, and what it started ends."""
    master, slave = pty.openpty()
    process = up.start(stdin=slave, stdout=slave, stderr=slave,
                       preexec_fn=lambda: take_terminal(slave))
    os.close(slave)
    pids = up.wait_ready()
    os.set_blocking(master, False)
    assert os.read(master, 1 << 16)
    os.close(master)
    process.wait(20)
    all_gone(pids)


def take_terminal(fd):
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def test_second_up_is_refused(up):
    process = up.start()
    pids = up.wait_ready()
    second = up.cli("up")
    assert second.returncode != 0 and second.stderr.strip()
    assert up.wait_ready() == pids
    assert up.cli("down").returncode == 0
    assert process.wait(20) == 0
    all_gone(pids)


def test_malformed_manifest(up):
    with open(os.path.join(up.directory, "aictl.yaml"), "w", encoding="utf-8") as f:
        f.write("version: 1\nservices: {}\nnonsense: 1\n")
    done = up.cli("up")
    assert done.returncode == 9 and "aictl.yaml:3:1" in done.stderr
    all_gone([])


def test_down_without_up(up):
    assert up.cli("down").returncode == 6
