#!/usr/bin/python3
"""manpages: every option, command and exit code of the programs is in their man page, and the man
pages name no option that does not exist.

Options are read from the sources (getopt tables of the daemon, option tables of the CLI) and from
the --help of the programs in the build directory where they are built.

SPDX-License-Identifier: MIT
"""
import os
import re
import subprocess

import lintlib

GETOPT = re.compile(r'\{\s*"([a-z][a-z0-9-]+)"\s*,\s*(?:no_argument|required_argument|optional_argument|[012])\s*,')
CLI_OPTION = re.compile(r"\{\s*(?:'.'|0)\s*,\s*\"([a-z][a-z0-9-]+)\"\s*,")
CLI_COMMAND = re.compile(r'^\s*\.name\s*=\s*"([a-z][a-z-]*)"', re.M)
CLI_CODE = re.compile(r"^\s*CODE_\w+\s*=\s*(\d+)", re.M)
# .Fl -name, .Fl Fl name, \-\-name; inline as "Fl -name"
MAN_OPTION = re.compile(r"(?:\bFl (?:Fl )?-?|\\-\\-|(?<![\w-])--)([a-z][a-z0-9-]+)")
HELP_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]+)")
INTERNAL = {"sweep", "open-manifests"}  # between our own processes


def source_options(tree, where, pattern):
    options = {}
    for path in tree.files(where):
        for m in pattern.finditer(lintlib.strip_c(tree.text(path), keep_strings=True)):
            options.setdefault(m.group(1), path)
    return options


def help_options(tree, program, *words):
    path = os.path.join(tree.build, program)
    if not os.access(path, os.X_OK):
        return {}
    run = subprocess.run([path, *words, "--help"], capture_output=True, text=True, timeout=30,
                         stdin=subprocess.DEVNULL, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    return {name: "%s --help" % " ".join([program, *words]) for name in HELP_OPTION.findall(run.stdout)}


def compare(tree, page, options):
    if not options:
        return []
    if page not in tree.paths:
        return [lintlib.Finding(page, 0, "page", "does not exist")]
    text = tree.text(page)
    named = set(MAN_OPTION.findall(text))
    found = [lintlib.Finding(page, 0, o, "option --%s of %s is missing" % (o, p))
             for o, p in sorted(options.items()) if o not in named]
    known = set(options) | INTERNAL
    found += [lintlib.Finding(page, 0, o, "names --%s, which does not exist" % o)
              for o in sorted(named) if len(o) > 1 and o not in known]
    return found


def check(tree):
    daemon = source_options(tree, "daemon/supervisor/*.c", GETOPT)
    daemon = {**daemon, **(help_options(tree, "aictld") if daemon else {})}
    found = compare(tree, "man/aictld.8", {o: p for o, p in daemon.items() if o not in INTERNAL})
    commands = source_options(tree, "cli/cmd_*.c", CLI_COMMAND)
    cli = source_options(tree, "cli/*.c", CLI_OPTION)
    for command in commands:
        cli = {**help_options(tree, "aictl", *command.split()), **cli}
    if not commands:
        return found
    found += compare(tree, "man/aictl.1", cli)
    text = tree.text("man/aictl.1") if "man/aictl.1" in tree.paths else ""
    found += [lintlib.Finding("man/aictl.1", 0, c, "command %s (%s) is missing" % (c, p))
              for c, p in sorted(commands.items()) if not re.search(r"^\.(It|Ss|Ic|Cm|Nm|Sh)\b.*\b%s\b" % c, text, re.M)]
    for path in tree.files("cli/cli.h"):
        for code in CLI_CODE.findall(tree.text(path)):
            if not re.search(r"^\.It.*\b%s\b" % code, text, re.M):
                found.append(lintlib.Finding("man/aictl.1", 0, code, "exit code %s is missing" % code))
    return found


PLANTED = {
    "daemon/supervisor/main.c": 'static const struct option o[] = {{"state-dir", required_argument, NULL, 1},\n'
                                '\t{"log-dir", required_argument, NULL, 2}};\n',
    "man/aictld.8": ".Bl\n.It Fl -state-dir Ar D\n.It Fl -bogus\n.El\n",
    "cli/cli.h": "enum {\n\tCODE_A = 5,\n};\n",
    "cli/cmd_ps.c": 'static const struct option_spec o[] = {{0, "wide-names", NULL, "x", NULL}, {0}};\n'
                    "const struct command cmd_ps = {\n\t.name = \"ps\",\n};\n",
    "man/aictl.1": ".Bl\n.It Cm apply\n.El\n",
}
EXPECTED = [r"aictld.8: option --log-dir", r"aictld.8: names --bogus", r"aictl.1: option --wide-names",
            r"aictl.1: command ps", r"aictl.1: exit code 5"]
CLEAN = {
    "daemon/supervisor/main.c": PLANTED["daemon/supervisor/main.c"],
    "man/aictld.8": ".Bl\n.It Fl -state-dir Ar D\n.It Fl Fl log-dir Ar D\n.El\n",
    "cli/cli.h": PLANTED["cli/cli.h"],
    "cli/cmd_ps.c": PLANTED["cli/cmd_ps.c"],
    "man/aictl.1": ".Bl\n.It Cm ps Op Fl -wide-names\n.El\n.Bl\n.It 5\n.El\n",
}

if __name__ == "__main__":
    lintlib.main("manpages", check, PLANTED, EXPECTED, CLEAN)
