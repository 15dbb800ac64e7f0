"""Completion in real shells: what Tab makes of a line, with names that the daemon has.

bash and zsh run on a terminal of their own; a test types a line, Tab, and then puts "echo" before
it, so that the completed line comes back as output. fish is asked for its candidates.

SPDX-License-Identifier: MIT
"""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from harness import BUILD, program

DEADLINE = 30
FILE = "manifest-file.yaml"

# What is typed, and the line after Tab.
LINES = [
    ("aictl desc", "aictl describe"),
    ("aictl ps --outp", "aictl ps --output"),
    ("aictl ps -o js", "aictl ps -o json"),
    ("aictl ps --output=ya", "aictl ps --output=yaml"),
    ("aictl explain stop.gr", "aictl explain stop.grace_period"),
    ("aictl explain services.na", "aictl explain services.na"),
    ("aictl help compl", "aictl help completion"),
    ("aictl validate -f manif", f"aictl validate -f {FILE}"),
    ("aictl validate --file=manif", f"aictl validate --file={FILE}"),
    ("aictl describe tok", "aictl describe tokenizer"),
    ("aictl restart tokenizer/", "aictl restart tokenizer/0"),
    ("aictl logs -f tok", "aictl logs -f tokenizer"),
    ("aictl scale tok", "aictl scale tokenizer="),
    ("aictl rollout history sh", "aictl rollout history shop"),
    ("aictl rollout undo tok", "aictl rollout undo tokenizer"),
    ("aictl ps --set sh", "aictl ps --set shop"),
    ("aictl exec tokenizer/", "aictl exec tokenizer/0"),
]


class Shell:
    """An interactive shell on a terminal."""

    def __init__(self, argv, env, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, env)
        self.seen = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, pattern):
        """Reads until a line matches; returns everything since the last match."""
        end = time.monotonic() + DEADLINE
        while not re.search(pattern, self.plain(), re.M):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.plain()!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
        found, self.seen = self.plain(), ""
        return found

    def plain(self):
        text = re.sub(r"\x1b(\[[0-9;?>=]*[A-Za-z]|[=>()][0-9A-Z]?|\][^\a]*\a)", "", self.seen)
        return text.replace("\r", "\n")

    def ready(self, *commands):
        for command in commands:
            self.type(command + "\n")
        self.type("echo shell-is-$((40 + 2))\n")
        self.until(r"^shell-is-42$")

    def complete(self, line):
        """The line that Tab makes of it."""
        self.type(line + "\t\x01echo '<<' \x05 '>>'\n")  # ^A and ^E: begin and end of the line
        return re.search(r"^<< (.*?) *>>$", self.until(r"^<< .*>>$"), re.M)[1]

    def close(self):
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def environment(socket):
    return {"PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": "/nonexistent", "TERM": "xterm", "LC_ALL": "C.UTF-8",
            "AICTL_SOCKET": socket, **{k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "LSAN_"))}}


def needs(shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")


def start_bash(base, socket):
    shell = Shell(["bash", "--norc", "--noprofile", "-i"], {**environment(socket), "INPUTRC": "/dev/null"}, base)
    shell.ready("source <(aictl completion bash)")
    return shell


def start_zsh(base, socket):
    needs("zsh")
    functions = os.path.join(base, "zsh")
    os.makedirs(functions, exist_ok=True)
    with open(os.path.join(functions, "_aictl"), "wb") as f:
        f.write(subprocess.run([program("aictl"), "completion", "zsh"], check=True, capture_output=True).stdout)
    shell = Shell(["zsh", "-f", "-i"], environment(socket), base)
    shell.ready(f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -D; bindkey -e; unsetopt beep")
    return shell


@pytest.fixture
def named(daemon, base):
    """A daemon with a service, and a file to be named."""
    with open(os.path.join(base, FILE), "w", encoding="utf-8") as f:
        f.write("version: 1\n")
    daemon.apply({"tokenizer": daemon.service("pause"), "other": daemon.service("pause", replicas=2)})
    return daemon


@pytest.mark.parametrize("start_shell", [start_bash, start_zsh], ids=["bash", "zsh"])
def test_lines(named, base, start_shell):
    shell = start_shell(base, named.socket)
    try:
        assert [(line, shell.complete(line)) for line, _ in LINES] == LINES
    finally:
        shell.close()


@pytest.mark.parametrize("start_shell", [start_bash, start_zsh], ids=["bash", "zsh"])
def test_silent_without_a_daemon(base, start_shell):
    shell = start_shell(base, "/nonexistent/socket")
    try:
        assert shell.complete("aictl describe tok") == "aictl describe tok"
        shell.type("aictl stop tok\t")
        shell.type("\x15echo end-of-test-$((1 + 1))\n")
        assert "error" not in shell.until(r"^end-of-test-2$")
    finally:
        shell.close()


def test_fish(named, base):
    needs("fish")
    script = "source (aictl completion fish | psub)\n" + "".join(
        f"echo '== {line}'; complete -C '{line}'\n" for line, _ in LINES)
    home = os.path.join(base, "home")
    os.mkdir(home)
    done = subprocess.run(["fish", "-N", "-c", script], env={**environment(named.socket), "HOME": home}, cwd=base,
                          capture_output=True, text=True, timeout=DEADLINE, check=False)
    found = {}
    for part in done.stdout.split("== ")[1:]:
        line, *candidates = part.splitlines()
        found[line] = [c.split("\t")[0] for c in candidates]
    for line, after in LINES:
        word = after.split(" ")[-1]
        wanted = [] if after == line else [word, f"{word}/0"] if " logs " in line else [word]
        assert found[line] == wanted, (line, done.stderr)
    assert "tokenizer/0\tready" in subprocess.run(
        ["fish", "-N", "-c", "source (aictl completion fish | psub); complete -C 'aictl restart tok'"], cwd=base,
        env={**environment(named.socket), "HOME": home}, capture_output=True, text=True, timeout=DEADLINE,
        check=True).stdout.splitlines()


def test_names_are_quick(named):
    """A daemon that does not answer holds a Tab up for a moment only."""
    def ask():
        begin = time.monotonic()
        rc, out, err = named.cli("__complete", "--", "stop", "")
        assert (rc, err) == (0, ""), err
        return time.monotonic() - begin, [line.split("\t")[0] for line in out.splitlines()]
    assert ask()[1] == ["other", "tokenizer"]
    os.kill(named.helper("controller"), signal.SIGSTOP)
    try:
        begin = time.monotonic()
        named.cli("__complete", "--", "stop", "")
        assert time.monotonic() - begin < 10
    finally:
        os.kill(named.helper("controller"), signal.SIGCONT)
