"""What a user sees of a real daemon: the contract of `ps -o json` as a schema, every exit code, and
the views that outlive a controller.

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import select
import signal
import subprocess
import time

import jsonschema
import harness
import procfs
from harness import wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
FAST = {"policy": "always", "backoff": {"initial": "100ms", "max": "100ms", "jitter": 0}}


def validator():
    with open(os.path.join(HERE, "ps.schema.json"), encoding="utf-8") as f:
        schema = json.load(f)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_ps_json_schema(daemon):
    """In every state that a service can be brought into here."""
    check = validator()
    daemon.apply({"web": daemon.service("http", port=18110, replicas=2, labels={"team": "nlp", "a": "b"}),
                  "ports": daemon.shell("sleep 1000", ports={"http": {"port": 18111}, "metrics": {}}),
                  "once": daemon.shell("exit 0", restart={"policy": "never"}),
                  "fails": daemon.shell("exit 3", restart={"policy": "never"}),
                  "killed": daemon.shell("kill -9 $$", restart={"policy": "always"}),
                  "waits": daemon.shell("sleep 1000", probes={"readiness": {"exec": {"command": ["false"]}}}),
                  "halted": daemon.shell("sleep 1000"), "none": daemon.shell("sleep 1000", replicas=0)}, wait=False)
    daemon.ok("stop", "halted")
    daemon.ok("scale", "web=3")
    for name, state in (("web", "ready"), ("ports", "ready"), ("once", "succeeded"), ("fails", "failed"),
                        ("halted", "stopped"), ("waits", "starting")):
        daemon.wait_state(name, state)
    wait_for(lambda: daemon.replica("killed")["last_exit"], what="an exit by a signal")
    reply = json.loads(daemon.ok("ps", "-o", "json"))
    check.validate(reply)
    by_name = {s["name"]: s for s in reply["services"]}
    assert by_name["web"]["drift"] == [{"key": "replicas", "manifest": 2, "actual": 3}]
    assert by_name["web"]["labels"] == {"team": "nlp", "a": "b"}
    assert set(by_name["ports"]["replicas"][0]["ports"]) == {"http", "metrics"}
    assert by_name["killed"]["replicas"][0]["last_exit"]["signal"] == "SIGKILL"
    check.validate(json.loads(daemon.ok("ps", "-l", "team=nlp", "-o", "json")))
    # the schema can fail: each required key is required
    for path in ("state", "drift", "labels"):
        broken = json.loads(json.dumps(reply))
        del broken["services"][0][path]
        assert not check.is_valid(broken), path
    broken = json.loads(json.dumps(reply))
    broken["services"][0]["replicas"][0]["pid"] = "12"
    assert not check.is_valid(broken)


def test_views(daemon):
    """The pages of a real daemon say what the stand-in's golden files promise."""
    daemon.apply({"web": daemon.service("http", port=18112, replicas=2, labels={"team": "nlp"},
                                        environment={"MODEL": "v3"},
                                        probes={"liveness": {"http": {"path": "/healthz"}, "period": "200ms"}})})
    daemon.ok("scale", "web=3")
    table = daemon.ok("ps")
    assert re.search(r"^web +ready .* 3/3 ready, scaled to 3 \(manifest: 2\)$", table, re.M), table
    wait_for(lambda: "passed, " in daemon.ok("describe", "web"), what="a result of the probe")
    page = daemon.ok("describe", "web")
    for text in (r"State +ready, 3 of 3 ready", r"Drift +scaled to 3 \(manifest: 2\)", r"Labels +team=nlp",
                 r"liveness +passed, \S+ ago.*\(http GET /healthz\)", r"\n  command .*\(line \d+\)",
                 r"\n  environment\.MODEL +v3  \(line \d+\)", r"\nSpecification\n"):
        assert re.search(text, page), f"{text}\n{page}"
    # the line is that of the key
    line = int(re.search(r"environment\.MODEL.*\(line (\d+)\)", page).group(1))
    with open(daemon.describe("web")["file"], encoding="utf-8") as f:
        assert "MODEL" in f.read().splitlines()[line - 1]


def exit_codes(daemon, bad, other):
    """(code, arguments, more options of Daemon.cli): one command for each code of DESIGN and man page."""
    unready = ("--timeout", "200ms", "unready")
    return [
        (0, ["ps"], {}), (0, ["status", "web"], {}), (0, ["plan", "-f", daemon.manifest, "--exit-code"], {}),
        (1, ["wait", "broken"], {}), (1, ["restart", "broken"], {}),
        (2, ["ps", "-o", "xml"], {}), (2, ["frobnicate"], {}), (2, ["logs", "-p", "-f"], {}),
        (3, ["status", "unready"], {}), (3, ["status", "halted"], {}),
        (4, ["describe", "nope"], {}), (4, ["stop", "nope"], {}), (4, ["logs", "nope"], {}),
        (5, ["wait", *unready], {}), (5, ["restart", *unready], {}),
        (6, ["ps"], {"env": {"AICTL_SOCKET": "/nonexistent/socket"}}),
        (8, ["apply", "-f", daemon.manifest, "--if-revision", "99"], {}),
        (9, ["apply", "-f", bad], {}), (9, ["validate", "-f", bad], {}), (9, ["plan", "-f", bad], {}),
        (10, ["plan", "-f", other, "--exit-code"], {}), (0, ["plan", "-f", other], {}),
        (42, ["exec", "web", "--", "/bin/sh", "-c", "exit 42"], {}),
        (128 + 9, ["exec", "web", "--", "/bin/sh", "-c", "kill -9 $$"], {}),
        (3, ["exec", "halted", "--", "/bin/true"], {}),
        (125, ["exec", "lost", "--", "/bin/true"], {}),
        (126, ["exec", "web", "--", "/etc/passwd"], {}),
        (127, ["exec", "web", "--", "/nonexistent/program"], {}),
    ]


def interrupted(daemon):
    """Exit code of a command that was waiting when Ctrl-C came."""
    process = procfs.popen(daemon.cli_argv("wait", "unready"), stderr=subprocess.PIPE,
                           env={**daemon.env, "AICTL_SOCKET": daemon.socket})

    def catches():
        match = re.search(r"SigCgt:\s*(\w+)", procfs.read(f"/proc/{process.pid}/status"))
        return match and int(match.group(1), 16) >> (signal.SIGINT - 1) & 1
    wait_for(catches, what="the handler of SIGINT")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=harness.DEFAULT_DEADLINE)
    return process.returncode


def not_permitted(daemon):
    """Exit code of somebody who may not open the socket."""
    if harness.AS_ROOT and not daemon.user:
        return daemon.cli_as("nobody", "stop", "web")[0]
    os.chmod(daemon.socket, 0)
    try:
        return daemon.cli("stop", "web")[0]
    finally:
        os.chmod(daemon.socket, 0o600)


def known_codes():
    with open(os.path.join(harness.ROOT, "cli", "cli.h"), encoding="utf-8") as f:
        return {int(n) for n in re.findall(r"^\tCODE_\w+ = (\d+)", f.read(), re.M)} | {125, 126, 127}


def test_every_exit_code(daemon):
    never = {"readiness": {"exec": {"command": ["/bin/false"]}}}
    lost = os.path.join(daemon.base, "lost")
    os.mkdir(lost)
    services = {"web": daemon.shell("sleep 1000"), "lost": daemon.shell("sleep 1000", working_dir=lost),
                "halted": daemon.shell("sleep 1000"),
                "broken": daemon.shell("exit 3", restart={"policy": "never"}, probes=never),
                "unready": daemon.shell("sleep 1000", probes=never)}
    daemon.apply(services, wait=False)
    daemon.manifest = daemon.write({"version": 1, "name": "shop", "services": services}, "shop.yaml")
    daemon.ok("stop", "halted")
    daemon.wait_state("broken", "failed")
    daemon.wait_state("web", "ready")
    daemon.wait_state("lost", "ready")
    os.rmdir(lost)  # exec cannot enter it any more
    bad = daemon.write("version: 1\nservices:\n  web: { nonsense: [x] }\n", "bad.yaml")
    services["web"]["environment"] = {"A": "b"}
    other = daemon.write({"version": 1, "name": "shop", "services": services}, "other.yaml")
    wrong, seen = [], set()
    for code, args, more in exit_codes(daemon, bad, other):
        got, out, err = daemon.cli(*args, **more)
        seen.add(got)
        if got != code:
            wrong.append(f"{code}, not {got}: aictl {' '.join(args)}\n{out}{err}")
        elif code in (1, 2, 4, 5, 6, 8, 9, 125, 126, 127):
            assert err.strip(), f"exit code {code} without a word: {args}"
    for code, got in ((130, interrupted(daemon)), (7, not_permitted(daemon))):
        seen.add(got)
        if got != code:
            wrong.append(f"{code}, not {got}")
    assert not wrong, "\n".join(wrong)
    assert known_codes() <= seen, f"never seen: {known_codes() - seen}"


def test_watch_outlives_the_controller(daemon):
    """`ps --watch` goes on when the controller is killed, and tells of what happens after, long before
    its next look would."""
    daemon.apply({"web": daemon.shell("sleep 1000")})
    process = procfs.popen(daemon.cli_argv("ps", "-w600"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                           env={**daemon.env, "AICTL_SOCKET": daemon.socket})
    text = [""]

    def read_until(pattern):
        end = time.monotonic() + harness.DEFAULT_DEADLINE
        while not re.search(pattern, text[0]):
            left = end - time.monotonic()
            assert left > 0 and select.select([process.stdout], [], [], left)[0], (pattern, text[0])
            text[0] += os.read(process.stdout.fileno(), 65536).decode()
    read_until(r"web/0 +ready")
    daemon.ok("scale", "web=2")
    read_until(r"web/1 +ready")
    os.kill(daemon.helper("controller"), signal.SIGKILL)
    wait_for(lambda: daemon.mode() == "normal", what="another controller")
    text[0] = ""
    daemon.ok("stop", "web")
    read_until(r"web +stopped")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=harness.DEFAULT_DEADLINE)
    assert process.returncode == 130


def test_names_that_mean_nothing(daemon):
    """A mistyped name is said, and what the user did is said in words."""
    daemon.apply({"web": daemon.shell("echo hello; sleep 1000")})
    daemon.wait_state("web", "ready")
    for verb in ("events", "logs", "describe", "ps"):
        rc, _, err = daemon.cli(verb, "nope")
        assert rc == 4 and 'no service "nope"' in err, verb
    rc, out, err = daemon.cli("logs", "web/9")
    assert (rc, out) == (4, "") and 'no replica "web/9"' in err
    assert "hello" in daemon.ok("logs", "web/9", "web/0")
    assert "web/0" in daemon.ok("events", "web/0")
    assert daemon.cli("events", "--since", "10y")[0] == 2
    assert json.loads(daemon.ok("daemon", "log-level", "-o", "json")) == {"level": "info"}
    daemon.ok("stop", "web")
    assert "stopped by the user" in daemon.ok("ps", "web")
    assert "stopped is" not in daemon.ok("describe", "web")
    rc, _, err = daemon.cli("daemon", "reload")
    assert rc == 0 and "no manifest directory" in err


def test_history_of_one_of_several_sets(daemon):
    daemon.apply({"web": daemon.shell("sleep 1000")}, name="shop")
    assert len(json.loads(daemon.ok("rollout", "history", "-o", "json"))["revisions"]) == 1
    daemon.apply({"tool": daemon.shell("sleep 1000")}, name="tools")
    rc, out, err = daemon.cli("rollout", "history")
    assert (rc, out) == (2, "") and "one of: " in err and "shop" in err and "tools" in err


def test_history_of_a_service(daemon):
    """What people type: a service's name stands for its set, with the revisions that hold it."""
    def history(*args):
        reply = json.loads(daemon.ok("rollout", "history", *args, "-o", "json"))
        return reply["set"], sorted(r["number"] for r in reply["revisions"])

    web, webber = daemon.shell("sleep 1000"), daemon.shell("sleep 1001")
    daemon.apply({"webber": webber}, name="shop")
    daemon.apply({"web": web, "webber": webber}, name="shop")
    daemon.apply({"tool": web}, name="tools")
    assert history("web") == ("shop", [2]) and history("webber") == ("shop", [1, 2])
    assert history("shop") == ("shop", [1, 2]) and history("tool") == ("tools", [1])
    assert "web" in daemon.ok("rollout", "history", "web", "--revision", "2")
    rc, _, err = daemon.cli("rollout", "history", "nobody")
    assert rc == 4 and 'no set and no service "nobody"' in err


def test_ps_says_what_a_start_waits_for(daemon):
    """Not only why does: the last result of the probe, or that nothing has been said."""
    often = {"period": "100ms"}
    daemon.apply({
        "started": daemon.service("pause", ports={"http": {}}, probes={"startup": {"tcp": {}, **often}}),
        "served": daemon.service("pause", ports={"http": {}},
                                 probes={"readiness": {"http": {"path": "/ready"}, **often}}),
        "said": daemon.service("pause", probes={"readiness": {"notify": True}})}, wait=False)
    for name, message in (("started", "starting: startup probe: connection refused"),
                          ("served", "starting: readiness probe: connection refused"),
                          ("said", "starting: it has not said that it is ready")):
        wait_for(lambda: message in daemon.ok("ps", name), what=lambda: daemon.ok("ps", name))


def test_apply_ends_with_what_is_there_now(daemon):
    """Ready for a moment and gone: the last table does not say ready."""
    path = daemon.write({"version": 1, "name": "shop", "services": {"web": daemon.service(
        "exit", "3", restart={"backoff": {"initial": "60s"}})}})
    _, out, _ = daemon.cli("apply", "-f", path, "--wait", "--timeout", "20s")
    wait_for(lambda: daemon.replica("web")["state"] == "backoff")
    assert "1/1 ready" not in out.splitlines()[-1] or "backoff" not in out, out
