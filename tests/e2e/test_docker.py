"""docker.so with both real engines, driven by aictl-plugin-check: no daemon of ours is there.

SPDX-License-Identifier: MIT
"""
import contextlib
import json
import os
import re
import subprocess
import threading

import pytest

import engines
import procfs
from harness import numbered, program, tell_port, wait_for

MISSING = engines.why_not()
INSTANCE = "c" * 32
LIVE = 60  # seconds that a wait may take


class Check:
    """A run of aictl-plugin-check: says() and do() at the one end, seen() and wait() at the other."""

    def __init__(self, engine, instance=INSTANCE):
        self.events, self.begun = [], 0
        self.process = procfs.popen([program("aictl-plugin-check"), "--config", engine.url, "--instance", instance,
                                     program("plugins/docker.so")], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.wait("engine", reachable=True)

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            event["_input"] = line
            self.events.append(event)

    def say(self, *words):
        text = " ".join(w if isinstance(w, str) else json.dumps(w) for w in words)
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def begin(self, *words):
        """Number of the operation."""
        self.say(*words)
        self.begun += 1
        return self.begun

    def do(self, *words, code="ok"):
        """How the operation ended."""
        op = self.begin(*words)
        end = self.wait("end", op=op)
        assert end["code"] == code, (*words[:2], end["code"], end["message"])
        return end

    def seen(self, event, **keys):
        return [e for e in list(self.events) if e["event"] == event and all(e.get(k) == v for k, v in keys.items())]

    def wait(self, event, timeout=LIVE, after=0, **keys):
        """The last one of these, once there are more than `after`."""
        wait_for(lambda: len(self.seen(event, **keys)) > after, timeout,
                 lambda: f"{event} {keys}: {[e['_input'] for e in self.events[-20:]]}")
        return self.seen(event, **keys)[-1]

    def output(self, stream=None, **keys):
        return "".join(e["text"] for e in self.seen("output", **keys) if stream in (None, e["stream"]))

    def unit(self, name, phase):
        return self.wait("unit", unit=name, phase=phase)

    def items(self):
        return {e["unit"]: e for e in self.seen("item", op=self.do("list")["op"])}

    def end(self):
        """Exit status; all that it complained of is a failure."""
        self.process.stdin.close()
        status = self.process.wait(LIVE)
        self.reader.join(LIVE)
        procfs.POPEN.remove(self.process)
        assert not self.seen("fault"), self.seen("fault")
        return status


@pytest.fixture
def check(base, engine):  # base: whose end comes later
    with checking(engine) as c:
        yield c


@contextlib.contextmanager
def checking(engine, **keys):
    c = Check(engine, **keys)
    yield c
    for name in {e["unit"] for e in c.seen("begin", command="start")}:
        c.do("remove", name)
    assert c.end() == 0


def spec(*command, image=engines.SVC, **keys):
    return {"image": image, "pull_policy": "never", "command": list(command), "network": "none", **keys}


def shell(script, **keys):
    return spec("/bin/sh", "-c", script, image=engines.BUSYBOX, **keys)


def ours(engine):
    return engine.containers(f"io.aictl.instance={INSTANCE}")


def test_a_life(check, engine):
    known = check.wait("engine", reachable=True)
    assert known["name"] == {"dockerd": "Docker Engine", "podman": "Podman"}[engine.name] and known["version"]
    check.do("start", "u1", shell("echo out; echo err >&2; exec sleep 1000", init=True))
    runs = check.unit("u1", "running")
    made = engine.inspect(runs["engine_id"])
    assert runs["pid"] == made["State"]["Pid"] and runs["started_wall_ms"] > 0
    assert made["Name"].lstrip("/") == "u1" and made["Config"]["Labels"]["io.aictl.instance"] == INSTANCE
    logs = check.begin("logs", "u1", "0", "0", "0")
    wait_for(lambda: (check.output("stdout", op=logs), check.output("stderr", op=logs)) == ("out\n", "err\n"),
             what=lambda: check.seen("output"))
    check.do("signal", "u1", "TERM")
    over = check.unit("u1", "exited")
    assert over["exit_status"] == 143 and over["finished_wall_ms"] >= runs["started_wall_ms"]
    check.wait("end", op=logs)
    assert check.items()["u1"]["phase"] == "exited"
    check.do("remove", "u1")
    assert not ours(engine) and not check.items()
    check.do("remove", "u1")  # gone already


def test_nothing_is_started_twice(check, engine):
    for _ in range(3):
        check.do("start", "u1", spec("/svc", "exit", "3"))
    assert check.unit("u1", "exited")["exit_status"] == 3
    check.do("start", "u1", spec("/svc", "exit", "3"))
    assert len(ours(engine)) == 1
    started = engine.inspect("u1")["State"]["StartedAt"]
    check.do("start", "u1", spec("/svc", "exit", "3"))
    assert engine.inspect("u1")["State"]["StartedAt"] == started


def test_what_the_engine_refuses(check, engine):
    """Each says why in the engine's words, and leaves nothing that runs."""
    assert "localhost/nope" in check.do("start", "u1", spec("/x", image="localhost/nope:1"), code="not_found")["message"]
    code = "invalid" if engine.name == "dockerd" else "failed"  # podman has 500 for all
    assert "/no-such-program" in check.do("start", "u2", spec("/no-such-program"), code=code)["message"]
    foreign = engine.run(engines.BUSYBOX, "sleep", "1000", name="u3")
    assert "u3" in check.do("start", "u3", spec("/svc", "pause"), code="conflict")["message"]
    check.do("start", "u4", "{}", code="invalid")
    taken = {"network": "bridge", "ports": [{"name": "http", "host_ip": "127.0.0.1", "host_port": 30999,
                                             "container_port": 80, "protocol": "tcp"}]}
    check.do("start", "u5", spec("/svc", "pause", **taken))
    check.begin("start", "u6", spec("/svc", "pause", **taken))
    end = check.wait("end", op=check.begun)
    assert end["code"] in ("conflict", "failed") and end["message"], end
    assert engine.inspect(foreign)["State"]["Running"]
    assert {c["Names"][0].lstrip("/") for c in ours(engine) if c["State"] == "running"} == {"u5"}
    engine.request("DELETE", f"/containers/{foreign}?force=true")


def test_exits(check):
    limits = {"memory": 16 << 20, "memory_swap": 16 << 20}
    check.do("start", "oom", shell("head -c 100000000 /dev/zero | tail", limits=limits))
    check.do("start", "kill", spec("/svc", "pause"))
    check.do("start", "seven", spec("/svc", "exit", "7", "50"))
    check.do("signal", "kill", "KILL")
    assert check.unit("kill", "exited")["exit_status"] == 137
    assert check.unit("seven", "exited")["exit_status"] == 7
    oom = check.unit("oom", "exited")
    assert oom["exit_status"] == 137 and oom["oom"], oom


def test_keys(check, engine, base):
    """What the engine made of them, as it says itself."""
    with open(os.path.join(base, "secret"), "w", encoding="utf-8") as f:
        f.write("hush")
    os.mkdir(os.path.join(base, "shared"))
    check.do("start", "u1", shell(
        "cat /run/secrets/key; exec sleep 1000", init=True, environment={"A": "b c"}, user="65534:65534",
        working_dir="/tmp", hostname="shop", read_only=True, stop_signal="SIGUSR1", shm_size=8 << 20,
        cap_add=["SYS_PTRACE"], cap_drop=["MKNOD"], group_add=["777"], security_opt=["no-new-privileges"],
        ulimits=[{"name": "nofile", "soft": 500, "hard": 1000}, {"name": "nproc", "soft": 400, "hard": 400}],
        volumes=[{"type": "bind", "source": f"{base}/shared", "target": "/shared", "read_only": True},
                 {"type": "volume", "source": "stock", "target": "/stock"},
                 {"type": "tmpfs", "target": "/mem", "size": 4 << 20}],
        secrets=[{"source": f"{base}/secret", "target": "/run/secrets/key"}],
        limits={"memory": 64 << 20, "cpus": 500, "pids": 40}, labels={"team": "nlp"}))
    made = engine.inspect("u1")
    config, host = made["Config"], made["HostConfig"]
    assert (config["Hostname"], config["User"], config["WorkingDir"]) == ("shop", "65534:65534", "/tmp")
    assert "A=b c" in config["Env"] and config["Labels"]["team"] == "nlp"
    assert (host["Memory"], host["PidsLimit"], host["ReadonlyRootfs"]) == (64 << 20, 40, True)
    assert host["NanoCpus"] == 500_000_000 or host["CpuQuota"] * 2 == host["CpuPeriod"]
    assert host["RestartPolicy"]["Name"] in ("", "no")
    # runc's own Go runtime may raise the soft limit of what is executed: ask the main process.
    assert re.search(r"^Max open files +500 +1000 ", procfs.read(f"/proc/{made['State']['Pid']}/limits"), re.M)
    exec_said = check.do("exec", "u1", {"argv": ["/bin/sh", "-c", "id; ulimit -Hn; df -k /mem /dev/shm; "
                                                 "cat /run/secrets/key; touch /shared/x; touch /stock/x; "
                                                 "grep -E 'Cap(Bnd|Eff)|NoNewPrivs' /proc/self/status"]})
    text = check.output(op=exec_said["op"])
    assert "uid=65534" in text and "777" in text and "hush" in text, text
    assert "\n1000\n" in text and "4096" in text and "8192" in text, text
    assert "/shared/x: Read-only file system" in text and "NoNewPrivs:\t1" in text, text


def test_ports(check, engine):
    ports = [{"name": n, "host_ip": "127.0.0.1", "host_port": p, "container_port": 8080, "protocol": "tcp"}
             for n, p in (("http", 31990), ("again", 31991))]
    check.do("start", "u1", spec("/svc", "http", network="bridge", ports=ports,
                                 environment={"PORT": "8080", "ANYBODY": "1"}))
    assert check.unit("u1", "running")["address"]
    for port in (31990, 31991):
        wait_for(lambda p=port: tell_port(p, "/ready"), what=f"it answers at {port}")


def test_exec(check, engine):
    check.do("start", "u1", shell("exec sleep 1000", init=True, environment={"OF": "unit"}))
    script = "read x; echo $x $OF $MINE; echo err >&2; pwd; exit 9"
    end = check.do("exec", "u1", {"argv": ["sh", "-c", script], "env": {"MINE": "own"}, "stdin": "fed\n",
                                  "working_dir": "/etc"})
    assert end["exit_status"] == 9
    assert check.output("stdout", op=end["op"]) == "fed unit own\n/etc\n"
    assert check.output("stderr", op=end["op"]) == "err\n"
    big = check.do("exec", "u1", {"argv": ["sh", "-c", "seq 200000"]})
    assert check.output(op=big["op"]).splitlines() == [str(i) for i in range(1, 200001)]
    counted = check.do("exec", "u1", {"argv": ["wc", "-c"], "stdin": "x" * 300000})
    assert check.output(op=counted["op"]).strip() == "300000"
    script = 'tty; until [ "$(stty size 2>&1)" = "33 99" ]; do :; done; echo resized'
    tty = check.do("exec", "u1", {"argv": ["sh", "-c", script], "tty": True, "rows": 33, "columns": 99})
    assert "/dev/pts" in check.output(op=tty["op"]) and "resized" in check.output(op=tty["op"])
    missing = check.begin("exec", "u1", {"argv": ["/nope"]})
    end = check.wait("end", op=missing)
    assert end["code"] != "ok" or end["exit_status"] in (126, 127), end
    check.do("exec", "nobody", {"argv": ["true"]}, code="not_found")


def test_stats(check, engine):
    check.do("start", "u1", shell("dd if=/dev/zero of=/dev/null bs=1M count=2000; exec sleep 1000", init=True,
                                  limits={"memory": 64 << 20}))
    end = wait_for(lambda: (e := check.do("stats", "u1")) and e["stats"]["cpu_us"] > 0 and e, what="it has used CPU time")
    assert 0 < end["stats"]["memory_bytes"] < 64 << 20 and end["stats"]["pids"] >= 1
    assert end["ms"] < 1500


def test_logs_go_on_where_a_reader_was(engine):
    """One reader after the other: each byte comes once. (One that is killed: test_containers.)"""
    text = ""
    with checking(engine) as first:
        first.do("start", "u1", spec("/svc", "lines", "500"))
        at = ["0", "0", "0"]
        for _ in range(3):
            with checking(engine) as c:
                op = c.begin("logs", "u1", *at)
                wait_for(lambda c=c, op=op: len(c.output(op=op)) > 4000, what="lines")
                c.say("cancel", str(op))
                assert c.wait("end", op=op)["code"] == "canceled"
                told = c.seen("position", op=op)[-1]
                at = [str(told[k]) for k in ("stamp_ns", "bytes", "lines")]
                text += c.output(op=op)
        first.do("signal", "u1", "TERM")
        first.unit("u1", "exited")
        op = first.begin("logs", "u1", *at)
        first.wait("end", op=op)
        text += first.output(op=op)
    assert numbered(text.encode()) > 100


def test_engine_comes_and_goes(engine):
    if engine.name == "dockerd":
        engine.restart(live_restore=True)
    with checking(engine) as check:
        check.do("start", "u1", spec("/svc", "pause"))
        check.do("start", "u2", spec("/svc", "pause"))
        pid = engine.inspect("u2")["State"]["Pid"]
        engine.kill()
        away = check.wait("engine", reachable=False)
        assert away["error"]
        check.do("start", "u3", spec("/svc", "pause"), code="unreachable")
        procfs.kill(pid)
        engine.restart(live_restore=True)
        check.wait("engine", reachable=True, after=1)
        items = check.items()
        assert items["u1"]["phase"] == "running"
        wait_for(lambda: check.items()["u2"]["phase"] == "exited", what=check.items)
        check.do("start", "u3", spec("/svc", "exit", "0"))
        check.unit("u3", "exited")  # events are heard again


def test_engine_hangs(check, engine):
    """That is as if it was away; what was asked meanwhile has an end."""
    check.do("start", "u1", spec("/svc", "pause"))
    with engine.hung():
        asked = check.begin("list")
        assert check.wait("engine", reachable=False)["error"]
        assert check.wait("end", op=asked)["code"] in ("unreachable", "timeout")
    check.wait("engine", reachable=True, after=1)
    assert check.items()["u1"]["phase"] == "running"


def test_foreign_ones_are_not_seen(check, engine):
    other = engine.run(engines.BUSYBOX, "sleep", "1000", Labels={"io.aictl.instance": "d" * 32}, name="u1")
    plain = engine.run(engines.BUSYBOX, "sleep", "1000", name="u2")
    assert check.items() == {}
    check.do("remove", "u1", code="conflict")
    check.begin("signal", "u2", "KILL")
    check.wait("end", op=check.begun)
    assert all(engine.inspect(c)["State"]["Running"] for c in (other, plain))
    for c in (other, plain):
        engine.request("DELETE", f"/containers/{c}?force=true")


def test_somebody_pauses_and_removes(check, engine):
    check.do("start", "u1", spec("/svc", "pause"))
    engine.post("/containers/u1/pause")
    check.wait("unit", unit="u1", paused=True)
    engine.post("/containers/u1/unpause")
    engine.request("DELETE", "/containers/u1?force=true")
    wait_for(lambda: check.seen("unit", unit="u1")[-1]["phase"] == "gone", what=lambda: check.seen("unit"))


def test_many_at_once(check, engine):
    n = 10
    ops = [check.begin("start", f"m{i}", spec("/svc", "exit", str(i), "100")) for i in range(n)]
    for op in ops:
        assert check.wait("end", op=op)["code"] == "ok"
    for i in range(n):
        assert check.unit(f"m{i}", "exited")["exit_status"] == i
