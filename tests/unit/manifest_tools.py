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
sys.path.insert(0, HERE)
import on_pty  # noqa: E402

TOP = os.path.dirname(os.path.dirname(HERE))
AICTL = os.path.join(os.getcwd(), "aictl")
SEEDS = os.path.join(TOP, "tests/fuzz/seeds/manifest")
DEADLINE = 30
MISSING = "python3-jsonschema or python3-yaml is not installed"
BATCH = 8  # values tried at once: aictl reports up to 20 errors

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
    "container-network": BETWEEN,
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
    "ports-many-and-port": BETWEEN,
    "ports-same-number": BETWEEN,
    "ports-taken": BETWEEN,
    "probe-no-main-port": BETWEEN,
    "probe-no-port": BETWEEN,
    "probe-port-name-alone": BETWEEN,
    "probe-stall": RANGE,
    "probe-two-by-defaults": BETWEEN,
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
    "user": BETWEEN,
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


def on_terminal(columns, *args):
    """What it prints on a terminal of that width, without colours."""
    env = {**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": ""}
    return on_pty.run([AICTL, *args], columns, DEADLINE, env=env).decode()


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
        if jsonschema is None:
            self.skipTest(MISSING)
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
        files = [p for where in (TOP + "/examples/*/aictl", SEEDS + "/good/*", SEEDS + "/warn/*") for p in glob.glob(where + ".yaml")]
        self.assertGreater(len(files), 6)
        for path in files:
            with self.subTest(path):
                self.assertEqual(self.wrong(read_yaml(path)), [])
                self.assertEqual(self.wrong(read_yaml(path), self.overlay()), [])
        overlays = glob.glob(TOP + "/examples/*/prod.yaml")
        self.assertGreater(len(overlays), 0)
        for path in overlays:
            with self.subTest(path):
                self.assertEqual(self.wrong(read_yaml(path), self.overlay()), [])

    def test_random_good_files(self):
        """Those that test_manifest_write makes of the rows."""
        program = os.path.join(os.getcwd(), "tests/unit/test_manifest_write")
        if not os.access(program, os.X_OK):
            self.skipTest("test_manifest_write is not built")
        subprocess.run([program], check=True, capture_output=True, timeout=300,
                       env={**os.environ, "AICTL_DUMP_DIR": self.dir, "srcdir": TOP})
        files = glob.glob(self.dir + "/*.yaml")
        self.assertEqual(len(files), 200)
        for path in files:
            self.assertEqual(self.wrong(read_yaml(path)), [], path)

    def test_examples_name_the_schema(self):
        for path in glob.glob(TOP + "/examples/*/*.yaml"):
            with open(path, encoding="utf-8") as f:
                found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", f.read())
            self.assertTrue(found, path)
            self.assertTrue(os.path.exists(os.path.join(os.path.dirname(path), found[1])), path)

    def test_every_malformed_file(self):
        accepted = set()
        for path in glob.glob(SEEDS + "/bad/*.yaml"):
            try:
                wrong = self.wrong(read_yaml(path))
            except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
                continue  # no reader gets as far as the schema, or to the end of it
            if not wrong:
                accepted.add(os.path.basename(path)[:-len(".yaml")])
        self.assertEqual(accepted, set(ACCEPTED))

    def test_null(self):
        base = {"version": 1, "services": {"a": {"command": ["x"], "replicas": None}}}
        self.assertNotEqual(self.wrong(base), [])
        base["defaults"] = {"replicas": 2}
        self.assertEqual(self.wrong(base), [])
        self.ok("validate", "-f", "-", stdin=json.dumps(base))
        self.assertNotEqual(self.wrong({**base, "defaults": {"replicas": None}}), [])
        self.assertEqual(self.wrong({"version": 1, "services": {"a": {"replicas": None, "stop": None, "command": None}, "b": None}},
                                    self.overlay()), [])
        self.assertNotEqual(self.wrong({"version": 1, "services": {"a": {"replicsa": None}}}, self.overlay()), [])

    def test_null_in_an_answer(self):
        """What is expected of an answer may be null; the keys around it may not."""
        service = {"command": ["x"], "port": 1, "probes": {"readiness": {"http": {"expect": {"json": {"error": None}}}}}}
        document = {"version": 1, "services": {"a": service}}
        self.assertEqual(self.wrong(document), [])
        self.ok("validate", "-f", "-", stdin=json.dumps(document))
        for expect in ({"json": None}, {"status": None}, {"status": [None]}, None):
            service["probes"]["readiness"]["http"]["expect"] = expect
            self.assertNotEqual(self.wrong(document), [], expect)
            self.ok("validate", "-f", "-", stdin=json.dumps(document), code=9)

    def test_defaults_may_complete(self):
        service = {"probes": {"readiness": {"period": "5s"}}}
        document = {"version": 1, "services": {"a": service}}
        self.assertNotEqual(self.wrong(document), [])
        document["defaults"] = {"command": ["x"], "port": 1, "probes": {"readiness": {"http": {}}}}
        self.assertEqual(self.wrong(document), [])
        self.assertEqual(self.ok("validate", "-f", "-", stdin=json.dumps(document)).returncode, 0)

    def test_names_in_maps(self):
        for key, value, good, bad in (
                ("environment", "x", ["A", "_a9", "PORTS", "PORT_RANGE", "A-B", "a.b"], ["PORT", "AICTL_X", "9A", "-A", "A B", ""]),
                ("secrets", {"env": "HOME"}, ["a", "_", "x" * 63], ["x" * 64, ".a", "-a", "a/b", ""]),
                ("labels", "x", ["a", "e.org/a", "x" * 63], ["x" * 64, "-a", "a-", "/a", "a/b/c", ""]),
                ("ports", {}, ["a", "9a", "x" * 63], ["9", "A", "a-", "x" * 64, ""])):
            for name in good + bad:
                document = {"version": 1, "services": {"s": {"command": ["x"], key: {name: value}}}}
                done = run("validate", "-f", "-", stdin=json.dumps(document), cwd=self.dir)
                self.assertEqual(done.returncode, 0 if name in good else 9, (key, name, done.stderr))
                self.assertEqual(self.wrong(document) == [], name in good, (key, name))

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
                             "cannot read|No such file|a range needs max|is above max|stable port of mode|than window|"
                             "prometheus needs|share of resources|last share|each share|autoscale.schedule: cron|"
                             "source is missing|not a volume's name|a tmpfs has|only a tmpfs|with network: |as only containers")
        tried, wrong, known = 0, [], set()
        for row in json.loads(self.ok("explain", "-o", "json").stdout)["keys"]:
            path, self.container = row["path"], row["only"] == "container"
            parts = path.split(".")[2:]
            if not path.startswith("services.") or not parts or parts[-1] == "*":
                continue
            shape = self.shape(parts)
            if shape in known:  # as good as one that was tried
                continue
            known.add(shape)
            some = values if "pattern" in shape else values[:10] + values[len(texts):]
            for i in range(0, len(some), BATCH):
                for value, errors in self.judge(parts, some[i:i + BATCH]):
                    schema = self.wrong(manifest_of([service_with(parts, value, self.container)]))
                    tried += 1
                    if not schema and any(not between.search(e) for e in errors) and not notation(value, errors, parts):
                        wrong.append(f"{path}: {value!r}: the schema accepts it, aictl says {errors}")
                    elif schema and not errors and isinstance(value, (str, list, dict)):
                        wrong.append(f"{path}: {value!r}: aictl accepts it, the schema says {schema}")
        self.assertEqual(wrong, [])
        self.assertGreater(tried, 500)

    def judge(self, parts, values):
        """Pairs of a value and what aictl says about it: one service a line of one manifest, for speed."""
        services = [json.dumps(service_with(parts, value, self.container)) for value in values]
        text = "{version: 1, name: t, services: {\n" + ",\n".join(f"s{i}: {s}" for i, s in enumerate(services)) + "}}\n"
        report = json.loads(run("validate", "-f", "-", "-o", "json", stdin=text, cwd=self.dir).stdout)
        if report["more_errors"]:
            self.assertGreater(len(values), 1)
            return self.judge(parts, values[:1]) + self.judge(parts, values[1:])
        return [(value, [e["message"] for e in report["errors"] if e["line"] == i + 2]) for i, value in enumerate(values)]

    def shape(self, parts):
        """The schema of a key, without what is said about it."""
        at = self.schema["definitions"]["service"]
        for part in parts:
            at = ([a for a in at["anyOf"] if a.get("type") != "string"] or at["anyOf"])[0] if "anyOf" in at else at
            if "items" in at:
                at = at["items"]
                continue
            at = at["additionalProperties"] if part == "*" else at["properties"][part]
        return json.dumps({k: v for k, v in at.items() if k not in ("description", "default")})


class Explain(SchemaCase):
    def keys(self, *key):
        return json.loads(self.ok("explain", *key, "-o", "json").stdout)["keys"]

    def test_every_key(self):
        """Each has a page of its own, and an example that is a valid manifest."""
        self.write("app.py", "")
        self.write(".env", "A=b\n")
        home = os.path.join(self.dir, ".secrets")
        os.mkdir(home)
        self.write(".secrets/hf", "secret")
        env = {"HOME": self.dir, "HF_TOKEN": "x"}
        rows = self.keys()
        self.assertGreater(len(rows), 90)
        services, top = "", [f"version: 1\nservices: {{ chat: {{ command: [x] }} }}\n{r['example']}\n" for r in rows
                             if not r["path"].startswith(("services", "version"))]
        for i, row in enumerate(rows):
            page = self.ok("explain", row["path"]).stdout
            self.assertIn(row["doc"], page)
            self.assertTrue(page.startswith(f"{row['key']}: {row['type']}\n"), page)
            example = row["example"].replace("8000", str(8000 + i))
            if not row["path"].startswith("services.*."):
                top += ["version: 1\nservices:\n  " + example + "\n"] if row["path"] == "services.*" else []
                top += ["version: 1\n" + example + "\n"] if row["path"] == "services" else []
                continue
            services += f"  s{i}: # {row['path']}\n    {example}\n"
            services += "    type: task\n" if row["path"].startswith("services.*.schedule") else ""
            services += "    image: x\n" if row["only"] == "container" else ""
            services += "    command: [x]\n" if not example.startswith("command:") else ""
            services += f"    port: {8000 + i}\n" if not example.startswith(("port:", "ports:")) else ""
        for text in top + ["version: 1\nservices:\n" + services]:
            path = self.write("t.yaml", text)
            self.ok("validate", "-f", path, **env)
            self.assertEqual(self.wrong(read_yaml(path)), [], text)

    def test_names(self):
        for name, path in (("restart.backoff", "services.*.restart.backoff"), ("version", "version"),
                           ("services.chat.restart.policy", "services.*.restart.policy"), ("services", "services"),
                           ("services.chat", "services.*"), ("environment.MODEL", "services.*.environment"),
                           ("ports.http.listen", "services.*.ports.*.listen"), ("backoff.initial", "services.*.restart.backoff.initial"),
                           ("restart.rules.*.exit", "services.*.restart.rules.*.exit"), ("x-anything.at.all", "x-*"),
                           # as errors name them
                           ("restart.rules[0].exit[1]", "services.*.restart.rules.*.exit"), ("command[0]", "services.*.command"),
                           ("restart.rules[12]", "services.*.restart.rules.*"),
                           ("defaults.restart.policy", "services.*.restart.policy"), ("grace_period", "services.*.stop.grace_period")):
            self.assertEqual(self.keys(name)[0]["path"], path, name)

    def test_misspelt(self):
        for name, hint in (("restart.backof", "restart.backoff?"), ("restrat", "restart?"), ("namex", "name?"),
                           ("services.chat.commandd", "command?"), ("command[x]", "aictl explain"), ("probes.livenes.http", "probes.liveness?"),
                           ("period", "one of probes.startup.period, probes.readiness.period"), ("qqqqqq", "aictl explain")):
            self.assertIn(hint, self.ok("explain", name, code=4).stderr)
        self.ok("explain", "a", "b", code=2)
        self.ok("explain", "--schema", "command", code=2)
        self.ok("explain", "-o", "xml", code=2)

    def test_widths(self):
        """On a narrow terminal the meaning has the room; a pipe has no width."""
        lines = self.ok("explain").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["KEY", "TYPE", "WHAT"])
        self.assertGreater(max(map(len, lines)), 100)
        for columns in (40, 80, 200):
            lines = on_terminal(columns, "explain").splitlines()
            self.assertEqual(lines[0].split(), ["KEY", "TYPE", "WHAT"] if columns == 200 else ["KEY", "WHAT"])
            self.assertLessEqual(max(map(len, lines)), columns)

    def test_words(self):
        page = self.ok("explain", "stop.grace_period").stdout
        for line in ("  Default   30s\n", "  Range     0s to 1d\n", "  Change    a change takes effect without touching a process\n",
                     "  Example   stop: { grace_period: 30s }\n"):
            self.assertIn(line, page)
        self.assertIn("a change replaces the replicas", self.ok("explain", "command").stdout)
        self.assertIn("  Words     always, on-failure or never\n", self.ok("explain", "restart.policy").stdout)
        self.assertIn("grace_period  duration", self.ok("explain", "stop").stdout)
        self.assertEqual(self.ok("explain", "stop", "-o", "name").stdout.split(),
                         ["stop", "stop.signal", "stop.grace_period", "stop.drain"])
        self.assertIn("30s", self.ok("explain", "-o", "wide").stdout)
        self.assertEqual([k["key"] for k in yaml.safe_load(self.ok("explain", "stop", "-o", "yaml").stdout)["keys"]],
                         ["stop", "stop.signal", "stop.grace_period", "stop.drain"])


class Init(SchemaCase):
    def manifest(self):
        with open(os.path.join(self.dir, "aictl.yaml"), encoding="utf-8") as f:
            return f.read()

    def test_valid_as_written(self):
        r = self.ok("init", "--name", "shop")
        self.assertIn("aictl up", r.stdout)
        self.assertIn("aictl.yaml: 1 service, valid", self.ok("validate").stdout)
        self.assertTrue(self.manifest().startswith("# yaml-language-server: $schema=/"))
        self.assertIn("aictl-manifest.schema.json\n", self.manifest())
        self.assertEqual(self.wrong(read_yaml(os.path.join(self.dir, "aictl.yaml"))), [])

    def test_every_example_in_it(self):
        self.ok("init")
        text = self.manifest()
        self.write(".env", "A=b\n")
        keys = re.findall(r"^ *#([a-z_]+): ", text, re.M)
        self.assertGreater(len(keys), 15)
        for key in keys + ["[a-z_]+"]:  # each alone, then all of them
            with self.subTest(key):
                self.write("aictl.yaml", re.sub(rf"^( *)#({key}): ", r"\1\2: ", text, flags=re.M))
                self.ok("validate", API_TOKEN="x")
                self.assertEqual(self.wrong(read_yaml(os.path.join(self.dir, "aictl.yaml"))), [])
        # What a service can say is there, in one way or the other; the last file has it all.
        shown = set().union(*read_yaml(os.path.join(self.dir, "aictl.yaml"))["services"].values())
        known = [r["key"] for r in json.loads(self.ok("explain", "-o", "json").stdout)["keys"]
                 if r["path"].startswith("services.*.") and "." not in r["key"] and r["only"] != "container"]
        self.assertEqual([k for k in known if k not in shown], [])

    def test_keeps_what_is_there(self):
        for name in ("aictl.yaml", "aictl.yml"):
            path = self.write(name, "mine")
            self.assertIn("is there already", self.ok("init", code=8).stderr)
            with open(path, encoding="utf-8") as f:
                self.assertEqual(f.read(), "mine")
            os.unlink(path)
        self.write("aictl.yaml", "mine")
        self.ok("init", "--force")
        self.assertIn("version: 1", self.manifest())
        self.assertEqual(sorted(os.listdir(self.dir)), ["aictl.yaml"])

    def test_names_and_places(self):
        for directory, name in (("My Shop", "my-shop"), ("a/b--c", "b-c"), ("ä", "app"), ("-x-", "x")):
            self.ok("init", "--", directory)
            self.assertEqual(self.ok("config", "-f", os.path.join(self.dir, directory)).stdout.splitlines()[1], f"name: {name}")
        self.ok("init", "--name", "Bad Name", code=2)
        self.write("file", "")
        self.ok("init", "file", code=1)
        self.ok("init", "/proc/nowhere", code=1)


class Config(Case):
    BASE = ("version: 1\nname: shop\nservices:\n  chat:\n    command: [x, \"${PORT}\"]\n    port: 8000\n"
            "    environment: { A: \"1\", TOKEN: hunter2 }\n    stop: { grace_period: 90s }\n  old: { command: [y] }\n")
    OVER = "version: 1\nservices:\n  chat: { replicas: 3, environment: { A: null, B: no } }\n  old: null\n"

    def test_merged(self):
        base, over = self.write("a.yaml", self.BASE), self.write("b.yaml", self.OVER)
        r = self.ok("config", "-f", base, "-f", over)
        self.assertEqual(r.stdout, "version: 1\nname: shop\nservices:\n  chat:\n    command:\n      - x\n      - ${PORT}\n"
                         f"    working_dir: {self.dir}\n    environment:\n      B: \"***\"\n      TOKEN: \"***\"\n"
                         "    replicas: 3\n    ports:\n      http:\n        port: 8000\n    stop:\n      grace_period: 90s\n")
        self.assertNotIn("hunter2", r.stdout)
        again = self.ok("config", "-f", base, "-f", over, "--show-values").stdout
        self.assertIn("      B: \"no\"\n      TOKEN: hunter2\n", again)
        self.assertEqual(self.ok("config", "-f", "-", "--show-values", stdin=again).stdout, again)

    def test_formats(self):
        base = self.write("a.yaml", self.BASE)
        document = json.loads(self.ok("config", "-f", base, "-o", "json").stdout)
        self.assertEqual(document["services"]["chat"]["environment"], {"A": "***", "TOKEN": "***"})
        self.assertEqual(self.ok("config", "-f", base, "-o", "name").stdout, "chat\nold\n")
        self.assertIn("max_size: 20MiB", self.ok("config", "-f", base, "--defaults").stdout)
        self.ok("config", "-f", base, "-o", "table", code=2)
        self.ok("config", "-f", "-", stdin="version: 1\nservices: { a: {} }\n", code=9)

    def test_pipe(self):
        """What stands in no directory, <(...) for one, stands in the current one, as "-" does."""
        manifest = "version: 1\nservices: { a: { command: [x] } }\n"
        want = self.ok("config", "-f", "-", stdin=manifest).stdout
        self.assertIn(f"\n    working_dir: {self.dir}\n", want)
        for path in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
            self.assertEqual(self.ok("config", "-f", path, stdin=manifest).stdout, want, path)

    def test_secrets_and_files(self):
        self.write("token", "s3cret")
        self.write(".env", "FROM_FILE=v4lue\n")
        base = self.write("a.yaml", "version: 1\nservices:\n  a:\n    command: [x]\n    env_file: .env\n"
                          "    secrets: { t: { file: token } }\n")
        text = self.ok("config", "-f", base).stdout + self.ok("config", "-f", base, "-o", "json").stdout
        self.assertNotIn("s3cret", text)
        self.assertNotIn("v4lue", text)
        self.assertIn("FROM_FILE", text)
        self.assertNotIn("env_file", text)  # what it says stands in environment
        self.assertIn(f"        file: {self.dir}/token\n", text)
        self.assertNotIn("s3cret", self.ok("config", "-f", base, "--show-values", "--defaults").stdout)


class Validate(Case):
    GOOD = "version: 1\nname: shop\nservices: { a: { command: [/bin/sh] } }\n"

    def test_words(self):
        path = self.write("aictl.yaml", self.GOOD)
        self.assertEqual(self.ok("validate").stdout, "aictl.yaml: 1 service, valid\n")
        self.assertEqual(self.ok("validate", "-f", "-", stdin=self.GOOD).stdout, "<stdin>: 1 service, valid\n")
        self.assertEqual(self.ok("validate", "-f", path, "-f", self.write("b.yaml", "version: 1\nservices: { b: { command: [/bin/sh] } }\n"))
                         .stdout, f"{path}, {self.dir}/b.yaml: 2 services, valid\n")

    def test_what_the_machine_lacks(self):
        text = ("version: 1\nservices:\n  a:\n    command: [/no/such/program]\n    working_dir: /no/such/dir\n"
                "    user: no-such-user\n")
        path = self.write("aictl.yaml", text)
        r = self.ok("validate")
        self.assertEqual(r.stdout, "aictl.yaml: 1 service, valid, 3 warnings\n")
        self.assertEqual(r.stderr.count("warning:"), 3)
        self.assertIn("aictl.yaml:4:15: ", r.stderr)
        self.assertIn("--strict", self.ok("validate", "--strict", code=9).stderr)
        document = json.loads(self.ok("validate", "--strict", "-o", "json", code=9).stdout)
        self.assertEqual((document["valid"], document["errors"]), (False, []))
        self.assertEqual(sorted(e["line"] for e in document["warnings"]), [4, 5, 6])
        self.assertEqual({e["file"] for e in document["warnings"]}, {path})

    def test_errors_as_json(self):
        text = "version: 1\nservices:\n  a:\n    commandd: [x]\n    replicas: -1\n"
        document = json.loads(self.ok("validate", "-f", "-", "-o", "json", stdin=text, code=9).stdout)
        self.assertFalse(document["valid"])
        self.assertEqual([(e["code"], e["line"], e["column"]) for e in document["errors"]],
                         [("invalid", 4, 5), ("invalid", 5, 15)])
        self.assertEqual(document["errors"][0]["hint"], 'did you mean "command"?')
        r = self.ok("validate", "-f", "-", stdin=text, code=9)
        self.assertEqual((r.stdout, r.stderr.count("error:")), ("", 2))
        self.assertEqual(self.ok("validate", "-f", "-", "-o", "name", stdin=text, code=9).stdout, "")

    def test_good_as_json(self):
        self.write("aictl.yaml", self.GOOD)
        document = json.loads(self.ok("validate", "-o", "json").stdout)
        self.assertEqual(document, {"valid": True, "set": "shop", "services": [{"name": "a"}], "errors": [], "more_errors": False,
                                    "warnings": []})
        self.assertEqual(self.ok("validate", "-o", "name").stdout, "a\n")


class Graph(Case):
    def setUp(self):
        super().setUp()
        self.path = self.write("aictl.yaml", "version: 1\nname: shop\nservices:\n  a:\n    command: [x]\n    replicas: 2\n"
                               "    ports: { http: { port: 80 }, metrics: {} }\n    probes: { liveness: { tcp: {} } }\n"
                               "  b: { command: [y] }\n")

    def test_tree(self):
        self.assertEqual(self.ok("graph", "-f", self.path).stdout,
                         "shop\n├─ a  2 replicas\n│  ├─ port http 127.0.0.1:80\n│  ├─ port metrics (only replicas)\n"
                         "│  └─ probe liveness tcp\n└─ b  1 replica\n")
        self.assertEqual(self.ok("graph", "-f", self.path, LC_ALL="C").stdout,
                         "shop\n|- a  2 replicas\n|  |- port http 127.0.0.1:80\n|  |- port metrics (only replicas)\n"
                         "|  `- probe liveness tcp\n`- b  1 replica\n")

    def test_formats(self):
        document = json.loads(self.ok("graph", "-f", self.path, "-o", "json").stdout)
        self.assertEqual([s["name"] for s in document["services"]], ["a", "b"])
        self.assertEqual(self.ok("graph", "-f", self.path, "-o", "name").stdout, "a\nb\n")
        self.assertIn('"a" -> "a port http 127.0.0.1:80";', self.ok("graph", "-f", self.path, "-o", "dot").stdout)
        self.assertIn("a     port   metrics", self.ok("graph", "-f", self.path, "-o", "table").stdout)
        self.ok("graph", code=6)  # no daemon
        self.ok("graph", "-o", "svg", code=2)


class Complete(Case):
    """What the scripts are told; the shells themselves: tests/e2e/test_completion.py."""

    def words(self, *typed):
        r = self.ok("__complete", "--", *typed, code=None)
        self.assertEqual(r.stderr, "")
        return [line.split("\t")[0] for line in r.stdout.splitlines()]

    def ok(self, *args, code=0, **more):
        if code is not None:
            return super().ok(*args, code=code, **more)
        return run(*args, cwd=self.dir, **more)

    def test_every_command_and_option(self):
        verbs = self.words("")
        overview = re.findall(r"^  ([a-z-]+)  +\S", self.ok("help").stdout, re.M)
        self.assertGreater(len(overview), 15)
        self.assertEqual([v for v in overview if v not in verbs and v != "aictl"], [])
        for verb in verbs:
            shown = re.findall(r"^  (?:-.,|   ) (--[a-z-]+)", self.ok(verb, "--help").stdout, re.M)
            self.assertEqual(sorted(self.words(verb, "-")), sorted(shown), verb)

    def test_values(self):
        self.assertEqual(self.words("graph", "-o", "j"), ["json"])
        self.assertEqual(self.words("graph", "--output=j"), ["--output=json"])
        self.assertEqual(self.words("--socket", "/x", "graph", "--output", "do"), ["dot"])
        self.assertEqual(self.words("validate", "-f", ""), [":files"])
        self.assertEqual(self.words("validate", "--file=x"), [":files"])
        self.assertEqual(self.words("--socket", ""), [":files"])
        self.assertEqual(self.words("completion", ""), ["bash", "zsh", "fish"])
        self.assertEqual(self.words("help", "expl"), ["explain"])
        self.assertEqual(self.words("explain", "stop."), ["stop.signal", "stop.grace_period", "stop.drain"])
        self.assertEqual(self.words("wait", "--for", ""), ["ready", "stopped"])
        self.assertEqual(self.words("kill", "--signal", "SIGUSR"), ["SIGUSR1", "SIGUSR2"])
        self.assertEqual(self.words("daemon", "log-level", ""), ["error", "warn", "info", "debug"])
        self.assertEqual(self.words("daemon", "info", ""), [])
        self.assertEqual(self.words("rollout", ""), ["status", "undo", "pause", "resume", "promote", "abort", "history"])
        self.assertEqual(self.words("exec", "chat", ""), [])
        self.assertEqual(self.words("exec", "chat", "--", ""), [])
        self.assertEqual(self.words("nonsense", ""), [])
        self.assertEqual(self.words("restart", ""), [])  # no daemon: nothing, and nothing said
        self.assertEqual(self.words(), [])

    def test_scripts(self):
        for shell in ("bash", "zsh", "fish"):
            name = {"bash": "aictl.bash", "zsh": "_aictl", "fish": "aictl.fish"}[shell]
            with open(os.path.join(TOP, "packaging/completion", name), encoding="utf-8") as f:
                self.assertEqual(self.ok("completion", shell).stdout, f.read())
        self.ok("completion", "tcsh", code=2)
        self.ok("completion", code=2)


def notation(value, errors, parts):
    """What is lost in JSON: whether a text stands in quotes, and the leading 0 of 022."""
    return any("quotes" in e for e in errors) or (parts == ["umask"] and isinstance(value, int))


def manifest_of(services):
    return {"version": 1, "name": "t", "services": {f"s{i}": s for i, s in enumerate(services)}}


HOOKS = ("pre_start", "post_start", "pre_stop", "post_stop")


def service_with(parts, value, container=False):
    """A service that has the key, and what has to stand beside it."""
    service = {"command": ["x"], "ports": {"http": {}, "a": {}}, **({"image": "x"} if container else {})}
    names = {"secrets": "token", "ports": "http", "depends_on": "elsewhere"}
    step = {"exec": {"command": ["x"]}} if "exec" in parts else {"http": {"port": 1}}
    lists = {"rules": {"exit": [7], "then": "fail"}, "warmup": {"http": {"port": 1}},
             "volumes": {"type": "tmpfs" if parts[-1] == "size" else "volume", "target": "/t"}, "devices": {"source": "/dev/x"},
             "metrics": {"metric": "cpu"}, "schedule": {"cron": "@daily", "for": "1h"}, **dict.fromkeys(HOOKS, step)}
    at = service
    for i, part in enumerate(parts[:-1]):
        if part == "*" and parts[i - 1] in lists:
            at.append(lists[parts[i - 1]])
            at = at[0]
            continue
        if part == "*":
            part = names[parts[i - 1]]
        at = at.setdefault(part, [] if part in lists and parts[i + 1] == "*" else {})
        if part in ("startup", "readiness", "liveness") and parts[-1] not in ("http", "tcp", "exec"):
            at[parts[i + 1] if parts[i + 1] in ("http", "tcp", "exec") else "http"] = {}
            if parts[i + 1] == "exec":
                at["exec"] = {"command": ["x"]}
    if parts[-1] == "body":  # of a POST, which needs one
        at["method"] = "POST"
    if parts[:-1] == ["autoscale"] and parts[-1] not in ("metric", "metrics"):
        at["metric"] = "cpu"
    if parts[0] == "schedule":
        service["type"] = "task"
        if parts[-1] not in ("schedule", "cron", "every"):
            at["every"] = "1h"
    if parts[:-1] == ["reload"] and parts[-1] not in ("signal", "http"):
        at["signal"] = "SIGHUP"
    if parts[-1] == "port" and len(parts) == 1:
        del service["ports"]
    if parts[:2] == ["secrets", "*"]:
        service["secrets"] = {"token": {}}
        at = service["secrets"]["token"]
    at[parts[-1]] = value
    return service


if __name__ == "__main__":
    if not os.access(AICTL, os.X_OK):
        print("no aictl in the current directory: run in the build directory")
        sys.exit(77)
    done = unittest.main(exit=False).result
    if done.wasSuccessful() and done.skipped:
        print(done.skipped[0][1])
        sys.exit(77)
    sys.exit(not done.wasSuccessful())
