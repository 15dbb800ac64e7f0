"""Services that are containers, with both engines: what a process can do a container can, and what is
in the engine agrees with what the table says, whoever dies.

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import shutil
import time

import pytest

import engines
import images
import kinds
import procfs
from harness import CAMPAIGN, ROOT, Daemon, numbered, tell_port, wait_for
from test_helpers import kill_helper, wait_helper
from test_traffic import START_FIRST, Load, ask, free_port, wait_open

RUNS_AS = engines.NAMES
MISSING = engines.why_not()
ELSEWHERE = kinds.ELSEWHERE
NAME = re.compile(r"/?aictl-[0-9a-f]{8}-(\w+)-(\d+)-[0-9a-f]{12}")
TCP = {"readiness": {"tcp": {}, "period": "100ms"}}
NEVER = {"restart": {"policy": "never"}}
FAST = {"restart": {"backoff": {"initial": "50ms", "max": "100ms"}, "budget": {"restarts": 0}}}
GRACE = {"stop": {"grace_period": "1s"}}


def contained(*command, image=engines.SVC, **keys):
    return {"image": image, "command": ["/svc", *command], "update": {"order": "stop-first", "min_ready": "0s"},
            **GRACE, **keys}


def shell(script, **keys):
    return {**contained(**keys), "image": engines.BUSYBOX, "init": True,
            "command": ["/bin/sh", "-c", script.replace("$", "$$")]}


def web(port, *args, **keys):
    return contained("talk", *args, port=port, environment={"ANYBODY": "1", **keys.pop("environment", {})},
                     probes=TCP, **keys)


def in_engine(daemon, service=None):
    """(service, index) -> what the engine lists, of all that is ours: the one that runs, where others have
    not been removed yet. Two that run are a failure."""
    found = {}
    for c in daemon.engine.ours():
        key = c["Labels"]["io.aictl.service"], int(c["Labels"]["io.aictl.index"])
        if service not in (None, key[0]):
            continue
        other = found.setdefault(key, c)
        if c is not other and c["State"] == "running":
            assert other["State"] != "running", f"twice: {c['Names']} and {other['Names']}"
            found[key] = c
    return found


def running(daemon, service):
    return {i: c["Id"] for (_, i), c in in_engine(daemon, service).items() if c["State"] == "running"}


def last_exit(daemon, service, index=0):
    return wait_for(lambda: (r := daemon.replica(service, index)) and r["last_exit"],
                    what=lambda: f"{service} has ended: {daemon.ps()[service]}")


def settled(daemon, service, n):
    """So many run, in the table and in the engine, and they are the same."""
    daemon.wait_state(service, "ready")
    wait_for(lambda: len(running(daemon, service)) == n == len(in_engine(daemon, service)),
             what=lambda: f"{n} of {service} in the engine: {in_engine(daemon, service)}")

    def table():
        return {r["index"]: r["container"] and r["container"]["id"] for r in daemon.ps()[service]["replicas"]}
    wait_for(lambda: table() == running(daemon, service), what=lambda: f"{table()} is {running(daemon, service)}")
    return table()


# lifecycle

def test_life(daemon):
    daemon.apply({"web": web(free_port(), replicas=2, labels={"team": "nlp"})})
    ids = settled(daemon, "web", 2)
    for replica in daemon.ps()["web"]["replicas"]:
        made = daemon.engine.inspect(ids[replica["index"]])
        labels = made["Config"]["Labels"]
        assert NAME.fullmatch(made["Name"]).groups() == ("web", str(replica["index"]))
        assert made["Name"].endswith(replica["incarnation"][:12])
        assert labels["io.aictl.incarnation"] == replica["incarnation"]
        assert labels["io.aictl.revision"] and len(labels["io.aictl.instance"]) == 32
        assert made["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
        assert replica["pid"] == made["State"]["Pid"] and procfs.alive(replica["pid"])
        assert ask(replica["port"])[1][0]["me"] == replica["incarnation"]
    assert daemon.ps()["web"]["runtime"] == "docker"
    daemon.ok("scale", "web=1")
    wait_for(lambda: set(in_engine(daemon, "web")) == {("web", 0)}, what=lambda: in_engine(daemon))
    assert running(daemon, "web") == {0: ids[0]}
    daemon.ok("restart", "web")
    wait_for(lambda: (r := running(daemon, "web")) and r != {0: ids[0]}, what="it is another one")
    daemon.ok("stop", "web")
    wait_for(lambda: not in_engine(daemon), what=lambda: in_engine(daemon))
    daemon.ok("start", "web")
    settled(daemon, "web", 1)
    daemon.ok("delete", "web")
    wait_for(lambda: not in_engine(daemon), what=lambda: in_engine(daemon))


def test_stop_has_a_grace_period(daemon):
    daemon.apply({"deaf": contained("http", "0", "stubborn", **NEVER),
                  "neat": shell("trap 'exit 7' TERM; while :; do sleep 0.1; done", **NEVER),
                  "hup": contained("pause", stop={"signal": "SIGHUP", "grace_period": "20s"})})
    for name in ("deaf", "neat", "hup"):
        daemon.wait_state(name, "ready")
    for name in ("deaf", "neat", "hup"):
        daemon.ok("stop", name)
    ends = {name: daemon.describe(name)["exits"][-1] for name in ("deaf", "neat", "hup")}
    assert ends["deaf"]["signal"] == "SIGKILL", ends
    assert ends["neat"]["code"] == 7, ends
    assert ends["hup"]["signal"] == "SIGHUP", ends
    wait_for(lambda: not in_engine(daemon), what=lambda: in_engine(daemon))


def test_restart_policy(daemon):
    """Ours: the engine starts nothing again by itself. Each life is a container of its own."""
    daemon.apply({"again": contained("exit", "3", "100", **FAST),
                  "once": contained("exit", "3", **NEVER),
                  "well": contained("exit", "0", restart={"policy": "on-failure"})}, wait=False)
    wait_for(lambda: daemon.replica("again")["restarts"] >= 3, what=lambda: daemon.ps()["again"])
    assert last_exit(daemon, "again")["code"] == 3
    assert last_exit(daemon, "once")["code"] == 3 and daemon.replica("once")["restarts"] == 0
    assert last_exit(daemon, "well")["code"] == 0 and daemon.replica("well")["restarts"] == 0
    wait_for(lambda: set(in_engine(daemon)) <= {("again", 0)}, what=lambda: in_engine(daemon))


def test_exit_causes(daemon):
    memory = {"resources": {"limits": {"memory": "16MiB"}}}
    eats = "while [ ! -e /go/go ]; do sleep 0.05; done; head -c 100000000 /dev/zero | tail"
    go = os.path.join(daemon.base, "go")
    os.mkdir(go)
    daemon.apply({"signal": shell("kill -USR1 $$; sleep 10", **NEVER),
                  "oom": shell(eats, volumes=[f"{go}:/go:ro"], **NEVER, **memory),
                  "no-program": {**contained(**NEVER), "command": ["/nope"]},
                  "no-image": contained("pause", image="localhost/nope:1", pull_policy="never", **FAST)}, wait=False)
    wait_for(lambda: daemon.replica("oom")["pid"], what="it runs, and is watched where the engine tells nothing")
    with open(os.path.join(go, "go"), "w", encoding="utf-8"):
        pass
    assert last_exit(daemon, "signal")["signal"] == "SIGUSR1"
    oom = last_exit(daemon, "oom")
    assert oom["signal"] == "SIGKILL" or oom["code"] == 137, oom
    # Podman does not tell; of cgroup 1 only root may watch it.
    if daemon.engine.name == "dockerd" or os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        assert oom["cause"] == "oom", oom
    wait_for(lambda: "/nope" in json.dumps(daemon.ps()["no-program"]), what=lambda: daemon.ps()["no-program"])
    wait_for(lambda: "localhost/nope:1" in json.dumps(daemon.ps()["no-image"]), what=lambda: daemon.ps()["no-image"])


def test_probes_in_the_container(daemon):
    """exec is executed inside: there alone is the file that it looks for."""
    probes = {"readiness": {"exec": {"command": ["/bin/test", "-e", "/made-inside"]}, "period": "100ms"}}
    daemon.apply({"web": shell("sleep 0.5; touch /made-inside; exec sleep 1000", probes=probes)})
    assert not os.path.exists("/made-inside")
    daemon.ok("exec", "web/0", "--", "rm", "/made-inside")
    daemon.wait_state("web", "degraded")


def test_mounts_and_limits(daemon):
    shared = os.path.join(daemon.base, "shared")
    os.mkdir(shared)
    with open(os.path.join(shared, "given"), "w", encoding="utf-8") as f:
        f.write("from outside\n")
    daemon.apply({"all": shell("cat /given/given; cat /run/secrets/key; hostname; id -u; pwd; touch /given/x || echo ro; "
                               "echo y >/data/y && echo data; df -k /mem | tail -1; touch /z || echo read-only; "
                               "ulimit -n; echo $GREETING; exec sleep 1000",
                               volumes=[f"{shared}:/given:ro", "e2e-data:/data",
                                        {"type": "tmpfs", "target": "/mem", "size": "8MiB"}],
                               hostname="shopkeeper", working_dir="/tmp", read_only=True,
                               environment={"GREETING": "good day"}, ulimits={"nofile": 1000, "nproc": 400},
                               resources={"limits": {"memory": "64MiB", "pids": 50, "cpus": 0.5}})})
    wait_for(lambda: "good day" in str(daemon.logged("all")), what=lambda: daemon.logged("all"))
    text = [line["line"] for line in daemon.logged("all")]
    for wanted in ("from outside", "shopkeeper", "0", "/tmp", "ro", "data", "read-only", "1000"):
        assert wanted in text, text
    limits = daemon.engine.inspect(running(daemon, "all")[0])["HostConfig"]
    assert (limits["Memory"], limits["PidsLimit"]) == (64 << 20, 50)


# logs

def test_streams_and_the_end(daemon):
    """All of what was written before the exit is there, each line with its stream."""
    daemon.apply({"short": shell("for i in $(seq 500); do echo o$i; echo e$i >&2; done; printf end", **NEVER)}, wait=False)
    last_exit(daemon, "short")
    wait_for(lambda: len(daemon.logged("short")) >= 1001, what=lambda: len(daemon.logged("short")))
    lines = daemon.logged("short")
    streams = {which: [line["line"] for line in lines if line["stream"] == which] for which in ("stdout", "stderr")}
    assert streams["stdout"] == [f"o{i}" for i in range(1, 501)] + ["end"]
    assert streams["stderr"] == [f"e{i}" for i in range(1, 501)]


def test_logs_go_on_after_each_death(start):
    """Runtime, controller, logger and aictld: no line is lost, none is there twice. (Without aictld and the
    logger nobody has what is in the pipes.)"""
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    daemon.apply({"count": contained("lines", "1000", logs={"max_size": "1GiB"})})
    pid = daemon.pid_of("count")
    for which in ("runtime", "controller", "runtime", "logger", "runtime"):
        old = kill_helper(daemon, which)
        wait_helper(daemon, which, old)
        size = len(daemon.segments("count"))
        wait_for(lambda n=size: len(daemon.segments("count")) > n, what=f"lines after the death of the {which}")
    for others in (("runtime", "controller"), ()):
        daemon.crash(*others)
        daemon.start_again()
        wait_for(daemon.answers, what="aictld answers")
        size = len(daemon.segments("count"))
        wait_for(lambda n=size: len(daemon.segments("count")) > n, what="lines after the death of aictld")
    assert daemon.pid_of("count") == pid
    daemon.ok("stop", "count")
    wait_for(lambda: b"\nend " in daemon.segments("count"), what=lambda: daemon.segments("count")[-60:])
    assert numbered(daemon.segments("count")) > 100


# traffic

def test_updates_lose_no_request(daemon):
    port = free_port()

    def version(n):
        return {"web": web(port, replicas=2, environment={"V": str(n)}, update=START_FIRST,
                           stop={"drain": "20s", "grace_period": "2s"})}

    daemon.apply(version(0))
    wait_open(daemon)
    with Load(port) as load:
        for n in (1, 2):
            daemon.apply(version(n))
            now = {r["incarnation"] for r in daemon.ps()["web"]["replicas"]}
            wait_for(lambda now=now: now <= set(load.answered_by), what=lambda: load.answered_by)
        load.flows()
    load.check()
    settled(daemon, "web", 2)


def test_networks(daemon):
    """host: it listens at the replica's own port; none: nothing; with `${PORT}` in the command."""
    serve = "exec /bin/httpd -f -p 127.0.0.1:${PORT} -h /etc"
    daemon.apply({"host": {**contained(network="host", ports={"http": {}}, probes=TCP), "image": engines.BUSYBOX,
                           "command": ["/bin/sh", "-c", serve], "init": True},
                  "none": shell("ip -o link | wc -l; exec sleep 1000", network="none")})
    port = daemon.replica("host")["port"]
    assert tell_port(port, "/passwd").startswith(b"root:")
    wait_for(lambda: daemon.logged("none"), what="it speaks")


# what is done to one that runs

def test_exec_kill_top(daemon):
    daemon.apply({"web": shell("trap 'echo got USR1' USR1; while :; do sleep 0.1; done", environment={"A": "b c"})})
    assert daemon.ok("exec", "web/0", "--", "sh", "-c", "echo $A; hostname") != ""
    rc, out, err = daemon.cli("exec", "web/0", "--", "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (rc, out, err) == (5, "out\n", "err\n")
    made = daemon.engine.inspect(running(daemon, "web")[0])
    assert daemon.ok("exec", "web/0", "--", "cat", "/etc/hostname").strip() == made["Config"]["Hostname"]
    daemon.ok("kill", "web/0", "--signal", "USR1")
    wait_for(lambda: any(line["line"] == "got USR1" for line in daemon.logged("web")) or None,
             what=lambda: daemon.logged("web"))
    row = wait_for(lambda: re.search(r"^web\s.*[KM]iB", daemon.ok("top"), re.M), what=lambda: daemon.ok("top"))
    assert row


# deaths

def test_adoption(start):
    """Whoever of us dies: the same containers, and one of each."""
    daemon = start("--helper-restart", CAMPAIGN, init=True)
    daemon.apply({"web": web(free_port(), replicas=2)})
    ids, pids = settled(daemon, "web", 2), daemon.pids("web")
    for which in ("runtime", "controller"):
        wait_helper(daemon, which, kill_helper(daemon, which))
        assert settled(daemon, "web", 2) == ids
    for others in ((), ("runtime",), ("runtime", "controller")):
        daemon.crash(*others)
        daemon.start_again()
        wait_for(daemon.answers, what="aictld answers")
        assert settled(daemon, "web", 2) == ids
    assert daemon.pids("web") == pids
    assert all(r["restarts"] == 0 for r in daemon.ps()["web"]["replicas"])
    daemon.ok("restart", "web/1", "--now")
    wait_for(lambda: (r := running(daemon, "web")) and r.get(1) not in (None, ids[1]) and len(r) == 2, what="it obeys")


def unreachable(daemon):
    """The replica's message when the engine does not answer."""
    return wait_for(lambda: (r := daemon.replica("web")) and r["state"] == "unknown" and r["message"],
                    what=lambda: daemon.ps()["web"])


def test_engine_dies_and_lets_them_live(daemon):
    """As dockerd does with --live-restore, and podman always."""
    if daemon.engine.name == "dockerd":
        daemon.engine.restart(live_restore=True)
    daemon.apply({"web": web(free_port(), replicas=2)})
    ids = settled(daemon, "web", 2)
    daemon.engine.kill()
    if daemon.engine.name == "dockerd":
        assert "engine unreachable since" in unreachable(daemon)
    daemon.engine.restart(live_restore=True)
    assert settled(daemon, "web", 2) == ids
    assert all(r["restarts"] == 0 for r in daemon.ps()["web"]["replicas"])


def test_engine_dies_and_takes_them_along(daemon):
    """dockerd without --live-restore stops them when it comes back: that is an exit, and a restart."""
    if daemon.engine.name == "podman":
        pytest.skip("podman takes none along")
    daemon.apply({"web": web(free_port(), replicas=2, restart={"backoff": {"initial": "50ms"}})})
    ids = settled(daemon, "web", 2)
    daemon.engine.kill()
    assert "engine unreachable since" in unreachable(daemon)
    daemon.engine.restart()
    wait_for(lambda: len(r := running(daemon, "web")) == 2 and not set(r.values()) & set(ids.values()),
             what=lambda: in_engine(daemon))
    settled(daemon, "web", 2)


def test_ends_while_the_engine_is_away(start):
    """Its exit is known when the engine is back, and it is started again then, once."""
    daemon = start()
    if daemon.engine.name == "dockerd":
        daemon.engine.restart(live_restore=True)
    daemon.apply({"web": contained("pause", restart={"backoff": {"initial": "50ms"}})})
    first = settled(daemon, "web", 1)
    daemon.engine.kill()
    procfs.kill(daemon.pid_of("web"))
    daemon.engine.restart(live_restore=True)
    wait_for(lambda: running(daemon, "web") not in ({}, first), what=lambda: in_engine(daemon))
    settled(daemon, "web", 1)
    assert last_exit(daemon, "web")["signal"] == "SIGKILL"


def test_engine_hangs(daemon):
    """Nothing of ours hangs with it, and what was asked meanwhile is done once it answers."""
    daemon.apply({"web": contained("pause"), "process": daemon.plain("pause")})
    ids = settled(daemon, "web", 1)
    with daemon.engine.hung():
        daemon.apply({"web": contained("pause", replicas=2), "process": daemon.plain("pause")}, wait=False)
        daemon.ok("restart", "process")
        began = time.monotonic()
        assert daemon.ps()["web"]["replicas"] and time.monotonic() - began < 5
    assert settled(daemon, "web", 2)[0] == ids[0]


def test_removed_by_somebody(daemon):
    """Behind our back, while it runs: that is an end like others."""
    daemon.apply({"web": contained("pause", restart={"backoff": {"initial": "50ms"}})})
    first = settled(daemon, "web", 1)
    daemon.engine.request("DELETE", f"/containers/{first[0]}?force=true")
    wait_for(lambda: running(daemon, "web") not in ({}, first), what=lambda: in_engine(daemon))
    settled(daemon, "web", 1)


# whose is what

def test_foreign_ones_are_not_touched(start):
    """Neither another's containers, nor another aictl's, nor one that is nearly ours."""
    daemon = start()
    engine = daemon.engine
    labels = {"io.aictl.service": "web", "io.aictl.index": "0", "io.aictl.incarnation": "0" * 32}
    foreign = [engine.run(engines.BUSYBOX, "sleep", "1000"), engine.run(engines.BUSYBOX, "sleep", "1000", Labels=labels)]
    other = engine.run(engines.BUSYBOX, "sleep", "1000", Labels={**labels, "io.aictl.instance": "f" * 32},
                       name=f"aictl-{'f' * 8}-web-0-{'0' * 12}")
    daemon.apply({"web": contained("pause")})
    daemon.ok("restart", "web", "--now")
    daemon.ok("delete", "web")
    daemon.crash("runtime", "controller")
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")
    daemon.apply({"web": contained("pause")})
    assert all(engine.inspect(c)["State"]["Running"] for c in (*foreign, other))
    engine.request("DELETE", f"/containers/{other}?force=true")


def test_leftovers_are_removed(start):
    """Ours that no slot wants: what an aictld of these directories left, its table being lost."""
    daemon = start()
    daemon.apply({"web": contained("pause")})
    instance = daemon.engine.inspect(running(daemon, "web")[0])["Config"]["Labels"]["io.aictl.instance"]
    labels = {"io.aictl.service": "gone", "io.aictl.index": "0", "io.aictl.revision": "1",
              "io.aictl.incarnation": "0" * 32, "io.aictl.instance": instance}
    daemon.engine.run(engines.BUSYBOX, "sleep", "1000", Labels=labels)
    wait_helper(daemon, "runtime", kill_helper(daemon, "runtime"))
    wait_for(lambda: set(in_engine(daemon)) == {("web", 0)}, what=lambda: in_engine(daemon))
    assert daemon.replica("web")["restarts"] == 0


def test_two_daemons_share_an_engine(start, base):
    """The same names, and no clash; each sees its own alone."""
    os.mkdir(os.path.join(base, "two"))
    one = start()
    two = Daemon(os.path.join(base, "two"), engine=one.engine)
    two.start()
    try:
        for d in (one, two):
            d.apply({"web": contained("pause", replicas=2)})
        found = {}
        for c in one.engine.ours():
            found.setdefault(c["Labels"]["io.aictl.instance"], set()).add(c["Id"])
        assert [len(ids) for ids in found.values()] == [2, 2]
        one.ok("delete", "web")
        wait_for(lambda: len(one.engine.ours()) == 2, what="the other's are there")
    finally:
        two.stop()


def test_depends_on_between_kinds(daemon):
    """A process waits for a container, and a container for a process."""
    port = free_port()
    daemon.apply({"store": contained("talk", "700", port=port, environment={"ANYBODY": "1"}, probes=TCP),
                  "app": daemon.plain("pause", depends_on={"store": {"condition": "ready"}}),
                  "front": contained("pause", depends_on={"app": {"condition": "started"}})})
    events = [(e["service"], e["to"]) for e in daemon.events() if e["type"] == "state"]
    at = {key: events.index(key) for key in (("store", "ready"), ("app", "starting"), ("front", "starting"))}
    assert at["store", "ready"] < at["app", "starting"] < at["front", "starting"], events


def test_sentiment_example(daemon):
    """The example, in an image of Debian's packages."""
    app = os.path.join(ROOT, "examples/sentiment/app.py")
    packages = ("python3-minimal", "python3-sklearn", "python3-fastapi", "python3-uvicorn")
    image = daemon.engine.import_image("localhost/sentiment:1", images.debian_tar(packages, [(app, "/app/app.py")]))
    port = free_port()
    command = ["/usr/bin/python3", "-m", "uvicorn", "app:app", "--host", "0.0.0.0", "--port", "${PORT}"]
    probes = {"startup": {"http": {"path": "/healthz"}, "period": "500ms", "stall": "2m"},
              "readiness": {"http": {"path": "/ready"}, "period": "500ms", "timeout": "5s"}}
    daemon.apply({"sentiment": {"image": image, "command": command, "working_dir": "/app", "port": port,
                                "probes": probes, "environment": {"OMP_NUM_THREADS": "1"}}}, timeout=120)
    assert tell_port(port, "/healthz")


def test_container_example(base, start):
    """Both kinds in one manifest; what the process has read came from a container's mounted directory."""
    daemon = start("--default-user", "nobody")
    directory = os.path.join(base, "container")
    shutil.copytree(os.path.join(ROOT, "examples/container"), directory)
    os.chmod(base, 0o755)
    daemon.engine.import_image("docker.io/library/busybox:1.36", images.busybox_tar())
    daemon.ok("apply", "--wait", "--timeout", "60s", cwd=directory, timeout=90)
    settled(daemon, "pages", 2)
    wait_for(lambda: [e["line"] for e in daemon.logged("greet")] == ["hello from a container"],
             what=lambda: daemon.logged("greet"))
    assert daemon.ok("exec", "pages/0", "--", "id", "-u").strip() == "65534"


def test_without_its_runtime(base, start):
    """A manifest with an image, and no --runtime: an error that says so."""
    daemon = start(engine=None)
    path = daemon.write({"version": 1, "name": "shop", "services": {"web": contained("pause")}})
    rc, out, err = daemon.cli("apply", "-f", path, "--wait", "--timeout", "5s")
    assert rc != 0 and "runtime" in out + err, (rc, out, err)
