"""A child that hangs before exec hangs nobody else.

The working directory is on a FUSE mount that never answers: chdir of the child blocks. `unread` can
still be killed, `read` cannot, until the mount's server dies.

SPDX-License-Identifier: MIT
"""
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

import pytest

import procfs
from harness import program, wait_for
from test_socket_mode import listener
from test_traffic import free_port

pytestmark = [pytest.mark.needs_root,
              pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK),
                                 reason="no /dev/fuse")]
NORMAL_S = 0.5  # a restart takes milliseconds; a supervisor that waits, the whole test


@pytest.fixture
def hung(base):
    """hung(mode) -> a directory that never answers; .process is the mount's server."""
    mounts = []

    def mount(mode):
        path = os.path.join(base, f"hung-{mode}")
        os.mkdir(path)
        process = procfs.popen([program("tests/e2e/fusehang"), path, mode], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"mounted\n"
        mounts.append((path, process))
        return path, process

    yield mount
    for path, process in mounts:
        process.kill()
        process.wait()
        process.stdout.close()
        subprocess.run(["umount", "-l", path], check=False, capture_output=True)


def restart_seconds(daemon, service):
    """Median time from SIGKILL of a replica to the life of the next one."""
    times = []
    for _ in range(7):
        old = daemon.pid_of(service)
        started = time.monotonic()
        procfs.kill(old)
        daemon.wait_new_pid(service, old)
        times.append(time.monotonic() - started)
    return statistics.median(times)


def children_before_exec(daemon):
    """Children of aictld that are no helper and still aictld's image."""
    helpers = {daemon.helper(which) for which in ("controller", "logger", "gateway")}
    return [p for p in procfs.children(daemon.pid)
            if p not in helpers and (s := procfs.stat(p)) and s[0] == "aictld" and s[1] != "Z"]


def apply_pair(daemon, directory):
    keys = {"restart": {"backoff": {"initial": 0}, "budget": {"restarts": 0}},
            "stop": {"grace_period": "1s"}}
    good = {"good": daemon.service("pause", **keys)}
    daemon.apply(good)
    before = restart_seconds(daemon, "good")
    daemon.apply({**good, "stuck": daemon.service("pause", working_dir=directory, **keys)},
                 wait=False)
    wait_for(lambda: children_before_exec(daemon), what="the child waits in chdir")
    return before


@pytest.mark.parametrize("mode", ["unread", "read"])
def test_hung_working_directory(start, hung, mode):
    daemon = start()
    directory, server = hung(mode)
    before = apply_pair(daemon, directory)
    during = restart_seconds(daemon, "good")
    assert during < NORMAL_S, f"{before:.3f} s before, {during:.3f} s meanwhile"
    assert len(children_before_exec(daemon)) == 1  # not started again while it hangs
    assert daemon.ps()["stuck"]["ready"] == 0
    daemon.ok("restart", "good")
    daemon.wait_state("good", "ready")
    daemon.ok("stop", "good")
    daemon.wait_state("good", "stopped")
    if mode == "read":
        server.kill()  # only now can the child be ended
    daemon.ok("delete", "stuck")
    wait_for(lambda: "stuck" not in daemon.ps(), what=lambda: daemon.ps())
    assert daemon.stop() == 0


@pytest.mark.waits
def test_spawn_deadline_and_unkillable_child(start, hung):
    """After 10 s the child is killed; one that cannot be is shown as what it is."""
    daemon = start()
    directory, server = hung("read")
    apply_pair(daemon, directory)
    replica = wait_for(lambda: (r := daemon.replica("stuck")) and r["state"] == "unknown" and r,
                       timeout=20, what=daemon.ps)
    assert "chdir" in replica["message"]
    assert len(children_before_exec(daemon)) == 1
    assert restart_seconds(daemon, "good") < NORMAL_S
    server.kill()
    wait_for(lambda: daemon.replica("stuck")["state"] != "unknown", what=daemon.ps)


@pytest.mark.waits
def test_user_stops_the_child_before_exec(start, hung):
    """The child is `nobody` already when it hangs in chdir: nobody may SIGSTOP it, and does."""
    daemon = start()
    directory, server = hung("unread")
    before = apply_pair(daemon, directory)
    (child,) = children_before_exec(daemon)
    wait_for(lambda: procfs.uid(child) == 65534, what="the child has changed its user")
    subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "kill", "-STOP",
                    str(child)], check=True)
    server.kill()  # chdir returns, the child stands still on its way to exec
    wait_for(lambda: procfs.stopped(child), what="the child is stopped")
    during = restart_seconds(daemon, "good")
    assert during < NORMAL_S, f"{before:.3f} s before, {during:.3f} s meanwhile"
    wait_for(lambda: not procfs.alive(child), timeout=20, what="the spawn deadline ends it")
    daemon.ok("delete", "stuck")
    wait_for(lambda: "stuck" not in daemon.ps(), what=lambda: daemon.ps())


@pytest.mark.waits
def test_a_left_over_that_cannot_be_killed_holds_up_itself_only(start, hung):
    """Without cgroups what is left is looked for in /proc, for several replicas at a time."""
    daemon = start("--cgroup", "none")
    directory, server = hung("read")
    before = procfs.read_bytes(server.pid)
    leaves = "setsid sh -c '%s' & echo up; exec sleep 1000"
    daemon.apply({"stuck": daemon.shell(leaves % f"exec cat {directory}/x"),
                  "web": daemon.shell(leaves % "exec sleep 1000")}, wait=False)
    for name in ("stuck", "web"):
        wait_for(lambda: b"up" in daemon.segments(name), what=daemon.ps)
    wait_for(lambda: procfs.read_bytes(server.pid) > before, what="the request is taken")
    daemon.ok("stop", "--no-wait", "stuck", "web")
    daemon.wait_state("web", "stopped")
    for _ in range(3):
        daemon.ok("start", "web")
        daemon.ok("stop", "web")
    assert daemon.replica("stuck")["state"] == "stopping"
    server.kill()
    daemon.wait_state("stuck", "stopped", timeout=90)


@pytest.mark.waits
def test_stopped_daemon_names_what_it_could_not_end(start, hung):
    """Exit 1 and the name in the log when SIGKILL did not help for 10 s."""
    daemon = start()
    directory, server = hung("read")
    apply_pair(daemon, directory)
    daemon.expected_exit = 1
    procfs.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait(45) == 1
    pid = int(re.search(r"pid=(\d+) stuck", daemon.log())[1])
    server.kill()
    wait_for(lambda: not procfs.alive(pid), what="the disk lets go of it")


def test_a_port_is_not_looked_for_among_files(start, hung):
    """It is in use, perhaps by a replica that has it from us. What else one has open is left alone."""
    path, _ = hung("close")
    daemon = start()
    port = free_port()
    script = (f"import os, time\nos.dup2(os.open('{path}/file', os.O_RDWR), 3)\n"
              "os.write(3, b'x')\ntime.sleep(10000)")
    daemon.apply({"holder": {**daemon.service(), "command": [sys.executable, "-c", script]}})
    pid = daemon.pid_of("holder")
    wait_for(lambda: procfs.fds(pid).get(3, "").startswith(path), what="it has the file")
    with socket.create_server(("127.0.0.1", port)):
        daemon.apply({"web": listener(daemon, port)}, wait=False, name="more")
        wait_for(lambda: "cannot listen: Address already in use" in daemon.log(), what=daemon.log)
        assert daemon.answers()
