"""schema/openapi.json against the daemon: it is current, it is sound, and every endpoint of the table
answers what it says, with success and with errors. An endpoint that is never asked fails the test,
and so does a reply with a member that the document does not know.

SPDX-License-Identifier: MIT
"""
import copy
import json
import os
import re
import socket
import subprocess
import uuid

import jsonschema
import pytest

from harness import BUILD, ROOT, UnixConnection, wait_for

FILE = os.path.join(ROOT, "schema/openapi.json")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def is_time(value):
    return not isinstance(value, str) or RFC3339.fullmatch(value) is not None


def strict(node):
    """A reply may hold nothing that the document does not name."""
    if isinstance(node, dict):
        if node.get("type") == "object" and node.get("properties"):
            node.setdefault("additionalProperties", False)
        for value in node.values():
            strict(value)
    elif isinstance(node, list):
        for value in node:
            strict(value)


class Document:
    def __init__(self):
        with open(FILE, encoding="utf8") as f:
            self.json = json.load(f)
        self.components = copy.deepcopy(self.json["components"])
        strict(self.components["schemas"])
        self.asked = set()

    def operations(self):
        return [(method.upper(), path, operation) for path, item in self.json["paths"].items()
                for method, operation in item.items()]

    def check(self, schema, value, what):
        validator = jsonschema.Draft202012Validator({**schema, "components": self.components},
                                                    format_checker=FORMATS)
        errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in validator.iter_errors(value)]
        assert not errors, f"{what}:\n" + "\n".join(errors[:10]) + f"\n{json.dumps(value)[:2000]}"

    def find(self, method, path):
        for m, pattern, operation in self.operations():
            if m == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path.partition("?")[0]):
                return pattern, operation
        raise AssertionError(f"no {method} {path} in the document")


class Asker:
    def __init__(self, daemon):
        self.daemon, self.doc = daemon, Document()

    def ask(self, method, path, want, body=None):
        """Asks, and checks status and body against the document; returns the body."""
        pattern, operation = self.doc.find(method, path)
        if body is not None and want < 400 and "requestBody" in operation:
            self.doc.check(operation["requestBody"]["content"]["application/json"]["schema"], body,
                           f"our request {method} {path}")
        connection = UnixConnection(self.daemon.socket, 30)
        connection.request(method, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        text, kind = reply.read().decode(), reply.getheader("Content-Type")
        connection.close()
        what = f"{method} {path} {reply.status}"
        assert reply.status == want, f"{what}: {text[:500]}"
        assert str(reply.status) in operation["responses"], f"{what} is not documented"
        content = operation["responses"][str(reply.status)]["content"]
        assert kind in content, f"{what}: {kind}"
        self.doc.asked.add((method, pattern, reply.status))
        if kind.startswith("text/plain"):
            values = [text]
        else:
            values = [json.loads(line) for line in text.splitlines()] if kind == "application/jsonl" else [json.loads(text)]
        for value in values:
            self.doc.check(content[kind]["schema"], value, what)
        return values if kind == "application/jsonl" else values[0]

    def change(self, kind, want=202, **fields):
        body = {"id": str(uuid.uuid4()), "kind": kind, **fields}
        change = self.ask("POST", "/v1/changes", want, body)
        return self.ask("GET", f"/v1/changes/{change['id']}/wait?timeout_ms=20000", 200) if want == 202 else change


def test_the_file_is_current():
    generator = os.path.join(os.environ.get("AICTL_BUILD", BUILD), "schema/openapi")
    done = subprocess.run([generator, os.path.join(ROOT, "schema/components.json")], capture_output=True, text=True,
                          check=True, timeout=60)
    with open(FILE, encoding="utf8") as f:
        assert f.read() == done.stdout, "run `make openapi` in the build directory"


def test_the_document_is_sound():
    doc = Document()
    assert doc.json["openapi"] == "3.1.0"
    text = json.dumps(doc.json)
    for ref in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        node = doc.json
        for part in ref.split("/"):
            node = node[part]
    for name, schema in doc.json["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert f"#/components/schemas/{name}\"" in text, f"nobody uses {name}"
    for name in doc.json["components"]["parameters"]:
        assert f"#/components/parameters/{name}\"" in text, f"nobody uses {name}"
    with open(os.path.join(ROOT, "daemon/controller/api.def"), encoding="utf8") as f:
        rows = re.findall(r'^ENDPOINT\("(\w+)", "([^"]+)"', f.read(), re.M)
    assert len(rows) == len(doc.operations())
    for _, _, operation in doc.operations():
        assert operation["summary"] and operation["x-aictl-role"] in ("metrics", "read", "operate", "admin")


def upgrade(daemon, body):
    """The head of the answer to POST /v1/exec, and the bytes after it."""
    text = json.dumps(body).encode()
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(daemon.socket)
    s.sendall(b"POST /v1/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: aictl-exec\r\n"
              b"Content-Length: %d\r\n\r\n" % len(text) + text)
    data = b""
    while piece := s.recv(65536):
        data += piece
        if b'"code"' in data.partition(b"\r\n\r\n")[2]:
            break
    s.close()
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode(), rest


def ask_everything(daemon, a, web):
    text = {"path": "/srv/aictl.yaml", "layer": 0, "text": json.dumps({"version": 1, "name": "shop", "services": web})}
    bad = {**text, "text": "version: 1\nname: shop\nservices: {web: {colour: blue}}\n"}
    a.ask("GET", "/v1/version", 200)
    a.ask("GET", "/v1/daemon", 200)
    a.ask("GET", "/v1/plugins", 200)
    a.ask("POST", "/v1/daemon/reload", 202)
    a.ask("POST", "/v1/daemon/log-level", 200, {"level": "info"})
    a.ask("POST", "/v1/daemon/log-level", 400, {"level": "loud"})
    a.ask("POST", "/v1/logs/rotate", 404, {"service": "web", "replica": 0})
    a.ask("POST", "/v1/logs/rotate", 400, {})
    a.ask("POST", "/v1/logs/prune", 404, {"service": "web", "gone": True, "dry_run": True})
    a.ask("POST", "/v1/logs/prune", 400, {"service": "/"})
    # before anything is there
    a.ask("GET", "/v1/services", 200)
    a.ask("GET", "/v1/sets", 200)
    a.ask("POST", "/v1/plan", 200, {"manifests": [text]})
    # apply
    done = a.change("apply", manifests=[text], prune=False, if_revision=0,
                    origin={"git": {"commit": "0" * 40, "branch": "main", "dirty": True}, "user": "ann"})
    assert done["state"] == "done" and done["set"] == "shop"
    a.change("apply", 422, manifests=[bad])
    a.change("apply", 409, manifests=[text], if_revision=77)
    a.change("apply", 400, manifests=[])
    a.ask("GET", f"/v1/changes/{done['id']}", 200)
    a.ask("GET", "/v1/changes/0123456789abcdef", 404)
    a.ask("GET", "/v1/changes/0123456789abcdef/wait", 404)
    a.ask("GET", f"/v1/changes/{done['id']}/wait?timeout_ms=x", 400)
    # looking
    a.ask("GET", "/v1/services", 200)
    a.ask("GET", "/v1/services?service=web&service=once", 200)
    a.ask("GET", "/v1/services?service=nobody", 404)
    for name in web:
        a.ask("GET", f"/v1/services/{name}", 200)
    a.ask("GET", "/v1/services/nobody", 404)
    a.ask("GET", "/v1/services/web/wait?for=ready&timeout_ms=20000", 200)
    a.ask("GET", "/v1/services/web/wait?for=stopped&timeout_ms=1", 200)
    a.ask("GET", "/v1/services/web/wait?for=nothing", 400)
    a.ask("GET", "/v1/services/nobody/wait", 404)
    a.ask("POST", "/v1/logs/rotate", 200, {"service": "web", "replica": 0})
    a.ask("POST", "/v1/logs/prune", 200, {"service": "web", "older_than_ms": 1000, "keep": 3, "gone": True, "dry_run": True})
    assert a.ask("GET", "/v1/services/web/why", 200)["links"]
    a.ask("GET", "/v1/services/web/why?replica=0", 200)
    a.ask("GET", "/v1/services/web/why?replica=x", 400)
    a.ask("GET", "/v1/services/web/why?replica=77", 404)
    a.ask("GET", "/v1/services/nobody/why", 404)
    assert a.ask("GET", "/v1/services/scaled/autoscale", 200)["metrics"]
    a.ask("GET", "/v1/services/once/autoscale", 409)
    a.ask("GET", "/v1/services/nobody/autoscale", 404)
    a.change("scale", replicas={"scaled": 1}, for_ms=60000)
    assert a.ask("GET", "/v1/services/scaled", 200)["override"]["until"]
    a.change("scale", replicas={"scaled": None})
    a.change("scale", 400, replicas={"scaled": 1}, for_ms=3)
    a.ask("GET", "/v1/services/web/exits?replica=0", 200)
    a.ask("GET", "/v1/services/web/exits?replica=x", 400)
    a.ask("GET", "/v1/services/nobody/exits", 404)
    assert a.ask("POST", "/v1/services/web/check", 202)["replicas"] > 0
    assert a.ask("POST", "/v1/services/web/check?replica=99", 202)["replicas"] == 0
    a.ask("POST", "/v1/services/nobody/check", 404)
    a.ask("POST", "/v1/services/web/check?replica=x", 400)
    assert a.ask("GET", "/v1/metrics", 200).startswith("# HELP aictl_")
    # plan
    changed = json.loads(json.dumps(web))
    changed["web"]["environment"] = {"A": "2"}
    changed["extra"] = web["once"]
    del changed["once"]
    changed_text = {**text, "text": json.dumps({"version": 1, "name": "shop", "services": changed})}
    plan = a.ask("POST", "/v1/plan", 200, {"manifests": [changed_text], "prune": True})
    assert plan["changes"] and {s["action"] for s in plan["services"]} >= {"replace", "start"}
    a.ask("POST", "/v1/plan", 422, {"manifests": [bad]})
    theirs = {**text, "text": json.dumps({"version": 1, "name": "other", "services": web})}
    a.ask("POST", "/v1/plan", 409, {"manifests": [theirs]})
    a.ask("POST", "/v1/plan", 400, {"manifests": 5})
    a.ask("POST", "/v1/plan", 400, {})
    # the kinds of change
    a.change("scale", replicas={"web": 3})
    assert [d["actual"] for d in a.ask("GET", "/v1/services/web", 200)["drift"]] == [3]
    assert a.ask("POST", "/v1/plan", 200, {"manifests": [text]})["drift"]
    for kind, extra in (("restart", {"services": ["web/0"]}), ("stop", {"services": ["once"]}),
                        ("start", {"services": ["once"]}), ("kill", {"services": ["web/1"], "signal": "SIGTERM"}),
                        ("reset", {"services": ["crash"]})):
        a.change(kind, **extra)
    if "track" in a.ask("GET", "/v1/daemon", 200)["cgroup"]["can"]:
        a.change("freeze", services=["web/2"])
        assert a.ask("GET", "/v1/services/web", 200)["replicas"][2]["frozen"]
        a.change("thaw", services=["web"])
    else:
        a.change("freeze", 409, services=["web/2"])
    a.change("hold", services=["web"], timeout_ms=60000)
    assert a.ask("GET", "/v1/services/web", 200)["held_until"]
    assert a.ask("GET", "/v1/services", 200)["services"]
    a.change("release", services=["web"])
    a.change("hold", 400, services=["web"], timeout_ms=0)
    a.change("hold", 409, services=["crash"])
    used = a.ask("GET", "/v1/services?usage=1&service=web", 200)["services"][0]["replicas"][0]["usage"]
    assert used and used["pids"] > 0
    a.ask("GET", "/v1/services/web?usage=1", 200)
    a.ask("GET", "/v1/services?usage=2", 400)
    a.change("stop", 404, services=["nobody"])
    a.change("kill", 400, services=["web"], signal="SIGNOTHING")
    a.change("explode", 400, services=["web"])
    a.change("scale", 400, replicas={"web": -1})
    # history
    assert a.ask("GET", "/v1/revisions?set=shop", 200)["revisions"][0]["git"]["dirty"] is True
    assert a.ask("GET", "/v1/revisions?set=shop&number=1", 200)["revisions"][0]["manifests"]
    a.ask("GET", "/v1/revisions?set=nobody", 404)
    a.ask("GET", "/v1/revisions", 200)  # there is one set only
    a.ask("GET", "/v1/revisions?set=shop&number=x", 400)
    assert a.ask("GET", "/v1/sets", 200)["sets"]
    # streams
    assert len(a.ask("GET", "/v1/events", 200)) > 5
    a.ask("GET", "/v1/events?service=web&n=3", 200)
    a.ask("GET", "/v1/events?n=x", 400)
    wait_for(lambda: daemon.logged("once"), what="a line of once")
    assert a.ask("GET", "/v1/logs?service=once", 200)
    a.ask("GET", "/v1/logs?service=nobody", 404)
    a.ask("GET", "/v1/logs", 400)


def ask_to_hand_over(daemon, a):
    """The last of this aictld, of its successor, and of the one after that."""
    before = daemon.get("/v1/daemon")["controller_pid"]
    a.ask("POST", "/v1/daemon/reexec", 202)
    wait_for(lambda: daemon.answers() and daemon.get("/v1/daemon")["controller_pid"] != before,
             what="another controller")
    a.ask("POST", "/v1/daemon/detach", 202)
    assert daemon.wait() == 100
    daemon.start()
    daemon.apply({"slow": daemon.shell("trap '' TERM; echo up; while :; do sleep 1; done",
                                       stop={"grace_period": "3s"})})
    wait_for(lambda: daemon.logged("slow"), what="the trap is set")
    a.ask("POST", "/v1/daemon/stop", 202)
    a.ask("POST", "/v1/daemon/detach", 409)
    a.ask("POST", "/v1/daemon/reexec", 409)
    daemon.wait()


def ask_exec(daemon, a):
    a.ask("POST", "/v1/exec", 426, {"replica": "web", "command": ["/bin/true"]})
    body = {"replica": "web", "command": ["/bin/sh", "-c", "exit 7"], "tty": False}
    a.doc.check({"$ref": "#/components/schemas/ExecRequest"}, body, "our request")
    head, frames = upgrade(daemon, body)
    assert head.startswith("HTTP/1.1 101"), head
    assert b'"code":7' in frames, frames
    a.doc.asked.add(("POST", "/v1/exec", 101))
    a.change("stop", services=["once"])
    for wrong, want in (({"replica": "nobody", "command": ["x"]}, 404), ({"replica": "web"}, 400),
                        ({"replica": "once", "command": ["x"]}, 409)):
        head, text = upgrade(daemon, wrong)
        assert head.startswith(f"HTTP/1.1 {want}"), head
        a.doc.asked.add(("POST", "/v1/exec", want))
        a.doc.check({"$ref": "#/components/schemas/Error"}, json.loads(text), f"exec {want}")


@pytest.fixture
def services(daemon):
    probes = {"startup": {"http": {"path": "/healthz"}, "period": "100ms"},
              "readiness": {"http": {"path": "/ready"}, "period": "100ms"}}
    return {"web": daemon.service("http", replicas=2, probes=probes, port=18110, environment={"A": "1"},
                                  labels={"team": "nlp"}, description="Answers"),
            "once": daemon.shell("echo hello; exec sleep 1000"),
            "scaled": daemon.service("pause", replicas={"min": 1, "max": 2}, autoscale={"metric": "cpu"}),
            "crash": daemon.shell("exit 3", restart={"backoff": {"initial": "100ms", "max": "1s"}})}


def test_every_endpoint(daemon, services):
    a = Asker(daemon)
    ask_everything(daemon, a, services)
    ask_exec(daemon, a)
    a.change("delete", services=["crash"])
    a.change("delete", set="shop")
    ask_to_hand_over(daemon, a)
    missing = []
    for method, path, operation in a.doc.operations():
        success = [s for s in operation["responses"] if s < "400"]
        missing += [(method, path, s) for s in success if (method, path, int(s)) not in a.doc.asked]
        missing += [(method, path, s) for s in operation["responses"]
                    if s in ("404", "409", "422", "426") and (method, path, int(s)) not in a.doc.asked]
    assert not missing, f"never exercised: {missing}"
