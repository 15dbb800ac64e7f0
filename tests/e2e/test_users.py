"""Who runs as whom, and who may open what: as root, and as an ordinary user.

SPDX-License-Identifier: MIT
"""
import grp
import os
import pwd
import stat
import subprocess

import pytest

import procfs
from harness import program, wait_for

READY = {"readiness": {"http": {"path": "/ready"}, "period": "200ms"}}


def owner_and_mode(path):
    st = os.stat(path)
    return pwd.getpwuid(st.st_uid)[0], grp.getgrgid(st.st_gid)[0], stat.S_IMODE(st.st_mode)


@pytest.mark.needs_root
def test_root_splits_rights(daemon):
    daemon.apply({"idle": daemon.shell("echo hello; exec sleep 1000")})
    assert procfs.uid(daemon.pid) == 0
    assert procfs.uid(daemon.helper("controller")) == pwd.getpwnam("aictl").pw_uid
    assert procfs.uid(daemon.helper("logger")) == pwd.getpwnam("aictl-log").pw_uid
    assert procfs.uid(daemon.pid_of("idle")) == pwd.getpwnam("nobody").pw_uid
    assert owner_and_mode(daemon.runtime_dir) == ("root", "root", 0o755)
    assert owner_and_mode(os.path.join(daemon.runtime_dir, "sup"))[2] == 0o755
    assert owner_and_mode(daemon.state_dir)[::2] == ("aictl", 0o700)
    assert owner_and_mode(daemon.log_dir) == ("aictl-log", "aictl", 0o2750)
    assert owner_and_mode(daemon.socket) == ("root", "aictl", 0o660)
    wait_for(lambda: daemon.segments("idle"), what="the log is written")
    directory = os.path.join(daemon.log_dir, "idle", "0")
    assert owner_and_mode(directory) == ("aictl-log", "aictl", 0o2750)
    for name in os.listdir(directory):
        assert owner_and_mode(os.path.join(directory, name)) == ("aictl-log", "aictl", 0o640)


@pytest.mark.needs_root
def test_root_wants_its_system_users(base):
    """In a mount namespace of its own whose /etc/passwd lacks them."""
    passwd = os.path.join(base, "passwd")
    with open("/etc/passwd", encoding="utf8") as file, open(passwd, "w", encoding="utf8") as out:
        out.writelines(line for line in file if not line.startswith("aictl"))
    os.chmod(passwd, 0o644)
    script = 'mount --bind "$1" /etc/passwd && exec "$2" --runtime-dir "$3" --state-dir "$3/s" --log-dir "$3/l"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", passwd, program("aictld"),
                           os.path.join(base, "run")], capture_output=True, text=True, timeout=20,
                          check=False)
    assert done.returncode == 2
    assert "user aictl does not exist" in done.stderr
    assert "scripts/deps" in done.stderr and "useradd --system" in done.stderr
    assert not os.path.exists(os.path.join(base, "run"))


@pytest.mark.needs_root
def test_root_wants_a_user_for_each_service(start):
    daemon = start()
    spec = {"version": 1, "name": "shop", "services": {"idle": {"command": [daemon.svc, "pause"]}}}
    rc, _, err = daemon.cli("apply", "-f", daemon.write(spec))
    assert rc != 0 and "user" in err
    assert daemon.ps() == {}


@pytest.mark.needs_root
def test_default_user(start):
    daemon = start("--default-user", "nobody")
    daemon.apply({"idle": {"command": [daemon.svc, "pause"]}})
    assert procfs.uid(daemon.pid_of("idle")) == pwd.getpwnam("nobody").pw_uid


@pytest.mark.needs_root
def test_unknown_user_is_an_error(daemon):
    spec = {"idle": daemon.service("pause", user="no-such-user")}
    path = daemon.write({"version": 1, "name": "shop", "services": spec})
    rc, _, err = daemon.cli("apply", "-f", path, "--wait", "--timeout", "5s")
    assert rc != 0 and "no-such-user" in err


@pytest.mark.needs_root
def test_a_stranger_may_not_apply(daemon):
    daemon.apply({"idle": daemon.service("pause")})
    rc, _, _ = daemon.cli_as("nobody", "stop", "idle")
    assert rc in (6, 7)
    assert daemon.ps()["idle"]["state"] == "ready"


@pytest.mark.needs_root
def test_an_ordinary_user_can_do_it_all(start):
    """The life of a service once more, everything under one uid that is not root's."""
    daemon = start(user="nobody")
    uid = pwd.getpwnam("nobody").pw_uid
    daemon.apply({"web": daemon.service("http", port=18140, replicas=2, probes=READY),
                  "talk": daemon.shell("echo one > /dev/stdout; exec sleep 1000")})
    assert {procfs.uid(p) for p in [*daemon.our_pids(), *daemon.pids("web").values()]} == {uid}
    for path in (daemon.runtime_dir, daemon.state_dir, daemon.log_dir):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o600
    wait_for(lambda: "one" in daemon.ok("logs", "talk", "-o", "raw"), what="the log line")
    pid = daemon.pid_of("web")
    procfs.kill(pid)
    daemon.wait_new_pid("web", pid)
    daemon.wait_state("web", "ready")
    for which in ("controller", "logger"):
        old = daemon.helper(which)
        procfs.kill(old)
        wait_for(lambda w=which, o=old: daemon.helper(w) not in (None, o), what=f"a new {which}")
    daemon.ok("scale", "web=3")
    wait_for(lambda: daemon.ps()["web"]["ready"] == 3, what=daemon.ps)
    daemon.ok("stop", "web")
    daemon.wait_state("web", "stopped")
    path = daemon.write({"version": 1, "name": "shop",
                         "services": {"idle": {"command": [daemon.svc, "pause"], "user": "root"}}})
    assert daemon.cli("apply", "-f", path, "--wait", "--timeout", "2s")[0] != 0
