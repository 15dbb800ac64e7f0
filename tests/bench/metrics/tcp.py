"""The same answers as in `http`, passed on as bytes. The goal is 1, the bar leaves room for the noise.

SPDX-License-Identifier: MIT
"""
import webload

CASE = webload.Case("tcp", "TCP: answers of 128 B, 64 connections, two replicas; haproxy with buffers of 16 KiB",
                    "/", "tcp", 16384, 0.95, 1.0)


def run(bench):
    return webload.run(bench, CASE)
