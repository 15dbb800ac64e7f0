"""Logger, controller and aictld are killed at random under load, alone and together: every line is
stored once, in order, as of the stream and the incarnation that it says it is of.

AICTL_E2E_KILLS is how often. Pipes live as long as aictld or a logger holds them, so one of the two
is left alone until it does.

SPDX-License-Identifier: MIT
"""
import collections
import glob
import os
import random
import re
import struct
import subprocess
import time

import pytest

import procfs
from harness import CAMPAIGN, Daemon, built_with, log_content, wait_for
from test_adoption import AT_ONCE, SEED, marked, of_services, pause
from test_logs import following, number_of

KILLS = int(os.environ.get("AICTL_E2E_KILLS", "15"))
KINDS = (("aictld",), ("logger",), ("controller",), ("aictld", "controller"), ("logger", "controller"))
RUNTIME = (("runtime",), ("aictld", "runtime"), ("runtime", "logger"))  # besides, with containers
STEADY = {"out": 1000, "rotated": 150, "packed": 300}  # service: us between lines
STREAMS = {1: "out", 2: "err"}
LINE = re.compile(rb"(out|err) (\w+) (line|end) (\d{9})")


def pipes(pid):
    """Those that a process has open."""
    return {what for what in procfs.fds(pid).values() if what.startswith("pipe:")}


def of_loggers(daemon):
    """Pids of loggers of this daemon: also of one without its aictld."""
    return [int(d) for d in os.listdir("/proc") if d.isdigit() and procfs.alive(d)
            and f"\0{daemon.log_dir}\0" in procfs.read(f"/proc/{d}/cmdline")
            and (procfs.stat(d) or " ")[0] == "aictl-logger"]


def written(daemon):
    """The pipes of the services that go on. A container's are its engine's, which keeps what it reads."""
    found = set()
    if daemon.engine:
        return found
    for pid, name in of_services(daemon).items():
        if name in STEADY:
            fds = procfs.fds(pid)
            found |= {fds[1], fds[2]}
    return found


def load(daemon):
    logs = {"out": {"max_size": "1GiB"}, "rotated": {"max_size": "256KiB", "max_files": 1000},
            "packed": {"max_size": "256KiB", "max_files": 1000, "compress": "zstd"},
            "short": {"max_size": "64KiB", "max_files": 1000}}
    services = {name: daemon.service("both", str(us), replicas=2, logs=logs[name]) for name, us in STEADY.items()}
    services["short"] = daemon.service("both", "500", "150", logs=logs["short"],
                                       restart={**AT_ONCE, "budget": {"restarts": 100000}})
    daemon.apply({name: marked(daemon, spec) for name, spec in services.items()}, wait=False)
    for name in STEADY:
        daemon.wait_state(name, "ready")


def campaign(daemon, rng, beside=lambda: None):
    """KILLS deaths, and something beside before each. Returns how often whom."""
    died = collections.Counter()
    ours = written(daemon)
    for _ in range(KILLS):
        kind = rng.choice(KINDS + (RUNTIME if daemon.engine else ()))
        beside()
        pause(rng.uniform(0, rng.choice((0.02, 0.1, 0.4))))
        if "aictld" in kind:
            wait_for(lambda: any(pipes(pid) >= ours for pid in of_loggers(daemon)), what="a logger has them")
            daemon.crash(*(k for k in kind if k != "aictld"))
            pause(rng.choice((0, rng.uniform(0, 0.3))))
            daemon.start_again()
        else:
            wait_for(lambda: daemon.pid and pipes(daemon.pid) >= ours, what="aictld has them")
            pids = of_loggers(daemon) if "logger" in kind else []
            pids += [p for which in ("controller", "runtime") if which in kind and (p := daemon.helper(which))]
            for pid in pids:
                procfs.kill(pid)
            wait_for(lambda dead=pids: not any(procfs.alive(p) for p in dead), what="they die")
        died[kind] += 1
    wait_for(daemon.answers, what="aictld answers")
    return died


def entries(path):
    """(offset, length, stream) of an index."""
    with open(path, "rb") as f:
        raw = f.read()[64:]
    return [struct.unpack_from("<QII", raw, at) for at in range(0, len(raw) - 23, 24)]


def read_incarnation(directory, name):
    """stream -> bytes, of all segments in order; each byte is indexed once."""
    found = collections.defaultdict(bytes)
    for idx in sorted(glob.glob(os.path.join(directory, name + "-*.idx"))):
        log = idx.removesuffix(".idx") + ".log"
        data, at = log_content(log if os.path.exists(log) else log + ".zst"), 0
        for offset, length, stream in entries(idx):
            if stream == 0:
                continue
            assert offset == at, f"{idx}: {offset} after {at}"
            found[stream] += data[at:at + length]
            at += length
        assert at == len(data), f"{idx}: {len(data)} bytes, {at} of them indexed"
    return found


def check_incarnation(directory, name, complete):
    """Returns the number of its lines, and whether some are missing (never when complete)."""
    total, missing = 0, False
    found = read_incarnation(directory, name)
    assert set(found) <= set(STREAMS), f"{directory}/{name}: {set(found)}"
    for number, word in STREAMS.items():
        lines = found[number].split(b"\n")
        assert lines.pop() == b"", f"{directory}/{name}: a line without end"
        last = 0
        for line in lines:
            match = LINE.fullmatch(line)
            assert match, f"{directory}/{name}: {line!r}"
            assert (match[1].decode(), match[2].decode()) == (word, name), f"{directory}/{name} {word}: {line!r}"
            n = int(match[4])
            assert n == last + 1 if complete else n > last, f"{directory}/{name} {word}: {n} after {last}"
            missing |= n != last + 1
            last = n
        ended = lines and b" end " in lines[-1]
        assert ended or not complete, f"{directory}/{name}: no end {lines[-1:]}"
        missing |= not ended
        total += len(lines)
    return total, missing


def all_incarnations(daemon):
    """(service, directory, incarnation)"""
    found = set()
    for path in daemon.log_files("*", "*", "idx"):
        directory, name = os.path.split(path)
        found.add((os.path.basename(os.path.dirname(directory)), directory, name.rsplit("-", 1)[0]))
    return sorted(found)


@pytest.mark.containers
@pytest.mark.skipif(not os.path.exists("/usr/bin/zstdcat"), reason="no zstdcat")
def test_random_kills(start):
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    print(f"seed {SEED}")
    load(daemon)
    began = time.monotonic()
    died = campaign(daemon, random.Random(SEED))
    print(f"{time.monotonic() - began:.0f} s: {dict(died)}")
    daemon.ok("stop", *STEADY, "short", timeout=120)
    wait_for(lambda: not of_services(daemon), what=lambda: f"nothing is left: {of_services(daemon)}")
    wait_for(lambda: all(b" end " in daemon.stored(s, i)[-120:] for s in STEADY for i in (0, 1)), 120 if daemon.engine else 30,
             "the ends")
    procfs.kill(daemon.pid, 15)
    daemon.wait()
    lines, runs, missing = collections.Counter(), collections.Counter(), 0
    for service, directory, name in all_incarnations(daemon):
        n, some = check_incarnation(directory, name, service in STEADY)
        lines[service] += n
        runs[service] += 1
        missing += some
    said = re.findall(r"replica=(\w+)/\d+ .* may have met SIGPIPE", daemon.log())
    print(f"lines {dict(lines)}, incarnations {dict(runs)}, {missing} with lines missing, {len(said)} said")
    assert all(runs[s] == 2 and lines[s] > 1000 for s in STEADY), runs
    assert runs["short"] > 1
    assert missing == 0 and not said


KEPT = "8"


class Hands:
    """Somebody who rotates and prunes all the time, and is not heard while nobody listens."""

    def __init__(self, daemon, rng):
        self.daemon, self.rng, self.process, self.times = daemon, rng, None, 0

    def __call__(self):
        if self.process and self.process.poll() is None:
            return
        words = self.rng.choice((["rotate"], ["prune", "--keep", KEPT], ["prune", "--keep", KEPT]))
        self.process = procfs.popen(self.daemon.cli_argv("logs", *words, "packed"), cwd=self.daemon.base,
                                    env={**self.daemon.env, "AICTL_SOCKET": self.daemon.socket},
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.times += 1

    def end(self):
        wait_for(lambda: self.process.poll() is not None, what="the last one ends")


def in_order(lines, whole):
    """Of one stream of one incarnation: no gap, nothing twice, up to the end. Returns the first number."""
    numbers = [int(m[4]) for m in lines]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers[:3]
    assert lines[-1][3] == b"end" and (numbers[0] == 1 or not whole)
    return numbers[0]


def streams_of(data):
    """(incarnation, stream) -> matches of its lines; anything else is an error."""
    found = collections.defaultdict(list)
    for line in data.splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        found[match[2], match[1]].append(match)
    return found


def all_compressed(daemon):
    return all(os.path.getsize(f) <= 4096 for f in daemon.log_files("packed", kind="log"))


@pytest.mark.skipif(not os.path.exists("/usr/bin/zstdcat"), reason="no zstdcat")
def test_random_kills_of_what_is_compressed_and_pruned(start):
    """A follower has every line once and in order; the files have all that was not pruned, and nothing else,
    compressed or not."""
    daemon, rng = start("--helper-restart", CAMPAIGN, init=True), random.Random(SEED)
    print(f"seed {SEED}")
    logs = {"max_size": "128KiB", "max_files": 1000, "compress": "zstd"}
    daemon.apply({"packed": marked(daemon, daemon.service("both", "150", replicas=2, logs=logs))})
    hands = Hands(daemon, rng)
    with following(daemon, "--no-prefix", "packed") as follower:
        died = campaign(daemon, rng, hands)
        hands.end()
        for i in (0, 1):
            wait_for(lambda i=i: number_of(daemon.log_files("packed", i, "idx")[-1]) > int(KEPT) + 2, what="many files")
        daemon.ok("stop", "packed", timeout=120)
        wait_for(lambda: follower.read().count(b" end ") == 4, what=lambda: follower.lines()[-5:])
        follower.end()
        seen = streams_of(follower.read())
    assert len(seen) == 4
    for lines in seen.values():
        in_order(lines, True)
    daemon.ok("logs", "prune", "--keep", KEPT, "packed")
    wait_for(lambda: all_compressed(daemon), what=lambda: daemon.log_files("packed", kind="log"))
    firsts, torn = [], 0
    for service, directory, name in all_incarnations(daemon):
        for number, data in read_incarnation(directory, name).items():
            key = name.encode(), STREAMS[number].encode()
            lines = data.splitlines()
            if not LINE.fullmatch(lines[0]):
                lines.pop(0)  # its beginning is in a file that was pruned: closed by hand, or by a kill
                torn += 1
            firsts.append(in_order(streams_of(b"\n".join(lines))[key], False))
            assert lines[-1] == seen[key][-1][0]
    print(f"{dict(died)}, {hands.times} by hand, {sum(map(len, seen.values()))} lines, kept from {firsts}")
    assert len(firsts) == 4 and max(firsts) > 1
    shown = daemon.ok("logs", "--no-prefix", "packed").encode().splitlines()
    assert sum(not LINE.fullmatch(line) for line in shown) == torn
    assert len(daemon.log_files("packed", 0, "idx")) <= int(KEPT)


@pytest.fixture
def stopped_at(base):
    """stopped_at(point, service, script): a daemon whose aictld stands still at that point of the first
    start of the service."""
    daemons = []

    def make(point, service, script):
        arms = os.path.join(base, "points")
        os.mkdir(arms)
        os.chmod(arms, 0o777)
        os.chmod(base, 0o777)
        daemon = Daemon(base, env={"AICTL_POINTS": arms}).start()
        daemons.append(daemon)
        daemon.apply({"good": daemon.service("pause")})
        with open(os.path.join(arms, point), "w", encoding="utf8"):
            pass
        daemon.apply({service: daemon.shell(script, restart={"policy": "never"})}, wait=False, name="more")
        wait_for(lambda: (procfs.stat(daemon.pid) or "  ")[1] == "T", what="it stops")
        return daemon

    yield make
    for daemon in daemons:
        print(daemon.log())
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()


def kill_there(daemon):
    procfs.kill(daemon.pid)
    daemon.wait()
    daemon.start_again()
    wait_for(daemon.answers, what=daemon.log)


@pytest.mark.skipif(not built_with("AICTL_POINTS"), reason="built without --enable-points")
@pytest.mark.parametrize("point", ("cloned", "started", "running"))
def test_killed_after_a_start(stopped_at, base, point):
    """It may write all that it has to say before anybody looks."""
    told = os.path.join(base, "pid")
    daemon = stopped_at(f"aictld.spawn.{point}", "short", f"echo first and last words; echo $$ > {told}")
    pid = int(wait_for(lambda: os.path.exists(told) and procfs.read(told)))
    wait_for(lambda: not procfs.alive(pid), what="it has ended")
    kill_there(daemon)
    wait_for(lambda: daemon.segments("short") == b"first and last words\n", what=lambda: daemon.segments("short"))
    assert "may have met SIGPIPE" not in daemon.log()
    assert daemon.stop() == 0


@pytest.mark.skipif(not built_with("AICTL_POINTS"), reason="built without --enable-points")
def test_killed_before_a_start(stopped_at):
    """The logger has pipes that nobody ever writes to: nothing is left of them."""
    daemon = stopped_at("aictld.spawn.cloning", "short", "echo words; exec sleep 1000")
    kill_there(daemon)
    daemon.wait_state("short", "ready")
    wait_for(lambda: daemon.segments("short") == b"words\n", what=lambda: daemon.segments("short"))
    assert len(daemon.log_files("short", kind="log")) == 1
    daemon.ok("delete", "--set", "more")
    wait_for(lambda: "short" not in daemon.ps(), what="it is gone")
    assert daemon.stop() == 0
