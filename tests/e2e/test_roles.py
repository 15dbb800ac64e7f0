"""Who may do what: each endpoint and each kind of change as root, as a member of the group aictl and
as a stranger, against a root daemon. The strangers get at the socket only because the test opens it.

SPDX-License-Identifier: MIT
"""
import contextlib
import grp
import json
import os
import pwd
import re
import subprocess
import uuid

import pytest

from harness import ROOT

pytestmark = pytest.mark.needs_root

ROLES = ("metrics", "read", "operate", "admin")
KINDS = {"start": "operate", "stop": "operate", "restart": "operate", "scale": "operate", "kill": "operate",
         "reset": "operate", "reload": "operate",
         "freeze": "operate", "thaw": "operate", "hold": "operate", "release": "operate", "apply": "admin", "delete": "admin"}
SECRET = "hunter2-" + uuid.uuid4().hex
# Runs as the user under test: requests as JSON lines in, [status, body text] out.
SCRIPT = r"""
import json, socket, sys
for line in sys.stdin:
    method, path, body = json.loads(line)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    try:
        s.connect(sys.argv[1])
    except PermissionError:
        print(json.dumps([0, "EACCES"]), flush=True)
        continue
    text = json.dumps(body).encode() if body is not None else b""
    s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
              .encode() + text)
    data = b""
    while piece := s.recv(65536):
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    print(json.dumps([int(head.split()[1]), rest.decode()]), flush=True)
    s.close()
"""


def endpoints():
    """(method, path, role) of every row of api.def."""
    with open(os.path.join(ROOT, "daemon/controller/api.def"), encoding="utf8") as f:
        rows = re.findall(r'^ENDPOINT\("(\w+)", "([^"]+)", API_(\w+),', f.read(), re.M)
    assert len(rows) > 10
    return [(method, path, role.lower()) for method, path, role in rows]


class Somebody:
    """A process under another identity that asks."""

    def __init__(self, daemon, role, *identity):
        self.role = role
        self.process = subprocess.Popen(["setpriv", *identity, "/usr/bin/python3", "-c", SCRIPT, daemon.socket],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, method, path, body=None):
        self.process.stdin.write(json.dumps([method, path, body]) + "\n")
        self.process.stdin.flush()
        status, text = json.loads(self.process.stdout.readline())
        return status, text

    def may(self, needed):
        return ROLES.index(self.role) >= ROLES.index(needed)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)


@contextlib.contextmanager
def everybody(daemon):
    nobody, aictl = pwd.getpwnam("nobody"), grp.getgrnam("aictl").gr_gid
    people = {
        "root": Somebody(daemon, "admin", "--clear-groups"),
        "member": Somebody(daemon, "operate", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}",
                           f"--groups={aictl}"),
        "primary": Somebody(daemon, "operate", f"--reuid={nobody.pw_uid}", f"--regid={aictl}", "--clear-groups"),
        "stranger": Somebody(daemon, "read", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}",
                             "--clear-groups"),
    }
    try:
        yield people
    finally:
        for person in people.values():
            person.close()


@pytest.fixture
def shop(daemon):
    daemon.apply({"chat": daemon.service("pause", environment={"TOKEN": SECRET})})
    return daemon


def test_the_socket_keeps_strangers_out(shop):
    with everybody(shop) as people:
        assert people["stranger"].ask("GET", "/v1/version") == (0, "EACCES")
        assert people["member"].ask("GET", "/v1/version")[0] == 200
        assert people["root"].ask("GET", "/v1/version")[0] == 200


def test_each_endpoint(shop):
    os.chmod(shop.socket, 0o666)
    with everybody(shop) as people:
        for method, path, needed in endpoints():
            if path in ("/v1/daemon/stop", "/v1/daemon/detach", "/v1/daemon/reexec"):
                continue  # below
            where = path.replace("{}", "chat")
            if method == "GET" and "/wait" in path:
                where += "?timeout_ms=0"
            for name, person in people.items():
                status, text = person.ask(method, where, {} if method == "POST" else None)
                assert (status == 403) != person.may(needed), (name, method, path, status, text)
                if status == 403:
                    error = json.loads(text)["error"]
                    assert error["code"] == "permission_denied"
                    assert "root" in error["message"] and "owner" in error["message"], error
        for name in ("member", "primary", "stranger"):
            for verb in ("stop", "detach", "reexec"):
                status, text = people[name].ask("POST", f"/v1/daemon/{verb}")
                assert status == 403 and "decides what runs as which user" in text
    assert shop.ps()["chat"]["state"] == "ready"


def test_each_kind_of_change(shop):
    os.chmod(shop.socket, 0o666)
    with everybody(shop) as people:
        for kind, needed in KINDS.items():
            for name, person in people.items():
                body = {"id": str(uuid.uuid4()), "kind": kind, "services": ["nobody-there"],
                        "replicas": {"nobody-there": 1}, "manifests": []}
                status, text = person.ask("POST", "/v1/changes", body)
                assert (status == 403) != person.may(needed), (name, kind, status, text)
                assert status in (400, 403, 404), (name, kind, status, text)
                if person.role == "operate" and status == 403:
                    assert "whoever may apply decides what runs as which user" in text
                if person.role == "read":
                    assert "members of the group aictl" in text
        status, text = people["member"].ask("POST", "/v1/changes", {"id": str(uuid.uuid4()), "kind": "scale",
                                                                    "replicas": {"chat": 2}})
        assert status == 202, text
    shop.wait_state("chat", "ready")


def test_a_change_is_its_makers(shop):
    """The id of a change is no secret; who sends it again must be who made it."""
    os.chmod(shop.socket, 0o666)
    with everybody(shop) as people:
        for kind, maker, others in (("start", "root", ("member", "primary")), ("start", "member", ("root",))):
            body = {"id": str(uuid.uuid4()), "kind": kind, "services": ["chat"]}
            assert people[maker].ask("POST", "/v1/changes", body)[0] == 202
            assert people[maker].ask("POST", "/v1/changes", body)[0] == 202  # a retry
            for name in others:
                status, text = people[name].ask("POST", "/v1/changes", body)
                assert status == 409 and "of another user" in text, (name, status, text)
            assert people["stranger"].ask("POST", "/v1/changes", body)[0] == 403
            assert people["stranger"].ask("GET", f"/v1/changes/{body['id']}")[0] == 200


def test_values_are_masked_below_admin(shop):
    os.chmod(shop.socket, 0o666)
    paths = [path.replace("{}", "chat") + ("?timeout_ms=0" if "/wait" in path else "")
             for method, path, _ in endpoints() if method == "GET"]
    paths += ["/v1/logs?service=chat", "/v1/revisions?set=shop", "/v1/revisions?set=shop&number=1"]
    with everybody(shop) as people:
        assert SECRET in people["root"].ask("GET", "/v1/services/chat")[1]
        for name in ("member", "stranger"):
            status, text = people[name].ask("GET", "/v1/services/chat")
            assert status == 200 and '"TOKEN":"***"' in text
            for path in paths:
                assert SECRET not in people[name].ask("GET", path)[1], (name, path)
        changed = {"chat": shop.service("pause", environment={"TOKEN": "other"}, replicas=2)}
        text = json.dumps({"version": 1, "name": "shop", "services": changed})
        body = {"manifests": [{"path": "/srv/aictl.yaml", "layer": 0, "text": text}]}
        plans = {name: people[name].ask("POST", "/v1/plan", body) for name in people}
        assert all(status == 200 and "environment.TOKEN" in plan for status, plan in plans.values()), plans
        assert SECRET in plans["root"][1]
        for name in ("member", "primary", "stranger"):
            assert SECRET not in plans[name][1] and "***" in plans[name][1]


def test_no_value_in_our_own_log(shop):
    """Not at level debug either, and not when a start fails."""
    shop.ok("daemon", "log-level", "debug")
    services = {"chat": shop.service("pause", environment={"TOKEN": SECRET + "-2"}),
                "never": {**shop.service("pause", environment={"TOKEN": SECRET + "-3"}),
                          "command": ["no-such-program", "${env:TOKEN}"]}}
    shop.apply(services, wait=False)
    shop.wait_state("chat", "ready")
    shop.ok("plan", "-f", os.path.join(shop.base, "m", "shop.yaml"))
    assert " debug " in shop.log() and SECRET not in shop.log()
    assert SECRET not in json.dumps(shop.events())


def test_the_command_line_says_who_may(shop):
    os.chmod(shop.socket, 0o666)
    path = shop.write({"version": 1, "name": "mine", "services": {"mine": shop.service("pause")}}, "mine.yaml")
    os.chmod(os.path.dirname(path), 0o755)
    rc, _, err = shop.cli_as("nobody", "apply", "-f", path)
    assert rc == 7 and "apply and delete: for the first two" in err
    rc, _, err = shop.cli_as("nobody", "restart", "chat")
    assert rc == 7 and "members of the group aictl" in err
    rc, _, err = shop.cli_as("nobody", "daemon", "reload")
    assert rc == 7 and "decides what runs as which user" in err
    rc, out, _ = shop.cli_as("nobody", "describe", "chat")
    assert rc == 0 and SECRET not in out
    assert "mine" not in shop.ps()
