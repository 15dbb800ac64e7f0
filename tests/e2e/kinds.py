"""In which kinds a test runs: as processes, and as containers of each engine.

RUNS_AS = kinds.ALL in a module, or `@pytest.mark.containers` at a test, says that its services run as
each. `@pytest.mark.processes(why, *engines)` leaves a test out where they are containers (of these
engines; of all when none is named). why is a row of the table of differences in docs/engines.md, or
one of NOT_HERE.

SPDX-License-Identifier: MIT
"""
import os
import re

import engines
import harness

ALL = ("process", *engines.NAMES)
DOC = os.path.join(harness.ROOT, "docs", "engines.md")
ROW = re.compile(r"^\| `([a-z-]+)` \|(.*)\|$", re.MULTILINE)
# No difference, but a test that would tell nothing new, or not in time.
NOT_HERE = {
    "unrelated": "what runs is no matter to it: the manifest, the CLI, aictld's own files",
    "many": "it starts hundreds of replicas or waits long, and another test looks at the same with few",
}


# They take as long as all else together.
ELSEWHERE = None if os.environ.get("AICTL_E2E_ENGINES") else "with AICTL_E2E_ENGINES=1, as in scripts/check --long"

# What speaks to a real engine waits for it most of the time, and with sanitizers for us as well.
OTHER_BUILD = ("what needs a container engine: with the other build"
               if harness.built_with("AICTL_SANITIZED") and ELSEWHERE else None)


def here():
    """(what tests of ALL run as with this build on this machine, what is to be said of the others or None)"""
    if reason := ELSEWHERE or engines.why_not():
        return ("process",), f"services as containers: {reason}"
    if harness.built_with("AICTL_SANITIZED"):
        return ALL[:2], "services as containers of podman: with the other build"
    return ALL, None


def differences():
    """name -> what is said of it, of the rows of the table."""
    with open(DOC, encoding="utf-8") as f:
        return dict(ROW.findall(f.read().partition("\n## Differences\n")[2]))


def left_out(item, kind):
    """Why a test does not run in this kind, or None; what is no reason is an error."""
    for mark in item.iter_markers("processes"):
        why, *those = mark.args
        assert why in NOT_HERE or why in differences(), f"{item.nodeid}: {why!r} is not in {DOC}"
        assert set(those) <= set(engines.NAMES), f"{item.nodeid}: {those}"
        if kind in (those or engines.NAMES):
            return why
    return None
