"""The ways to the same web servers, which aictl runs as a service: through aictl's gateway, through
HAProxy, direct; or at a socket that aictl hands over, and direct. wrk asks each in turn; the ratio of a
sample is to HAProxy's, or to that of the direct way, of the same round.

CPU time is that of the proxy's process (of the server's, where there is no proxy) and that of the whole
machine (load generator, servers and whatever else runs), for each request.

SPDX-License-Identifier: MIT
"""
import collections
import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time

import procfs
import scale
import stats
from report import Result

FLOOR = "haproxy"
REPLICAS = 2
CONNECTIONS = 64
WAIT_S = 20.0
ORDER = ("direct", FLOOR, "aictl")

# bar: requests/s, at least, and bar_cpu: the proxy's CPU time for each, at most: times the floor's.
Case = collections.namedtuple("Case", "name title path protocol bufsize bar bar_cpu")
Way = collections.namedtuple("Way", "port pid")  # pid: of whom CPU time is told, 0 = of nobody


# ---- the ways ----

def free_port():
    """Neither one of the kernel's choice nor one of aictl's for its replicas."""
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", random.randrange(30500, 32000)))
            return s.getsockname()[1]


def wait(condition, what):
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)
    return found


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
        return s.recv(64).startswith(b"HTTP/1.1 200")
    return False


def servers(peer, web, how, n):
    """(port or descriptor, pid) of the service's processes, when all n of them run."""
    found = []
    for pid in procfs.descendants(peer.roots()[0]):
        argv = procfs.read(f"/proc/{pid}/cmdline").split("\0")
        if argv[:2] == [web, how]:
            found.append((int(argv[2]), pid))
    return sorted(found) if len(found) == n else None


class Ways:
    """Name -> Way, all of them open, until it is closed."""

    floor = FLOOR
    whose = "proxy's"

    def __init__(self, bench, protocol, bufsize, haproxy=()):
        """haproxy: more lines of its defaults."""
        self.bench, self.protocol, self.bufsize, self.more = bench, protocol, bufsize, haproxy
        self.peers, self.ways, self.data = [], {}, {"versions": {}}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.bench.stop_peers(self.peers)

    def start(self):
        web = self.bench.program("tests/bench/web")
        ours, port = self.bench.make_peer("aictl", 0), free_port()
        self.peers.append(ours)
        ours.configure_with({"web": ours.program([web, "serve", "${PORT}"], REPLICAS, ports={
            "http": {"port": port, "protocol": self.protocol}})})
        ours.start()
        try:
            ports = [port for port, _ in wait(lambda: servers(ours, web, "serve", REPLICAS), "the servers do not run")]
            wait(lambda: answers(port), "aictl-gateway does not answer")
        except TimeoutError as e:
            raise TimeoutError(f"{e}; aictld says:\n{ours.output()}") from e
        gateway = next(p for p in ours.pids() if procfs.stat(p)[0].startswith("aictl-gateway"[:15]))
        self.add("direct", ports[0], 0)
        if self.bench.usable_peers((FLOOR,)):
            self.start_floor(ports)
        self.add("aictl", port, gateway)
        self.data["versions"]["aictl"] = ours.version()

    def start_floor(self, ports):
        peer, port = self.bench.make_peer(FLOOR, 0), free_port()
        self.peers.append(peer)
        peer.configure_before(ports, port, self.protocol, self.bufsize, self.more)
        peer.start()
        wait(lambda: answers(port), "haproxy does not answer")
        self.add(FLOOR, port, peer.roots()[0])
        self.data["versions"][FLOOR] = peer.version()
        self.data["haproxy.cfg"] = peer.text

    def add(self, name, port, pid):
        wait(lambda: answers(port), f"{name} does not answer")
        self.ways[name] = Way(port, pid)


class Handed(Ways):
    """One server that listens by itself, and one that got its socket from aictl: no proxy."""

    floor = "direct"
    whose = "server's"

    def start(self):
        web, ports = self.bench.program("tests/bench/web"), {"direct": free_port(), "aictl": free_port()}
        ours = self.bench.make_peer("aictl", 0)
        self.peers.append(ours)
        ours.configure_with({
            "direct": ours.program([web, "serve", str(ports["direct"])], 1),
            "handed": ours.program([web, "take", "${LISTEN_FD}"], 1,
                                   ports={"http": {"port": ports["aictl"], "mode": "socket"}})})
        ours.start()
        try:
            for name, how in (("direct", "serve"), ("aictl", "take")):
                [(_, pid)] = wait(lambda how=how: servers(ours, web, how, 1), f"{name}: the server does not run")
                self.add(name, ports[name], pid)
        except TimeoutError as e:
            raise TimeoutError(f"{e}; aictld says:\n{ours.output()}") from e
        self.data["versions"]["aictl"] = ours.version()


# ---- the load ----

SPARE = 10  # connections that a proxy may have more than before: kept ones


def client(bench, what, way, n):
    return [bench.program("tests/bench/web"), what, str(way.port), str(n)]


@contextlib.contextmanager
def clients(bench, what, way, n):
    """n of them are there; after it they are gone from the proxy, too."""
    before = len(procfs.fds(way.pid))
    with subprocess.Popen(client(bench, what, way, n), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdout.readline() != b"open\n":
            raise RuntimeError(f"not all of {n} clients came")
        yield
        process.stdin.close()
    wait(lambda: len(procfs.fds(way.pid)) <= before + SPARE, "the clients do not go")


def machine_seconds():
    """CPU time that the machine has spent on anything: user, nice, system, irq and softirq."""
    fields = [int(f) for f in procfs.read("/proc/stat").splitlines()[0].split()[1:]]
    return sum(fields[i] for i in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[unit]


def wrk(way, path, seconds):
    return ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{way.port}{path}"]


def sample(way, path, seconds):
    cpu_s, all_s = procfs.cpu_seconds(way.pid) if way.pid else 0, machine_seconds()
    done = subprocess.run(wrk(way, path, seconds), capture_output=True, text=True, check=True,
                          stdin=subprocess.DEVNULL, timeout=seconds + 30)
    used = procfs.cpu_seconds(way.pid) - cpu_s if way.pid else None
    n, elapsed = re.search(r"(\d+) requests in ([\d.]+\w+),", done.stdout).groups()
    if int(n) == 0:
        raise RuntimeError(f"no request was answered by {procfs.stat(way.pid)}, {len(procfs.fds(way.pid))} fds:\n{done.stdout}")
    failed = sum(int(k) for k in re.findall(r"(?:connect|read|write|timeout) (\d+)|responses: (\d+)", done.stdout)
                 for k in k if k)
    return {"rps": int(n) / milliseconds(elapsed) * 1e3, "failed": failed,
            "cpu_us": used and used / int(n) * 1e6, "machine_us": (machine_seconds() - all_s) / int(n) * 1e6,
            **{f"p{p}_ms": milliseconds(re.search(rf"^\s+{p}%\s+(\S+)$", done.stdout, re.M)[1]) for p in (50, 99)}}


def run(bench, case, kind=Ways):
    """None where there is no wrk."""
    if not shutil.which("wrk"):
        print(f"run: {case.name} left out: no wrk", file=sys.stderr)
        return None
    samples, rng, seconds = scale.Samples(), random.Random(1), bench.options.web_seconds
    with kind(bench, case.protocol, case.bufsize) as ways:
        names, load = list(ways.ways), [os.getloadavg()]
        for n in range(-1 if bench.options.web_rounds > 1 else 0, bench.options.web_rounds):  # the first: to warm up
            rng.shuffle(names)
            for name in names:
                figures = sample(ways.ways[name], case.path, seconds)
                if n >= 0:
                    samples.add(name, n, figures)
            bench.say(f"{case.name}: round {n + 1}/{bench.options.web_rounds}")
        load.append(os.getloadavg())
    data = {**ways.data, "bar": case.bar, "bar_cpu": case.bar_cpu, "bufsize": case.bufsize, "peers": {},
            "loadavg": load, "cpus": os.cpu_count(), "seconds": seconds,
            "wrk": " ".join(wrk(Way("PORT", 0), case.path, seconds))}
    rows = [row(samples, case, name, data, kind.floor) for name in ORDER if name in samples.peers]
    return Result(case.name, case.title, columns(kind), rows, data)


def columns(kind):
    x = f"x {kind.floor}"
    return ["way", "requests/s: median (90 %)", x, f"{kind.whose} CPU us/request", x, "machine's CPU us/request", x,
            "p99 ms", "failed", "n", "bars"]


def row(samples, case, name, data, floor):
    found = {figure: scale.summary(samples.column(name, figure).values())
             for figure in ("rps", "cpu_us", "machine_us", "p50_ms", "p99_ms")}
    ratios = {figure: scale.summary(samples.ratios(name, floor, figure))
              for figure in ("rps", "cpu_us", "machine_us")}
    failed, told = sum(samples.column(name, "failed").values()), ""
    if name == "aictl" and ratios["rps"]:
        told = f">= {case.bar:g}x: {stats.verdict(ratios['rps'], case.bar, more=True)}"
        if case.bar_cpu:
            told += f", CPU <= {case.bar_cpu:g}x: {stats.verdict(ratios['cpu_us'], case.bar_cpu)}"
    data["peers"][name] = {**found, "ratio": ratios["rps"], "cpu_ratio": ratios["cpu_us"],
                           "machine_ratio": ratios["machine_us"], "failed": failed, "verdict": told,
                           "samples": samples.peers[name]}
    return [name, scale.show(found["rps"]), scale.show(ratios["rps"], 2), scale.show(found["cpu_us"], 1),
            scale.show(ratios["cpu_us"], 2), scale.show(found["machine_us"], 1),
            scale.show(ratios["machine_us"], 2), scale.show(found["p99_ms"], 2), str(failed),
            str(found["rps"]["n"]), told]
