"""Fixtures of the end-to-end suite. See harness.py for Daemon, ../lib/procfs.py for the cleanup rule.

The programs under test come from $AICTL_BUILD (default: build/ in the source tree), which must also
hold tests/e2e/svc and tests/e2e/fusehang (`make check-programs`).

SPDX-License-Identifier: MIT
"""
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]

import harness  # noqa: E402
import procfs  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_root: skipped for an ordinary user")
    procfs.become_subreaper()


def pytest_unconfigure():
    procfs.end_all()  # after an interrupt, when no fixture did


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("needs_root") and not harness.AS_ROOT:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session", autouse=True)
def programs():
    missing = [p for p in (harness.AICTL, harness.AICTLD, harness.FUSEHANG)
               if not os.access(p, os.X_OK)]
    if missing:
        pytest.exit(f"not built: {' '.join(missing)} (set AICTL_BUILD)", returncode=2)


@pytest.fixture
def base():
    """A directory of the test's own; whatever still runs at its end fails the test."""
    path = harness.new_base()
    yield path
    left = procfs.end_all()
    reports = harness.sanitizer_reports(path)
    harness.remove_base(path)
    assert not reports, "\n".join(reports)
    assert not left, f"left running: {left}"


@pytest.fixture
def start(base):
    """start(*aictld options, user=, ...) -> a running Daemon; all are stopped at the end."""
    daemons = []

    def starter(*args, **kwargs):
        daemon = harness.Daemon(base, *args, name=f"d{len(daemons)}", **kwargs)
        daemons.append(daemon)
        return daemon.start()

    yield starter
    failures = []
    for daemon in daemons:
        try:
            status = daemon.stop()
            if status != daemon.expected_exit:
                failures.append(f"aictld exited {status}")
        except AssertionError as error:
            failures.append(str(error))
        print(f"--- {daemon.own_log}\n{daemon.log()}")
    procfs.POPEN[:] = [p for p in procfs.POPEN if p.poll() is None]
    assert not failures, "; ".join(failures)


@pytest.fixture
def daemon(start):
    return start()
