"""Machine: systemd as PID 1 of a container, with the build under test installed in it.

The root directory is this machine's own, read through an overlay on a tmpfs: no image, nothing to
download, a boot in a second, and nothing that happens inside stays. /etc/systemd/system is replaced,
so that no unit of this machine runs there. All of it lies in a mount namespace that ends with the
container.

SPDX-License-Identifier: MIT
"""
import glob
import itertools
import json
import os
import shutil
import subprocess

import harness
import procfs
from harness import wait_for

BUILD = os.path.abspath(os.environ.get("AICTL_BUILD", harness.BUILD))  # with its Makefile
CGROUP = "/sys/fs/cgroup"
_numbers = itertools.count()

TARGET = """[Unit]
Description=Test
Requires=basic.target dbus.socket
After=basic.target dbus.socket
AllowIsolate=yes
"""

# Users are made by the sysusers file that is installed; machine-id and journal are the guest's own.
BOOT = r"""
set -eu
mount -t tmpfs -o mode=755 tmpfs "$DIR"
mkdir "$DIR/upper" "$DIR/work" "$DIR/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$DIR/upper,workdir=$DIR/work" "$DIR/root"
cd "$DIR/root"
rm -rf etc/systemd/system etc/systemd/user var/log/journal etc/aictl var/lib/aictl var/log/aictl
mkdir -p etc/systemd/system
printf %s "$TARGET" >etc/systemd/system/default.target
: >etc/machine-id
sed -i '/^aictl/d' etc/passwd etc/group etc/shadow etc/gshadow
make -s -C "$BUILD" install DESTDIR="$DIR/root" >"$LOG" 2>&1
install -m 755 "$SVC" usr/local/bin/svc
mkdir -m 777 var/tmp/san
for dir in $CGROUPS; do
	echo $$ >"$dir/cgroup.procs"
done
exec systemd-nspawn -q -D "$DIR/root" -M "$NAME" --boot --register=no --keep-unit \
	--console=pipe --private-network
"""


def why_not():
    """Why no container can be booted here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    if not shutil.which("systemd-nspawn"):
        return "needs systemd-nspawn (package systemd-container)"
    if not os.path.exists(os.path.join(BUILD, "Makefile")):
        return f"nothing to install: no Makefile in {BUILD}"
    if "\toverlay\n" not in procfs.read("/proc/filesystems"):
        return "needs overlayfs"
    return None


def hierarchies():
    """Mount points of the cgroup trees of this machine."""
    if os.path.exists(os.path.join(CGROUP, "cgroup.controllers")):
        return [CGROUP]
    return sorted(os.path.dirname(p) for p in glob.glob(CGROUP + "/*/cgroup.procs"))


class Machine:
    """tree: "unified" or "hybrid", how the guest sees control groups."""

    def __init__(self, base, tree):
        self.name = f"ae-{os.getpid()}-{next(_numbers)}"
        self.dir = os.path.join(base, "machine")
        self.console = os.path.join(base, "console")
        self.install_log = os.path.join(base, "install.log")
        self.tree = tree
        self.cgroups = []
        self.process = None
        self.leader = None

    # life

    def _make_cgroups(self):
        for mount in hierarchies():
            path = os.path.join(mount, self.name)
            os.mkdir(path)
            self.cgroups.append(path)
            for name in ("cpuset.cpus", "cpuset.mems"):  # v1: empty, so that nobody may enter
                if os.path.exists(os.path.join(path, name)) and mount != CGROUP:
                    with open(os.path.join(path, name), "w") as f:
                        f.write(procfs.read(os.path.join(mount, name)).strip())

    def boot(self):
        os.mkdir(self.dir)
        self._make_cgroups()
        env = {**os.environ, "DIR": self.dir, "NAME": self.name, "BUILD": BUILD, "TARGET": TARGET,
               "LOG": self.install_log, "SVC": harness.program("tests/e2e/svc"),
               "CGROUPS": " ".join(self.cgroups),
               "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1" if self.tree == "unified" else "0"}
        if self.tree == "hybrid":
            del env["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"]  # "0" would mean v1 alone
        for name in ("MAKEFLAGS", "MFLAGS"):
            env.pop(name, None)
        with open(self.console, "ab") as log:
            self.process = procfs.popen(["unshare", "--mount", "bash", "-c", BOOT], env=env,
                                        stdout=log, stderr=log, start_new_session=True)
        wait_for(self._booted, 120, lambda: f"the container is up: {self.said()}")
        self.ok("systemd-sysusers")
        self.ok("systemd-tmpfiles", "--create", "aictl.conf")
        return self

    def said(self):
        return procfs.read(self.install_log) + procfs.read(self.console)

    def _booted(self):
        assert self.process.poll() is None, self.said()
        if self.leader is None:
            found = [p for p in procfs.children(self.process.pid)
                     if (s := procfs.stat(p)) and s[0] == "systemd"]
            self.leader = found[0] if found else None
        if self.leader is None:
            return False
        state = self.run("systemctl", "is-system-running")[1].strip()
        assert state != "degraded", self.run("systemctl", "--failed")
        return state == "running"

    def end(self):
        """SIGKILL: there is nothing to be kept. True when its cgroups could be removed."""
        if self.leader:
            procfs.kill(self.leader)
        elif self.process:
            procfs.kill(self.process.pid)
        if self.process:
            wait_for(self._ended, 30, "nspawn ends")
            procfs.POPEN.remove(self.process)
        for path in self.cgroups:
            for directory, _, _ in os.walk(path, topdown=False):
                os.rmdir(directory)
        os.rmdir(self.dir)

    def _ended(self):
        procfs.reap()  # a pid namespace ends when all in it were waited for, those that we sent in, too
        return self.process.poll() is not None

    # inside

    def path(self, path):
        """The same file, seen from here."""
        return f"/proc/{self.leader}/root{path}"

    def read(self, path):
        return procfs.read(self.path(path))

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w") as f:
            f.write(text)
        os.chmod(self.path(path), mode)

    def run(self, *argv, timeout=90, user=None):
        """(exit status, stdout, stderr) of a command inside."""
        wrapper = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "LANG": "C.UTF-8", **harness.sanitizer_env("/var/tmp")}
        if user:
            env["XDG_RUNTIME_DIR"] = f"/run/user/{user}"
        done = subprocess.run(["nsenter", "-t", str(self.leader), "-a", *wrapper, *argv],
                              capture_output=True, text=True, timeout=timeout, env=env,
                              stdin=subprocess.DEVNULL, check=False)
        return done.returncode, done.stdout, done.stderr

    def ok(self, *argv, **kwargs):
        rc, out, err = self.run(*argv, **kwargs)
        assert rc == 0, f"{' '.join(argv)} exited {rc}\n{out}{err}\n{self.journal()}"
        return out

    def journal(self, unit="aictld.service", n=60):
        return self.run("journalctl", "--no-pager", "-q", "-n", str(n), "-u", unit)[1]

    def show(self, unit, name):
        return self.ok("systemctl", "show", "-P", name, unit).strip()

    def wait_unit(self, unit, state, timeout=30):
        wait_for(lambda: self.show(unit, "ActiveState") == state, timeout,
                 lambda: f"{unit} {state}: {self.run('systemctl', 'status', unit)[1]}")

    def cgroup(self, unit):
        """The unit's cgroup in the guest's cgroup2 tree."""
        mount = CGROUP if self.tree == "unified" else CGROUP + "/unified"
        slice_ = "/system.slice/" + unit
        return self.path(mount + slice_)

    def processes(self):
        """pid seen from here -> (comm, command line) of what runs inside."""
        found = {}
        for pid in procfs.descendants(self.leader):
            s = procfs.stat(pid)
            if s:
                found[pid] = (s[0], procfs.read(f"/proc/{pid}/cmdline").replace("\0", " ").strip())
        return found

    def aictl(self, *args, **kwargs):
        return self.ok("aictl", *args, **kwargs)

    def replicas(self, **kwargs):
        """"service/index" -> (state, pid inside)."""
        services = json.loads(self.aictl("ps", "-o", "json", **kwargs))["services"]
        return {r["id"]: (r["state"], r["pid"]) for s in services for r in s["replicas"]}

    def sanitizer_reports(self):
        return [text for p in glob.glob(self.path("/var/tmp/san/*")) if (text := procfs.read(p))]
