"""Fixtures of the tests that run inside a user-mode-linux guest: those of the end-to-end suite, and
a line for each result as soon as it is known, for what happens to the guest afterwards.

Nothing here runs on the machine itself: the tests are collected only where ./init said so.

SPDX-License-Identifier: MIT
"""
import json
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# pylint: disable=wrong-import-position, unused-import
import e2e.conftest as suite  # noqa: E402
from e2e.conftest import base, daemon, programs, pytest_unconfigure, runs_as, start  # noqa: E402,F401

collect_ignore_glob = [] if os.environ.get("AICTL_UML") else ["test_*.py"]


def pytest_configure(config):
    suite.pytest_configure(config)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    result = yield
    report = result.get_result()
    if report.when == "call" or report.outcome != "passed":
        record(item.name, report)


def record(name, report):
    """A test may have two lines, of its call and of its teardown: the worse one counts."""
    text = report.longrepr[2] if report.skipped else str(report.longrepr or "")
    line = {"test": name, "outcome": report.outcome, "seconds": round(report.duration, 1),
            "text": text + "".join(f"\n--- {title}\n{content}" for title, content in report.sections
                                   if report.failed)}
    with open(os.environ["AICTL_RESULTS"], "a", encoding="utf-8") as f:
        f.write(json.dumps(line) + "\n")
