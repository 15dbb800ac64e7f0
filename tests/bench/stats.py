"""Medians, their 90 % intervals, and what they say about a bar.

SPDX-License-Identifier: MIT
"""
import random
import statistics

RESAMPLES = 4000
MIN_SAMPLES = 15  # fewer say nothing about a bar


def summary(values):
    """Median with its 90 % bootstrap interval; seeded, so that the same data give the same words."""
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(values, k=len(values)))
                     for _ in range(RESAMPLES))
    return {"median": statistics.median(values), "low": medians[RESAMPLES // 20],
            "high": medians[-RESAMPLES // 20 - 1], "min": min(values), "max": max(values),
            "n": len(values)}


def verdict(ratio, bar, more=False):
    """ratio: a summary. Better or worse only when the whole interval is on one side of the bar.
    more: that is the better side."""
    if ratio["n"] < MIN_SAMPLES:
        return "undecided"
    if more:
        return "better" if ratio["low"] >= bar else "worse" if ratio["high"] < bar else "undecided"
    if ratio["high"] <= bar:
        return "better"
    return "worse" if ratio["low"] > bar else "undecided"
