"""What a service's process is: user, groups, umask, nice, oom score, limits, environment.

The service prints its own context as one line of JSON; each case is compared in full, so what a
manifest does not name is shown to be as aictld's own.

SPDX-License-Identifier: MIT
"""
import grp
import json
import os
import pwd
import resource

import pytest

import procfs
from harness import wait_for

CONTEXT = """
import json, os, resource, sys, time
mask = os.umask(0)
limits = {n[7:].lower(): resource.getrlimit(getattr(resource, n)) for n in dir(resource)
          if n.startswith("RLIMIT_") and n != "RLIMIT_OFILE"}
print(json.dumps({
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": sorted(os.getgroups()),
    "umask": mask, "nice": os.getpriority(os.PRIO_PROCESS, 0), "cwd": os.getcwd(),
    "oom": int(open("/proc/self/oom_score_adj").read()), "limits": limits,
    "env": dict(os.environ), "fds": sorted(int(n) for n in os.listdir("/proc/self/fd"))[:3],
    "session": os.getsid(0) == os.getpid()}), flush=True)
time.sleep(1000)
"""
INFINITY = resource.RLIM_INFINITY
CAP_SYS_RESOURCE = 24  # some containers' root lacks it
# name in the manifest -> what /proc/PID/limits calls it
NAMES = {"as": "Max address space", "core": "Max core file size", "cpu": "Max cpu time",
         "data": "Max data size", "fsize": "Max file size", "memlock": "Max locked memory",
         "msgqueue": "Max msgqueue size", "nice": "Max nice priority", "nofile": "Max open files",
         "nproc": "Max processes", "rss": "Max resident set", "rtprio": "Max realtime priority",
         "rttime": "Max realtime timeout", "sigpending": "Max pending signals",
         "stack": "Max stack size"}


def probe(daemon, **keys):
    return daemon.service(**keys) | {"command": ["/usr/bin/python3", "-c", CONTEXT], **keys}


def context(daemon, service, index=0):
    def line():
        data = daemon.segments(service, index)
        return data if data.endswith(b"\n") else None
    return json.loads(wait_for(line, what=f"{service} says what it is").splitlines()[-1])


def daemon_limits(daemon):
    """Of aictld, whose soft NOFILE is raised for itself only."""
    limits = {}
    for line in procfs.read(f"/proc/{daemon.pid}/limits").splitlines():
        for name, title in NAMES.items():
            if line.startswith(title + " "):
                values = line[len(title):].split()[:2]
                limits[name] = [INFINITY if v == "unlimited" else int(v) for v in values]
    limits["nofile"] = list(resource.getrlimit(resource.RLIMIT_NOFILE))
    return limits


def may_raise():
    effective = next(line for line in procfs.read("/proc/self/status").splitlines()
                     if line.startswith("CapEff:"))
    return int(effective.split()[1], 16) >> CAP_SYS_RESOURCE & 1


def oom_score(pid):
    return int(procfs.read(f"/proc/{pid}/oom_score_adj"))


def user_with_groups():
    """A user with supplementary groups where there is one; else nobody."""
    for entry in pwd.getpwall():
        if entry.pw_uid not in (0, 65534) and len(os.getgrouplist(entry.pw_name, entry.pw_gid)) > 1:
            return entry
    return pwd.getpwnam("nobody")


def message_of(daemon, service):
    def failed():
        replica = daemon.replica(service)
        return replica and replica["state"] == "failed" and replica
    replica = wait_for(failed, what=lambda: f"{service} fails: {daemon.ps()}")
    return replica["reason"], replica["message"]


def refusal(daemon, keys):
    """(exit status and text of apply, or None; reason and message of the replica, or None)."""
    services = {"bad": probe(daemon, restart={"policy": "never"}, **keys)}
    path = daemon.write({"version": 1, "name": "bad", "services": services}, "bad.yaml")
    rc, out, err = daemon.cli("apply", "-f", path)
    if rc != 0:
        return rc, out + err
    return message_of(daemon, "bad")


@pytest.mark.needs_root
def test_nothing_given_is_as_aictld_itself(daemon):
    daemon.apply({"plain": probe(daemon, user="nobody")})
    nobody = pwd.getpwnam("nobody")
    got = context(daemon, "plain")
    assert got["uid"] == [nobody.pw_uid] * 3 and got["gid"] == [nobody.pw_gid] * 3
    assert got["groups"] == sorted(os.getgrouplist("nobody", nobody.pw_gid))
    assert got["umask"] == 0o022
    assert got["nice"] == os.getpriority(os.PRIO_PROCESS, daemon.pid)
    assert got["oom"] == oom_score(daemon.pid)
    assert got["limits"] == daemon_limits(daemon)
    assert got["fds"] == [0, 1, 2] and got["session"]


@pytest.mark.needs_root
def test_everything_given(daemon):
    entry = user_with_groups()
    other = next(g for g in grp.getgrall() if g.gr_gid not in
                 os.getgrouplist(entry.pw_name, entry.pw_gid) and g.gr_gid != 0)
    before = oom_score(daemon.pid)
    daemon.apply({"full": probe(daemon, user=entry.pw_name, group=other.gr_name, umask="0027", nice=7,
                                oom_score=300, working_dir="/usr",
                                ulimits={"nofile": "1000:2000", "core": 0, "data": "unlimited",
                                         "stack": {"soft": 1 << 20, "hard": "unlimited"},
                                         "nproc": 500, "cpu": {"soft": 600, "hard": 700}})})
    got = context(daemon, "full")
    assert got["uid"] == [entry.pw_uid] * 3
    assert got["gid"] == [other.gr_gid] * 3
    assert got["groups"] == sorted(os.getgrouplist(entry.pw_name, other.gr_gid))
    assert (got["umask"], got["nice"], got["oom"], got["cwd"]) == (0o027, 7, 300, "/usr")
    want = daemon_limits(daemon)
    want |= {"nofile": [1000, 2000], "core": [0, 0], "data": [INFINITY, INFINITY],
             "stack": [1 << 20, INFINITY], "nproc": [500, 500], "cpu": [600, 700]}
    assert got["limits"] == want
    assert oom_score(daemon.pid) == before  # the service's alone


@pytest.mark.needs_root
def test_root_may_be_nicer_and_safer(daemon):
    """Below what an ordinary user may ask for; the limits are raised before root is given up."""
    daemon.apply({"vip": probe(daemon, user="nobody", nice=-5)})
    assert context(daemon, "vip")["nice"] == -5
    assert os.getpriority(os.PRIO_PROCESS, daemon.pid) != -5
    if not may_raise():
        pytest.skip("no CAP_SYS_RESOURCE: neither lower oom scores nor higher limits")
    daemon.apply({"vip": probe(daemon, user="nobody", oom_score=-500, ulimits={"rtprio": 10})})
    wait_for(lambda: daemon.segments("vip").count(b"\n") == 2, what="the second line")
    got = context(daemon, "vip")
    assert (got["oom"], got["limits"]["rtprio"]) == (-500, [10, 10])
    assert oom_score(daemon.pid) != -500


@pytest.mark.needs_root
def test_the_context_holds_after_a_restart(daemon):
    """Also when aictld restarts it by itself (a standby)."""
    daemon.apply({"again": probe(daemon, user="nobody", nice=3, oom_score=100, umask="0077",
                                 ulimits={"nofile": 333},
                                 restart={"policy": "always", "backoff": {"initial": "0s"}})})
    first = context(daemon, "again")
    for n in range(2, 5):
        procfs.kill(daemon.pid_of("again"))
        wait_for(lambda n=n: daemon.segments("again").count(b"\n") == n, what=f"line {n}")
    last = context(daemon, "again")
    del first["env"]["AICTL_INCARNATION"], last["env"]["AICTL_INCARNATION"]
    assert last == first
    assert last["limits"]["nofile"] == [333, 333] and last["nice"] == 3 and last["oom"] == 100


@pytest.mark.needs_root
def test_environment_is_clean(start):
    daemon = start(env={"SECRET_OF_THE_ADMIN": "x", "LD_LIBRARY_PATH": "/nowhere"})
    daemon.apply({"env": probe(daemon, user="nobody", environment={"MODEL": "a b", "N": "${REPLICA}"},
                               ports={"http": {"port": 18190}, "metrics": {}, "grpc-web": {}})})
    got = context(daemon, "env")["env"]
    got.pop("LC_CTYPE", None)  # Python's own
    nobody = pwd.getpwnam("nobody")
    replica = daemon.replica("env")
    ports = replica["ports"]
    assert set(ports) == {"http", "metrics", "grpc-web"} and len(set(ports.values())) == 3
    assert got == {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   "LANG": "C.UTF-8", "HOME": nobody.pw_dir, "USER": "nobody", "LOGNAME": "nobody",
                   "SHELL": nobody.pw_shell, "MODEL": "a b", "N": "0",
                   "PORT": str(ports["http"]), "PORT_HTTP": str(ports["http"]),
                   "PORT_METRICS": str(ports["metrics"]), "PORT_GRPC_WEB": str(ports["grpc-web"]),
                   "AICTL_SERVICE": "env", "AICTL_REPLICA": "0", "AICTL_REVISION": "1",
                   "AICTL_INCARNATION": replica["incarnation"]}


@pytest.mark.needs_root
def test_a_limit_that_cannot_be_set_is_named(daemon):
    first, text = refusal(daemon, {"user": "nobody", "ulimits": {"nofile": 1 << 40}})
    assert "nofile" in text, (first, text)
    assert first == 9 or (first == "spawn_failed" and
                          text == "cannot start: limits: nofile: Operation not permitted")


@pytest.mark.needs_root
def test_unknown_group_is_an_error(daemon):
    first, text = refusal(daemon, {"user": "nobody", "group": "no-such-group"})
    assert first == 9 and "no-such-group" in text


def ordinary(start):
    return start(user="nobody" if os.geteuid() == 0 else None)


def test_an_ordinary_user_lowers(start):
    daemon = ordinary(start)
    before = oom_score(daemon.pid)
    nice = min(os.getpriority(os.PRIO_PROCESS, daemon.pid) + 4, 19)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    daemon.apply({"low": probe(daemon, nice=nice, oom_score=before + 200, umask="0077",
                               ulimits={"nofile": "100:200", "core": 0}),
                  "soft": probe(daemon, ulimits={"nofile": f"{hard}:{hard}"})})
    got = context(daemon, "low")
    uid = procfs.uid(daemon.pid)
    assert got["uid"] == [uid] * 3
    assert (got["nice"], got["oom"], got["umask"]) == (nice, before + 200, 0o077)
    want = daemon_limits(daemon) | {"nofile": [100, 200], "core": [0, 0]}
    assert got["limits"] == want
    assert oom_score(daemon.pid) == before
    assert context(daemon, "soft")["limits"]["nofile"] == [hard, hard]


def test_an_ordinary_user_cannot_raise(start):
    daemon = ordinary(start)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    first, text = refusal(daemon, {"ulimits": {"nofile": hard + 1}})
    assert "nofile" in text, (first, text)
    assert first == 9 or text == "cannot start: limits: nofile: Operation not permitted"


@pytest.mark.parametrize("keys, name", [({"nice": -5}, "nice"), ({"oom_score": -1000}, "oom_score")])
def test_an_ordinary_user_is_told_what_he_may_not(start, keys, name):
    daemon = ordinary(start)
    first, text = refusal(daemon, keys)
    assert first == "spawn_failed"
    assert text == f"cannot start: limits: {name}: Permission denied"


def test_an_ordinary_user_has_his_own_group_only(start):
    daemon = ordinary(start)
    own = os.stat(daemon.runtime_dir).st_gid
    daemon.apply({"own": probe(daemon, group=grp.getgrgid(own).gr_name)})
    assert context(daemon, "own")["gid"] == [own] * 3
    other = next(g for g in grp.getgrall() if g.gr_gid != own)
    first, text = refusal(daemon, {"group": other.gr_name})
    assert first == 9 and other.gr_name in text and "ordinary user" in text
