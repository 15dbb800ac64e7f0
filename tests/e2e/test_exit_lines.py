"""An exit record carries the last lines of its log: they are there when the segments are gone.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import sqlite3

import kinds
import procfs
from harness import wait_for

RUNS_AS = kinds.ALL
ONCE = {"restart": {"policy": "never"}}


def stored(daemon, service):
    """Of each exit in the store, oldest first: its lines, None = not read yet."""
    path = os.path.join(daemon.state_dir, "aictl.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT lines FROM exit WHERE service = ? ORDER BY incarnation", (service,)).fetchall()
    return [row[0] and [line["line"] for line in json.loads(row[0])] for row in rows]


def remove_logs(daemon, service):
    paths = glob.glob(os.path.join(daemon.log_dir, service, "*", "*"))
    for path in paths:
        os.unlink(path)
    assert paths


def test_lines_outlive_their_files(daemon):
    pause = "sleep 1; " if daemon.engine else ""  # else the streams may change places
    script = f"for i in $(seq 200); do echo line $i; done; {pause}echo oh no >&2; exit 3"
    daemon.apply({"web": daemon.shell(script, **ONCE)}, wait=False)
    wait_for(lambda: stored(daemon, "web") not in ([], [None]), what="lines in the store")
    assert stored(daemon, "web") == [[*(f"line {n}" for n in range(152, 201)), "oh no"]]
    remove_logs(daemon, "web")
    out = daemon.ok("why", "web/0")
    assert "exit code 3" in out and "line 200" in out and "oh no" in out and "line 196" not in out, out
    exits = daemon.get("/v1/services/web/exits")["exits"]
    assert len(exits) == 1 and exits[0]["code"] == 3 and len(exits[0]["lines"]) == 50
    assert exits[0]["lines"][-1]["stream"] == "stderr" and exits[0]["lines"][-1]["line"] == "oh no"
    assert exits == daemon.get("/v1/services/web/exits?replica=0")["exits"]
    assert daemon.get("/v1/services/web/exits?replica=1")["exits"] == []
    assert daemon.api("GET", "/v1/services/nobody/exits")[0] == 404


def test_previous_and_describe(daemon):
    """logs -p has what is kept when the files are gone, by the same choice; describe has the end of it."""
    keys = {"restart": {"backoff": {"initial": 0}, "budget": {"restarts": 0}}}
    place = os.path.join(daemon.base, "place")
    os.mkdir(place)
    os.chmod(place, 0o777)
    script = f"test -e {place}/again && exec sleep 1000; touch {place}/again; seq 100; sleep 0.5; echo oh no >&2; exit 3"
    daemon.apply({"web": daemon.shell(script, **keys)})
    wait_for(lambda: stored(daemon, "web") not in ([], [None]), what="lines in the store")
    wait_for(lambda: daemon.replica("web")["state"] == "ready", what="the next run")
    whole = daemon.ok("logs", "-p", "--no-prefix", "web")
    assert whole.endswith("100\noh no\n") and whole.startswith("1\n"), whole
    remove_logs(daemon, "web")
    want = [*(str(n) for n in range(52, 101)), "oh no"]
    rc, out, err = daemon.cli("logs", "-p", "--no-prefix", "web")
    assert rc == 0 and out.splitlines() == want and err.count("web/0 are gone") == 1, (out, err)
    for options, some in ((("-n", "2"), want[-2:]), (("-g", "^6.$"), want[8:18]), (("--stream", "stderr"), want[-1:]),
                          (("-o", "raw"), want), (("--until", "1h"), []), (("-n", "0"), [])):
        rc, out, err = daemon.cli("logs", "-p", "--no-prefix", *options, "web/0")
        assert rc == 0 and out.splitlines() == some and bool(err) == bool(some), (options, out, err)
    assert json.loads(daemon.ok("logs", "-p", "-o", "json", "-n", "1", "web"))["line"] == "oh no"
    assert daemon.ok("logs", "web") == ""
    out = daemon.ok("describe", "web")
    assert "the last lines of web/0:" in out and "    97\n" in out and "    96\n" not in out and "    oh no\n" in out, out


def test_bounds(daemon):
    """The last ones that fit; a long line is cut, with a mark."""
    long = "head -c 5000 /dev/zero | tr '\\0' y; echo; head -c 100000 /dev/zero | tr '\\0' x; echo; echo end; exit 3"
    daemon.apply({"web": daemon.shell("for i in $(seq 30); do printf '%0999d\\n' $i; done; " + long, **ONCE)}, wait=False)
    wait_for(lambda: stored(daemon, "web") not in ([], [None]), what="lines in the store")
    lines = daemon.get("/v1/services/web/exits")["exits"][0]["lines"]
    assert [(line["line"][:1], len(line["line"]), line.get("cut", False)) for line in lines] == \
        [("0", 999, False)] * 4 + [("y", 2048, True), ("x", 2048, True), ("e", 3, False)]
    # whole in the file, cut in the view with a mark
    assert daemon.segments("web").count(b"x") == 100000
    shown = [line for line in daemon.logged("web") if line["line"].startswith("xx")]
    assert len(shown) == 1 and shown[0]["cut"] and shown[0]["line"].endswith(" [cut]")
    assert len(shown[0]["line"]) < 70000
    assert " [cut]\n" in daemon.ok("logs", "web", "-n", "2")


def test_a_line_with_a_nul(daemon):
    daemon.apply({"web": daemon.shell("printf 'a\\0bc\\nend\\n'; exit 3", **ONCE)}, wait=False)
    wait_for(lambda: stored(daemon, "web") == [["a\0bc", "end"]], what=lambda: stored(daemon, "web"))


def test_controller_killed_before_it_read(daemon):
    """And twice the same exit: what was read stays."""
    daemon.apply({"web": daemon.shell("echo last words; exit 3", **ONCE)}, wait=False)
    wait_for(lambda: stored(daemon, "web") == [None], what="an exit without lines", poll=0.001)
    old = daemon.helper("controller")
    procfs.kill(old)
    wait_for(lambda: stored(daemon, "web") == [["last words"]], what=lambda: stored(daemon, "web"))
    assert daemon.helper("controller") != old
    remove_logs(daemon, "web")
    assert "last words" in daemon.ok("why", "web/0")


def test_a_crash_loop_is_read_now_and_then(daemon):
    """The newest gets its lines; nothing waits for it."""
    keys = {"restart": {"backoff": {"initial": 0}, "budget": {"restarts": 0}}}
    daemon.apply({"web": daemon.shell("echo $AICTL_INCARNATION; sleep 0.05; exit 3", **keys)}, wait=False)
    wait_for(lambda: sum(x is not None for x in stored(daemon, "web")) >= 3, what="lines of some")
    wait_for(lambda: daemon.replica("web")["restarts"] > 3, what="it goes on")
    daemon.ok("stop", "web")
    wait_for(lambda: stored(daemon, "web")[-1] is not None, what="lines of the last one")
