"""`aictl logs` for people: lines that are JSON, and lines that belong together.

SPDX-License-Identifier: MIT
"""
import json
import os
import pty

import procfs
from harness import wait_for

JSON_LINE = '{"level":"warning","ts":1,"event":"slow request","ms":120,"exc_info":"Traceback:\\n  x"}'


def test_json_lines(daemon):
    daemon.apply({"talk": daemon.shell(f"printf '%s\\n' '{JSON_LINE}' '{{\"a\": 1}}'; exec sleep 1000")})
    wait_for(lambda: len(daemon.logged("talk")) == 2, what=lambda: daemon.logged("talk"))
    assert daemon.ok("logs", "talk") == (
        "talk/0 | WARNING slow request ms=120\ntalk/0 | Traceback:\ntalk/0 |   x\ntalk/0 | {\"a\": 1}\n")
    as_written = f"{JSON_LINE}\n{{\"a\": 1}}\n"
    assert daemon.ok("logs", "--no-parse", "--no-prefix", "talk") == as_written
    assert daemon.ok("logs", "-o", "raw", "talk") == as_written
    lines = [json.loads(line)["line"] for line in daemon.ok("logs", "-o", "json", "talk").splitlines()]
    assert "".join(f"{line}\n" for line in lines) == as_written


FAILS = """i=0; while [ $i -lt 20 ]; do
echo 'Traceback (most recent call last):' >&2; sleep 0.01; echo '  File "x.py", line 1' >&2; sleep 0.01
echo 'ValueError: no' >&2; echo after >&2; i=$((i+1)); done; exec sleep 1000"""


def test_tracebacks_stay_together(daemon):
    """Those of several replicas and services, each with pauses in it, in which others write."""
    daemon.apply({"one": daemon.shell(FAILS, replicas=2), "two": daemon.shell(FAILS)})
    for service, n in (("one", 160), ("two", 80)):
        wait_for(lambda s=service, k=n: len(daemon.logged(s)) == k, what=lambda s=service: len(daemon.logged(s)))
    lines = [line.split(" | ", 1) for line in daemon.ok("logs", "one", "two").splitlines()]
    assert len(lines) == 240
    heads = [i for i, (_, text) in enumerate(lines) if text.startswith("Traceback")]
    assert len(heads) == 60
    for i in heads:
        assert [text[:6] for _, text in lines[i:i + 3]] == ["Traceb", "  File", "ValueE"], lines[i:i + 3]
        assert len({name for name, _ in lines[i:i + 3]}) == 1, lines[i:i + 3]


def on_terminal(daemon, *args):
    """What the command writes to a terminal."""
    master, slave = pty.openpty()
    done = procfs.popen(daemon.cli_argv(*args), stdin=slave, stdout=slave, stderr=slave, cwd=daemon.base,
                        env={**daemon.env, "AICTL_SOCKET": daemon.socket, "TERM": "xterm"})
    os.close(slave)
    data = b""
    try:
        while chunk := os.read(master, 65536):
            data += chunk
    except OSError:  # EIO: nobody has it any more
        pass
    finally:
        os.close(master)
    assert done.wait(10) == 0
    return data


def test_a_terminal_is_not_at_the_mercy_of_services(daemon):
    daemon.apply({"talk": daemon.shell(r"printf '\033]52;c;ZXZpbA==\007\033[31mred\n\r 1%%\r 2%%\n'; exec sleep 1000")})
    wait_for(lambda: len(daemon.logged("talk")) == 2, what=lambda: daemon.logged("talk"))
    shown = on_terminal(daemon, "logs", "talk")
    assert b"^[]52;c;ZXZpbA==^G\033[31mred\033[0m\r\n" in shown, shown
    assert shown.endswith(b" 2%\r\n") and b"1%" not in shown, shown
    as_written = b"\033]52;c;ZXZpbA==\007\033[31mred\n\r 1%\r 2%\n"
    assert on_terminal(daemon, "logs", "-o", "raw", "talk") == as_written.replace(b"\n", b"\r\n")
    assert daemon.ok("logs", "--no-prefix", "talk").encode() == as_written.replace(b"\r", b"\n")  # text mode reads \r so
