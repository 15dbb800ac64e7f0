"""What a user sees of resources.limits: the warning where this machine cannot keep a limit, the
error where it is required; freeze and thaw. Each test asks the daemon what it can do here.

SPDX-License-Identifier: MIT
"""
import pytest

LIMITS = {"memory": "64MiB", "pids": 100}


def can(daemon):
    """The words of what the daemon's cgroups can do: track, memory, cpu, io, pids, cpuset."""
    return daemon.get("/v1/daemon")["cgroup"]["can"]


def lacking(daemon):
    return [word for word in LIMITS if word not in can(daemon)]


def manifest(daemon, **services):
    return daemon.write({"version": 1, "name": "shop", "services": services}, "shop.yaml")


# ---- limits that cannot be enforced ----

def test_a_limit_that_nobody_keeps_is_a_warning_at_apply(daemon):
    missing = lacking(daemon)
    path = manifest(daemon, web=daemon.service("pause", resources={"limits": LIMITS}), api=daemon.service("run"))
    for verb in (("plan",), ("apply", "--dry-run"), ("apply", "--wait"), ("apply",)):
        code, _, said = daemon.cli(verb[0], "-f", path, *verb[1:])
        assert code == 0, said
        assert said.count(" is not enforced here: ") == len(missing), said
        for key in missing:
            assert f'warning: service "web": resources.limits.{key} is not enforced here: ' in said
    assert ("see aictl doctor" in said) == bool(missing)


def test_a_required_limit_is_an_error_with_its_place(daemon):
    missing = lacking(daemon)
    if not missing:
        pytest.skip("this machine can keep every limit")
    path = manifest(daemon, web=daemon.service("pause", resources={"required": True, "limits": LIMITS}))
    for verb in ("plan", "apply"):
        code, _, said = daemon.cli(verb, "-f", path)
        assert code == 9, said
        assert "m/shop.yaml:" in said
        assert f"resources.limits.{missing[0]} cannot be enforced here: " in said
        assert "without resources.required it is only a warning" in said
    assert daemon.ps() == {}
