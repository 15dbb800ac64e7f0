"""Answers of 1 MiB. HAProxy's buffers are as large as what aictl-gateway reads at once; with its own
default of 16 KiB it takes twice the time.

SPDX-License-Identifier: MIT
"""
import webload

CASE = webload.Case("http-large", "HTTP: answers of 1 MiB, 64 connections, two replicas; haproxy with buffers of 64 KiB",
                    "/large", "http", 65536, 1.0, 1.0)


def run(bench):
    return webload.run(bench, CASE)
