/*
 * test_aictld_limits: limits in the cgroups of slots, at the start and live. What needs a controller
 * that is not there is skipped for itself: tests/uml runs this in a kernel that has them.
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

/* ---- limits ---- */

static void expect_in(struct rig *r, const struct wire_key *k, const char *file, const char *want)
{
	RIG_UNTIL(r, strcmp(cgroup_rig_text(r, k, file), want) == 0);
}

static void set_limits(struct rig *r, const struct wire_key *k, const struct wire_limits *m)
{
	struct buf b = {0};

	wire_cgroup_encode_limits(&b, k, m);
	rig_send(r, &b, NULL, 0);
}

static void limits_stand_in_the_cgroup_and_change_live(void **state)
{
	const struct wire_limits first = {.memory_max = 64 << 20, .pids_max = 50, .cpu_milli = 500};
	const struct wire_limits second = {.memory_max = 128 << 20, .cpu_weight = 50};
	struct wire_key k;
	struct rig r;
	pid_t pid;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_MEMORY | WIRE_CGROUP_PIDS | WIRE_CGROUP_CPU);
	k = rig_key(&r, "a", 0);
	cgroup_rig_spawn(&r, &k, "exec sleep 1000", &first, false);
	pid = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	expect_in(&r, &k, "memory.max", "67108864\n");
	expect_in(&r, &k, "pids.max", "50\n");
	expect_in(&r, &k, "cpu.max", "50000 100000\n");
	expect_in(&r, &k, "cpu.weight", "100\n");
	set_limits(&r, &k, &second);
	expect_in(&r, &k, "memory.max", "134217728\n");
	expect_in(&r, &k, "cpu.weight", "50\n");
	expect_in(&r, &k, "pids.max", "max\n");
	expect_in(&r, &k, "cpu.max", "max 100000\n");
	for (int i = 1; i <= 20; i++) { /* only the last one counts */
		const struct wire_limits m = {.pids_max = (uint64_t)i + 10};

		set_limits(&r, &k, &m);
	}
	expect_in(&r, &k, "pids.max", "30\n");
	expect_in(&r, &k, "memory.max", "max\n");
	cgroup_rig_kill_and_start(&r, NULL,
				  NULL); /* in force all the time, and changed as before */
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	expect_in(&r, &k, "pids.max", "30\n");
	set_limits(&r, &k, &second);
	expect_in(&r, &k, "memory.max", "134217728\n");
	expect_in(&r, &k, "pids.max", "max\n");
	assert_int_equal(rig_slot(&r, &k)->m.pid, pid);
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	k = rig_key(&r, "a", 0); /* another start with others: a new cgroup */
	cgroup_rig_spawn(&r, &k, "exec sleep 1000", &first, false);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	expect_in(&r, &k, "memory.max", "67108864\n");
	expect_in(&r, &k, "pids.max", "50\n");
	rig_clean_stop(&r);
}

static void an_oom_kill_is_told(void **state)
{
	const struct wire_limits m = {
		.memory_max = 32 << 20, .has_swap_max = true, .oom_group = true};
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_MEMORY);
	k = rig_key(&r, "eats", 0);
	cgroup_rig_spawn(&r, &k, "sleep 1000 & tail /dev/zero; exit 3", &m, false);
	x = rig_wait_exit_of(&r, &k);
	assert_true(x->oom_killed);
	assert_int_equal(x->signal, SIGKILL); /* the shell, too: oom_group */
	assert_false(x->by_stop);
	k = rig_key(&r, "eats", 0); /* the same cgroup: the old count is not its own */
	cgroup_rig_spawn(&r, &k, "exit 4", &m, false);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->code, 4);
	assert_false(x->oom_killed);
	rig_clean_stop(&r);
}

static void a_fork_bomb_meets_its_limit(void **state)
{
	const struct wire_limits m = {.pids_max = 30};
	struct wire_key k;
	char script[512];
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_PIDS);
	k = rig_key(&r, "bomb", 0);
	snprintf(script, sizeof(script),
		 "echo 'while :; do sh \"$0\" & sh \"$0\"; done' > %s/bomb; "
		 "env -i setsid sh %s/bomb 2> /dev/null & wait",
		 r.dir, r.dir);
	cgroup_rig_spawn(&r, &k, script, &m, false);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	RIG_UNTIL(&r, cgroup_rig_n_procs(&r, &k) > 10 &&
			      !strstr(cgroup_rig_text(&r, &k, "pids.events"), "max 0"));
	assert_true(cgroup_rig_n_procs(&r, &k) <= 30);
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	assert_int_equal(cgroup_rig_n_procs(&r, &k), 0);
	rig_clean_stop(&r);
}

static void a_limit_that_the_kernel_refuses_fails_the_start(void **state)
{
	const struct wire_limits m = {.pids_max = UINT64_MAX};
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_PIDS);
	k = rig_key(&r, "a", 0);
	cgroup_rig_spawn(&r, &k, "exit 0", &m, false);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->stage, WIRE_STAGE_CLONE);
	assert_int_equal(x->what, WIRE_WHAT_CGROUP);
	assert_true(x->err != 0);
	k = rig_key(&r, "a", 0);
	cgroup_rig_spawn(&r, &k, "exit 6", NULL, false);
	assert_int_equal(rig_wait_exit_of(&r, &k)->code, 6);
	rig_clean_stop(&r);
}

static const char *failure(struct rig *r, const struct wire_key *k)
{
	const struct rig_slot *s = rig_slot(r, k);

	return s ? s->m.limits_failed : "";
}

static void a_live_change_that_the_kernel_refuses_is_told(void **state)
{
	const struct wire_limits bad = {.pids_max = UINT64_MAX}, good = {.pids_max = 40};
	struct wire_key k;
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, WIRE_CGROUP_PIDS);
	k = rig_key(&r, "a", 0);
	cgroup_rig_spawn(&r, &k, "exec sleep 1000", NULL, false);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	assert_string_equal(failure(&r, &k), "");
	set_limits(&r, &k, &bad);
	RIG_UNTIL(&r, *failure(&r, &k));
	assert_ptr_equal(strstr(failure(&r, &k), "pids.max: "), failure(&r, &k));
	set_limits(&r, &k, &good);
	RIG_UNTIL(&r, !*failure(&r, &k));
	expect_in(&r, &k, "pids.max", "40\n");
	rig_clean_stop(&r);
}

/* Without the controllers they change nothing, and break nothing. */
static void limits_that_nobody_enforces_are_passed_over(void **state)
{
	const struct wire_limits m = {.memory_max = 1, .pids_max = 1, .cpuset = "99999"};
	struct wire_key k;
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, 0);
	if (r.status.cgroup_can & ~(uint32_t)WIRE_CGROUP_TRACK) {
		rig_clean_stop(&r);
		skip();
	}
	k = rig_key(&r, "a", 0);
	cgroup_rig_spawn(&r, &k, "echo up; exec sleep 1000", &m, false);
	rig_expect_output(&r, &k, "up");
	set_limits(&r, &k, &(struct wire_limits){.memory_max = 2});
	rig_stop_key(&r, &k, 0, -1);
	assert_int_equal(rig_wait_exit_of(&r, &k)->signal, SIGTERM);
	rig_clean_stop(&r);
}

/* They share what aictld remembers of them. */
static void slots_with_the_same_limits_go_their_own_ways(void **state)
{
	const struct wire_limits same = {.pids_max = 50, .memory_max = 64 << 20};
	const struct wire_limits other = {.pids_max = 60};
	struct wire_key a, b;
	bool pids;
	struct rig r;

	(void)state;
	cgroup_rig_start(&r, NULL, 0);
	pids = r.status.cgroup_can & WIRE_CGROUP_PIDS;
	a = rig_key(&r, "a", 0);
	b = rig_key(&r, "a", 1);
	cgroup_rig_spawn(&r, &a, "exec sleep 1000", &same, false);
	cgroup_rig_spawn(&r, &b, "exec sleep 1000", &same, false);
	rig_wait_state(&r, &a, WIRE_SLOT_RUNNING);
	rig_wait_state(&r, &b, WIRE_SLOT_RUNNING);
	set_limits(&r, &a, &other);
	set_limits(&r, &a, &same);
	set_limits(&r, &a, &other);
	if (pids) {
		expect_in(&r, &a, "pids.max", "60\n");
		expect_in(&r, &b, "pids.max", "50\n");
	}
	rig_stop_key(&r, &b, 0, -1);
	rig_wait_swept(&r, &b);
	b = rig_key(&r, "a", 1);
	cgroup_rig_spawn(&r, &b, "exec sleep 1000", &same, false);
	rig_wait_state(&r, &b, WIRE_SLOT_RUNNING);
	set_limits(&r, &b, &other);
	rig_stop_key(&r, &a, 0, -1);
	rig_wait_swept(&r, &a);
	if (pids)
		expect_in(&r, &b, "pids.max", "60\n");
	rig_clean_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_stand_in_the_cgroup_and_change_live),
		cmocka_unit_test(an_oom_kill_is_told),
		cmocka_unit_test(a_fork_bomb_meets_its_limit),
		cmocka_unit_test(a_limit_that_the_kernel_refuses_fails_the_start),
		cmocka_unit_test(a_live_change_that_the_kernel_refuses_is_told),
		cmocka_unit_test(limits_that_nobody_enforces_are_passed_over),
		cmocka_unit_test(slots_with_the_same_limits_go_their_own_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
