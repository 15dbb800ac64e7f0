"""The examples do what their README says, and so does scripts/quickstart.

SPDX-License-Identifier: MIT
"""
import json
import os
import shutil
import subprocess
import urllib.request

import pytest

from harness import AS_ROOT, BUILD, ROOT, wait_for

SLOW = 120  # seconds: two trainings at once, in a sanitizer build on a busy machine


def apply_example(base, start, name):
    """A daemon with the example applied from a copy that its user may read."""
    directory = os.path.join(base, name)
    shutil.copytree(os.path.join(ROOT, "examples", name), directory,
                    ignore=shutil.ignore_patterns("__pycache__"))
    for folder, _, files in os.walk(directory):
        os.chmod(folder, 0o755)
        for file in files:
            os.chmod(os.path.join(folder, file), 0o644)
    daemon = start(*(["--default-user", "nobody"] if AS_ROOT else []))
    daemon.ok("apply", "--wait", "--timeout", f"{SLOW}s", cwd=directory, timeout=SLOW + 30)
    return daemon


def ask(port, path, body=None, timeout=10):
    """Decoded JSON of GET, or of POST with a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data,
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return json.loads(reply.read())


def lines_of(daemon, service, replica):
    return [e["line"] for e in daemon.logged(service) if e["replica"] == replica]


def test_hello(base, start):
    daemon = apply_example(base, start, "hello")
    assert [r["state"] for r in daemon.ps()["hello"]["replicas"]] == ["ready", "ready"]
    for replica in (0, 1):
        wait_for(lambda r=replica: len(lines_of(daemon, "hello", r)) >= 2, what="two lines")
        text = lines_of(daemon, "hello", replica)
        assert text[:2] == [f"good day from replica {replica}, number {n}" for n in (1, 2)]
    daemon.ok("stop", "hello")
    daemon.wait_state("hello", "stopped")
    wait_for(lambda: "goodbye from replica 1" in lines_of(daemon, "hello", 1), what="goodbye")


def test_limits(base, start):
    """Killed for memory where the kernel keeps the limit; else it comes to its own end of growing."""
    daemon = apply_example(base, start, "limits")
    if "memory" in daemon.get("/v1/daemon")["cgroup"]["can"]:
        wait_for(lambda: (daemon.replica("leak")["last_exit"] or {}).get("cause") == "oom", what=daemon.ps)
        assert "signal SIGKILL (oom)" in daemon.ok("describe", "leak")
    else:
        assert "not enforced here: resources.limits.memory" in daemon.ok("describe", "leak")
        wait_for(lambda: any("holding 160 MiB" in line["line"] for line in daemon.logged("leak")), what=daemon.ps)
        used = daemon.get("/v1/services/leak?usage=1")["replicas"][0]["usage"]
        assert used["memory_bytes"] > 160 << 20


def test_overlays(base, start):
    daemon = apply_example(base, start, "overlays")

    def said(replica=0):
        return [line for line in lines_of(daemon, "greeter", replica) if line.startswith("stage=")]

    wait_for(said, what="a line")
    assert said()[-1] == "stage=laptop region=north greeting=hello quiet=0 token of 17 bytes"
    assert sorted(daemon.ps()) == ["greeter", "watcher"]
    daemon.ok("apply", "-f", "aictl.yaml", "-f", "prod.yaml", "--prune", "--wait",
              cwd=os.path.join(base, "overlays"))
    assert sorted(daemon.ps()) == ["greeter"]
    prod = "stage=production region=north greeting=overridden by the manifest quiet=1 token of 17 bytes"
    for replica in (0, 1):
        wait_for(lambda r=replica: said(r) and said(r)[-1] == prod, what=lambda: daemon.logged("greeter"))


def needs_the_model():
    imports = ["/usr/bin/python3", "-c", "import fastapi, sklearn, uvicorn"]
    if subprocess.run(imports, capture_output=True, check=False).returncode != 0:
        pytest.skip("fastapi, uvicorn or scikit-learn is not installed")


def test_sentiment_predicts_and_heals(base, start):
    needs_the_model()
    daemon = apply_example(base, start, "sentiment")
    replicas = daemon.ps()["sentiment"]["replicas"]
    ports = {r["index"]: r["port"] for r in replicas}
    assert len(set(ports.values())) == 2
    for index, port in ports.items():
        good = ask(port, "/predict", {"text": "what a lovely day, just brilliant"})
        bad = ask(port, "/predict", {"text": "terrible, a waste of money"})
        assert (good["label"], bad["label"]) == ("positive", "negative")
        assert good["replica"] == index
    pids = daemon.pids("sentiment")
    for index, mode in ((0, "error"), (1, "hang")):
        other = daemon.pid_of("sentiment", 1 - index)
        ask(ports[index], f"/break?mode={mode}", {})
        daemon.wait_new_pid("sentiment", pids[index], index, timeout=SLOW)
        daemon.wait_state("sentiment", "ready", timeout=SLOW)
        assert daemon.pid_of("sentiment", 1 - index) == other
        assert ask(daemon.replica("sentiment", index)["port"], "/healthz") == {"ok": True}


def test_quickstart_once():
    """As root and as a user alike: it installs nothing when the packages are there."""
    needs_the_model()
    env = {**os.environ, "AICTL_BUILD": BUILD}
    env.pop("AICTL_SOCKET", None)
    done = subprocess.run([os.path.join(ROOT, "scripts/quickstart"), "--once"], env=env, cwd="/",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    assert '"label":"positive"' in done.stdout, done.stdout
