"""A stand-in for a model server: an answer takes a second, and /metrics says how many wait for one."""
import http.server
import os
import threading
import time

busy = threading.Semaphore(4)  # requests it works at, at a time
lock = threading.Lock()
waiting = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global waiting
        if self.path == "/metrics":
            return self.answer(b"# TYPE requests_waiting gauge\nrequests_waiting %d\n" % waiting)
        with lock:
            waiting += 1
        with busy:
            with lock:
                waiting -= 1
            time.sleep(1)
        return self.answer(os.environ["AICTL_REPLICA"].encode() + b"\n")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
