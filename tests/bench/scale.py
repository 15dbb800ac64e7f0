"""Many processes at once: one instance of a peer serves several metrics.

In each round every peer, in random order and alone on the machine, is started with its
configuration in place and then asked for what the wanted metrics measure. The ratio of a sample is
to the floor of the same round. Peers that take seconds take part in the first rounds only.

SPDX-License-Identifier: MIT
"""
import random
import time

import stats

QUIET_S = 1.5  # between two measurements on one instance: what the former caused is over


class Samples:
    """peer -> round -> a dict of figures, for one metric."""

    def __init__(self):
        self.peers = {}

    def add(self, name, n, figures):
        self.peers.setdefault(name, {})[n] = figures

    def column(self, name, figure):
        """Round -> figure, where it is known."""
        return {n: f[figure] for n, f in self.peers.get(name, {}).items()
                if f.get(figure) is not None}

    def ratios(self, name, floor, figure):
        """Of the rounds that both took part in."""
        mine, base = self.column(name, figure), self.column(floor, figure)
        return [mine[n] / base[n] for n in mine if base.get(n)]


def run(bench, wanted):
    """wanted: name -> metric module. Yields report.Results."""
    samples = {name: Samples() for name in wanted}
    rng = random.Random(1)
    names, versions = bench.usable_peers(), {}
    rounds = max(metric.rounds(bench.options) for metric in wanted.values())
    for n in range(rounds):
        rng.shuffle(names)
        for name in names:
            if bench.is_slow(name) and n >= bench.options.slow_rounds:
                continue
            peer = bench.make_peer(name, bench.options.replicas)
            versions.setdefault(name, peer.version())
            one(bench, peer, n, {m: (samples[m], name) for m in wanted}, wanted)
            bench.say(f"round {n + 1}/{rounds}: {name}")
    for name, metric in wanted.items():
        result = metric.result(bench, samples[name])
        result.data["versions"] = versions
        yield result


def one(bench, peer, n, into, wanted):
    """One instance of one peer through all wanted metrics that this round has."""
    peer.configure()
    time.sleep(max(peer.settle_conf, 0.2))
    try:
        for name, metric in wanted.items():
            samples, peer_name = into[name]
            if n < metric.rounds(bench.options):
                samples.add(peer_name, n, metric.sample(bench, peer))
    except TimeoutError as e:
        raise TimeoutError(f"{peer_name}: {e}; its output ends:\n{peer.output()}") from e
    finally:
        bench.stop_peers([peer])


def ensure_started(bench, peer):
    """For metrics of a running instance: starts it unless an earlier metric has."""
    if peer.process is None:
        start(bench, peer)


def start(bench, peer):
    """Milliseconds to the first instruction of the last process, and CPU seconds of it all."""
    begin_ns = time.monotonic_ns()
    peer.start()
    last_ns = bench.beats.wait_all(peer.slots(), 0, peer.timeout) if peer.n else begin_ns
    return {"ms": (last_ns - begin_ns) / 1e6, "cpu_s": peer.cpu.seconds()}


def show(summary, digits=0):
    if summary is None:
        return "-"
    return (f"{summary['median']:,.{digits}f} "
            f"({summary['low']:,.{digits}f}..{summary['high']:,.{digits}f})")


def summary(values):
    values = list(values)
    return stats.summary(values) if values else None


def compare(samples, floor, figures):
    """peer -> figure -> (summary, ratio's summary) for a table against a floor."""
    return {name: {figure: (summary(samples.column(name, figure).values()),
                            summary(samples.ratios(name, floor, figure))) for figure in figures}
            for name in samples.peers}


