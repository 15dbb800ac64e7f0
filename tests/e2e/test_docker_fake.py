"""docker.so against an engine that does what the test says (fake_engine.py), driven by aictl-plugin-check,
which reports each breach of the interface's rules.

SPDX-License-Identifier: MIT
"""
import base64
import json
import os
import socket
import subprocess
import threading
import time

import pytest

import fake_engine
import procfs
from harness import program, wait_for

INSTANCE = "i" * 8
BB = {"image": "bb:1", "command": ["/bin/true"]}
SECOND = 10**9
T0 = 1767323045 * SECOND  # 2026-01-02T03:04:05Z


class Check:
    """aictl-plugin-check with docker.so."""

    def __init__(self, config, instance=INSTANCE, env=None):
        self.events, self.n = [], 0
        self.process = procfs.popen([program("aictl-plugin-check"), "--config", config, "--instance", instance,
                                     program("plugins/docker.so")], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def say(self, *words):
        self.process.stdin.write(" ".join(w if isinstance(w, str) else json.dumps(w) for w in words) + "\n")
        self.process.stdin.flush()

    def begin(self, *words):
        """Number of the operation."""
        self.say(*words)
        self.n += 1
        return self.n

    def do(self, *words, code="ok"):
        end = self.end(self.begin(*words))
        assert end["code"] == code, end
        return end

    def end(self, op):
        return self.wait("end", op=op)

    def seen(self, event, **keys):
        return [e for e in list(self.events)
                if e["event"] == event and all(e.get(k) == v for k, v in keys.items())]

    def wait(self, event, n=1, **keys):
        """The nth that was said."""
        return wait_for(lambda: self.seen(event, **keys)[n - 1:n], what=lambda: self.events[-5:])[0]

    def last(self, unit):
        """The phase that was told last."""
        told = self.seen("unit", unit=unit)
        return told[-1]["phase"] if told else None

    def output(self, op, stream="stdout"):
        return "".join(e["text"] for e in self.seen("output", op=op, stream=stream))

    def position(self, op):
        told = self.seen("position", op=op)
        return tuple(str(told[-1][k]) for k in ("stamp_ns", "bytes", "lines"))

    def close(self):
        """Closes the plugin; nothing may be left, no rule may be broken."""
        if self.process.poll() is None:
            self.process.stdin.close()
        self.reader.join(20)
        code = self.process.wait(20)
        assert not self.seen("fault"), self.seen("fault")
        assert code in (0, 1), code

    def kill(self):
        self.process.kill()
        self.process.wait(20)
        self.reader.join(20)


@pytest.fixture(name="path")
def socket_path(tmp_path):
    return str(tmp_path / "e.sock")


@pytest.fixture(name="engine", params=["docker", "podman"])
def either_engine(request, path):
    with fake_engine.Engine(path, podman=request.param == "podman") as e:
        yield e


@pytest.fixture(name="fake")
def docker_engine(path):
    with fake_engine.Engine(path) as e:
        yield e


@pytest.fixture(name="check")
def running_check(path):
    c = Check("unix://" + path)
    yield c
    c.close()


def up(check, n=1):
    return check.wait("engine", n=n, reachable=True)


def test_it_says_which_engine_it_is(engine, check):
    e = up(check)
    assert e["name"] == ("Podman" if engine.podman else "Docker Engine")
    assert e["version"] == ("4.3.1, API 1.41" if engine.podman else "20.10.24, API 1.41")
    assert e["endpoint"] == "unix://" + engine.path


def test_life_of_a_container(engine, check):
    up(check)
    check.do("start", "u-1", {**BB, "environment": {"A": "1"}})
    unit = check.wait("unit", unit="u-1", phase="running")
    c = engine.containers["u-1"]
    assert unit["pid"] == c.pid and unit["address"] == "172.17.0.2" and unit["engine_id"] == c.id
    assert c.body["Env"] == ["A=1"] and c.labels()["io.aictl.instance"] == INSTANCE
    check.do("signal", "u-1", "HUP")
    assert c.signals == [1]
    stats = check.do("stats", "u-1")["stats"]
    assert (stats["cpu_us"], stats["memory_bytes"], stats["pids"]) == (5000, 700, 3)
    engine.exit("u-1", 7)
    assert check.wait("unit", unit="u-1", phase="exited")["exit_status"] == 7
    check.do("signal", "u-1", "TERM")  # no fault
    check.do("remove", "u-1")
    check.wait("unit", unit="u-1", phase="gone")
    assert not engine.containers
    check.do("remove", "u-1")
    check.do("signal", "u-1", "TERM", code="not_found")


def test_starting_again_takes_over(engine, check):
    up(check)
    check.do("start", "u-1", BB)
    check.do("start", "u-1", BB)
    c = engine.containers["u-1"]
    assert c.starts == 1 and engine.count("containers/create") == 1
    engine.exit("u-1", 3)
    check.do("start", "u-1", BB)  # has run: not again
    assert c.starts == 1


def test_a_successor_takes_over(engine, path):
    """What it knows of nothing, the engine says by its error for a name that is taken."""
    first = Check("unix://" + path)
    up(first)
    first.do("start", "u-1", BB)
    first.kill()
    second = Check("unix://" + path)
    up(second)
    second.do("start", "u-1", BB)
    assert engine.containers["u-1"].starts == 1
    second.wait("unit", unit="u-1", phase="running")
    second.close()


def test_created_but_not_started_is_started(engine, check):
    engine.add("u-1", {"Image": "bb:1", "Labels": {"io.aictl.instance": INSTANCE}})
    up(check)
    check.do("start", "u-1", BB)
    assert engine.containers["u-1"].starts == 1


def test_a_stranger_is_not_touched(engine, check):
    stranger = engine.add("u-1", {"Image": "bb:1", "Labels": {"io.aictl.instance": "other"}})
    engine.run(stranger)
    up(check)
    assert "not of this instance" in check.do("start", "u-1", BB, code="conflict")["message"]
    check.do("remove", "u-1", code="conflict")
    check.do("signal", "u-1", "KILL", code="conflict")
    check.do("list")
    engine.exit("u-1", 1)
    check.do("list")
    assert not check.seen("item") and not check.seen("unit", unit="u-1")
    assert engine.containers["u-1"] is stranger and not stranger.signals


def test_a_start_that_fails_leaves_nothing(engine, check):
    up(check)
    end = check.do("start", "u-1", {"image": "bb:1", "command": ["/missing"]},
                   code="failed" if engine.podman else "invalid")
    assert "no such file" in end["message"]
    wait_for(lambda: not engine.containers)


def test_list_tells_all_of_ours(engine, check):
    labels = {"io.aictl.instance": INSTANCE, "io.aictl.service": "web"}
    for i in range(30):
        engine.run(engine.add("u-%d" % i, {"Image": "bb:1", "Labels": labels}))
    engine.exit("u-3", 4)
    engine.add("other", {"Image": "bb:1", "Labels": {}})
    up(check)
    op = check.begin("list")
    check.end(op)
    items = {e["unit"]: e for e in check.seen("item", op=op)}
    assert len(items) == 30
    assert items["u-3"]["phase"] == "exited" and items["u-3"]["exit_status"] == 4
    assert items["u-4"]["phase"] == "running" and items["u-4"]["labels"]["io.aictl.service"] == "web"


def test_many_at_once(engine, check):
    up(check)
    ops = [check.begin("start", "u-%d" % i, BB) for i in range(40)]
    assert all(check.end(op)["code"] == "ok" for op in ops)
    for i in range(40):
        engine.exit("u-%d" % i, i)
    for i in range(40):
        assert check.wait("unit", unit="u-%d" % i, phase="exited")["exit_status"] == i
    # An event each, not a poll: creation, start and exit cost one inspection each at most.
    assert engine.count(r"/containers/u-\d+/json") <= 3 * 40


def test_oom(fake, check):
    up(check)
    check.do("start", "u-1", BB)
    fake.exit("u-1", 137, oom=True)
    unit = check.wait("unit", unit="u-1", phase="exited")
    assert unit["oom"] is True and unit["exit_status"] == 137


def test_removed_by_somebody(engine, check):
    up(check)
    check.do("start", "u-1", BB)
    engine.exit("u-1", 0)
    engine.drop("u-1")
    check.wait("unit", unit="u-1", phase="gone")


# ---- images ----


LAYERS = [{"status": "Pulling from library/new", "id": "1"},
          {"status": "Pulling fs layer", "progressDetail": {}, "id": "aa"},
          {"status": "Downloading", "progressDetail": {"current": 50, "total": 100}, "id": "aa"}, 0.3,
          {"status": "Downloading", "progressDetail": {"current": 90, "total": 100}, "id": "aa"}, 0.3,
          {"status": "Pull complete", "progressDetail": {}, "id": "aa"}]


def test_pull_what_is_missing(engine, check):
    engine.pull_lines = LAYERS
    up(check)
    check.do("start", "u-1", {"image": "new:1"})
    told = check.seen("progress")
    assert any(p["bytes_done"] == 90 and p["bytes_total"] == 100 for p in told)
    assert any(p["text"] == "pulling new:1" and p["layers_total"] == 1 for p in told)
    assert engine.containers["u-1"].starts == 1
    assert any("fromImage=new&tag=1" in a for a in engine.asked)
    check.do("start", "u-2", {"image": "new:1"})
    assert engine.count("images/create") == 1


def test_pull_policies(fake, check):
    up(check)
    assert "never" in check.do("start", "u-1", {"image": "new:1", "pull_policy": "never"}, code="not_found")["message"]
    check.do("start", "u-2", {**BB, "pull_policy": "always"})
    assert fake.count("images/create") == 1
    fake.pull_lines = [{"errorDetail": {"message": "manifest unknown"}, "error": "manifest unknown"}]
    end = check.do("start", "u-3", {"image": "gone:1"}, code="not_found")
    assert end["message"] == "pull of gone:1: manifest unknown"
    fake.pull_lines = [{"error": "unauthorized: access denied"}]
    check.do("start", "u-4", {"image": "secret:1"}, code="denied")
    end = check.do("start", "u-5", {"image": "bad ref"}, code="invalid")
    assert "character" in end["message"]


def test_credentials_of_the_registry(fake, path, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(
        {"auths": {"ghcr.io": {"auth": base64.b64encode(b"me:secret").decode()}}, "credHelpers": {"gcr.io": "x"}}))
    check = Check("unix://" + path, env={"DOCKER_CONFIG": str(tmp_path)})
    up(check)
    check.do("start", "u-1", {"image": "ghcr.io/a/b:1"})
    given = json.loads(base64.urlsafe_b64decode(fake.pull_auth[0]))
    assert given == {"serveraddress": "ghcr.io", "username": "me", "password": "secret"}
    fake.pull_lines = [{"error": "unauthorized"}]
    assert "helper" in check.do("start", "u-2", {"image": "gcr.io/x:1"}, code="denied")["message"]
    assert fake.pull_auth[1] is None
    check.close()
    assert "secret" not in json.dumps(check.events)


def test_cancel_of_a_pull(fake, check):
    fake.pull_lines = [LAYERS[1], 30.0]
    up(check)
    op = check.begin("start", "u-1", {"image": "new:1"})
    wait_for(lambda: fake.count("images/create"))
    check.say("cancel", str(op))
    assert check.end(op)["code"] == "canceled"
    assert not fake.containers


def test_cancel_of_a_create(engine, check):
    """What the engine makes all the same is there when whoever canceled removes it, and goes."""
    engine.fault("POST .*create", delay=1)
    up(check)
    op = check.begin("start", "u-1", BB)
    wait_for(lambda: engine.count("POST .*create"))
    check.say("cancel", str(op))
    assert check.end(op)["code"] == "canceled"
    check.do("remove", "u-1")
    wait_for(lambda: engine.n == 1, what="it is made after all")
    wait_for(lambda: not engine.containers)
    assert engine.count("POST .*create") == 1 and not engine.count("POST .*start")


def test_cancel_of_a_start(engine, check):
    """Too late: it runs, and whoever wants it ended does that as it should be done."""
    engine.fault("POST .*start", delay=1)
    up(check)
    op = check.begin("start", "u-1", BB)
    wait_for(lambda: engine.count("POST .*start"))
    check.say("cancel", str(op))
    assert check.end(op)["code"] == "ok"
    assert check.last("u-1") == "running"


# ---- an engine that misbehaves ----


def test_engine_dies_and_comes_back(engine, check):
    up(check)
    check.do("start", "u-1", BB)
    engine.stop()
    down = check.wait("engine", reachable=False)
    assert down["error"]
    assert "not reachable" in check.do("start", "u-2", BB, code="unreachable")["message"]
    check.do("list", code="unreachable")
    engine.exit("u-1", 5, silent=True)  # meanwhile
    engine.start()
    up(check, n=2)
    check.do("list")
    assert check.seen("item", unit="u-1")[-1]["exit_status"] == 5
    check.do("start", "u-2", BB)
    assert [c.starts for c in engine.containers.values()] == [1, 1]


def test_engine_that_is_not_there_yet(path):
    check = Check("unix://" + path)
    assert "No such file" in check.wait("engine", reachable=False)["error"]
    with fake_engine.Engine(path):
        up(check)
    check.close()


@pytest.mark.parametrize("what", ["create", "start"])
@pytest.mark.parametrize("after", [False, True])
def test_an_answer_that_gets_lost(engine, check, what, after):
    """Carried out or not: in the end there is one container, started once."""
    up(check)
    engine.fault("POST .*/" + what, cut=True, after=after, times=2)
    check.do("start", "u-1", BB)
    assert [c.starts for c in engine.containers.values()] == [1]
    assert check.last("u-1") == "running"


def test_a_network_that_cannot_be_made(engine, check):
    """Asked for once, said why, and nothing is left of the container."""
    missing = {"status": 404, "body": {"message": "network shop not found"}}
    engine.fault("POST .*/start", times=2, **missing)
    engine.fault("POST .*networks/create", status=403, body={"message": "could not find an available address pool"})
    up(check)
    op = check.begin("start", "u-1", {**BB, "network": "shop"})
    end = check.end(op)
    assert end["code"] == "failed" and end["message"].endswith("address pool"), end
    wait_for(lambda: not engine.containers)
    assert engine.count("networks/create") == 1


@pytest.mark.parametrize("status", [409, 500])
def test_a_network_that_another_start_has_made(engine, check, status):
    """Between the engine's word that there is none and its making: Podman says 500."""
    engine.fault("POST .*/start", status=404, body={"message": "network shop not found"})
    engine.fault("POST .*networks/create", status=status, body={"message": "network name shop already used"})
    up(check)
    assert check.do("start", "u-1", {**BB, "network": "shop"})["code"] == "ok"
    assert engine.count("networks/create") == 1 and engine.count("POST .*/start") == 2


def test_a_network_that_never_comes(engine, check):
    """The engine says that it made one, and then that there is none: an error, no endless circle."""
    engine.fault("POST .*/start", times=9, status=404, body={"message": "network shop not found"})
    engine.fault("POST .*networks/create", status=201, body={"Id": "n1"})
    up(check)
    op = check.begin("start", "u-1", {**BB, "network": "shop"})
    assert check.end(op)["code"] == "not_found"
    assert engine.count("networks/create") == 1 and engine.count("POST .*/start") == 2


def test_engine_dies_while_it_starts_one(engine, check):
    up(check)
    engine.fault("POST .*/start", delay=30)
    op = check.begin("start", "u-1", BB)
    wait_for(lambda: engine.count("/u-1/start"))
    engine.stop()
    check.wait("engine", reachable=False)
    engine.start()
    assert check.end(op)["code"] == "ok"
    assert engine.containers["u-1"].starts == 1


def test_engine_hangs(fake, check):
    """A ping finds it out, though nobody asks for anything."""
    engine = fake
    up(check)
    check.do("start", "u-1", BB)
    engine.freeze()
    assert "in time" in check.wait("engine", reachable=False)["error"]
    engine.freeze(False)
    up(check, n=2)
    engine.exit("u-1", 1)
    check.wait("unit", unit="u-1", phase="exited")
    assert engine.containers["u-1"].starts == 1


@pytest.mark.parametrize("raw", [b"SSH-2.0-x\r\n\r\n", b"\0" * 100, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{\"a",
                                 b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
                                 b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"])
def test_garbage_for_a_version(fake, request, raw):
    fake.fault("GET /version", raw=raw, times=3)
    check = request.getfixturevalue("check")  # it asks at once
    check.wait("engine", reachable=False)
    up(check)


def test_garbage_for_the_rest(fake, check):
    up(check)
    bad = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{{{{{"
    check.do("start", "u-1", BB)
    for pattern, words in (("GET /containers/json", ("list",)), ("GET .*stats", ("stats", "u-1"))):
        fake.fault(pattern, raw=bad)
        check.do(*words, code="unreachable")
    fake.fault("POST .*/exec", raw=b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")
    check.do("exec", "u-1", {"argv": ["x"]}, code="unreachable")
    fake.fault("GET .*/u-1/json", raw=bad)
    fake.exit("u-1", 1)
    wait_for(lambda: not any(f.times for f in fake.faults))
    check.do("list")
    assert check.seen("item", unit="u-1")[-1]["phase"] == "exited"


def test_an_answer_without_end(fake, check):
    up(check)
    fake.fault("GET /containers/json", raw=b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (65 << 20))
    check.do("list", code="unreachable")
    check.do("list")


def test_events_garbled(fake, check):
    fake.fault("GET /events", raw=b"HTTP/1.1 200 OK\r\n\r\nnot json\n{}\n[1]\n")
    check.wait("engine", reachable=False)
    up(check, n=2)
    check.do("start", "u-1", BB)


def test_slow_engine(engine, check):
    for what in ("GET /version", "POST .*create", "POST .*start", "GET .*json"):
        engine.fault(what, delay=0.7)
    up(check)
    check.do("start", "u-1", BB)
    assert engine.containers["u-1"].starts == 1


def test_an_engine_that_is_always_slow(fake, check):
    """It is waited for longer each time, as long as that is not for ever."""
    fake.fault("GET /(version|_ping)", times=1000, delay=6)
    assert "in time" in check.wait("engine", reachable=False)["error"]
    up(check)
    check.do("start", "u-1", BB)


def test_an_old_engine(path):
    with fake_engine.Engine(path, api="1.24"):
        check = Check("unix://" + path)
        assert "API" in check.wait("engine", reachable=False)["error"]
        check.close()


def test_tcp_is_refused(path):
    check = Check("tcp://127.0.0.1:2375")
    check.reader.join(20)
    assert check.process.wait(20) == 3
    assert "tcp:// is not supported" in json.dumps(check.events)
    with fake_engine.Engine(path):
        check = Check("", env={"DOCKER_HOST": "unix://" + path})
        up(check)
        check.close()


def test_what_listens_is_no_engine(path, check):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(16)
        s.settimeout(20)
        peer, _ = s.accept()
        peer.recv(1000)
        peer.sendall(b"220 mail ESMTP\r\n")
        peer.close()
        check.wait("engine", reachable=False)


# ---- logs ----


def begin_logs(check, *position):
    return check.begin("logs", "u-1", *position)


def test_logs(engine, check):
    up(check)
    check.do("start", "u-1", BB)
    op = begin_logs(check)
    engine.say("u-1", "one\n")
    engine.say("u-1", "bad\n", stream=2)
    engine.say("u-1", "no newline")
    wait_for(lambda: "no newline" in check.output(op))
    assert check.output(op, "stderr") == "bad\n"
    engine.say("u-1", "\nlast\n")
    engine.exit("u-1", 0)
    assert check.end(op)["code"] == "ok"
    assert check.output(op) == "one\nno newline\nlast\n"


def test_logs_of_one_that_has_ended(engine, check):
    up(check)
    check.do("start", "u-1", BB)
    for i in range(1000):
        engine.say("u-1", "%d\n" % i)
    engine.exit("u-1", 0)
    check.wait("unit", unit="u-1", phase="exited")
    op = begin_logs(check)
    assert check.end(op)["code"] == "ok"
    assert check.output(op) == "".join("%d\n" % i for i in range(1000))


def test_logs_begin_before_the_container_runs(engine, check):
    engine.add("u-1", {"Image": "bb:1", "Labels": {"io.aictl.instance": INSTANCE}})
    up(check)
    op = begin_logs(check)
    check.do("start", "u-1", BB)
    engine.say("u-1", "hello\n")
    wait_for(lambda: check.output(op) == "hello\n")


def test_logs_go_on_when_the_engine_is_back(engine, check):
    up(check)
    check.do("start", "u-1", BB)
    op = begin_logs(check)
    engine.clock = T0
    for i in range(10):
        engine.clock += SECOND // 3  # several in each of Podman's seconds
        engine.say("u-1", "%d\n" % i)
    wait_for(lambda: "9\n" in check.output(op))
    engine.stop()
    check.wait("engine", reachable=False)
    engine.say("u-1", "10\n")
    engine.start()
    up(check, n=2)
    engine.say("u-1", "11\n")
    wait_for(lambda: "11\n" in check.output(op))
    assert check.output(op) == "".join("%d\n" % i for i in range(12))


def test_logs_go_on_in_a_successor(engine, path):
    """Killed at any time: it goes on where the position stands."""
    text, n = "", 0
    first = Check("unix://" + path)
    up(first)
    engine.clock = T0
    first.do("start", "u-1", BB)
    first.kill()
    position = ()
    for turn in range(4):
        check = Check("unix://" + path)
        up(check)
        op = begin_logs(check, *position)
        for _ in range(25):
            engine.clock += SECOND // 10
            engine.say("u-1", "line %d\n" % n, ns=engine.clock - engine.clock % (SECOND // 5))
            n += 1
        wait_for(lambda c=check, o=op: "line %d\n" % (n - 1) in c.output(o))
        if turn == 3:
            engine.exit("u-1", 0)
            assert check.end(op)["code"] == "ok"
        check.kill()
        text += check.output(op)
        position = check.position(op)
    assert text == "".join("line %d\n" % i for i in range(n))


def test_logs_into_a_full_pipe(engine, check):
    up(check)
    check.do("start", "u-1", BB)
    op = begin_logs(check)
    check.say("hold", str(op))
    want = ""
    for i in range(3000):
        line = "%05d %s\n" % (i, "x" * 200)
        want += line
        engine.say("u-1", line)
    engine.exit("u-1", 0)
    check.wait("unit", unit="u-1", phase="exited")  # it is not held up by one that nobody reads
    assert not check.seen("end", op=op)
    check.say("read", str(op))
    assert check.end(op)["code"] == "ok"
    assert check.output(op) == want


def test_logs_of_a_terminal(fake, check):
    up(check)
    check.do("start", "u-1", {**BB, "tty": True})
    op = begin_logs(check)
    fake.say("u-1", "one\r\n")
    fake.say("u-1", "two\r\n")
    fake.exit("u-1", 0)
    check.end(op)
    assert check.output(op) == "one\r\ntwo\r\n"


def test_logs_cut_in_a_frame(fake, check):
    up(check)
    check.do("start", "u-1", BB)
    fake.clock = T0
    fake.say("u-1", "whole\n")
    fake.say("u-1", "cut in the middle\n")
    frame = b"\1\0\0\0\0\0\0\x25" + b"2026-01-02T03:04:05.000000000Z whole\n"
    half = b"\1\0\0\0\0\0\0\x31" + b"2026-01-02T03:04:05.000000000Z cut in"
    fake.fault("GET .*logs", raw=b"HTTP/1.1 200 OK\r\n\r\n" + frame + half)
    op = begin_logs(check)
    wait_for(lambda: "middle\n" in check.output(op))
    assert check.output(op) == "whole\ncut in the middle\n"


def test_logs_end_with_the_container(fake, check):
    up(check)
    check.do("start", "u-1", BB)
    op = begin_logs(check)
    fake.say("u-1", "x\n")
    wait_for(lambda: check.output(op))
    fake.exit("u-1", 0, silent=True)
    fake.drop("u-1")
    assert check.end(op)["code"] in ("ok", "not_found")
    op = begin_logs(check)
    assert check.end(op)["code"] == "not_found"


def test_cancel_of_logs(fake, check):
    up(check)
    check.do("start", "u-1", BB)
    op = begin_logs(check)
    fake.say("u-1", "x\n")
    wait_for(lambda: check.output(op))
    check.say("cancel", str(op))
    assert check.end(op)["code"] == "canceled"


# ---- exec ----


def echo(x, stdin, write):
    """cat, with a word on stderr."""
    write(b"ready\n", 2)
    while True:
        data = stdin.read1(4096)
        if not data:
            return 0
        write(data)


def test_exec(engine, check):
    engine.commands = {"fail": lambda x, i, w: w(b"out\n") or w(b"err\n", 2) or 3}
    up(check)
    check.do("start", "u-1", BB)
    end = check.do("exec", "u-1", {"argv": ["fail", "a b"], "env": {"K": "v"}, "user": "1:2", "working_dir": "/w"})
    assert end["exit_status"] == 3
    assert check.output(end["op"]) == "out\n" and check.output(end["op"], "stderr") == "err\n"
    body = list(engine.execs.values())[0].body
    assert body["Cmd"] == ["fail", "a b"] and body["Env"] == ["K=v"] and body["User"] == "1:2"
    assert body["WorkingDir"] == "/w" and body["AttachStdin"] is False and body["Tty"] is False
    assert check.do("exec", "u-1", {"argv": ["missing"]})["exit_status"] == 127


def test_exec_with_input(fake, check):
    fake.commands = {"cat": echo}
    up(check)
    check.do("start", "u-1", BB)
    text = "0123456789" * 30000
    end = check.do("exec", "u-1", {"argv": ["cat"], "stdin": text})
    assert end["exit_status"] == 0
    assert check.output(end["op"]) == text and check.output(end["op"], "stderr") == "ready\n"


def test_exec_with_a_terminal(fake, check):
    fake.commands = {"sh": lambda x, i, w: w(b"$ ") or (wait_for(lambda: len(x.sizes) > 1) and 0)}
    up(check)
    check.do("start", "u-1", BB)
    op = check.begin("exec", "u-1", {"argv": ["sh"], "tty": True, "rows": 24, "columns": 80})
    x = wait_for(lambda: list(fake.execs.values()))[0]
    wait_for(lambda: x.sizes == [(24, 80)])
    check.say("resize", str(op), "30", "100")
    assert check.end(op)["code"] == "ok"
    assert x.sizes == [(24, 80), (30, 100)] and "$ " in check.output(op)


def test_exec_of_much_output(fake, check):
    fake.commands = {"yes": lambda x, i, w: [w(b"y\n" * 5000) for _ in range(100)] and 0}
    up(check)
    check.do("start", "u-1", BB)
    op = check.begin("exec", "u-1", {"argv": ["yes"]})
    check.say("hold", str(op))
    check.say("read", str(op))
    assert check.end(op)["exit_status"] == 0
    assert check.output(op) == "y\n" * 500000


def test_exec_that_takes_long(fake, check):
    """The host gets to know its pid: no engine can signal what it executes."""
    done = threading.Event()
    fake.commands = {"sleep": lambda x, i, w: done.wait(20) and 0}
    up(check)
    check.do("start", "u-1", BB)
    op = check.begin("exec", "u-1", {"argv": ["sleep"]})
    assert check.wait("started", op=op)["pid"] == 4711
    check.say("cancel", str(op))
    assert check.end(op)["code"] == "canceled"
    op = check.begin("exec", "u-1", {"argv": ["sleep"]})
    wait_for(lambda: any(x.running for x in list(fake.execs.values())[1:]))
    check.say("cancel", str(op))
    assert check.end(op)["code"] == "canceled"
    assert check.seen("started", op=op)
    done.set()


def test_exec_where_nothing_runs(fake, check):
    up(check)
    check.do("start", "u-1", BB)
    fake.exit("u-1", 0)
    check.wait("unit", unit="u-1", phase="exited")
    check.do("exec", "u-1", {"argv": ["x"]}, code="conflict")
    check.do("exec", "u-9", {"argv": ["x"]}, code="not_found")


def test_close_with_all_under_way(fake, path):
    fake.commands = {"sleep": lambda x, i, w: time.sleep(5) or 0}
    fake.pull_lines = [5.0]
    check = Check("unix://" + path)
    up(check)
    check.do("start", "u-1", BB)
    fake.fault("GET /containers/json", delay=5)
    fake.fault("GET /.*exec/.*json", delay=5)
    for words in (("logs", "u-1"), ("exec", "u-1", {"argv": ["sleep"]}), ("start", "u-2", {"image": "new:1"}),
                  ("list",)):
        check.begin(*words)
    wait_for(lambda: fake.count("exec/.*start") and fake.count("images/create"))
    check.close()
    assert sorted(e["code"] for e in check.seen("end")) == ["canceled"] * 4 + ["ok"]
