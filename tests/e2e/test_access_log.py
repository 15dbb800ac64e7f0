"""The access log: a JSON line for each request of the share that a service wants.

SPDX-License-Identifier: MIT
"""
import json
import os
import socket

import procfs
from harness import AS_ROOT, wait_for
from test_helpers import kill_helper, wait_helper
from test_metrics import scripted
from test_traffic import ask, free_port, talker, wait_open


def path_of(daemon):
    return os.path.join(daemon.log_dir, "_gateway", "access.log")


def lines(daemon):
    text = procfs.read(path_of(daemon))
    return [json.loads(line) for line in text.splitlines()]


def wait_lines(daemon, n):
    return wait_for(lambda: len(found := lines(daemon)) >= n and found, what=lambda: f"{n} lines: {lines(daemon)}")


def test_each_request_is_a_line(daemon):
    port = free_port()
    daemon.apply({"web": scripted(daemon, port, {"/bad": {"status": 500}, "*": {"body": "0"}}, access_log=1)})
    wait_open(daemon)
    for path in ("/", "/a?b=%22c", "/bad"):
        ask(port, path, body=b"12345")
    found = wait_lines(daemon, 3)
    assert [(e["method"], e["target"], e["status"]) for e in found] == [
        ("POST", "/", 200), ("POST", "/a?b=%22c", 200), ("POST", "/bad", 500)]
    for e in found:
        assert (e["service"], e["port"], e["client"], e["replica"], e["revision"]) == ("web", "http", "127.0.0.1", 0, 1)
        assert e["whole"] and e["answered_by"] == "replica" and len(e["request_id"]) == 32
        assert 0 < e["first_byte_ms"] <= e["ms"] < 60000 and e["bytes_in"] > 50 and e["bytes_out"] > 50
        assert set(e) == {"time", "service", "port", "client", "method", "target", "status", "whole", "answered_by",
                          "replica", "revision", "ms", "first_byte_ms", "bytes_in", "bytes_out", "request_id"}
    assert len({e["request_id"] for e in found}) == 3
    assert os.stat(path_of(daemon)).st_mode & 0o777 == 0o640
    if AS_ROOT:
        assert os.stat(path_of(daemon)).st_uid != 0


def test_a_share_is_exact(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port, access_log=0.25), "other": talker(daemon, free_port())})
    wait_open(daemon)
    for i in range(40):
        assert ask(port, f"/?{i}")[0] == 200
    wait_lines(daemon, 10)
    daemon.apply({"web": talker(daemon, port, access_log=1), "other": talker(daemon, free_port())})
    assert ask(port, "/last")[0] == 200  # what was before it is written by then
    found = wait_for(lambda: (f := lines(daemon)) and f[-1]["target"] == "/last" and f, what="the last line")
    assert [e["target"] for e in found[:-1]] == [f"/?{i}" for i in range(3, 40, 4)]


def test_what_has_no_answer_and_what_is_ours(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port, access_log=1)})
    wait_open(daemon)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.sendall(b"GET /sleep/60000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: daemon.ps()["web"]["traffic"]["in_flight"] == 1, what="it is under way")
    (e,) = wait_lines(daemon, 1)
    assert (e["status"], e["whole"], e["answered_by"], e["replica"]) == (None, False, "replica", 0)
    daemon.apply({"web": talker(daemon, port, access_log=1, queue={"timeout": "1s"}, replicas=0)})
    assert ask(port)[0] == 503
    e = wait_lines(daemon, 2)[1]
    assert (e["status"], e["whole"], e["answered_by"]) == (503, True, "gateway") and "replica" not in e and e["ms"] >= 900


def test_connections_and_other_gateways(daemon):
    port = free_port()
    daemon.apply({"web": talker(daemon, port, access_log=1)})
    wait_open(daemon)
    assert ask(port)[0] == 200
    wait_lines(daemon, 1)
    old = kill_helper(daemon, "gateway")
    wait_helper(daemon, "gateway", old)
    os.rename(path_of(daemon), path_of(daemon) + ".mine")  # as logrotate does
    for _ in range(2):
        assert ask(port)[0] == 200
    assert len(wait_lines(daemon, 2)) == 2
    os.rename(path_of(daemon), path_of(daemon) + ".mine")
    assert ask(port)[0] == 200
    assert len(wait_lines(daemon, 1)) == 1


def test_tcp(daemon):
    port = free_port()
    web = talker(daemon, port, access_log=1)
    del web["port"]
    daemon.apply({"web": {**web, "ports": {"http": {"port": port, "protocol": "tcp"}}}})
    wait_open(daemon)
    assert ask(port)[0] == 200
    (e,) = wait_lines(daemon, 1)
    assert (e["service"], e["whole"], e["answered_by"]) == ("web", True, "replica") and "status" not in e
    assert e["bytes_in"] > 20 and e["bytes_out"] > 20
