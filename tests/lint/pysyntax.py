#!/usr/bin/python3
"""pysyntax: every Python file compiles with the system's Python (nothing is written).

SPDX-License-Identifier: MIT
"""
import re
import warnings

import lintlib


def check(tree):
    found = []
    for path in tree.paths:
        if not path.endswith(".py") and not re.match(r"#!.*\bpython3?\b", tree.first_line(path)):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an invalid escape sequence is a mistake, too
            try:
                compile(tree.text(path), path, "exec", dont_inherit=True)
            except (SyntaxError, ValueError, Warning) as e:
                found.append(lintlib.Finding(path, getattr(e, "lineno", 0) or 0, "syntax", str(e)))
    return found


PLANTED = {"a.py": "def f(:\n    pass\n", "scripts/b": "#!/usr/bin/python3\nprint 'x'\n", "c.py": "x = '\\d'\n"}
EXPECTED = [r"a.py:1:", r"scripts/b:2:", r"c.py:1:"]
CLEAN = {"a.py": "def f():\n    pass\n", "b.txt": "def f(:\n"}

if __name__ == "__main__":
    lintlib.main("pysyntax", check, PLANTED, EXPECTED, CLEAN, want=("*.py",))
