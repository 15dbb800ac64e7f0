"""Writes lines of several kinds. SPDX-License-Identifier: MIT"""
import json
import sys
import time
import traceback

number = 0
while True:
    number += 1
    print(json.dumps({"level": "info", "event": "request", "number": number, "ms": 7 * number % 50}), flush=True)
    if number % 5 == 0:
        print("WARNING: this one was slow", file=sys.stderr, flush=True)
    if number % 10 == 0:
        try:
            {}["model"]
        except KeyError:
            traceback.print_exc()
    time.sleep(0.1)
