"""Fixtures of the end-to-end suite: harness.py has Daemon, ../lib/procfs.py the cleanup rule.

The programs under test come from $AICTL_BUILD (default: build/ in the source tree), after
`make check TESTS=` there.

SPDX-License-Identifier: MIT
"""
import os
import shutil
import signal
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]

import engines  # noqa: E402
import harness  # noqa: E402
import kinds  # noqa: E402
import procfs  # noqa: E402

LEFT_OUT = []  # lines for the end


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_root: skipped for an ordinary user")
    config.addinivalue_line("markers", "waits: takes long and does little: begun early")
    config.addinivalue_line("markers", "machine: boots one or measures it: a module in one process, begun first")
    config.addinivalue_line("markers", "containers: its services run as processes and as containers; see kinds.py")
    config.addinivalue_line("markers", "processes(why, *engines): not as containers (of these)")
    config.addinivalue_line("markers", "xdist_group: of pytest-xdist, which need not be there")
    procfs.become_subreaper()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what runs is ended


def pytest_unconfigure():
    procfs.end_all()  # after an interrupt, when no fixture did


def pytest_itemcollected(item):
    if item.get_closest_marker("machine"):
        item.add_marker(pytest.mark.xdist_group(item.module.__name__))
    elif which := engine_of(item):  # one engine for a module: it takes seconds to start
        item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}-{which}"))


def engine_of(item):
    params = item.callspec.params if hasattr(item, "callspec") else {}
    wanted = [params.get("engine"), params.get("runs_as"), *item.fixturenames]
    return next((name for name in wanted if name in engines.NAMES), None)


def pytest_generate_tests(metafunc):
    """Tests that run with services of several kinds."""
    marked = any(m.name == "containers" for m in metafunc.definition.iter_markers())
    wanted = kinds.ALL if marked else getattr(metafunc.module, "RUNS_AS", None)
    if wanted == kinds.ALL:
        wanted, missing = kinds.here()
        if missing and missing not in LEFT_OUT:
            LEFT_OUT.append(missing)
    if wanted and "runs_as" in metafunc.fixturenames:
        metafunc.parametrize("runs_as", wanted, indirect=True)


@pytest.hookimpl(trylast=True)  # after -m and -k
def pytest_collection_modifyitems(config, items):
    whole_modules(config, items)
    items.sort(key=haste)  # with `-n`: what takes long does not begin last
    for item in items:
        if item.get_closest_marker("needs_root") and not harness.AS_ROOT:
            item.add_marker(pytest.mark.skip(reason="needs root"))


def haste(item):
    early = item.get_closest_marker("waits") or engine_of(item)
    return 0 if item.get_closest_marker("machine") else 1 if early else 2


def whole_modules(config, items):
    """What a module may say of itself, each a reason or None: MISSING, what it needs is not there:
    one skip for all of its tests. ELSEWHERE: it belongs to another kind of build, and is left out
    here with one line. PARTLY: the same for some of its tests, which it does not make."""
    kept, dropped, seen = [], [], set()
    for item in items:
        known = item.module in seen
        seen.add(item.module)
        if reason := getattr(item.module, "ELSEWHERE", None):
            known = True
        elif (which := engine_of(item)) and (kinds.OTHER_BUILD or kinds.left_out(item, which)):
            reason = known = True
            if kinds.OTHER_BUILD and kinds.OTHER_BUILD not in LEFT_OUT:
                LEFT_OUT.append(kinds.OTHER_BUILD)
        elif reason := getattr(item.module, "MISSING", None):
            item.add_marker(pytest.mark.skip(reason=f"all of {item.module.__name__}: {reason}"))
        (dropped if known and reason else kept).append(item)
    for module in seen:
        for name in ("ELSEWHERE", "PARTLY"):
            if reason := getattr(module, name, None):
                LEFT_OUT.append(f"{module.__name__}: {reason}")
    if dropped:
        items[:] = kept
        config.hook.pytest_deselected(items=dropped)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Of pytest-xdist: what a worker says at its end."""
    LEFT_OUT.extend(line for line in getattr(node, "workeroutput", {}).get("left_out", []) if line not in LEFT_OUT)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = LEFT_OUT


def pytest_terminal_summary(terminalreporter):
    for line in sorted(LEFT_OUT):
        terminalreporter.write_line(f"LEFT OUT {line}")


@pytest.fixture(scope="session", autouse=True)
def programs():
    """Checks that all are built; where other users cannot reach the build, copies them."""
    missing = [p for p in harness.PROGRAMS if not os.access(harness.program(p), os.X_OK)]
    if missing:
        pytest.exit(f"not in {harness.BUILD}: {' '.join(missing)} (set AICTL_BUILD)", returncode=2)
    if not harness.AS_ROOT or all(os.stat(p).st_mode & 1 for p in parents(harness.BUILD)):
        yield
        return
    copy = tempfile.mkdtemp(prefix="ae-", dir="/tmp")
    for name in harness.PROGRAMS:
        os.makedirs(os.path.dirname(os.path.join(copy, name)), exist_ok=True)
        shutil.copy(harness.program(name), os.path.join(copy, name))
    for directory, _, _ in os.walk(copy):
        os.chmod(directory, 0o755)
    harness.BUILD = copy
    yield
    shutil.rmtree(copy)


def parents(path):
    while path != "/":
        yield path
        path = os.path.dirname(path)


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
def start(base, runs_as):
    """start(*aictld options, user=, ...) -> a running Daemon; all are stopped at the end."""
    daemons = []

    def starter(*args, **kwargs):
        daemon = harness.Daemon(base, *args, name=f"d{len(daemons)}", **{"engine": runs_as, **kwargs})
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


@pytest.fixture(scope="session")
def testbed(programs):
    """Namespaces for container engines; see engines.py."""
    if reason := engines.why_not():
        pytest.skip(reason)
    box = engines.Testbed(harness.program("tests/e2e/svc"))
    yield box
    box.end()


@pytest.fixture(params=engines.NAMES)
def engine(request, testbed):
    """A container engine without containers, dockerd and podman in turn; the test is in its network."""
    yield from lent(testbed, request.param)


@pytest.fixture
def runs_as(request):
    """What the services of a test are: None for processes, else the engine of its containers."""
    name = getattr(request, "param", "process")
    yield from [None] if name == "process" else lent(request.getfixturevalue("testbed"), name)


@pytest.fixture
def dockerd(testbed):
    yield from lent(testbed, "dockerd")


@pytest.fixture
def podman(testbed):
    yield from lent(testbed, "podman")


def lent(testbed, name):
    with testbed.inside():
        one = testbed.engine(name)
        yield one
        left = one.ours() if one.running() else []
        one.reset()
        assert not left, f"containers were left: {[(c['Names'], c['State']) for c in left]}"
