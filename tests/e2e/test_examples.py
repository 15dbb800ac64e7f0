"""The examples do what their README says, and so does scripts/quickstart.

SPDX-License-Identifier: MIT
"""
import collections
import concurrent.futures
import http.client
import json
import os
import shutil
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from harness import AS_ROOT, BUILD, ROOT, wait_for
from test_socket_mode import Load
from test_traffic import free_port, wait_open

SLOW = 120  # seconds: two trainings at once, in a sanitizer build on a busy machine


def apply_example(base, start, name, mode=0o755):
    """A daemon with the example applied from a copy that its user may read."""
    directory = os.path.join(base, name)
    shutil.copytree(os.path.join(ROOT, "examples", name), directory,
                    ignore=shutil.ignore_patterns("__pycache__"))
    for folder, _, files in os.walk(directory):
        os.chmod(folder, mode)
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


def test_notify(base, start):
    daemon = apply_example(base, start, "notify")
    assert "requests" in daemon.ok("ps", "-o", "wide")
    old = daemon.pid_of("loader")
    daemon.ok("kill", "-s", "STOP", "loader")
    daemon.wait_new_pid("loader", old)
    daemon.wait_state("loader", "ready")
    assert daemon.replica("loader")["last_exit"]["cause"] == "watchdog"


def test_autoscale(base, start):
    """Sixteen clients are more than one replica's; each service says why it has as many as it has."""
    daemon = apply_example(base, start, "autoscale")
    over = threading.Event()

    def ask():
        while not over.is_set():
            urllib.request.urlopen("http://127.0.0.1:8340", timeout=60).read()
    clients = [threading.Thread(target=ask) for _ in range(16)]
    for c in clients:
        c.start()
    try:
        wait_for(lambda: daemon.describe("chat")["desired"] == 6, timeout=60, what="six")
        assert "under way" in daemon.ok("autoscale", "chat")
    finally:
        over.set()
        for c in clients:
            c.join()
    wait_for(lambda: all(m["known"] for m in daemon.get("/v1/services/batch/autoscale")["metrics"]), timeout=60,
             what="what batch says of itself")
    assert daemon.describe("batch")["desired"] == 1


def test_zero(base, start):
    """No model is loaded before it is asked, and then it is the one."""
    daemon = apply_example(base, start, "zero")
    assert {name: s["state"] for name, s in daemon.ps().items()} == {"small": "idle", "large": "idle"}
    with urllib.request.urlopen("http://127.0.0.1:8330", timeout=60) as reply:
        assert reply.read() == b"ok\n"
    assert daemon.ps()["small"]["state"] == "ready" and daemon.ps()["large"]["state"] == "idle"
    daemon.ok("scale", "small=0")
    assert daemon.wait_state("small", "idle")["message"].endswith(" starts a replica, ready in about 1s")


def test_probes(base, start):
    """Every probe passes; an engine that stands still while work waits is found out."""
    daemon = apply_example(base, start, "probes")
    os.chmod(os.path.join(base, "probes"), 0o777)
    replica = daemon.describe("toy")["replicas"][0]
    assert {k: p["ok"] for k, p in replica["probes"].items() if k != "liveness"} \
        == {"startup": True, "warmup": True, "readiness": True}
    assert daemon.cli("check", "--now", "toy")[0] == 0
    with open(os.path.join(base, "probes", "stuck"), "w", encoding="utf-8"):
        pass
    wait_for(lambda: daemon.replica("toy")["last_exit"], what="it is found out")
    os.unlink(os.path.join(base, "probes", "stuck"))
    assert daemon.replica("toy")["last_exit"]["cause"] == "probe"
    assert any("counter stands at" in e["message"] for e in daemon.events("toy"))
    daemon.wait_state("toy", "ready")


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
    for replica in daemon.ps()["greeter"]["replicas"]:
        wait_for(lambda r=replica["index"]: said(r) and said(r)[-1] == prod,
                 what=lambda: daemon.logged("greeter"))


def needs_the_model():
    imports = ["/usr/bin/python3", "-c", "import fastapi, sklearn, uvicorn"]
    if subprocess.run(imports, capture_output=True, check=False).returncode != 0:
        pytest.skip("fastapi, uvicorn or scikit-learn is not installed")


@pytest.mark.waits
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


@pytest.mark.waits
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


def test_tasks(base, start):
    """What waits for a task starts after it; a schedule waits for its time, `start` does not."""
    daemon = apply_example(base, start, "tasks", 0o777)
    directory = os.path.join(base, "tasks", "data")
    assert daemon.ps()["fetch"]["state"] == "succeeded" and os.listdir(directory) == ["index"]
    daemon.wait_state("search", "ready")
    assert daemon.ps()["refresh"]["state"] == "waiting"
    assert daemon.ps()["refresh"]["next_run_at"] > daemon.ps()["sweep"]["next_run_at"]
    first = os.stat(os.path.join(directory, "index")).st_mtime_ns
    daemon.ok("start", "refresh")
    assert daemon.ps()["refresh"]["state"] == "succeeded"
    assert os.stat(os.path.join(directory, "index")).st_mtime_ns > first


def test_order(base, start):
    """Starts after readiness, runs on without what it depends on, and a restart waits for it."""
    daemon = apply_example(base, start, "order")
    for name in ("tokenizer", "chat", "web"):
        daemon.wait_state(name, "ready")
    daemon.ok("stop", "tokenizer")
    daemon.wait_state("tokenizer", "stopped")
    assert daemon.ps()["chat"]["state"] == "ready"
    daemon.ok("kill", "-s", "KILL", "chat")
    wait_for(lambda: daemon.replica("chat")["message"] == "waiting for tokenizer (ready): stopped")
    daemon.ok("start", "tokenizer")
    daemon.wait_state("chat", "ready")


def test_hooks(base, start):
    """What its hooks write is in its log, in order; the index does not outlive it."""
    daemon = apply_example(base, start, "hooks", mode=0o777)
    index = os.path.join(base, "hooks", "index.0")
    assert os.path.exists(index)
    wait_for(lambda: {"building", "checked"} <= set(lines_of(daemon, "index", 0)))
    old = daemon.pid_of("index")
    daemon.ok("kill", "-s", "KILL", "index")
    daemon.wait_new_pid("index", old)
    daemon.wait_state("index", "ready")
    daemon.ok("stop", "index")
    wait_for(lambda: not os.path.exists(index))
    wanted = ["building", "checked", "removed after signal", "building", "checked", "closing",
              "removed after user"]
    wait_for(lambda: [line for line in lines_of(daemon, "index", 0)
                      if not line.startswith("serving ")] == wanted,
             what=lambda: lines_of(daemon, "index", 0))


def test_reload(base, start):
    """Each replica reads the new key, and none ends."""
    daemon = apply_example(base, start, "reload")
    wait_for(lambda: all("key spring" in lines_of(daemon, "gate", r) for r in (0, 1)))
    pids = daemon.pids("gate")
    directory = os.path.join(base, "reload")
    with open(os.path.join(directory, "key"), "w", encoding="utf8") as f:
        f.write("autumn\n")
    assert "1 to reload" in daemon.ok("plan", cwd=directory)
    daemon.ok("apply", "--wait", cwd=directory)
    wait_for(lambda: all("new key autumn" in lines_of(daemon, "gate", r) for r in (0, 1)))
    assert daemon.pids("gate") == pids


def test_update(base, start):
    """A release that never gets ready is taken back, and nobody has noticed."""
    daemon = apply_example(base, start, "update")
    pids = sorted(daemon.pids("site"))
    rc, _, err = daemon.cli("apply", "-f", "aictl.yaml", "-f", "bad.yaml", "--wait",
                            cwd=os.path.join(base, "update"))
    assert rc == 1 and "rolled back from revision 2: no progress for 10s" in err, err
    assert sorted(daemon.pids("site")) == pids
    assert "rolled back" in daemon.ok("rollout", "status", "site")


def test_canary(base, start):
    """The bad one gets its share, and is gone."""
    daemon = apply_example(base, start, "canary")
    pids = sorted(daemon.pids("site"))
    daemon.ok("apply", "-f", "aictl.yaml", "-f", "bad.yaml", cwd=os.path.join(base, "canary"))
    said = set()

    def rolled_back():
        for _ in range(20):
            try:
                with urllib.request.urlopen("http://127.0.0.1:8121/", timeout=10) as reply:
                    said.add(reply.read().decode())
            except urllib.error.HTTPError as e:
                said.add(e.read().decode())
        return "rolled back" in daemon.ok("rollout", "status", "site")
    wait_for(rolled_back, timeout=60, what="it is taken back")
    assert said == {"version 1\n", "version 2\n", "version 2 is broken\n"}
    assert "canary at 20 %: errors" in daemon.ok("rollout", "status", "site")
    assert sorted(daemon.pids("site")) == pids


def test_queue(base, start):
    """Two are answered at a time, four wait, two are told to come again; a hold lets wait."""
    daemon = apply_example(base, start, "queue")

    def ask(_=None, **headers):
        try:
            request = urllib.request.Request("http://127.0.0.1:8350/", headers=headers)
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as e:
            return (e.code, int(e.headers["Retry-After"]) > 0)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        said = collections.Counter(pool.map(ask, range(8)))
    assert said == {"answered by replica 0\n": 3, "answered by replica 1\n": 3, (503, True): 2}
    assert len({ask(**{"X-Session": "7"}) for _ in range(3)}) == 1
    daemon.ok("hold", "model")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waits = pool.submit(ask)
        wait_for(lambda: "requests wait" in daemon.ps()["model"]["message"], what="it is held")
        assert not concurrent.futures.wait([waits], 1.5).done
        daemon.ok("release", "model")
        assert waits.result() in said


def test_logs(base, start):
    daemon = apply_example(base, start, "logs")
    wait_for(lambda: "KeyError: 'model'" in lines_of(daemon, "chatty", 1), what="a traceback")
    lines = daemon.ok("logs", "chatty").splitlines()
    assert "chatty/0 | INFO  request number=1 ms=7" in lines
    at = lines.index("chatty/1 | Traceback (most recent call last):")
    end = lines.index("chatty/1 | KeyError: 'model'")
    assert all(line.startswith("chatty/1 | ") for line in lines[at:end])
    assert '{"level": "info", "event": "request", "number": 1, "ms": 7}' in daemon.ok("logs", "--no-parse", "chatty/0")


def copied(base, name, *ports):
    """A copy of the example, with other ports than those that other tests of it have at this moment."""
    directory = os.path.join(base, name)
    shutil.copytree(os.path.join(ROOT, "examples", name), directory, ignore=shutil.ignore_patterns("__pycache__"))
    free = [free_port() for _ in ports]
    for file in os.listdir(directory):
        path = os.path.join(directory, file)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for old, new in zip(ports, free):
            text = text.replace(str(old), str(new))
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o644)
    os.chmod(directory, 0o755)
    return directory, free


def greeting(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=SLOW) as reply:
        return reply.read().decode()


class Greeted(Load):
    """Of the examples, who say nothing but who they are."""

    def understand(self, text):
        word = text.decode()
        assert word.startswith("hello from "), word
        return word


class Asking(Greeted):
    """Once more, where the connection was closed without a byte of answer: uvicorn does that when it stops, to one
    that it has accepted and not read from yet."""

    def ask(self, connection):
        try:
            return super().ask(connection)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            connection.close()
            return super().ask(connection)


def run_sockets(start, directory, port, service, *manifest):
    daemon = start(*(["--default-user", "nobody"] if AS_ROOT else []))
    daemon.ok("apply", *manifest, "--wait", "--timeout", f"{SLOW}s", cwd=directory, timeout=SLOW + 30)
    wait_open(daemon, service)
    assert greeting(port).startswith("hello from ")
    return daemon


def test_sockets_uvicorn(base, start):
    if subprocess.run(["/usr/bin/python3", "-c", "import uvicorn"], capture_output=True, check=False).returncode:
        pytest.skip("no uvicorn (scripts/deps installs it)")
    directory, (port,) = copied(base, "sockets", 8010)
    daemon = run_sockets(start, directory, port, "api")
    with Asking(port) as load:
        load.heard(2)
        daemon.ok("restart", "api", timeout=SLOW)
        load.heard(4)
        daemon.crash()
        load.flows()
        daemon.start_again()
        wait_open(daemon, "api")
        daemon.ok("restart", "api", timeout=SLOW)
        load.heard(6)
    load.check()
    assert len(load.answered_by) == 6


def test_sockets_nginx(base, start):
    program = os.environ.get("AICTL_E2E_NGINX") or shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        pytest.skip("no nginx")
    directory, (port,) = copied(base, "sockets", 8011)
    path = os.path.join(directory, "nginx.yaml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("[nginx,", f"[{program},"))
    daemon = run_sockets(start, directory, port, "web", "-f", path)
    with Greeted(port) as load:
        for _ in range(3):
            daemon.ok("restart", "web", timeout=SLOW)
            load.flows()
    load.check()
