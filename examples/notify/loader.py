"""Loads for a while and says so, then serves its watchdog: sd_notify's protocol without a library."""
import os
import socket
import time

SHARDS = 8


def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])


for shard in range(1, SHARDS + 1):
    say(f"STATUS=loading shard {shard}/{SHARDS}")
    print(f"shard {shard}", flush=True)
    time.sleep(0.4)
say("READY=1\nSTATUS=0 requests")
interval = int(os.environ["WATCHDOG_USEC"]) / 1e6
requests = 0
while True:
    say(f"WATCHDOG=1\nSTATUS={requests} requests")
    requests += 1
    time.sleep(interval / 2)
