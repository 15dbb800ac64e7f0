"""aictl top, `ps -o wide` and describe: what passes a service, as numbers that the clients know, too.

SPDX-License-Identifier: MIT
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios

import pytest

import procfs
from harness import wait_for
from test_metrics import scripted
from test_traffic import ask, free_port, wait_open


def table(text):
    """{name: {title: cell}}"""
    head, *rows = text.rstrip("\n").splitlines()
    titles = re.findall(r"\S+", head)
    at = [head.index(t) for t in titles] + [None]
    cells = [[row[a:b].strip() for a, b in zip(at, at[1:])] for row in rows]
    return {c[0]: dict(zip(titles, c)) for c in cells}


def serve(daemon):
    """web has had 30 requests, three of them bad; idle has no port."""
    port = free_port()
    daemon.apply({"web": scripted(daemon, port, {"/bad": {"status": 500}, "*": {"body": "0"}}, replicas=2),
                  "idle": daemon.shell("sleep 1000")})
    wait_open(daemon)
    for i in range(30):
        ask(port, "/bad" if i % 10 == 0 else "/")
    wait_for(lambda: traffic(daemon)["requests"] == 30, what="they are counted")
    return port


def traffic(daemon):
    return daemon.ps()["web"]["traffic"]


@pytest.mark.containers
def test_one_table(daemon):
    serve(daemon)
    t = traffic(daemon)
    assert (t["errors"], t["error_rate"], t["in_flight"], t["waiting"], t["refused"]) == (3, 0.1, 0, 0, 0)
    assert 0 < t["p50_ms"] <= t["p95_ms"] <= t["p99_ms"] and t["first_byte_p50_ms"] <= t["first_byte_p95_ms"] <= t["p99_ms"]
    wait_for(lambda: sum(traffic(daemon)["last_minute"]) == 30, what="the second is over")
    replicas = [r["traffic"] for r in daemon.ps()["web"]["replicas"]]
    assert sum(r["requests"] for r in replicas) == 30 and sum(r["errors"] for r in replicas) == 3
    assert daemon.ps()["idle"]["traffic"] is None
    rows = table(daemon.ok("top"))
    assert set(rows) == {"web", "idle"}
    web, idle = rows["web"], rows["idle"]
    assert (web["READY"], web["IN-FLIGHT"], web["QUEUE"], web["ERRORS"]) == ("2/2", "0", "0", "10%")
    assert re.fullmatch(r"[0-9.]+m?s", web["P95"]) and re.fullmatch(r"\d+%", web["CPU"])
    assert web["MEM"].endswith("MiB") and web["LAST-MINUTE"]
    assert (idle["REQ/S"], idle["P95"], idle["ERRORS"], idle["LAST-MINUTE"]) == ("-", "-", "-", "")
    assert list(table(daemon.ok("top", "-n", "1", "web"))) == ["web"]
    assert daemon.ok("top", "-n", "2", "-i", "100ms", "web").count("NAME") == 2
    assert daemon.cli("top", "nobody")[0] == 4
    wide = table(daemon.ok("ps", "-o", "wide"))
    assert re.fullmatch(r"[0-9.]+m?s", wide["web/0"]["P95"])
    assert (wide["web/0"]["IN-FLIGHT"], wide["idle/0"]["REQ/S"]) == ("0", "-")
    page = daemon.ok("describe", "web")
    assert re.search(r"^  Traffic +30 requests, 3 errors", page, re.M), page


@pytest.mark.containers
def test_cpu_is_measured(daemon):
    daemon.apply({"burns": daemon.shell("while :; do :; done")})
    wait_for(lambda: int(table(daemon.ok("top"))["burns"]["CPU"].rstrip("%")) > 20, what="it burns")


class Screen:
    """aictl on a terminal of its own."""

    def __init__(self, daemon, *args, columns=120):
        self.master, self.slave = pty.openpty()
        self.resize(columns)
        self.before = termios.tcgetattr(self.slave)
        env = {**daemon.env, "AICTL_SOCKET": daemon.socket, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self.process = procfs.popen(daemon.cli_argv(*args), stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                    env=env, start_new_session=True,
                                    preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.text = ""

    def resize(self, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536).decode()
        return self.text

    def wait(self, pattern, count=1):
        wait_for(lambda: len(re.findall(pattern, self.read())) >= count, what=lambda: f"{pattern!r} in {self.text[-2000:]!r}")

    def key(self, data):
        os.write(self.master, data)

    def ended(self):
        wait_for(lambda: self.read() is not None and self.process.poll() is not None, what="it ends")
        after = termios.tcgetattr(self.slave)
        assert after == self.before, "the terminal is as it was"
        os.close(self.slave)
        os.close(self.master)
        return self.process.returncode


def test_live(daemon):
    """It is drawn again, also after a resize, and q ends it."""
    port = serve(daemon)
    s = Screen(daemon, "top")
    s.wait("LAST-MINUTE", 2)
    s.wait("[▁▂▃▄▅▆▇█]")
    ask(port, "/bad")
    s.wait("web")
    s.resize(50)  # the process is told by the terminal
    s.wait(r"\x1b\[H\x1b\[2J")
    narrow = s.text.rpartition("\x1b[2J")[2]
    assert "TTFB" not in narrow and all(len(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line)) <= 50 for line in narrow.splitlines())
    s.key(b"x")
    seen = len(s.read())
    wait_for(lambda: len(s.read()) > seen, what="another key changes nothing")
    assert s.process.poll() is None
    s.key(b"q")
    assert s.ended() == 0


def test_live_is_interrupted(daemon):
    daemon.apply({"idle": daemon.shell("sleep 1000")})
    s = Screen(daemon, "top")
    s.wait("idle")
    s.key(b"\x03")
    assert s.ended() == 130
    s = Screen(daemon, "top")
    s.wait("idle")
    os.kill(s.process.pid, signal.SIGTERM)
    assert s.ended() == 130


def test_live_outlives_a_controller(daemon):
    daemon.apply({"idle": daemon.shell("sleep 1000")})
    s = Screen(daemon, "top")
    s.wait("idle")
    procfs.kill(daemon.helper("controller"))
    wait_for(lambda: daemon.mode() == "normal", what="another one")
    seen = len(re.findall("idle", s.read()))
    s.wait("idle", seen + 2)
    daemon.ok("delete", "idle")
    s.wait("no services")
    s.key(b"q")
    assert s.ended() == 0
