"""The guest is what its name says: cgroup v2 alone with all controllers, and a kernel without
PIDFD_GET_INFO; our programs run in it.

SPDX-License-Identifier: MIT
"""
import errno
import fcntl
import os

import pytest

import procfs

PIDFD_GET_INFO = 0xC0000000 | 64 << 16 | 0xFF << 8 | 11


def test_unified_hierarchy_with_controllers():
    controllers = procfs.read("/sys/fs/cgroup/cgroup.controllers").split()
    assert {"cpu", "io", "memory", "pids"} <= set(controllers)
    assert procfs.read("/proc/self/cgroup") == "0::/\n"


def test_kernel_cannot_tell_the_exit_of_a_stranger():
    pidfd = os.pidfd_open(os.getpid())
    with pytest.raises(OSError) as error:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, bytes(64))
    os.close(pidfd)
    assert error.value.errno in (errno.ENOTTY, errno.EINVAL)


def test_service_runs_restarts_and_stops(daemon):
    keys = {"restart": {"backoff": {"initial": 0}}}
    daemon.apply({"idle": daemon.service("pause", **keys)}, timeout=100)
    old = daemon.pid_of("idle")
    procfs.kill(old)
    new = daemon.wait_new_pid("idle", old)
    daemon.ok("stop", "idle")
    daemon.wait_state("idle", "stopped")
    assert not procfs.alive(new)
