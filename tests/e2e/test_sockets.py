"""${SOCKET}: replicas that listen on a Unix socket in a directory of their own, where only they and the
gateway get.

SPDX-License-Identifier: MIT
"""
import grp
import os
import pwd
import stat
import subprocess
import sys

import pytest

import procfs
from harness import wait_for
from test_traffic import START_FIRST, Load, ask, free_port, wait_open

READY = {"readiness": {"http": {"path": "/"}, "period": "100ms"}}


def at_path(daemon, port, *where, **keys):
    keys = {"ports": {"http": {"port": port}}, "probes": READY, "update": START_FIRST,
            "stop": {"drain": "20s", "grace_period": "5s"}, **keys}
    return daemon.service("listen", *(where or ("${SOCKET}",)), **keys)


def serve(daemon, **keys):
    port = free_port()
    daemon.apply({"web": at_path(daemon, port, **keys)})
    wait_open(daemon)
    assert ask(port)[0] == 200
    return port


def path_of(daemon, index=0):
    argv = procfs.read(f"/proc/{daemon.pid_of('web', index)}/cmdline").split("\0")
    return argv[2]


def test_served_and_probed(daemon):
    port = serve(daemon, replicas=2)
    assert path_of(daemon, 0).endswith("/web.0/http") and path_of(daemon, 1).endswith("/web.1/http")
    assert len({ask(port)[1][0]["me"] for _ in range(20)}) == 2
    assert path_of(daemon, 0) in str(daemon.describe("web"))  # where the probe asks


def test_several_ports(daemon):
    a, b = free_port(), free_port()
    ports = {"http": {"port": a}, "admin": {"port": b}, "plain": {}}
    daemon.apply({"web": at_path(
        daemon, None, ports=ports, probes={"readiness": {"tcp": {"port": "admin"}, "period": "100ms"}}) | {
            "command": ["/bin/sh", "-c", f'exec {daemon.svc} listen "$AT" "$ADMIN_AT"'],
            "environment": {"AT": "${SOCKET}", "ADMIN_AT": "${SOCKET_ADMIN}"}}})
    assert ask(a)[0] == ask(b)[0] == 200


def test_a_killed_one_leaves_nothing_in_the_way(daemon):
    port = serve(daemon, restart={"backoff": {"initial": "10ms"}})
    for _ in range(3):
        pid = daemon.pid_of("web")
        procfs.kill(pid)
        wait_for(lambda old=pid: (p := daemon.pid_of("web")) and p != old, what="another process")
        assert ask(port)[0] == 200


def test_updates_lose_nothing(daemon):
    port = serve(daemon, replicas=2)
    with Load(port) as load:
        for i in range(3):
            daemon.apply({"web": at_path(daemon, port, replicas=2, environment={"ROUND": str(i)})})
            load.flows()
        daemon.ok("scale", "web=3")
        load.flows()
        daemon.ok("scale", "web=1")
        load.flows()
    load.check()


def test_from_port_to_socket_and_back(daemon):
    port = free_port()
    on_port = daemon.service("talk", port=port, update=START_FIRST,
                             probes={"readiness": {"tcp": {}, "period": "100ms"}},
                             stop={"drain": "20s", "grace_period": "5s"})
    daemon.apply({"web": on_port})
    wait_open(daemon)
    with Load(port) as load:
        daemon.apply({"web": at_path(daemon, port)})
        load.flows()
        daemon.apply({"web": on_port})
        load.flows()
    load.check()


def test_kill_of_aictld(daemon):
    port = serve(daemon, replicas=2)
    with Load(port) as load:
        for _ in range(2):
            daemon.crash()
            load.flows()
            daemon.start_again()
            wait_open(daemon)
            daemon.ok("restart", "web")
            load.flows()
    load.check()


def test_directories_go_with_the_service(daemon):
    serve(daemon)
    directory = os.path.dirname(path_of(daemon))
    assert os.path.isdir(directory)
    daemon.ok("delete", "web")
    wait_for(lambda: not os.path.exists(directory), what="the directory is gone")


def connect_as(user, path):
    """The errno of a connect by that user, 0 = it got through."""
    entry = pwd.getpwnam(user)
    script = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\n"
              "sys.exit(s.connect_ex(sys.argv[1]))")
    return subprocess.run(["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups",
                           sys.executable, "-c", script, path], check=False, timeout=30).returncode


@pytest.mark.needs_root
def test_nobody_else_gets_there(daemon):
    serve(daemon)
    path = path_of(daemon)
    s = os.stat(os.path.dirname(path))
    assert stat.S_IMODE(s.st_mode) == 0o2710
    assert s.st_uid == pwd.getpwnam("nobody").pw_uid
    assert s.st_gid == grp.getgrnam("aictl-gw").gr_gid or s.st_gid == pwd.getpwnam("aictl-gw").pw_gid
    assert connect_as("aictl-gw", path) == 0
    assert connect_as("nobody", path) == 0
    assert connect_as("daemon", path) != 0


@pytest.mark.needs_root
def test_only_sockets_are_opened_up(daemon):
    """A file, a link, or somebody else's socket under that name stays as it is."""
    victim = os.path.join(daemon.base, "victim")
    with open(victim, "w", encoding="ascii"):
        pass
    os.chmod(victim, 0o600)
    os.chmod(daemon.base, 0o711)
    os.chown(victim, pwd.getpwnam("nobody").pw_uid, -1)
    script = f'd=${{SOCKET%/*}}; ln -s {victim} "$d/link"; touch "$d/file"; exec {daemon.svc} listen "$AT"'
    daemon.apply({"web": at_path(daemon, free_port()) | {
        "command": ["/bin/sh", "-c", script.replace("${SOCKET%", "$${AT%")],
        "environment": {"AT": "${SOCKET}"}}})
    directory = os.path.dirname(procfs.environ(daemon.pid_of("web"))["AT"])
    assert stat.S_IMODE(os.stat(victim).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.join(directory, "file")).st_mode) == 0o644
    assert stat.S_IMODE(os.stat(os.path.join(directory, "http")).st_mode) & 0o060 == 0o060


def test_too_long(daemon):
    name = "longer-than-what-fits"
    spec = at_path(daemon, None, "${SOCKET}", ports={name: {"port": free_port()}})
    path = daemon.write({"version": 1, "name": "shop", "services": {"w" * 63: spec}}, "long.yaml")
    rc, out, err = daemon.cli("apply", "-f", path)
    assert rc == 9 and "longer than the 107 bytes" in out + err, (out, err)


def test_those_of_a_former_aictld_go_too(daemon):
    """The process ended while nobody looked."""
    serve(daemon, restart={"policy": "never"})
    directory, pid = os.path.dirname(path_of(daemon)), daemon.pid_of("web")
    daemon.crash()
    procfs.kill(pid)
    wait_for(lambda: not procfs.alive(pid), what="it ends")
    daemon.start_again()
    wait_for(daemon.answers, what="aictld answers")
    assert os.path.isdir(directory)
    daemon.ok("delete", "web")
    wait_for(lambda: not os.path.exists(directory), what="the directory is gone")


def test_nothing_is_left_at_the_end(daemon):
    serve(daemon)
    top = os.path.dirname(os.path.dirname(path_of(daemon)))
    for i in range(100):
        os.mkdir(f"{top}/former.{i}")
    assert daemon.stop() == 0
    assert not os.path.exists(top)


@pytest.mark.needs_root
def test_a_link_leads_nowhere(daemon):
    """The gateway could get to the other service's socket, the one who made the link could not."""
    serve(daemon)
    port = free_port()
    spec = at_path(daemon, port, user="daemon", queue={"timeout": "1s"}) | {
        "command": ["/bin/sh", "-c", f'ln -s {path_of(daemon)} "$AT"; exec sleep 10000'],
        "environment": {"AT": "${SOCKET}"}}
    del spec["probes"]
    daemon.apply({"other": spec}, name="more")
    wait_open(daemon, "other")
    wait_for(lambda: os.path.islink(path_of(daemon).replace("/web.", "/other.")), what="the link is there")
    assert ask(port)[0] in (502, 503)
