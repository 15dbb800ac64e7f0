"""Takes memory and never gives it back. SPDX-License-Identifier: MIT"""
import time

held = []
while True:
    held.append(bytearray(b"x") * (8 << 20))
    print(f"holding {8 * len(held)} MiB", flush=True)
    if len(held) == 20:  # nobody keeps the limit here
        break
    time.sleep(0.1)
time.sleep(3600)
