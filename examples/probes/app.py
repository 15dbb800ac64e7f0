"""A stand-in for a model server: loads, then answers, counts and says how many requests wait.

Touch the file "stuck" beside it and its engine stops: /healthz still says 200, the counter stands
still, and liveness.progress finds it out.
"""
import http.server
import json
import os
import threading
import time

LOADING_S = float(os.environ.get("LOADING_S", "2"))
started = time.monotonic()
tokens = waiting = 0


def engine():
    """Works on what waits, unless it is stuck."""
    global tokens
    while True:
        if waiting and not os.path.exists("stuck"):
            tokens += 1
        time.sleep(0.05)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        if self.path == "/metrics":
            self.answer(200, f'tokens_total{{model="toy"}} {tokens}\nrequests_waiting {waiting}\n', "text/plain")
        elif time.monotonic() - started < LOADING_S:
            self.answer(503, '{"status": "loading"}')
        else:
            self.answer(200, '{"status": "ok"}')

    def do_POST(self):
        global waiting
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
        waiting += 1
        goal = tokens + len(text.split())
        while tokens < goal:
            time.sleep(0.01)
        waiting -= 1
        self.answer(200, json.dumps({"label": "positive" if "good" in text else "negative"}))

    def log_message(self, *args):
        pass


threading.Thread(target=engine, daemon=True).start()
print("listening", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
