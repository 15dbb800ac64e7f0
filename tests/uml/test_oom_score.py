"""A protected aictld (OOMScoreAdjust= of its unit): its helpers are, too, its services are not. Here
because lowering a score needs CAP_SYS_RESOURCE.

SPDX-License-Identifier: MIT
"""
import procfs
from harness import wait_for

PROTECT = ["/bin/sh", "-c", 'echo -500 >/proc/self/oom_score_adj && exec "$@"', "sh"]


def score(pid):
    return int(procfs.read(f"/proc/{pid}/oom_score_adj"))


def test_oom_score_is_not_inherited(start):
    daemon = start(wrapper=PROTECT)
    daemon.apply({"plain": daemon.service("pause"), "own": daemon.service("pause", oom_score=-100)},
                 timeout=100)
    assert [score(pid) for pid in daemon.our_pids()] == [-500] * 3
    wait_for(lambda: score(daemon.pid_of("plain")) == 0)
    assert score(daemon.pid_of("own")) == -100
    old = daemon.pid_of("plain")
    procfs.kill(old)
    new = daemon.wait_new_pid("plain", old)
    wait_for(lambda: score(new) == 0)
