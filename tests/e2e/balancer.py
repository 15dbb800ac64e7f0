#!/usr/bin/python3
"""A replica whose answers a test decides, and which counts what it has under way.

GET /...?ms=N answers after N ms with JSON: who it is, the request's name (?n=), how many it has at
that moment and had at most, the order of its arrival. What it does instead stands in
DIRECTORY/<replica>: a status, "silent" (never an answer), "drop" (closes without one), "half" (stalls
within one, for ?gap=N ms).

    balancer.py DIRECTORY

SPDX-License-Identifier: MIT
"""
import http.server
import json
import os
import socket
import sys
import threading
import time
import urllib.parse

DIRECTORY = sys.argv[1] if len(sys.argv) > 1 else "."
ME = os.environ.get("AICTL_REPLICA", "?")


class Count:
    lock = threading.Lock()
    now = most = seen = 0


def mode():
    try:
        with open(os.path.join(DIRECTORY, ME), encoding="utf-8") as f:
            return f.read().strip()
    except OSError:
        return ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    def do_GET(self):  # pylint: disable=invalid-name
        with Count.lock:
            Count.now += 1
            Count.seen += 1
            Count.most = max(Count.most, Count.now)
            mine = {"me": ME, "now": Count.now, "most": Count.most, "seen": Count.seen}
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with open(os.path.join(DIRECTORY, "asked"), "a", encoding="utf-8") as f:
            f.write(f"{ME} {self.command} {query.get('n', '-')}\n")
        time.sleep(int(query.get("ms", 0)) / 1000)
        with Count.lock:  # before the answer: the next one may be here before its end
            Count.now -= 1
        self.answer(mine, query)

    do_POST = do_GET  # noqa: N815

    def answer(self, mine, query):
        what = mode()
        if what == "silent":
            self.rfile.read(1)  # until the gateway ends it
            return
        if what == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = (json.dumps({**mine, "n": query.get("n")}) + "\n").encode()
        self.send_response(int(what) if what.isdigit() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if what == "half":
            self.wfile.write(body[:3])
            self.wfile.flush()
            time.sleep(int(query.get("gap", 0)) / 1000)
            body = body[3:]
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, *_):  # pylint: disable=arguments-differ
        pass


if __name__ == "__main__":
    server = Server(("" if "ANYBODY" in os.environ else "127.0.0.1", int(os.environ["PORT"])), Handler)
    server.serve_forever()
