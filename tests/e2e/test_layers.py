"""Layers: -f over -f, directories, standard input, `defaults`, env_file: by apply and by validate.

SPDX-License-Identifier: MIT
"""
import json
import os
import subprocess

import pytest

import procfs
from harness import AS_ROOT, program, wait_for

DEFAULTS = {"update": {"order": "stop-first", "min_ready": "0s"}, **({"user": "nobody"} if AS_ROOT else {})}


def environment(daemon, service, index=0):
    def read():  # empty for a moment while the program is executed
        pid = daemon.pid_of(service, index)
        return pid and procfs.read(f"/proc/{pid}/environ")
    entries = wait_for(read, what=f"{service} runs").split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def overlay(daemon, text, name):
    return daemon.write(text if isinstance(text, str) else {"version": 1, **text}, name)


def base_manifest(daemon, **keys):
    return overlay(daemon, {"name": "shop", "defaults": DEFAULTS, "services": {
        "web": {"command": [daemon.svc, "pause"], "environment": {"A": "base", "B": "base"},
                "labels": {"team": "x"}, **(daemon.contained({}) if daemon.engine else {}), **keys}}}, "base.yaml")


def validate(directory, *args, stdin=None, env=None):
    done = subprocess.run([program("aictl"), "validate", *args], capture_output=True, text=True,
                          input=stdin, timeout=30, cwd=directory, check=False,
                          env={**os.environ, "NO_COLOR": "1", **(env or {})})
    return done.returncode, done.stdout, done.stderr


def test_layers_by_apply(daemon):
    base = base_manifest(daemon)
    prod = overlay(daemon, {"services": {"web": {"environment": {"A": "prod", "C": "prod"},
                                                 "replicas": 2},
                                         "more": {"command": [daemon.svc, "pause"],
                                                  **DEFAULTS}}}, "prod.yaml")
    last = overlay(daemon, {"services": {"web": {"environment": {"B": None}}, "more": None}},
                   "last.yaml")
    daemon.ok("apply", "-f", base, "--wait")
    assert environment(daemon, "web")["A"] == "base"
    daemon.ok("apply", "-f", base, "-f", prod, "-f", last, "--wait")
    assert list(daemon.ps()) == ["web"]
    assert daemon.ps()["web"]["desired"] == 2
    for index in (0, 1):
        env = environment(daemon, "web", index)
        assert (env["A"], env.get("B"), env["C"]) == ("prod", None, "prod")
    # the store holds the layers: a new controller knows the same services
    pids = daemon.pids("web")
    old = daemon.helper("controller")
    procfs.kill(old)
    wait_for(lambda: daemon.helper("controller") not in (None, old), what="a new controller")
    daemon.wait_state("web", "ready")
    assert daemon.pids("web") == pids
    before = daemon.ps()["web"]["revision"]
    daemon.ok("apply", "-f", base, "-f", prod, "-f", last, "--wait")
    assert daemon.ps()["web"]["revision"] == before and daemon.pids("web") == pids
    # the order counts
    daemon.ok("apply", "-f", prod, "-f", base, "--wait")
    assert environment(daemon, "web")["A"] == "base"
    assert sorted(daemon.ps()) == ["more", "web"]


def test_a_directory_is_one_layer(daemon):
    directory = os.path.join(daemon.base, "m", "dir")
    os.makedirs(directory)
    spec = {"command": [daemon.svc, "pause"], **DEFAULTS}
    for name in ("one", "two"):
        overlay(daemon, {"name": "shop", "services": {name: spec}}, f"dir/{name}.yaml")
    change = overlay(daemon, {"services": {"two": {"replicas": 2}}}, "change.yaml")
    daemon.ok("apply", "-f", directory, "-f", change, "--wait")
    assert {n: s["desired"] for n, s in daemon.ps().items()} == {"one": 1, "two": 2}
    overlay(daemon, {"services": {"one": spec}}, "dir/three.yaml")
    rc, _, err = daemon.cli("apply", "-f", directory)
    assert rc == 9
    assert "dir/three.yaml:" in err and "services.one: defined twice, first at" in err
    assert "dir/one.yaml:" in err
    assert daemon.ps()["two"]["desired"] == 2


def test_errors_stand_in_the_right_file(daemon):
    base = base_manifest(daemon)
    bad = overlay(daemon, "version: 1\nservices:\n  web:\n    replicas: many\n    group: null\n",
                  "bad.yaml")
    rc, _, err = daemon.cli("apply", "-f", base, "-f", bad)
    assert rc == 9 and daemon.ps() == {}
    assert "bad.yaml:4:15: error: replicas:" in err and "replicas: many\n" in err
    assert "bad.yaml:5:12: error: group:" in err
    assert "base.yaml" not in err
    rc, _, err = daemon.cli("apply", "-f", base, "-f", base)
    assert rc == 2 and "named twice" in err
    lonely = overlay(daemon, {"services": {"web": None}}, "none.yaml")
    rc, _, err = daemon.cli("apply", "-f", base, "-f", lonely)
    assert rc == 9 and "nothing is left" in err


def test_validate_reads_layers_and_stdin(tmp_path):
    (tmp_path / "a.yaml").write_text("version: 1\nname: shop\nservices: { x: { command: [a] } }\n")
    (tmp_path / "b.yaml").write_text("version: 1\nservices: { x: { replicas: 2 } }\n")
    rc, out, err = validate(tmp_path, "-f", "a.yaml", "-f", "b.yaml")
    assert rc == 0 and "1 service" in out, err
    rc, _, err = validate(tmp_path, "-f", "b.yaml")
    assert rc == 9 and "b.yaml:2:13: error: x: command is missing" in err
    rc, _, err = validate(tmp_path, "-f", "a.yaml", "-f", "-",
                          stdin="version: 1\nservices: { x: { replicas: -1 } }\n")
    assert rc == 9 and "<stdin>:2:28: error: replicas:" in err
    assert validate(tmp_path, "-f", "-", "-f", "b.yaml",
                    stdin=(tmp_path / "a.yaml").read_text())[0] == 0
    rc, _, err = validate(tmp_path, "-f", "-", "-f", "-", stdin="")
    assert rc == 2 and "named twice" in err


def test_a_null_that_deletes_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text("version: 1\nname: s\nservices: { x: { command: [a] } }\n")
    (tmp_path / "b.yaml").write_text("version: 1\nservices: { y: null }\n")
    rc, _, err = validate(tmp_path, "-f", "a.yaml", "-f", "b.yaml")
    assert rc == 9 and "b.yaml:2:16: error: y: expected a map, this is nothing" in err


@pytest.mark.containers
def test_env_file_precedence(daemon):
    directory = os.path.join(daemon.base, "m")
    os.makedirs(os.path.join(directory, "sub"))
    with open(os.path.join(directory, ".env"), "w", encoding="utf8") as f:
        f.write("# comment\nA=file\nexport B='one # $HOME'\r\nC=\"two\\nlines\"\nD=${PORT} $$ $HOME\n")
    with open(os.path.join(directory, "sub", "late.env"), "w", encoding="utf8") as f:
        f.write("B=late\nE=late # really\n")
    manifest = base_manifest(daemon, env_file=[".env", "./sub/late.env"])
    daemon.ok("apply", "-f", manifest, "--wait")
    env = environment(daemon, "web")
    assert (env["A"], env["B"]) == ("base", "base")  # the manifest wins over all files
    assert env["C"] == "two\nlines"
    assert env["D"] == "${PORT} $$ $HOME"  # nothing is replaced
    assert env["E"] == "late"
    sub = overlay(daemon, {"services": {"web": {"environment": None}}}, "sub/o.yaml")
    daemon.ok("apply", "-f", manifest, "-f", sub, "--wait")
    env = environment(daemon, "web")
    assert (env["A"], env["B"]) == ("file", "late")  # later files win
    # a changed file is a change of the service, and only of it
    pid = daemon.pid_of("web")
    with open(os.path.join(directory, "sub", "late.env"), "a", encoding="utf8") as f:
        f.write("F=new\n")
    daemon.ok("apply", "-f", manifest, "-f", sub, "--wait")
    assert daemon.pid_of("web") != pid
    assert environment(daemon, "web")["F"] == "new"


def test_env_file_errors(tmp_path):
    manifest = tmp_path / "aictl.yaml"
    manifest.write_text("version: 1\nname: s\nservices:\n  x:\n    command: [a]\n"
                        "    env_file: [.env, no.env]\n")
    (tmp_path / ".env").write_text("A=1\n  hunter2 is the password\nB='sesame\n")
    rc, out, err = validate(tmp_path)
    assert rc == 9
    assert "aictl.yaml:6:22: error: env_file: cannot read no.env: No such file or directory" in err
    assert ".env:2:1: error: expected NAME=value" in err
    assert ".env:3:1: error: the quotes are not closed" in err
    assert "hunter2" not in out + err and "sesame" not in out + err
    (tmp_path / ".env").write_text("PORT=1\nA=1\n")
    (tmp_path / "no.env").write_text("")
    rc, out, err = validate(tmp_path)
    assert rc == 0 and ".env:1:1: warning: PORT is set by aictl itself" in err


FORGED = [
    ({"path": "/a.yaml"}, "each needs"),
    ({"text": "version: 1"}, "each needs"),
    ({"path": "/a.yaml", "text": 1}, "each needs"),
    ({"path": "/a.yaml", "text": "version: 1", "base64": ""}, "each needs"),
    ({"path": "a.yaml", "text": "version: 1"}, "not absolute"),
    ({"path": "/a.yaml", "text": "version: 1", "layer": -1}, "layer"),
    ({"path": "/a.yaml", "text": "version: 1", "layer": 1.5}, "layer"),
    ({"path": "/a.yaml", "text": "version: 1", "layer": "0"}, "layer"),
    ({"path": "/a.yaml", "text": "version: 1", "layer": 256}, "layer"),
    ({"path": "/a.yaml", "base64": "Zg"}, "not base64"),
    ({"path": "/a.yaml", "base64": "Zh=="}, "not base64"),
    ({"path": "/a.yaml", "base64": "Zg==\n"}, "not base64"),
    ({"path": "", "base64": "Zg=="}, "empty"),
    ({"path": "/a.yaml", "base64": "Zg=="}, "there is no"),
    ("text", "each needs"),
]


def test_forged_sources_are_refused(daemon):
    for body, want in FORGED:
        for path, fields in (("/v1/changes", {"id": "0" * 32, "kind": "apply"}), ("/v1/plan", {})):
            status, reply = daemon.api("POST", path, {**fields, "manifests": [body]})
            assert status == 400, (body, reply)
            assert want in reply["error"]["message"], (body, reply)
    assert daemon.ps() == {}


def test_forged_lists_are_refused(daemon):
    def refused(manifests, want):
        status, reply = daemon.api("POST", "/v1/plan", {"manifests": manifests})
        assert status == 400 and want in reply["error"]["message"], reply

    one = {"path": "/a.yaml", "text": "version: 1"}
    refused([one, one], "there twice")
    refused([one, {"path": "/e", "base64": ""}, {"path": "/e", "base64": ""}], "there twice")
    refused([{**one, "layer": 1}, {**one, "path": "/b.yaml", "layer": 0}], "lower ones come first")
    refused([{**one, "path": f"/{n}.yaml"} for n in range(257)], "1 to 256")
    refused([], "1 to 256")
    refused({}, "1 to 256")
    refused([one, {"path": "/e", "base64": "A" * (4 * 400000)}], "larger than 1 MiB")


def test_stdin_by_apply(daemon):
    text = json.dumps({"version": 1, "name": "shop", "defaults": DEFAULTS,
                       "services": {"web": {"command": [daemon.svc, "pause"]}}})
    done = subprocess.run(daemon.cli_argv("apply", "-f", "-", "--wait"), input=text, text=True,
                          capture_output=True, timeout=60, cwd=daemon.base, check=False,
                          env={**daemon.env, "AICTL_SOCKET": daemon.socket})
    assert done.returncode == 0, done.stderr
    assert daemon.ps()["web"]["state"] == "ready"
