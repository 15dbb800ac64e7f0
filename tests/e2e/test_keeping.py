"""What is kept of logs, and what goes: rotation, compression, limits, by hand. Mostly the logger's
alone, to which every kind of service is the same pipe: containers run with one test of each.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import re
import signal
import stat
import subprocess

import pytest

import procfs
from harness import UnixConnection, log_content, numbered, program, wait_for

LANES = 1  # threads that store
WITNESS = 1  # the thread by which aictld sees that the logger is dying
IDLE = 120  # seconds: compression has the time that nobody else wants

CHATTY = "i=0; while :; do i=$((i+1)); echo \"line $i of some length, so that a file is full soon\"; " \
    "[ $((i%500)) = 0 ] && sleep 0.02; done"


def services_in(daemon):
    """Of which there are files; what is the gateway's is no service's."""
    return sorted(name for name in os.listdir(daemon.log_dir) if not name.startswith("_"))


@pytest.mark.containers
def test_limits_are_changed_while_it_runs(daemon):
    daemon.apply({"web": daemon.shell(CHATTY, logs={"max_size": "1GiB"})})
    pid = daemon.pid_of("web")
    wait_for(lambda: sum(os.stat(f).st_size for f in daemon.log_files("web")) > 200 << 10, what="some lines")
    daemon.apply({"web": daemon.shell(CHATTY, logs={"max_size": "64KiB", "max_files": 3})})
    wait_for(lambda: len(daemon.log_files("web", kind="log")) > 1, what="another file")
    wait_for(lambda: sum(os.stat(f).st_size for f in daemon.log_files("web")) < 300 << 10, what="old ones are gone")
    assert daemon.pid_of("web") == pid


@pytest.mark.containers
def test_closed_files_are_compressed(daemon):
    script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; echo end $i; exec sleep 1000"
    daemon.apply({"web": daemon.shell(script, logs={"max_size": "64KiB", "compress": "zstd"})})
    wait_for(lambda: b"end" in daemon.stored("web"), what="all is stored")
    wait_for(lambda: len(daemon.log_files("web", kind="log.zst")) >= 3 and len(daemon.log_files("web", kind="log")) == 1,
             what="all but the open one are compressed", timeout=IDLE)
    assert numbered(daemon.stored("web")) == 20000
    for path in daemon.log_files("web", kind="log.zst"):
        st, idx = os.stat(path), os.stat(path.replace(".log.zst", ".idx"))
        assert stat.S_IMODE(st.st_mode) == 0o640 and st.st_uid == idx.st_uid and st.st_gid == idx.st_gid
        assert abs(st.st_mtime - idx.st_mtime) < 60
        assert st.st_size < 20 << 10
    logger = daemon.helper("logger")
    tasks = [int(t) for t in os.listdir(f"/proc/{logger}/task")]
    assert os.SCHED_IDLE in [os.sched_getscheduler(t) for t in tasks]
    # its last one, too, once it has ended
    daemon.ok("stop", "web")
    wait_for(lambda: not daemon.log_files("web", kind="log"), what="the last one is compressed", timeout=IDLE)
    assert numbered(daemon.stored("web")) == 20000


def test_nothing_is_compressed_unless_asked_for(daemon):
    script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; echo end $i; exec sleep 1000"
    daemon.apply({"web": daemon.shell(script, logs={"max_size": "64KiB"})})
    wait_for(lambda: b"end" in daemon.stored("web"), what="all is stored")
    assert not daemon.log_files("web", kind="log.zst")
    assert len(os.listdir(f"/proc/{daemon.helper('logger')}/task")) <= 1 + LANES + WITNESS
    # applied to what is there already, when the next file begins
    daemon.apply({"web": daemon.shell(script, logs={"max_size": "64KiB", "compress": "zstd"})})
    daemon.ok("restart", "web")
    wait_for(lambda: len(daemon.log_files("web", kind="log")) == 1, what="the old ones are compressed",
             timeout=IDLE)


def damage(daemon, service):
    """What a logger leaves that was killed in between. Returns the names of two segments."""
    first, second = daemon.log_files(service, kind="log")[:2]
    directory = os.path.dirname(first)
    with open(os.path.join(directory, f".{os.path.basename(first)}.zst.4711"), "wb") as f:
        f.write(b"half")
    subprocess.run(["zstd", "-q", "-c", second], stdout=open(second + ".zst", "wb"), check=True)  # no seek table
    for path in glob.glob(os.path.join(directory, ".*.zst.*")) + [second + ".zst"]:
        os.chown(path, os.stat(first).st_uid, os.stat(first).st_gid)
    return first, second


def test_left_overs_are_cleaned_up(daemon):
    script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; echo end $i; exec sleep 1000"
    daemon.apply({"web": daemon.shell(script, logs={"max_size": "64KiB"})})
    wait_for(lambda: b"end" in daemon.stored("web"), what="all is stored")
    whole = daemon.stored("web")
    first, _ = damage(daemon, "web")
    daemon.apply({"web": daemon.shell(script, logs={"max_size": "64KiB", "compress": "zstd"})})
    daemon.ok("stop", "web")
    wait_for(lambda: not daemon.log_files("web", kind="log"), what="all are compressed", timeout=IDLE)
    assert daemon.stored("web") == whole
    assert not glob.glob(os.path.join(os.path.dirname(first), ".*"))


def test_old_files_go(daemon):
    d = daemon
    d.apply({"web": d.shell("echo hello; exec sleep 1000", logs={"max_age": "2s"})})
    wait_for(lambda: d.log_files("web", kind="log"), what="the line is stored")
    d.ok("stop", "web")
    assert d.log_files("web", kind="log")
    wait_for(lambda: not d.log_files("web"), what="it has gone of itself")
    # what is open stays
    d.ok("start", "web")
    (path,) = wait_for(lambda: d.log_files("web", kind="log"), what="the line is stored")
    os.utime(path, (0, 0))
    os.utime(path.replace(".log", ".idx"), (0, 0))
    d.apply({"web": d.shell("echo hello; exec sleep 1000", logs={"max_age": "1s"}),
             "other": d.shell("echo hello", restart={"policy": "never"}, logs={"max_age": "1s"})}, wait=False)
    wait_for(lambda: d.log_files("other"), what="another one is stored")
    wait_for(lambda: not d.log_files("other"), what="the other one has gone")
    assert d.log_files("web", kind="log") == [path]


@pytest.mark.waits
def test_files_of_before_go_too(daemon):
    """Those of a service that was deleted before this logger began."""
    d = daemon
    d.apply({"web": d.shell("echo hello; exec sleep 1000", logs={"max_age": "12s"}),
             "kept": d.shell("echo hello; exec sleep 1000", logs={"max_age": "1h"})})
    wait_for(lambda: d.log_files("web", kind="log") and d.log_files("kept", kind="log"), what="the lines are stored")
    d.ok("delete", "web", "kept")
    d.stop()
    d.start()
    assert d.log_files("web", kind="log")
    wait_for(lambda: services_in(d) == ["kept"], timeout=90, what=lambda: os.listdir(d.log_dir))
    assert d.log_files("kept", kind="log")


def test_files_are_closed_by_age(daemon):
    d = daemon
    d.apply({"web": d.shell("while :; do echo line; sleep 0.05; done", logs={"rotate_every": "1s"})})
    wait_for(lambda: len(d.log_files("web", kind="log")) >= 3, what="some are closed")
    for path in d.log_files("web", kind="log")[:-1]:
        assert log_content(path).endswith(b"line\n")


def total(daemon, service, closed=False):
    """Bytes of its files; closed: but for the newest ones of replica 0."""
    def read():
        files = daemon.log_files(service)
        if closed:
            newest = daemon.log_files(service, 0, "log")[-1].removesuffix("log")
            files = [f for f in files if not f.startswith(newest)]
        try:
            return [sum(os.stat(f).st_size for f in files)]
        except FileNotFoundError:
            return None
    return wait_for(read)[0]


@pytest.mark.containers
def test_a_service_has_a_total(daemon):
    d = daemon
    script = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo line $i of some length; done; exec sleep 1000"
    logs = {"max_size": "64KiB", "max_files": 100}
    d.apply({"web": d.shell(script, replicas=3, logs=logs)})
    wait_for(lambda: total(d, "web") > 2 << 20, what="they have written")
    d.apply({"web": d.shell(script, replicas=1, logs={**logs, "max_total": "1MiB"})})
    d.ok("restart", "web")
    wait_for(lambda: total(d, "web", closed=True) <= 1 << 20, what="also of those that are gone")
    assert d.log_files("web", 0, "log")


def stored_last(daemon, service):
    return log_content(daemon.log_files(service, kind="log")[-1])


PLANT = {"service": "web", "replica": "web/0"}


@pytest.mark.parametrize("where", PLANT)
def test_a_planted_directory_is_refused(daemon, where):
    """The class of CVE-2026-6959: a link in the place of a directory leads our writes elsewhere."""
    d = daemon
    target = os.path.join(d.base, "elsewhere")
    os.makedirs(os.path.join(target, "0"))
    os.chmod(target, 0o777)
    os.chmod(os.path.join(target, "0"), 0o777)
    os.chmod(d.base, 0o755)
    path = os.path.join(d.log_dir, PLANT[where])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.chown(os.path.dirname(path), os.stat(d.log_dir).st_uid, os.stat(d.log_dir).st_gid)
    os.symlink(target, path)
    d.apply({"web": d.shell("echo hello; exec sleep 1000"), "other": d.shell("echo hello; exec sleep 1000")})
    wait_for(lambda: d.log_files("other", kind="log"), what="others are stored")
    wait_for(lambda: "Too many levels of symbolic links" in d.log() or "Not a directory" in d.log(), what="it is said")
    assert not any(f for _, _, f in os.walk(target))
    os.unlink(path)
    wait_for(lambda: d.log_files("web", kind="log"), what="it is stored once the link is gone")


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("kind", ["log", "idx"])
def test_a_planted_file_is_refused(daemon, kind, link):
    d = daemon
    target = os.path.join(d.base, "precious")
    with open(target, "w", encoding="ascii") as f:
        f.write("precious\n")
    os.chmod(target, 0o666)
    os.chmod(d.base, 0o755)
    script = "echo first; while [ ! -e {0} ]; do sleep 0.05; done; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); " \
        "echo line $i; done; echo end $i; exec sleep 1000".format(os.path.join(d.base, "go"))
    d.apply({"web": d.shell(script, logs={"max_size": "64KiB"})})
    first = wait_for(lambda: d.log_files("web", kind="log"), what="the first line")[0]
    assert first.endswith("-000001.log")
    planted = first.replace("-000001.log", f"-000002.{kind}")
    link(target, planted)
    with open(os.path.join(d.base, "go"), "w", encoding="ascii"):
        pass
    wait_for(lambda: os.path.exists(first.replace("-000001", "-000003")), what="the next number is taken")
    wait_for(lambda: b"end 20000" in stored_last(d, "web"), what="all is stored")
    assert log_content(target) == b"precious\n"
    assert "leaving it alone" in d.log()


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("kind", ["log.zst", "dot"])
def test_a_planted_compressed_file_is_refused(daemon, kind, link):
    d = daemon
    target = os.path.join(d.base, "precious")
    with open(target, "w", encoding="ascii") as f:
        f.write("precious\n")
    os.chmod(target, 0o666)
    os.chmod(d.base, 0o755)
    script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; echo end $i; exec sleep 1000"
    d.apply({"web": d.shell(script, logs={"max_size": "64KiB"})})
    wait_for(lambda: b"end" in d.stored("web"), what="all is stored")
    first = d.log_files("web", kind="log")[0]
    dot = os.path.join(os.path.dirname(first), f".{os.path.basename(first)}.zst.{d.helper('logger')}")
    link(target, first + ".zst" if kind == "log.zst" else dot)
    d.apply({"web": d.shell(script, logs={"max_size": "64KiB", "compress": "zstd"})})
    d.ok("stop", "web")
    wait_for(lambda: not d.log_files("web", kind="log"), what="all are compressed", timeout=IDLE)
    assert log_content(target) == b"precious\n"
    assert numbered(d.stored("web")) == 20000


def pruned(daemon, *args):
    return json.loads(daemon.ok("logs", "prune", "-o", "json", *args))


@pytest.mark.containers
def test_rotate_and_prune_by_hand(daemon):
    d = daemon
    d.apply({"web": d.shell("echo hello; exec sleep 1000", replicas=2),
             "other": d.shell("echo hello; exec sleep 1000")})
    wait_for(lambda: len(d.log_files("*", kind="log")) == 3, what="all have written")
    # what is open stays
    reply = pruned(d, "--all")
    assert (reply["files"], reply["kept_files"], reply["failed_files"]) == (0, 3, 0)
    assert d.ok("logs", "rotate", "web/0").startswith("1 file closed")
    assert "would delete 1 file," in d.ok("logs", "prune", "--all", "--dry-run", "web")
    assert len(d.log_files("*", kind="log")) == 3
    before = d.log_files("web", 0)
    reply = pruned(d, "--all")
    assert {s["service"]: s["files"] for s in reply["services"]} == {"web": 1, "other": 0}
    assert not d.log_files("web", 0) and len(d.log_files("web", 1)) == 2
    assert reply["bytes"] > 0
    # it goes on with the next number, and a second rotate is for nothing
    assert d.ok("logs", "rotate", "web").startswith("2 files closed")
    d.ok("restart", "web/0")
    wait_for(lambda: d.log_files("web", 0, "log"), what="it writes")
    assert d.log_files("web", 0)[0] not in before
    assert [e["line"] for e in d.logged("web")] == ["hello", "hello"]


def test_prune_takes_what_is_gone(daemon):
    d = daemon
    d.apply({"web": d.shell("echo hello; exec sleep 1000", replicas=2),
             "old": d.shell("echo hello; exec sleep 1000")})
    wait_for(lambda: len(d.log_files("*", kind="log")) == 3, what="all have written")
    d.ok("scale", "web=1")
    d.ok("restart", "web")
    wait_for(lambda: len(d.log_files("web", 0, "log")) == 2, what="its second file")
    d.apply({"web": d.shell("echo hello; exec sleep 1000", replicas=1)})
    d.ok("delete", "old")
    wait_for(lambda: pruned(d, "--dry-run")["files"] == 2, what="both are closed")
    reply = pruned(d)
    assert {s["service"]: s["files"] for s in reply["services"]} == {"web": 1, "old": 1}
    assert services_in(d) == ["web"] and os.listdir(os.path.join(d.log_dir, "web")) == ["0"]
    assert len(d.log_files("web", 0, "log")) == 2
    # by number, and by age
    assert pruned(d, "--keep", "1")["files"] == 0
    assert pruned(d, "--older-than", "1h")["files"] == 0
    for path in d.log_files("web", 0)[:2]:
        os.utime(path, (0, 0))
    assert pruned(d, "--older-than", "1h", "--keep", "1")["files"] == 0
    assert pruned(d, "--older-than", "1h")["files"] == 1
    assert len(d.log_files("web", 0, "log")) == 1
    rc, _, err = d.cli("logs", "prune", "nothing")  # never was
    assert rc == 4 and "no service \"nothing\", and no log files of one" in err, err


def test_what_rotate_and_prune_refuse(daemon):
    d = daemon
    for args, what in ((("prune", "-f"), "--follow is not for"), (("rotate", "--all"), "--all is for"),
                       (("--dry-run", "web"), "--dry-run is for"), (("prune", "--keep", "-1"), "-1"),
                       (("prune", "Web"), "name of a service")):
        rc, _, err = d.cli("logs", *args)
        assert rc == 2 and what in err, err
    for body in ({}, {"service": 1}, {"service": "../x"}, {"service": "a", "keep": -1}, {"service": "a", "keep": 1.5},
                 {"service": "a", "replica": "0"}, {"service": "a", "gone": 1}, {"service": "a", "older_than_ms": 1e300}):
        status, reply = d.api("POST", "/v1/logs/prune", body)
        assert status == 400 and reply["error"]["code"] == "invalid", reply
    d.apply({"web": d.shell("exec sleep 1000")})
    for operand, what in (("nothing", "no service \"nothing\""), ("web/7", "no replica \"web/7\"")):
        rc, _, err = d.cli("logs", "rotate", operand)
        assert rc == 4 and what in err, err
    for name in ("lost+found", "empty"):  # no services, in a file system's root
        os.mkdir(os.path.join(d.log_dir, name))
    assert "deleted 0 files" in d.ok("logs", "prune")
    d.stop()
    rc, _, err = d.cli("logs", "prune")
    assert rc == 6, err


def test_a_logger_that_dies_meanwhile_is_asked_again(daemon):
    d = daemon
    d.apply({"web": d.shell("echo hello; exec sleep 1000")})
    wait_for(lambda: d.log_files("web", kind="log"), what="it has written")
    os.kill(d.helper("logger"), signal.SIGKILL)
    reply = wait_for(lambda: pruned(d, "--all", "--dry-run"), what="an answer")
    assert reply["kept_files"] == 1


def test_who_waits_for_the_logger_when_the_controller_ends(start):
    d = start(init=True)
    d.apply({"web": d.shell("echo hello; exec sleep 1000")})
    logger, controller = d.helper("logger"), d.helper("controller")
    procfs.kill(logger, signal.SIGSTOP)
    try:
        waiting = [UnixConnection(d.socket, 30) for _ in range(3)]
        for connection in waiting:
            connection.request("POST", "/v1/logs/prune", json.dumps({"service": "web"}),
                               {"Content-Type": "application/json"})
        for _ in range(2):  # then it has heard the others
            assert d.api("GET", "/v1/daemon")[0] == 200
        d.crash()
        wait_for(lambda: not procfs.alive(controller), what="the controller ends")
        for connection in waiting:
            connection.close()
    finally:
        procfs.kill(logger, signal.SIGCONT)
    d.start_again()
    wait_for(d.answers, what="aictld answers")


def test_all_logs_have_a_budget(start):
    d = start("--log-max-total", "1MiB")
    script = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo line $i of some length; done; exec sleep 1000"
    logs = {"max_size": "64KiB", "max_files": 100}
    d.apply({"web": d.shell(script, logs=logs), "other": d.shell("echo hello; exec sleep 1000")})
    wait_for(lambda: d.log_files("web", kind="log"), what="it writes")
    wait_for(lambda: b"line 60000 " in stored_last(d, "web") and total(d, "web") <= (1 << 20) + (256 << 10)
             and "reason=log_budget" in d.log(), what="the oldest go")
    assert d.log_files("other", kind="log")
    assert re.search(r"at most 1(\.0)?MiB", d.ok("daemon", "info"))
    assert d.get("/v1/daemon")["log_max_total"] == 1 << 20
    for bad in (("--log-max-total", "5"), ("--log-keep-free", "much")):
        done = subprocess.run([program("aictld"), *bad], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and bad[0] in done.stderr, done.stderr
