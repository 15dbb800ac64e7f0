/*
 * test_aictld_cgroup: what aictld does with cgroups: birth, escape, the empty check, freezing,
 * limits, left-overs. Skipped where no cgroup2 tree is writable; what needs a controller that is
 * not there is skipped for itself. The helpers are played by the test (aictld_rig.h).
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"
#include "tests/unit/cgroup_rig.h"

/* ---- looking ---- */

static bool holds(const struct rig *r, const struct wire_key *k, pid_t pid)
{
	char line[32], text[65536];

	snprintf(line, sizeof(line), "\n%d\n", (int)pid);
	snprintf(text, sizeof(text), "\n%s", cgroup_rig_text(r, k, "cgroup.procs"));
	return strstr(text, line) != NULL;
}

static pid_t pid_in(struct rig *r, const char *name)
{
	char path[256], text[32];
	int pid = 0;

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	RIG_UNTIL(r, sscanf(cgroup_rig_file(path, text, sizeof(text)), "%d\n", &pid) == 1 &&
			     strchr(text, '\n'));
	return pid;
}

static void release(struct rig *r, const struct wire_key *k)
{
	struct buf b = {0};

	wire_encode_key(&b, WIRE_RELEASE, k);
	rig_send(r, &b, NULL, 0);
}

static void freeze(struct rig *r, const struct wire_key *k, bool frozen)
{
	struct buf b = {0};

	wire_cgroup_encode_freeze(&b, k, frozen, 1);
	rig_send(r, &b, NULL, 0);
}

static void run_beside(struct rig *r, const struct wire_key *k, uint64_t id, const char *script)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[3] = {null, null, null};
	struct buf b = {0};
	struct cgroup_rig_shell v;
	struct wire_run m = {.id = id, .timeout_ms = 60000, .child = cgroup_rig_shell(&v, script)};

	if (k)
		m.key = *k;
	wire_run_encode(&b, &m);
	rig_send(r, &b, fds, 3);
	close(null);
}

/* ---- birth and end ---- */

static void processes_are_born_in_the_cgroup_of_their_slot(void **state)
{
	struct wire_key k, other;
	char script[256], path[512], dir[512];
	pid_t inside, outside;
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_TRACK);
	snprintf(dir, sizeof(dir), "%.500s", r.status.cgroup_dir);
	k = rig_key(&r, "chat", 0);
	other = rig_key(&r, "chat", 1);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	rig_spawn_sh(&r, &other, "exec sleep 1000", 1000);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	rig_wait_state(&r, &other, WIRE_SLOT_RUNNING);
	assert_true(holds(&r, &k, rig_slot(&r, &k)->m.pid));
	assert_true(holds(&r, &other, rig_slot(&r, &other)->m.pid));
	assert_int_equal(cgroup_rig_n_procs(&r, &k), 1);
	snprintf(script, sizeof(script), "echo $$ > %s/inside; exec sleep 1000", r.dir);
	run_beside(&r, &k, 1, script);
	snprintf(script, sizeof(script), "echo $$ > %s/outside; exec sleep 1000", r.dir);
	run_beside(&r, NULL, 2, script);
	inside = pid_in(&r, "inside");
	outside = pid_in(&r, "outside");
	assert_true(holds(&r, &k, inside));
	assert_false(holds(&r, &k, outside) || holds(&r, &other, outside));
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	rig_wait_run(&r, 1); /* it was in the cgroup, so it is gone, too */
	assert_true(rig_is_alive(outside));
	assert_int_equal(access(cgroup_rig_path(&r, &k, NULL, path), F_OK),
			 0); /* kept for the next start */
	release(&r, &k);
	RIG_UNTIL(&r, access(cgroup_rig_path(&r, &k, NULL, path), F_OK) < 0);
	rig_clean_stop(&r);
	assert_int_equal(access(dir, F_OK), -1);
}

/* Away from session, group, parent and environment, deaf to TERM. */
static const char escapee[] = "(env -i setsid sh -c 'trap \"\" TERM; echo $$ > %s/pid; "
			      "while :; do sleep 1000; done' &)";

static void nothing_escapes_a_stop(void **state)
{
	struct wire_key k;
	char script[512], first[256];
	struct rig r;
	pid_t pid;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_TRACK);
	k = rig_key(&r, "a", 0);
	snprintf(first, sizeof(first), escapee, r.dir);
	snprintf(script, sizeof(script), "%s; exec sleep 1000", first);
	rig_spawn_sh(&r, &k, script, 1000);
	pid = pid_in(&r, "pid");
	assert_true(holds(&r, &k, pid));
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	assert_false(rig_is_alive(pid));
	assert_int_equal(cgroup_rig_n_procs(&r, &k), 0);
	assert_int_equal(rig_exit(&r, &k)->signal, SIGTERM);
	rig_clean_stop(&r);
}

/* Each starts the next one and ends: whoever reads a list of pids comes too late. */
static void a_tree_that_forks_as_it_can_is_killed(void **state)
{
	struct wire_key k;
	char script[512];
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_TRACK);
	k = rig_key(&r, "forks", 0);
	snprintf(script, sizeof(script),
		 "printf '%%s\\n' 'env -i /bin/sh %s/chain &' > %s/chain; "
		 "for i in 1 2 3 4 5 6 7 8; do /bin/sh %s/chain; done; echo up; exec sleep 1000",
		 r.dir, r.dir, r.dir);
	rig_spawn_sh(&r, &k, script, 1000);
	rig_expect_output(&r, &k, "up");
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	assert_int_equal(cgroup_rig_n_procs(&r, &k), 0);
	assert_non_null(strstr(cgroup_rig_text(&r, &k, "cgroup.events"), "populated 0"));
	rig_clean_stop(&r);
}

static void nothing_is_started_before_the_cgroup_is_empty(void **state)
{
	struct wire_key k, next, after;
	char script[1024];
	struct rig r;
	pid_t old;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_TRACK);
	k = rig_key(&r, "a", 0);
	next = rig_key(&r, "a", 0);
	after = rig_key(&r, "a", 0);
	snprintf(script, sizeof(script),
		 "for i in $(seq 60); do env -i setsid sleep 1000 & done; "
		 "echo $! > %s/pid; sleep 0.2; exit 3",
		 r.dir);
	rig_spawn_sh(&r, &k, script, 1000);
	old = pid_in(&r, "pid");
	rig_wait_exit_of(&r, &k);
	/* Asked for at once, as a controller does, and run when all the others are gone. */
	snprintf(script, sizeof(script),
		 "env -i setsid sleep 1000 & env -i setsid sh -c 'exec sleep 1000' & sleep 0.3");
	rig_spawn_sh(&r, &next, script, 1000);
	rig_wait_state(&r, &next, WIRE_SLOT_RUNNING);
	assert_false(rig_is_alive(old));
	assert_true(cgroup_rig_n_procs(&r, &next) <= 4);
	/* The same for a start that aictld decides by itself. */
	cgroup_rig_spawn(&r, &after, "exec sleep 1000", NULL, true);
	rig_wait_state(&r, &after, WIRE_SLOT_RUNNING);
	assert_int_equal(cgroup_rig_n_procs(&r, &after), 1);
	assert_int_equal(rig_exit(&r, &k)->code, 3);
	assert_int_equal(rig_exit(&r, &next)->code, 0);
	rig_stop_key(&r, &after, 0, -1);
	rig_wait_swept(&r, &after);
	rig_clean_stop(&r);
}

static void a_start_that_waits_can_be_stopped(void **state)
{
	struct wire_key k, next;
	const struct wire_exit *x;
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_TRACK);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "for i in $(seq 100); do env -i setsid sleep 1000 & done; exit 0",
		     1000);
	rig_wait_exit_of(&r, &k);
	next = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &next, "exec sleep 1000", 1000);
	rig_stop_key(&r, &next, 0, -1);
	x = rig_wait_exit_of(&r, &next);
	assert_true(x->by_stop);
	if (x->err != 0) { /* else it had been started in time */
		assert_int_equal(x->stage, WIRE_STAGE_CLONE);
		assert_int_equal(x->err, ECANCELED);
		assert_int_equal(x->what, WIRE_WHAT_CGROUP);
	}
	rig_wait_swept(&r, &next);
	assert_int_equal(cgroup_rig_n_procs(&r, &next), 0);
	rig_clean_stop(&r);
}

static void a_cgroup_that_was_removed_or_divided_is_made_anew(void **state)
{
	struct wire_key k;
	char path[512], script[2048];
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_TRACK);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "exit 0", 1000);
	rig_wait_swept(&r, &k);
	assert_int_equal(rmdir(cgroup_rig_path(&r, &k, NULL, path)), 0);
	k = rig_key(&r, "a", 0);
	snprintf(script, sizeof(script),
		 "mkdir %s/below; env -i setsid sh -c 'echo $$ > %s/below/cgroup.procs; "
		 "echo $$ > %s/pid; exec sleep 1000' & sleep 1000",
		 path, path, r.dir);
	rig_spawn_sh(&r, &k, script, 1000);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	assert_true(holds(&r, &k, rig_slot(&r, &k)->m.pid));
	pid_in(&r, "pid");
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	release(&r, &k);
	RIG_UNTIL(&r, access(path, F_OK) < 0);
	rig_clean_stop(&r);
}

/* ---- freezing ---- */

static void a_frozen_service_stands_still_and_can_be_stopped(void **state)
{
	struct wire_key k;
	struct rig_slot *s;
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_TRACK);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done", 5000);
	freeze(&r, &k, true); /* at once: it takes effect after the exec */
	s = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	RIG_UNTIL(&r, s->m.frozen);
	RIG_UNTIL(&r, strstr(cgroup_rig_text(&r, &k, "cgroup.events"), "frozen 1"));
	/* What is run beside it is not caught in it. */
	run_beside(&r, &k, 1, "exit 5");
	assert_int_equal(rig_wait_run(&r, 1)->code, 5);
	freeze(&r, &k, false);
	RIG_UNTIL(&r, !s->m.frozen);
	rig_expect_output(&r, &k, "up"); /* the trap is set */
	freeze(&r, &k, true);
	RIG_UNTIL(&r, s->m.frozen);
	rig_stop_key(&r, &k, 0, -1);
	assert_int_equal(rig_wait_exit_of(&r, &k)->code, 7);
	assert_false(rig_wait_swept(&r, &k)->m.frozen);
	k = rig_key(&r, "a", 0); /* killed by others while frozen: the next one runs */
	rig_spawn_sh(&r, &k, "echo up; exec sleep 1000", 1000);
	s = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	freeze(&r, &k, true);
	RIG_UNTIL(&r, s->m.frozen);
	kill(s->m.pid, SIGKILL);
	rig_wait_swept(&r, &k);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "echo up; exec sleep 1000", 1000);
	rig_expect_output(&r, &k, "up");
	assert_false(rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.frozen);
	rig_clean_stop(&r);
}

/* ---- what others left ---- */

static void put_into(const char *dir, pid_t pid)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%.480s/cgroup.procs", dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%d", (int)pid);
	assert_int_equal(fclose(f), 0);
}

static pid_t sleeper_in(const char *dir)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	put_into(dir, pid);
	return pid;
}

/* A cgroup of the test's own beside the one that aictld would take. */
static void make_parent(struct rig *r, char dir[512])
{
	char *slash;

	cgroup_rig_start(r, NULL, WIRE_CGROUP_TRACK);
	snprintf(dir, 512, "%.450s", r->status.cgroup_dir);
	slash = strrchr(dir, '/');
	snprintf(slash, 64, "/test-cgroup-%d", (int)getpid());
	assert_int_equal(mkdir(dir, 0755), 0);
	rig_clean_stop(r);
}

static void what_nobody_knows_is_killed_at_the_start(void **state)
{
	char parent[512], ours[512], lost[600], path[512];
	const char *extra[] = {"--cgroup", parent, NULL};
	struct wire_key k;
	struct rig r;
	int status;
	pid_t pid;

	(void)state;
	if (getenv("RIG_CGROUP"))
		skip();
	make_parent(&r, parent);
	rig_start(&r, extra);
	snprintf(ours, sizeof(ours), "%.500s", r.status.cgroup_dir);
	kill(r.pid, SIGKILL);
	rig_wait_exit(&r);
	snprintf(lost, sizeof(lost), "%s/lost.3", ours);
	assert_int_equal(mkdir(lost, 0755), 0);
	pid = sleeper_in(lost);
	rig_run(&r, extra);
	rig_wait_synced(&r);
	assert_string_equal(r.status.cgroup_dir, ours);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(access(lost, F_OK), -1);
	/* One that appears later, where a service is to run. */
	k = rig_key(&r, "a", 0);
	assert_int_equal(mkdir(cgroup_rig_path(&r, &k, NULL, path), 0755), 0);
	pid = sleeper_in(path);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(cgroup_rig_n_procs(&r, &k), 1);
	rig_clean_stop(&r);
	assert_int_equal(access(ours, F_OK), -1);
	assert_int_equal(rmdir(parent), 0);
}

static void two_instances_share_a_place(void **state)
{
	char parent[512], dirs[2][512];
	const char *extra[] = {"--cgroup", parent, NULL};
	struct wire_key k[2];
	struct rig r[2];
	pid_t pids[2];

	(void)state;
	if (getenv("RIG_CGROUP"))
		skip();
	make_parent(&r[0], parent);
	for (int i = 0; i < 2; i++) {
		rig_start(&r[i], extra);
		snprintf(dirs[i], sizeof(dirs[i]), "%.500s", r[i].status.cgroup_dir);
		assert_memory_equal(dirs[i], parent, strlen(parent));
		k[i] = rig_key(&r[i], "a", (uint32_t)i); /* the other one does not know it */
		rig_spawn_sh(&r[i], &k[i], "exec sleep 1000", 1000);
		pids[i] = rig_wait_state(&r[i], &k[i], WIRE_SLOT_RUNNING)->m.pid;
	}
	assert_string_not_equal(dirs[0], dirs[1]);
	kill(r[0].pid, SIGKILL); /* its directory is not locked now */
	rig_wait_exit(&r[0]);
	kill(r[1].pid, SIGKILL);
	rig_wait_exit(&r[1]);
	for (int i = 0; i < 2; i++) {
		rig_run(&r[i], extra);
		rig_wait_synced(&r[i]);
		assert_string_equal(r[i].status.cgroup_dir, dirs[i]);
		assert_int_equal(rig_wait_state(&r[i], &k[i], WIRE_SLOT_RUNNING)->m.pid, pids[i]);
		assert_true(holds(&r[i], &k[i], pids[i]));
	}
	for (int i = 0; i < 2; i++)
		rig_clean_stop(&r[i]);
	assert_int_equal(rmdir(parent), 0);
}

/* It called them PATH/aictl, one for all instances: what is not ours there may be another's. */
static void what_an_older_build_placed_is_taken_over(void **state)
{
	char parent[512], old[600], dir[700], other[700], empty[700], path[512];
	const char *extra[] = {"--cgroup", parent, NULL};
	struct wire_key k;
	pid_t pid, foreign;
	struct rig r;

	(void)state;
	if (getenv("RIG_CGROUP"))
		skip();
	make_parent(&r, parent);
	snprintf(old, sizeof(old), "%s/aictl", parent);
	snprintf(dir, sizeof(dir), "%s/a.0", old);
	snprintf(other, sizeof(other), "%s/b.0", old);
	snprintf(empty, sizeof(empty), "%s/c.0", old);
	assert_int_equal(mkdir(old, 0755), 0);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(mkdir(other, 0755), 0);
	assert_int_equal(mkdir(empty, 0755), 0);
	foreign = sleeper_in(other);
	rig_start(&r, extra); /* a new instance has nothing there */
	assert_string_not_equal(r.status.cgroup_dir, old);
	k = rig_key(&r, "a", 0);
	mkdir(dir, 0755); /* perhaps it went with what was empty */
	rig_spawn_sh(&r, &k, "echo up; while :; do sleep 0.05; done", 1000);
	rig_expect_output(&r, &k, "up");
	pid = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	cgroup_rig_path(&r, &k, NULL, path);
	kill(r.pid, SIGKILL);
	rig_wait_exit(&r);
	put_into(dir, pid);
	RIG_UNTIL(&r, rmdir(path) == 0); /* a sleep may still be in it */
	assert_int_equal(rmdir(r.status.cgroup_dir), 0);
	rig_run(&r, extra);
	rig_wait_synced(&r);
	assert_string_equal(r.status.cgroup_dir, old);
	assert_int_equal(rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid, pid);
	assert_true(holds(&r, &k, pid));
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	assert_int_equal(cgroup_rig_n_procs(&r, &k), 0);
	rig_clean_stop(&r);
	assert_true(rig_is_alive(foreign));
	assert_int_equal(access(dir, F_OK), -1);
	kill(foreign, SIGKILL);
	assert_int_equal(waitpid(foreign, NULL, 0), foreign);
	rig_start(&r, extra); /* nobody is there any more: the old directory goes */
	assert_string_not_equal(r.status.cgroup_dir, old);
	assert_int_equal(access(old, F_OK), -1);
	rig_clean_stop(&r);
	assert_int_equal(rmdir(parent), 0);
}

static void a_place_that_cannot_be_had_is_done_without(void **state)
{
	static const char *const places[] = {"/sys/fs/cgroup/no/such", "/tmp", "none"};
	const char *extra[] = {"--cgroup", NULL, NULL};
	struct wire_key k;
	struct rig r;

	(void)state;
	if (getenv("RIG_CGROUP"))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		extra[1] = places[i];
		rig_start(&r, extra);
		assert_int_equal(r.status.cgroup_can, 0);
		assert_string_equal(r.status.cgroup_dir, "");
		k = rig_key(&r, "a", 0);
		rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
		rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
		freeze(&r, &k, true); /* nothing happens */
		rig_stop_key(&r, &k, 0, -1);
		assert_int_equal(rig_wait_exit_of(&r, &k)->signal, SIGTERM);
		rig_wait_swept(&r, &k);
		rig_clean_stop(&r);
	}
}

static void a_frozen_place_does_not_keep_aictld_from_starting(void **state)
{
	char parent[512], file[600];
	const char *extra[] = {"--cgroup", parent, NULL};
	struct wire_key k;
	struct rig r;
	FILE *f;

	(void)state;
	if (getenv("RIG_CGROUP"))
		skip();
	make_parent(&r, parent);
	snprintf(file, sizeof(file), "%s/cgroup.freeze", parent);
	for (int frozen = 1; frozen >= 0; frozen--) {
		f = fopen(file, "we");
		assert_non_null(f);
		fprintf(f, "%d", frozen);
		assert_int_equal(fclose(f), 0);
		if (frozen)
			rig_start(&r, extra);
	}
	assert_true(r.status.cgroup_can & WIRE_CGROUP_TRACK);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	assert_int_equal(cgroup_rig_n_procs(&r, &k), 1);
	rig_clean_stop(&r);
	assert_int_equal(rmdir(parent), 0);
}

/* ---- over aictld's death ---- */

static void a_new_aictld_takes_the_cgroups_over(void **state)
{
	struct wire_key k, thawed;
	struct rig_slot *s;
	struct rig r;
	pid_t pid;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_TRACK);
	k = rig_key(&r, "a", 0);
	thawed = rig_key(&r, "b", 0);
	rig_spawn_sh(&r, &k, "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done", 5000);
	rig_spawn_sh(&r, &thawed, "env -i setsid sleep 1000 & exec sleep 1000", 5000);
	rig_wait_state(&r, &thawed, WIRE_SLOT_RUNNING);
	rig_expect_output(&r, &k, "up");
	RIG_UNTIL(&r, cgroup_rig_n_procs(&r, &thawed) == 2);
	pid = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	freeze(&r, &k, true);
	s = rig_slot(&r, &k);
	RIG_UNTIL(&r, s->m.frozen);
	s->m.frozen = false;
	cgroup_rig_kill_and_start(&r, NULL, NULL);
	RIG_UNTIL(&r, s->m.frozen); /* and still is */
	assert_non_null(strstr(cgroup_rig_text(&r, &k, "cgroup.events"), "frozen 1"));
	assert_int_equal(rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid, pid);
	assert_true(holds(&r, &k, pid));
	rig_stop_key(&r, &k, 0, -1);
	rig_stop_key(&r, &thawed, 0, -1);
	assert_true(rig_wait_exit_of(&r, &k)->by_stop);
	rig_wait_swept(&r, &k);
	rig_wait_swept(&r, &thawed);
	assert_int_equal(cgroup_rig_n_procs(&r, &k) + cgroup_rig_n_procs(&r, &thawed), 0);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "exit 3", 1000);
	assert_int_equal(rig_wait_exit_of(&r, &k)->code, 3);
	rig_clean_stop(&r);
}

static void kill_main(void *user)
{
	pid_t pid = *(pid_t *)user;

	kill(pid, SIGKILL);
	for (int i = 0; i < 1000 && rig_is_alive(pid); i++)
		usleep(1000);
}

static void what_a_process_left_meanwhile_is_killed(void **state)
{
	struct wire_key k, next;
	char script[512], first[256];
	pid_t pid, escapee_pid;
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_TRACK);
	k = rig_key(&r, "a", 0);
	next = rig_key(&r, "a", 0);
	snprintf(first, sizeof(first), escapee, r.dir);
	snprintf(script, sizeof(script), "%s; exec sleep 1000", first);
	rig_spawn_sh(&r, &k, script, 1000);
	escapee_pid = pid_in(&r, "pid");
	pid = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	cgroup_rig_kill_and_start(&r, kill_main, &pid);
	rig_wait_exit_of(&r, &k);
	rig_spawn_sh(&r, &next, "exec sleep 1000", 1000);
	rig_wait_state(&r, &next, WIRE_SLOT_RUNNING);
	assert_false(rig_is_alive(escapee_pid));
	assert_int_equal(cgroup_rig_n_procs(&r, &next), 1);
	rig_clean_stop(&r);
}

/* ---- what cannot be killed ---- */

/* A start in a cgroup where something hangs. The server of what hangs; skips where there is none. */
static pid_t wait_for_the_unkillable(struct rig *r, struct wire_key *next, char dir[64])
{
	struct wire_key k;
	char script[256];
	pid_t server;

	cgroup_rig_start(r, NULL, WIRE_CGROUP_TRACK);
	if (!rig_hang("read", dir, 64, &server)) {
		rig_clean_stop(r);
		skip();
	}
	k = rig_key(r, "a", 0);
	*next = rig_key(r, "a", 0);
	snprintf(script, sizeof(script), "env -i setsid ls %s/x & sleep 0.3; exit 1", dir);
	rig_spawn_sh(r, &k, script, 1000);
	rig_wait_exit_of(r, &k);
	rig_spawn_sh(r, next, "exec sleep 1000", 1000);
	return server;
}

static void what_cannot_be_killed_holds_the_next_start_and_no_other(void **state)
{
	struct wire_key next, other;
	const struct wire_exit *x;
	char dir[64];
	struct rig r;
	pid_t server;

	(void)state;
	server = wait_for_the_unkillable(&r, &next, dir);
	other = rig_key(&r, "b", 0);
	rig_spawn_sh(&r, &other, "exec sleep 1000", 1000);
	rig_wait_state(&r, &other, WIRE_SLOT_RUNNING);
	rig_wait_state(&r, &next, WIRE_SLOT_STUCK);
	rig_unhang(dir, server);
	x = rig_wait_exit_of(&r, &next);
	assert_int_equal(x->stage, WIRE_STAGE_CLONE);
	assert_int_equal(x->what, WIRE_WHAT_CGROUP);
	assert_int_equal(x->err, ETIMEDOUT);
	next = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &next, "exec sleep 1000", 1000);
	rig_wait_state(&r, &next, WIRE_SLOT_RUNNING);
	assert_int_equal(cgroup_rig_n_procs(&r, &next), 1);
	rig_clean_stop(&r);
}

static void a_start_that_waits_is_called_off_by_aictlds_death(void **state)
{
	struct wire_key next, other;
	const struct wire_exit *x;
	char dir[64];
	struct rig r;
	pid_t server;

	(void)state;
	server = wait_for_the_unkillable(&r, &next, dir);
	other = rig_key(&r, "b", 0);
	rig_spawn_sh(&r, &other, "exec sleep 1000", 1000); /* asked for later */
	rig_wait_state(&r, &other, WIRE_SLOT_RUNNING);
	cgroup_rig_kill_and_start(&r, NULL, NULL);
	x = rig_wait_exit_of(&r, &next);
	assert_int_equal(x->stage, WIRE_STAGE_CLONE);
	assert_int_equal(x->err, ECANCELED);
	assert_false(rig_wait_state(&r, &next, WIRE_SLOT_EMPTY)->m.swept);
	rig_unhang(dir, server);
	rig_wait_swept(&r, &next);
	assert_int_equal(cgroup_rig_n_procs(&r, &next), 0);
	rig_clean_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_are_born_in_the_cgroup_of_their_slot),
		cmocka_unit_test(nothing_escapes_a_stop),
		cmocka_unit_test(a_tree_that_forks_as_it_can_is_killed),
		cmocka_unit_test(nothing_is_started_before_the_cgroup_is_empty),
		cmocka_unit_test(a_start_that_waits_can_be_stopped),
		cmocka_unit_test(a_cgroup_that_was_removed_or_divided_is_made_anew),
		cmocka_unit_test(a_frozen_service_stands_still_and_can_be_stopped),
		cmocka_unit_test(what_nobody_knows_is_killed_at_the_start),
		cmocka_unit_test(two_instances_share_a_place),
		cmocka_unit_test(what_an_older_build_placed_is_taken_over),
		cmocka_unit_test(a_place_that_cannot_be_had_is_done_without),
		cmocka_unit_test(a_frozen_place_does_not_keep_aictld_from_starting),
		cmocka_unit_test(a_new_aictld_takes_the_cgroups_over),
		cmocka_unit_test(what_a_process_left_meanwhile_is_killed),
		cmocka_unit_test(what_cannot_be_killed_holds_the_next_start_and_no_other),
		cmocka_unit_test(a_start_that_waits_is_called_off_by_aictlds_death),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
