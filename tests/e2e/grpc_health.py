"""grpc_health: a gRPC server with the standard health service, whose answers a test writes.

As a program, DIRECTORY: serves 127.0.0.1:$PORT. DIRECTORY/status is JSON, {service: number}, read
anew at each call; a service that is not in it is NOT_FOUND; without the file there is no health
service at all (UNIMPLEMENTED). DIRECTORY/peers gets a line for each call: the address it came from.

SPDX-License-Identifier: MIT
"""
import concurrent.futures
import json
import os
import sys
import threading

import grpc

PATH = "/grpc.health.v1.Health/Check"


class Health(grpc.GenericRpcHandler):
    def __init__(self, directory):
        self.file = os.path.join(directory, "status")

    def service(self, details):
        if details.method != PATH or not os.path.exists(self.file):
            return None
        return grpc.unary_unary_rpc_method_handler(self.check)

    def check(self, request, context):  # bytes in, bytes out: HealthCheckRequest has one field, a text
        with open(os.path.join(os.path.dirname(self.file), "peers"), "a", encoding="utf-8") as f:
            f.write(context.peer() + "\n")
        name = request[2:].decode() if request else ""
        assert not request or (request[0] == 10 and request[1] == len(name))
        with open(self.file, encoding="utf-8") as f:
            status = json.load(f).get(name)
        if status is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {name}")
        return bytes([8, status]) if status else b""


def main():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[Health(sys.argv[1])])
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    server.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
