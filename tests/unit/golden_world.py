"""The fixed replies behind the golden outputs of cli_golden.py, as fake_daemon.py gives them.

All times lie a fixed number of seconds before `now`, chosen so that an age stays the same word for
half a minute: hours with half a minute more, days with half an hour more.

SPDX-License-Identifier: MIT
"""
import time

H, M, D = 3600, 60, 86400
# seconds before now, by what they stand for
OFFSETS = {"start": 3 * H + 12 * M + 20, "probe": 2 * H + 20, "exit": 3 * H + 14 * M + 20,
           "crash": 2 * D + 5 * H + 20 * M, "born": 5 * H + 41 * M + 20, "applied": 9 * D + 3 * H + 20 * M,
           "old": 21 * D + 2 * H + 20 * M, "next": -(5 * H + 30 * M + 40)}
ID = "019af0c2d3e4" + "5f" * 10


def stamp(now, name):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - OFFSETS[name]))


def spec(**more):
    return {"description": "Sentiment of a sentence",
            "command": ["python3", "-m", "uvicorn", "app:app", "--port", "${PORT}", "--title", "it's a model"],
            "working_dir": "/srv/shop/sentiment", "user": "ai",
            "environment": {"MODEL": "***", "OMP_NUM_THREADS": "***"},
            "replicas": 2, "ports": {"http": {"port": 8000}, "metrics": {}},
            "probes": {"startup": {"http": {"path": "/healthz"}, "period": "1s"},
                       "liveness": {"http": {"path": "/healthz"}, "failure_threshold": 3}},
            "resources": {"limits": {"memory": "2GiB", "cpus": 1.5}},
            "stop": {"grace_period": "30s"}, "labels": {"team": "nlp", "stage": "prod"}, **more}


KEYS = {k: {"file": "/srv/shop/aictl.yaml", "line": n} for k, n in [
    ("command", 13), ("working_dir", 14), ("environment.MODEL", 17), ("environment.OMP_NUM_THREADS", 18),
    ("replicas", 19), ("ports.http.port", 20), ("stop.grace_period", 31), ("user", 15)]}


class World:
    def __init__(self, now):
        self.now = now

    def at(self, name):
        return stamp(self.now, name)

    def replica(self, name, index, state, **more):
        r = {"id": f"{name}/{index}", "index": index, "pid": 4711 + index, "incarnation": ID, "state": state,
             "revision": 3, "port": 20001 + index, "ports": {"http": 20001 + index}, "restarts": index,
             "started_at": self.at("start"), "since": self.at("probe"), "reason": "probe_passed",
             "message": "readiness probe passed", "frozen": False, "slow_mode": False, "next_attempt_at": None, "last_exit": None,
             "notify": None}
        r.update(more)
        r["usage"] = {"memory_bytes": (90 + 1000 * index) * 1000000, "cpu_usec": 4200000 + 83000000 * index,
                      "pids": 5, "source": "cgroup"} if r["pid"] else None
        return r

    def endpoint(self, **more):
        return {"name": "http", "protocol": "http", "mode": "proxy", "address": "127.0.0.1:8000", "open": True, "error": None,
                "active": 0, **more}

    def traffic(self, requests, **more):
        """Of a replica; with more, of a service."""
        return {"requests_per_second": requests / 50, "error_rate": 0.004, "p50_ms": 12.3, "p95_ms": 148.2, "p99_ms": 1734.0,
                "first_byte_p50_ms": 4.6, "first_byte_p95_ms": 90.0, "in_flight": 1, "requests": requests, "errors": 3, "retries": 1,
                "connect_failures": 0, "cancelled": 2, **more}

    def service(self, name, state, replicas, **more):
        s = {"name": name, "set": "shop", "state": state, "runtime": "process", "revision": 3,
             "desired": len(replicas), "ready": sum(r["state"] == "ready" for r in replicas), "message": "",
             "endpoints": [], "labels": {}, "drift": [], "replicas": replicas}
        s.update(more)
        return s

    def exits(self):
        return [{"replica": 1, "incarnation": ID, "code": None, "signal": "SIGKILL", "cause": "oom",
                 "started_at": self.at("old"), "at": self.at("crash")},
                {"replica": 1, "incarnation": ID, "code": 1, "signal": None, "cause": "exit",
                 "started_at": self.at("born"), "at": self.at("exit")}]

    def services(self):
        last = {"code": 1, "signal": None, "cause": "exit", "at": self.at("exit")}
        hostile = "exit code 1 \u2014 the model file\u202e \u201cv3.joblib\u201d is not there \x1b[31m\n(see its log)"
        return {s["name"]: s for s in [
            self.service("sentiment", "ready", [
                self.replica("sentiment", 0, "ready", ports={"http": 20001, "metrics": 20011},
                             traffic=self.traffic(1200, ejected=False)),
                self.replica("sentiment", 1, "ready", ports={"http": 20002, "metrics": 20012}, last_exit=last,
                             traffic=self.traffic(34, ejected=True),
                             notify={"ready": True, "reloading": False, "stopping": False, "errno": 0, "watched": True,
                                     "status": "4,312 requests, 2 \u00e9l\u00e8ves", "watchdog_ms": 30000, "dropped": 1})],
                labels={"team": "nlp", "stage": "prod"}, endpoints=[self.endpoint(active=2)],
                traffic=self.traffic(1234, waiting=4, longest_wait_ms=2300, refused=1, last_minute=[0] * 40 + [60] * 20),
                override=None, autoscale=self.scaler()),
            self.service("chat", "degraded", [
                self.replica("chat", 0, "backoff", pid=None, port=None, ports={}, restarts=7, reason="crash_loop",
                             started_at=None, message=hostile, slow_mode=True, next_attempt_at=self.at("next"),
                             last_exit=last)], labels={"team": "chat"}, message="replica 0 crashes again and again",
                endpoints=[self.endpoint(open=False, error="Address already in use")]),
            self.service("db", "degraded", [
                self.replica("db", 0, "unknown", reason="engine_unreachable", message="engine unreachable since 2026-01-02T03:04:05Z: Connection refused",
                             container={"state": "running", "id": "3f2a9c81d0e4" + "0" * 52, "image": "postgres:16", "ip": "172.17.0.2",
                                        "pull": None})], runtime="docker"),
            self.service("api", "updating", [self.replica("api", 0, "ready"),
                         self.replica("api", 1, "ready", frozen=True, reason="frozen", message="frozen by the user"),
                         self.replica("api", 2, "starting")],
                         drift=[{"key": "replicas", "manifest": 2, "actual": 3}], revision=4),
            self.service("old", "stopped", [], message="stopped by alice", set="else"),
            self.service("\u00e9t\u00e9", "succeeded", [self.replica("\u00e9t\u00e9", 0, "succeeded", pid=None,
                         port=None, ports={}, started_at=None, message="exit code 0")], set="else")]}

    def describe(self, s):
        probes = {"startup": {"enabled": True, "ok": True, "message": "HTTP 200", "at": self.at("start"), "failures": 0,
                              "failure_threshold": 1, "handler": "http GET /healthz"},
                  "readiness": {"enabled": True, "ok": None, "message": "", "at": None, "failures": 0,
                                "failure_threshold": 3, "handler": "tcp http"},
                  "liveness": {"enabled": True, "ok": False, "message": "HTTP 500: the worker does not answer",
                               "at": self.at("probe"), "failures": 2, "failure_threshold": 3,
                               "handler": "exec ./check --fast", "history": [
                                   {"at": self.at("probe"), "ok": False, "duration_ms": 2000,
                                    "message": "HTTP 500: the worker does not answer"},
                                   {"at": self.at("probe"), "ok": False, "duration_ms": 31, "message": "exit code 1"},
                                   {"at": self.at("start"), "ok": True, "duration_ms": 4, "message": "exit code 0"},
                                   {"at": self.at("start"), "ok": True, "duration_ms": 9, "message": "exit code 0"}]}}
        gaps = ["resources.limits.memory", "resources.limits.pids"] if s["name"] == "chat" else []
        full = dict(s, spec=spec(**({"image": "postgres:16"} if s["runtime"] != "process" else {})), limits_not_enforced=gaps, keys=KEYS, file="/srv/shop/aictl.yaml", line=12, updated_at=self.at("applied"),
                    callers=[{"service": "api", "port": "http", "connections": 3, "seen_at": self.at("probe")},
                             {"service": "old", "port": "http", "connections": 0, "seen_at": self.at("probe")}]
                    if s["name"] == "sentiment" else [],
                    events=[e for e in self.events() if e["service"] == s["name"]],
                    exits=self.exits() if s["name"] == "sentiment" else [])
        full["replicas"] = [dict(r, probes=probes) for r in s["replicas"]]
        return full

    def scaler(self):
        return {"min": 1, "max": 8, "replicas": 2, "wanted": 2, "reason": "panic", "decided_at": self.at("probe"),
                "message": "concurrency 9.4 over 6s wants 2 of 5.6 each; sudden load: nothing goes for a while",
                "changed_at": self.at("probe")}

    def autoscale(self, name):
        traffic = {"metric": "concurrency", "name": None, "target": 5.6, "known": True, "error": None, "value": 4.125,
                   "wants": 1, "panic_value": 9.4, "panic_wants": 2, "panicking": True, "replicas": 2, "decisive": True}
        memory = {"metric": "memory", "name": None, "target": 80, "known": True, "error": None, "value": 78.25, "wants": 2,
                  "replicas_known": 2, "within_tolerance": True, "replicas": 2, "decisive": False}
        own = {"metric": "prometheus", "name": "requests_waiting", "target": 4, "known": False, "error": "HTTP 500",
               "value": 0, "wants": 0, "replicas_known": 0, "within_tolerance": False, "replicas": 2, "decisive": False}
        return {"service": name, "desired": 3, "override": {"replicas": 3, "until": self.at("next")}, **self.scaler(),
                "ready": 2, "starting": 1, "range": {"min": 1, "max": 4}, "windows_open": 1,
                "bounds_until": self.at("next"), "rules": {
                    "window_ms": 60000, "panic_window_ms": 6000, "panic_threshold": 2, "scale_down_delay_ms": 0,
                    "max_up_rate": 1000, "max_down_rate": 2, "tolerance": 0.1, "stabilization_ms": 300000},
                "demand": {"known": True, "now": 11, "refused": 0}, "metrics": [traffic, memory, own]}

    def why(self, name):
        def link(depth, what, state, since, text, *evidence, place=None):
            at = place and {"key": place[0], "file": "/srv/shop/aictl.yaml", "line": place[1], "default": place[2]}
            return {"depth": depth, "what": what, "state": state, "since": since and self.at(since), "reason": None,
                    "text": text, "place": at, "evidence": [
                        {"kind": kind, "text": said, "at": when and self.at(when)} for kind, said, when in evidence]}

        hostile = "Fil\u00e9NotFound\u202e \u201cv3.joblib\u201d \x1b[31m\tof a line that is wider than the terminal, and goes on and on"
        links = {"sentiment": [link(0, "sentiment", "ready", "probe", "2 of 2 ready")],
                 "chat": [
            link(0, "chat", "degraded", "exit", "0 of 1 ready, waiting for db (completed): degraded",
                 place=("depends_on.db", 44, False)),
            link(1, "db", "degraded", None, "0 of 1 ready; it has to be completed"),
            link(2, "db/0", "backoff", "exit", "exit code 1 \u2014 the model file is not there",
                 ("exit", "exit code 1 after 3h1m", "exit"), ("log", "loading v3.joblib", "exit"),
                 ("log", hostile, "exit"), ("restarts", "the budget of 10 within 10m is spent: one attempt every 5m", None),
                 ("next", "the next attempt", "next"), place=("restart.budget", 12, True)),
            link(1, "aictld", "safe", None, "safe mode: its controller died again and again, nothing is changed until "
                 "it has run for a minute")]}
        return {"service": name, "replica": None, "fine": name == "sentiment", "logs_read": name != "chat",
                "at": self.at("start"), "links": links[name]}

    def events(self):
        rows = [("applied", None, None, "daemon", "started", "aictld 9.9.9 started", None, None),
                ("crash", "sentiment", 1, "exit", "oom_killed", "signal SIGKILL (oom)", "ready", "backoff"),
                ("exit", "sentiment", 1, "exit", "exited", "exit code 1", "ready", "backoff"),
                ("start", "sentiment", 1, "state", "spawned", "started, pid 4712", "backoff", "starting"),
                ("probe", "sentiment", 1, "state", "probe_passed", "readiness probe passed", "starting", "ready"),
                ("probe", "chat", None, "apply", "applied", "revision 3 by alice: environment.MODEL", None, None)]
        return [{"seq": 17 + i, "at": self.at(at), "service": service, "replica": replica, "type": kind,
                 "reason": reason, "message": message, "from": source, "to": to}
                for i, (at, service, replica, kind, reason, message, source, to) in enumerate(rows)]

    def daemon(self):
        return {"version": "9.9.9", "pid": 4242, "controller_pid": 4243, "logger_pid": 4244, "gateway_pid": 4245, "uptime_s": 777620,
                "mode": "normal", "runtime_dir": "/run/aictl", "state_dir": "/var/lib/aictl",
                "log_dir": "/var/log/aictl", "manifests": None, "services": 5, "replicas": 7, "running": 6, "log_level": "info",
                "role": "admin", "controller_restarts": 1, "logger_restarts": 0, "gateway_restarts": 0,
                "gateway_threads": 4,
                "cgroup": {"dir": "/sys/fs/cgroup/system.slice/aictld.service", "can": ["track", "memory", "pids"]},
                "runtimes": [{"name": "docker", "state": "ok", "reachable": True, "since": self.at("start"),
                              "engine": "Docker Engine 20.10.24, API 1.41", "endpoint": "unix:///var/run/docker.sock", "error": None},
                             {"name": "podman", "state": "unreachable", "reachable": False, "since": self.at("probe"), "engine": None,
                              "endpoint": "unix:///run/podman/podman.sock", "error": "Connection refused"}],
                "store": {"queued": 0, "dropped": 0, "ok": True}}

    def plugins(self):
        where = "/usr/local/lib/aictl/plugins"

        def plugin(name, state, **more):
            enabled = None if state == "not_enabled" else name
            return {"name": name, "state": state, "runtime": enabled, "file": f"{where}/{name}.so",
                    "kind": None, "version": None, "abi": 0, "description": None, "since": self.at("start") if enabled else None,
                    "error": None, "engine": None, "endpoint": None, "pid": 0, "restarts": 0, "last_end": None, "faults": 0,
                    "last_fault": None, **more}

        good = {"kind": "runtime", "abi": 1, "version": "9.9.9", "pid": 4246}
        return {"directory": where, "error": None, "plugins": [
            plugin("docker", "loaded", **good, engine="Docker Engine 20.10.24, API 1.41", endpoint="unix:///var/run/docker.sock",
                   description="containers of Docker and Podman"),
            plugin("podman", "loaded", **good, endpoint="unix:///run/podman/podman.sock", error="Connection refused"),
            plugin("lax", "loaded", **good, faults=3, last_fault="complete was called for operation 7, which had ended"),
            plugin("frail", "loaded", **good, restarts=2, last_end="SIGSEGV"),
            plugin("newer", "refused", abi=2, pid=4247, error=f"{where}/newer.so is for version 2 of the plugin interface, "
                   "this aictl has version 1: build it against an older header"),
            plugin("slow", "down", restarts=4, last_end="SIGKILL", error="aictl-runtime has ended (SIGKILL) and is started again"),
            plugin("ticker", "not_enabled")]}

    def revisions(self):
        git = {"commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", "branch": "main", "dirty": True}
        return {"set": "shop", "revisions": [
            {"number": 3, "at": self.at("applied"), "uid": 1000, "user": "alice", "hash": "00c0ffee00c0ffee",
             "git": git, "services": ["sentiment", "chat", "api"]},
            {"number": 2, "at": self.at("old"), "uid": 0, "user": None, "hash": "0123456789abcdef", "git": None,
             "services": ["sentiment", "chat"]}]}

    def plan(self):
        def service(name, action, **more):
            return {"name": name, "action": action, "keys": [], "replicas": [], "unavailable": None, "note": None,
                    "before": None, "after": None, **more}

        def key(name, line, change="replace"):
            return {"key": name, "class": change, "file": "/srv/shop/aictl.yaml", "line": line}

        def away(n, of, down, ms):
            return {"replicas": n, "of": of, "service_down": down, "expected_ms": ms}

        before = "command:\n  - python3\n  - app.py\nenvironment:\n  MODEL: \"***\"\n  A: \"***\"\nreplicas: 2\nuser: ai\n"
        return {"set": "shop", "revision": 3, "next_revision": 4, "changes": True, "services": [
            service("sentiment", "replace", keys=[key("environment.MODEL", 17), key("replicas", 19, "live")],
                    replicas=[{"id": "sentiment/2", "action": "start"}, {"id": "sentiment/0", "action": "restart"},
                              {"id": "sentiment/1", "action": "restart"}], unavailable=away(1, 2, False, 4200),
                    before=before, after=before.replace("replicas: 2", "replicas: 3").replace("  A: \"***\"\n", "")),
            service("chat", "replace", keys=[key("command", 40)], replicas=[{"id": "chat/0", "action": "restart"}],
                    unavailable=away(1, 1, True, None)),
            service("api", "live", keys=[key("probes.liveness.period", 61, "live")]),
            service("new", "start", replicas=[{"id": "new/0", "action": "start"}],
                    after="command:\n  - sleep\n  - \"100\"\n"),
            service("gone", "stop", replicas=[{"id": "gone/0", "action": "stop"}],
                    unavailable=away(1, 1, True, None)),
            service("old", "none", note="stopped by the user: stays stopped"), service("same", "none")],
            "not_in_manifest": ["elder", "older"],
            "warnings": [{"code": "invalid", "message": "grace_period: longer than the drain", "file":
                          "/srv/shop/aictl.yaml", "line": 31, "column": 7, "hint": "give drain more time"}],
            "drift": [{"service": "api", "key": "replicas", "manifest": 2, "actual": 3}]}
