#!/usr/bin/python3
"""summary: adds up what the suites of one scripts/check reported.

    scripts/summary.py NAME=PATH...

PATH is a build directory (automake's .trs and .log files are read; a cmocka program counts as its
single tests), pytest JUnit files with commas between, or "-" for a suite that did not run to its
end. Prints one line per suite, each failure and each skip with its reason, and as the last line
`N passed, N failed, N skipped`. Exits 1 when something failed or a suite ran nothing.
"""
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

CMOCKA = {
    "passed": re.compile(r"^\[  PASSED  \] (\d+) test", re.M),
    "failed": re.compile(r"^\[  FAILED  \] (\d+) test", re.M),
    "skipped": re.compile(r"^\[  SKIPPED \] (\d+) test", re.M),
}
SKIPPED_TEST = re.compile(r"^\[  SKIPPED \] ([A-Za-z_]\w*)$", re.M)
SKIP_REASON = re.compile(r"^SKIP: (.*)$", re.M)


class Suite:
    def __init__(self, name):
        self.name, self.passed, self.failures, self.skips = name, 0, [], []

    def fail(self, what, count=1):
        self.failures += [what] * count

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


def add_automake_test(suite, name, result, log):
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
    suite.fail("%s: %s" % (name, last_line(log)), max(counts["failed"], 1))


def automake_suite(suite, build):
    for folder, _, names in os.walk(build):
        for trs in sorted(n for n in names if n.endswith(".trs")):
            path = os.path.join(folder, trs)
            m = re.search(r"^:(?:global-)?test-result: *(\w+)", read(path), re.M)
            name = os.path.relpath(path, build)[: -len(".trs")]
            add_automake_test(suite, name, m.group(1) if m else "ERROR", read(path[:-4] + ".log"))


def junit_suite(suite, path):
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as e:
        suite.fail("no report of pytest: %s" % e)
        return
    for case in root.iter("testcase"):
        name = "%s::%s" % (case.get("classname", ""), case.get("name", ""))
        kinds = {child.tag: child for child in case}
        if "failure" in kinds or "error" in kinds:
            child = kinds.get("failure", kinds.get("error"))
            suite.fail("%s: %s" % (name, (child.get("message") or "failed").splitlines()[0][:200]))
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


def main():
    suites = [load(a) for a in sys.argv[1:]]
    print()
    for s in suites:
        print("%-24s %4d passed, %d failed, %d skipped" % (s.name, s.passed, len(s.failures), len(s.skips)))
    for s in suites:
        for what in sorted(set(s.skips)):
            print("skipped  %s: %s" % (s.name, what))
    for s in suites:
        for what in sorted(set(s.failures)):
            print("FAILED   %s: %s" % (s.name, what))
    failed = sum(len(s.failures) for s in suites) if suites else 1
    print("%d passed, %d failed, %d skipped"
          % (sum(s.passed for s in suites), failed, sum(len(s.skips) for s in suites)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
