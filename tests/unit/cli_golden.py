#!/usr/bin/python3
"""What each read verb prints, in each format, on terminals of 80 and 200 columns and into a pipe,
compared with the files in golden/. Narrow terminals, NO_COLOR and the C locale are in there, too.

The daemon is fake_daemon.py with the replies of golden_world.py. Their times lie a fixed span before
now; only those very times are replaced by names before the comparison, so a wrong one is seen.
Runs in the build directory. `cli_golden.py --update` writes the files anew: look at the difference.

SPDX-License-Identifier: MIT
"""
import difflib
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import golden_world  # noqa: E402
import on_pty  # noqa: E402

AICTL = os.path.join(os.getcwd(), "aictl")
FAKE = os.path.join(HERE, "fake_daemon.py")
GOLDEN = os.path.join(HERE, "golden")
FORMATS = ("table", "wide", "json", "yaml", "name")
DEADLINE = 20
AGED = 25  # seconds after which an age of golden_world may be another word

# verb of the file -> arguments
VERBS = {"ps": ["ps"], "describe": ["describe", "sentiment", "chat", "old", "db"], "why": ["why", "sentiment", "chat"], "autoscale": ["autoscale", "sentiment"], "events": ["events"], "check": ["check", "sentiment", "chat/0"],
         "logs": ["logs", "--log-dir", "logs"], "wait": ["wait", "sentiment"], "daemon": ["daemon", "info"], "plugins": ["plugins"],
         "rollout": ["rollout", "history", "shop"], "version": ["version"], "plan": ["plan"], "graph": ["graph"], "explain": ["explain", "restart.budget.window"],
         "config": ["config"], "validate": ["validate"]}
OTHER_FORMATS = {"config": ("yaml", "json", "name"), "graph": (*FORMATS, "dot", "tree"),
                 "logs": ("text", *FORMATS, "raw")}
UNCUT = ("logs", "daemon", "version", "config", "validate", "graph", "explain")  # lines as services wrote them; paths to be copied
# terminals besides those of 80 and 200 columns: (columns, environment)
MORE = [(60, {}), (40, {}), (20, {}), (80, {"NO_COLOR": "1"}), (80, {"TERM": "dumb"}), (80, {"LC_ALL": "C"})]


def segment(where, service, replica, pieces):
    """A log segment as daemon/logger makes it, of (stream, ms, text)."""
    incarnation = f"{pieces[0][1]:012x}" + 20 * "0"
    base = os.path.join(where, service, str(replica))
    os.makedirs(base)
    log, index = b"", b"AICTLIDX" + struct.pack("<II", 1, 24) + incarnation.encode() + struct.pack("<qII", pieces[0][1], 1, 0)
    for stream, ms, text in pieces:
        index += struct.pack("<QIIq", len(log), len(text), stream, ms)
        log += text.encode()
    for suffix, data in (("log", log), ("idx", index)):
        with open(f"{base}/{incarnation}-000001.{suffix}", "wb") as f:
            f.write(data)


def write_logs(where):
    """Two replicas and another service; both streams, a note of the logger, a line over 64 KiB."""
    at = 1767323045123  # 2026-01-02T03:04:05.123Z
    segment(where, "sentiment", 0, [(1, at, "loading weights\n"), (2, at + 877, "warning: no GPU\n"), (1, at + 2000, "ready\n"),
                                    (1, at + 9000, "x" * 66000 + "\n")])
    segment(where, "sentiment", 1, [(1, at + 50, "loading weights\n"), (1, at + 1900, "ready\n"),
                                    (3, at + 3000, "[aictl: 12 lines (1.2 KiB) dropped: No space left on device]\n")])
    segment(where, "chat", 0, [(1, at + 1000, "POST /v1/chat 200\n")])


class Runner:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="aictl-golden-")
        write_logs(os.path.join(self.dir, "logs"))
        self.daemon = None
        self.version = subprocess.run([AICTL, "--version"], capture_output=True, text=True, check=True,
                                      timeout=DEADLINE).stdout.split()[1]
        with open(os.path.join(self.dir, "aictl.yaml"), "w", encoding="ascii") as f:
            f.write("version: 1\nname: shop\nservices: { sentiment: { command: [sleep] } }\n")

    def start(self):
        """A daemon whose times are as old as they say; again when they begin to age."""
        if self.daemon and time.time() - self.now < AGED:
            return
        self.stop()
        self.now = int(time.time())
        self.socket = os.path.join(self.dir, "s")
        self.daemon = subprocess.Popen([FAKE, self.socket, "0", str(self.now)], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
        assert self.daemon.stdout.readline() == b"ready\n"

    def stop(self):
        if self.daemon:
            self.daemon.kill()
            self.daemon.communicate()
        if os.path.exists(os.path.join(self.dir, "s")):
            os.unlink(self.socket)
        self.daemon = None

    def env(self, **more):
        kept = {k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "LSAN_"))}
        return {"PATH": os.environ["PATH"], "HOME": self.dir, "LC_ALL": "C.UTF-8", "TERM": "xterm", "TZ": "UTC",
                "AICTL_SOCKET": self.socket, **kept, **more}

    def piped(self, args, **env):
        r = subprocess.run([AICTL, *args], env=self.env(**env), cwd=self.dir, stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=DEADLINE, check=False)
        return r.stdout + r.stderr

    def on_terminal(self, args, columns, **env):
        return on_pty.run([AICTL, *args], columns, DEADLINE, env=self.env(**env), cwd=self.dir)

    def named(self, data):
        """Text with the known times, and nothing else, replaced by their names."""
        text = data.decode("utf-8")
        for name in golden_world.OFFSETS:
            at = golden_world.stamp(self.now, name)
            text = text.replace(at, f"<{name}>").replace(at[:-1].replace("T", " "), f"<{name:.17}>".ljust(19))
        text = text.replace(self.socket, "<socket>").replace(os.path.realpath(self.dir), "<dir>")
        if "aictl.yaml" not in text:  # only `version` prints it; a release changes it
            text = text.replace(self.version, "<version>")
        return re.sub(r"x{1000,}", lambda m: f"<{len(m[0])} x>", text.replace("\x1b", "\\e"))


def bare(text):
    return re.sub(r"\\e\[[0-9;]*[A-Za-z]", "", text)


def sections(runner, verb, args):
    """(title, output, columns or 0) of each way to call a verb."""
    for name in OTHER_FORMATS.get(verb, FORMATS):
        full = [*args, "-o", name]
        yield f"aictl {' '.join(full)} | cat", runner.piped(full), 0
        for columns in (80, 200):
            yield f"aictl {' '.join(full)}    # {columns} columns", runner.on_terminal(full, columns), columns
    for columns, env in MORE:
        what = "".join(f", {k}={v}" for k, v in env.items())
        yield f"aictl {' '.join(args)}    # {columns} columns{what}", runner.on_terminal(args, columns, **env), columns


def page(runner, verb, args):
    """The golden file of a verb; outputs that came before are only named."""
    seen, out, problems = {}, [], []
    runner.start()
    for title, data, columns in sections(runner, verb, args):
        text = runner.named(data)
        out.append(f"==== {title}\n")
        out.append(f"     as: {seen[text]}\n" if text in seen else text)
        seen.setdefault(text, title)
        if "LC_ALL=C" in title and not bare(text).isascii():
            problems.append(f"{title}: not ASCII")
        if ("NO_COLOR" in title or "dumb" in title or "| cat" in title) and "\\e" in text:
            problems.append(f"{title}: escape sequences")
        if columns and not re.search(r"-o (json|yaml|name|dot)", title) and verb not in UNCUT:
            problems += [f"{title}: wider than the terminal: {line}" for line in bare(text).splitlines()
                         if len(line) > columns and not line.startswith(("warning:", "hint:"))]
        runner.start()
    return "".join(out), problems


def main():
    update = sys.argv[1:] == ["--update"]
    if not os.access(AICTL, os.X_OK):
        print("no aictl in the current directory: run in the build directory")
        return 77
    runner, bad = Runner(), 0
    try:
        for verb, args in VERBS.items():
            path = os.path.join(GOLDEN, f"{verb}.txt")
            text, problems = page(runner, verb, args)
            if update:
                os.makedirs(GOLDEN, exist_ok=True)
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
            with open(path, encoding="utf-8") as f:
                want = f.read()
            if want != text:
                sys.stdout.writelines(difflib.unified_diff(want.splitlines(True), text.splitlines(True), path, "now"))
            for problem in problems:
                print(problem)
            bad += want != text or bool(problems)
            print(f"{'not ok' if want != text or problems else 'ok'} {verb}")
    finally:
        runner.stop()
        shutil.rmtree(runner.dir, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
