#!/usr/bin/python3
"""manpages: what the programs know and what the man pages say are the same, both ways.

aictl.1: every command has an item; each of its options stands in that item or in the text of its
section outside the items; an item names no command, and an option that does not exist; all exit codes
of cli.h and all variables that are read are there, and no others. aictld.8: options.
aictl-manifest.5: every key of the schema table, and no dotted key that is not in it.

Options are read from the sources and, where the programs are built, from their --help.

SPDX-License-Identifier: MIT
"""
import json
import os
import re
import subprocess

import lintlib

GETOPT = re.compile(r'\{\s*"([a-z][a-z0-9-]+)"\s*,\s*(?:no_argument|required_argument|optional_argument|[012])\s*,')
CLI_OPTION = re.compile(r"\{\s*(?:'(.)'|0)\s*,\s*\"([a-z][a-z0-9-]+)\"\s*,")
CLI_COMMAND = re.compile(r'^\s*\.name\s*=\s*"([a-z][a-z-]*)"', re.M)
CLI_ALIASES = re.compile(r"^\s*\.aliases\s*=\s*\{([^}]*)\}", re.M)
CLI_CODE = re.compile(r"^\s*CODE_\w+\s*=\s*(\d+)", re.M)
GETENV = re.compile(r'\b(?:getenv\(|compose_env_get\([^"()]+, )"([A-Z_]+)"\)')
# .Fl -name, .Fl Fl name, \-\-name; inline as "Fl -name"
MAN_OPTION = re.compile(r"(?:\bFl Fl |\bFl -|\\-\\-|(?<![\w-])--)([a-z][a-z0-9-]+)")
MAN_LETTER = re.compile(r"\bFl ([A-Za-z]+)\b")
MAN_VARIABLE = re.compile(r"^\.It Ev (.+)$", re.M)
HELP_OPTION = re.compile(r"^ +(?:-(.), |    )--([a-z][a-z0-9-]+)", re.M)
ANY_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]+)")
INTERNAL = {"sweep", "open-manifests"}  # between our own processes
GLOBAL = {"socket", "help", "version"}
EXEC_CODES = {"125", "126", "127"}  # those of env(1), not in cli.h
NOT_OURS = {"PATH"}  # read on behalf of what is run


def run_help(tree, program, *words):
    path = os.path.join(tree.build or "", program)
    if not tree.build or not os.access(path, os.X_OK):
        return ""
    run = subprocess.run([path, *words, "--help"], capture_output=True, text=True, timeout=30,
                         stdin=subprocess.DEVNULL, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    return run.stdout


def finding(page, what, message):
    return lintlib.Finding(page, 0, what, message)


def codes_of(text, title):
    """The numbers of the items of a section."""
    section = re.search(r"^\.Sh %s\n(.*?)(?=^\.Sh |\Z)" % title, text, re.M | re.S)
    return set(re.findall(r"^\.It (\d+)", section.group(1), re.M)) if section else set()


# ---- aictld.8 ----

def check_daemon(tree):
    page, options = "man/aictld.8", {}
    for path in tree.files("daemon/supervisor/*.c"):
        for m in GETOPT.finditer(lintlib.strip_c(tree.text(path), keep_strings=True)):
            options.setdefault(m.group(1), path)
    if not options:
        return []
    for name in ANY_OPTION.findall(run_help(tree, "aictld")):
        options.setdefault(name, "aictld --help")
    if page not in tree.paths:
        return [finding(page, "page", "does not exist")]
    named = set(MAN_OPTION.findall(tree.text(page)))
    return ([finding(page, o, "option --%s of %s is missing" % (o, p)) for o, p in sorted(options.items())
             if o not in named | INTERNAL]
            + [finding(page, o, "names --%s, which does not exist" % o) for o in sorted(named)
               if o not in set(options) | INTERNAL])


# ---- aictl.1 ----

def commands_of(tree):
    """command -> (path, {long name: letter}, [aliases]) of the cmd_*.c files."""
    found = {}
    for path in tree.files("cli/cmd_*.c"):
        text = lintlib.strip_c(tree.text(path), keep_strings=True)
        name = CLI_COMMAND.search(text)
        if not name or name.group(1).startswith("__"):
            continue
        options = {long: letter for letter, long in CLI_OPTION.findall(text)}
        if "OUTPUT_OPTION" in text:
            options["output"] = "o"
        for letter, long in HELP_OPTION.findall(run_help(tree, "aictl", name.group(1))):
            options[long] = letter
        aliases = CLI_ALIASES.search(text)
        found[name.group(1)] = (path, {o: options[o] for o in options if o not in GLOBAL},
                                re.findall(r'"([a-z-]+)"', aliases.group(1)) if aliases else [])
    return found


def items_of(text):
    """(command, its text, the text of its section outside such items) of each `.It Ic COMMAND`."""
    found = []
    for section in re.split(r"^\.Sh ", text, flags=re.M)[1:]:
        outside, items, current, depth, level = [], [], None, 0, 0
        for line in section.splitlines()[1:]:
            item = re.match(r"\.It Ic ([a-z-]+)", line)
            depth += line.startswith(".Bl")
            if item and (current is None or depth == level):
                current, level = (item.group(1), []), depth
                items.append(current)
            if line.startswith(".El"):
                depth -= 1
                if current and depth < level:
                    current = None
            (current[1] if current else outside).append(line)
        for (_, lines), (_, following) in reversed(list(zip(items, items[1:]))):
            if len(lines) == 1:  # several forms or names above one text
                lines += following
        found += [(name, "\n".join(lines), "\n".join(outside)) for name, lines in items]
    return found


def letters_in(text):
    return {c for m in MAN_LETTER.finditer(text) for c in m.group(1)}


def check_commands(page, text, commands):
    found, items = [], items_of(text)
    known = set(commands) | {a for _, _, aliases in commands.values() for a in aliases}
    every = {o for _, options, _ in commands.values() for o in options} | GLOBAL
    for name in sorted({name for name, _, _ in items if name not in known}):
        found.append(finding(page, name, "describes the command %s, which does not exist" % name))
    for command, (path, options, aliases) in sorted(commands.items()):
        mine = [(inside, outside) for name, inside, outside in items if name == command]
        if not mine:
            found.append(finding(page, command, "command %s (%s) is missing" % (command, path)))
            continue
        found += [finding(page, a, "alias %s of %s is missing" % (a, command)) for a in aliases
                  if not any(name == a for name, _, _ in items)]
        inside = "\n".join(i for i, _ in mine)
        both = inside + "\n" + mine[0][1]
        for option, letter in sorted(options.items()):
            if option not in MAN_OPTION.findall(both):
                found.append(finding(page, option, "option --%s of %s is missing at that command" % (option, command)))
            elif letter and letter not in letters_in(both):
                found.append(finding(page, option, "option -%s of %s is missing at that command" % (letter, command)))
        others = set(MAN_OPTION.findall(inside)) - set(options) - GLOBAL
        found += [finding(page, o, "%s has no option --%s" % (command, o)) for o in sorted(others & every)]
    found += [finding(page, o, "names --%s, which does not exist" % o)
              for o in sorted(set(MAN_OPTION.findall(text)) - every)]
    return found


def check_client(tree):
    page, commands = "man/aictl.1", commands_of(tree)
    if not commands:
        return []
    if page not in tree.paths:
        return [finding(page, "page", "does not exist")]
    text = tree.text(page)
    found = check_commands(page, text, commands)
    codes = {c for path in tree.files("cli/cli.h") for c in CLI_CODE.findall(tree.text(path))}
    listed = codes_of(text, "EXIT STATUS")
    found += [finding(page, c, "exit code %s is missing" % c) for c in sorted(codes - listed)]
    found += [finding(page, c, "names exit code %s, which does not exist" % c)
              for c in sorted(listed - codes - EXEC_CODES)]
    read = {v for path in tree.files("cli/*.c", "lib/*.c") for v in GETENV.findall(tree.text(path))} - NOT_OURS
    said = {v for line in MAN_VARIABLE.findall(text) for v in re.findall(r"[A-Z_]{3,}", line)}
    found += [finding(page, v, "variable %s is missing" % v) for v in sorted(read - said)]
    found += [finding(page, v, "names variable %s, which nothing reads" % v) for v in sorted(said - read)]
    return found


# ---- aictl-manifest.5 ----

def property_names(node):
    """The names of all properties of a JSON Schema."""
    names = set()
    if isinstance(node, dict):
        names |= set(node.get("properties", {}))
        for value in node.values():
            names |= property_names(value)
    elif isinstance(node, list):
        for value in node:
            names |= property_names(value)
    return names


def compare_keys(page, listed, keys):
    return ([finding(page, k, "key %s is missing" % k) for k in sorted(keys - listed)]
            + [finding(page, k, "names the key %s, which does not exist" % k) for k in sorted(listed - keys)])


def check_keys(tree):
    page, schema = "man/aictl-manifest.5", "schema/aictl-manifest.schema.json"
    source, found = page + ".in", []
    if schema not in tree.paths:
        return []
    if source not in tree.paths:
        return [finding(source, "page", "does not exist")]
    built = os.path.join(tree.build or "", page)
    program = os.path.join(tree.build or "", "aictl")
    if tree.build and os.path.exists(built) and os.access(program, os.X_OK):
        with open(built, encoding="utf8") as f:
            listed = set(re.findall(r"^\.It Cm (\S+) : Ar", f.read(), re.M))
        run = subprocess.run([program, "explain", "-o", "name"], capture_output=True, text=True, timeout=30, check=True,
                             stdin=subprocess.DEVNULL, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
        found += compare_keys(page, listed, set(run.stdout.split()) - {"services.*"})
    names = property_names(json.loads(tree.text(schema))) | {"*"}
    for name in sorted(set(re.findall(r"^\.Cm ([a-z_]+(?:\.[a-z_*][a-z0-9_*]*)+)", tree.text(source), re.M))):
        if not set(name.split(".")) <= names:
            found.append(finding(source, name, "names the key %s, which does not exist" % name))
    return found


# ---- aictl-plugin.3, aictl-plugin-check.1 ----

def check_plugin(tree):
    page, header = "man/aictl-plugin.3", "include/aictl/plugin.h"
    if header not in tree.paths:
        return []
    if page not in tree.paths:
        return [finding(page, "page", "does not exist")]
    text, source = tree.text(page), lintlib.strip_c(tree.text(header), keep_strings=True)
    functions = set(re.findall(r"^\t\w[\w *]*\(\*(\w+)\)\(", source, re.M))
    said = set(re.findall(r"^\.It Fn (?:\"\w+ )?(\w+)", text, re.M))
    codes = {c for body in re.findall(r"enum aictl_code \{(.*?)\}", source, re.S) for c in re.findall(r"\bAICTL_\w+", body)}
    return ([finding(page, f, "function %s of %s is missing" % (f, header)) for f in sorted(functions - said)]
            + [finding(page, f, "names the function %s, which does not exist" % f) for f in sorted(said - functions)]
            + [finding(page, c, "code %s is missing" % c) for c in sorted(codes) if not re.search(r"^\.It Dv %s$" % c, text, re.M)])


def check_plugin_check(tree):
    page, options, commands = "man/aictl-plugin-check.1", set(), set()
    for path in tree.files("daemon/plugincheck/*.c"):
        source = lintlib.strip_c(tree.text(path), keep_strings=True)
        options |= set(GETOPT.findall(source))
        commands |= set(re.findall(r'^\t"  ([a-z]+)[ \\]', source, re.M))
    if not options:
        return []
    if page not in tree.paths:
        return [finding(page, "page", "does not exist")]
    text = tree.text(page)
    named = set(MAN_OPTION.findall(text)) - {"name"}
    said = set(re.findall(r"^\.It Ic ([a-z]+)", text, re.M))
    return ([finding(page, o, "option --%s is missing" % o) for o in sorted(options - named - {"name"})]
            + [finding(page, o, "names --%s, which does not exist" % o) for o in sorted(named - options)]
            + [finding(page, c, "command %s is missing" % c) for c in sorted(commands - said)]
            + [finding(page, c, "names the command %s, which does not exist" % c) for c in sorted(said - commands)])


def check(tree):
    return check_daemon(tree) + check_client(tree) + check_keys(tree) + check_plugin(tree) + check_plugin_check(tree)


PLANTED = {
    "daemon/supervisor/main.c": 'static const struct option o[] = {{"state-dir", required_argument, NULL, 1},\n'
                                '\t{"log-dir", required_argument, NULL, 2}};\n',
    "man/aictld.8": ".Bl\n.It Fl -state-dir Ar D\n.It Fl -bogus\n.El\n",
    "cli/cli.h": "enum {\n\tCODE_A = 5,\n};\n",
    "cli/cmd_ps.c": "static const struct option_spec o[] = {{'w', \"wide-names\", NULL, \"x\", NULL}, {0}};\n"
                    'const char *e = getenv("AICTL_X");\n'
                    "const struct command cmd_ps = {\n\t.name = \"ps\",\n\t.aliases = {\"ls\"},\n};\n",
    "cli/cmd_up.c": "static const struct option_spec o[] = {{'f', \"file\", \"F\", \"x\", NULL},\n"
                    "\t{0, \"quiet\", NULL, \"x\", NULL}, {0}};\n"
                    "const struct command cmd_up = {\n\t.name = \"up\",\n};\n",
    "cli/cmd_logs.c": "const struct command cmd_logs = {\n\t.name = \"logs\",\n};\n",
    "man/aictl.1": ".Sh ONE\n.Bl\n.It Ic apply\n.It Ic ps Op Fl -file\n.It Ic up Op Fl -file\n.El\n.Bl\n.It Ev AICTL_Y\n.El\n"
                   ".Sh EXIT STATUS\n.It 6\nx --never\n",
    "schema/aictl-manifest.schema.json": '{"properties": {"probes": {"properties": {"http": {}}}}}',
    "man/aictl-manifest.5.in": "text\n.Cm probes.htpp\nmore\n.Cm probes.http .\n",
    "include/aictl/plugin.h": "enum aictl_code { AICTL_OK = 0, AICTL_BAD = 1 };\nstruct ops {\n\tvoid (*list)(void *self);\n"
                              "\tint (*open)(int (*fn)(void));\n};\n",
    "man/aictl-plugin.3": ".It Fn \"int open\" \"fn\"\n.It Fn shut \"x\"\n.It Dv AICTL_OK\n",
    "daemon/plugincheck/main.c": 'static const struct option o[] = {{"query", no_argument, NULL, 1}};\n\t"  start UNIT\\n"\n',
    "man/aictl-plugin-check.1": ".It Fl -bogus\n.It Ic stop\n",
}
EXPECTED = [r"aictld.8: option --log-dir", r"aictld.8: names --bogus", r"aictl.1: option --wide-names of ps",
            r"aictl.1: command logs", r"aictl.1: describes the command apply", r"aictl.1: option --quiet of up",
            r"aictl.1: option -f of up", r"aictl.1: ps has no option --file", r"aictl.1: alias ls of ps",
            r"aictl.1: names --never", r"aictl.1: exit code 5", r"aictl.1: names exit code 6",
            r"aictl.1: variable AICTL_X", r"aictl.1: names variable AICTL_Y",
            r"aictl-manifest.5.in: names the key probes.htpp", r"aictl-plugin.3: function list", r"aictl-plugin.3: names the function shut",
            r"aictl-plugin.3: code AICTL_BAD", r"aictl-plugin-check.1: option --query", r"aictl-plugin-check.1: names --bogus",
            r"aictl-plugin-check.1: command start", r"aictl-plugin-check.1: names the command stop"]
CLEAN = {
    "daemon/supervisor/main.c": PLANTED["daemon/supervisor/main.c"],
    "man/aictld.8": ".Bl\n.It Fl -state-dir Ar D\n.It Fl Fl log-dir Ar D\n.El\n",
    "cli/cli.h": PLANTED["cli/cli.h"],
    "cli/cmd_ps.c": PLANTED["cli/cmd_ps.c"],
    "cli/cmd_up.c": PLANTED["cli/cmd_up.c"],
    "man/aictl.1": ".Sh ONE\n.Fl f , Fl -file\nis for all.\n.Bl\n.It Ic ps\n.It Ic ls\n.Bl\n.It Fl w , Fl -wide-names\n.El\n"
                   "More.\n.It Ic up Op Fl -quiet\n.El\n.Bl\n.It Ev AICTL_X\n.El\n.Sh EXIT STATUS\n.It 5\n.El\n",
    "schema/aictl-manifest.schema.json": PLANTED["schema/aictl-manifest.schema.json"],
    "man/aictl-manifest.5.in": "text\n.Cm probes.http .\n",
    "include/aictl/plugin.h": PLANTED["include/aictl/plugin.h"],
    "man/aictl-plugin.3": ".It Fn \"int open\" \"fn\"\n.It Fn list \"self\"\n.It Dv AICTL_OK\n.It Dv AICTL_BAD\n",
    "daemon/plugincheck/main.c": PLANTED["daemon/plugincheck/main.c"],
    "man/aictl-plugin-check.1": ".It Fl -query\n.It Ic start\n",
}

if __name__ == "__main__":
    assert [str(f) for f in compare_keys("p", {"a", "b"}, {"b", "c"})] == [
        "p: key c is missing", "p: names the key a, which does not exist"]
    lintlib.main("manpages", check, PLANTED, EXPECTED, CLEAN)
