#!/usr/bin/python3
"""What `aictl import` makes of Compose projects of the kinds that people publish: import/NN-*/. Each
runs in a copy of its directory; the manifest is compared with golden.yaml there, what is said with
golden.txt, and `aictl validate` takes the manifest. A file `args` has arguments, `environment` the
shell's variables. Runs in the build directory.

`import_golden.py --update` writes the golden files anew: look at the difference.

SPDX-License-Identifier: MIT
"""
import difflib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import on_pty  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECTS = os.path.join(HERE, "import")
AICTL = os.path.join(os.getcwd(), "aictl")
DEADLINE = 20
WEB = "services: { web: { image: nginx } }\n"

# what is wrong -> the line and column it is said of, and a part of the message
ERRORS = {
    "services: [a": (1, 11, "not closed"),
    "services: {}\nservices: {}": (2, 1, "duplicate key"),
    "name: x": (1, 1, "there are no services"),
    "- a": (1, 1, "a Compose file is a map with services, this is a list"),
    "services:\n  web: nginx": (2, 8, "services.web: expected a map, this is text"),
    "services:\n  web: { command: a }": (2, 8, "neither an image nor a build"),
    "services:\n  web: { image: a, command: \"it's\" }": (2, 29, "its quotes are not closed"),
    "services:\n  web: { image: \"${TAG:?say which}\" }": (2, 17, "${TAG} is needed and not set: say which"),
    "services:\n  web: { image: \"a:$\" }": (2, 17, "begins no variable"),
    "services:\n  web: { image: \"${TAG\" }": (2, 17, "\"${\" without \"}\""),
    "services:\n  web: { image: \"${T AG}\" }": (2, 17, "${T AG} is not a variable"),
    "services:\n  web: { image: a, ports: [\"99999:80\"] }": (2, 28, "\"99999:80\" is not [[IP:]PORT:]PORT"),
    "services:\n  web: { image: a, restart: sometimes }": (2, 29, "\"sometimes\" is not no, always"),
    "services:\n  web: { image: a, extends: web }": (2, 29, "in a circle"),
    "web: { image: a }": (1, 1, "there are no services"),
    "services:": (1, 10, "there are no services"),
    "services:\n  web:": (2, 7, "services.web: expected a map, this is nothing"),
    "services:\n  web: { image: a, extends: db }": (2, 29, "this file has no service db"),
    "services:\n  web: { extends: { file: none.yaml, service: a } }": (2, 19, "none.yaml"),
    "services:\n  web: { image: a, volumes: [\"./a:b\"] }": (2, 30, "\"b\" must be an absolute path"),
    "services:\n  web: { image: a, healthcheck: { test: a, interval: 5 } }": (2, 54, "\"5\" is not a time"),
    "services:\n  web: { image: a, healthcheck: { test: [curl] } }": (2, 41, "a list begins with NONE, CMD or CMD-SHELL"),
    "services:\n  web: { image: a, depends_on: { b: { condition: x } }}\n  b: { image: b }": (2, 50, "\"x\" is not a cond"),
    "services:\n  web: { image: a, deploy: { replicas: many } }": (2, 40, "\"many\" is not a number"),
    "services:\n  web: { image: a, mem_limit: lots }": (2, 31, "\"lots\" is not a size"),
    "include: [compose.yaml]\nservices: { a: { image: a } }": (1, 11, "too deep, or in a circle"),
    "include: [none.yaml]\nservices: { a: { image: a } }": (1, 11, "none.yaml"),
    "include: [other.yaml]\nservices: { a: { image: a } }": (2, 13, "services.a: an included file has another one"),
    "services:\n  web: { image: a, ports: [\"999.1.1.1:80:80\"] }": (2, 28, "\"999.1.1.1:80:80\" is not [[IP:]PORT:]P"),
    "services:\n  web: { image: a, ulimits: { nofile: few } }": (2, 39, "\"few\" is not a number, or soft and hard"),
    "services:\n  web: { image: a, volumes: [\"b:/b\"] }": (2, 30, "services.web.volumes: the project has no volumes.b"),
    "services:\n  web: { image: a, networks: [b] }": (2, 31, "services.web.networks: the project has no networks.b"),
    "services:\n  web: { image: a, secrets: [b] }": (2, 30, "services.web.secrets: the project has no secrets.b"),
    "services:\n  web: { image: a, configs: [b] }": (2, 30, "services.web.configs: the project has no configs.b"),
    "services:\n  web: { image: a, depends_on: [b] }": (2, 33, "services.web.depends_on: there is no service b"),
    "services:\n  web: !secret { image: a }": (2, 8, "tags"),
    "services:\n  web: { image: a, profiles: [dev] }": (1, 1, "no service is left"),
}


class Failure(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Failure(message)


def aictl(args, cwd, text="", **environment):
    kept = {k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "LSAN_"))}
    env = {"PATH": os.environ["PATH"], "HOME": cwd, "LC_ALL": "C.UTF-8", **kept, **environment}
    return subprocess.run([AICTL, *args], env=env, cwd=cwd, input=text, capture_output=True, text=True,
                          timeout=DEADLINE, check=False)


def read(path, missing=""):
    if not os.path.exists(path):
        return missing
    with open(path, encoding="utf-8") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def import_project(name, where):
    """(manifest, what was said) of a copy of a project."""
    project = os.path.join(PROJECTS, name)
    shutil.copytree(project, where, ignore=shutil.ignore_patterns("golden.*"))
    args = read(os.path.join(project, "args")).split()
    environment = dict(line.split("=", 1) for line in read(os.path.join(project, "environment")).splitlines())
    r = aictl(["import", "-o", "aictl.yaml", *args], where, **environment)
    said = r.stdout + r.stderr
    require(r.returncode == 0, f"exit code {r.returncode}\n{said}")
    manifest = read(os.path.join(where, "aictl.yaml"))
    r = aictl(["validate"], where, **environment)
    require(r.returncode == 0, f"validate: exit code {r.returncode}\n{r.stdout}{r.stderr}")
    return re.sub(r"schema=.*/", "schema=DATADIR/", manifest), said


def compare(what, golden, got, update):
    if update:
        write(golden, got)
    want = read(golden)
    if want != got:
        raise Failure(f"{what}:\n" + "".join(difflib.unified_diff(want.splitlines(True), got.splitlines(True),
                                                                  os.path.basename(golden), "got", n=2)))


def check_project(name, directory, update):
    where = os.path.join(directory, name)
    manifest, said = import_project(name, where)
    compare(name, os.path.join(PROJECTS, name, "golden.yaml"), manifest, update)
    compare(name, os.path.join(PROJECTS, name, "golden.txt"), said, update)


def check_errors(directory):
    path = os.path.join(directory, "compose.yaml")
    wrong = []
    for text, (line, column, part) in ERRORS.items():
        write(path, text)
        write(os.path.join(directory, "other.yaml"), "services: { a: { image: b } }\n")
        r = aictl(["import"], directory)
        if r.returncode != 9 or r.stdout:
            wrong.append(f"exit code {r.returncode} of {text!r}\n{r.stdout}{r.stderr}")
        elif f"compose.yaml:{line}:{column}: error: " not in r.stderr or part not in r.stderr:
            wrong.append(f"expected {line}:{column} {part!r} of {text!r}\n{r.stderr}")
        elif r.stderr.count("error: ") > 1:
            wrong.append(f"more than one error of {text!r}\n{r.stderr}")
    require(not wrong, "\n".join(wrong))


# what is odd, and allowed -> parts of the manifest and of what is said
ODD = {
    "services:\n  web: { image: a, command: , ports: , volumes: null, deploy: ~, networks: , labels: }\nvolumes:":
        (["    image: a\n    restart: never\n"], []),
    "\ufeffservices: { web: { image: a } }\r\n": (["image: a\n"], []),
    "services: { web: { image: a, imagee: b, x-b: 1 }, db: { image: c, new_key: 1 } }\nvolume: {}":
        ([], ["imagee   dropped: no key of Compose's; is it image?", "new_key  dropped: no counterpart",
              "volume   dropped: no key of Compose's; is it volumes?"]),
    "services: { my_app: { image: a }, other: { image: b, container_name: the_other } }":
        (["  my-app:\n", "hostname: my_app\n", "hostname: the_other\n"],
         ["my_app   (name)          changed: it is called my-app"]),
    "services: { a: { image: a, depends_on: [b] }, b: { image: b, profiles: [x] } }":
        ([], ["a        depends_on  dropped: b is in a profile that is left out"]),
    "services: { a: { image: a, network_mode: shared } }": (["network: shared\n"], []),
    "services: { a: { image: a, networks: [n, m] }, b: { image: b, networks: [n] } }\n"
    "networks: { n: { name: own }, m: { external: true } }":
        (["  b:\n    image: b\n    network: p_default\n"],
         ["a        networks  dropped: m: the others in it do not reach this one"]),
    "services: { A_b: { build: { context: 'a b', dockerfile: D } }, c: { build: { context: ., args: { A: b } } } }":
        (["image: p-a_b\n    pull_policy: never\n"],
         ["docker build -t p-a_b -f './a b/D' './a b'", "docker compose build c"]),
    "services: { a: { build: ., pull_policy: build } }": (["pull_policy: never"], ["docker build -t p-a ."]),
    "services: { a: { image: a, ports: ['80:80/TCP', '[::1]:81:81', 'localhost:82:82', '9000-9001'] } }":
        (["http: { port: 80, container_port: 80 }", 'tcp-81: { port: 81, container_port: 81, listen: "::1", protocol: tcp }',
          "tcp-82: { port: 82, container_port: 82, protocol: tcp }",
          "tcp-9001: { container_port: 9001, protocol: tcp }"], []),
    "services: { a: { image: a, extra: } }": ([], []),
}


# a key and its value in a service `a`, beside `b` -> what there is of it in the manifest, and what is said
FIELDS = {
    "deploy: { replicas: 3 }": ("replicas: 3\n", ""),
    "scale: 2": ("replicas: 2\n", ""),
    "deploy: { mode: global }": ("", "deploy.mode  changed: global: one replica"),
    "deploy: { resources: { limits: { cpus: '0.25', memory: 64M, pids: 9 } } }":
        ("resources:\n      limits:\n        memory: 64MiB\n        cpus: 0.25\n        pids: 9\n", ""),
    "deploy: { resources: { reservations: { memory: 1G } } }":
        ("", "deploy.resources.reservations.memory  dropped: no counterpart"),
    "deploy: { update_config: { parallelism: 2, delay: 5s, order: start-first, failure_action: rollback } }":
        ("update:\n      order: start-first\n      max_surge: 2\n      min_ready: 5s\n      on_failure: rollback\n", ""),
    "deploy: { update_config: { parallelism: 0, failure_action: pause } }":
        ("update:\n      order: stop-first\n      max_unavailable: \"100%\"\n      on_failure: pause\n", ""),
    "deploy: { update_config: { failure_action: continue } }": ("on_failure: continue\n", ""),
    "deploy: { update_config: { max_failure_ratio: 0.1 } }": ("", "deploy.update_config.max_failure_ratio  dropped: no c"),
    "deploy: { rollback_config: { parallelism: 1 } }": ("", "deploy.rollback_config  dropped: no counterpart"),
    "deploy: { restart_policy: { condition: on-failure, delay: 1s, max_attempts: 3, window: 1m } }":
        ("policy: on-failure\n      backoff: { initial: 1s, factor: 1 }\n"
         "      budget: { restarts: 3, window: 1m, then: fail }", ""),
    "depends_on: [b]": ("b: { condition: started }\n", ""),
    "depends_on: { b: { condition: service_healthy } }":
        ("b: { condition: ready }\n", "depends_on  to do: b has no healthcheck here: give it a readiness probe"),
    "depends_on: { b: { condition: service_completed_successfully, required: false } }":
        ("b: { condition: completed, required: false }\n", ""),
    "depends_on: { b: { condition: service_started, restart: true } }": ("on_dependency_restart: restart\n", ""),
    "gpus: all": ("gpus: all\n", ""),
    "gpus: 2": ("gpus: 2\n", ""),
    "gpus: [{ driver: nvidia, count: 1, capabilities: [gpu, compute] }]":
        ("gpus:\n      count: 1\n      capabilities: [gpu, compute]\n", ""),
    "deploy: { resources: { reservations: { devices: [{ driver: nvidia, count: all, capabilities: [gpu] }] } } }":
        ("gpus: all\n", ""),
    "deploy: { resources: { reservations: { devices: [{ device_ids: ['0', '3'], capabilities: [gpu], "
    "options: { a: b } }] } } }":
        ('device_ids: ["0", "3"]\n', "deploy.resources.reservations.devices.options  dropped: no counterpart"),
    "deploy: { resources: { reservations: { devices: [{ capabilities: [tpu] }] } } }":
        ("", "deploy.resources.reservations.devices  dropped: a device that is no GPU"),
    "devices: [ 'nvidia.com/gpu=0', '/dev/dri:/dev/dri:rw' ]":
        ("devices: [/dev/dri:/dev/dri:rw]\n    gpus:\n      cdi: [nvidia.com/gpu=0]\n", ""),
    "environment: { PORT: 8080 }\n    ports: ['80:8080', '81:8081']":
        ("http: { port: 80, container_port: 8080, protocol: tcp }\n", "ports     changed: 80 is at 127.0.0.1 only"),
    "environment: [PORT=3000]\n    expose: [3000]":
        ("http: { container_port: 3000, protocol: tcp }\n", "ports     changed: 3000 is added, so that PORT is 3000"),
    "environment: { PORT: 3000 }\n    ports: ['127.0.0.1:80:80']":
        ("port: 80\n", "environment  changed: PORT is set by aictl itself: to 80"),
    "environment: { PORT: 3000 }\n    network_mode: host": ("", "environment  dropped: PORT is set by aictl itself"),
    "healthcheck: { test: t, interval: 1ms, timeout: 2h }":
        ("period: 100ms\n        timeout: 1h\n", "healthcheck.interval  changed: it is at least 100ms here"),
    "healthcheck: { test: [CMD, t], interval: 1h, retries: 1000, start_period: 24h }": ("stall: 168h\n", ""),
    "build: ./src": ("image: a\n", "build     to do: nothing is built here; build it before: docker build -t a ./src"),
}


def check_fields(directory):
    wrong = []
    for text, (part, said) in FIELDS.items():
        write(os.path.join(directory, "compose.yaml"),
              f"services:\n  a:\n    image: a\n    {text}\n  b: {{ image: b }}\n")
        r = aictl(["import", "--force", "-o", "aictl.yaml"], directory)
        manifest = read(os.path.join(directory, "aictl.yaml"))
        notes = " ".join(r.stderr.split())  # a column is as wide as its widest
        if (r.returncode != 0 or part not in manifest or " ".join(said.split()) not in notes or
                (not said and "  a" in r.stderr)):
            wrong.append(f"exit code {r.returncode}, without {part!r} or {said!r} of {text!r}\n{manifest}{r.stderr}")
    require(not wrong, "\n".join(wrong))


def check_odd(directory):
    wrong = []
    os.mkdir(os.path.join(directory, "p"))
    for text, (parts, said) in ODD.items():
        write(os.path.join(directory, "p", "compose.yaml"), text)
        r = aictl(["import"], os.path.join(directory, "p"))
        notes = " ".join(r.stderr.split())
        missing = [p for p in parts if p not in r.stdout] + [p for p in said if " ".join(p.split()) not in notes]
        if r.returncode != 0 or missing:
            wrong.append(f"exit code {r.returncode}, without {missing} of {text!r}\n{r.stdout}{r.stderr}")
    require(not wrong, "\n".join(wrong))


def check_terminal(directory):
    """What is said on a terminal stays within it."""
    for name in sorted(os.listdir(PROJECTS)):
        where = os.path.join(directory, name)
        shutil.copytree(os.path.join(PROJECTS, name), where)
        env = {"PATH": os.environ["PATH"], "HOME": where, "LC_ALL": "C.UTF-8", "TERM": "xterm", "TAG": "1"}
        for columns in (80, 60):  # a field is never cut
            argv = [AICTL, "import", "--force", "-o", "new.yaml"]
            text = on_pty.run(argv, columns, DEADLINE, env=env, cwd=where).decode("utf-8")
            require("WHAT HAPPENS" in text, text)
            long = [line for line in text.splitlines() if len(line) > columns and "Next:" not in line]
            require(not long, f"{name}: longer than {columns}:\n" + "\n".join(long))
    text = on_pty.run([AICTL, "import", "-o", "new.yaml", "10-include-swarm"], 80, DEADLINE,
                      env={"HOME": directory, "LC_ALL": "C.UTF-8", "TERM": "xterm"}, cwd=directory).decode("utf-8")
    require("voting_app  deploy.update_config.max_failure_ratio\n" + 40 * " " in text, text)


def check_places(directory):
    """Links, pipes, lists of files, and what must not be written over."""
    def import_in(where, *args, **environment):
        return aictl(["import", *args], os.path.join(directory, where), **environment)

    for d in ("real", "link"):
        os.mkdir(os.path.join(directory, d))
    write(os.path.join(directory, "real", "site.yaml"),
          "services: { web: { image: nginx, volumes: [ \"./data:/data\" ] } }\n")
    os.symlink("../real/site.yaml", os.path.join(directory, "link", "compose.yaml"))
    r = import_in("link")
    require("name: link\n" in r.stdout and "- ./data:/data" in r.stdout, r.stdout + r.stderr)
    r = import_in("real", "site.yaml", "-o", "site.yaml", "--force")
    require(r.returncode == 8 and "site.yaml is what the manifest is made of" in r.stderr, r.stderr)
    require("nginx" in read(os.path.join(directory, "real", "site.yaml")), "it was written over")
    r = import_in("real", "site.yaml", "-o", "../link")
    require(r.returncode == 2 and "../link is a directory" in r.stderr, r.stderr)
    for args in (["-o", "", "site.yaml"], [""]):
        require(import_in("real", *args).returncode == 2, args)
    r = subprocess.run(["bash", "-c", f"'{AICTL}' import <(cat site.yaml)"], cwd=os.path.join(directory, "real"),
                       capture_output=True, text=True, timeout=DEADLINE, check=False)
    require("name: real\n" in r.stdout, r.stdout + r.stderr)
    write(os.path.join(directory, "link", ".env"), "COMPOSE_FILE=compose.yaml;more.yaml\nCOMPOSE_PATH_SEPARATOR=;\n"
                                                   "COMPOSE_PROFILES=gpu\n")
    write(os.path.join(directory, "link", "more.yaml"), "services: { db: { image: pg, profiles: [gpu] }, "
                                                        "no: { image: x, profiles: [y] } }\n")
    r = import_in("link")
    require("name: link\n" in r.stdout and "image: pg" in r.stdout and "image: x" not in r.stdout, r.stdout + r.stderr)
    r = import_in("link", COMPOSE_FILE="more.yaml", COMPOSE_PROFILES="y")
    require("image: pg" not in r.stdout and "image: x" in r.stdout, r.stdout + r.stderr)
    r = import_in("link", "nope.yaml")
    require(r.returncode == 2 and "nope.yaml: No such file" in r.stderr, r.stderr)
    write(os.path.join(directory, "real", "big.yaml"), "# " + 10 * 1024 * 1024 * "x" + "\n")
    r = import_in("real", "big.yaml")
    require(r.returncode == 9 and "is larger than 1048576 bytes" in r.stderr, r.stderr)
    if os.geteuid() != 0:
        os.chmod(os.path.join(directory, "real", "big.yaml"), 0)
        r = import_in("real", "big.yaml")
        require(r.returncode == 1 and "Permission denied" in r.stderr, r.stderr)
    write(os.path.join(directory, "real", "compose.yaml"), WEB)
    for verb in ("validate", "up"):
        r = aictl([verb, "-f", "compose.yaml"], os.path.join(directory, "real"))
        require(r.returncode == 9 and "of a Compose file by: aictl import compose.yaml -o" in r.stderr, r.stderr)


def check_files(directory):
    """Where it comes from and goes to, and that nothing is overwritten."""
    compose, manifest = (os.path.join(directory, f) for f in ("compose.yaml", "aictl.yaml"))
    r = aictl(["import"], directory)
    require(r.returncode == 2 and "no compose.yaml in this directory" in r.stderr, r.stderr)
    r = aictl(["import", "missing.yaml"], directory)
    require(r.returncode == 2 and "missing.yaml" in r.stderr, r.stderr)
    write(compose, WEB)
    r = aictl(["up"], directory)
    require(r.returncode == 2 and "there is compose.yaml; a manifest is made of it by: aictl import -o aictl.yaml"
            in r.stderr, r.stderr)
    to_stdout = aictl(["import"], directory)
    require(to_stdout.returncode == 0 and "image: nginx" in to_stdout.stdout, to_stdout.stderr)
    piped = aictl(["import", "-f", "-"], directory, WEB)
    require(piped.stdout == to_stdout.stdout.replace("compose.yaml", "standard input"), piped.stdout + piped.stderr)
    write(manifest, "mine\n")
    r = aictl(["import", "-o", "aictl.yaml"], directory)
    require(r.returncode == 8 and read(manifest) == "mine\n", r.stderr)
    r = aictl(["import", "-o", "aictl.yaml", "--force"], directory)
    require(r.returncode == 0 and read(manifest) == to_stdout.stdout, r.stderr)
    os.unlink(manifest)
    write(compose, "services: { web: { image: \"nginx:${TAG}\", privileged: true } }\n")
    r = aictl(["import", "-o", "aictl.yaml", "--strict"], directory, TAG="1")
    require(r.returncode == 9 and not os.path.exists(manifest) and "privileged" in r.stderr, r.stderr)
    r = aictl(["import", "-o", "aictl.yaml"], directory, TAG="1")
    require(r.returncode == 0 and stat.S_IMODE(os.stat(manifest).st_mode) == 0o600, "values of the shell: 0600")
    write(os.path.join(directory, "more.env"), "TAG=from-file\n")
    r = aictl(["import", "--env-file", "more.env"], directory)
    require("nginx:from-file" in r.stdout, r.stdout + r.stderr)
    os.mkdir(os.path.join(directory, "sub"))
    write(compose, "services: { web: { image: nginx, volumes: [ \"./data:/data\", \"../up:/up\" ] } }\n")
    r = aictl(["import", "..", "-o", "new.yaml"], os.path.join(directory, "sub"))
    text = read(os.path.join(directory, "sub", "new.yaml"))
    require(f"{os.path.realpath(directory)}/data:/data" in text, text)


def main():
    update = "--update" in sys.argv
    failed = []
    checks = {name: lambda d, n=name: check_project(n, d, update) for name in sorted(os.listdir(PROJECTS))}
    checks.update(errors=check_errors, fields=check_fields, odd=check_odd, files=check_files,
                  terminal=check_terminal, places=check_places)
    for name, check in checks.items():
        directory = tempfile.mkdtemp(prefix="aictl-import-")
        try:
            check(directory)
        except Failure as e:
            failed.append(f"{name}: {e}")
        finally:
            shutil.rmtree(directory)
    print("\n".join(failed) if failed else f"ok: {len(checks)} checks")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
