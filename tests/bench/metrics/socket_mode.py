"""Answers of 128 bytes by a server that got its listening socket from aictl (`mode: socket`), beside the same
program that listens by itself: nothing is in between, so nothing may be lost.

SPDX-License-Identifier: MIT
"""
import webload

CASE = webload.Case("socket", "HTTP without a proxy: answers of 128 B, 64 connections, one server each", "/", "http", None,
                    0.95, None)


def run(bench):
    return webload.run(bench, CASE, webload.Handed)
