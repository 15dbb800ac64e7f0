"""Controller, runtime, aictld and engine are killed at random, alone and together, while updates are
under way: no replica is there twice at any moment, none is lost that the engine kept, and in the end
all is as planned.

AICTL_DEATHS is how often, for each kind of engine.

SPDX-License-Identifier: MIT
"""
import collections
import glob
import os
import random
import time

import pytest

import engines
import kinds
import procfs
from harness import CAMPAIGN, IN_PLACE, wait_for
from test_adoption import AT_ONCE, SEED, pause
from test_containers import in_engine, running, settled

RUNS_AS = engines.NAMES
MISSING = engines.why_not()
ELSEWHERE = kinds.ELSEWHERE
DEATHS = int(os.environ.get("AICTL_DEATHS", "6"))
VICTIMS = (("controller",), ("runtime",), ("aictld",), ("engine",), ("aictld", "runtime"), ("engine", "runtime"),
           ("aictld", "controller", "runtime"), ("engine", "aictld"), ("engine", "aictld", "controller", "runtime"))


def alone(daemon, version=0, **keys):
    """Holds a lock of the replica's while it lives, in whatever container; "2" is who did not get it."""
    return {"image": engines.SVC, "command": ["/svc", "once", "/shared/${SERVICE}-${REPLICA}", "0", "100000000"],
            "network": "none", "volumes": [f"{daemon.base}/shared:/shared"], "environment": {"V": str(version)},
            "update": IN_PLACE, "restart": {**AT_ONCE, "budget": {"restarts": 100000}},
            "stop": {"grace_period": "2s"}, **keys}


def plan(daemon, rng, version):
    """What is wanted from now on."""
    return {"kept": alone(daemon, replicas=2), "updated": alone(daemon, version, replicas=2),
            "scaled": alone(daemon, replicas=rng.choice((0, 1, 2, 3)))}


def helpers(daemon, kinds):
    """Their pids, also of those whose aictld is dead."""
    names = {f"aictl-{kind}"[:15] for kind in kinds}
    return [p for p in procfs.descendants(os.getpid(), procfs.SPARED) if (s := procfs.stat(p)) and s[0] in names]


def die(daemon, victims, rng, live):
    pids = helpers(daemon, [v for v in victims if v not in ("engine", "aictld")])
    pids += [daemon.pid] if "aictld" in victims else []
    for pid in pids:
        procfs.kill(pid)
    if "engine" in victims:
        daemon.engine.kill()
    wait_for(lambda: not any(procfs.alive(p) for p in pids), what="they die")
    pause(rng.choice((0, rng.uniform(0, 0.5))))
    back = [daemon.start_again] if "aictld" in victims else []
    back += [lambda: daemon.engine.restart(live_restore=live)] if "engine" in victims else []
    rng.shuffle(back)
    for again in back:
        again()
        pause(rng.choice((0, rng.uniform(0, 0.3))))


def ask_for(daemon, services):
    """Applies them as soon as somebody takes it."""
    def applied():
        rc, out, err = daemon.cli("apply", "-f", path)
        return rc == 0 or (print(out, err), False)[1]
    path = daemon.write({"version": 1, "name": "shop", "services": services})
    wait_for(applied, 60, "the change is taken", poll=0.1)


@pytest.mark.waits
@pytest.mark.parametrize("live", [True, False], ids=["live-restore", "stopped"])
def test_random_deaths(start, runs_as, live):
    if runs_as.name == "podman" and not live:
        pytest.skip("podman takes no container along")
    if runs_as.name == "dockerd":
        runs_as.restart(live_restore=live)
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    os.mkdir(os.path.join(daemon.base, "shared"))
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    wanted = plan(daemon, rng, 0)
    ask_for(daemon, wanted)
    kept = settled(daemon, "kept", 2)
    died, began = collections.Counter(), time.monotonic()
    for version in range(1, DEATHS + 1):
        wanted = plan(daemon, rng, version)
        ask_for(daemon, wanted)
        pause(rng.uniform(0, rng.choice((0.1, 0.5, 2))))
        victims = rng.choice(VICTIMS)
        died[victims] += 1
        die(daemon, victims, rng, live)
    print(f"{time.monotonic() - began:.0f} s: {dict(died)}")
    wait_for(daemon.answers, 60, "aictld answers")
    numbers = {name: spec["replicas"] for name, spec in wanted.items()}
    wait_for(lambda: {n: len(running(daemon, n)) for n in numbers} == numbers
             and len(in_engine(daemon)) == sum(numbers.values()), 120, lambda: (numbers, in_engine(daemon)))
    for name in numbers:
        if numbers[name]:
            settled(daemon, name, numbers[name])
    for container in running(daemon, "updated").values():
        assert f"V={DEATHS}" in runs_as.inspect(container)["Config"]["Env"]
    if live:
        assert running(daemon, "kept") == kept
    for path in glob.glob(os.path.join(daemon.base, "shared/*")):
        assert "2" not in procfs.read(path), f"two at once: {path}"
