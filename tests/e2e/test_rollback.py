"""Going back to an earlier revision: not when it does not go together with what is there today, and
what is said of a rollback afterwards.

SPDX-License-Identifier: MIT
"""
import concurrent.futures
import contextlib
import os
import sqlite3
import time
import uuid

import pytest

import procfs
from harness import wait_for
from test_helpers import kill_helper, wait_helper
from test_update import deaf, pids_of, rollout, server, service_of, wait_rollout

CONFLICT = 8


def needing(daemon, version, *names):
    return {**server(daemon, version), "depends_on": list(names)}


def base(daemon, **keys):
    return {"db": daemon.service("pause", **keys)}


def undo(daemon, *args):
    """Refused; what is said."""
    rc, _, err = daemon.cli("rollout", "undo", "web", *args)
    assert rc == CONFLICT, (rc, err)
    return err


def test_a_dependency_is_gone(daemon):
    """It would wait for it for ever."""
    daemon.apply(base(daemon), name="base")
    daemon.apply({"web": needing(daemon, "1", "db")})
    daemon.apply({"web": server(daemon, "2")})
    daemon.ok("delete", "db")
    wait_for(lambda: "db" not in daemon.ps())
    for args in ((), ("--to", "1")):
        err = undo(daemon, *args)
        assert "revision 1 does not go together" in err and "depends_on.db" in err
        assert "shop.yaml:" in err and "hint: bring back" in err
    assert service_of(daemon)["state"] == "ready" and service_of(daemon)["revision"] == 2
    daemon.apply(base(daemon), name="base")
    daemon.ok("rollout", "undo", "web")
    assert service_of(daemon)["revision"] == 1


def test_it_would_be_a_cycle(daemon):
    """Of two sets: neither manifest holds it."""
    daemon.apply(base(daemon), name="base")
    daemon.apply({"web": needing(daemon, "1", "db")})
    daemon.apply({"web": server(daemon, "2")})
    daemon.apply(base(daemon, depends_on=["web"]), name="base")
    assert "web -> db" in (err := undo(daemon)) or "db -> web" in err
    assert "cycle" in err and service_of(daemon)["revision"] == 2


def test_its_port_is_another_ones(daemon):
    port = 18790
    daemon.apply({"web": daemon.service("pause", port=port)})
    daemon.apply({"web": daemon.service("pause", port=port + 1)})
    daemon.apply({"db": daemon.service("pause", port=port)}, name="base")
    assert f'port {port} is a port of service "db" already' in undo(daemon, "--to", "1")


def bad_update_without_its_dependency(daemon):
    daemon.apply(base(daemon), name="base")
    daemon.apply({"web": needing(daemon, "1", "db")})
    old = pids_of(daemon)
    daemon.apply({"web": deaf(daemon, "2")}, wait=False)
    daemon.ok("delete", "db")
    return old


def test_the_daemon_cannot_go_back(daemon):
    """It says why, and touches nothing more, also after its controller's death; the user can undo
    when what was missing is there again."""
    old = bad_update_without_its_dependency(daemon)
    reason = wait_rollout(daemon, "failed")["reason"]
    assert reason.startswith("no progress for 3s") and "not taken back: revision 1" in reason
    assert "depends_on.db" in reason
    assert "not taken back" in service_of(daemon)["message"]
    assert "not taken back" in daemon.ok("why", "web")
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    wait_for(lambda: service_of(daemon)["ready"] == 1)
    assert rollout(daemon)["reason"] == reason and old < pids_of(daemon)
    assert "depends_on.db" in undo(daemon)
    daemon.apply(base(daemon), name="base")
    daemon.ok("rollout", "undo", "web")
    wait_rollout(daemon, "rolled_back")
    assert pids_of(daemon) == old


def test_apply_tells_that_it_cannot_go_back(daemon):
    bad_update_without_its_dependency(daemon)
    path = daemon.write({"version": 1, "name": "shop", "services": {"web": deaf(daemon, "3")}},
                        "shop.yaml")
    rc, _, err = daemon.cli("apply", "-f", path, "--wait", "--timeout", "60s", timeout=90)
    assert rc == 1 and "update failed at revision 3" in err and "not taken back" in err, err


def test_the_good_one_applied_again_is_no_rollback(daemon):
    """Who applied what runs knows: the message goes, the history keeps it."""
    daemon.apply({"web": server(daemon, "1")})
    daemon.apply({"web": deaf(daemon, "2")}, wait=False)
    wait_rollout(daemon, "rolled_back")
    assert "rolled back" in service_of(daemon)["message"]
    pids = pids_of(daemon)
    daemon.apply({"web": server(daemon, "1")})
    assert service_of(daemon)["message"] == "" and pids_of(daemon) == pids
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    wait_for(lambda: service_of(daemon)["ready"] == 1)
    assert service_of(daemon)["message"] == ""
    assert rollout(daemon)["state"] == "rolled_back" and "no progress" in rollout(daemon)["reason"]


def test_superseded_while_it_goes_back(daemon):
    """What was rolling back and was replaced by a newer apply is not rolling back for ever."""
    first = {"order": "stop-first"}
    slow = {**server(daemon, "1", first), "command": [daemon.svc, "http", "3000"]}
    daemon.apply({"web": slow})
    daemon.apply({"web": deaf(daemon, "2", first)}, wait=False)
    wait_rollout(daemon, "rolling_back")
    daemon.apply({"web": server(daemon, "3", first)})
    wait_rollout(daemon, "complete")
    past = rollout(daemon)["history"]
    assert [(p["revision"], p["state"]) for p in past] == [(2, "superseded"), (1, "complete")]
    assert "no progress" in past[0]["reason"] and past[0]["ended_at"]
    assert procfs.environ(next(iter(pids_of(daemon))))["VERSION"] == "3"


def causes(daemon):
    return [e["cause"] for e in daemon.describe("web")["exits"]]


@pytest.mark.containers
def test_causes_of_wanted_ends(daemon):
    """Each kept apart: by the user, by an update, taken back, too many."""
    daemon.apply({"web": server(daemon, "1", replicas=2)})
    daemon.ok("restart", "web/0")
    assert causes(daemon) == ["user"]
    daemon.ok("scale", "web=1")
    wait_for(lambda: sorted(causes(daemon)) == ["scale", "user"], what=lambda: causes(daemon))
    daemon.apply({"web": server(daemon, "2")})
    wait_for(lambda: sorted(causes(daemon)) == ["scale", "update", "user"])
    daemon.apply({"web": deaf(daemon, "3")}, wait=False)
    wait_rollout(daemon, "rolled_back")
    wait_for(lambda: sorted(causes(daemon)) == ["rollback", "scale", "update", "user"],
             what=lambda: causes(daemon))


# ---- while the disk is slow ----


def in_body(daemon, spec):
    path = daemon.write({"version": 1, "name": "shop", "services": {"web": spec}}, "third.yaml")
    with open(path, encoding="utf-8") as f:
        return {"id": str(uuid.uuid4()), "kind": "apply", "manifests": [{"path": path, "text": f.read()}]}


@contextlib.contextmanager
def apply_on_its_way(daemon, spec):
    """It has been taken, and waits for the disk."""
    apply = in_body(daemon, spec)
    database = sqlite3.connect(os.path.join(daemon.state_dir, "aictl.db"), isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        try:
            reply = pool.submit(daemon.api, "POST", "/v1/changes", apply)
            wait_for(lambda: daemon.api("GET", f"/v1/changes/{apply['id']}")[0] == 200)
            yield
        finally:
            database.execute("ROLLBACK")
            database.close()
        assert reply.result()[0] == 202


def bad_second(daemon, deadline):
    daemon.apply({"web": server(daemon, "1", replicas=1)})
    daemon.apply({"web": deaf(daemon, "2", {"deadline": deadline}, replicas=1)}, wait=False)
    wait_for(lambda: len(daemon.pids("web")) == 2)
    return server(daemon, "3", {"deadline": "1h"}, replicas=1)


def check_third_stays(daemon):
    """Also for the next controller, which knows what was stored."""
    def version():
        return daemon.describe("web")["spec"]["environment"]["VERSION"]

    wait_for(lambda: version() == "3")
    wait_helper(daemon, "controller", kill_helper(daemon, "controller"))
    wait_for(lambda: daemon.mode() == "normal")
    assert version() == "3"
    wait_rollout(daemon, "complete")
    assert {procfs.environ(pid)["VERSION"] for pid in pids_of(daemon)} == {"3"}


def test_undo_while_an_apply_is_being_written(daemon):
    """The newer one counts: the store does not get the older one after it."""
    with apply_on_its_way(daemon, bad_second(daemon, "1h")):
        for to in ((), ("--to", "1")):
            code, _, err = daemon.cli("rollout", "undo", "web", *to)
            assert code == 1 and "another change of \"web\" is being written" in err, err
    check_third_stays(daemon)


def test_rollback_while_an_apply_is_being_written(daemon):
    """What has failed is superseded: it goes straight to the newest."""
    third = bad_second(daemon, "1s")
    with apply_on_its_way(daemon, third):
        since = time.monotonic()
        wait_for(lambda: time.monotonic() - since > 1.5)  # it would have been taken back
        assert rollout(daemon)["state"] == "progressing"
    check_third_stays(daemon)
    assert [r["state"] for r in rollout(daemon)["history"]] == ["superseded", "complete"]
