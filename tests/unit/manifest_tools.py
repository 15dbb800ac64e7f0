#!/usr/bin/python3
"""What needs no daemon: the JSON Schemas, explain, init, config, graph -f, validate, and the words
that completion offers.

Runs in the build directory. The schemas are tried with Debian's python3-jsonschema and python3-yaml
on the examples and on the corpus of tests/fuzz/seeds/manifest.

SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import jsonschema
    import yaml
except ImportError:
    jsonschema = yaml = None

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
AICTL = os.path.join(os.getcwd(), "aictl")
SEEDS = os.path.join(TOP, "tests/fuzz/seeds/manifest")
DEADLINE = 30

# Malformed files that a schema accepts, and why it has to. A file that is refused after all fails
# the test as one that is missing here does.
NOTATION = "the reader of YAML has decided already: the schema sees values, not how they are written"
DUPLICATE = "of two equal keys the reader keeps one"
BETWEEN = "two keys that do not go together: a schema sees them one at a time"
RANGE = "a range of durations or sizes: a pattern cannot count"
ACCEPTED = {
    "backoff-initial-above-default": BETWEEN,
    "backoff-max-below": BETWEEN,
    "byte-order-mark": NOTATION,
    "duplicate-key": DUPLICATE,
    "duplicate-key-quoted": DUPLICATE,
    "duplicate-service": DUPLICATE,
    "duplicate-top": DUPLICATE,
    "expand-no-port": BETWEEN,
    "expand-port-name": BETWEEN,
    "expand-secret": BETWEEN,
    "expand-secret-near": BETWEEN,
    "logs-size-huge": RANGE,
    "merge-cycle": NOTATION,
    "port-twice": BETWEEN,
    "ports-and-port": BETWEEN,
    "ports-same-number": BETWEEN,
    "ports-taken": BETWEEN,
    "probe-no-main-port": BETWEEN,
    "probe-no-port": BETWEEN,
    "probe-port-name-alone": BETWEEN,
    "probe-stall": RANGE,
    "replicas-hex": NOTATION,
    "replicas-octal": NOTATION,
    "restart-bare-no": NOTATION,
    "restart-policy-bare-no": NOTATION,
    "restart-success-and-fail": BETWEEN,
    "stop-drain-range": RANGE,
    "stop-grace-range": RANGE,
    "tag": NOTATION,
    "two-merge-keys": NOTATION,
    "ulimits-soft-above-hard": BETWEEN,
    "umask-octal-digit": NOTATION,
    "umask-values": NOTATION,
    "version-float": NOTATION,
}


def core_loader():
    """Scalars as YAML 1.2 and the editors' language server read them: `no` is a text."""
    class Core(yaml.SafeLoader):
        pass

    def whole(loader, node):
        text = loader.construct_scalar(node)
        digits = text.lstrip("+-")
        base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
        return int(digits if base == 10 else digits[2:], base) * (-1 if text[0] == "-" else 1)

    Core.yaml_implicit_resolvers = {}
    number = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    for tag, pattern, first in (
            ("bool", r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
            ("int", r"^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
            ("float", rf"^({number}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$", "-+.0123456789"),
            ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]), ("merge", "^<<$", "<")):
        Core.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile(pattern), list(first))
    Core.add_constructor("tag:yaml.org,2002:int", whole)
    return Core


def read_yaml(path):
    with open(path, encoding="utf-8") as f:
        return yaml.load(f, core_loader())


def run(*args, stdin="", cwd=None, **env):
    return subprocess.run([AICTL, *args], input=stdin, capture_output=True, text=True, check=False, timeout=DEADLINE,
                          cwd=cwd, env={**os.environ, "LC_ALL": "C.UTF-8", "AICTL_SOCKET": "/nonexistent", **env})


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="aictl-tools-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def ok(self, *args, code=0, **more):
        r = run(*args, **{"cwd": self.dir, **more})
        self.assertEqual(r.returncode, code, f"aictl {args}\n{r.stdout}\n{r.stderr}")
        return r

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path


class Committed(Case):
    """The files in the tree are what the program prints."""

    def check_file(self, option, name):
        with open(os.path.join(TOP, "schema", name), encoding="utf-8") as f:
            self.assertEqual(f.read(), self.ok("explain", option).stdout, f"make schema/{name} again: schema/manifest.am")

    def test_manifest(self):
        self.check_file("--schema", "aictl-manifest.schema.json")

    def test_overlay(self):
        self.check_file("--overlay-schema", "aictl-overlay.schema.json")


class SchemaCase(Case):
    def setUp(self):
        super().setUp()
        self.assertIsNotNone(jsonschema, "python3-jsonschema and python3-yaml are missing: run scripts/deps")
        self.schema = json.loads(self.ok("explain", "--schema").stdout)
        self.validator = jsonschema.Draft7Validator(self.schema)

    def wrong(self, document, validator=None):
        return [f"{list(e.absolute_path)}: {e.message[:200]}" for e in (validator or self.validator).iter_errors(document)]


class Schema(SchemaCase):
    def overlay(self):
        return jsonschema.Draft7Validator(json.loads(self.ok("explain", "--overlay-schema").stdout))

    def test_is_a_schema(self):
        jsonschema.Draft7Validator.check_schema(self.schema)
        jsonschema.Draft7Validator.check_schema(self.overlay().schema)

    def test_every_good_file(self):
        files = glob.glob(TOP + "/examples/*/aictl.yaml") + glob.glob(SEEDS + "/good/*.yaml")
        self.assertGreater(len(files), 6)
        for path in files:
            with self.subTest(path):
                self.assertEqual(self.wrong(read_yaml(path)), [])
                self.assertEqual(self.wrong(read_yaml(path), self.overlay()), [])

    def test_examples_name_the_schema(self):
        for path in glob.glob(TOP + "/examples/*/aictl.yaml"):
            with open(path, encoding="utf-8") as f:
                found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", f.read())
            self.assertTrue(found, path)
            self.assertTrue(os.path.exists(os.path.join(os.path.dirname(path), found[1])), path)

    def test_every_malformed_file(self):
        accepted = set()
        for path in glob.glob(SEEDS + "/bad/*.yaml"):
            try:
                document = read_yaml(path)
            except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
                continue  # no reader gets as far as the schema
            if not self.wrong(document):
                accepted.add(os.path.basename(path)[:-len(".yaml")])
        self.assertEqual(accepted, set(ACCEPTED))

    def test_null(self):
        base = {"version": 1, "services": {"a": {"command": ["x"], "replicas": None}}}
        self.assertNotEqual(self.wrong(base), [])
        self.assertEqual(self.wrong({"services": {"a": {"replicas": None, "stop": None, "command": None}, "b": None}},
                                    self.overlay()), [])
        self.assertNotEqual(self.wrong({"services": {"a": {"replicsa": None}}}, self.overlay()), [])

    def test_defaults_may_complete(self):
        service = {"probes": {"readiness": {"period": "5s"}}}
        document = {"version": 1, "services": {"a": service}}
        self.assertNotEqual(self.wrong(document), [])
        document["defaults"] = {"command": ["x"], "port": 1, "probes": {"readiness": {"http": {}}}}
        self.assertEqual(self.wrong(document), [])
        self.assertEqual(self.ok("validate", "-f", "-", stdin=json.dumps(document)).returncode, 0)

    def test_agrees_with_the_decoder(self):
        """A value for a key: schema and program say the same, but for numbers and booleans where a text is meant: the
        program takes them for the text that they are written as, editors rather warn."""
        texts = ["", "a", "A", "a-b", "-a", "a-", "a.b", "a_b", "1", "0", "root", "a b", "a:b", "/", "/x y", "/x?y=1", "x/y",
                 "127.0.0.1", "::1", "1.2.3", "localhost", "0.0.0.0", "x" * 63, "x" * 64, "PORT", "AICTL_X", "PORT_X", "9a",
                 "e.org/team", "/team", "team/", ".x", "10s", "1m30s", "1.5m", "10", "1x", "64KiB", "1GB", "unlimited", "5:7",
                 "5:unlimited", "x:5", "SIGTERM", "term", "Hup", "SIGFOO", "022", "0777", "22", "08", "http", "tcp", "no",
                 "always", "Always", "${PORT}", "${PORT_A}", "${env:X}", "$${x", "$x", "${x", "${FOO}", "gr\u00fc\u00df", "a\nb"]
        numbers = [0, 1, -1, 5, 255, 256, 65535, 65536, 1000, 100000, 2000, 19, 20]
        values = texts + numbers + [1.5, True, [], {}, ["x"], [1], {"a": "x"}, None]
        between = re.compile("is shorter than|is taken|no port|not in .*\\.\\.|no such (port|secret)|among success|given, too|"
                             "cannot read|No such file")
        tried, wrong, known = 0, [], set()
        for path in [r["path"] for r in json.loads(self.ok("explain", "-o", "json").stdout)["keys"]]:
            parts = path.split(".")[2:]
            if not path.startswith("services.") or not parts or parts[-1] == "*":
                continue
            shape = self.shape(parts)
            if shape in known:  # as good as one that was tried
                continue
            known.add(shape)
            for value in values if "pattern" in shape else values[:10] + values[len(texts):]:
                document = document_with(parts, value)
                schema = self.wrong(document)
                r = run("validate", "-f", "-", "-o", "json", stdin=json.dumps(document), cwd=self.dir)
                errors = [e["message"] for e in json.loads(r.stdout)["errors"]]
                tried += 1
                if not schema and any(not between.search(e) for e in errors) and not notation(value, errors, parts):
                    wrong.append(f"{path}: {value!r}: the schema accepts it, aictl says {errors}")
                elif schema and not errors and isinstance(value, (str, list, dict)):
                    wrong.append(f"{path}: {value!r}: aictl accepts it, the schema says {schema}")
        self.assertEqual(wrong, [])
        self.assertGreater(tried, 500)

    def shape(self, parts):
        """The schema of a key, without what is said about it."""
        at = self.schema["definitions"]["service"]
        for part in parts:
            at = at["anyOf"][0] if "anyOf" in at else at
            at = at["items"] if "items" in at else at["additionalProperties"] if part == "*" else at["properties"][part]
        return json.dumps({k: v for k, v in at.items() if k not in ("description", "default")})


def notation(value, errors, parts):
    """What is lost in JSON: whether a text stands in quotes, and the leading 0 of 022."""
    return any("quotes" in e for e in errors) or (parts == ["umask"] and isinstance(value, int))


def document_with(parts, value):
    """A manifest whose one service has the key, and what has to stand beside it."""
    service = {"command": ["x"], "ports": {"http": {"port": 8000}, "a": {}}}
    names = {"secrets": "token", "ports": "http"}
    at = service
    for i, part in enumerate(parts[:-1]):
        if part == "*":
            part = names[parts[i - 1]]
        if parts[i + 1] == "*" and parts[i] == "rules":
            at["rules"] = [{"exit": [7], "then": "fail"}]
            at = at["rules"][0]
            break
        at = at.setdefault(part, {})
        if part in ("startup", "readiness", "liveness") and parts[-1] not in ("http", "tcp", "exec"):
            at[parts[i + 1] if parts[i + 1] in ("http", "tcp", "exec") else "http"] = {}
            if parts[i + 1] == "exec":
                at["exec"] = {"command": ["x"]}
    if parts[-1] == "port" and len(parts) == 1:
        del service["ports"]
    if parts[:2] == ["secrets", "*"]:
        service["secrets"] = {"token": {}}
        at = service["secrets"]["token"]
    at[parts[-1]] = value
    return {"version": 1, "name": "t", "services": {"s": service}}


if __name__ == "__main__":
    if not os.access(AICTL, os.X_OK):
        print("no aictl in the current directory: run in the build directory")
        sys.exit(77)
    unittest.main()
