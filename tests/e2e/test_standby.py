"""Standing orders: where a restart at once is known in advance, aictld needs nobody's word for it.

SPDX-License-Identifier: MIT
"""
import os
import signal
import time

import pytest
from harness import wait_for

AT_ONCE = {"backoff": {"initial": 0}, "budget": {"restarts": 0}}


def children(daemon):
    """The processes of aictld that are none of ours."""
    with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children", encoding="ascii") as file:
        return {int(pid) for pid in file.read().split()} - set(daemon.our_pids())


@pytest.fixture(name="service")
def sleeper(daemon):
    daemon.apply({"one": daemon.shell("exec sleep 1000", restart=AT_ONCE)})
    return daemon.pid_of("one")


def test_restart_while_the_controller_is_stopped(daemon, service):
    os.kill(daemon.helper("controller"), signal.SIGSTOP)
    os.kill(service, signal.SIGKILL)
    new = wait_for(lambda: (left := children(daemon) - {service}) and left)
    os.kill(daemon.helper("controller"), signal.SIGCONT)
    assert {daemon.wait_new_pid("one", service)} == new
    assert wait_for(lambda: daemon.replica("one")["state"] == "ready" or None)
    replica = daemon.replica("one")
    assert replica["restarts"] == 1 and replica["last_exit"]["signal"] == "SIGKILL"


def test_restart_while_the_controller_is_dead(daemon, service):
    controller = daemon.helper("controller")
    os.kill(controller, signal.SIGSTOP)  # it can neither act nor be replaced yet
    os.kill(service, signal.SIGKILL)
    new = wait_for(lambda: (left := children(daemon) - {service}) and left)
    os.kill(controller, signal.SIGKILL)
    wait_for(lambda: daemon.replica("one")["pid"] in new or None, what=daemon.ps)
    daemon.wait_state("one", "ready")
    exits = wait_for(lambda: daemon.describe("one")["exits"] or None)
    assert [x["signal"] for x in exits] == ["SIGKILL"]
    # and the new controller gives an order of its own
    old = daemon.pid_of("one")
    os.kill(daemon.helper("controller"), signal.SIGSTOP)
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: children(daemon) - {old} or None)
    os.kill(daemon.helper("controller"), signal.SIGCONT)
    daemon.wait_new_pid("one", old)


def test_stop_and_new_spec_win_over_the_order(daemon, service):
    daemon.apply({"one": daemon.shell("exec sleep 2000", restart=AT_ONCE)})
    changed = daemon.pid_of("one")
    assert changed != service
    os.kill(changed, signal.SIGKILL)
    again = daemon.wait_new_pid("one", changed)
    with open(f"/proc/{again}/cmdline", encoding="ascii") as file:
        assert "2000" in file.read()
    daemon.apply({"one": daemon.shell("exec sleep 2000", restart={"policy": "never"})})
    os.kill(again, signal.SIGKILL)
    daemon.wait_state("one", "failed")
    assert not children(daemon)


@pytest.mark.waits
def test_default_policy_gives_the_order_after_the_reset_time(daemon):
    """60 s, a constant of the restart policy: the one wait here that cannot be scaled."""
    daemon.apply({"one": daemon.shell("exec sleep 1000")})  # no probe: ready at its spawn
    old = daemon.pid_of("one")
    ready_since = time.monotonic()
    wait_for(lambda: time.monotonic() - ready_since > 61, timeout=70)
    os.kill(daemon.helper("controller"), signal.SIGSTOP)
    os.kill(old, signal.SIGKILL)
    new = wait_for(lambda: (left := children(daemon) - {old}) and left)
    os.kill(daemon.helper("controller"), signal.SIGCONT)
    assert {daemon.wait_new_pid("one", old)} == new
