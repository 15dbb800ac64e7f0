"""Each key of a container by itself, as the real engines took it: what they say by inspect, and what is so inside.
Driven by aictl-plugin-check, as test_docker.py; test_launch_unit.c says how a manifest becomes these.

SPDX-License-Identifier: MIT
"""
import json
import os

import pytest

import engines
from harness import wait_for
from test_docker import check, shell, spec  # noqa: F401

HOLD = "exec sleep 1000"
KEYS = {
    "entrypoint": {"entrypoint": ["/bin/sh", "-c"], "command": ["echo from $0; " + HOLD]},
    "command": {"command": ["/bin/sh", "-c", "echo 'two  words'; " + HOLD]},
    "environment": {"environment": {"A": "b c", "EMPTY": "", "EQ": "x=y", "U": "ü\n2"}},
    "user": {"user": "65534:12"},
    "user-name": {"user": "nobody"},
    "group_add": {"group_add": ["777"]},
    "working_dir": {"working_dir": "/var"},
    "hostname": {"hostname": "shop"},
    "tmpfs": {"volumes": [{"type": "tmpfs", "target": "/mem", "size": 4 << 20}]},
    "tmpfs-ro": {"volumes": [{"type": "tmpfs", "target": "/mem", "read_only": True}]},
    "volume": {"volumes": [{"type": "volume", "source": "stock", "target": "/stock"}]},
    "volume-ro": {"volumes": [{"type": "volume", "source": "stock", "target": "/stock", "read_only": True}]},
    "devices": {"devices": [{"source": "/dev/null", "target": "/dev/nil", "permissions": "r"}], "user": "65534"},
    "shm_size": {"shm_size": 8 << 20},
    "init": {"init": True},
    "read_only": {"read_only": True},
    "cap_add": {"cap_add": ["SYS_PTRACE"]},
    "cap_drop": {"cap_drop": ["ALL"]},
    "security_opt": {"security_opt": ["no-new-privileges", "seccomp=unconfined"]},
    "ulimits": {"ulimits": [{"name": "nofile", "soft": 500, "hard": 1000}, {"name": "core", "soft": 0, "hard": 0},
                            {"name": "nproc", "soft": 400, "hard": 400}]},
    "memory": {"limits": {"memory": 64 << 20}},
    "memory_swap": {"limits": {"memory": 64 << 20, "memory_swap": -1}},
    "cpus": {"limits": {"cpus": 1500}},
    "cpu_weight": {"limits": {"cpu_weight": 200}},
    "pids": {"limits": {"pids": 40}},
    "cpuset": {"limits": {"cpuset": "0"}},
    "stop_signal": {"stop_signal": "SIGUSR1"},
    "labels": {"labels": {"team": "nlp", "empty": ""}},
    "network-none": {"network": "none"},
    "network-host": {"network": "host"},
    "network-bridge": {"network": "bridge"},
    "nothing": {},
}
# What is asked inside, and what has to be there; every line of it.
INSIDE = {
    "environment": ('env; echo "<$EMPTY>"', ["A=b c", "<>", "EQ=x=y", "U=ü"]),
    "user": ("id -u; id -g", ["65534", "12"]),
    "user-name": ("id -u; id -g", ["65534", "65534"]),
    "group_add": ("id -G", ["777"]),
    "working_dir": ("pwd", ["/var"]),
    "hostname": ("hostname", ["shop"]),
    "tmpfs": ("df -k /mem; touch /mem/x && echo written", ["4096", "written"]),
    "tmpfs-ro": ("touch /mem/x || echo refused", ["refused"]),
    "volume": ("touch /stock/x && echo written", ["written"]),
    "volume-ro": ("touch /stock/x || echo refused", ["refused"]),
    "devices": ("ls -l /dev/nil", ["1,", "3"]),
    "shm_size": ("df -k /dev/shm", ["8192"]),
    "init": ("cat /proc/1/comm", ["init"]),
    "read_only": ("touch /x || echo refused", ["refused"]),
    "cap_add": ("grep CapBnd /proc/1/status", [lambda t: int(t.split()[1], 16) >> 19 & 1]),
    "cap_drop": ("grep CapBnd /proc/1/status", [lambda t: int(t.split()[1], 16) == 0]),
    "security_opt": ("grep -E 'NoNewPrivs|Seccomp:' /proc/1/status", ["NoNewPrivs:\t1", "Seccomp:\t0"]),
    # Of its first process: runc gives what is executed beside it another soft limit of open files.
    "ulimits": ("awk '/open files/ { print $4, $5 } /core file/ { print $5, $6 }' /proc/1/limits", ["0 0\n500 1000\n"]),
    "cpuset": ("grep Cpus_allowed_list /proc/1/status", ["list:\t0\n"]),
    "network-none": ("ls /sys/class/net", [lambda t: t.split() == ["lo"]]),
    "network-bridge": ("ls /sys/class/net", ["eth0"]),
    "nothing": ("id -u; pwd", ["0\n/\n"]),
}


def log_driver(engine):
    """Podman's compatible API says json-file of all."""
    path, version = "/containers/u1/json", "/v1.41"
    if engine.name == "podman":
        path, version = "/libpod" + path, "/v4.0.0"
    return json.loads(engine.request("GET", path, version=version)[1])["HostConfig"]["LogConfig"]["Type"]


def inspected(key, made, engine):
    """What inspect says is what was asked for."""
    config, host = made["Config"], made["HostConfig"]
    ulimits = {u["Name"].lower().replace("rlimit_", ""): (u["Soft"], u["Hard"]) for u in host.get("Ulimits") or []}
    mounts = {m["Destination"]: m for m in made["Mounts"]}
    dropped = {c.replace("CAP_", "") for c in host.get("CapDrop") or []}
    return {
        "entrypoint": lambda: config["Entrypoint"] in (["/bin/sh", "-c"], "/bin/sh -c"),
        "command": lambda: config["Cmd"][2].startswith("echo 'two  words'"),
        "environment": lambda: {"A=b c", "EMPTY=", "EQ=x=y", "U=ü\n2"} <= set(config["Env"]),
        "user": lambda: config["User"] == "65534:12",
        "user-name": lambda: config["User"] == "nobody",
        "group_add": lambda: host["GroupAdd"] == ["777"],
        "working_dir": lambda: config["WorkingDir"] == "/var",
        "hostname": lambda: config["Hostname"] == "shop",
        "volume": lambda: (mounts["/stock"]["Name"], mounts["/stock"]["RW"]) == ("stock", True),
        "volume-ro": lambda: mounts["/stock"]["RW"] is False,
        "shm_size": lambda: host["ShmSize"] == 8 << 20,
        "init": lambda: host.get("Init") is True,
        "read_only": lambda: host["ReadonlyRootfs"] is True,
        "cap_add": lambda: "SYS_PTRACE" in "".join(host["CapAdd"]),
        "cap_drop": lambda: "ALL" in dropped or len(dropped) > 5,  # podman spells out what it had given
        "ulimits": lambda: (ulimits["nofile"], ulimits["core"], ulimits["nproc"]) == ((500, 1000), (0, 0), (400, 400)),
        "memory": lambda: host["Memory"] == 64 << 20,
        "cpus": lambda: host["NanoCpus"] == 1_500_000_000 or host["CpuQuota"] * 2 == host["CpuPeriod"] * 3,
        "cpu_weight": lambda: host["CpuShares"] == 2 + 199 * 262142 // 9999,
        "pids": lambda: host["PidsLimit"] == 40,
        "cpuset": lambda: host["CpusetCpus"] == "0",
        "stop_signal": lambda: str(config["StopSignal"]) in ("SIGUSR1", "10"),
        "labels": lambda: (config["Labels"]["team"], config["Labels"]["empty"]) == ("nlp", ""),
        "network-none": lambda: host["NetworkMode"] == "none",
        "network-host": lambda: host["NetworkMode"] == "host",
        "network-bridge": lambda: host["NetworkMode"] == "bridge" and "127" not in made["NetworkSettings"]["IPAddress"],
        # The engine's own restart policy is off, its log can be read again, nothing is removed by itself.
        "nothing": lambda: host["RestartPolicy"]["Name"] in ("", "no") and not host["AutoRemove"] and
        log_driver(engine) == {"dockerd": "json-file", "podman": "k8s-file"}[engine.name],
    }.get(key, lambda: True)()


@pytest.mark.parametrize("key", KEYS)
def test_key(check, engine, key):  # noqa: F811
    check.do("start", "u1", {**shell(HOLD), **KEYS[key]})
    check.unit("u1", "running")
    made = engine.inspect("u1")
    assert inspected(key, made, engine), json.dumps(made)
    if key not in INSIDE:
        return
    script, wanted = INSIDE[key]
    text = check.output(op=check.do("exec", "u1", {"argv": ["/bin/sh", "-c", script]})["op"])
    for want in wanted:
        assert want(text) if callable(want) else want in text, text


def test_bind_and_secret(check, engine, base):  # noqa: F811
    os.mkdir(os.path.join(base, "shared"))
    with open(os.path.join(base, "hush"), "w", encoding="utf-8") as f:
        f.write("hush")
    check.do("start", "u1", shell(
        HOLD, volumes=[{"type": "bind", "source": f"{base}/shared", "target": "/rw"},
                       {"type": "bind", "source": f"{base}/shared", "target": "/ro", "read_only": True}],
        secrets=[{"source": f"{base}/hush", "target": "/run/secrets/key"}]))
    script = "cat /run/secrets/key; echo; echo > /run/secrets/key || echo kept; touch /rw/x; touch /ro/y || echo refused"
    text = check.output("stdout", op=check.do("exec", "u1", {"argv": ["/bin/sh", "-c", script]})["op"])
    assert text == "hush\nkept\nrefused\n" and os.listdir(os.path.join(base, "shared")) == ["x"]
    rw = {m["Destination"]: m["RW"] for m in engine.inspect("u1")["Mounts"]}
    assert (rw["/rw"], rw["/ro"], rw["/run/secrets/key"]) == (True, False, False)


def test_a_network_of_the_users(check, engine):  # noqa: F811
    """Its address there is what is told. (Names of services in it: test_containers.)"""
    engine.post("/networks/create", {"Name": "shop-net", "CheckDuplicate": True})
    check.do("start", "u1", shell(HOLD, network="shop-net"))
    address = engine.inspect("u1")["NetworkSettings"]["Networks"]["shop-net"]["IPAddress"]
    assert address and check.unit("u1", "running")["address"] == address


def test_a_network_that_is_not_there(check, engine):  # noqa: F811
    """It is made, once, with the label that says by whom."""
    ops = []
    for name in ("u1", "u2", "u3"):
        check.begin("start", name, shell(HOLD, network="new-net"))
        ops.append(check.begun)
    for op in ops:
        end = check.wait("end", op=op)
        assert end["code"] == "ok", end
    made = [n for n in engine.get("/networks") if n["Name"] == "new-net"]
    assert [n["Labels"] for n in made] == [{"io.aictl.instance": "c" * 32}]


def test_gpus_are_said_to_be_missing(check, engine):  # noqa: F811
    """No GPU here: the engine's words, or that this Podman cannot; nothing is left behind."""
    for name, gpus in (("all", {"count": -1}), ("one", {"driver": "nvidia", "device_ids": ["0"]}),
                       ("cdi", {"cdi": ["nvidia.com/gpu=all"]})):
        check.begin("start", name, spec("/svc", "pause", gpus=gpus))
        end = check.wait("end", op=check.begun)
        assert end["code"] == ("unsupported" if engine.name == "podman" else "failed"), end
        assert ("Podman" if engine.name == "podman" else "device") in end["message"], end
    wait_for(lambda: not engine.containers(), what=engine.containers)


@pytest.mark.parametrize("state", ["paused", "created", "exited"])
def test_end_of_one_in_this_state(check, engine, state):  # noqa: F811
    """TERM, KILL and removal work in whatever state somebody has left it."""
    if state == "created":
        engine.post("/containers/create?name=u1", {"Image": engines.BUSYBOX, "Cmd": ["sleep", "1000"],
                                                   "Labels": {"io.aictl.instance": "c" * 32}})
    else:
        check.do("start", "u1", shell("sleep 1000" if state == "paused" else "exit 3", init=True))
        check.unit("u1", "running" if state == "paused" else "exited")
    if state == "paused":
        engine.post("/containers/u1/pause")
        check.wait("unit", unit="u1", paused=True)
    check.do("signal", "u1", "TERM")
    if state == "paused":
        check.do("signal", "u1", "KILL")
        check.unit("u1", "exited")
    check.do("remove", "u1")
    assert not engine.containers()
