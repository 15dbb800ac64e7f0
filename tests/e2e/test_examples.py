"""Every example runs as its README says: `aictl up` in its directory.

SPDX-License-Identifier: MIT
"""
import json
import os
import shutil
import subprocess
import urllib.request

import pytest

import procfs
from harness import ROOT, wait_for
from up import Up


@pytest.fixture
def example(base):
    """example(name) -> an Up in a copy of the example's directory."""
    instances = []

    def copy(name):
        instance = Up(base)
        shutil.copytree(os.path.join(ROOT, "examples", name), instance.directory)
        instances.append(instance)
        return instance

    yield copy
    for instance in instances:
        print(procfs.read(instance.out))


def test_every_example_has_a_test():
    assert set(os.listdir(os.path.join(ROOT, "examples"))) == {"hello", "sentiment"}


def test_hello(example):
    up = example("hello")
    process = up.start()
    assert len(up.wait_ready("hello")) == 2
    for index in (0, 1):
        line = f"good day from replica {index}, number 1"
        wait_for(lambda text=line: text in up.cli("logs", "hello").stdout,
                 what=lambda: up.cli("logs", "hello"))
    assert up.cli("scale", "hello=3").returncode == 0
    assert len(up.wait_ready("hello")) == 3
    up.down(process)


def has_model_packages():
    done = subprocess.run(["/usr/bin/python3", "-c", "import fastapi, sklearn, uvicorn"],
                          capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not has_model_packages(), reason="no scikit-learn, FastAPI or uvicorn")
def test_sentiment(example):
    up = example("sentiment")
    process = up.start()
    up.wait_ready("sentiment", timeout=60)
    replicas = up.ps()["sentiment"]["replicas"]
    assert len(replicas) == 2
    for replica in replicas:
        assert predict(replica["port"], "What a lovely little program")["label"] == "positive"
        assert predict(replica["port"], "I hate it, nothing works")["label"] == "negative"
    sick, well = replicas
    post(sick["port"], "/break")
    wait_for(lambda: up.ps()["sentiment"]["replicas"][0]["pid"] not in (None, sick["pid"]), 40,
             what=lambda: up.ps())
    up.wait_ready("sentiment", timeout=60)
    assert up.ps()["sentiment"]["replicas"][1]["pid"] == well["pid"]
    assert predict(sick["port"], "a waste of money")["label"] == "negative"
    up.down(process)


def predict(port, text):
    return post(port, "/predict", {"text": text})


def post(port, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}",
                                     json.dumps(body or {}).encode(),
                                     {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read() or "null")
