"""A container engine that does what a test says: Docker's API over a Unix socket, as far as our plugin
uses it, without containers. It keeps the promises of the real ones (docs: engines) and breaks them on
request: slow, cut, garbled and missing answers, a name that is taken, an engine that dies.

SPDX-License-Identifier: MIT
"""
import contextlib
import datetime
import http.server
import json
import os
import re
import socket
import socketserver
import struct
import threading
import time
import urllib.parse

CHUNK = 16384  # dockerd cuts longer lines


class Container:
    """One container. `logs` are (stream, ns, bytes), a frame each."""

    def __init__(self, name, body, n):
        self.name, self.body = name, body
        self.id = "%064x" % (0xc0ffee00 + n)
        self.pid = 0
        self.state, self.code, self.error, self.oom = "created", 0, "", False
        self.started = self.finished = 0
        self.starts = 0
        self.signals = []
        self.logs = []

    def labels(self):
        return self.body.get("Labels") or {}


def stamp(ns, podman=False):
    """As the engines print it."""
    if not ns:
        return "0001-01-01T00:00:00Z"
    text = datetime.datetime.fromtimestamp(ns // 10**9, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return text + ("Z" if podman else ".%09dZ" % (ns % 10**9))


class Fault:
    """What happens instead of the answer to requests that match, `times` of them."""

    def __init__(self, pattern, times, **what):
        self.pattern, self.times, self.what = re.compile(pattern), times, what


class Exec:
    """A command in a container: `run(handler, stdin_reader, write)` returns the exit code."""

    def __init__(self, body, run):
        self.body, self.run = body, run
        self.running, self.code = False, None
        self.sizes = []


class Engine:
    """The engine; `with Engine(path) as e`. Requests are counted in `asked` as "METHOD /path"."""

    def __init__(self, path, podman=False, api="1.41"):
        self.path, self.podman, self.api = path, podman, api
        self.changed = threading.Condition()
        self.containers, self.execs, self.images = {}, {}, {"bb:1"}
        self.pull_lines, self.pull_auth = [], []
        self.events = []  # (seconds, object)
        self.asked, self.faults = [], []
        self.commands = {}  # argv[0] -> function of Exec
        self.clock = None  # ns, or the real one
        self.server, self.sockets, self.n = None, set(), 0
        self.frozen = False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def now(self):
        return self.clock if self.clock is not None else time.time_ns()

    # ---- its own life ----

    def start(self):
        """It begins to listen (again)."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.frozen = False
        engine = self

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            """Tells its handlers whose they are."""
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def process_request(self, request, client_address):
                with engine.changed:
                    engine.sockets.add(request)
                super().process_request(request, client_address)

            def handle_error(self, request, client_address):
                """A client that goes away is no news."""

        self.server = Server(self.path, Handler)
        self.server.engine = self
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        """It dies: all connections are cut, the socket refuses."""
        server, self.server = self.server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        with self.changed:
            for s in self.sockets:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
            self.sockets.clear()
            self.changed.notify_all()

    def freeze(self, frozen=True):
        """It hangs: takes connections and says nothing."""
        with self.changed:
            self.frozen = frozen
            self.changed.notify_all()

    def fault(self, pattern, times=1, **what):
        """status=, body=, raw= (bytes instead of an answer), cut=True (no answer), delay=seconds,
        after=True: the fault comes after the request was carried out."""
        self.faults.append(Fault(pattern, times, **what))

    def take_fault(self, request):
        with self.changed:
            for f in self.faults:
                if f.times > 0 and f.pattern.search(request):
                    f.times -= 1
                    return f.what
        return {}

    def count(self, pattern):
        with self.changed:
            return sum(1 for a in self.asked if re.search(pattern, a))

    # ---- the life of containers ----

    def tell(self, action, c, **attributes):
        at = {"name": c.name, **c.labels(), **attributes}
        with self.changed:
            self.events.append((int(time.time()), {"Type": "container", "Action": action, "status": action,
                                                      "id": c.id, "Actor": {"ID": c.id, "Attributes": at}}))
            self.changed.notify_all()

    def add(self, name, body):
        with self.changed:
            self.n += 1
            c = self.containers[name] = Container(name, body, self.n)
        self.tell("create", c)
        return c

    def run(self, c):
        with self.changed:
            c.state, c.pid, c.started = "running", 100000 + c.starts + 10 * self.n, self.now()
            c.starts += 1
        if self.podman:
            self.tell("init", c)
        self.tell("start", c)

    def exit(self, name, code=0, oom=False, silent=False):
        """A container ends; silent: the engine tells nobody."""
        c = self.containers[name]
        with self.changed:
            c.state, c.code, c.pid, c.finished, c.oom = "exited", code, 0, self.now(), oom and not self.podman
            self.changed.notify_all()
        if not silent:
            self.tell("die", c, exitCode=str(code))

    def say(self, name, text, stream=1, ns=None):
        """A container says something; bytes or text."""
        data = text.encode() if isinstance(text, str) else text
        with self.changed:
            self.containers[name].logs.append((stream, ns if ns is not None else self.now(), data))
            self.changed.notify_all()

    def drop(self, name):
        """A container is removed."""
        c = self.containers.pop(name)
        with self.changed:
            c.state = "gone"
            self.changed.notify_all()
        self.tell("remove" if self.podman else "destroy", c)

    def find(self, key):
        for c in list(self.containers.values()):
            if key in (c.name, c.id):
                return c
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Silent."""

    @property
    def engine(self):
        return self.server.engine

    # ---- answers ----

    def answer(self, status, obj=None):
        data = b"" if obj is None else json.dumps(obj).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data)

    def wrong(self, status, message):
        self.answer(status, {"message": message})

    def begin_chunks(self, kind="application/json"):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Content-Type", kind)
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    # ---- requests ----

    def do(self):
        e = self.engine
        with e.changed:
            while e.frozen and e.server:
                e.changed.wait(0.1)
        url = urllib.parse.urlsplit(self.path)
        self.query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
        path = re.sub(r"^/v\d+\.\d+", "", url.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        self.body = json.loads(raw) if raw else {}
        request = "%s %s" % (self.command, path)
        with e.changed:
            e.asked.append(request + ("?" + url.query if url.query else ""))
        what = e.take_fault(request)
        if what.get("after"):
            self.wfile, kept = Nowhere(), self.wfile
            self.route(path)
            self.wfile = kept
        if what and self.misbehave(what):
            return
        self.route(path)

    do_GET = do_POST = do_DELETE = do  # noqa: N815

    def misbehave(self, what):
        if "delay" in what:
            time.sleep(what["delay"])
            if not (what.keys() - {"delay"}):
                return False
        if "raw" in what:
            self.wfile.write(what["raw"])
            self.close_connection = True
        elif what.get("cut"):
            self.close_connection = True
        else:
            self.answer(what["status"], what.get("body", {"message": "as the test wants"}))
        return True

    def route(self, path):
        rows = [("GET", r"/version$", self.version), ("GET", r"/_ping$", self.ping),
                ("GET", r"/events$", self.events), ("GET", r"/containers/json$", self.list),
                ("POST", r"/containers/create$", self.create), ("POST", r"/images/create$", self.pull),
                ("GET", r"/containers/([^/]+)/json$", self.inspect),
                ("POST", r"/containers/([^/]+)/start$", self.start),
                ("POST", r"/containers/([^/]+)/kill$", self.kill),
                ("DELETE", r"/containers/([^/]+)$", self.remove),
                ("GET", r"/containers/([^/]+)/logs$", self.logs),
                ("GET", r"/containers/([^/]+)/stats$", self.stats),
                ("POST", r"/containers/([^/]+)/exec$", self.exec_create),
                ("POST", r"/exec/([^/]+)/start$", self.exec_start),
                ("GET", r"/exec/([^/]+)/json$", self.exec_inspect),
                ("POST", r"/exec/([^/]+)/resize$", self.exec_resize)]
        for method, pattern, handler in rows:
            m = re.match(pattern, path)
            if m and method == self.command:
                if "containers/" not in pattern or not m.groups():
                    handler(*m.groups())
                    return
                c = self.engine.find(m.group(1))
                if c is None:
                    self.wrong(404, "No such container: " + m.group(1))
                else:
                    handler(c)
                return
        self.wrong(404, "page not found")

    def version(self):
        name = "Podman Engine" if self.engine.podman else "Engine"
        self.answer(200, {"Version": "4.3.1" if self.engine.podman else "20.10.24", "ApiVersion": self.engine.api,
                          "MinAPIVersion": "1.12", "Components": [{"Name": name}]})

    def ping(self):
        self.answer(200, None)

    def events(self):
        since, at = int(self.query.get("since", 0)), 0
        want = json.loads(self.query.get("filters", "{}"))
        self.begin_chunks()
        e, server = self.engine, self.server
        while e.server is server:
            with e.changed:
                new = e.events[at:]
                at = len(e.events)
                if not new:
                    e.changed.wait(0.5)
            for when, ev in new:
                labels = ["%s=%s" % kv for kv in ev["Actor"]["Attributes"].items()]
                if when >= since and all(w in labels for w in want.get("label", [])) and \
                        ev["Action"] in want.get("event", [ev["Action"]]):
                    self.chunk(json.dumps(ev).encode() + b"\n")

    def list(self):
        want = json.loads(self.query.get("filters", "{}")).get("label", [])
        rows = [{"Id": c.id, "Names": ["/" + c.name], "Labels": c.labels(), "State": c.state}
                for c in self.engine.containers.values()
                if all(w in ["%s=%s" % kv for kv in c.labels().items()] for w in want)]
        self.answer(200, rows)

    def create(self):
        e, name = self.engine, self.query["name"]
        if self.body["Image"] not in e.images:
            self.wrong(404, "No such image: " + self.body["Image"])
        elif name in e.containers:
            if e.podman:
                self.wrong(500, "container create: that name is already in use")
            else:
                self.wrong(409, 'Conflict. The container name "/%s" is already in use' % name)
        else:
            self.answer(201, {"Id": e.add(name, self.body).id, "Warnings": []})

    def pull(self):
        e = self.engine
        e.pull_auth.append(self.headers.get("X-Registry-Auth"))
        self.begin_chunks()
        for line in e.pull_lines:
            if isinstance(line, float):
                time.sleep(line)
            else:
                self.chunk(json.dumps(line).encode() + b"\r\n")
        if not any("error" in line for line in e.pull_lines if isinstance(line, dict)):
            e.images.add("%s:%s" % (self.query["fromImage"], self.query["tag"]))
        self.chunk(b"")

    def inspect(self, c):
        e = self.engine
        self.answer(200, {"Id": c.id, "Name": "/" + c.name, "Image": "sha256:" + "1" * 64,
                          "Config": {"Labels": c.labels(), "Tty": c.body.get("Tty", False)},
                          "NetworkSettings": {"IPAddress": "172.17.0.2"},
                          "State": {"Status": c.state, "Pid": c.pid, "ExitCode": c.code, "Error": c.error,
                                    "OOMKilled": c.oom, "StartedAt": stamp(c.started),
                                    "FinishedAt": stamp(c.finished)}})

    def start(self, c):
        if c.state == "running":
            self.answer(304, None)
        elif c.body.get("Cmd") == ["/missing"]:
            c.error, c.code = "no such file", 127
            self.wrong(500 if self.engine.podman else 400, 'exec: "/missing": no such file or directory')
        else:
            self.engine.run(c)
            self.answer(204, None)

    def kill(self, c):
        if c.state != "running":
            self.wrong(409, "Container %s is not running" % c.id)
            return
        number = int(self.query["signal"])
        c.signals.append(number)
        self.answer(204, None)
        if number in (9, 15):
            self.engine.exit(c.name, 128 + number)

    def remove(self, c):
        if c.state == "running":
            self.engine.exit(c.name, 137)
        self.engine.drop(c.name)
        self.answer(204, None)

    def stats(self, _):
        self.answer(200, {"cpu_stats": {"cpu_usage": {"total_usage": 5000000}}, "pids_stats": {"current": 3},
                          "memory_stats": {"usage": 1000, "limit": 2000, "stats": {"inactive_file": 300}}})

    # ---- logs ----

    def frame(self, c, stream, ns, data):
        e = self.engine
        text = stamp(ns, e.podman).encode() + b" " + data
        return text if c.body.get("Tty") else struct.pack(">BxxxI", stream, len(text)) + text

    def new_enough(self, ns, since):
        if self.engine.podman:
            return ns // 10**9 * 10**9 > since
        return ns >= since

    def logs(self, c):
        e, server, at = self.engine, self.server, 0
        s, _, ns = self.query.get("since", "0").partition(".")
        since = int(s) * 10**9 + int((ns + "0" * 9)[:9])
        self.begin_chunks("application/vnd.docker.multiplexed-stream")
        while e.server is server:
            with e.changed:
                new = c.logs[at:]
                over = c.state not in ("running",)
                if not new and not over:
                    e.changed.wait(0.5)
            at += len(new)
            frames = [self.frame(c, *entry) for entry in new if self.new_enough(entry[1], since)]
            if frames:
                self.chunk(b"".join(frames))
            if over and not new:
                self.chunk(b"")
                return

    # ---- exec ----

    def exec_create(self, c):
        e = self.engine
        if c.state != "running":
            self.wrong(409, "Container %s is not running" % c.id)
            return
        run = e.commands.get(self.body["Cmd"][0])
        with e.changed:
            ident = "e%063x" % len(e.execs)
            e.execs[ident] = Exec(self.body, run)
        self.answer(201, {"Id": ident})

    def exec_start(self, ident):
        x = self.engine.execs[ident]
        x.running = True
        self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                         b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")

        def write(data, stream=1):
            self.wfile.write(data if x.body["Tty"] else struct.pack(">BxxxI", stream, len(data)) + data)

        try:
            x.code = x.run(x, self.rfile, write) if x.run else 127
        except OSError:  # the client went away; the command would live on
            return
        x.running = False
        self.close_connection = True

    def exec_inspect(self, ident):
        x = self.engine.execs[ident]
        self.answer(200, {"ID": ident, "Running": x.running, "ExitCode": x.code, "Pid": 4711})

    def exec_resize(self, ident):
        self.engine.execs[ident].sizes.append((int(self.query["h"]), int(self.query["w"])))
        self.answer(200, None)


class Nowhere:
    """For an answer that gets lost."""

    def write(self, data):
        return len(data)

    def flush(self):
        """Nothing to do."""
