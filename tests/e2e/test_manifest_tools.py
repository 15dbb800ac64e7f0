"""init, config and graph beside a daemon: what they print is what runs.

SPDX-License-Identifier: MIT
"""
import json
import os
import shutil
import subprocess
import urllib.request

import pytest

from harness import AS_ROOT, program, wait_for
from up import Up


@pytest.fixture
def up(base):
    instance = Up(base)
    os.mkdir(instance.directory)
    return instance


@pytest.mark.skipif(not shutil.which("python3", path=os.defpath), reason="no python3 in the standard path")
def test_init_then_up(up):
    """The first manifest runs as it is, and serves."""
    done = subprocess.run([program("aictl"), "init", "--name", "first"], cwd=up.directory, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    process = up.start()
    up.wait_ready("web")
    port = up.ps()["web"]["replicas"][0]["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as reply:
        assert b"aictl.yaml" in reply.read()
    assert up.ps()["web"]["set"] == "first"
    up.down(process)


def services(daemon):
    return {"chat": daemon.service("http", "${PORT}", replicas=2, ports={"http": {"port": 8123}, "metrics": {}},
                                   environment={"TOKEN": "hunter2"},
                                   probes={"readiness": {"tcp": {"port": "http"}, "period": "200ms"}}),
            "idle": daemon.service("pause")}


def test_config_applies_to_the_same(daemon):
    """What config prints is another way to write the manifest: nothing changes by it."""
    daemon.apply(services(daemon), wait=False)
    path = os.path.join(daemon.base, "m", "shop.yaml")
    text = daemon.ok("config", "-f", path, "--show-values")
    assert "hunter2" in text and "hunter2" not in daemon.ok("config", "-f", path)
    before = daemon.ps()
    wait_for(lambda: len(daemon.pids("idle")) == 1, what="idle runs")
    pids = daemon.pids("idle")
    daemon.ok("apply", "-f", daemon.write(text, "again.yaml"))
    after = daemon.ps()
    assert {n: s["revision"] for n, s in after.items()} == {n: s["revision"] for n, s in before.items()}
    assert daemon.pids("idle") == pids


def test_graph_of_the_daemon(daemon):
    daemon.apply(services(daemon), wait=False)
    daemon.wait_state("idle", "ready")
    live = json.loads(daemon.ok("graph", "-o", "json"))["services"]
    assert {s["name"]: s["replicas"] for s in live} == {"chat": 2, "idle": 1}
    assert {s["set"] for s in live} == {"shop"}
    chat = next(s for s in live if s["name"] == "chat")
    assert chat["probes"] == [{"name": "readiness", "handler": "tcp port http"}]
    tree = daemon.ok("graph").splitlines()
    assert tree[0] == "shop"
    assert any("idle" in line and "ready" in line for line in tree)
    assert any("probe readiness tcp" in line for line in tree)
    assert daemon.ok("graph", "-o", "name").split() == ["chat", "idle"]
    assert daemon.ok("graph", "-o", "dot").startswith("digraph")


def test_values_do_not_reach_a_reader(daemon):
    """The masks of config are those of describe: a value is nowhere but in the manifest."""
    daemon.apply(services(daemon), wait=False)
    assert "hunter2" not in daemon.ok("graph", "-o", "json")
    if AS_ROOT:
        rc, out, err = daemon.cli_as("nobody", "graph", "-o", "json")
        assert rc in (0, 7) and "hunter2" not in out + err
