"""Malformed manifests: each of the corpus is refused with the place that its golden file says, by
`validate`, by `apply` and by the daemon itself when the client's check is passed by; nothing is
applied, and the service that runs is not touched.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import re
import uuid

import pytest

from harness import AS_ROOT, stable_ports

TOP = os.environ.get("srcdir") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BAD = os.path.join(TOP, "tests/fuzz/seeds/manifest/bad")
EXIT_MANIFEST = 9

# What the corpus has to hold whatever is added: one file of each kind.
KINDS = ["unknown-keys", "restart-list", "replicas-range", "duplicate-key", "duplicate-service", "tab-indent",
         "bad-utf8", "byte-order-mark", "alias-bomb", "empty", "merge-cycle", "port-twice", "probe-empty",
         "restart-bare-no", "replicas-octal", "replicas-huge", "backoff-nan", "unclosed-bracket", "two-documents"]

PORTS = stable_ports(18000)


def corpus():
    return sorted(glob.glob(os.path.join(BAD, "*.yaml")))


def expected(path):
    """[(line, column, message)] of the golden file."""
    with open(path[:-len(".yaml")] + ".expect", encoding="utf-8") as file:
        found = [re.match(r"(\d+):(\d+): (.*)", line) for line in file]
    return [(int(m[1]), int(m[2]), m[3]) for m in found if m]


def reported(stderr):
    """The same of what a command said, messages as shown."""
    found = [re.match(r"\S+?:(\d+):(\d+): error: (.*)", line) for line in stderr.splitlines()]
    return [(int(m[1]), int(m[2]), m[3]) for m in found if m]


def refused(daemon, path, want, *command):
    rc, out, err = daemon.cli(*command, "-f", path)
    assert rc == EXIT_MANIFEST, f"{path}: {command} exited {rc}\n{out}{err}"
    got = reported(err)
    assert [at[:2] for at in got] == [at[:2] for at in want], f"{path}: {err}"
    return got


def refused_by_daemon(daemon, data, want):
    """Sent past the client's own check. Only UTF-8 fits into JSON."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    status, reply = daemon.api("POST", "/v1/changes", {
        "id": str(uuid.uuid4()), "kind": "apply",
        "manifests": [{"path": "/srv/app/aictl.yaml", "text": text, "layer": 0}]})
    if status == 202:
        status, reply = daemon.api("GET", f"/v1/changes/{reply['id']}/wait?timeout_ms=25000")
        assert reply["state"] == "failed", reply
    else:
        assert status in (400, 422), reply
    if status != 400:
        errors = [*reply.get("errors", []), reply.get("error", {}), reply.get("change", {}).get("error", {})]
        assert want[0][:2] in [(e.get("line"), e.get("column")) for e in errors], reply
    return True


@pytest.fixture
def running(daemon):
    """A service that nothing may touch; and a check that nothing has."""
    keys = {"user": "nobody"} if AS_ROOT and not daemon.user else {}
    daemon.apply({"web": {"command": ["/bin/sleep", "100000"], "port": next(PORTS), **keys}})
    before = daemon.ps()
    revisions = daemon.get("/v1/revisions?set=shop")["revisions"]
    yield daemon
    assert daemon.ps() == before, "a refused manifest has changed something"
    assert daemon.get("/v1/revisions?set=shop")["revisions"] == revisions
    assert [s["name"] for s in daemon.get("/v1/sets")["sets"]] == ["shop"]


def test_corpus_is_complete():
    names = {os.path.basename(path)[:-len(".yaml")] for path in corpus()}
    assert not set(KINDS) - names
    assert len(names) >= 80


def test_each_is_refused(running):
    sent = 0
    for path in corpus():
        with open(path, "rb") as file:
            data = file.read()
        want = expected(path)
        assert want, path
        copy = os.path.join(running.base, "m", os.path.basename(path))
        with open(copy, "wb") as file:
            file.write(data)
        refused(running, copy, want, "validate")
        refused(running, copy, want, "apply")
        sent += refused_by_daemon(running, data, want)
    assert sent >= 100


def test_too_large(running):
    path = running.write("version: 1\n# " + "x" * (2 << 20) + "\n", "large.yaml")
    for command in ("validate", "apply"):
        rc, _, err = running.cli(command, "-f", path)
        assert rc == EXIT_MANIFEST, err
        assert "large.yaml:1:1: error: the file is larger than 1 MiB" in err


def test_one_bad_file_stops_all(running):
    """A directory, one of whose files is malformed: nothing of the others is applied."""
    directory = os.path.join(running.base, "m", "several")
    os.makedirs(directory)
    for name, text in (("a.yaml", "version: 1\nname: shop\nservices:\n  other: { command: [/bin/true] }\n"),
                       ("b.yaml", "version: 1\nservices:\n  worse: { command: [/bin/true], prot: 1 }\n")):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
    rc, _, err = running.cli("apply", "-f", directory)
    assert rc == EXIT_MANIFEST
    assert re.search(r'b\.yaml:3:34: error: prot: unknown key', err), err
    assert 'did you mean "port"?' in err


def test_what_the_machine_lacks(running):
    """A warning at validate; at apply an error where every start would fail, also past the client's check."""
    text = ("version: 1\nname: shop\nservices:\n  other:\n    command: [/nope/server]\n    user: no-such-user\n"
            "    ulimits: { nofile: 99999999999 }\n    working_dir: nowhere\n")
    path = running.write(text, "lacks.yaml")
    rc, out, err = running.cli("validate", "-f", path)
    assert rc == 0, out + err
    for want in (r"5:15: warning: command\[0\]: /nope/server: there is no such file",
                 r"6:11: warning: user: this machine has no user \"no-such-user\"",
                 r"7:24: warning: ulimits.nofile: 99999999999 is above the hard limit of this machine, \d+",
                 r"8:18: warning: working_dir: \S+/nowhere: there is no such directory"):
        assert re.search(want, err), err
    rc, _, err = running.cli("apply", "-f", path)
    assert rc == EXIT_MANIFEST
    assert [at[:2] for at in reported(err)] == [(5, 15), (6, 11), (7, 24)], err
    assert refused_by_daemon(running, text.encode(), [(5, 15)])
