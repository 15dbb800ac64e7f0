"""`aictl up`: a daemon for as long as its terminal.

SPDX-License-Identifier: MIT
"""
import fcntl
import json
import os
import pty
import re
import signal
import termios

import pytest

import fake_engine
import procfs
from harness import stable_ports, wait_for
from up import Up, all_gone

PORTS = stable_ports(18980)

SERVICES = ("idle", "talk")


@pytest.fixture
def up(base):
    instance = Up(base)
    os.mkdir(instance.directory)
    svc = os.path.join(base, "svc")
    services = {"idle": {"command": [svc, "pause"], "replicas": 2},
                "talk": {"command": [svc, "lines", "50000"]}}
    write(instance, json.dumps({"version": 1, "name": "demo", "services": services}))
    yield instance
    print(procfs.read(instance.out))


def write(up, text):
    with open(os.path.join(up.directory, "aictl.yaml"), "w", encoding="utf-8") as f:
        f.write(text)


def test_up_without_a_terminal_and_down(up):
    process = up.start()
    pids = up.wait_ready(*SERVICES)
    assert len(pids) == 3
    assert procfs.environ(pids[0])["FROM_CALLER"] == "yes"
    wait_for(lambda: "demo: all ready" in procfs.read(up.out), what=lambda: procfs.read(up.out))
    assert "\x1b" not in procfs.read(up.out)  # plain lines
    up.down(process)


def test_where_a_service_is_reached(up):
    """Under the service's name, for no replica is meant."""
    port = next(PORTS)
    write(up, f"""version: 1
name: demo
services:
  web: {{ command: [sleep, "1000"], replicas: 2, port: {port} }}
""")
    process = up.start()
    wait_for(lambda: re.search(rf"^web +on 127\.0\.0\.1:{port}$", procfs.read(up.out), re.M),
             what=lambda: procfs.read(up.out))
    up.down(process)


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all(up, signo):
    process = up.start()
    up.wait_ready(*SERVICES)
    process.send_signal(signo)
    assert process.wait(30) in (0, 128 + signo, -signo)
    all_gone()


def test_killed_up_stops_all(up):
    process = up.start()
    up.wait_ready(*SERVICES)
    process.kill()
    process.wait()
    all_gone()


def aictld_of(process):
    return next((p for p in procfs.children(process.pid) if procfs.is_alive_as(p, "aictld")), None)


def kill_aictld(up, process):
    old = wait_for(lambda: aictld_of(process))
    os.kill(old, signal.SIGKILL)
    return wait_for(lambda: (new := aictld_of(process)) != old and new, what="another aictld")


def test_killed_aictld_comes_back(up):
    """The replicas are the same; Ctrl-C still stops them all, and so does our own death."""
    process = up.start()
    pids = up.wait_ready(*SERVICES)
    for _ in range(2):
        kill_aictld(up, process)
        assert up.wait_ready(*SERVICES) == pids
    wait_for(lambda: "starting it again" in procfs.read(up.out), what=lambda: procfs.read(up.out))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    all_gone()


def test_killed_aictld_comes_back_and_up_dies(up):
    process = up.start()
    pids = up.wait_ready(*SERVICES)
    kill_aictld(up, process)
    assert up.wait_ready(*SERVICES) == pids
    process.kill()
    process.wait()
    all_gone()


def test_killed_aictld_comes_back_five_times(up):
    process = up.start()
    up.wait_ready(*SERVICES)
    for _ in range(5):
        kill_aictld(up, process)
        up.wait_ready(*SERVICES)
    os.kill(aictld_of(process), signal.SIGKILL)
    assert process.wait(30) == 1
    said = procfs.read(up.out)
    assert "its services may still run" in said and "aictl up` here again" in said
    again = up.start()  # takes them over, and starts them anew from the manifest
    up.wait_ready(*SERVICES)
    up.down(again)


def contained(up):
    """A container, of an engine at a socket of the test's own: its path."""
    path = os.path.join(up.base, "engine.sock")
    up.env["DOCKER_HOST"] = "unix://" + path
    write(up, json.dumps({"version": 1, "name": "demo", "services": {
        "web": {"image": "bb:1", "replicas": 2, "stop": {"grace_period": "1s"}}}}))
    return path


def wait_unknown(up):
    def unknown():
        web = up.ps().get("web")
        return web and len(web["replicas"]) == 2 and all(r["state"] == "unknown" for r in web["replicas"])
    wait_for(unknown, what=lambda: f"{procfs.read(up.out)}\n{up.cli('ps')}")


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
def test_without_an_engine(up, killed):
    """No engine can have heard of the starts: nothing is left behind, nor is anything found later."""
    contained(up)
    process = up.start()
    wait_unknown(up)
    if killed:
        kill_aictld(up, process)
        wait_unknown(up)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    all_gone()
    assert "left containers behind" not in procfs.read(up.out)
    write(up, json.dumps({"version": 1, "name": "demo", "services": {"other": {"command": ["sleep", "1000"]}}}))
    process = up.start()
    up.wait_ready("other")
    assert "not known" not in procfs.read(up.out)
    up.down(process)


def test_an_engine_that_goes_while_it_starts(up):
    """It may have made a container: that is not forgotten, and removed when it is back."""
    path = contained(up)
    with fake_engine.Engine(path) as engine:
        os.chmod(path, 0o666)
        engine.fault("POST .*/start", times=99, delay=60)
        process = up.start()
        wait_for(lambda: len(engine.containers) == 2 and engine.count("POST .*/start") == 2,
                 what=lambda: procfs.read(up.out))
        engine.stop()
        wait_unknown(up)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
        assert "left containers behind" in procfs.read(up.out)
        all_gone()
        engine.faults.clear()
        engine.start()
        os.chmod(path, 0o666)
        process = up.start()
        wait_for(lambda: len(engine.containers) == 2 and all(c.state == "running" for c in engine.containers.values()),
                 what=lambda: f"{engine.containers}\n{procfs.read(up.out)}")
        up.wait_ready("web")
        up.down(process)
        assert not engine.containers


def test_closed_terminal_stops_all(up):
    """The terminal's master side goes away: SIGHUP for up, and what it started ends."""
    master, slave = pty.openpty()
    process = up.start(stdin=slave, stdout=slave, stderr=slave,
                       preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
    os.close(slave)
    up.wait_ready(*SERVICES)
    assert b"demo: " in os.read(master, 1 << 16)  # the live progress
    os.close(master)
    process.wait(30)
    all_gone()


def test_second_up_is_refused(up):
    process = up.start()
    pids = up.wait_ready(*SERVICES)
    second = up.cli("up")
    assert second.returncode != 0 and second.stderr.strip()
    assert up.wait_ready(*SERVICES) == pids
    up.down(process)


def test_malformed_manifest(up):
    write(up, "version: 1\nservices: {}\nnonsense: 1\n")
    done = up.cli("up")
    assert done.returncode == 9 and "aictl.yaml:3:1" in done.stderr
    all_gone()


def test_down_without_up(up):
    assert up.cli("down").returncode == 6
