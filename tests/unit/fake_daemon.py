#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A stand-in for aictld's API, for the tests of the command line.

Speaks HTTP/1.1 over a Unix socket and answers from a small world in memory. Names steer it:
a change that touches "slow" never ends, one that touches "broken" fails, "denied" is 403.
Usage: fake_daemon.py SOCKET FD [NOW]   (prints "ready" when it listens; ends at the end of file of FD)
With NOW (seconds since 1970) the world is that of golden_world.py.
"""
import base64
import json
import os
import signal
import socketserver
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import golden_world  # noqa: E402

AT = "2026-01-02T03:04:05Z"
BEGUN = time.time()  # two answers say the same of the same thing


def ago(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGUN - seconds))


def replica(name, index, state, **more):
    r = {"id": f"{name}/{index}", "index": index, "pid": 4711 + index, "incarnation": "019a" + "f1" * 14,
         "state": state, "revision": 3, "port": 20001 + index, "ports": {"http": 20001 + index},
         "restarts": index, "started_at": ago(3725), "since": ago(64), "reason": "probe_passed",
         "message": "readiness probe passed", "slow_mode": False, "next_attempt_at": None,
         "last_exit": None}
    r.update(more)
    return r


def service(name, state, replicas, **more):
    s = {"name": name, "set": "shop", "state": state, "runtime": "process", "revision": 3,
         "desired": len(replicas), "ready": sum(r["state"] == "ready" for r in replicas),
         "message": "", "endpoints": [], "replicas": replicas}
    s.update(more)
    return s


def world():
    exit1 = {"code": 1, "signal": None, "cause": "exit", "at": ago(70), "started_at": ago(90), "replica": 1}
    kill9 = {"code": None, "signal": "SIGKILL", "cause": "oom", "at": ago(170), "started_at": ago(9000),
             "replica": 1}
    return {
        "sentiment": service("sentiment", "ready", [
            replica("sentiment", 0, "ready"),
            replica("sentiment", 1, "ready", last_exit=exit1)], exits=[kill9, exit1],
            labels={"team": "nlp", "stage": "prod"}),
        "chat": service("chat", "degraded", [
            replica("chat", 0, "backoff", pid=None, port=None, restarts=7, reason="crash_loop",
                    message="exit code 1 \u2014 the model file is not there \x1b[31m",
                    slow_mode=True, next_attempt_at=ago(-42), last_exit=exit1)], labels={"team": "chat"}),
        "old": service("old", "stopped", []),
        "slow": service("slow", "starting", [replica("slow", 0, "starting", message="waiting")], set="other"),
        "broken": service("broken", "failed", [replica("broken", 0, "failed", pid=None)], set="other"),
    }


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.golden = golden_world.World(int(sys.argv[3])) if len(sys.argv) > 3 else None
        self.changes = {}
        self.events = []
        self.stopped = threading.Event()
        if self.golden:
            self.services, self.events = self.golden.services(), self.golden.events()
            return
        self.services = world()
        for i, (to, message) in enumerate([("starting", "started"), ("ready", "readiness probe passed")]):
            self.event("sentiment", 0, to, message)

    def event(self, name, index, to, message):
        self.events.append({"seq": len(self.events) + 1, "at": AT, "service": name, "replica": index,
                            "type": "state", "reason": "x", "message": message, "from": None, "to": to})


STATE = State()


def error(code, message, **more):
    return {"error": {"code": code, "message": message, "file": None, "line": None, "column": None,
                      "hint": None, **more}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def address_string(self):
        return "local"

    def reply(self, status, obj):
        body = obj if isinstance(obj, str) else json.dumps(obj)
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, lines, stay=False):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            data = (json.dumps(line) + "\n").encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if stay:  # nothing more comes
            STATE.lock.release()
            try:
                self.connection.recv(1)
            except ConnectionError:
                pass
            STATE.lock.acquire()
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        parts = [urllib.parse.unquote(p) for p in url.path.split("/")[2:]]
        with STATE.lock:
            getattr(self, "get_" + parts[0], self.unknown)(parts[1:], query)

    def unknown(self, parts, query):
        self.reply(404, error("unknown_endpoint", "no such endpoint"))

    def get_version(self, parts, query):
        self.reply(200, {"api_version": "v1", "version": "9.9.9"})

    def get_daemon(self, parts, query):
        if STATE.golden:
            self.reply(200, STATE.golden.daemon())
            return
        self.reply(200, {"version": "9.9.9", "pid": os.getpid(), "controller_pid": 2, "logger_pid": 3, "gateway_pid": 0,
                         "uptime_s": 3725, "mode": "normal", "runtime_dir": "/run/x", "state_dir": "/var/x",
                         "log_dir": os.environ.get("FAKE_LOG_DIR", "/nonexistent"), "manifests": None, "services": 5, "replicas": 5,
                         "controller_restarts": 1, "logger_restarts": 0, "gateway_restarts": 0, "gateway_threads": 1,
                         "store": {"queued": 0, "dropped": 0, "ok": True}})

    def get_plugins(self, parts, query):
        self.reply(200, STATE.golden.plugins() if STATE.golden else {"directory": "/nonexistent", "error": None, "plugins": []})

    def missing(self, name):
        if name == "denied":
            self.reply(403, error("permission_denied", "only root may do this"))
            return True
        if name in STATE.services:
            return False
        self.reply(404, error("not_found", f'no service "{name}"', hint="did you mean sentiment?"))
        return True

    def get_services(self, parts, query):
        if len(parts) == 2 and parts[1] == "why":
            if not self.missing(parts[0]):
                self.reply(200, STATE.golden.why(parts[0]))
            return
        if len(parts) == 2 and parts[1] == "autoscale":
            if not self.missing(parts[0]):
                self.reply(200, STATE.golden.autoscale(parts[0]))
            return
        if not parts:
            names = query.get("service", list(STATE.services))
            if not any(self.missing(n) for n in names):
                services = [STATE.services[n] for n in names]
                if query.get("usage") != ["1"]:
                    services = [dict(s, replicas=[{k: v for k, v in r.items() if k != "usage"} for r in s["replicas"]])
                                for s in services]
                self.reply(200, {"api_version": "v1", "services": services})
        elif not self.missing(parts[0]):
            if parts[1:] == ["wait"]:
                self.wait_service(STATE.services[parts[0]], query)
            else:
                self.describe(STATE.services[parts[0]])

    def wait_service(self, s, query):
        met = s["state"] == query["for"][0]
        if not met:
            time.sleep(min(float(query["timeout_ms"][0]) / 1000, 0.2))
        self.reply(200, {"state": s["state"], "met": met, "failed": s["state"] == "failed"})

    def get_revisions(self, parts, query):
        self.reply(200, STATE.golden.revisions())

    def describe(self, s):
        if STATE.golden:
            self.reply(200, STATE.golden.describe(s))
            return
        probes = {"startup": {"ok": True, "message": "", "at": ago(60), "failures": 0, "enabled": True},
                  "liveness": {"ok": False, "message": "HTTP 500", "at": ago(1), "failures": 2, "enabled": True,
                               "failure_threshold": 3}}
        full = dict(s, file="/srv/shop/aictl.yaml", line=12, updated_at=ago(600),
                    spec={"command": ["python3", "-m", "uvicorn", "app:app", "a b"], "working_dir": "/srv/shop",
                          "user": "ai", "environment": {"MODEL": "v3"}, "port": 8000, "restart_policy": "always",
                          "stop_signal": "SIGTERM", "grace_period_ms": 30000},
                    events=[e for e in STATE.events if e["service"] == s["name"]], exits=s.get("exits", []))
        full["replicas"] = [dict(r, probes=probes) for r in s["replicas"]]
        self.reply(200, full)

    def get_changes(self, parts, query):
        change = STATE.changes.get(parts[0])
        if not change:
            self.reply(404, error("not_found", "no such change"))
            return
        if parts[1:] == ["wait"]:
            self.advance(change, float(query["timeout_ms"][0]))
        self.reply(200, change)

    def advance(self, change, timeout_ms):
        names = [s["name"] for s in change["services"]]
        if change["state"] != "running":
            return
        if "slow" in names:
            time.sleep(min(timeout_ms / 1000, 0.2))
        elif "broken" in names:
            change["state"] = "failed"
            change["error"] = error("busy", "broken/0 failed: exit code 3")["error"]
        else:
            change["state"] = "done"
            for s in change["services"]:
                s["state"], s["ready"] = ("stopped", 0) if change["kind"] == "stop" else ("ready", s["desired"])
                STATE.event(s["name"], 0, s["state"], "as asked")
                if change["kind"] == "stop":
                    STATE.services[s["name"]].update(state="stopped", ready=0, replicas=[])

    def get_events(self, parts, query):
        events = STATE.events
        if "since" in query:
            events = [e for e in events if e["seq"] > int(query["since"][0])]
        if "service" in query:
            events = [e for e in events if e["service"] in query["service"]]
        if "n" in query:
            events = events[len(events) - min(len(events), int(query["n"][0])):]
        self.stream(events, "follow" in query)

    def get_logs(self, parts, query):
        name = query["service"][0]
        def text(i):
            line = f"line {i} of {name}"
            return {"raw": base64.b64encode(f"{line}\n".encode()).decode()} if "raw" in query else {"line": line}
        if not self.missing(name):
            self.stream([{"service": name, "replica": i % 2, "incarnation": "f1", "stream": "stdout",
                          "at": AT[:-1] + ".123Z", **text(i)}
                         for i in range(4) if query.get("replica", [str(i % 2)])[0] == str(i % 2)],
                        "follow" in query)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with STATE.lock:
            if self.path == "/v1/plan":
                self.reply(200, STATE.golden.plan())
            elif self.path == "/v1/changes":
                self.post_change(json.loads(body))
            elif self.path == "/v1/daemon/stop":
                self.reply(202, {})
                STATE.stopped.set()
            elif self.path == "/v1/daemon/reload":
                self.reply(202, {})
            else:
                self.unknown([], {})

    ACTIONS = {"apply": "created", "start": "started", "stop": "stopped", "restart": "restarted",
               "scale": "scaled", "delete": "removed"}

    def post_change(self, body):
        if body["id"] in STATE.changes:
            self.reply(202, STATE.changes[body["id"]])
            return
        if body["kind"] == "apply":
            text = body["manifests"][0]["text"]
            if "refuse" in text:
                bad = error("invalid", "user: no such user nobody2", file=body["manifests"][0]["path"], line=3,
                            column=5, hint="create it")["error"]
                self.reply(422, {"error": bad, "errors": [bad]})
                return
            names = [n for n in ("sentiment", "slow", "broken") if n + ":" in text]
        else:
            names = [n.split("/")[0] for n in body.get("services", body.get("replicas", {}))]
        if any(self.missing(n) for n in names):
            return
        change = {"id": body["id"], "kind": body["kind"], "state": "running", "set": "shop", "revision": 4,
                  "at": AT, "error": None, "not_in_manifest": ["old"] if body["kind"] == "apply" else [],
                  "services": [{"name": n, "action": self.ACTIONS[body["kind"]], "state": "starting", "ready": 0,
                                "desired": body.get("replicas", {}).get(n, 2)} for n in names]}
        STATE.changes[body["id"]] = change
        self.reply(202, change)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # the client is gone: tests do that
            super().handle_error(request, client_address)


def watch(fd):
    while os.read(fd, 4096):
        pass
    os._exit(0)


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if os.path.exists(sys.argv[1]):
        os.unlink(sys.argv[1])
    with Server(sys.argv[1], Handler) as server:
        threading.Thread(target=watch, args=(int(sys.argv[2]),), daemon=True).start()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print("ready", flush=True)
        while not STATE.stopped.wait(0.1):  # the main thread runs signal handlers between waits
            pass
        time.sleep(0.1)


if __name__ == "__main__":
    main()
