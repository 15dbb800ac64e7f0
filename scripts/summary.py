#!/usr/bin/python3
"""summary: adds up what the suites of one scripts/check reported.

    scripts/summary.py [--again] NAME=PATH...

PATH is a build directory (automake's .trs and .log files are read; a cmocka program counts as its
single tests), pytest JUnit files with commas between, or "-" for a suite that did not run to its
end. Prints one line per suite, each failure and each skip with its reason, and as the last line
`N passed, N failed, N skipped`. Exits 1 when something failed or a suite ran nothing.

--again: where at most LOOKS_MAX tests failed, each is run alone LOOKS times. One that passes each
time counts as passed and is named as flaky, with what it said when it failed: a race in it is to be
removed, but says nothing about the change that is checked.
"""
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

CMOCKA = {
    "passed": re.compile(r"^\[  PASSED  \] (\d+) test", re.M),
    "failed": re.compile(r"^\[  FAILED  \] (\d+) test", re.M),
    "skipped": re.compile(r"^\[  SKIPPED \] (\d+) test", re.M),
}
FAILED_TEST = re.compile(r"^\[  FAILED  \] ([A-Za-z_]\w*)$", re.M)
SKIPPED_TEST = re.compile(r"^\[  SKIPPED \] ([A-Za-z_]\w*)$", re.M)
SKIP_REASON = re.compile(r"^SKIP: (.*)$", re.M)
LOOKS_MAX, LOOKS = 3, 3
LOOK_SECONDS = 300


class Failure:
    """what: the test and its message. again: a function that runs it once more (and those that have
    the same one), or None."""

    def __init__(self, what, count, again):
        self.what, self.count, self.again = what, count, again


class Suite:
    def __init__(self, name):
        self.name, self.passed, self.failures, self.skips, self.flaky = name, 0, [], [], []

    def fail(self, what, count=1, again=None):
        self.failures.append(Failure(what, count, again))

    def failed(self):
        return sum(f.count for f in self.failures)

    def skip(self, what, reason, count=1):
        self.skips += ["%s: %s" % (what, reason)] * count


def last_line(text):
    """The last line that says something; automake's own trailer does not count."""
    lines = [x.strip() for x in text.splitlines() if x.strip()]
    lines = [x for x in lines if not re.match(r"(SKIP|FAIL|ERROR|PASS) \S+ \(exit status: \d+\)$", x)]
    return lines[-1] if lines else "no reason given"


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def passes(command, **kwargs):
    """True: it ended with 0 in time. What it prints is seen only when it failed."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LOOK_SECONDS, **kwargs)
    except subprocess.TimeoutExpired as e:
        print("again: took longer than %d s: %s" % (LOOK_SECONDS, " ".join(command)))
        print((e.output or b"").decode(errors="replace")[-2000:])
        return False
    if done.returncode:
        print(done.stdout.decode(errors="replace")[-4000:])
    return done.returncode == 0


def automake_again(build, name):
    def again():
        for suffix in (".trs", ".log"):
            os.unlink(os.path.join(build, name + suffix))
        passes(["make", "-s", "-C", build, name + ".log"])
        trs = read(os.path.join(build, name + ".trs"))
        return re.search(r"^:test-result: *PASS", trs, re.M) is not None
    return again


class PytestAgain:
    """All tests of one report that failed, with the build that it lies in."""

    def __init__(self, report):
        self.report, self.tests = report, []

    def add(self, case):
        path = case.get("classname", "").replace(".", "/") + ".py"
        self.tests.append("%s::%s" % (path, re.sub(r"@\w+$", "", case.get("name", ""))))

    def __call__(self):
        return passes(["/usr/bin/python3", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider",
                       *dict.fromkeys(self.tests)],
                      env=dict(os.environ, AICTL_BUILD=os.path.dirname(os.path.abspath(self.report))))


def add_automake_test(suite, name, result, log, build):
    counts = {k: sum(int(n) for n in p.findall(log)) for k, p in CMOCKA.items()}
    if result == "SKIP":
        suite.skip(name, re.sub(r"^SKIP:?\s*", "", last_line(log)))
        return
    if result in ("PASS", "XFAIL"):
        suite.passed += counts["passed"] or 1
        if counts["skipped"]:
            inside = ", ".join(dict.fromkeys(SKIPPED_TEST.findall(log)))
            reasons = "; ".join(dict.fromkeys(SKIP_REASON.findall(log))) or "no reason given"
            suite.skip("%s (%s)" % (name, inside), reasons, counts["skipped"])
        return
    suite.passed += counts["passed"]
    inside = ", ".join(dict.fromkeys(FAILED_TEST.findall(log)))
    suite.fail("%s: %s" % (name, inside or last_line(log)), max(counts["failed"], 1), automake_again(build, name))


def automake_suite(suite, build):
    for folder, _, names in os.walk(build):
        for trs in sorted(n for n in names if n.endswith(".trs")):
            path = os.path.join(folder, trs)
            m = re.search(r"^:(?:global-)?test-result: *(\w+)", read(path), re.M)
            name = os.path.relpath(path, build)[: -len(".trs")]
            add_automake_test(suite, name, m.group(1) if m else "ERROR", read(path[:-4] + ".log"), build)


def junit_suite(suite, path):
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as e:
        suite.fail("no report of pytest: %s" % e)
        return
    again = PytestAgain(path)
    for case in root.iter("testcase"):
        name = "%s::%s" % (case.get("classname", ""), case.get("name", ""))
        kinds = {child.tag: child for child in case}
        if "failure" in kinds or "error" in kinds:
            child = kinds.get("failure", kinds.get("error"))
            again.add(case)
            suite.fail("%s: %s" % (name, (child.get("message") or "failed").splitlines()[0][:200]),
                       again=again)
        elif "skipped" in kinds:
            suite.skip(name, kinds["skipped"].get("message") or "no reason given")
        else:
            suite.passed += 1


def load(argument):
    name, _, path = argument.partition("=")
    suite = Suite(name)
    if path == "-":
        suite.fail("did not run, or not to its end")
    elif os.path.isdir(path):
        automake_suite(suite, path)
    else:
        for report in path.split(","):
            junit_suite(suite, report)
    if not suite.passed and not suite.failures:
        suite.fail("nothing ran")
    return suite


def look_again(suites):
    if sum(len(s.failures) for s in suites) > LOOKS_MAX:
        return
    for s in suites:
        for again in dict.fromkeys(f.again for f in s.failures if f.again):
            those = [f for f in s.failures if f.again == again]
            for f in those:
                print("again    %s: %s" % (s.name, f.what), flush=True)
            if all(again() for _ in range(LOOKS)):
                s.failures = [f for f in s.failures if f not in those]
                s.flaky += [f.what for f in those]
                s.passed += sum(f.count for f in those)


def main():
    arguments = sys.argv[1:]
    again = arguments[:1] == ["--again"]
    suites = [load(a) for a in arguments[again:]]
    print()
    if again:
        look_again(suites)
    for s in suites:
        print("%-24s %4d passed, %d failed, %d skipped" % (s.name, s.passed, s.failed(), len(s.skips)))
    for s in suites:
        for what in s.flaky:
            print("FLAKY    %s: %s: failed once, then passed %d times alone" % (s.name, what, LOOKS))
    for s in suites:
        for what in sorted(set(s.skips)):
            print("skipped  %s: %s" % (s.name, what))
    for s in suites:
        for what in sorted({f.what for f in s.failures}):
            print("FAILED   %s: %s" % (s.name, what))
    failed = sum(s.failed() for s in suites) if suites else 1
    print("%d passed, %d failed, %d skipped"
          % (sum(s.passed for s in suites), failed, sum(len(s.skips) for s in suites)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
