"""An ASGI application without a framework: says which process answers."""
import os
import socket


def say(text):
    """To who has started us, as sd_notify does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if "NOTIFY_SOCKET" in os.environ:
            say("READY=1")  # uvicorn begins to accept now; who comes before that waits in the socket
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    text = f"hello from process {os.getpid()}\n".encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]})
    await send({"type": "http.response.body", "body": text})
