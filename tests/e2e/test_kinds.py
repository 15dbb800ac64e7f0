"""Tests that are left out for a kind of service: each says why, in words that the documentation has.

SPDX-License-Identifier: MIT
"""
import glob
import os
import re

import engines
import kinds
import procfs

MARK = re.compile(r"@pytest\.mark\.processes\((.*)\)")


def test_reasons():
    said = set()
    for path in sorted(glob.glob(os.path.join(os.path.dirname(__file__), "test_*.py"))):
        for args in MARK.findall(procfs.read(path)):
            why, *which = re.findall(r'"([^"]*)"', args)
            assert why in kinds.NOT_HERE or why in kinds.differences(), f"{path}: {why}"
            assert set(which) <= set(engines.NAMES), f"{path}: {args}"
            said.add(why)
    assert set(kinds.NOT_HERE) <= said, f"nobody says {set(kinds.NOT_HERE) - said}"


def test_each_difference_has_its_reason():
    rows = kinds.differences()
    assert len(rows) > 10
    for name, rest in rows.items():
        cells = [cell.strip() for cell in rest.split(" | ")]
        assert len(cells) == 4 and all(cells), f"{name}: {cells}"
