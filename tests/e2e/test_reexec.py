"""Detach, attach and reexec: aictld goes or becomes another build, the replicas do not notice.

The builds: the one under test; tests/e2e/other, of another version; tests/e2e/longer, an aictld
whose table has longer slots besides; and things which cannot take over.

SPDX-License-Identifier: MIT
"""
import os
import re
import shutil
import signal
import subprocess

import pytest

import procfs
from harness import ROOT, Daemon, numbered, program, wait_for
from test_hung import hung, pytestmark as on_fuse  # noqa: F401 (fixture)

NAMES = ("aictl", "aictld", "aictl-controller", "aictl-logger", "aictl-gateway")
VERSION = subprocess.run([program("aictld"), "--version"], capture_output=True, text=True,
                         check=True).stdout.split()[1]
OTHER = VERSION + "-other"


def put(source, target):
    """As a package manager does: a new file under the old name."""
    shutil.copy(source, target + ".new")
    os.rename(target + ".new", target)


def install(d, which=None, names=NAMES):
    """The build under test, or another one."""
    for name in names:
        source = program(name)
        if which and name != "aictl":
            source = program(f"tests/e2e/{which if name == 'aictld' else 'other'}/{name}")
        put(source, os.path.join(d.directory, name))


@pytest.fixture
def installed(base):
    """A daemon whose programs lie in a directory of their own, which the test may change."""
    directory = os.path.join(base, "bin")
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    for name in NAMES:
        shutil.copy(program(name), directory)
    d = InstalledDaemon(base, directory)
    yield d
    d.end()
    print(d.log())


class InstalledDaemon(Daemon):
    def __init__(self, base, directory, *args):
        super().__init__(base, *args)
        self.directory = directory

    def argv(self):
        own = super().argv()
        return [os.path.join(self.directory, os.path.basename(a)) if a == program("aictld") else a
                for a in own]

    def cli_argv(self, *args):
        return [os.path.join(self.directory, "aictl"), *args]

    def end(self):
        if self.process and self.process.poll() is None:
            self.stop()


def writer(daemon, lines, **keys):
    """Numbered lines, a few hundred a second, to `end N`."""
    return daemon.shell(f"i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i; "
                        f"[ $((i % 20)) != 0 ] || sleep 0.02; done; echo end $i; exec sleep 1000",
                        **keys)


def processes(daemon):
    """All that must stay: (service, index) -> (pid, start time)."""
    found = {}
    for name, service in daemon.ps().items():
        for r in service["replicas"]:
            found[name, r["index"]] = (r["pid"], start_time(r["pid"]))
    assert all(pid for pid, _ in found.values()), found
    return found


def start_time(pid):
    found = procfs.stat(pid)
    return found and found[3]


def info(daemon):
    return daemon.get("/v1/daemon")


def shop(daemon):
    daemon.apply({"w": writer(daemon, 1500), "p": daemon.service("pause", replicas=3)})
    return processes(daemon)


def settled(daemon, lines=1500):
    """The writer's lines, once all are stored: each once, in order."""
    wait_for(lambda: b"end " in daemon.segments("w"), what="the writer is done")
    assert numbered(daemon.segments("w")) == lines


def test_reexec_keeps_pids_and_lines(installed):
    d = installed.start()
    before, began = shop(d), info(d)
    for turn in range(3):
        out = d.ok("daemon", "reexec")
        assert f"aictld {d.pid}: version {VERSION} as before, 4 replicas" in out, out
        now = info(d)
        assert now["pid"] == began["pid"] and now["adopted"] == 4, (turn, now)
        assert now["mode"] == "normal"
        assert processes(d) == before
    assert "4 replicas (4 taken over from the aictld before)" in d.ok("daemon", "info")
    settled(d)
    assert d.ps()["w"]["replicas"][0]["restarts"] == 0
    # Its exits are still ours to read: it is the same parent.
    old = d.pid_of("p", 1)
    os.kill(old, signal.SIGSEGV)
    d.wait_new_pid("p", old, 1)
    exits = d.replica("p", 1)["last_exit"]
    assert exits["signal"] == "SEGV" or exits["signal"] == "SIGSEGV", exits
    assert d.stop() == 0
    for pid, _ in before.values():
        assert not procfs.alive(pid)


def test_reexec_to_another_build_and_back(installed):
    d = installed.start()
    before = shop(d)
    install(d, "other")
    out = d.ok("daemon", "reexec")
    assert f"version {OTHER}, was {VERSION}, 4 replicas run on" in out, out
    assert info(d)["version"] == OTHER and processes(d) == before
    install(d)
    assert f"version {VERSION}, was {OTHER}" in d.ok("daemon", "reexec")
    assert processes(d) == before
    settled(d)
    assert d.stop() == 0


def test_a_longer_table_is_taken_and_not_given_back(installed):
    d = installed.start()
    before = shop(d)
    install(d, "longer")
    assert f"version {OTHER}, was {VERSION}" in d.ok("daemon", "reexec")
    assert processes(d) == before
    install(d)
    rc, _, err = d.cli("daemon", "reexec")
    assert rc == 8 and f"older than aictld {OTHER}" in err, err
    d.ok("daemon", "detach")
    assert d.wait() == 100
    refused = subprocess.run(d.argv(), env=d.env, capture_output=True, text=True, timeout=60,
                             check=False)
    assert refused.returncode == 1 and f"written by aictld {OTHER}" in refused.stderr
    assert "hint: start that build again" in refused.stderr
    assert all(start_time(pid) == start for pid, start in before.values())
    install(d, "longer")
    d.start()
    assert processes(d) == before
    settled(d)
    assert d.stop() == 0


@pytest.mark.needs_root
def test_no_room_for_a_longer_table_is_found_before(installed):
    d = installed
    os.mkdir(d.runtime_dir, 0o755)
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", d.runtime_dir],
                       check=True, capture_output=True)
    except subprocess.CalledProcessError:
        pytest.skip("may not mount")
    try:
        d.start()
        before, began = shop(d), info(d)
        with open(f"{d.runtime_dir}/full", "wb", buffering=0) as f, pytest.raises(OSError):
            while True:
                f.write(bytes(4096))
        install(d, "longer")
        rc, _, err = d.cli("daemon", "reexec")
        assert rc == 8 and "No space left on device" in err, err
        assert info(d)["controller_pid"] == began["controller_pid"] and processes(d) == before
        os.unlink(f"{d.runtime_dir}/full")
        assert f"version {OTHER}, was {VERSION}" in d.ok("daemon", "reexec")
        assert processes(d) == before
        assert d.stop() == 0
        assert "table.new" not in os.listdir(f"{d.runtime_dir}/sup")
    finally:
        d.end()
        subprocess.run(["umount", "-l", d.runtime_dir], check=False, capture_output=True)


BROKEN = {
    "no program": (lambda d: os.unlink(f"{d.directory}/aictld"), "cannot run"),
    "no executable": (lambda d: put(os.path.join(ROOT, "README.md"), f"{d.directory}/aictld"),
                      "cannot run"),
    "dies": (lambda d: script(d, "kill -SEGV $$"), "signal 11"),
    "says why": (lambda d: script(d, "echo it is Monday >&2; exit 1"), "it is Monday"),
    "hangs": (lambda d: script(d, "exec sleep 100"), "did not answer within 5 s"),
    "no logger": (lambda d: os.unlink(f"{d.directory}/aictl-logger"), "cannot find aictl-logger"),
    "half an update": (lambda d: install(d, "other", ["aictl-controller"]),
                       "aictl-controller is not of this build"),
}


def script(d, text):
    path = f"{d.directory}/aictld"
    with open(path + ".new", "w", encoding="utf8") as f:
        f.write(f"#!/bin/sh\n{text}\n")
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)


def test_what_cannot_take_over_is_refused(installed):
    d = installed.start()
    d.apply({"p": d.service("pause")})
    before, began = processes(d), info(d)
    for what, (damage, reason) in BROKEN.items():
        damage(d)
        rc, out, err = d.cli("daemon", "reexec")
        assert rc == 8 and "the new aictld cannot take over" in err and reason in err, (what, out, err)
        now = info(d)
        assert now["controller_pid"] == began["controller_pid"], what
        assert now["started_at"] == began["started_at"], what
        install(d)
    assert processes(d) == before
    assert "version" in d.ok("daemon", "reexec")
    assert processes(d) == before


def test_a_check_that_came_to_nothing_leaves_nothing(installed):
    """Also what it had allocated for a longer table before it was given up."""
    d = installed.start()
    room = os.path.join(re.search(r"table=(\S+) started", d.log()).group(1), "table.new")
    script(d, f": >{room}; exec sleep 100")
    rc, _, err = d.cli("daemon", "reexec")
    assert rc == 8 and "did not answer within 5 s" in err, err
    wait_for(lambda: not os.path.exists(room))
    script(d, f": >{room}; echo it is Monday >&2; exit 1")
    assert d.cli("daemon", "reexec")[0] == 8
    wait_for(lambda: not os.path.exists(room))


@pytest.mark.waits
@pytest.mark.needs_root
@on_fuse[1]
def test_a_program_that_cannot_be_killed_is_refused(installed, hung):  # noqa: F811
    d = installed.start()
    directory, server = hung("read")
    script(d, f"exec /bin/ls {directory}")
    for reason in ("within 5 s", "has not ended", "has not ended"):
        rc, out, err = d.cli("daemon", "reexec")
        assert rc == 8 and reason in err, (out, err)
    server.kill()
    install(d)

    def again():
        rc, out, err = d.cli("daemon", "reexec")
        assert rc == 0 or "has not ended" in err, (out, err)
        return rc == 0
    wait_for(again, what="it has ended")


def test_requests_wait_meanwhile(installed):
    """Nobody who asks during a reexec sees a refused connection."""
    d = installed.start()
    d.apply({"p": d.service("pause")})
    asker = subprocess.Popen(
        ["/bin/sh", "-c", 'while [ ! -e "$1" ]; do "$2" version >/dev/null || echo failed; done',
         "sh", f"{d.base}/enough", f"{d.directory}/aictl"],
        env={**d.env, "AICTL_SOCKET": d.socket}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for _ in range(4):
        d.ok("daemon", "reexec")
    with open(f"{d.base}/enough", "w", encoding="utf8"):
        pass
    out, _ = asker.communicate(timeout=60)
    assert out == b""


def test_the_instance_stays_locked(installed):
    """After a reexec a second aictld is still refused, and the limits of children are as before."""
    d = installed.start()
    d.apply({"p": d.service("pause")})
    d.ok("daemon", "reexec")
    second = subprocess.run(d.argv(), env=d.env, capture_output=True, text=True, timeout=60,
                            check=False)
    assert second.returncode == 1
    assert f"already running on {d.runtime_dir} as pid {d.pid}" in second.stderr
    old = d.pid_of("p")
    before = procfs.read(f"/proc/{old}/limits")
    os.kill(old, signal.SIGKILL)
    new = d.wait_new_pid("p", old)
    assert procfs.read(f"/proc/{new}/limits") == before
    # Only what is meant for it: no descriptor of aictld leaks over exec into a service.
    assert sorted(os.listdir(f"/proc/{new}/fd"), key=int)[:3] == ["0", "1", "2"]
    assert len(os.listdir(f"/proc/{new}/fd")) == len(["0", "1", "2"])
    assert "AICTLD_" not in procfs.read(f"/proc/{new}/environ")
    for which in ("controller", "logger"):
        environ = procfs.read(f"/proc/{d.helper(which)}/environ")
        assert "AICTLD_" not in environ and "LISTEN_FDS" not in environ


def test_a_lock_that_is_not_held_is_no_lock(start):
    """Whoever is handed the lock's file, as a reexec does, is refused as long as another holds it."""
    d = start()
    with open(f"{d.runtime_dir}/sup/lock", "rb+") as lock:
        second = subprocess.run(d.argv(), env={**d.env, "AICTLD_LOCK_FD": str(lock.fileno())},
                                pass_fds=[lock.fileno()], capture_output=True, text=True,
                                timeout=30, check=False)
    assert second.returncode == 1, second.stderr
    assert f"already running on {d.runtime_dir} as pid {d.pid}" in second.stderr
    assert d.mode() == "normal"


def test_no_descriptor_is_left_over(installed):
    d = installed.start()
    d.apply({"p": d.service("pause", replicas=2)})
    d.ok("daemon", "reexec")
    count = len(os.listdir(f"/proc/{d.pid}/fd"))
    for _ in range(3):
        d.ok("daemon", "reexec")
    wait_for(lambda: len(os.listdir(f"/proc/{d.pid}/fd")) <= count, what="no more descriptors")


def test_detach_and_attach(installed):
    d = installed.start()
    before = shop(d)
    out = d.ok("daemon", "detach")
    assert f"aictld {d.pid} has ended, 4 replicas run on" in out
    assert d.wait() == 100
    for pid, start in before.values():
        assert start_time(pid) == start
    rc, _, err = d.cli("ps")
    assert rc == 6 and "no daemon answers" in err and "aictl daemon attach" in err
    out = d.ok("daemon", "attach")
    pid = int(re.match(r"aictld (\d+) runs, and took over 4 replicas", out).group(1))
    try:
        assert processes(d) == before
        assert info(d)["state_dir"] == d.state_dir, "started as the last one"
        assert "answers already" in d.ok("daemon", "attach")
        settled(d)
        d.ok("daemon", "stop")
    finally:
        if procfs.alive(pid):
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not procfs.alive(pid))
    for pid, _ in before.values():
        assert not procfs.alive(pid)


def end_attached(d, out):
    """The pid that attach told is stopped with all it has."""
    pid = int(re.match(r"aictld (\d+) runs", out).group(1))
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not procfs.alive(pid), what="the attached aictld ends")


def test_attach_with_options_keeps_the_others(installed):
    """In another state directory it would know nothing of what runs, and stop it."""
    d = installed.start()
    d.apply({"p": d.service("pause", replicas=2)})
    before = processes(d)
    for level in ("warn", "debug"):
        d.ok("daemon", "detach")
        out = d.ok("daemon", "attach", "--", "--log-level", level)
        try:
            assert info(d)["state_dir"] == d.state_dir
            assert info(d)["log_level"] == level
            assert processes(d) == before
            words = procfs.read(d.runtime_dir + "/sup/command").split("\0")
            assert words.count("--runtime-dir") == 1 and words.count("--log-level") == 1, words
        except AssertionError:
            end_attached(d, out)
            raise
    end_attached(d, out)


def test_attach_says_why_not(installed):
    d = installed.start()
    d.ok("daemon", "detach")
    rc, _, err = d.cli("daemon", "attach", "--", "--no-such")
    assert rc == 1 and "unknown option --no-such" in err, err
    end_attached(d, d.ok("daemon", "attach"))


def test_attach_outside_of_the_unit_is_told(base):
    d = InstalledDaemon(base, os.path.dirname(program("aictld")), "--cgroup",
                        f"{base}/aictl-workloads/cgroup")
    d.start()
    d.ok("daemon", "detach")
    rc, out, err = d.cli("daemon", "attach")
    assert rc == 0 and "runs outside of its unit" in err and "start aictld" in err, err
    end_attached(d, out)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_attach_is_not_for_those_who_may_not_ask(installed):
    d = installed.start()
    os.chmod(d.runtime_dir, 0o700)
    rc, _, err = d.cli_as("nobody", "daemon", "attach")
    assert rc == 7 and "not permitted to talk to the daemon" in err, (rc, err)


def test_attach_at_a_relative_socket(installed):
    d = installed.start()
    d.ok("daemon", "detach")
    r = subprocess.run([*d.cli_argv(), "--socket", os.path.basename(d.socket), "daemon", "attach"],
                       cwd=os.path.dirname(d.socket), env=d.env, capture_output=True, text=True,
                       timeout=60, check=False)
    assert r.returncode == 0, r.stderr
    end_attached(d, r.stdout)


def test_two_attach_at_once(installed):
    d = installed.start()
    d.ok("daemon", "detach")
    argv = d.cli_argv("--socket", d.socket, "daemon", "attach")
    both = [subprocess.Popen(argv, env=d.env, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outs = [p.communicate(timeout=60)[0] for p in both]
    ours = [o for o in outs if " runs, and took over" in o]
    try:
        assert [p.returncode for p in both] == [0] * len(both), outs
        assert len(ours) == 1, outs
    finally:
        end_attached(d, ours[0])


def test_what_ended_while_nobody_was_there(installed):
    d = installed.start()
    d.apply({"p": d.service("pause", replicas=2)})
    before = processes(d)
    d.ok("daemon", "detach")
    assert d.wait() == 100
    os.kill(before["p", 0][0], signal.SIGKILL)
    wait_for(lambda: not procfs.alive(before["p", 0][0]))
    d.start()
    d.wait_new_pid("p", before["p", 0][0], 0)
    d.wait_state("p", "ready")
    assert processes(d)["p", 1] == before["p", 1]
    assert d.replica("p", 0)["restarts"] == 1


def test_stop_after_reexec_finds_orphans(installed):
    """What a service left behind with a cleared environment is ours to find, before and after."""
    d = installed.start()
    script_ = "env -i setsid sh -c 'echo $$ >" + d.base + "/left/pid; exec sleep 1000' & exec sleep 1000"
    os.mkdir(f"{d.base}/left")
    os.chmod(f"{d.base}/left", 0o777)
    d.apply({"e": d.shell(script_)})
    left = int(wait_for(lambda: os.path.exists(f"{d.base}/left/pid")
                        and procfs.read(f"{d.base}/left/pid").strip()))
    d.ok("daemon", "reexec")
    assert procfs.alive(left)
    assert d.stop() == 0
    assert not procfs.alive(left)


def test_detach_is_not_for_up(base):
    reader, writing = os.pipe()
    d = Daemon(base, "--parent-fd", str(reader))
    with open(d.own_log, "ab") as log:
        d.process = procfs.popen(d.argv(), env=d.env, stdout=log, stderr=log, cwd=base,
                                 start_new_session=True, pass_fds=[reader])
    os.close(reader)
    wait_for(d.answers)
    d.apply({"p": d.service("pause")})
    before = processes(d)
    rc, _, err = d.cli("daemon", "detach")
    assert rc == 8 and "belongs to an `aictl up`" in err
    d.ok("daemon", "reexec")
    assert processes(d) == before
    os.close(writing)  # it still watches the pipe
    assert d.wait() == 0
    assert not procfs.alive(before["p", 0][0])
