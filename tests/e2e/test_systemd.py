"""aictld under a real systemd: the units that are installed, in a booted container, once with the
control groups of a unified and once with those of a hybrid machine.

What is shown: replicas and their output outlive every death and every change of aictld that systemd,
an administrator or a package brings about; a stop leaves nothing behind.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import random
import re
import signal
import threading
import time

import pytest

import harness
import nspawn
import procfs
from harness import wait_for

pytestmark = pytest.mark.machine
MISSING = nspawn.why_not()
TREES, PARTLY = ["unified", "hybrid"], None
if nspawn.hierarchies() == [nspawn.CGROUP]:
    TREES, PARTLY = ["unified"], "no hybrid control groups, the machine itself has unified ones only"
elif harness.built_with("AICTL_SANITIZED"):
    # What sees them is the whole suite: this machine is hybrid.
    TREES, PARTLY = ["unified"], "hybrid control groups are booted with the other build"
# What takes long and does not depend on the control groups.
once = pytest.mark.parametrize("machine", TREES[:1], indirect=True, scope="module")

SYSTEM_UNITS = ("aictld.service", "aictl-workloads.service", "aictld.socket")
OPTIONS = "AICTLD_OPTIONS=--default-user nobody\n"
DROP_IN = "/etc/systemd/system/aictld.service.d/test.conf"
KILLS = 20


@pytest.fixture(scope="module", params=TREES)
def machine(request):
    base = harness.new_base()
    guest = nspawn.Machine(base, request.param)
    try:
        yield guest.boot()
        reports = guest.sanitizer_reports()
    finally:
        print(guest.said()[-4000:])
        guest.end()
        left = procfs.end_all()
        harness.remove_base(base)
    assert not reports, "\n".join(reports)
    assert not left, left


@pytest.fixture
def server(machine):
    """aictld runs, with nothing of a former test; afterwards it is stopped."""
    machine.ok("sh", "-c", "rm -rf /var/lib/aictl/* /var/log/aictl/* /etc/aictl/services/*")
    machine.write("/etc/default/aictld", OPTIONS)
    san = " ".join(f"{k}={v}" for k, v in harness.sanitizer_env("/var/tmp").items())
    machine.write(DROP_IN, f"[Service]\nEnvironment={san}\n")
    machine.ok("systemctl", "daemon-reload")
    machine.ok("systemctl", "start", "aictld")
    yield machine
    machine.run("systemctl", "stop", "aictld.service", "aictl-workloads.service", "aictld.socket")
    print(machine.journal(n=200))
    machine.run("systemctl", "reset-failed")


def settings(machine, *lines):
    """More lines of [Service], for aictld's next start."""
    machine.write(DROP_IN, machine.read(DROP_IN) + "\n".join(lines) + "\n")
    machine.ok("systemctl", "daemon-reload")


def apply(machine, services):
    text = json.dumps({"version": 1, "name": "shop", "services": services})
    machine.write("/srv/shop.yaml", text)
    machine.aictl("apply", "-f", "/srv/shop.yaml", "--wait")


def writers(n=3):
    return {"command": ["/usr/local/bin/svc", "lines", "1000"], "replicas": n}


def pids(machine):
    """"service/index" -> pid, all of them ready."""
    def read():
        rc, out, _ = machine.run("aictl", "ps", "-o", "json")
        if rc != 0:
            return None
        found = {r["id"]: r for s in json.loads(out)["services"] for r in s["replicas"]}
        return found if all(r["state"] == "ready" for r in found.values()) else None
    return {name: r["pid"] for name, r in wait_for(read, what="all ready").items()}


def tree(machine):
    """The directory of its aictld's cgroups; None while there is none."""
    found = glob.glob(os.path.join(machine.cgroup("aictl-workloads.service"), "aictl-0-*"))
    assert len(found) <= 1, found
    return found[0] if found else None


def main_pid(machine):
    return int(machine.show("aictld", "MainPID"))


def seen_from_here(machine, pid):
    """The pid of a process inside, as this side counts."""
    for outer in procfs.descendants(machine.leader):
        m = re.search(r"^NSpid:.*\t(\d+)$", procfs.read(f"/proc/{outer}/status"), re.M)
        if m and int(m.group(1)) == pid:
            return outer
    raise AssertionError(f"no process {pid} inside")


def wait_restarted(machine, old):
    """Another main process, and systemd has its READY."""
    wait_for(lambda: main_pid(machine) not in (0, old), what=lambda: machine.journal())
    machine.wait_unit("aictld", "active")


def segments(machine, service, index):
    data = b""
    for path in sorted(glob.glob(machine.path(f"/var/log/aictl/{service}/{index}/*.log"))):
        with open(path, "rb") as f:
            data += f.read()
    return data


def nothing_left(machine):
    """No process, no cgroup and no socket of ours: what is there, else None."""
    ours = [c for comm, c in machine.processes().values()
            if comm.startswith(("aictl", "svc", "sleep"))]
    cgroups = [p for mount in ("", "/unified", "/systemd")
               for p in glob.glob(machine.path(f"/sys/fs/cgroup{mount}/system.slice/aictl*"))]
    sockets = glob.glob(machine.path("/run/aictl/aictl.sock"))
    return ours + cgroups + sockets or None


def stop(machine):
    machine.ok("systemctl", "stop", "aictld")
    wait_for(lambda: nothing_left(machine) is None, 10,
             lambda: f"{nothing_left(machine)}\n{machine.journal()}")


def test_units_are_clean(machine):
    for manager in ("--system", "--user"):
        rc, out, err = machine.run("env", "XDG_RUNTIME_DIR=/run", "systemd-analyze", manager,
                                   "verify", *SYSTEM_UNITS)
        assert (rc, out, err) == (0, "", "")
    for name, group in (("aictl", "aictl"), ("aictl-log", "aictl"), ("aictl-gw", "aictl-gw"),
                        ("aictl-rt", "aictl-rt")):
        assert machine.ok("id", "-gn", name).strip() == group


def test_start_and_status(server):
    apply(server, {"w": writers(2)})
    assert server.show("aictld", "Type") == "notify"
    wait_for(lambda: server.show("aictld", "StatusText") ==
             "replicas: 2 running, 0 starting, 0 stopping, 0 down",
             what=lambda: server.show("aictld", "StatusText"))
    assert {"w.0", "w.1"} <= set(os.listdir(tree(server)))
    own = procfs.read(os.path.join(server.cgroup("aictld.service"), "cgroup.procs")).split()
    assert len(own) == 3, "aictld and its helpers, no replica"


def test_lines_reach_the_journal(server):
    command = ["sh", "-c", "echo '<3>broken'; echo 'WARNING: low' >&2; echo hello; exec sleep 1000"]
    apply(server, {"j": {"command": command, "logs": {"to": ["file", "journald"]}}})

    def read():
        rc, out, _ = server.run("journalctl", "-o", "json", "--no-pager", "SYSLOG_IDENTIFIER=j", "AICTL_SERVICE=j")
        lines = {line["MESSAGE"]: line for line in map(json.loads, out.splitlines())} if rc == 0 else {}
        return lines if len(lines) >= 3 else None
    lines = wait_for(read, what=server.journal)
    assert {text: line["PRIORITY"] for text, line in lines.items()} == {"broken": "3", "WARNING: low": "4", "hello": "6"}
    line = lines["WARNING: low"]
    assert (line["AICTL_REPLICA"], line["AICTL_STREAM"], line["AICTL_REVISION"]) == ("j/0", "stderr", "1")
    assert b"<3>broken" in segments(server, "j", 0)


def test_the_journal_has_each_line_whatever_dies(server):
    """journald restarted, and the logger killed, under a writer: none is missing."""
    services = {"w": dict(writers(1), logs={"to": ["file", "journald"]})}
    apply(server, services)

    def there():
        rc, out, _ = server.run("journalctl", "-o", "cat", "--no-pager", "SYSLOG_IDENTIFIER=w", "AICTL_SERVICE=w")
        return set(out.splitlines()) if rc == 0 else set()
    wait_for(lambda: len(there()) > 10, what=server.journal)
    server.ok("pkill", "-9", "-x", "aictl-logger")
    server.ok("systemctl", "restart", "systemd-journald")
    server.ok("systemctl", "stop", "aictld.service", "aictl-workloads.service")
    want = set(segments(server, "w", 0).decode().splitlines())
    server.ok("systemctl", "start", "aictld")
    wait_for(lambda: want <= there(), what=lambda: sorted(want - there())[:5])


def test_replicas_outlive_everything(server):
    """Kills, restarts, reloads, reexecs and a new binary: the same processes, every line."""
    apply(server, {"w": writers(3)})
    before = pids(server)
    for _ in range(KILLS):
        old = main_pid(server)
        server.ok("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "aictld")
        wait_restarted(server, old)
        time.sleep(random.uniform(0, 0.3))  # at whatever it is doing
    assert pids(server) == before
    assert int(server.show("aictld", "NRestarts")) == KILLS
    for _ in range(3):
        old = main_pid(server)
        server.ok("systemctl", "restart", "aictld")
        assert main_pid(server) != old
        assert pids(server) == before
    server.ok("systemctl", "reload", "aictld")
    assert pids(server) == before
    old = main_pid(server)
    server.aictl("daemon", "reexec")
    assert main_pid(server) == old
    assert pids(server) == before
    replace_programs(server)
    server.aictl("daemon", "reexec")
    assert main_pid(server) == old
    assert "(deleted)" not in os.readlink(f"/proc/{seen_from_here(server, old)}/exe")
    assert pids(server) == before
    server.ok("systemctl", "daemon-reexec")  # systemd's own
    assert pids(server) == before
    stop(server)
    for index in range(3):
        assert harness.numbered(segments(server, "w", index)) > 1000


def replace_programs(machine):
    """As a package does it: new files, renamed over those that run."""
    for name in ("sbin/aictld", "libexec/aictl/aictl-controller", "libexec/aictl/aictl-logger"):
        for prefix in ("/usr", "/usr/local"):
            path = f"{prefix}/{name}"
            if os.path.exists(machine.path(path)):
                machine.ok("sh", "-c", f"cp -p {path} {path}.new && mv {path}.new {path}")


def test_stop_leaves_nothing(server):
    """Escapees included; and it does not start again by itself."""
    apply(server, {"w": writers(2), "esc": {"command": ["/usr/local/bin/svc", "escape"],
                                            "stop": {"grace_period": "500ms"}}})
    server.ok("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "aictld")
    pids(server)
    stop(server)
    assert server.show("aictld", "Result") == "success"
    assert server.run("aictl", "ps")[0] == 6, "the socket must not start it"
    assert server.show("aictld", "ActiveState") == "inactive"
    server.ok("systemctl", "start", "aictld")
    assert set(pids(server)) == {"w/0", "w/1", "esc/0"}, "what was desired is there again"


class Hung:
    """A process that does not react to anything: also SIGCONT, which systemd sends, is undone."""

    def __init__(self, pid):
        self.pid = pid
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._hold)

    def _hold(self):
        while not self.over.is_set() and procfs.kill(self.pid, signal.SIGSTOP):
            time.sleep(0.001)

    def __enter__(self):
        self.thread.start()
        wait_for(lambda: procfs.stopped(self.pid), what="it is stopped")

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


@once
def test_stop_of_a_hung_aictld(server):
    """It has to be killed: what it left goes, too."""
    settings(server, "TimeoutStopSec=2s")
    apply(server, {"w": writers(2)})
    with Hung(seen_from_here(server, main_pid(server))):
        stop(server)
    assert server.show("aictld", "Result") == "timeout"


@once
def test_restart_of_a_hung_aictld(server):
    """Here, too, the successor takes over."""
    apply(server, {"w": writers(2)})
    before = pids(server)
    with Hung(seen_from_here(server, main_pid(server))):
        server.ok("systemctl", "restart", "aictld", timeout=180)
    assert pids(server) == before


def test_watchdog(server):
    """An aictld that does not turn is replaced; its services are not touched."""
    settings(server, "WatchdogSec=2s")
    server.ok("systemctl", "restart", "aictld")
    apply(server, {"w": writers(2)})
    before, old = pids(server), main_pid(server)
    time.sleep(3)  # longer than the limit: it is fed
    assert main_pid(server) == old
    os.kill(seen_from_here(server, old), signal.SIGSTOP)
    wait_restarted(server, old)
    assert pids(server) == before
    assert "Watchdog timeout" in server.journal(n=200)
    stop(server)
    for index in range(2):
        harness.numbered(segments(server, "w", index))


def test_socket_activation(server):
    stop(server)
    server.ok("systemctl", "start", "aictld.socket")
    assert main_pid(server) == 0
    assert "services" in json.loads(server.aictl("ps", "-o", "json"))
    assert main_pid(server) > 0
    inode = os.stat(server.path("/run/aictl/aictl.sock")).st_ino
    server.ok("systemctl", "restart", "aictld")
    assert os.stat(server.path("/run/aictl/aictl.sock")).st_ino == inode, "systemd holds it"
    server.aictl("ps")


def test_ports_by_systemd(server):
    """A stable port is systemd's socket, before and after a restart, and a replica can get it."""
    port, conf = 81, "/etc/systemd/system/aictld.socket.d/ports.conf"
    stop(server)
    server.write(conf, f"[Socket]\nListenStream=127.0.0.1:{port}\n")
    try:
        server.ok("systemctl", "daemon-reload")
        server.ok("systemctl", "start", "aictld.socket")
        apply(server, {"web": {"command": ["/usr/local/bin/svc", "listen", "fds"],
                               "ports": {"http": {"port": port, "mode": "socket"}}}})

        def socket_of_replica():
            (pid,) = (seen_from_here(server, pid) for pid in pids(server).values())
            return os.readlink(f"/proc/{pid}/fd/3")

        inode = socket_of_replica()
        assert inode in procfs.fds(server.leader).values(), "it is systemd's"
        server.ok("systemctl", "restart", "aictld")
        server.aictl("restart", "web")
        assert socket_of_replica() == inode
    finally:
        server.ok("rm", "-r", os.path.dirname(conf))
        stop(server)
        server.ok("systemctl", "daemon-reload")


def test_detach(server):
    """The services run on without aictld until it is started again."""
    apply(server, {"w": writers(2)})
    before = pids(server)
    inner = [seen_from_here(server, pid) for pid in before.values()]
    assert "systemctl start aictld" in server.aictl("daemon", "detach")
    server.wait_unit("aictld", "inactive")
    assert server.show("aictld", "Result") == "success"
    assert all(procfs.alive(pid) for pid in inner)
    server.ok("systemctl", "start", "aictld")
    assert pids(server) == before
    stop(server)
    for index in range(2):
        harness.numbered(segments(server, "w", index))


def test_daemon_stop_is_meant(server):
    """aictl daemon stop: systemd does not start it again, and nothing is left."""
    apply(server, {"w": writers(2)})
    server.aictl("daemon", "stop")
    server.wait_unit("aictld", "inactive")
    wait_for(lambda: nothing_left(server) is None, 10, lambda: str(nothing_left(server)))


def test_wrong_options_are_not_tried_for_ever(server):
    stop(server)
    server.write("/etc/default/aictld", "AICTLD_OPTIONS=--nonsense\n")
    rc, _, _ = server.run("systemctl", "start", "aictld")
    assert rc != 0
    assert server.run("aictl", "ps")[0] == 6
    time.sleep(0.5)
    assert server.show("aictld", "ActiveState") == "failed"
    assert int(server.show("aictld", "NRestarts")) == 0


def test_manifest_directory(server):
    """systemctl reload applies it."""
    server.write("/etc/aictl/services/shop.yaml", json.dumps(
        {"version": 1, "name": "shop", "services": {"w": writers(1)}}))
    server.ok("systemctl", "reload", "aictld")
    wait_for(lambda: "w/0" in server.replicas(), what=server.journal)
    assert server.show("aictld", "ActiveState") == "active"


def test_the_cgroups_unit(server):
    """Stopping it stops aictld first; its sleep killed, all comes back in new cgroups."""
    apply(server, {"w": writers(2)})
    holder = int(server.show("aictl-workloads", "MainPID"))
    server.ok("kill", "-KILL", str(holder))
    wait_for(lambda: int(server.show("aictl-workloads", "MainPID")) not in (0, holder),
             what=server.journal)
    wait_for(lambda: tree(server) and procfs.read(f"{tree(server)}/w.0/cgroup.procs").strip(),
             what=server.journal)
    assert set(pids(server)) == {"w/0", "w/1"}
    server.ok("systemctl", "stop", "aictl-workloads")
    assert "stopping everything" in server.journal(n=200)
    wait_for(lambda: nothing_left(server) is None, 10, lambda: str(nothing_left(server)))


def test_journal_has_fields(server):
    apply(server, {"w": writers(1)})

    def find(*match):
        out = server.ok("journalctl", "-q", "-o", "json", "-u", "aictld", *match)
        return [json.loads(line) for line in out.splitlines()]
    entry = wait_for(lambda: find("AICTL_REPLICA=w/0", "AICTL_TO=ready"))[0]
    assert entry["AICTL_SERVICE"] == "w"
    assert entry["AICTL_REASON"] == "started"
    assert entry["PRIORITY"] == "6"
    assert entry["SYSLOG_IDENTIFIER"] == "aictl-controller"
    assert entry["MESSAGE"].startswith("replica=w/0 from=starting")
    server.ok("kill", "-KILL", str(json.loads(server.aictl("daemon", "info", "-o", "json"))
                                   ["controller_pid"]))
    entry = wait_for(lambda: find("AICTL_HELPER=aictl-controller", "PRIORITY=4"))[0]
    assert entry["SYSLOG_IDENTIFIER"] == "aictld"
    assert "died" in entry["MESSAGE"]


@pytest.fixture
def user(machine):
    """The uid of an ordinary user with a systemd of its own."""
    machine.run("useradd", "--create-home", "tester")
    uid = machine.ok("id", "-u", "tester").strip()
    machine.ok("systemctl", "start", "dbus", "systemd-logind")
    machine.ok("loginctl", "enable-linger", "tester")
    wait_for(lambda: machine.run("systemctl", "--user", "is-system-running",
                                 user=uid)[1].strip() == "running", what="the user's systemd")
    yield uid
    machine.run("systemctl", "--user", "stop", "aictld", user=uid)
    print(machine.run("journalctl", "-q", "--no-pager", f"_UID={uid}")[1])
    machine.ok("systemctl", "stop", f"user@{uid}.service", "systemd-logind", "dbus.service")


def test_user_units(machine, user):
    """The same for a user without any privilege."""
    def ctl(*args):
        return machine.ok("systemctl", "--user", *args, user=user)
    machine.write("/srv/user.yaml", json.dumps(
        {"version": 1, "name": "own", "services": {"w": writers(2)}}))
    ctl("start", "aictld")
    machine.aictl("apply", "-f", "/srv/user.yaml", "--wait", user=user)
    before = {k: v[1] for k, v in machine.replicas(user=user).items()}
    old = ctl("show", "-P", "MainPID", "aictld")
    ctl("restart", "aictld")
    assert ctl("show", "-P", "MainPID", "aictld") != old
    ctl("kill", "--kill-whom=main", "-s", "KILL", "aictld")
    wait_for(lambda: ctl("show", "-P", "NRestarts", "aictld").strip() == "1" and
             ctl("show", "-P", "ActiveState", "aictld").strip() == "active")
    wait_for(lambda: machine.run("aictl", "ps", user=user)[0] == 0)
    assert {k: v[1] for k, v in machine.replicas(user=user).items()} == before
    ctl("stop", "aictld")
    wait_for(lambda: nothing_left(machine) is None, 10, lambda: str(nothing_left(machine)))
