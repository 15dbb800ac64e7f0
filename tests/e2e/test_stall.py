"""The start deadline is one of stall: who shows progress is left alone, who hangs is replaced.

A model that needs ten minutes, with the default stall of two, at a sixtieth of the time: ten seconds
and two. Each kind of evidence alone must be enough: bytes, memory, output, a word.

SPDX-License-Identifier: MIT
"""
import os
import signal
import time

import pytest
from harness import wait_for
from test_push import python

SCALE = 60
START = 600 / SCALE  # seconds
STALL = f"{120 // SCALE}s"
HANG = 60 / SCALE
PROBES = {"startup": {"stall": STALL}, "readiness": {"notify": True}}
AT_ONCE = {"backoff": {"initial": 0}}

LOAD = """
import mmap
end = time.monotonic() + %f
kept = []
while time.monotonic() < end:
    %s
    time.sleep(0.4)
say("READY=1")
time.sleep(1000)
"""
EVIDENCE = {
    "bytes": "open('/dev/zero', 'rb', buffering=0).read(2 << 20)",  # the same memory each time
    "memory": "kept.append(b'x' * (3 << 20))",
    "output": "print('.', flush=True)",
    "word": "say('EXTEND_TIMEOUT_USEC=3000000')",
    "child": "os.system('head -c 4194304 /dev/zero >/dev/null')",  # it is gone when we look
}


def causes(daemon, service):
    return [e["cause"] for e in daemon.describe(service)["exits"]]


@pytest.mark.waits
def test_a_start_of_ten_minutes_is_left_alone(daemon):
    print(f"scale 1:{SCALE}: ten minutes are {START} s, stall is {STALL}")
    daemon.apply({k: python(daemon, LOAD % (START, v), probes=PROBES) for k, v in EVIDENCE.items()},
                 timeout=120)
    for name in EVIDENCE:
        assert daemon.replica(name)["restarts"] == 0, daemon.ok("events", name)
        assert daemon.replica(name)["state"] == "ready"


@pytest.mark.waits
def test_a_start_that_hangs_at_minute_one_is_replaced(daemon):
    """The first process shows progress and hangs then; the next one comes up."""
    mark = os.path.join(daemon.base, "second")
    os.chmod(daemon.base, 0o777)
    script = f"if not os.path.exists({mark!r}):\n    open({mark!r}, 'w').close()\n    begun = time.monotonic()\n" \
             f"    while time.monotonic() < begun + {HANG}:\n        print('loading', flush=True); time.sleep(0.1)\n" \
             "    print('hangs', time.monotonic() - begun, flush=True)\n    time.sleep(1000)\n" \
             "say('READY=1'); time.sleep(1000)\n"
    begun = time.monotonic()
    daemon.apply({"web": python(daemon, script, probes=PROBES, restart=AT_ONCE)}, timeout=120)
    assert time.monotonic() - begun > HANG + 120 / SCALE
    assert causes(daemon, "web") == ["stall"]
    assert "no progress for 2s: it has not said that it is ready" in daemon.ok("events", "web")


@pytest.mark.containers
@pytest.mark.waits
def test_a_failing_startup_probe_alone_is_no_stall(daemon):
    """Only when nothing moves any more; what the probe said is told."""
    script = "sleep 0.5; i=0; while test $i -lt 25; do echo loading; sleep 0.2; i=$((i+1)); done; exec sleep 1000"
    daemon.apply({"web": daemon.shell(script, restart={"policy": "never"}, probes={
        "startup": {"exec": {"command": ["/bin/sh", "-c", "echo no; exit 1"]}, "period": "200ms",
                    "stall": "1500ms"}})}, wait=False)
    daemon.wait_state("web", "failed")
    assert causes(daemon, "web") == ["stall"]
    assert "no progress for 1s: exit code 1: no" in daemon.ok("events", "web")
    assert daemon.ok("logs", "web").count("loading") == 25


@pytest.mark.waits
def test_the_deadline_holds_whatever_there_is(daemon):
    probes = {"startup": {"stall": "1s", "deadline": "3s"}, "readiness": {"notify": True}}
    script = "while True:\n    say('EXTEND_TIMEOUT_USEC=60000000'); print('.', flush=True); time.sleep(0.2)\n"
    daemon.apply({"web": python(daemon, script, probes=probes, restart={"policy": "never"})}, wait=False)
    daemon.wait_state("web", "failed")
    assert causes(daemon, "web") == ["timeout"]
    assert "not started within 3s: it has not said that it is ready" in daemon.ok("events", "web")


@pytest.mark.waits
def test_a_silent_start_outlives_the_controller(daemon):
    """Stall counts anew, and is found all the same."""
    daemon.apply({"web": python(daemon, "time.sleep(1000)", probes=PROBES, restart={"policy": "never"})},
                 wait=False)
    wait_for(lambda: daemon.replica("web")["pid"])
    os.kill(daemon.helper("controller"), signal.SIGKILL)
    daemon.wait_state("web", "failed")
    assert causes(daemon, "web") == ["stall"]


@pytest.mark.waits
def test_no_controller_lives_long_enough_to_see_it_hang(start):
    """Since when there has been no progress is known to the next one: it counts over their deaths."""
    daemon = start("--helper-restart", "100ms,200ms,0")
    daemon.apply({"web": python(daemon, "x = b'x' * (4 << 20); time.sleep(1000)", restart={"policy": "never"},
                                probes={"startup": {"stall": "5s"}, "readiness": {"notify": True}})}, wait=False)
    wait_for(lambda: daemon.replica("web")["pid"])
    for lives in range(1, 9):
        end = time.monotonic() + 2
        wait_for(lambda: time.monotonic() > end or daemon.replica("web")["state"] == "failed", poll=0.1)
        if daemon.replica("web")["state"] == "failed":
            break
        controller = daemon.helper("controller")
        os.kill(controller, signal.SIGKILL)
        wait_for(lambda: daemon.helper("controller") not in (None, controller))
        wait_for(lambda: daemon.replica("web"))
    assert 1 < lives < 8  # each lived less than the 5 s
    assert causes(daemon, "web") == ["stall"]


def test_a_start_that_is_over_is_not_looked_at(daemon):
    """A quiet service is no hanging one."""
    daemon.apply({"web": python(daemon, "say('READY=1'); time.sleep(1000)",
                                probes={"startup": {"stall": "1s"}, "readiness": {"notify": True}})})
    end = time.monotonic() + 2.5
    wait_for(lambda: time.monotonic() > end, poll=0.2)
    assert daemon.replica("web")["state"] == "ready"
    assert daemon.replica("web")["restarts"] == 0


def test_what_has_no_end_is_refused(daemon):
    path = daemon.write({"version": 1, "services": {"web": daemon.service(
        "pause", probes={"startup": {"stall": "5s"}})}})
    rc, _, err = daemon.cli("validate", "-f", path)
    assert rc == 9
    assert "probes.startup: nothing tells that the start is over" in err
    path = daemon.write({"version": 1, "services": {"web": daemon.service(
        "pause", probes={"readiness": {"notify": False}})}})
    rc, _, err = daemon.cli("validate", "-f", path)
    assert rc == 9
    assert "probes.readiness: nobody is asked, and notify is false" in err
