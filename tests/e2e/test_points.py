"""kill -9 at every step: each of our processes is stopped at each of its points and killed there.

The points come from the programs themselves (`PROGRAM --points`, lib/point.h): what is new in the
code is tested, or this says that nothing reaches it. Only a build with --enable-sanitizers or
--enable-points has them.

SPDX-License-Identifier: MIT
"""
import os
import signal
import subprocess
import time

import pytest

import procfs
from harness import CAMPAIGN, Daemon, numbered, program, wait_for

PROGRAMS = ("aictld", "aictl-logger", "aictl-controller")


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


POINTS = points()
if not POINTS:
    POINTS = [pytest.param(None, None, marks=pytest.mark.skip(
        reason="built without --enable-points"))]


def leads_session(pid):
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


class World:
    """One daemon with a service for each way that a process can begin and end."""

    def __init__(self, base, point):
        self.base, self.point = base, point
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
        for service in ("standby", "plain"):
            pid = self.main_processes().get((service, 0), [None])[0]
            if pid:
                self.kills[service] = self.kills.get(service, 0) + 1
                os.kill(pid, signal.SIGKILL)

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

    USUAL = (kill_replicas, stop_and_start, remove_and_make, kill_logger, kill_aictld)
    STEPS = {"detach": (detach, reexec), "giveback": (kill_aictld, kill_controller, detach),
             "stop": (stop_and_start,), "release": (remove_and_make,),
             "spawn": (kill_replicas, remove_and_make, kill_aictld),
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

    def check(self):
        self.answers()
        for client in self.clients:
            client.wait(60)
        self.answers()
        services = wait_for(self.settled, what=lambda: f"{self.daemon.ps()}\n{self.main_processes()}"
                                                       f"\n{self.daemon.log()}")
        lines = services["lines"]["replicas"][0]
        assert (lines["pid"], lines["restarts"]) == (self.lines_pid, 0)
        for service, kills in self.kills.items():
            replica = services[service]["replicas"][0]
            assert replica["restarts"] == kills, (service, replica)
        with open(f"{self.base}/enough", "w", encoding="utf8"):
            pass
        wait_for(lambda: b"end " in self.daemon.segments("lines"), what="the writer's last line")
        numbered(self.daemon.segments("lines"))
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
