"""Stable ports whose listening sockets come with the start (LISTEN_FDS), as from a unit aictld.socket of
systemd: they are used instead of being bound, so a port below 1024 needs no rights.

SPDX-License-Identifier: MIT
"""
import json
import socket

import pytest

import procfs
from harness import AS_ROOT, wait_for
from test_gateway_life import present
from test_socket_mode import inodes, listener
from test_traffic import ask, free_port, talker, wait_open

GIVE = """import json, os, socket, sys
sockets = []
for host, port in json.loads(sys.argv[1]):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if ":" in host:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind((host, port))
    s.listen()
    sockets.append(os.dup(s.fileno()))
for i, fd in enumerate(sockets):
    os.dup2(fd, 100 + i)
for i in range(len(sockets)):
    os.dup2(100 + i, 3 + i, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)))
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def given(start):
    """given(port, ...): a daemon that was started with listening sockets there."""
    def begin(*ports, host="127.0.0.1"):
        return start(init=True, wrapper=["/usr/bin/python3", "-c", GIVE, json.dumps([[host, p] for p in ports])])
    return begin


def held(pid):
    return set(inodes(pid).values())


def aictld(daemon):
    return daemon.get("/v1/daemon")["pid"]


def accepting(port, host="127.0.0.1"):
    """The inode of the socket that listens there."""
    want = f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
    for line in procfs.read("/proc/net/tcp").splitlines()[1:]:
        field = line.split()
        if field[1] == want and field[3] == "0A":
            return f"socket:[{field[9]}]"
    return None


def test_used_instead_of_bound(given):
    port = free_port()
    daemon = given(port)
    inode = accepting(port)
    assert inode
    if AS_ROOT:  # nobody else sees what aictld has
        assert inode in held(aictld(daemon))
    daemon.apply({"web": talker(daemon, port)})
    wait_open(daemon)
    assert ask(port)[0] == 200
    assert accepting(port) == inode
    if AS_ROOT:
        assert inode in held(daemon.helper("gateway"))


def test_handed_on_to_replicas(given):
    port = free_port()
    daemon = given(port)
    inode = accepting(port)
    daemon.apply({"web": listener(daemon, port)})
    assert ask(port)[0] == 200
    assert inodes(daemon.pid_of("web"))[3] == inode


def test_it_stays_open_without_a_service(given):
    port = free_port()
    daemon = given(port)
    inode = accepting(port)
    for _ in range(2):
        daemon.apply({"web": talker(daemon, port)})
        wait_open(daemon)
        assert ask(port)[0] == 200
        daemon.ok("delete", "web")
        wait_for(lambda: not daemon.ps(), what="the service is gone")
        assert accepting(port) == inode


def test_over_a_reexec(given):
    a, b = free_port(), free_port()
    daemon = given(a, b)
    before = accepting(a), accepting(b)
    daemon.apply({"web": talker(daemon, a)})
    wait_open(daemon)
    old = present(daemon)
    daemon.ok("daemon", "reexec")
    wait_for(lambda: (pid := present(daemon)) and pid != old, what="another gateway")
    assert ask(a)[0] == 200
    daemon.apply({"web": talker(daemon, a), "other": talker(daemon, b)})
    wait_open(daemon, "other")
    assert ask(b)[0] == 200
    assert (accepting(a), accepting(b)) == before


def test_all_addresses(given):
    """systemd's ListenStream=80 is [::]:80, which takes IPv4 in."""
    port = free_port()
    daemon = given(port, host="::")
    spec = talker(daemon, port, ports={"http": {"port": port, "listen": "0.0.0.0"}})
    del spec["port"]
    daemon.apply({"web": spec})
    wait_open(daemon)
    assert ask(port)[0] == 200


def test_parent_fd_keeps_its_number_over_a_reexec(start):
    """The API's socket goes first then, so that one of theirs would come there."""
    give = GIVE.replace("os.environ", "r, w = os.pipe()\nos.dup2(r, 5, inheritable=True)\n"
                        "os.set_inheritable(w, True)\nos.environ")
    daemon = start("--parent-fd", "5", init=True, wrapper=[
        "/usr/bin/python3", "-c", give, json.dumps([["127.0.0.1", free_port()] for _ in range(2)])])
    pid = aictld(daemon)
    pipe = procfs.fds(pid)[5]
    daemon.ok("daemon", "reexec")
    assert pipe.startswith("pipe:") and procfs.fds(pid)[5] == pipe
