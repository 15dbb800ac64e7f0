#!/usr/bin/python3
"""Screens and exit codes of aictl against a stand-in for the daemon's API (fake_daemon.py).

Runs in the build directory. Every wait has a deadline; processes are ended by their pid.

SPDX-License-Identifier: MIT
"""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import on_pty  # noqa: E402

AICTL = os.path.join(os.getcwd(), "aictl")
FAKE = os.path.join(HERE, "fake_daemon.py")
DEADLINE = 20

GOOD = "version: 1\nname: shop\nservices:\n  sentiment:\n    command: [sleep, '100']\n    replicas: 2\n"
BAD = "version: 1\nservices:\n  sentiment:\n    comand: [sleep]\n    replicas: -1\n"


def until(condition, what):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("timed out waiting for " + what)


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="aictl-cli-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": self.dir, "LC_ALL": "C.UTF-8", "TERM": "xterm", "TZ": "UTC",
                    "XDG_RUNTIME_DIR": os.path.join(self.dir, "run"), "XDG_STATE_HOME": os.path.join(self.dir, "state"),
                    **{k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "LSAN_"))}}
        os.mkdir(self.env["XDG_RUNTIME_DIR"])

    def start_daemon(self):
        self.socket = os.path.join(self.dir, "s")
        self.daemon = subprocess.Popen([FAKE, self.socket, "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end, self.daemon)
        self.assertEqual(self.daemon.stdout.readline(), b"ready\n")
        self.env["AICTL_SOCKET"] = self.socket

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def run_cli(self, *args, stdin="", program=AICTL, **env):
        return subprocess.run([program, *args], input=stdin, capture_output=True, text=True, timeout=DEADLINE,
                              env={**self.env, **env}, cwd=self.dir)

    def check(self, code, *args, **more):
        r = self.run_cli(*args, **more)
        self.assertEqual(r.returncode, code, f"aictl {args}\n{r.stdout}\n{r.stderr}")
        return r

    def on_terminal(self, *args, columns=80, **env):
        """Output of a run on a terminal of that width, with its escape sequences."""
        return on_pty.run([AICTL, *args], columns, DEADLINE, env={**self.env, **env}, cwd=self.dir).decode()


def bare(text):
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


class Usage(Case):
    def test_unknown_words(self):
        self.assertIn('did you mean "start"?', self.check(2, "statr").stderr)
        self.assertIn("did you mean --output?", self.check(2, "ps", "--ouptut", "json").stderr)
        self.assertIn("aictl describe web", self.check(2, "describe", "web/0").stderr)
        self.assertIn("expected table|wide|json|yaml|name", self.check(2, "ps", "-o", "toml").stderr)
        for verb in ("ps", "describe x", "events", "wait x", "version", "daemon info", "logs x"):
            self.assertIn("did you mean yaml?", self.check(2, *verb.split(), "-o", "yml").stderr)
        self.assertIn("needs a value", self.check(2, "ps", "-o").stderr)
        self.assertIn("takes no value", self.check(2, "apply", "--wait=1").stderr)
        self.assertIn("unexpected argument", self.check(2, "apply", "x").stderr)
        self.assertIn("expected", self.check(2, "stop").stderr)
        self.assertIn("Usage", self.check(2).stderr)
        self.check(2, "daemon", "inof")
        self.check(2, "scale", "a=b")
        self.check(2, "scale", "a")
        self.check(2, "wait", "--timeout", "soon", "a")

    def test_help_everywhere(self):
        overview = self.check(0, "help").stdout
        self.assertEqual(overview, self.check(0, "--help").stdout)
        verbs = re.findall(r"^  ([a-z]+)  +[A-Z]", overview, re.M)
        self.assertGreaterEqual(len(verbs), 28)
        self.assertLessEqual(max(map(len, overview.splitlines())), 80)
        for verb in verbs:
            page = self.check(0, verb, "--help").stdout
            self.assertEqual(page, self.check(0, "help", verb).stdout)
            self.assertIn("Examples:", page)
            self.assertLessEqual(max(map(len, page.splitlines())), 80, verb)
            self.assertTrue(page.isascii())
        for words in (["--version"], ["version"], ["ps", "--version"]):
            self.assertRegex(self.check(0, *words).stdout, r"^aictl \d")

    def test_no_daemon(self):
        r = self.check(6, "ps")
        self.assertIn("no daemon answers", r.stderr)
        self.assertIn("aictl up of this directory", r.stderr)
        self.assertIn(os.path.join(self.dir, "run", "aictl") if os.geteuid() else "/run/aictl/aictl.sock", r.stderr)
        self.assertIn("hint: ", r.stderr)
        self.assertIn("/nope", self.check(6, "--socket", "/nope", "ps").stderr)
        self.assertIn("AICTL_SOCKET", self.check(6, "ps", AICTL_SOCKET="/nope").stderr)

    def test_manifest_errors(self):
        self.write("bad.yaml", BAD)
        r = self.check(9, "validate", "-f", "bad.yaml")
        self.assertIn("bad.yaml:4:5: error: comand: unknown key\n    4 |     comand: [sleep]\n      |     ^~~~~~\n", r.stderr)
        self.assertIn('did you mean "command"?', r.stderr)
        self.assertIn("bad.yaml:5:15: error: replicas", r.stderr)
        self.assertIn("<stdin>:4:5", self.check(9, "apply", "-f", "-", stdin=BAD).stderr)
        self.check(2, "validate", "-f", "none.yaml")
        self.assertIn("no aictl.yaml", self.check(2, "apply").stderr)
        self.write("aictl.yml", GOOD)
        self.assertIn(": 1 service, valid\n", self.check(0, "validate").stdout)
        self.write("d/b.yaml", GOOD)
        self.assertIn(": 1 service, valid\n", self.check(0, "validate", "-f", "d").stdout)


class Screens(Case):
    def setUp(self):
        super().setUp()
        self.start_daemon()

    def test_ps(self):
        out = self.check(0, "ps", "sentiment", "old").stdout
        self.assertEqual(out, "NAME         STATE    PID   PORT   RESTARTS  AGE   MESSAGE\n"
                              "sentiment/0  ready    4711  20001  0         1h2m  readiness probe passed\n"
                              "sentiment/1  ready    4712  20002  1         1h2m  readiness probe passed\n"
                              "old          stopped  -     -      -         -\n")
        self.assertEqual(self.check(0, "ls", "-o", "name").stdout, "sentiment\nchat\nold\nslow\nbroken\n")
        self.assertIn("exit code 1, ", self.check(0, "ps", "-o", "wide", "chat").stdout)
        doc = json.loads(self.check(0, "ps", "-o", "json", "sentiment").stdout)
        self.assertEqual(doc["services"][0]["replicas"][1]["id"], "sentiment/1")

    def test_codes(self):
        self.check(0, "status")
        self.check(0, "status", "sentiment")
        self.check(3, "status", "chat")
        self.check(0, "ps", "chat")
        r = self.check(4, "ps", "sentimen")
        self.assertEqual(r.stderr, 'error: no service "sentimen"\nhint: did you mean sentiment?\n')
        self.check(4, "describe", "nope")
        self.check(4, "stop", "nope")
        self.check(7, "stop", "denied")
        self.check(0, "wait", "sentiment")
        self.check(5, "wait", "--timeout", "250ms", "slow")
        self.check(1, "wait", "broken")
        self.check(5, "start", "--timeout", "250ms", "slow")
        self.check(1, "restart", "broken")
        self.check(0, "start", "--no-wait", "slow")

    def test_changes(self):
        self.assertEqual(self.check(0, "stop", "sentiment").stdout, "sentiment  stopped\n")
        self.assertEqual(self.check(0, "scale", "sentiment=4").stdout, "sentiment  scaled  ready  4/4 ready\n")
        self.write("aictl.yaml", GOOD)
        r = self.check(0, "apply", "--wait")
        self.assertEqual(r.stdout, "sentiment/0 ready: as asked\nsentiment  created  ready  2/2 ready\n")
        self.assertIn("old is in set shop but no longer in the manifest", r.stderr)
        self.assertIn("aictl delete old", r.stderr)
        self.assertIn("accepted", self.check(0, "apply").stdout)
        self.write("slow.yaml", GOOD.replace("sentiment", "slow"))
        r = self.check(5, "apply", "-f", "slow.yaml", "--timeout", "300ms")
        self.assertIn("timed out after 300ms", r.stderr)
        self.write("refuse.yaml", GOOD.replace("sentiment", "refuse"))
        r = self.check(9, "apply", "-f", "refuse.yaml")
        self.assertIn("refuse.yaml:3:5: error: user: no such user nobody2\n    3 | services:\n", r.stderr)

    def test_describe(self):
        out = self.check(0, "describe", "sentiment").stdout
        for text in ("  State       ready, 2 of 2 ready\n", "  Manifest    /srv/shop/aictl.yaml:12\n",
                     "app:app 'a b'\n", "    startup    passed, ", "    liveness   failed 2 of 3, ", ": HTTP 500\n", "  environment.MODEL  v3\n",
                     "signal SIGKILL (oom)", "sentiment/0  ready: readiness probe passed\n"):
            self.assertIn(text, out)
        self.assertIn("next attempt in ", self.check(0, "describe", "chat").stdout)

    def test_events(self):
        self.assertRegex(self.check(0, "events", "-n", "1", "sentiment").stdout,
                         r"^AGE +TYPE   OBJECT       MESSAGE\n\S+ +state  sentiment/0  ready: readiness probe passed\n$")
        self.assertEqual(self.check(0, "events", "-n", "1", "sentiment", "-o", "wide").stdout.splitlines()[1],
                         "2    2026-01-02 03:04:05  state  sentiment/0  -     ready  x       readiness probe passed")
        self.assertEqual(self.check(0, "events", "--since", "1h").stdout, "")
        self.assertIn("started", self.check(0, "events", "--since", "2026-01-02T03:04:05Z").stdout)
        self.assertEqual(self.check(0, "events", "--since", "2026-01-02T03:04:06Z").stdout, "")
        self.check(2, "events", "--since", "yesterday")
        lines = self.check(0, "events", "-o", "json").stdout.splitlines()
        self.assertEqual([json.loads(x)["seq"] for x in lines], [1, 2])

    def test_logs_by_the_api(self):
        out = self.check(0, "logs", "sentiment").stdout
        self.assertEqual(out, "sentiment/0 | line 0 of sentiment\nsentiment/1 | line 1 of sentiment\n"
                              "sentiment/0 | line 2 of sentiment\nsentiment/1 | line 3 of sentiment\n")
        self.assertEqual(self.check(0, "logs", "--no-prefix", "sentiment/1").stdout,
                         "line 1 of sentiment\nline 3 of sentiment\n")
        self.assertEqual(self.check(0, "logs", "-o", "raw", "sentiment/0").stdout,
                         "line 0 of sentiment\nline 2 of sentiment\n")
        self.assertIn("2026-01-02 03:04:05.123 line 1", self.check(0, "logs", "-t", "sentiment/1").stdout)
        line = json.loads(self.check(0, "logs", "-o", "json", "sentiment").stdout.splitlines()[0])
        self.assertEqual((line["replica"], line["stream"], line["at"]), (0, "stdout", "2026-01-02T03:04:05.123Z"))
        self.check(4, "logs", "nope")
        self.check(2, "logs", "sentiment/x")
        self.check(2, "logs", "-n", "-1", "sentiment")

    def test_daemon(self):
        self.assertIn("Uptime       1h2m\n", self.check(0, "daemon", "info").stdout)
        self.assertEqual(json.loads(self.check(0, "daemon", "info", "-o", "json").stdout)["mode"], "normal")
        self.check(0, "daemon", "reload")
        self.check(0, "daemon", "stop")
        self.assertEqual(self.daemon.wait(DEADLINE), 0)

    def test_nothing_of_a_service_reaches_the_terminal_raw(self):
        for verb in ("ps", "describe"):
            self.assertNotIn("\x1b", self.check(0, verb, "chat").stdout)
        self.assertNotIn("\x1b[31m;", self.on_terminal("ps", "chat"))
        self.assertTrue(self.check(0, "ps", "chat", LC_ALL="C").stdout.isascii())

    def test_terminal(self):
        for columns in (40, 80, 200):
            out = self.on_terminal("ps", columns=columns)
            self.assertIn("\x1b[32mready\x1b[0m", out)
            self.assertLessEqual(max(map(len, bare(out).splitlines())), columns)
        self.assertNotIn("\x1b", self.on_terminal("ps", NO_COLOR="1"))
        self.assertNotIn("\x1b", self.on_terminal("ps", TERM="dumb"))
        self.assertNotIn("\x1b", self.on_terminal("start", "--timeout", "300ms", "slow", TERM="dumb"))
        plain = self.on_terminal("start", "--timeout", "700ms", "slow", NO_COLOR="1")
        self.assertIn("\x1b[1A", plain)
        self.assertNotRegex(plain, "\x1b\\[[0-9;]*m")
        live = self.on_terminal("start", "--timeout", "700ms", "slow")
        self.assertIn("\x1b[1A", live)  # redrawn in place
        self.assertNotIn("slow/0", live.rsplit("\x1b[J", 1)[1])  # and erased

    def test_yaml_says_what_json_says(self):
        for words in ("ps", "ps --set shop", "describe chat", "describe sentiment", "daemon info", "version", "wait sentiment"):
            doc = json.loads(self.check(0, *words.split(), "-o", "json").stdout)
            self.assertEqual(yaml.safe_load(self.check(0, *words.split(), "-o", "yaml").stdout), doc, words)
        for words in ("events", "logs sentiment"):
            docs = [json.loads(x) for x in self.check(0, *words.split(), "-o", "json").stdout.splitlines()]
            self.assertEqual(list(yaml.safe_load_all(self.check(0, *words.split(), "-o", "yaml").stdout)), docs)

    def test_selectors(self):
        def names(*args):
            return self.check(0, "ps", "-o", "name", *args).stdout.split()
        self.assertEqual(names("--set", "other"), ["slow", "broken"])
        self.assertEqual(names("--set", "nope"), [])
        self.assertEqual(names("-l", "team=nlp"), ["sentiment"])
        self.assertEqual(names("-l", "team==nlp,stage!=prod"), [])
        self.assertEqual(names("-l", "team!=nlp", "--set", "shop"), ["chat", "old"])
        self.assertEqual(names("-l", "team", "-l", "stage!=test"), ["sentiment", "chat"])
        self.assertEqual(names("-l", "!team", "--set", "shop"), ["old"])
        self.assertEqual(names("-l", "team=chat", "sentiment", "chat"), ["chat"])
        doc = json.loads(self.check(0, "ps", "-l", "team=chat", "-o", "json").stdout)
        self.assertEqual((doc["api_version"], [x["name"] for x in doc["services"]]), ("v1", ["chat"]))
        self.assertEqual(self.check(0, "ps", "-l", "a=b").stderr, "no such services\n")
        for wrong in ("", "=", "a=b,", "!", "!a=b", "a!b"):
            self.check(2, "ps", "-l", wrong)

    STREAMS = [["events", "-f"], ["events", "-f", "-o", "json"], ["logs", "-f", "sentiment"], ["ps", "--watch=1"]]

    def test_output_errors(self):
        """A full disk is an error; of streams too, which would go on for ever."""
        for args in [["ps"], ["describe", "sentiment"], ["events"], ["version"], ["help"], ["ps", "-o", "yaml"],
                     *self.STREAMS]:
            with open("/dev/full", "w", encoding="ascii") as full:
                r = subprocess.run([AICTL, *args], stdout=full, stderr=subprocess.PIPE, env=self.env,
                                   timeout=DEADLINE)
            self.assertEqual(r.returncode, 1, args)
            self.assertIn(b"error: cannot write the output", r.stderr, args)
            closed = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", AICTL, *args], stderr=subprocess.PIPE,
                                    env=self.env, timeout=DEADLINE)
            self.assertEqual(closed.returncode, 1, args)

    def test_reader_that_goes_away(self):
        """`aictl ... | head`: quietly, by SIGPIPE; a stream at once, not with its next line."""
        for args in [["ps"], ["describe", "sentiment"], *self.STREAMS]:
            read, write = os.pipe()
            p = subprocess.Popen([AICTL, *args], stdout=write, stderr=subprocess.PIPE, env=self.env)
            self.addCleanup(self.end, p)
            os.close(write)
            if args in self.STREAMS:
                self.assertTrue(os.read(read, 1))
            os.close(read)
            self.assertEqual(p.communicate(timeout=DEADLINE)[1], b"", args)
            self.assertIn(p.returncode, (-signal.SIGPIPE, 0) if args not in self.STREAMS else (-signal.SIGPIPE,), args)
        r = subprocess.run(["sh", "-c", f"trap '' PIPE; {AICTL} ps -o json | head -n 1; {AICTL} events -f | head -n 1"],
                           capture_output=True, env=self.env, timeout=DEADLINE)
        self.assertEqual(r.stdout.splitlines()[0], b"{")

    def test_much_input_and_little_reading(self):
        """`yes | aictl`: stdin is not touched by who does not ask for it."""
        r = subprocess.run(["sh", "-c", f"yes | {AICTL} ps -o name"], capture_output=True, env=self.env,
                           timeout=DEADLINE)
        self.assertEqual((r.returncode, r.stdout.split()[0]), (0, b"sentiment"))

    def test_watch_in_a_pipe(self):
        p = subprocess.Popen([AICTL, "ps", "-w1", "sentiment"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=self.env, bufsize=0)
        self.addCleanup(self.end, p)

        def lines(n):
            got = []
            while len(got) < n:
                self.assertTrue(select.select([p.stdout], [], [], DEADLINE)[0], got)
                got.append(p.stdout.readline().decode())
            return got
        self.assertIn("ready", lines(3)[1])
        self.check(0, "stop", "sentiment")  # the next block comes with the change, and none before
        block = lines(3)
        self.assertEqual(block[0], "\n")
        self.assertRegex(block[2], "^sentiment +stopped")
        os.kill(self.daemon.pid, signal.SIGSTOP)
        self.assertTrue(select.select([p.stderr], [], [], DEADLINE)[0])
        self.assertEqual(p.stderr.readline(), b"warning: the daemon does not answer; trying again\n")
        os.kill(self.daemon.pid, signal.SIGCONT)
        self.assertTrue(select.select([p.stderr], [], [], DEADLINE)[0])
        self.assertEqual(p.stderr.readline(), b"warning: the daemon answers again\n")
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(DEADLINE), 130)
        self.assertEqual(p.stdout.read(), b"")

    def test_watch_on_a_terminal(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)

        def resize(rows, columns):
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        resize(24, 80)
        p = subprocess.Popen([AICTL, "ps", "--watch=1"], stdin=slave, stdout=slave, stderr=slave, env=self.env,
                             start_new_session=True)
        os.close(slave)
        self.addCleanup(self.end, p)
        out = [""]

        def read_until(pattern, what):
            end = time.monotonic() + DEADLINE
            while not re.search(pattern, out[0]):
                left = end - time.monotonic()
                self.assertTrue(left > 0 and select.select([master], [], [], left)[0], f"{what}: {out[0]!r}")
                out[0] += os.read(master, 65536).decode().replace("\r\n", "\n")
        read_until(r"broken/0[^\n]*\n", "the first drawing")
        read_until(r"\x1b\[7A\r", "the second one, in its place")
        for columns in (20, 30, 200, 40):
            resize(24, columns)
            p.send_signal(signal.SIGWINCH)
            out[0] = ""
            read_until(r"\x1b\[H\x1b\[2J(?s:.*)broken/0[^\n]*\n", "the drawing after the resize")
            block = bare(out[0].split("\x1b[2J")[-1]).splitlines()
            self.assertLessEqual(max(map(len, block)), columns)
            self.assertEqual(len(block), 7, block)
        resize(5, 80)
        p.send_signal(signal.SIGWINCH)
        out[0] = ""
        read_until(r"\.\.\. 4 more lines", "fewer lines than services")
        os.kill(self.daemon.pid, signal.SIGKILL)
        self.daemon.wait(DEADLINE)
        read_until(r"the daemon does not answer", "the notice")
        self.assertIsNone(p.poll())
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(DEADLINE), 130)

    def test_interrupt(self):
        p = subprocess.Popen([AICTL, "start", "slow"], stderr=subprocess.PIPE, env=self.env)
        self.addCleanup(self.end, p)
        with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
            status = f.name
        until(lambda: self.catches(status, signal.SIGINT), "the command to wait")
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(DEADLINE), 130)
        self.assertIn(b"the change goes on", p.stderr.read())

    def catches(self, status, number):
        with open(status, encoding="ascii") as f:
            caught = int(re.search(r"SigCgt:\s*(\w+)", f.read()).group(1), 16)
        return caught >> (number - 1) & 1


class LogFiles(Case):
    """Segments as aictl-logger writes them, read by aictl itself."""

    INCARNATION = "019b00000000" + "ab" * 10

    def segment(self, service, index, chunks):
        base = os.path.join(self.dir, "log", service, str(index), self.INCARNATION + "-000001")
        os.makedirs(os.path.dirname(base))
        data, entries = b"", b""
        chunks = [(ms + int(self.INCARNATION[:12], 16), stream, text) for ms, stream, text in chunks]
        for ms, stream, text in chunks:
            entries += struct.pack("<QIIq", len(data), len(text), stream, ms)
            data += text
        entries += struct.pack("<QIIq", len(data), 0, 0, chunks[-1][0])
        # in the logger's order: index, log, bytes, entries
        header = struct.pack("<8sII32sqII", b"AICTLIDX", 1, 24, self.INCARNATION.encode(), chunks[0][0], 1, 0)
        with open(base + ".idx", "wb", buffering=0) as idx, open(base + ".log", "wb", buffering=0) as log:
            idx.write(header)
            log.write(data)
            idx.write(entries)

    def setUp(self):
        super().setUp()
        os.environ["FAKE_LOG_DIR"] = os.path.join(self.dir, "log")
        self.addCleanup(os.environ.pop, "FAKE_LOG_DIR")
        self.segment("sentiment", 0, [(1000, 1, b"one\ntw"), (1200, 1, b"o\n"), (5000, 2, b"late, no newline")])
        self.segment("sentiment", 1, [(1100, 1, b"between\n")])
        self.segment("chat", 0, [(1150, 1, b"other \xff service\n")])
        self.start_daemon()

    def test_merged(self):
        self.assertEqual(self.check(0, "logs", "sentiment").stdout,
                         "sentiment/0 | one\nsentiment/0 | two\nsentiment/1 | between\n"
                         "sentiment/0 | late, no newline\n")
        self.assertEqual(self.check(0, "logs", "-n", "1", "sentiment/0").stdout, "sentiment/0 | late, no newline\n")
        r = subprocess.run([AICTL, "logs", "-o", "raw", "chat", "sentiment/1"], env=self.env, capture_output=True,
                           timeout=DEADLINE)
        self.assertEqual(r.stdout, b"between\nother \xff service\n")
        stderr = json.loads(self.check(0, "logs", "-o", "json", "sentiment").stdout.splitlines()[-1])
        self.assertEqual((stderr["stream"], stderr["line"]), ("stderr", "late, no newline"))

    def test_follow(self):
        p = subprocess.Popen([AICTL, "logs", "-f", "chat"], env=self.env, stdout=subprocess.PIPE)
        self.addCleanup(self.end, p)
        self.assertTrue(select.select([p.stdout], [], [], DEADLINE)[0], "no old line came")
        self.assertEqual(p.stdout.readline(), b"chat/0 | other \xff service\n")
        now = int(time.time() * 1000)
        self.INCARNATION = f"{now:012x}" + "cd" * 10
        self.segment("chat", 1, [(0, 1, b"new\n")])
        self.assertTrue(select.select([p.stdout], [], [], DEADLINE)[0], "no line came")
        self.assertEqual(p.stdout.readline(), b"chat/1 | new\n")
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(DEADLINE), 130)


class Up(Case):
    """aictl beside an "aictld" that is the stand-in."""

    def setUp(self):
        super().setUp()
        self.program = shutil.copy(AICTL, os.path.join(self.dir, "aictl"))
        path = self.write("aictld", "#!/bin/sh\necho \"$@\" > \"$HOME/argv\"\n"
                          "while [ $# -gt 0 ]; do [ \"$1\" = --runtime-dir ] && dir=$2; shift; done\n"
                          f"[ -e \"$HOME/fail\" ] && {{ echo no luck; exit 3; }}\n"
                          f"mkdir -p \"$dir\"; exec {FAKE} \"$dir/aictl.sock\" 9\n")
        os.chmod(path, 0o755)
        self.write("aictl.yaml", GOOD)
        self.addCleanup(self.remove_dirs)

    def remove_dirs(self):
        """What `up` names after the directory's inode lies elsewhere when we are root."""
        try:
            with open(os.path.join(self.dir, "argv"), encoding="utf-8") as f:
                words = f.read().split()
        except FileNotFoundError:
            return
        for option in ("--runtime-dir", "--state-dir", "--log-dir"):
            shutil.rmtree(words[words.index(option) + 1], ignore_errors=True)

    def start(self):
        p = subprocess.Popen([self.program, "up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env,
                             cwd=self.dir, text=True)
        self.addCleanup(self.end, p)
        lines = []
        while not lines or "starting 1 service" not in lines[-1]:
            self.assertTrue(select.select([p.stdout], [], [], DEADLINE)[0], lines)
            lines.append(p.stdout.readline())
            self.assertTrue(lines[-1], lines)
        until(lambda: self.run_cli("ps", program=self.program).returncode == 0, "the daemon of up")
        return p

    def test_interrupt(self):
        p = self.start()
        with open(os.path.join(self.dir, "argv"), encoding="utf-8") as f:
            argv = f.read()
        for word in ("--inherit-env", "--parent-fd 9", "--state-dir", "--log-dir"):
            self.assertIn(word, argv)
        self.assertEqual("--default-user root" in argv, os.geteuid() == 0)
        second = self.run_cli("up", program=self.program)
        self.assertEqual(second.returncode, 8, second.stderr)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=DEADLINE)
        self.assertEqual(p.returncode, 0, out + err)
        self.assertIn("shop: stopping (Ctrl-C again kills)", out)
        self.assertIn("shop: stopped", out)

    def test_down(self):
        p = self.start()
        down = self.run_cli("down", program=self.program)
        self.assertEqual(down.returncode, 0, down.stderr)
        out, err = p.communicate(timeout=DEADLINE)
        self.assertEqual(p.returncode, 0, out + err)

    def test_killed(self):
        p = self.start()
        p.kill()  # the daemon sees the end of its pipe
        p.wait(DEADLINE)
        until(lambda: self.run_cli("ps", program=self.program).returncode == 6, "the daemon's end")

    def test_daemon_that_fails(self):
        self.write("fail", "")
        r = self.run_cli("up", program=self.program)
        self.assertEqual(r.returncode, 1)
        self.assertIn("aictld did not start (exit code 3)", r.stderr)
        self.assertIn("no luck", r.stderr)

    def test_down_of_a_set(self):
        self.start_daemon()
        r = self.check(0, "down")
        self.assertEqual(r.stdout, "sentiment  removed\nchat       removed\nold        removed\n")


if __name__ == "__main__":
    if not os.access(AICTL, os.X_OK):
        print("no aictl in the current directory: run in the build directory")
        sys.exit(77)
    unittest.main()
