"""What probing costs: CPU time of the controller for each check of N replicas, each asked every ten
seconds (`--probe-period`) on a new connection, beside a bare libcurl loop that asks the same server as often. Both run
at the same time and are read at the same moments; a window is one period.

How the checks are spread in time is told, too: the most of any second against an even spread.

SPDX-License-Identifier: MIT
"""
import collections
import http.server
import subprocess
import threading
import time

import procfs
import scale
import stats
from report import Result

BAR = 1.5
SETTLE = 2   # periods before the first window
FLOOR = "curl"
COLUMNS = ["peer", "CPU us a check", f"x {FLOOR}", "checks a window", "most in a second / mean", "windows", f"bar {BAR}"]


class Server:
    """Answers every request, and counts them by who asks, second by second."""

    def __init__(self):
        counts = self.counts = collections.Counter()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = FLOOR if self.headers.get("User-Agent") == "bare" else "aictl"
                counts[(name, int(time.monotonic()))] += 1
                self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
                self.close_connection = True

            def log_message(self, *args):
                pass

        class Listener(http.server.HTTPServer):
            request_queue_size = 1024

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def seen(self, name, first, last):
        """How many in each of these seconds."""
        return [self.counts[(name, second)] for second in range(first, last)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def start(bench, server):
    """(controller, floor): pids of what is measured, and the peer."""
    n, period = bench.options.replicas, bench.options.probe_period
    peer = bench.make_peer("aictl", n)
    probe = {"readiness": {"http": {"port": server.port}, "period": f"{period}s"}}
    peer.configure_with({name: {**service, "probes": probe} for name, service in peer.services().items()})
    peer.start()
    bench.beats.wait_all(peer.slots(), 0, peer.timeout)
    floor = subprocess.Popen([bench.program("tests/bench/curl"), f"http://127.0.0.1:{server.port}/", str(n),
                              str(1000 * period)])
    controllers = [p for p in peer.pids() if procfs.stat(p)[0].startswith("aictl-controll")]
    return peer, {"aictl": controllers[0], FLOOR: floor.pid}, floor


def window(server, pids, samples, n, period):
    begin = time.monotonic()
    before = {name: procfs.cpu_seconds(pid) for name, pid in pids.items()}
    time.sleep(period)
    used = {name: procfs.cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    for name in pids:
        seen = server.seen(name, int(begin), int(begin) + period)
        samples.add(name, n, {"us": 1e6 * used[name] / max(sum(seen), 1), "checks": sum(seen),
                              "burst": max(seen) * period / max(sum(seen), 1)})


def run(bench):
    samples, server = scale.Samples(), Server()
    peer, pids, floor = start(bench, server)
    try:
        time.sleep(SETTLE * bench.options.probe_period)
        for n in range(bench.options.scale_rounds):
            window(server, pids, samples, n, bench.options.probe_period)
    finally:
        floor.kill()
        floor.wait()
        bench.stop_peers([peer])
        server.close()
    return result(bench, samples)


def result(bench, samples):
    rows, data = [], {"bar": BAR, "replicas": bench.options.replicas, "peers": {}}
    for name in ("aictl", FLOOR):
        us = scale.summary(samples.column(name, "us").values())
        checks = scale.summary(samples.column(name, "checks").values())
        burst = scale.summary(samples.column(name, "burst").values())
        ratio = scale.summary(samples.ratios(name, FLOOR, "us"))
        told = stats.verdict(ratio, BAR) if name == "aictl" else ""
        rows.append([name, scale.show(us, 1), scale.show(ratio, 2), scale.show(checks, 0), scale.show(burst, 2),
                     str(us["n"]), told])
        data["peers"][name] = {"us": us, "ratio": ratio, "checks": checks, "burst": burst, "verdict": told}
    title = f"HTTP probes of {bench.options.replicas} replicas, each every {bench.options.probe_period} s"
    return Result("probes", title, COLUMNS, rows, data)
