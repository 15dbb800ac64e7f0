"""aictld may die: the next one takes over what runs. Same processes, no line lost or doubled, no exit
forgotten, and every service can still be stopped.

SPDX-License-Identifier: MIT
"""
import collections
import os
import platform
import random
import re
import signal
import time

import pytest

import harness
import procfs
from harness import CAMPAIGN, wait_for

ROUNDS = 50
SEED = int(os.environ.get("AICTL_E2E_SEED", time.time_ns() % 1_000_000))
KINDS = ((), ("controller",), ("logger",))  # that die together with aictld
READY = {"readiness": {"http": {"path": "/ready"}, "period": "100ms"},
         "liveness": {"http": {"path": "/healthz"}, "period": "200ms", "failure_threshold": 20}}
AT_ONCE = {"policy": "always", "backoff": {"initial": "0s"}}
# Statuses of processes that others reap (PIDFD_GET_INFO tells them since Linux 6.15)
EXACT = tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2]) >= (6, 15)


def marked(daemon, spec):
    """The service's processes, escapees included, can be told from all others."""
    return {**spec, "environment": {"E2E_BASE": daemon.base}}


def of_services(daemon):
    """Living processes of any service of this daemon."""
    needle = f"E2E_BASE={daemon.base}\0"
    return {int(d): procfs.environ(d).get("AICTL_SERVICE") for d in os.listdir("/proc")
            if d.isdigit() and needle in procfs.read(f"/proc/{d}/environ") and procfs.alive(d)}


def kept(data):
    """Lines of `svc keep` run on from 1, except for those that it knows lost; (lines, lost)."""
    last = lost = 0
    lines = data.decode().splitlines()
    for line in lines:
        word, number, before = re.fullmatch(r"(line|end) (\d+) (\d+)", line).groups()
        number, before = int(number), int(before)
        assert number == last + 1 + (before - lost), f"{line!r} after {last} with {lost} lost"
        last, lost = number, before
    assert lines and lines[-1].startswith("end"), f"no end: {lines[-1:]}"
    return last, lost


def wait_end(daemon, service, index=0):
    wait_for(lambda: b"\nend " in daemon.segments(service, index),
             what=lambda: f"the end of {service}/{index}: {daemon.segments(service, index)[-60:]}")
    return daemon.segments(service, index)


@pytest.fixture
def start_below_init(start):
    return lambda **keys: start("--helper-restart", CAMPAIGN, init=True, **keys)


def crashing(daemon, after_ms):
    """Crashes all the time, and says itself how often it ran and whether two of it ever did."""
    os.makedirs(os.path.join(daemon.base, "shared"), exist_ok=True)
    os.chmod(os.path.join(daemon.base, "shared"), 0o777)
    return daemon.service("once", os.path.join(daemon.base, "shared", "lock"), "3", str(after_ms),
                          logs={"max_files": 1000},
                          restart={**AT_ONCE, "budget": {"restarts": 100000}})


def load(daemon):
    """Applies what runs during the campaign; name -> pids of those that are to live on."""
    big = {"max_size": "1GiB"}
    services = {
        "count": daemon.service("keep", "500", replicas=3, logs=big),
        "quick": daemon.service("keep", "30", logs=big),
        "split": daemon.service("keep", "200", logs={"max_size": "64KiB", "max_files": 1000}),
        "web": daemon.service("http", port=18140, replicas=2, probes=READY),
        "quiet": daemon.service("pause"),
        "escape": daemon.service("escape", stop={"grace_period": "200ms"}),
        "crash": crashing(daemon, 40),
    }
    daemon.apply({name: marked(daemon, spec) for name, spec in services.items()}, wait=False)
    for name in services:
        if name != "crash":
            daemon.wait_state(name, "ready")
    return {name: daemon.pids(name) for name in services if name != "crash"}


def pause(seconds):
    """The load goes on meanwhile: random moments are the point."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(0.001, seconds))


def campaign(daemon, rng):
    """ROUNDS deaths, some of them while the one before is not overcome yet."""
    died = []
    for _ in range(ROUNDS):
        kind = rng.choice(KINDS)
        chance = rng.random()
        if chance < 0.5:
            wait_for(daemon.answers, what="aictld answers")
        pause(rng.uniform(0, 0.3 if chance < 0.5 else 0.1 if chance < 0.7 else 0.02))
        daemon.crash(*kind)
        died.append(kind)
        if rng.random() < 0.3:  # a gap
            pause(rng.uniform(0, 0.2))
        daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")
    return died


def stop_everything(daemon, pids):
    daemon.ok("stop", *pids, "crash", timeout=120)
    wait_for(lambda: not of_services(daemon), what=lambda: f"nothing is left: {of_services(daemon)}")


def every_run_is_accounted_for(daemon, deaths):
    """What crashing() says agrees with what we counted; each death of aictld may have cost one
    start that never became a run."""
    lock = os.path.join(daemon.base, "shared", "lock")

    def settled():
        runs = procfs.read(lock)
        restarts = daemon.replica("crash")["restarts"]
        return procfs.read(lock) == runs and (runs, restarts)
    runs, restarts = wait_for(settled)
    print(f"runs {len(runs)}, restarts {restarts}")
    assert runs == len(runs) * "1", "two of one replica ran at the same time"
    assert len(runs) - 1 <= restarts <= len(runs) + deaths


@pytest.mark.containers
@pytest.mark.processes("many", "podman")
def test_random_kills_under_load(start_below_init):
    daemon = start_below_init()
    print(f"seed {SEED}")
    before = load(daemon)
    escapees = set(wait_for(lambda: procfs.escaped(
        [p for p, name in of_services(daemon).items() if name == "escape"]), what="it escapes"))
    died = campaign(daemon, random.Random(SEED))
    daemon.wait_state("web", "ready")
    assert {name: daemon.pids(name) for name in before} == before
    running = of_services(daemon)
    assert escapees == {p for p, name in running.items() if name == "escape"}
    for name, pids in before.items():
        if name != "escape":
            assert {p for p, n in running.items() if n == name} == set(pids.values())
    every_run_is_accounted_for(daemon, ROUNDS)
    stop_everything(daemon, before)
    if daemon.engine:
        return  # what they wrote: test_log_kills.py
    lost = 0
    for name in ("count", "quick", "split"):
        for index in before[name]:
            n, missing = kept(wait_end(daemon, name, index))
            assert n > 1000
            lost += missing
    print(f"lost {lost}, both died {died.count(('logger',))} times")
    if lost:  # only where both had died, and then it is said
        assert "may have met SIGPIPE" in daemon.log()
    assert "given back, but unknown" not in daemon.log()


@pytest.mark.skipif(not EXACT, reason="this kernel keeps no exit status for others")
def test_no_exit_is_unknown_while_a_logger_lives(start_below_init):
    """At any moment between a process's death and our reaping it, too. Only of a process
    whose pidfd had not yet been put where it outlives aictld, microseconds after its clone3, it is."""
    daemon = start_below_init()
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    daemon.apply({"crash": marked(daemon, crashing(daemon, 5))}, wait=False)
    exits = {}
    for n in range(deaths := 25):
        wait_for(daemon.answers, what="aictld answers")
        exits.update((x["incarnation"], x) for x in daemon.describe("crash")["exits"])
        pause(rng.uniform(0, 0.05))
        daemon.crash(*(("controller",) if n % 3 == 0 else ()))
        daemon.start_again()
    every_run_is_accounted_for(daemon, deaths)
    daemon.ok("stop", "crash")
    exits.update((x["incarnation"], x) for x in daemon.describe("crash")["exits"])
    logs = os.path.join(daemon.log_dir, "crash", "0")
    heard = {name.split("-")[0] for name in os.listdir(logs) if name.endswith(".log")}
    causes = collections.Counter(x["cause"] for x in exits.values())
    print(f"exits {dict(causes)}, with log {len(heard)}")
    assert causes["exit"] > 25
    assert causes["lost"] <= 1
    # "start": aictld died before clone3, so there was no process at all
    assert set(causes) <= {"exit", "user", "start", "lost"}


@pytest.mark.containers
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: "-".join(("aictld",) + k))
def test_an_exit_while_nobody_looks(start_below_init, kind):
    """Exact where the logger lived and the kernel tells, or an engine does; else unknown, and said so."""
    daemon = start_below_init()
    deadly = signal.SIGKILL if daemon.engine else signal.SIGSEGV  # the first of a container ignores others
    services = {name: marked(daemon, daemon.service("http", port=port, probes=READY,
                                                    restart=AT_ONCE))
                for name, port in (("coded", 18150), ("killed", 18151))}
    daemon.apply(services, wait=False)
    for name in ("coded", "killed"):
        daemon.wait_state(name, "ready")
    coded, killed = daemon.replica("coded"), daemon.replica("killed")
    daemon.crash(*kind)
    harness.tell_port(coded["port"], "/exit/41")
    procfs.kill(killed["pid"], deadly)
    for pid in (coded["pid"], killed["pid"]):
        wait_for(lambda p=pid: not os.path.exists(f"/proc/{p}"), what=f"{pid} is gone")
    daemon.start_again()
    exits = {}
    for name, old in (("coded", coded), ("killed", killed)):
        daemon.wait_new_pid(name, old["pid"])
        daemon.wait_state(name, "ready")
        exits[name] = daemon.replica(name)["last_exit"]
    if daemon.engine or (EXACT and "logger" not in kind):  # an engine remembers
        assert (exits["coded"]["code"], exits["coded"]["signal"]) == (41, None), exits
        assert (exits["killed"]["code"], exits["killed"]["signal"]) == (None, deadly.name), exits
    else:
        assert {x["cause"] for x in exits.values()} == {"lost"}, exits


@pytest.mark.parametrize("user", [None, pytest.param("nobody", marks=pytest.mark.needs_root)])
def test_a_thousand(start_below_init, user):
    """An ordinary user's descriptor limits, in one process and on their way, are enough as well."""
    wrapper = ["prlimit", "--nofile=1024:20000"] if user else []
    daemon = start_below_init(user=user, wrapper=wrapper)
    replicas, dead = (450, 50) if user else (1000, 100)
    daemon.apply({"many": daemon.service("pause", replicas=replicas, restart=AT_ONCE)}, timeout=120)
    before = daemon.pids("many")
    daemon.crash()
    for index in range(dead):
        procfs.kill(before[index])
    wait_for(lambda: not any(os.path.exists(f"/proc/{before[i]}") for i in range(dead)))
    daemon.start_again()
    begun = time.monotonic()
    wait_for(daemon.answers, what="aictld answers")
    print(f"{replicas} taken over after {time.monotonic() - begun:.2f} s")
    wait_for(lambda: daemon.ps()["many"]["ready"] == replicas
             and not set(daemon.pids("many").values()) & {before[i] for i in range(dead)},
             60, "the dead are replaced")
    after = daemon.pids("many")
    assert all(after[i] == before[i] for i in range(dead, replicas))
    exits = [r["last_exit"] for r in daemon.ps()["many"]["replicas"] if r["index"] < dead]
    if EXACT:
        assert {x["signal"] for x in exits} == {"SIGKILL"}
    assert {r["restarts"] for r in daemon.ps()["many"]["replicas"] if r["index"] >= dead} == {0}
    daemon.crash("logger")
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")
    assert daemon.pids("many") == after
    daemon.ok("stop", "many", timeout=120)


def test_a_hung_logger_is_replaced(start_below_init):
    """It gives nothing back, and is killed; its pipes are found again before."""
    daemon = start_below_init()
    daemon.apply({"count": marked(daemon, daemon.service("keep", "200"))})
    pid, logger = daemon.pid_of("count"), daemon.helper("logger")
    procfs.kill(logger, signal.SIGSTOP)
    wait_for(lambda: procfs.stopped(logger), what="the logger stops")
    daemon.crash()
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")
    assert not procfs.alive(logger)
    assert daemon.pid_of("count") == pid
    daemon.ok("stop", "count")
    lines, lost = kept(wait_end(daemon, "count"))
    assert lines > 1000 and lost == 0


@pytest.mark.containers
def test_a_stop_goes_on(start_below_init):
    """The grace period that runs when aictld dies ends when it would have."""
    daemon = start_below_init()
    daemon.apply({"escape": marked(daemon, daemon.service("escape", stop={"grace_period": "2s"})),
                  "other": marked(daemon, daemon.service("pause"))})
    wait_for(lambda: len(of_services(daemon)) == 3, what=lambda: of_services(daemon))
    stop = procfs.popen(daemon.cli_argv("stop", "escape"), stdout=-1, stderr=-2,
                        env={**daemon.env, "AICTL_SOCKET": daemon.socket})
    wait_for(lambda: daemon.ps()["escape"]["state"] == "stopping", what=daemon.ps)
    begun = time.monotonic()
    daemon.crash()
    daemon.start_again()
    daemon.wait_state("escape", "stopped")
    assert time.monotonic() - begun < 10
    assert set(of_services(daemon).values()) == {"other"}
    stop.communicate(timeout=30)


@pytest.mark.containers
def test_the_end_comes_at_once(start_below_init):
    """SIGTERM while it takes over: all is stopped in order, as at any other time."""
    daemon = start_below_init()
    daemon.apply({"count": marked(daemon, daemon.service("keep", "500")),
                  "escape": marked(daemon, daemon.service("escape",
                                                          stop={"grace_period": "200ms"}))})
    wait_for(lambda: len(of_services(daemon)) == 3, what=lambda: of_services(daemon))
    daemon.crash()
    daemon.start_again()
    wait_for(lambda: procfs.hears(daemon.pid), what="it hears signals", poll=0.001)
    assert daemon.stop() == 0
    assert not of_services(daemon)
    assert kept(daemon.segments("count"))[1] == 0


@pytest.mark.waits
def test_a_frozen_child_does_not_hold_the_lock(start_below_init):
    """Frozen before its first instruction it still shares the descriptors of a dead aictld."""
    daemon = start_below_init()
    cgroups = daemon.get("/v1/daemon")["cgroup"]["dir"]
    if cgroups is None:
        pytest.skip("no cgroup2 tree that the daemon may use")
    daemon.apply({"idle": marked(daemon, daemon.service("pause", restart=AT_ONCE))})
    first = daemon.pid_of("idle")
    cgroup = os.path.join(cgroups, "idle.0")
    with open(os.path.join(cgroup, "cgroup.freeze"), "w", encoding="ascii") as f:
        f.write("1")
    procfs.kill(first)
    wait_for(lambda: procfs.read(os.path.join(cgroup, "cgroup.procs")).split() not in ([], [str(first)]),
             what="the next one is born")
    daemon.crash()
    daemon.start_again()
    daemon.wait_state("idle", "ready")
    daemon.ok("stop", "idle")
    assert not of_services(daemon)
