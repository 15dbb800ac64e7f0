"""kill -9 at every step: each of our processes is stopped at each of its points and killed there.

The points come from the programs themselves (`PROGRAM --points`, lib/point.h): what is new in the
code is tested, or this says that nothing reaches it. Only a build with --enable-sanitizers or
--enable-points has them.

SPDX-License-Identifier: MIT
"""
import glob
import os
import signal
import subprocess
import time

import pytest

import procfs
from harness import CAMPAIGN, IN_PLACE, Daemon, built_with, numbered, program, wait_for
from test_traffic import ask, free_port, talker, wait_open

PROGRAMS = ("aictld", "aictl-logger", "aictl-controller", "aictl-gateway")
TRAFFIC = ("gateway.", "controller.routes.", "aictld.giveback.listener")


def points():
    found = []
    for name in PROGRAMS:
        try:
            done = subprocess.run([program(name), "--points"], capture_output=True, text=True,
                                  timeout=20, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            found += [(name, point) for point in sorted(set(done.stdout.split()))]
    return found


POINTS = [p for p in points() if not p[1].startswith("aictld.unit.")]
PARTLY = "points of units: they need a container engine, and no test dies there yet"
ELSEWHERE = None if built_with("AICTL_POINTS") else "built without --enable-points"
assert POINTS or ELSEWHERE, "no program names its points"


def leads_session(pid):
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


# Says READY=1 once and STATUS for ever; hands over to its child, and trips its watchdog, when told to.
PUSHES = """
import os, socket, time
def say(text):
    try:
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
    except OSError:
        pass  # aictld is away
def told(name):
    return os.path.exists("{base}/" + name)
say("READY=1")
child = None
while child != 0 and not told("leave"):
    if child is None and told("move"):
        child = os.fork()
    if told("trip"):
        os.unlink("{base}/trip")
        say("WATCHDOG=trigger")
    say(f"STATUS={{time.monotonic()}}")
    time.sleep(0.02)
while child == 0:
    say(f"MAINPID={{os.getpid()}}")
    time.sleep(0.02)
"""


class World:
    """One daemon with a service for each way that a process can begin and end."""

    def __init__(self, base, point):
        self.base, self.point = base, point
        self.port = None
        self.arms = os.path.join(base, "points")
        os.mkdir(self.arms)
        os.chmod(self.arms, 0o777)
        self.daemon = Daemon(base, "--helper-restart", CAMPAIGN, env={"AICTL_POINTS": self.arms})
        self.kills = {}
        self.clients = []

    def begin(self):
        d = self.daemon.start()
        at_once = {"backoff": {"initial": 0}, "budget": {"restarts": 0}}
        soon = {"backoff": {"initial": "20ms", "max": "50ms"}, "budget": {"restarts": 0}}
        if self.point.startswith("aictld.push."):
            os.chmod(self.base, 0o777)
            d.apply({"pushes": {**d.service(restart=at_once, probes={"readiness": {"notify": True}}),
                                "command": ["python3", "-c", PUSHES.format(base=self.base)]}}, name="push")
        if self.point.startswith("controller.hook."):
            true = [{"exec": {"command": ["/bin/true"]}}]
            d.apply({"hooked": d.service("pause", restart=soon, hooks={"pre_start": true, "post_stop": true})},
                    name="hooks")
        if "secrets" in self.point or self.point.startswith("controller.reload."):
            self.touch("m-tok")
            d.apply({"reader": {**d.shell("trap 'echo again' HUP; while :; do sleep 0.05; done"),
                                "secrets": {"tok": {"file": f"{self.base}/m-tok"}},
                                "reload": {"signal": "SIGHUP"}}}, name="reads")
        if self.point.startswith(TRAFFIC):
            self.port = free_port()
            d.apply({"web": talker(d, self.port, restart=at_once, update=IN_PLACE)}, name="web")
            wait_open(d)
        if self.point.startswith("logger.compress."):
            d.apply({"packed": d.shell(f"i=0; while [ ! -e {self.base}/enough ]; do i=$((i+1)); echo line $i; "
                                       "[ $((i%500)) != 0 ] || sleep 0.02; done; echo end $i; exec sleep 1000",
                                       logs={"max_size": "64KiB", "max_files": 1000, "compress": "zstd"})}, name="pack")
        d.apply({
            "lines": d.shell(f"i=0; while [ ! -e {self.base}/enough ]; do i=$((i+1)); "
                             "echo line $i; sleep 0.005; done; echo end $i; exec sleep 1000"),
            "standby": d.service("pause", restart=at_once),
            "plain": d.service("pause", restart=soon),
            "stubborn": d.shell("trap '' TERM; echo up; while :; do sleep 0.1; done",
                                stop={"grace_period": "200ms"})})
        self.lines_pid = d.pid_of("lines")
        wait_for(lambda: d.logged("stubborn"), what="its trap is set")

    # what makes them pass by

    def arm(self):
        with open(os.path.join(self.arms, self.point), "w", encoding="utf8"):
            pass

    def is_hit(self):
        return not os.path.exists(os.path.join(self.arms, self.point))

    def cli(self, *args):
        """A command that may well get no answer now."""
        d = self.daemon
        env = {**d.env, "AICTL_SOCKET": d.socket}
        self.clients.append(subprocess.Popen(d.cli_argv(*args), env=env, cwd=self.base,
                                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL))

    def kill_replicas(self):
        for service in ("standby", "plain", "pushes"):
            pid = self.main_processes().get((service, 0), [None])[0]
            if pid:
                self.kills[service] = self.kills.get(service, 0) + 1
                os.kill(pid, signal.SIGKILL)

    def kill_hooked(self):
        os.kill(self.daemon.pid_of("hooked"), signal.SIGKILL)

    def change_secret(self):
        with open(os.path.join(self.base, "m-tok"), "a", encoding="utf8") as f:
            f.write("x")
        self.cli("apply", "-f", f"{self.base}/m/reads.yaml")

    def stop_and_start(self):
        self.cli("restart", "stubborn", "--no-wait")

    def remove_and_make(self):
        self.daemon.write({"version": 1, "name": "extra", "services": {
            "extra": self.daemon.service("pause")}}, "extra.yaml")
        self.cli("apply", "-f", f"{self.base}/m/extra.yaml")
        wait_for(lambda: self.is_hit() or self.main_processes().get(("extra", 0)), what="extra")
        if not self.is_hit():
            self.cli("delete", "--set", "extra")

    def kill_helper(self, which):
        pid = self.daemon.helper(which)
        if pid:
            os.kill(pid, signal.SIGKILL)

    def kill_logger(self):
        self.kill_helper("logger")

    def kill_controller(self):
        self.kill_helper("controller")

    def kill_aictld(self):
        self.daemon.process.kill()
        self.daemon.process.wait()
        self.daemon.spawn()

    def detach(self):
        self.cli("daemon", "detach")
        wait_for(lambda: self.is_hit() or self.daemon._poll() is not None, what="it has ended")
        if self.daemon.process.poll() is not None:
            self.daemon.spawn()

    def reexec(self):
        self.cli("daemon", "reexec")

    def stop_logger_meanwhile(self):
        """What it hears of late: that processes are gone."""
        logger = self.daemon.helper("logger")
        os.kill(logger, signal.SIGSTOP)
        self.kill_replicas()
        then = time.monotonic() + 0.5  # aictld waits a little before it says so
        wait_for(lambda: time.monotonic() > then)
        os.kill(logger, signal.SIGCONT)

    def touch(self, name):
        with open(os.path.join(self.base, name), "w", encoding="utf8"):
            pass

    def say_something(self):
        if self.point == "aictld.push.main":
            self.touch("move")
        elif self.point == "aictld.push.expired":
            self.touch("trip")
            os.chmod(os.path.join(self.base, "trip"), 0o666)

    def restart_web(self):
        self.cli("restart", "web", "--no-wait")

    USUAL = (kill_replicas, stop_and_start, remove_and_make, kill_logger, kill_aictld)
    STEPS = {"detach": (detach, reexec), "giveback": (kill_aictld, kill_controller, detach),
             "stop": (stop_and_start,), "routes": (restart_web,), "release": (remove_and_make,),
             "spawn": (kill_replicas, remove_and_make, kill_aictld),
             "push": (say_something,), "hook": (kill_hooked,), "reload": (change_secret,), "secrets": (change_secret,),
             "logger.exit": (stop_logger_meanwhile,), "controller.exit": (stop_and_start,)}

    def provoke(self):
        program_, group = self.point.split(".")[:2]
        steps = self.STEPS.get(f"{program_}.{group}") or self.STEPS.get(group) or ()
        for step in (*steps, *(u for u in self.USUAL if u not in steps)):
            step(self)
            try:
                wait_for(self.is_hit, 2)
                return
            except AssertionError:
                self.answers()
        raise AssertionError(f"nothing reaches {self.point}: add a step")

    def answers(self):
        def up():
            if self.daemon.process.poll() == 100:  # the client asked the next one again to detach
                self.daemon.spawn()
            return self.daemon.answers()
        wait_for(up, what=self.daemon.log)

    # death and recovery

    def find_stopped(self, name):
        """T and not t: at its end a sanitizer traces its own process."""
        for pid in procfs.descendants(os.getpid()):
            s = procfs.stat(pid)
            if s and s[0] == name[:15] and s[1] == "T":
                return pid
        return None

    def kill_there(self, name):
        pid = wait_for(lambda: self.find_stopped(name), what=f"{name} stops at {self.point}")
        os.kill(pid, signal.SIGKILL)
        if pid == self.daemon.pid:
            self.daemon.process.wait()
            self.daemon.spawn()

    def main_processes(self):
        """(service, index) -> pids of session leaders that carry its name."""
        found = {}
        for pid in procfs.descendants(os.getpid()):
            environ = procfs.environ(pid)
            if "AICTL_REPLICA" in environ and leads_session(pid):
                key = environ["AICTL_SERVICE"], int(environ["AICTL_REPLICA"])
                found.setdefault(key, []).append(pid)
        return found

    def settled(self):
        """Each desired replica is ready, and is the one process that runs of it."""
        try:
            services = self.daemon.ps()
            running = self.main_processes()
        except (AssertionError, OSError):
            return False
        services.pop("extra", None)
        if any(s["state"] != "ready" for s in services.values()):
            return False
        for (name, index), pids in running.items():
            if name != "extra" and (index > 0 or pids != [services[name]["replicas"][0]["pid"]]):
                return False
        return services

    def check_push(self):
        """What was said before the death holds: it was never said again."""
        def seen():
            return self.daemon.replica("pushes")
        wait_for(lambda: (r := seen()) and r["state"] == "ready" and r["notify"] and r["notify"]["status"])
        if self.point == "aictld.push.main":
            first = seen()["pid"]
            wait_for(lambda: not leads_session(seen()["pid"]), what="its child is the main process")
            self.touch("leave")
            wait_for(lambda: ("pushes", 0) not in self.main_processes(), what=f"{first} has left")
        tripped = self.point == "aictld.push.expired"
        wait_for(lambda: seen()["restarts"] == int(tripped) + self.kills.get("pushes", 0) and seen()["state"] == "ready",
                 what=lambda: f"{seen()}\n{self.daemon.log()}")
        if tripped:
            assert seen()["last_exit"]["cause"] == "watchdog"

    def check(self):
        self.answers()
        for client in self.clients:
            client.wait(60)
        self.answers()
        if self.point.startswith("aictld.push."):
            self.check_push()
        services = wait_for(self.settled, what=lambda: f"{self.daemon.ps()}\n{self.main_processes()}"
                                                       f"\n{self.daemon.log()}")
        lines = services["lines"]["replicas"][0]
        assert (lines["pid"], lines["restarts"]) == (self.lines_pid, 0)
        if "reader" in services:
            wait_for(lambda: "again" in [e["line"] for e in self.daemon.logged("reader")],
                     what="it was asked to read again")
        for service, kills in self.kills.items():
            replica = services[service]["replicas"][0]
            assert replica["restarts"] == kills, (service, replica)
        with open(f"{self.base}/enough", "w", encoding="utf8"):
            pass
        wait_for(lambda: b"end " in self.daemon.segments("lines"), what="the writer's last line")
        numbered(self.daemon.segments("lines"))
        if "web" in services:
            assert ask(self.port)[0] == 200
        if "packed" in services:
            wait_for(lambda: len(self.daemon.log_files("packed", kind="log")) == 1, what="all is compressed")
            wait_for(lambda: b"end " in self.daemon.stored("packed")[-100:], what="its last line")
            numbered(self.daemon.stored("packed"))
            assert not glob.glob(os.path.join(self.daemon.log_dir, "packed/0/.*"))
        assert self.daemon.stop() == 0, self.daemon.log()


@pytest.mark.waits
@pytest.mark.parametrize("name,point", POINTS)
def test_killed_at(base, name, point):
    world = World(base, point)
    try:
        world.begin()
        world.arm()
        world.provoke()
        world.kill_there(name)
        world.check()
    finally:
        print(world.daemon.log())
        for client in world.clients:
            client.kill()
            client.wait()
        if world.daemon.process.poll() is None:
            world.daemon.process.kill()
            world.daemon.process.wait()
