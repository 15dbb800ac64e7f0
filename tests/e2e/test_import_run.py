"""Compose projects of the kinds that people publish, imported and run: the ten of tests/unit/import with
a stand-in for every image, on both engines. Its commands do what their names say: checks succeed,
migrations end, servers run on. Nothing else of the manifest is touched, but for what needs a GPU.

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import resource
import shutil

import pytest

import engines
import images
from harness import ROOT

RUNS_AS = engines.NAMES
PROJECTS = os.path.join(ROOT, "tests/unit/import")
NAMES = sorted(os.listdir(PROJECTS))
IMAGE = "localhost/stand-in:1"
ENTRY = "/usr/local/bin/stand-in"  # before busybox in PATH
STAND_IN = r"""#!/bin/sh
case "${0##*/} $*" in
bash\ *) exec /bin/sh "$@" ;;
*--port=*) exec httpd -f -p "${*##*--port=}" -h /www ;;
*pg_isready* | *redis-cli\ ping | *ollama\ list | *rabbitmq-diagnostics* | *healthcheck.sh* | *curl\ * | *wget\ * | *check.js) exit 0 ;;
manage\ * | */manage\ * | stand-in\ ./manage\ * | entrypoint\ * | *warm* | *drain*) exit 0 ;;
esac
trap 'exit 0' TERM INT
while :; do sleep 1 & wait $!; done
"""
COMMANDS = ("stand-in", "pg_isready", "redis-cli", "ollama", "rabbitmq-diagnostics", "healthcheck.sh", "curl", "wget", "node")
AT_ROOT = ("manage", "entrypoint", "warm", "drain", "bin/bash", "www/healthz")  # ./manage without a working_dir


def stand_in(engine, directory):
    """The image, made once in an engine."""
    if getattr(engine, "stands_in", None):
        return
    path = os.path.join(directory, "stand-in")
    with open(path, "w", encoding="utf-8") as f:
        f.write(STAND_IN)
    names = [f"/usr/local/bin/{c}" for c in COMMANDS] + [f"/{c}" for c in AT_ROOT]
    engine.import_image(IMAGE, images.busybox_tar(*((path, name) for name in names)))
    engine.stands_in = True


def environment_of(name):
    path = os.path.join(PROJECTS, name, "environment")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        return dict(line.split("=", 1) for line in f.read().splitlines())


def imported(daemon, name):
    """The manifest of a copy of a project, beside which all that is mounted from there exists."""
    where = os.path.join(daemon.base, name)
    shutil.copytree(os.path.join(PROJECTS, name), where, ignore=shutil.ignore_patterns("golden.*"))
    args = []
    if os.path.exists(os.path.join(where, "args")):
        with open(os.path.join(where, "args"), encoding="utf-8") as f:
            args = f.read().split()
    env = {"HOME": where, **environment_of(name)}
    daemon.ok("import", "-o", "aictl.yaml", *args, cwd=where, env=env)
    manifest = os.path.join(where, "aictl.yaml")
    with open(manifest, encoding="utf-8") as f:
        text = f.read().replace("/var/run/docker.sock:/", daemon.engine.socket + ":/").replace('"~/', '"./')
    with open(manifest, "w", encoding="utf-8") as f:
        f.write(text)
    for source in re.findall(r'^ +- "?(?:~|\.)/([^:"]*):/', text, re.MULTILINE):
        path = os.path.join(where, source)
        if os.path.exists(path):
            continue
        if re.search(r"\.\w+$", source):
            with open(path, "w", encoding="utf-8"):
                pass
        else:
            os.makedirs(path)
    return manifest, env


def services_of(daemon, manifest, env):
    config = json.loads(daemon.ok("config", "-f", manifest, "-o", "json", env=env))
    found = config["services"]
    return found if isinstance(found, dict) else {s["name"]: s for s in found}


def overlay(services):
    """What stands over the manifest: the image, waits that a test has no time for, what this machine lacks."""
    over = {}
    for name, spec in services.items():
        over[name] = {"image": IMAGE, "pull_policy": "never", "stop": {"grace_period": "2s"}}
        if not spec.get("entrypoint"):
            over[name]["entrypoint"] = [ENTRY]
        if spec.get("gpus"):
            over[name]["gpus"] = None
        if spec.get("ulimits"):  # with any of them podman forgets its own defaults, which a test's engine needs
            over[name]["ulimits"] = {"nofile": 4096, "nproc": 4096}
            if resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] != resource.RLIM_INFINITY:
                over[name]["ulimits"]["memlock"] = None
    return {"version": 1, "services": over}


@pytest.mark.parametrize("name", NAMES)
def test_runs(daemon, name):
    stand_in(daemon.engine, daemon.base)
    manifest, env = imported(daemon, name)
    services = services_of(daemon, manifest, env)
    over = daemon.write(overlay(services), "over.yaml")
    daemon.ok("apply", "-f", manifest, "-f", over, "--wait", "--timeout", "90s", env=env, timeout=120)
    tasks = {n for n, s in services.items() if s.get("type") == "task"}
    states = {n: s["state"] for n, s in daemon.ps().items()}
    assert states == {n: "succeeded" if n in tasks else "ready" for n in services}
    listed = {(c["Labels"]["io.aictl.service"], c["State"]) for c in daemon.engine.ours()}
    assert {(n, "running") for n in set(services) - tasks} <= listed
    check_inside(daemon, name)


def check_inside(daemon, name):
    """What a project relies on, as one of its containers sees it."""
    def inside(service, *command):
        return daemon.ok("exec", service, "--", *command)

    def host(service):
        """What the engine was asked for, of each replica."""
        return [c["HostConfig"] for c in map(daemon.engine.inspect, containers_of(daemon, service))]

    if name.startswith("01"):
        assert "POSTGRES_DB=app" in inside("db", "env")
        if daemon.engine.name == "dockerd":  # podman needs aardvark-dns for names
            assert "Name:" in inside("web", "nslookup", "db")
            assert "Name:" in inside("web", "nslookup", "shop-db")
    elif name.startswith("03"):
        assert "MARIADB_ROOT_PASSWORD=secret$word\n" in inside("database", "env")
    elif name.startswith("05"):
        assert inside("mail", "id", "-u").strip() == "1000"
        assert len(host("worker")) == 2
        assert all("no-new-privileges" in h["SecurityOpt"][0] for h in host("worker"))
    elif name.startswith("07"):
        assert inside("db", "cat", "/run/secrets/db_root", "/run/secrets/db_user") == "root\nuser\n"
        assert inside("proxy", "cat", "/run/secrets/token", "/motd") == "not-a-secretwelcome"
        assert "server_name ${hostname};" in inside("proxy", "cat", "/etc/nginx/conf.d/default.conf")
    elif name.startswith("09"):
        assert [h["Memory"] for h in host("app-1")] == 2 * [1536 << 20]
        seen = inside("app-1", "env").splitlines()
        wanted = {"MODE=fast", "PORT=9000", "discovery.type=single-node", "DOLLARS=a$b ${c}"}
        assert wanted <= set(seen), (wanted - set(seen), seen)
    elif name.startswith("08"):
        assert [(h["Memory"], cpus_of(h)) for h in host("web")] == [(512 << 20, 0.5)]
    elif name.startswith("10"):
        if daemon.engine.name == "dockerd":
            assert "Name:" in inside("minio", "nslookup", "voting_app")  # what it is called in the Compose file
        assert [(h["Memory"], cpus_of(h), h["PidsLimit"]) for h in host("voting-app")] == 4 * [(50 << 20, 0.5, 64)]


def containers_of(daemon, service):
    return [c["Id"] for c in daemon.engine.ours() if c["Labels"]["io.aictl.service"] == service]


def cpus_of(host):
    """Podman says quota and period of what it was asked in billionths."""
    return host["NanoCpus"] / 1e9 if host["NanoCpus"] else host["CpuQuota"] / host["CpuPeriod"]
