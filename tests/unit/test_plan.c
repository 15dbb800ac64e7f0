/* test_plan: what is done next, for the cases a user meets. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/plan.h"
#include "lib/mem.h"

#define NOW 10000

static struct plan_replica rep(unsigned index, enum replica_state state, bool current)
{
	return (struct plan_replica){.index = index, .state = state, .current = current};
}

/* "start 0; stop 1 replace" for the actions of one step. */
static const char *plan(const struct plan_desired *d, const struct plan_replica *r, size_t n,
			char *text)
{
	static const char *const kinds[] = {"start", "stop", "remove"};
	struct plan_action a[16];
	struct plan_result res = plan_step(d, r, n, NOW, a, ARRAY_SIZE(a));
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < res.n_actions; i++)
		len += (size_t)snprintf(
			text + len, 200 - len, "%s%s %u%s", i ? "; " : "", kinds[a[i].kind],
			a[i].index,
			a[i].kind == PLAN_STOP && a[i].intent == STOP_REPLACE ? " replace" : "");
	return text;
}

static void test_starts_what_is_missing(void **state)
{
	const struct plan_desired d = {.replicas = 3};
	const struct plan_replica r[] = {rep(1, REPLICA_READY, true)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, NULL, 0, t), "start 0; start 1; start 2");
	assert_string_equal(plan(&d, r, 1, t), "start 0; start 2");
}

static void test_stopped_deleted_scaled(void **state)
{
	const struct plan_replica r[] = {rep(0, REPLICA_READY, true), rep(1, REPLICA_BACKOFF, true),
					 rep(2, REPLICA_EXITED, true),
					 rep(3, REPLICA_STOPPING, true)};
	struct plan_desired d = {.replicas = 4, .stopped = true};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 4, t), "stop 0; stop 1; remove 2");
	d = (struct plan_desired){.replicas = 4, .deleted = true};
	assert_string_equal(plan(&d, r, 4, t), "stop 0; stop 1; remove 2");
	d = (struct plan_desired){.replicas = 1};
	assert_string_equal(plan(&d, r, 4, t), "stop 1; remove 2");
	d = (struct plan_desired){.replicas = 4, .frozen = true};
	assert_string_equal(plan(&d, r, 4, t), "");
}

static void test_backoff_waits(void **state)
{
	const struct plan_desired d = {.replicas = 2};
	struct plan_replica r[] = {rep(0, REPLICA_BACKOFF, true), rep(1, REPLICA_BACKOFF, true)};
	struct plan_action a[4];
	struct plan_result res;
	char t[200];

	(void)state;
	r[0].next_at_mono_ms = NOW + 500;
	r[1].next_at_mono_ms = NOW + 200;
	res = plan_step(&d, r, 2, NOW, a, 4);
	assert_int_equal(res.n_actions, 0);
	assert_int_equal(res.wake_mono_ms, NOW + 200);
	r[1].next_at_mono_ms = NOW;
	assert_string_equal(plan(&d, r, 2, t), "start 1");
	r[0].current = false; /* a new revision does not wait for the old one's back-off */
	assert_string_equal(plan(&d, r, 2, t), "start 0; start 1");
}

static void test_replaces_one_by_one(void **state)
{
	const struct plan_desired d = {.replicas = 3};
	struct plan_replica r[] = {rep(0, REPLICA_READY, false), rep(1, REPLICA_READY, false),
				   rep(2, REPLICA_READY, false)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 3, t), "stop 0 replace");
	r[0].state = REPLICA_STOPPING;
	assert_string_equal(plan(&d, r, 3, t), "");
	r[0].state = REPLICA_PENDING;
	assert_string_equal(plan(&d, r, 3, t), "start 0");
	r[0] = rep(0, REPLICA_STARTING, true);
	assert_string_equal(plan(&d, r, 3, t), "");
	r[0].state =
		REPLICA_BACKOFF; /* the new revision does not come up: the others go on serving */
	r[0].next_at_mono_ms = NOW + 1;
	assert_string_equal(plan(&d, r, 3, t), "");
	r[0].state = REPLICA_READY;
	assert_string_equal(plan(&d, r, 3, t), "stop 1 replace");
}

static void test_broken_ones_are_replaced_at_once(void **state)
{
	const struct plan_desired d = {.replicas = 4};
	const struct plan_replica r[] = {
		rep(0, REPLICA_STARTING, false), rep(1, REPLICA_UNREADY, false),
		rep(2, REPLICA_FAILED, false), rep(3, REPLICA_READY, false)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 4, t), "stop 0 replace; stop 1 replace; start 2");
}

static void test_user_restart(void **state)
{
	const struct plan_desired d = {.replicas = 2};
	struct plan_replica r[] = {rep(0, REPLICA_READY, true), rep(1, REPLICA_SUCCEEDED, true)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 2, t), "");
	r[0].restart = r[1].restart = true;
	assert_string_equal(plan(&d, r, 2, t), "start 1");
	r[1] = rep(1, REPLICA_SUCCEEDED, true);
	assert_string_equal(plan(&d, r, 2, t), "stop 0 replace");
}

static void test_ended_for_good_stays(void **state)
{
	const struct plan_desired d = {.replicas = 3};
	const struct plan_replica r[] = {rep(0, REPLICA_FAILED, true),
					 rep(1, REPLICA_SUCCEEDED, true),
					 rep(2, REPLICA_UNKNOWN, true)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 3, t), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_what_is_missing),
		cmocka_unit_test(test_stopped_deleted_scaled),
		cmocka_unit_test(test_backoff_waits),
		cmocka_unit_test(test_replaces_one_by_one),
		cmocka_unit_test(test_broken_ones_are_replaced_at_once),
		cmocka_unit_test(test_user_restart),
		cmocka_unit_test(test_ended_for_good_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
