"""Runs inside, as root under a real systemd with cgroup v2 and all controllers: limits are in force
and stay so over every death of aictld. Leaves one result for each check in DIR/results, as the other
tests in this kernel do.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import subprocess
import sys
import time
import traceback

OUT = sys.argv[1]
TREE = "/sys/fs/cgroup/system.slice/aictl-workloads.service"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMITS = {"memory": "64MiB", "cpus": 0.5, "pids": 20}
SERVICES = {"w": {"command": ["/usr/local/bin/svc", "lines", "50000"], "replicas": 2, "user": "nobody",
                  "resources": {"limits": LIMITS, "required": True}}}


def ok(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={"PATH": PATH, "LANG": "C.UTF-8"}, timeout=100, check=False)
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def wait(condition, what):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
        except AssertionError:
            pass
        time.sleep(0.3)  # a process costs a lot here
    raise AssertionError(f"not in time: {what}\n{ok('journalctl', '-q', '--no-pager', '-n', '60')}")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read().strip()


def show(name, unit="aictld"):
    return ok("systemctl", "show", "-P", name, unit).strip()


def pids():
    """Of the replicas, once all are ready."""
    def ready():
        services = json.loads(ok("aictl", "ps", "-o", "json"))["services"]
        found = [r for s in services for r in s["replicas"]]
        return all(r["state"] == "ready" for r in found) and {r["id"]: r["pid"] for r in found}
    return wait(ready, "all ready")


def check_limits(now):
    assert set(read(f"{TREE}/cgroup.subtree_control").split()) >= {"cpu", "io", "memory", "pids"}
    instance, = glob.glob(f"{TREE}/aictl-0-*")
    for name, pid in now.items():
        own = f"{instance}/{name.replace('/', '.')}"
        assert read(f"{own}/memory.max") == str(64 << 20)
        assert read(f"{own}/cpu.max") == "50000 100000"
        assert read(f"{own}/pids.max") == "20"
        assert read(f"{own}/cgroup.procs") == str(pid)


def test_systemd_limits_are_in_force():
    ok("systemd-sysusers")
    ok("systemctl", "start", "aictld")
    with open("/srv/shop.yaml", "w", encoding="utf-8") as f:
        json.dump({"version": 1, "name": "shop", "services": SERVICES}, f)
    ok("aictl", "apply", "-f", "/srv/shop.yaml", "--wait")
    check_limits(pids())


def test_systemd_limits_outlive_aictld():
    """Controllers in the unit's own cgroup would make its restart fail for ever (219/CGROUP)."""
    before = pids()
    for n in range(1, 4):
        ok("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "aictld")
        wait(lambda n=n: show("NRestarts") == str(n) and show("ActiveState") == "active", "it is back")
        assert pids() == before
    ok("systemctl", "restart", "aictld")
    assert pids() == before
    ok("systemctl", "daemon-reload")
    check_limits(before)


def test_systemd_oom_scores():
    scores = {p: read(f"/proc/{p}/oom_score_adj") for p in pids().values()}
    assert set(scores.values()) == {"0"}, "as if nothing protected aictld"
    assert read(f"/proc/{show('MainPID')}/oom_score_adj") == "-900"


def test_systemd_new_tree():
    """Somebody restarts the unit of the cgroups: all comes back, limited as before."""
    before = pids()
    ok("systemctl", "restart", "aictl-workloads")
    wait(lambda: not set(pids().values()) & set(before.values()), "other processes")
    check_limits(pids())


def test_systemd_stop_leaves_nothing():
    ok("systemctl", "stop", "aictld")
    wait(lambda: not os.path.exists(TREE), "the tree is gone")
    assert "aictl" not in ok("ps", "-e", "-o", "args").replace("guest.py", "")


def main():
    status = 0
    for name, check in list(globals().items()):
        if not name.startswith("test_"):
            continue
        start, text = time.monotonic(), ""
        try:
            check()
        except Exception:  # pylint: disable=broad-except
            text, status = traceback.format_exc(), 1
        with open(os.path.join(OUT, "results"), "a", encoding="utf-8") as f:
            json.dump({"test": name, "outcome": "failed" if text else "passed", "text": text,
                       "seconds": round(time.monotonic() - start, 1)}, f)
            f.write("\n")
    with open(os.path.join(OUT, "status"), "w", encoding="utf-8") as f:
        f.write(f"{status}\n")


main()
