"""aictl doctor: the shape of its answer with and without a daemon, as root and as a user.

SPDX-License-Identifier: MIT
"""
import json
import pwd
import re
import subprocess

import pytest

import procfs
from harness import program, wait_for

CHECKS = ["kernel", "exit-status", "open-files", "pipes", "cgroups", "users", "service-manager", "linger",
          "runtime-dir", "state-dir", "log-dir", "ports", "runtimes", "runtime-rights", "clock", "daemon",
          "daemon-helpers", "daemon-store", "daemon-log"]
LINE = re.compile(r"(ok|warning|problem) +([a-z-]+) +\S")
WIDTH = 80


def document(daemon):
    rc, out, err = daemon.cli("doctor", "-o", "json")
    found = json.loads(out)
    assert rc == (1 if found["problems"] else 0), err
    return found


def level(found, name):
    return next(c["level"] for c in found["checks"] if c["name"] == name)


def check_shape(found):
    assert [c["name"] for c in found["checks"]] == CHECKS
    for c in found["checks"]:
        assert set(c) == {"name", "level", "found", "costs", "advice"} and c["found"]
        assert (c["level"] == "ok") == (c["costs"] is None) == (c["advice"] is None), c
    for key, name in (("ok", "ok"), ("warnings", "warning"), ("problems", "problem")):
        assert found[key] == sum(c["level"] == name for c in found["checks"])


def test_shape(daemon):
    found = document(daemon)
    check_shape(found)
    assert level(found, "daemon") == level(found, "daemon-store") == "ok"
    rc, out, _ = daemon.cli("doctor")
    lines = out.splitlines()
    assert rc in (0, 1) and all(len(line) <= WIDTH for line in lines)
    assert [m.group(2) for m in map(LINE.match, lines) if m] == CHECKS
    assert re.fullmatch(r"\d+ ok, \d+ warnings, \d+ problems", lines[-1])
    assert out.count("costs: ") == out.count("do: ") == found["warnings"] + found["problems"]
    assert daemon.ok("doctor", "-o", "name").split() == CHECKS
    assert daemon.ok("doctor", "-o", "yaml").startswith("checks:")
    assert daemon.cli("doctor", "-o", "xml")[0] == 2


def test_without_a_daemon(base):
    done = subprocess.run([program("aictl"), "--socket", f"{base}/nobody.sock", "doctor", "-o", "json"],
                          capture_output=True, text=True, timeout=60, check=False)
    check_shape(json.loads(done.stdout))
    assert "none answers" in done.stdout


def test_what_is_wrong_with_the_daemon(start):
    daemon = start("--helper-restart", "10ms,50ms,3")
    pid = daemon.helper("logger")
    procfs.kill(pid)
    wait_for(lambda: daemon.helper("logger") not in (None, pid), what="a new logger")
    daemon.ok("daemon", "log-level", "debug")
    wait_for(lambda: level(document(daemon), "daemon-helpers") == "warning", what="the restart is seen")
    assert level(document(daemon), "daemon-log") == "warning"
    while daemon.mode() != "safe":
        pid = wait_for(lambda: daemon.helper("controller"), what="a controller")
        procfs.kill(pid)
        wait_for(lambda p=pid: daemon.helper("controller") not in (None, p) and daemon.mode() not in (None, "starting"),
                 what="the next controller answers")
    rc, out, _ = daemon.cli("doctor", "-o", "json")
    assert rc == 1 and level(json.loads(out), "daemon") == "problem"


@pytest.mark.needs_root
def test_as_a_user(start):
    daemon = start(user="nobody")
    found = document(daemon)
    check_shape(found)
    users = next(c for c in found["checks"] if c["name"] == "users")
    assert pwd.getpwnam("nobody").pw_name in users["found"]
