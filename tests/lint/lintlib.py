"""lintlib: what the lints share: the list of our files, C text without comments, the exceptions
file, and the frame that runs a lint's self-test before the lint itself.

A lint is a program that defines
    check(tree)      -> list of Finding for the files of a Tree
    PLANTED          -> {relative path: text}: a small tree with violations
    EXPECTED         -> one regex per violation; each must match a finding in the planted tree
    CLEAN            -> {relative path: text}: a small tree in which nothing may be found
and ends with lintlib.main(...). Run by `make check` in the build directory, with $srcdir set; exit
0 clean, 1 findings or a self-test that failed, 77 skipped with the reason on the last line.

SPDX-License-Identifier: MIT
"""
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

LINT_DIR = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(LINT_DIR))
EXCEPTIONS = os.path.join(LINT_DIR, "exceptions")
GENERATED = {"configure", "configure~", "config.status", "config.log"}
SKIP_DIRS = {".git", "autom4te.cache", "build-aux", "__pycache__", "node_modules"}


class Finding:
    def __init__(self, path, line, what, message):
        self.path, self.line, self.what, self.message = path, line, what, message

    def __str__(self):
        place = self.path if not self.line else "%s:%d" % (self.path, self.line)
        return "%s: %s" % (place, self.message)


class Tree:
    """The files of one tree: the project, or a planted one. `build` holds its object files."""

    def __init__(self, top, build=None):
        self.top, self.build = top, build
        self.paths = git_files(top) or walk_files(top)

    def files(self, *patterns):
        return [p for p in self.paths if any(fnmatch.fnmatch(p, x) for x in patterns)]

    def text(self, path):
        with open(os.path.join(self.top, path), encoding="utf-8", errors="replace") as f:
            return f.read()

    def first_line(self, path):
        with open(os.path.join(self.top, path), "rb") as f:
            return f.readline(200).decode("utf-8", "replace")


def git_files(top):
    """Tracked files that exist, or [] where git does not answer (a tarball, another owner)."""
    if not os.path.exists(os.path.join(top, ".git")):
        return []
    try:
        out = subprocess.run(["git", "-C", top, "ls-files", "-z"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    names = out.decode("utf-8", "replace").split("\0")
    return sorted(n for n in names if n and os.path.isfile(os.path.join(top, n)))


def walk_files(top):
    found = []
    for folder, dirs, names in os.walk(top):
        dirs[:] = [d for d in dirs if d not in SKIP_DIRS and not is_build_dir(os.path.join(folder, d))]
        found += [os.path.relpath(os.path.join(folder, n), top) for n in names if n not in GENERATED]
    return sorted(found)


def is_build_dir(path):
    return os.path.exists(os.path.join(path, "config.status"))


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip_c(text, keep_strings=False):
    """C text with comments (and the inside of strings) blanked out; line numbers stay."""

    def blank(match):
        s = match.group(0)
        if s[0] in "\"'":
            return s if keep_strings else s[0] + " " * (len(s) - 2) + s[-1]
        return re.sub(r"[^\n]", " ", s)

    return TOKEN.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def call_arguments(text, opening):
    """The text between the parenthesis at `opening` and its partner."""
    depth = 0
    for i in range(opening, len(text)):
        if text[i] == "(":
            depth += 1
        elif text[i] == ")":
            depth -= 1
            if depth == 0:
                return text[opening + 1 : i]
    return text[opening + 1 :]


def load_exceptions(lint):
    """Lines of the exceptions file for this lint: (path pattern, set of words)."""
    rows = []
    with open(EXCEPTIONS, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if not line.strip() or line.startswith("#"):
                continue
            rule, _, reason = line.partition("#")
            words = rule.split()
            if len(words) < 3 or not reason.strip():
                sys.exit("%s:%d: want: LINT PATH WORD... # reason" % (EXCEPTIONS, number))
            if words[0] == lint:
                rows.append((words[1], set(words[2:])))
    return rows


def without_exceptions(findings, lint):
    rows = load_exceptions(lint)

    def excepted(f):
        return any(
            fnmatch.fnmatch(f.path, path) and any(fnmatch.fnmatch(f.what, w) for w in words) for path, words in rows
        )

    return [f for f in findings if not excepted(f)]


def objects(tree):
    """(object file, source path in the tree) of every object of lib, daemon, cli and plugins.

    Automake names them DIR/BASE.o or DIR/PROGRAM-BASE.o. An object whose source is gone is stale.
    """
    known = set(tree.paths)
    for part in ("lib", "daemon", "cli", "plugins"):
        for folder, _, names in os.walk(os.path.join(tree.build, part)):
            for name in sorted(names):
                base = name[:-2].rsplit("-", 1)[-1] + ".c"
                source = os.path.relpath(os.path.join(folder, base), tree.build)
                if name.endswith(".o") and source in known:
                    yield os.path.join(folder, name), source


def compile_planted(folder):
    """Objects beside the planted sources, as a build directory would have them."""
    for path in Tree(folder).files("*.c"):
        source = os.path.join(folder, path)
        subprocess.run([os.environ.get("CC", "gcc"), "-fPIC", "-c", "-o", source[:-2] + ".o", source], check=True)


def need_tool(*names):
    for name in names:
        if shutil.which(name) is None:
            skip("%s is not installed" % name)


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(77)


def plant(folder, files):
    for path, text in files.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)


def self_test(check, lint, planted, expected, clean, prepare=None):
    """Every planted violation must be found and the clean tree must stay clean."""
    problems = []
    for files, patterns in ((planted, expected), (clean, [])):
        with tempfile.TemporaryDirectory(prefix="aictl-lint.") as folder:
            plant(folder, files)
            if prepare:
                prepare(folder)
            found = [str(f) for f in without_exceptions(check(Tree(folder, folder)), lint)]
        for pattern in patterns:
            if not any(re.search(pattern, f) for f in found):
                problems.append("planted violation not caught: %s\n  found: %s" % (pattern, found))
        if not patterns and found:
            problems.append("clean tree not accepted: %s" % found)
    return problems


def main(lint, check, planted, expected, clean, prepare=None, want=("*.c", "*.h")):
    os.nice(10)  # tests with deadlines run beside this
    problems = self_test(check, lint, planted, expected, clean, prepare)
    if problems:
        print("%s: self-test failed\n%s" % (lint, "\n".join(problems)))
        sys.exit(1)
    tree = Tree(TOP, os.getcwd())
    if not tree.files(*want):
        print("%s: no %s found below %s: the lint would check nothing" % (lint, " or ".join(want), TOP))
        sys.exit(1)
    findings = without_exceptions(check(tree), lint)
    for f in findings:
        print(f)
    print("%s: %d findings" % (lint, len(findings)))
    sys.exit(1 if findings else 0)
