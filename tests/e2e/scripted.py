"""scripted: a small HTTP service whose answers a test writes, and which notes what it was asked.

As a program, DIRECTORY [DELAY]: serves 127.0.0.1:$PORT after DELAY seconds. DIRECTORY/answers is
JSON, {path: {status, body, delay}}, read anew at each request ("*" answers what is not there; what
is missing is 200 and "ok"); each request is one JSON line in DIRECTORY/requests.

SPDX-License-Identifier: MIT
"""
import http.server
import json
import os
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    directory = ""

    def serve(self):
        size = int(self.headers.get("Content-Length") or 0)
        request = {"at": time.monotonic(), "method": self.command, "path": self.path, "headers": dict(self.headers),
                   "body": self.rfile.read(size).decode(), "peer": self.client_address[1]}
        with open(os.path.join(self.directory, "requests"), "a", encoding="utf-8") as f:
            f.write(json.dumps(request) + "\n")
        with open(os.path.join(self.directory, "answers"), encoding="utf-8") as f:
            answers = json.load(f)
        answer = answers.get(self.path, answers.get("*", {}))
        time.sleep(answer.get("delay", 0))
        body = answer.get("body", "ok").encode()
        self.send_response(answer.get("status", 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = serve

    def log_message(self, *args):  # the log is the test's
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024


class Script:
    """The test's side: what the service answers and was asked."""

    def __init__(self, directory):
        self.directory = directory
        os.mkdir(directory)
        os.chmod(directory, 0o777)
        self.answer({})

    def command(self, *delay):
        return ["/usr/bin/python3", os.path.abspath(__file__), self.directory, *delay]

    def answer(self, answers):
        new = os.path.join(self.directory, "new")
        with open(new, "w", encoding="utf-8") as f:
            json.dump(answers, f)
        os.rename(new, os.path.join(self.directory, "answers"))  # never half written

    def requests(self, path=None):
        try:
            with open(os.path.join(self.directory, "requests"), encoding="utf-8") as f:
                found = [json.loads(line) for line in f.read().split("\n")[:-1]]
        except FileNotFoundError:
            return []
        return [r for r in found if path in (None, r["path"])]


def main():
    Handler.directory = sys.argv[1]
    if len(sys.argv) > 2:
        time.sleep(float(sys.argv[2]))
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
