"""Secrets and env_file: what reaches the service, and that it reaches nobody else.

A secret is a file of the service's user; its content is in no answer, log, event, environment or
command line. What a client names is read with the client's rights, never with the daemon's.

SPDX-License-Identifier: MIT
"""
import glob
import grp
import json
import os
import pwd
import re
import stat
import subprocess
import uuid

import pytest

import procfs
from harness import AS_ROOT, IN_PLACE, UnixConnection, program, wait_for

SECRET = "hunter2-Zk9mPq"
ROTATED = "correct-horse-7Yx"
VALUE = "environment-vAlUe-93"
USER = {"user": "nobody"} if AS_ROOT else {}
SHADOW = "/etc/shadow"


def setup_secret(daemon, content=SECRET, name="tok"):
    path = os.path.join(daemon.base, "m", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        os.unlink(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf8") as f:
        f.write(content)
    return path


def manifest(daemon, **keys):
    """A service with a secret that says where it is and how long."""
    script = ("[ \"$(cat ${secret:tok})\" = \"$$(cat ${secret:tok})\" ] && "
              "echo length $$(wc -c < ${secret:tok}); exec sleep 1000")
    spec = {"command": ["/bin/sh", "-c", script, "${secret:tok}"],
            "environment": {"TOKEN_FILE": "${secret:tok}", "PASS": VALUE},
            "secrets": {"tok": {"file": "./tok"}}, "update": IN_PLACE, **USER, **keys}
    if daemon.engine:
        spec = {**daemon.contained(spec), "init": True}
    return daemon.write({"version": 1, "name": "shop", "services": {"chat": spec}})


def secret_path(daemon, service="chat", index=0):
    def named():  # empty for a moment while a shell executes the next program
        pid = daemon.pid_of(service, index)
        return re.search(r"TOKEN_FILE=([^\0]*)", procfs.read(f"/proc/{pid}/environ"))
    return wait_for(named, what=lambda: daemon.ps()[service]).group(1)


def content(daemon, path, index=0):
    """What the service sees there: the path is one of its container where it has one."""
    return procfs.read(f"/proc/{daemon.pid_of('chat', index)}/root{path}" if daemon.engine else path)


def raw(daemon, method, path, body=None):
    connection = UnixConnection(daemon.socket, 30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        return connection.getresponse().read().decode("utf8", "replace")
    finally:
        connection.close()


def test_a_secret_is_a_file_of_the_user(daemon):
    setup_secret(daemon)
    daemon.ok("apply", "-f", manifest(daemon), "--wait")
    path = secret_path(daemon)
    st = os.stat(path)
    assert stat.S_IMODE(st.st_mode) == 0o400
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o500
    assert st.st_uid == procfs.uid(daemon.pid_of("chat"))
    assert procfs.read(path) == SECRET
    wait_for(lambda: [e for e in daemon.logged("chat") if e["line"] == f"length {len(SECRET)}"],
             what="the service has read it")
    if AS_ROOT:
        done = subprocess.run(["setpriv", "--reuid=1", "--regid=1", "--clear-groups", "cat", path],
                              capture_output=True, text=True, check=False)
        assert done.returncode != 0 and SECRET not in done.stdout
        done = subprocess.run(["setpriv", "--reuid=1", "--regid=1", "--clear-groups", "ls",
                               os.path.dirname(os.path.dirname(path))], capture_output=True,
                              text=True, check=False)
        assert done.returncode != 0


@pytest.mark.containers
def test_a_changed_content_replaces(daemon):
    setup_secret(daemon)
    path = manifest(daemon)
    daemon.ok("apply", "-f", path, "--wait")
    pid, old = daemon.pid_of("chat"), secret_path(daemon)
    daemon.ok("apply", "-f", path, "--wait")
    assert daemon.pid_of("chat") == pid
    setup_secret(daemon, ROTATED)
    out = daemon.ok("plan", "-f", path)
    assert "secrets" in out and ROTATED not in out and SECRET not in out
    daemon.ok("apply", "-f", path, "--wait")
    assert daemon.pid_of("chat") != pid
    new = secret_path(daemon)
    assert content(daemon, new) == ROTATED
    if daemon.engine:
        assert new == old == "/run/secrets/tok"
    else:
        assert new != old
        wait_for(lambda: not os.path.exists(old), what="the former one is removed")
    # what changes nothing of them leaves them where they are
    daemon.ok("apply", "-f", manifest(daemon, replicas=2), "--wait")
    assert secret_path(daemon) == secret_path(daemon, index=1) == new


@pytest.mark.containers
def test_secrets_outlive_the_controller(daemon):
    setup_secret(daemon)
    daemon.ok("apply", "-f", manifest(daemon), "--wait")
    pid, path = daemon.pid_of("chat"), secret_path(daemon)
    old = daemon.helper("controller")
    procfs.kill(old)
    wait_for(lambda: daemon.helper("controller") not in (None, old), what="a new controller")
    daemon.wait_state("chat", "ready")
    assert daemon.pid_of("chat") == pid and content(daemon, path) == SECRET
    procfs.kill(pid)  # the next one finds them at the same place
    daemon.wait_new_pid("chat", pid)
    daemon.wait_state("chat", "ready")
    assert secret_path(daemon) == path and content(daemon, path) == SECRET
    daemon.ok("restart", "chat")
    assert secret_path(daemon) == path


def test_no_former_secret_is_left(daemon):
    """The controller dies while the service is replaced: its successor removes the old one."""
    setup_secret(daemon)
    stubborn = {"command": ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"],
                "stop": {"grace_period": "2s"}}
    path = manifest(daemon, **stubborn)
    daemon.ok("apply", "-f", path, "--wait")
    pid, former = daemon.pid_of("chat"), secret_path(daemon)
    setup_secret(daemon, ROTATED)
    daemon.ok("apply", "-f", path)
    wait_for(lambda: daemon.replica("chat")["state"] == "stopping", what=daemon.ps)
    assert procfs.read(former) == SECRET  # who still runs still has it
    old = daemon.helper("controller")
    procfs.kill(old)
    wait_for(lambda: daemon.helper("controller") not in (None, old), what="a new controller")
    daemon.wait_new_pid("chat", pid)
    daemon.wait_state("chat", "ready")
    assert procfs.read(secret_path(daemon)) == ROTATED
    wait_for(lambda: not os.path.exists(former), what="the former one is removed")
    assert len(os.listdir(os.path.dirname(os.path.dirname(former)))) == 1
    # a service that has none any more leaves none behind
    daemon.ok("apply", "-f", manifest(daemon, secrets={}, environment={}, command=["/bin/sleep", "1000"]),
              "--wait")
    wait_for(lambda: not os.path.exists(os.path.dirname(os.path.dirname(former))), what="nothing left")


def test_secrets_go_with_the_service(daemon):
    setup_secret(daemon)
    daemon.ok("apply", "-f", manifest(daemon), "--wait")
    path = secret_path(daemon)
    service_dir = os.path.dirname(os.path.dirname(path))
    daemon.ok("stop", "chat")
    assert os.path.exists(path)  # it may be started again
    daemon.ok("start", "chat")
    assert secret_path(daemon) == path
    daemon.ok("delete", "chat")
    wait_for(lambda: not os.path.exists(service_dir), what="no secret is left")


def test_a_start_tries_to_write_them_again(daemon):
    """A first one that could not be written is no reason to fail for ever."""
    setup_secret(daemon)
    daemon.ok("apply", "-f", manifest(daemon), "--wait")
    in_the_way = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
        secret_path(daemon)))), "late")
    with open(in_the_way, "w", encoding="utf8"):
        pass
    spec = daemon.service("pause", secrets={"tok": {"file": "./tok"}},
                          restart={"backoff": {"initial": "100ms", "max": "200ms"},
                                   "budget": {"restarts": 0}})
    path = daemon.write({"version": 1, "name": "other", "services": {"late": spec}}, "other.yaml")
    daemon.ok("apply", "-f", path)
    wait_for(lambda: "secrets: Not a directory" in daemon.replica("late")["message"],
             what=lambda: daemon.replica("late"))
    os.unlink(in_the_way)
    daemon.wait_state("late", "ready")


def test_secrets_go_with_the_daemon(start):
    daemon = start()
    setup_secret(daemon)
    daemon.ok("apply", "-f", manifest(daemon), "--wait")
    path = secret_path(daemon)
    assert os.path.exists(path)
    assert daemon.stop() == 0
    assert not os.path.exists(path)


def test_from_the_environment(daemon):
    path = manifest(daemon, secrets={"tok": {"env": "MY_TOKEN"}})
    rc, _, err = daemon.cli("apply", "-f", path, env={"NO_COLOR": "1"})
    assert rc == 9 and "cannot read MY_TOKEN: this variable is not set" in err
    daemon.ok("apply", "-f", path, "--wait", env={"MY_TOKEN": SECRET})
    assert procfs.read(secret_path(daemon)) == SECRET


def everything_said(daemon):
    """Every answer that an administrator or a reader can get, every log and event."""
    paths = ["/v1/services", "/v1/services/chat", "/v1/sets", "/v1/revisions?set=shop",
             "/v1/revisions?set=shop&number=1", "/v1/events?n=1000", "/v1/logs?service=chat&n=1000",
             "/v1/daemon"]
    said = {path: raw(daemon, "GET", path) for path in paths}
    for verb in (("ps", "-o", "json"), ("ps", "-o", "wide"), ("ps", "-o", "yaml"),
                 ("describe", "chat"), ("describe", "chat", "-o", "json"),
                 ("describe", "chat", "-o", "yaml"), ("events",), ("logs", "chat"),
                 ("rollout", "history", "shop")):
        said[" ".join(verb)] = "".join(map(str, daemon.cli(*verb)))
    for path in glob.glob(os.path.join(daemon.log_dir, "**"), recursive=True) + [daemon.own_log]:
        if os.path.isfile(path):
            said[path] = procfs.read(path)
    return said


def test_contents_are_nowhere(daemon):
    setup_secret(daemon)
    path = manifest(daemon)
    daemon.ok("apply", "-f", path, "--wait")
    setup_secret(daemon, ROTATED)
    said = {"config": daemon.ok("config", "-f", path), "graph": daemon.ok("graph", "-f", path),
            "plan": daemon.ok("plan", "-f", path), "json": daemon.ok("plan", "-f", path, "-o", "json"),
            "apply": daemon.ok("apply", "-f", path, "--wait")}
    said.update(everything_said(daemon))
    wait_for(lambda: procfs.read(f"/proc/{daemon.pid_of('chat')}/cmdline").startswith("sleep"),
             what="the shell has become sleep")
    for pid in [daemon.pid_of("chat"), *daemon.our_pids()]:
        for name in ("environ", "cmdline"):
            said[f"{pid} {name}"] = procfs.read(f"/proc/{pid}/{name}")
    assert "AICTL_SERVICE=chat" in said[f"{daemon.pid_of('chat')} environ"]
    encoded = {subprocess.run(["base64", "-w0"], input=text, capture_output=True, text=True,
                              check=True).stdout for text in (SECRET, ROTATED)}
    for where, text in said.items():
        for secret in {SECRET, ROTATED} | encoded:
            assert secret not in text, f"{secret} in {where}: {text}"
    assert secret_path(daemon) in said[f"{daemon.pid_of('chat')} environ"]


@pytest.mark.needs_root
def test_values_are_masked_for_readers(daemon):
    setup_secret(daemon)
    path = manifest(daemon)
    daemon.ok("apply", "-f", path, "--wait")
    gid = grp.getgrnam("aictl").gr_gid
    entry = pwd.getpwnam("nobody")

    def reader(*args):
        argv = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={gid}", "--clear-groups",
                program("aictl"), *args]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=daemon.base,
                              env={**daemon.env, "AICTL_SOCKET": daemon.socket}, check=False)
        return done.stdout + done.stderr

    text = reader("describe", "chat", "-o", "json")
    assert "PASS" in text and "***" in text
    for args in (("describe", "chat"), ("describe", "chat", "-o", "yaml"), ("ps", "-o", "json"),
                 ("rollout", "history", "shop", "-o", "json"), ("events",)):
        text += reader(*args)
    for query in ("/v1/revisions?set=shop&number=1", "/v1/services/chat", "/v1/events?n=100"):
        script = ("import http.client, socket, sys; c = http.client.HTTPConnection('l'); "
                  "c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1]); "
                  "c.request('GET', sys.argv[2]); print(c.getresponse().read().decode())")
        done = subprocess.run(["setpriv", f"--reuid={entry.pw_uid}", f"--regid={gid}",
                               "--clear-groups", "/usr/bin/python3", "-c", script, daemon.socket,
                               query], capture_output=True, text=True, timeout=60, check=True)
        assert "chat" in done.stdout, done
        text += done.stdout
    assert VALUE not in text and SECRET not in text


@pytest.mark.needs_root
def test_secrets_of_an_ordinary_users_daemon(start):
    daemon = start(user="nobody")
    path = setup_secret(daemon)
    os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    daemon.ok("apply", "-f", daemon.write({"version": 1, "name": "shop", "services": {"chat": {
        "command": ["/bin/sleep", "1000"], "environment": {"TOKEN_FILE": "${secret:tok}"},
        "secrets": {"tok": {"file": "tok"}}}}}), "--wait")
    path = secret_path(daemon)
    assert procfs.read(path) == SECRET
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o400
    daemon.ok("delete", "chat")
    wait_for(lambda: not os.path.exists(path), what="it is removed")


def test_the_database_is_private(daemon):
    setup_secret(daemon)
    daemon.ok("apply", "-f", manifest(daemon), "--wait")
    assert stat.S_IMODE(os.stat(daemon.state_dir).st_mode) == 0o700
    files = glob.glob(os.path.join(daemon.state_dir, "*.db*"))
    assert files
    for path in files:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path


# ---- nobody's file is read for somebody else ----

def shadow_words():
    """What must never be seen: the hashes and whole lines of the file."""
    with open(SHADOW, encoding="utf8") as f:
        lines = [line.strip() for line in f if line.strip()]
    return [line for line in lines if len(line) > 8]


def assert_unseen(text):
    for line in shadow_words():
        assert line not in text
        assert line.split(":", 1)[1] not in text or len(line.split(":", 1)[1]) < 12


def as_user(user, daemon, directory, *args):
    entry = pwd.getpwnam(user)
    done = subprocess.run(["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}",
                           "--clear-groups", program("aictl"), *args], capture_output=True,
                          text=True, timeout=60, cwd=directory, check=False,
                          env={**daemon.env, "AICTL_SOCKET": daemon.socket, "NO_COLOR": "1",
                               "HOME": "/etc"})
    return done.returncode, done.stdout + done.stderr


FORBIDDEN = {
    "env_file": {"env_file": [SHADOW]},
    "secret": {"secrets": {"tok": {"file": SHADOW}}},
    "link": {"env_file": ["link"]},
    "secret link": {"secrets": {"tok": {"file": "./link"}}},
    "home": {"secrets": {"tok": {"file": "~/shadow"}}},
    "env home": {"env_file": "~/shadow"},
    "dots": {"env_file": ["../../../../../../etc/shadow"]},
    "proc": {"env_file": ["/proc/1/environ"]},
}


@pytest.mark.needs_root
def test_an_ordinary_user_reads_nothing_through_us(daemon):
    directory = os.path.join(daemon.base, "user")
    os.mkdir(directory)
    os.chmod(directory, 0o777)
    os.symlink(SHADOW, os.path.join(directory, "link"))
    for what, keys in FORBIDDEN.items():
        path = os.path.join(directory, "aictl.yaml")
        with open(path, "w", encoding="utf8") as f:
            json.dump({"version": 1, "name": "shop", "services": {
                "x": {"command": ["/bin/true"], "user": "nobody", **keys}}}, f, indent=1)
        for verb in ("validate", "apply", "plan", "config", "up"):
            rc, text = as_user("nobody", daemon, directory, verb, "-f", path)
            assert rc == 9, (what, verb, rc, text)
            assert "Permission denied" in text and "aictl.yaml:" in text, (what, verb, text)
            assert_unseen(text)
    assert daemon.ps() == {}
    assert_unseen(daemon.log())


@pytest.mark.needs_root
def test_a_forged_request_opens_nothing(daemon):
    """Even root's own: the daemon only knows what was sent."""
    bodies = []
    for keys in FORBIDDEN.values():
        text = json.dumps({"version": 1, "name": "shop", "services": {
            "x": {"command": ["/bin/true"], "user": "nobody", **keys}}})
        bodies.append([{"path": "/etc/aictl.yaml", "text": text}])
        bodies.append([{"path": "/etc/aictl.yaml", "text": text}, {"path": SHADOW}])
        bodies.append([{"path": "/etc/aictl.yaml", "text": text},
                       {"path": SHADOW, "base64": None}])
    bodies.append([{"path": SHADOW}])
    for manifests in bodies:
        for path, fields in (("/v1/plan", {}), ("/v1/changes", {"id": str(uuid.uuid4()),
                                                                "kind": "apply"})):
            answer = raw(daemon, "POST", path, json.dumps({**fields, "manifests": manifests}))
            assert_unseen(answer)
            error = json.loads(answer)["error"]
            assert "was not sent" in json.dumps(json.loads(answer)) or "each needs" in error["message"]
    assert daemon.ps() == {}
    assert_unseen(daemon.log())


@pytest.mark.needs_root
def test_a_directory_of_root_is_not_entered(daemon):
    directory = os.path.join(daemon.base, "closed")
    os.mkdir(directory, 0o700)
    spec = {"command": ["/bin/ls"], "user": "nobody", "working_dir": directory,
            "restart": "never"}
    path = daemon.write({"version": 1, "name": "shop", "services": {"x": spec}})
    daemon.ok("apply", "-f", path)
    daemon.wait_state("x", "failed")
    message = daemon.replica("x")["message"]
    assert "Permission denied" in message, message


# ---- the daemon's own manifests ----

@pytest.mark.needs_root
def test_own_manifests_may_name_files(base, start):
    directory = os.path.join(base, "services")
    os.mkdir(directory, 0o755)
    with open(os.path.join(directory, "tok"), "w", encoding="utf8") as f:
        f.write(SECRET)
    os.chmod(os.path.join(directory, "tok"), 0o600)
    with open(os.path.join(directory, "x.env"), "w", encoding="utf8") as f:
        f.write("FROM=file\n")
    spec = {"command": ["/bin/sleep", "1000"], "user": "nobody", "env_file": "x.env",
            "environment": {"TOKEN_FILE": "${secret:tok}"}, "secrets": {"tok": {"file": "tok"}}}

    def put(spec):
        with open(os.path.join(directory, "chat.yaml"), "w", encoding="utf8") as f:
            json.dump({"version": 1, "name": "own", "services": {"chat": spec}}, f)

    put(spec)
    daemon = start("--manifests", directory)
    wait_for(lambda: "chat" in daemon.ps(), what=daemon.log)
    daemon.wait_state("chat", "ready")
    assert procfs.read(secret_path(daemon)) == SECRET
    assert "FROM=file" in procfs.read(f"/proc/{daemon.pid_of('chat')}/environ")
    pid = daemon.pid_of("chat")
    # what others may write is refused, by name, and what runs stays
    os.chmod(os.path.join(directory, "x.env"), 0o666)
    put({**spec, "replicas": 2})
    daemon.ok("daemon", "reload")
    wait_for(lambda: "cannot read x.env" in daemon.log(), what=daemon.log)
    assert daemon.pids("chat") == {0: pid}
    for keys, want in (({"secrets": {"tok": {"env": "HOME"}}}, "name a file"),
                       ({"secrets": {"tok": {"file": "~/tok"}}}, "no home directory"),
                       ({"secrets": {"tok": {"file": "none"}}}, "cannot read none")):
        put({**spec, "env_file": [], **keys})
        daemon.ok("daemon", "reload")
        wait_for(lambda w=want: w in daemon.log(), what=daemon.log)
    assert daemon.pids("chat") == {0: pid}
    os.chmod(os.path.join(directory, "x.env"), 0o644)
    put({**spec, "replicas": 2})
    daemon.ok("daemon", "reload")
    wait_for(lambda: daemon.ps()["chat"]["ready"] == 2, what=daemon.ps)
    assert SECRET not in daemon.log()
