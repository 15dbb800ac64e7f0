"""A site that says its version, and fails as often as BROKEN (percent) says.

SPDX-License-Identifier: MIT
"""
import http.server
import os
import random


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        bad = random.random() * 100 < float(os.environ["BROKEN"])
        text = f"version {os.environ['VERSION']}{' is broken' if bad else ''}\n".encode()
        self.send_response(500 if bad else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Site).serve_forever()
