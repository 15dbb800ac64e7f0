"""Answers of 128 bytes on connections that are kept.

SPDX-License-Identifier: MIT
"""
import webload

CASE = webload.Case("http", "HTTP: answers of 128 B, 64 connections, two replicas; haproxy with buffers of 16 KiB",
                    "/", "http", 16384, 1.2, 0.85)


def run(bench):
    return webload.run(bench, CASE)
