"""Container engines of the tests' own: a dockerd and a podman service in a namespace of their own.

One Testbed for a pytest process: a holder (this file, run as a program) in its own network and mount
namespace, which is the parent of whatever engines and containers leave behind. When its stdin closes,
in whatever way the tests end, it kills all of that by pid; mounts, interfaces and firewall rules go
with the namespaces, and it removes the control groups and the directory.

A test that has `engine` runs inside of the network namespace, with all it starts: a port published on
127.0.0.1 is there for aictld and for the test alike. Images come from this machine: no registry.

SPDX-License-Identifier: MIT
"""
import contextlib
import ctypes
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib")]

import images  # noqa: E402
import procfs  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build-tools")  # scripts/deps
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *(os.path.join(TOOLS, d)
                                                                            for d in ("usr/sbin", "usr/bin"))])
BUSYBOX = "localhost/busybox:1"  # "localhost": nobody asks a public registry for it
SVC = "localhost/svc:1"  # the same with our test program, which is static, as /svc
NAMES = ("dockerd", "podman")
GID = 64990  # of their sockets: no user's primary group, as "docker" would be
CLONE_NEWNET = 0x40000000
LISTENS = 60  # seconds until an engine answers, at the most

CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
lock_type = "file"
init_path = "/usr/bin/tini-static"
conmon_path = ["/usr/bin/conmon"]
helper_binaries_dir = ["/usr/lib/podman", "/usr/libexec/podman"]
tmp_dir = "{dir}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "{dir}/networks"
"""
STORAGE_CONF = """[storage]
driver = "overlay"
graphroot = "{dir}/graph"
runroot = "{dir}/runroot"
"""


def find(program):
    return shutil.which(program, path=PATH)


def why_not(name=None):
    """Why this engine (or any of the two) cannot be started here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    if sys.platform != "linux" or not os.path.exists("/proc/self/ns/net"):
        return "needs network namespaces"
    if "\toverlay\n" not in procfs.read("/proc/filesystems"):
        return "needs overlayfs"
    needed = {"dockerd": ("dockerd", "containerd", "runc", "iptables"), "podman": ("podman", "conmon", "runc")}
    for program in ("busybox", "ip", *(p for n in ([name] if name else NAMES) for p in needed[n])):
        if not find(program):
            return f"needs {program} (scripts/deps)"
    return None


def wait_for(condition, timeout, what):
    """As harness.wait_for, which the holder does not have."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(0.02)
    return value


# the holder

def hold(directory):
    """Starts what it is told to, a JSON object a line, and says the pid; at the end, ends it all."""
    procfs.become_subreaper()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)  # a systemd that they should not see
    os.mkdir("/run/lock")
    for where in ("/etc", "/var/lib"):  # a key of dockerd's, a cache of podman's
        over = "/run/over" + where
        os.makedirs(over + "/work")
        os.mkdir(over + "/upper")
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir={where},upperdir={over}/upper,workdir={over}/work", where], check=True)
    subprocess.run([find("ip"), "link", "set", "lo", "up"], check=True)
    signal.signal(signal.SIGCHLD, lambda *_: reap_all())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then close our stdin
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        actions = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2),
                   (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
        pid = os.posix_spawn(order["argv"][0], order["argv"], order["env"], file_actions=actions, setsid=True,
                             setsigdef=[signal.SIGINT, signal.SIGTERM])
        os.close(log)
        print(pid, flush=True)
    while left := procfs.descendants(os.getpid()):
        for pid in left:
            procfs.kill(pid)
        time.sleep(0.01)
    remove(directory)


def reap_all():
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def remove(directory):
    for path in cgroups(directory):
        for below, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(below)
    for path in glob.glob("/sys/fs/cgroup/*/libpod_parent") + glob.glob("/sys/fs/cgroup/libpod_parent"):
        with contextlib.suppress(OSError):  # another one's podman has it
            os.rmdir(path)
    for line in reversed(procfs.read("/proc/self/mounts").splitlines()):
        if line.split()[1].startswith(directory + "/"):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)
    shutil.rmtree(directory, ignore_errors=True)


def cgroups(directory):
    """Those of our containers: dockerd's in one of the testbed's name, podman's each by its id."""
    ids = set(re.findall(r'"id":"([0-9a-f]{64})"', procfs.read(f"{directory}/podman/graph/overlay-containers/"
                                                              "containers.json")))
    names = [os.path.basename(directory)]
    names += [f"libpod_parent/libpod-{which}{i}" for i in ids for which in ("", "conmon-")]
    return [p for name in names for p in glob.glob(f"/sys/fs/cgroup/{name}") + glob.glob(f"/sys/fs/cgroup/*/{name}")]


# the testbed

class Testbed:
    """The namespaces, and the engines in them, each started when it is asked for the first time.

    svc: path of the test program."""

    def __init__(self, svc):
        self.svc = svc
        self.dir = tempfile.mkdtemp(prefix="ae-box-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.engines = {}
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "--propagation", "slave", sys.executable, "-B",
                                        os.path.abspath(__file__), self.dir], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True, start_new_session=True)
        procfs.SPARED.add(self.holder.pid)
        if self.holder.stdout.readline() != "ready\n":
            raise AssertionError(f"no namespace: exit status {self.holder.wait()}")

    def spawn(self, argv, log, env=None):
        """pid of a child of the holder."""
        order = {"argv": [find(argv[0]), *argv[1:]], "log": log, "env": {**os.environ, "PATH": PATH, **(env or {})}}
        self.holder.stdin.write(json.dumps(order) + "\n")
        self.holder.stdin.flush()
        return int(self.holder.stdout.readline())

    def engine(self, name):
        if name not in self.engines:
            self.engines[name] = {"dockerd": Dockerd, "podman": Podman}[name](self).start()
            self.engines[name].import_image(BUSYBOX, images.busybox_tar())
            self.engines[name].import_image(SVC, images.busybox_tar((self.svc, "/svc")))
        return self.engines[name]

    @contextlib.contextmanager
    def inside(self):
        """This thread, and all that it starts, in the network namespace of the engines."""
        setns(os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC), close=True)
        try:
            yield
        finally:
            setns(self.home)

    def end(self):
        self.holder.stdin.close()
        self.holder.wait(60)
        procfs.SPARED.discard(self.holder.pid)
        os.close(self.home)
        assert not os.path.exists(self.dir), f"left: {self.dir}"


def setns(fd, close=False):
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.setns(fd, CLONE_NEWNET)
    if close:
        os.close(fd)
    if failed:
        raise OSError(ctypes.get_errno(), "setns")


class Engine:
    """One engine, spoken to by Docker's API."""

    name = None
    live_restore = False

    def __init__(self, box):
        self.box = box
        self.dir = os.path.join(box.dir, self.name)
        os.mkdir(self.dir)
        self.socket = os.path.join(self.dir, "api.sock")
        self.url = "unix://" + self.socket
        self.log = os.path.join(self.dir, "log")
        self.pid = None

    # life

    def argv(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def start(self):
        self.pid = self.box.spawn(self.argv(), self.log, self.environment())
        wait_for(self.answers, LISTENS, lambda: f"{self.name} answers\n{procfs.read(self.log)[-4000:]}")
        os.chown(self.socket, 0, GID)
        os.chmod(self.socket, 0o660)
        return self

    def answers(self):
        assert procfs.alive(self.pid), f"{self.name} ended\n{procfs.read(self.log)[-4000:]}"
        try:
            return self.request("GET", "/_ping", timeout=2)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def ours(self):
        """The containers of any aictl."""
        return self.containers("io.aictl.instance")

    def running(self):
        return bool(self.pid) and procfs.alive(self.pid)

    def kill(self, signo=signal.SIGKILL):
        """Ends the engine, not its containers, and waits for that."""
        procfs.kill(self.pid, signo)
        wait_for(lambda: not procfs.alive(self.pid), 60, f"{self.name} dies")
        self.died()

    def died(self):
        pass

    def restart(self, **_):
        if self.running():
            self.kill()
        return self.start()

    @contextlib.contextmanager
    def hung(self):
        """It accepts connections and answers none."""
        procfs.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            procfs.kill(self.pid, signal.SIGCONT)

    def reset(self):
        """As new for the next test: it runs, and nothing is in it but the images."""
        if not self.running():
            self.restart()
        for container in self.containers():
            self.request("DELETE", f"/containers/{container['Id']}?force=true&v=true")
        wait_for(lambda: not self.containers(), 30, lambda: f"no container is left: {self.containers()}")
        for volume in self.get("/volumes")["Volumes"] or []:
            self.request("DELETE", f"/volumes/{volume['Name']}?force=true")
        for network in self.get("/networks"):
            if network["Name"] not in ("bridge", "host", "none", "podman"):
                self.request("DELETE", f"/networks/{network['Name']}")
        if self.live_restore:
            self.restart()

    # its API

    def request(self, method, path, body=None, timeout=60, version="/v1.41"):
        """(status, bytes). body: bytes of a tar, or what becomes JSON."""
        connection = Connection(self.socket, timeout)
        kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        try:
            with contextlib.suppress(BrokenPipeError):  # it has read enough: then its answer says why
                connection.request(method, version + path, data, {} if data is None else {"Content-Type": kind})
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def get(self, path):
        status, data = self.request("GET", path)
        assert status == 200, (status, data)
        return json.loads(data)

    def post(self, path, body=None):
        status, data = self.request("POST", path, body)
        assert status < 300, (status, data)
        return json.loads(data) if data.strip() else None

    def containers(self, *labels):
        """All that there are, also those that do not run, with these labels ("name" or "name=value")."""
        filters = urllib.parse.quote(json.dumps({"label": list(labels)} if labels else {}))
        return self.get(f"/containers/json?all=true&filters={filters}")

    def inspect(self, container):
        return self.get(f"/containers/{container}/json")

    def run(self, image, *command, name=None, host=None, **keys):
        """Id of a new container that runs; host: HostConfig; keys: as in the API's create."""
        body = {"Image": image, "Cmd": list(command), "HostConfig": {"NetworkMode": "none", **(host or {})}, **keys}
        created = self.post("/containers/create" + (f"?name={name}" if name else ""), body)
        self.post(f"/containers/{created['Id']}/start")
        return created["Id"]

    def logs(self, container):
        """(stdout, stderr) of what it has written so far."""
        status, data = self.request("GET", f"/containers/{container}/logs?stdout=true&stderr=true")
        assert status == 200, data
        streams = {1: b"", 2: b""}
        while data:
            size = int.from_bytes(data[4:8], "big")
            streams[data[0]] += data[8:8 + size]
            data = data[8 + size:]
        return streams[1], streams[2]

    def import_image(self, name, tar):
        """name: with a tag."""
        repo, tag = name.rsplit(":", 1)
        status, data = self.request("POST", f"/images/create?fromSrc=-&repo={repo}&tag={tag}", tar, 300)
        assert status == 200 and b'"error' not in data, (status, data[-400:])
        return name


class Dockerd(Engine):
    name = "dockerd"

    def argv(self):
        with open(os.path.join(self.dir, "daemon.json"), "w", encoding="utf-8") as f:
            f.write("{}")
        return ["dockerd", "--config-file", f.name, "--data-root", f"{self.dir}/data", "--exec-root",
                f"{self.dir}/exec", "--pidfile", f"{self.dir}/pid", "-H", self.url, "-G", str(GID),
                "--cgroup-parent", "/" + os.path.basename(self.box.dir), "--exec-opt", "native.cgroupdriver=cgroupfs",
                "--init-path", "/usr/bin/tini-static",
                *(["--live-restore"] if self.live_restore else [])]

    def restart(self, live_restore=False):
        """live_restore: whether the new one lets containers live, which is asked when it comes and goes."""
        if self.running():
            self.kill()
        self.live_restore = live_restore
        return self.start()

    def died(self):
        """Its containerd goes with it, in its own time; what is left of it would keep the next one away."""
        pid = os.path.join(self.dir, "exec/containerd/containerd.pid")
        number = procfs.read(pid).strip()
        if number.isdigit():
            wait_for(lambda: not procfs.is_alive_as(int(number), "containerd"), 30, "containerd dies")
        for path in (pid, os.path.join(self.dir, "pid"), self.socket):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


class Podman(Engine):
    name = "podman"

    def __init__(self, box):
        super().__init__(box)
        for name, text in (("containers.conf", CONTAINERS_CONF), ("storage.conf", STORAGE_CONF)):
            with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
                f.write(text.format(dir=self.dir))

    def argv(self):
        return ["podman", "system", "service", "--time=0", self.url]

    def environment(self):
        return {"CONTAINERS_CONF": f"{self.dir}/containers.conf",
                "CONTAINERS_STORAGE_CONF": f"{self.dir}/storage.conf"}

    def died(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)


    def import_image(self, name, tar):
        """By its own API: what it takes from Docker's it leaves without a name."""
        status, data = self.request("POST", f"/libpod/images/import?reference={name}", tar, 300, "/v4.0.0")
        assert status == 200, (status, data[-400:])
        return name


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


if __name__ == "__main__":
    hold(sys.argv[1])
