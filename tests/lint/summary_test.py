#!/usr/bin/python3
"""summary_test: scripts/summary.py counts what the suites report, and a suite that failed, did not
run or ran nothing never counts as passed.

SPDX-License-Identifier: MIT
"""
import os
import subprocess
import sys
import tempfile

import lintlib

TRS = ":test-result: %s\n:global-test-result: %s\n"
JUNIT = """<testsuites><testsuite><testcase classname="a" name="ok"/>
<testcase classname="a" name="no"><failure message="assert 1 == 2"/></testcase>
<testcase classname="a" name="later"><skipped message="needs root"/></testcase></testsuite></testsuites>"""
MAKEFILE = """%.log:
	n=$$(cat runs); echo $$((n + 1)) >runs; date >$@; \\
	case $*-$$n in bad-*|third-2) r=FAIL;; *) r=PASS;; esac; printf ':test-result: %s\\n' $$r >$*.trs
"""
ONCE = """import os
def test_once():
    assert os.environ["AICTL_BUILD"].endswith("build")
def test_never():
    assert False
"""
ONE = """<testsuites><testsuite><testcase classname="test_it" name="%s"><failure message="no"/></testcase>
<testcase classname="test_it" name="ok"/></testsuite></testsuites>"""
EMPTY = "<testsuites><testsuite/></testsuites>"


def add(folder, name, result, log):
    write(os.path.join(folder, name + ".trs"), TRS % (result, result))
    write(os.path.join(folder, name + ".log"), log)


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def summary(*suites, cwd=None):
    run = subprocess.run([sys.executable, os.path.join(lintlib.TOP, "scripts/summary.py"), *suites],
                         capture_output=True, text=True, cwd=cwd)
    return run.returncode, run.stdout.splitlines()[-1], run.stdout


def expect(what, got, want):
    if got[:2] != want:
        sys.exit("%s: got %s, want %s\n%s" % (what, got[:2], want, got[2]))


def second_look(folder):
    """What failed is run alone three times, and has to pass each time."""
    build = os.path.join(folder, "again/build")
    os.makedirs(build)
    write(os.path.join(build, "Makefile"), MAKEFILE)

    def unit(*names, again="--again"):
        write(os.path.join(build, "runs"), "0")
        for name in names:
            add(build, name, "FAIL", "[  PASSED  ] 5 test(s).\n[  FAILED  ] 1 test(s), listed below:\n")
        got = summary(*[again] * bool(again), "u=" + build)
        for name in names:
            os.unlink(os.path.join(build, name + ".trs"))
        return got

    got = unit("race")
    expect("one that passes three times", got, (0, "6 passed, 0 failed, 0 skipped"))
    if "FLAKY    u: race" not in got[2]:
        sys.exit("a flaky test is not named:\n" + got[2])
    expect("without --again", unit("race", again=""), (1, "5 passed, 1 failed, 0 skipped"))
    expect("one that fails each time", unit("bad"), (1, "5 passed, 1 failed, 0 skipped"))
    expect("one that fails the third time", unit("third"), (1, "5 passed, 1 failed, 0 skipped"))
    expect("more than three", unit("a", "b", "c", "d"), (1, "20 passed, 4 failed, 0 skipped"))
    report = os.path.join(build, "e2e.xml")
    write(os.path.join(folder, "test_it.py"), ONCE)
    write(report, ONE % "test_once@group")
    expect("pytest", summary("--again", "e=" + report, cwd=folder), (0, "2 passed, 0 failed, 0 skipped"))
    write(report, ONE % "test_never")
    expect("pytest, each time", summary("--again", "e=" + report, cwd=folder), (1, "1 passed, 1 failed, 0 skipped"))
    write(report, ONE % "test_gone")
    expect("pytest, no such test", summary("--again", "e=" + report, cwd=folder), (1, "1 passed, 1 failed, 0 skipped"))


def main():
    with tempfile.TemporaryDirectory(prefix="aictl-summary.") as folder:
        build = os.path.join(folder, "build")
        os.mkdir(build)
        report, empty = os.path.join(folder, "e2e.xml"), os.path.join(folder, "empty.xml")
        write(report, JUNIT)
        write(empty, EMPTY)
        expect("an empty build directory", summary("u=" + build), (1, "0 passed, 1 failed, 0 skipped"))
        add(build, "cmocka", "PASS", "[==========] Running 3 test(s).\n[  PASSED  ] 3 test(s).\n")
        add(build, "script", "PASS", "fine\n")
        expect("three and one", summary("u=" + build), (0, "4 passed, 0 failed, 0 skipped"))
        add(build, "root", "SKIP", "SKIP: needs root\nSKIP root (exit status: 77)\n")
        got = summary("u=" + build)
        expect("a skip", got, (0, "4 passed, 0 failed, 1 skipped"))
        if "root: needs root" not in got[2]:
            sys.exit("the reason of a skip is not printed:\n" + got[2])
        expect("no pytest report", summary("u=" + build, "e=" + folder + "/none.xml"), (1, "4 passed, 1 failed, 1 skipped"))
        expect("no pytest test", summary("u=" + build, "e=" + empty), (1, "4 passed, 1 failed, 1 skipped"))
        expect("did not run", summary("u=" + build, "e=-"), (1, "4 passed, 1 failed, 1 skipped"))
        expect("pytest", summary("u=" + build, "e=" + report), (1, "5 passed, 1 failed, 2 skipped"))
        expect("a part without tests", summary("e=%s,%s" % (report, empty)), (1, "1 passed, 1 failed, 1 skipped"))
        expect("a part without a report", summary("e=%s,%s/none.xml" % (report, folder)),
               (1, "1 passed, 2 failed, 1 skipped"))
        add(build, "part", "PASS", "SKIP: no cgroups\n[  SKIPPED ] a_limit\n[  PASSED  ] 1 test(s).\n"
            "[  SKIPPED ] 1 test(s), listed below:\n[  SKIPPED ] a_limit\n")
        got = summary("u=" + build)
        expect("a skip inside a program", got, (0, "5 passed, 0 failed, 2 skipped"))
        if "part (a_limit): no cgroups" not in got[2]:
            sys.exit("the reason of a skip inside a program is not printed:\n" + got[2])
        os.unlink(os.path.join(build, "part.trs"))
        add(build, "bad", "FAIL", "[  PASSED  ] 5 test(s).\n[  FAILED  ] 2 test(s), listed below:\n[  FAILED  ] a\n")
        add(build, "crash", "FAIL", "Segmentation fault\n")
        expect("failures", summary("u=" + build), (1, "9 passed, 3 failed, 1 skipped"))
        second_look(folder)
        expect("nothing at all", summary(), (1, "0 passed, 1 failed, 0 skipped"))
    print("summary_test: fine")


if __name__ == "__main__":
    main()
