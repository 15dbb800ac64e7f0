"""holder: an HTTP service that listens on 127.0.0.1 while a file says so.

As a program, PORT NAME DIRECTORY: listens there while DIRECTORY/listen exists and lets go of the port
when it is gone; DIRECTORY/state says what is so ("listening", "idle", "taken"). Answers with NAME, as JSON, and
adds one letter to DIRECTORY/requests for each request.

SPDX-License-Identifier: MIT
"""
import json
import os
import pathlib
import socket
import sys
import time

STEP = 0.01


def answer(listener, name, directory):
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        return
    with connection:
        connection.settimeout(5)
        if not connection.recv(65536):
            return  # somebody only wanted to know whether we listen
        with open(directory / "requests", "a", encoding="utf-8") as f:
            f.write("x")
        body = json.dumps({"me": name}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                           % (len(body), body))


def note(directory, state):
    path = directory / "state"
    if not path.exists() or path.read_text() != state:
        (directory / "state.new").write_text(state)
        os.replace(directory / "state.new", path)


def main(port, name, directory):
    listener = None
    while True:
        wanted = (directory / "listen").exists()
        if listener and not wanted:
            listener.close()
            listener = None
        elif wanted and not listener:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.settimeout(STEP)
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen(64)
            except OSError:
                listener.close()
                listener = None
        note(directory, "listening" if listener else "taken" if wanted else "idle")
        if listener:
            answer(listener, name, directory)
        else:
            time.sleep(STEP)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]))
