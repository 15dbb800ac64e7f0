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
	static const char *const kinds[] = {"start", "stop", "remove", "wait"};
	struct plan_action a[16];
	struct plan_result res = plan_step(d, r, n, NOW, a, ARRAY_SIZE(a));
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < res.n_actions; i++)
		len += (size_t)snprintf(
			text + len, 200 - len, "%s%s %u%s%s", i ? "; " : "", kinds[a[i].kind],
			a[i].index,
			a[i].kind == PLAN_STOP && a[i].intent == STOP_REPLACE ? " replace" : "",
			a[i].as_before ? " as before" : "");
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
					 rep(3, REPLICA_STOPPING, true),
					 rep(4, REPLICA_DRAINING, true)};
	struct plan_desired d = {.replicas = 4, .stopped = true};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 5, t), "stop 0; stop 1; remove 2");
	d = (struct plan_desired){.replicas = 4, .deleted = true};
	assert_string_equal(plan(&d, r, 5, t), "stop 0; stop 1; remove 2");
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
	r[0].state = REPLICA_DRAINING;
	r[0].intent = STOP_REPLACE; /* comes back, so nothing else is started for it */
	assert_string_equal(plan(&d, r, 3, t), "");
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
	struct plan_replica r[] = {rep(0, REPLICA_STARTING, false), rep(1, REPLICA_UNREADY, false),
				   rep(2, REPLICA_FAILED, false), rep(3, REPLICA_BACKOFF, false)};
	char t[200];

	(void)state;
	r[3].next_at_mono_ms = NOW + 1;
	assert_string_equal(plan(&d, r, 4, t), "stop 0 replace; stop 1 replace; start 2; start 3");
	r[3] = rep(3, REPLICA_READY, false); /* while the old revision serves: within the bounds */
	assert_string_equal(plan(&d, r, 4, t), "stop 0 replace");
}

static void test_user_restart(void **state)
{
	const struct plan_desired d = {.replicas = 2};
	struct plan_replica r[] = {rep(0, REPLICA_READY, true), rep(1, REPLICA_SUCCEEDED, true)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 2, t), "");
	r[0].recycle = r[1].recycle = "user_restart";
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

/* ---- updates ---- */

#define SURGE_1                                                                                    \
	{                                                                                          \
		.max_surge = 1, .min_ready_ms = 1000                                               \
	}

static void test_start_first(void **state)
{
	struct plan_desired d = {.replicas = 1, .update = SURGE_1};
	struct plan_replica r[] = {rep(0, REPLICA_READY, false), rep(1, REPLICA_STARTING, true)};
	struct plan_action a[4];
	struct plan_result res;
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 1, t), "start 1");
	assert_string_equal(plan(&d, r, 2, t), "");
	r[1].state = REPLICA_READY;
	r[1].ready_mono_ms = NOW - 999; /* not for min_ready yet */
	res = plan_step(&d, r, 2, NOW, a, 4);
	assert_int_equal(res.n_actions, 0);
	assert_int_equal(res.wake_mono_ms, NOW + 1);
	r[1].ready_mono_ms = NOW - 1000;
	assert_string_equal(plan(&d, r, 2, t), "stop 0");
	r[0].state = REPLICA_STOPPING;
	r[0].intent = STOP_REMOVE;
	assert_string_equal(plan(&d, r, 2, t), "");
	r[0].state = REPLICA_EXITED;
	assert_string_equal(plan(&d, r, 2, t), "remove 0");
	/* the set of indexes is {1} now, and the next update starts at the smallest free one */
	r[1].current = false;
	assert_string_equal(plan(&d, r + 1, 1, t), "start 0");
}

static void test_surge_counts_what_is_stopping(void **state)
{
	const struct plan_desired d = {.replicas = 2, .update = SURGE_1};
	struct plan_replica r[] = {rep(0, REPLICA_STOPPING, false), rep(1, REPLICA_READY, false),
				   rep(2, REPLICA_READY, true)};
	char t[200];

	(void)state;
	r[0].intent = STOP_REMOVE;
	assert_string_equal(plan(&d, r, 3, t), "");
	r[0].state = REPLICA_DRAINING; /* its stop has begun as well */
	assert_string_equal(plan(&d, r, 3, t), "");
	r[0].state = REPLICA_EXITED; /* its index is taken again */
	assert_string_equal(plan(&d, r, 3, t), "start 0");
}

static void test_bounds(void **state)
{
	struct plan_desired d = {.replicas = 4, .update = {.max_surge = 1, .max_unavailable = 1}};
	struct plan_replica r[5];
	char t[200];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		r[i] = rep(i, REPLICA_READY, false);
	r[4] = rep(4, REPLICA_STARTING, true);
	assert_string_equal(plan(&d, r, 4, t), "stop 0 replace; start 4");
	r[0] = rep(0, REPLICA_STARTING, true);
	assert_string_equal(plan(&d, r, 5, t), "");
	r[4].state = REPLICA_READY; /* one more than needed is available now */
	assert_string_equal(plan(&d, r, 5, t), "stop 1");
	d.update = (struct plan_update){.stop_first = true, .max_surge = 1, .max_unavailable = 2};
	r[0] = rep(0, REPLICA_READY, false);
	assert_string_equal(plan(&d, r, 4, t), "stop 0 replace; stop 1 replace");
	d.update = (struct plan_update){.max_surge = 4};
	assert_string_equal(plan(&d, r, 4, t), "start 4; start 5; start 6; start 7");
}

/* A bad revision: no more than surge + unavailable of it, and the old ones come back as they were. */
static void test_old_ones_are_kept(void **state)
{
	struct plan_desired d = {.replicas = 3, .update = SURGE_1};
	struct plan_replica r[] = {rep(0, REPLICA_READY, false), rep(1, REPLICA_BACKOFF, false),
				   rep(2, REPLICA_READY, false), rep(3, REPLICA_BACKOFF, true)};
	char t[200];

	(void)state;
	r[1].restorable = true;
	r[1].next_at_mono_ms = r[3].next_at_mono_ms = NOW + 1;
	assert_string_equal(plan(&d, r, 4, t), "");
	r[1].next_at_mono_ms = NOW;
	assert_string_equal(plan(&d, r, 4, t), "start 1 as before");
	for (int i = 0; i < 4; i++) /* rolled back: the last good one is desired again */
		r[i].current = i != 3;
	r[1].state = REPLICA_READY;
	assert_string_equal(plan(&d, r, 4, t), "stop 3");
}

static void test_superseded_goes_to_the_newest(void **state)
{
	const struct plan_desired d = {.replicas = 2, .update = SURGE_1};
	struct plan_replica r[] = {rep(0, REPLICA_READY, false), rep(1, REPLICA_READY, false),
				   rep(2, REPLICA_STARTING, false)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 3, t), "stop 2");
	r[2].state = REPLICA_STOPPING;
	r[2].intent = STOP_REMOVE;
	assert_string_equal(plan(&d, r, 3, t), "");
	assert_string_equal(plan(&d, r, 2, t), "start 2");
}

static void test_paused(void **state)
{
	struct plan_desired d = {.replicas = 3, .update = SURGE_1};
	struct plan_replica r[] = {rep(0, REPLICA_READY, false), rep(1, REPLICA_FAILED, false),
				   rep(2, REPLICA_BACKOFF, false), rep(3, REPLICA_READY, true)};
	char t[200];

	(void)state;
	d.update.paused = true;
	r[2].restorable = true;
	assert_string_equal(plan(&d, r, 4, t), "start 2 as before");
	r[2].state = REPLICA_READY;
	d.replicas = 1; /* scaling goes on: the outdated ones first, the new one stays */
	assert_string_equal(plan(&d, r, 4, t), "stop 0; stop 1");
}

/* Scaled up while it is paused, or before it has paused for a look. */
static void test_paused_and_scaled_up(void **state)
{
	struct plan_desired d = {.replicas = 5, .update = SURGE_1};
	struct plan_replica r[] = {rep(0, REPLICA_READY, false), rep(1, REPLICA_READY, false),
				   rep(2, REPLICA_READY, true)};
	char t[200];

	(void)state;
	d.update.paused = true;
	assert_string_equal(plan(&d, r, 3, t), "start 3; start 4"); /* nothing else is known */
	d.update.growable = true;
	assert_string_equal(plan(&d, r, 3, t), "start 3 as before; start 4 as before");
	d.update.paused = false;
	assert_string_equal(plan(&d, r, 3, t), "start 3; start 4");
	d.update.max_new = 2; /* one more */
	assert_string_equal(plan(&d, r, 3, t), "start 3; start 4 as before");
	r[0].current = r[1].current = true; /* nothing old is left */
	assert_string_equal(plan(&d, r, 3, t), "start 3; start 4");
}

static void test_surplus_order(void **state)
{
	const struct plan_desired d = {.replicas = 2};
	struct plan_replica r[] = {rep(0, REPLICA_BACKOFF, true), rep(1, REPLICA_READY, true),
				   rep(2, REPLICA_STARTING, true), rep(3, REPLICA_READY, true),
				   rep(4, REPLICA_READY, true)};
	char t[200];

	(void)state;
	r[0].next_at_mono_ms = NOW + 1;
	assert_string_equal(plan(&d, r, 5, t), "stop 0; stop 2; stop 4");
	assert_string_equal(plan(&d, r, 3, t), "stop 2");
	r[2].state = REPLICA_STOPPING; /* to be replaced: it goes when that is over */
	r[2].intent = STOP_REPLACE;
	assert_string_equal(plan(&d, r + 1, 3, t), "");
}

static void test_in_place(void **state)
{
	const struct plan_desired d = {.replicas = 2, .update = SURGE_1};
	struct plan_replica r[] = {rep(0, REPLICA_READY, true), rep(1, REPLICA_READY, true)};
	char t[200];

	(void)state;
	r[0].recycle = r[1].recycle = "user_restart";
	assert_string_equal(plan(&d, r, 2, t), "start 2");
	r[0].in_place = r[1].in_place = true;
	assert_string_equal(plan(&d, r, 2, t), "stop 0 replace");
}

/* A restart proves nothing: no min_ready. */
static void test_recycle_needs_no_min_ready(void **state)
{
	const struct plan_desired d = {.replicas = 1, .update = SURGE_1};
	struct plan_replica r[] = {rep(0, REPLICA_READY, true), rep(1, REPLICA_READY, true)};
	char t[200];

	(void)state;
	r[0].recycle = "user_restart";
	r[1].ready_mono_ms = NOW;
	assert_string_equal(plan(&d, r, 2, t), "stop 0");
	r[0].current = false;
	assert_string_equal(plan(&d, r, 2, t), "");
}

/* ---- order, tasks, hooks ---- */

static void test_held(void **state)
{
	struct plan_desired d = {.replicas = 4, .held = true, .update = SURGE_1};
	struct plan_replica r[] = {rep(0, REPLICA_PENDING, true), rep(1, REPLICA_BACKOFF, true),
				   rep(2, REPLICA_BACKOFF, true)};
	char t[200];

	(void)state;
	r[2].next_at_mono_ms = NOW + 1;
	assert_string_equal(plan(&d, r, 3, t), "wait 0; wait 1; wait 3");
	r[0].state = r[1].state = REPLICA_WAITING;
	assert_string_equal(plan(&d, r, 2, t), "wait 2; wait 3");
	d.replicas = 2;
	assert_string_equal(plan(&d, r, 2, t), "");
	d.held = false;
	assert_string_equal(plan(&d, r, 2, t), "start 0; start 1");
	d.held = true;
	r[0] = rep(0, REPLICA_READY, false); /* and nothing that serves is touched */
	r[1] = rep(1, REPLICA_READY, false);
	assert_string_equal(plan(&d, r, 2, t), "");
	d.stopped = true;
	assert_string_equal(plan(&d, r, 2, t), "stop 0; stop 1");
}

static void test_stop_held(void **state)
{
	struct plan_desired d = {.replicas = 3, .deleted = true, .stop_held = true};
	struct plan_replica r[] = {rep(0, REPLICA_READY, true), rep(1, REPLICA_BACKOFF, true),
				   rep(2, REPLICA_EXITED, true)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 3, t), "stop 1; remove 2");
	d = (struct plan_desired){.replicas = 1, .stop_held = true}; /* others serve: scale down */
	assert_string_equal(plan(&d, r, 3, t), "stop 1; remove 2");
	d.stop_held = false;
	d.replicas = 0;
	assert_string_equal(plan(&d, r, 3, t), "stop 0; stop 1; remove 2");
}

static void test_task(void **state)
{
	struct plan_desired d = {.replicas = 1, .task = true, .run_at_mono_ms = NOW + 5};
	struct plan_replica r = rep(0, REPLICA_SUCCEEDED, true);
	struct plan_action a[4];
	struct plan_result res;
	char t[200];

	(void)state;
	res = plan_step(&d, &r, 1, NOW, a, 4);
	assert_int_equal(res.n_actions, 0);
	assert_int_equal(res.wake_mono_ms, NOW + 5);
	assert_string_equal(plan(&d, NULL, 0, t), "start 0");
	d.scheduled = true;
	assert_string_equal(plan(&d, NULL, 0, t), "wait 0");
	r.current = false; /* a change waits for the next run, too */
	assert_string_equal(plan(&d, &r, 1, t), "");
	r.state = REPLICA_WAITING;
	assert_string_equal(plan(&d, &r, 1, t), "");
	d.run_at_mono_ms = NOW;
	assert_string_equal(plan(&d, &r, 1, t), "start 0");
	r.state = REPLICA_FAILED;
	assert_string_equal(plan(&d, &r, 1, t), "start 0");
}

static void test_busy(void **state)
{
	struct plan_desired d = {.replicas = 1};
	struct plan_replica r[] = {rep(0, REPLICA_BACKOFF, true), rep(1, REPLICA_EXITED, true)};
	char t[200];

	(void)state;
	r[0].busy = r[1].busy = true;
	assert_string_equal(plan(&d, r, 2, t), "");
	d.deleted = true;
	assert_string_equal(plan(&d, r, 2, t), "stop 0");
	d.deleted = false;
	r[0].busy = r[1].busy = false;
	assert_string_equal(plan(&d, r, 2, t), "start 0; remove 1");
}

static struct plan_replica stable(unsigned index, enum replica_state state)
{
	struct plan_replica r = rep(index, state, false);

	r.restorable = r.good = true;
	return r;
}

static void test_canaries_run_beside_the_stable_ones(void **state)
{
	struct plan_desired d = {.replicas = 3, .update = {.canaries = 2, .growable = true}};
	struct plan_replica r[6] = {stable(0, REPLICA_READY), stable(1, REPLICA_READY),
				    stable(2, REPLICA_READY)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 3, t), "start 3; start 4");
	r[3] = rep(3, REPLICA_READY, true);
	r[4] = rep(4, REPLICA_STARTING, true);
	assert_string_equal(plan(&d, r, 5, t), "");
	r[4].state = REPLICA_READY;
	assert_string_equal(plan(&d, r, 5, t), ""); /* nothing is replaced */
	r[4].state = REPLICA_BACKOFF;
	assert_string_equal(plan(&d, r, 5, t), "start 4");
	r[4].state = REPLICA_READY;
	r[1].state = REPLICA_BACKOFF; /* comes back as it was */
	assert_string_equal(plan(&d, r, 5, t), "start 1 as before");
	r[1].state = REPLICA_UNREADY;
	assert_string_equal(plan(&d, r, 5, t), "");
	r[1].state = REPLICA_READY;
	d.update.canaries = 1;
	assert_string_equal(plan(&d, r, 5, t), "stop 4");
	d.held = true;
	d.update.canaries = 2;
	assert_string_equal(plan(&d, r, 4, t), "");
}

static void test_canaries_and_another_scale(void **state)
{
	struct plan_desired d = {.replicas = 4, .update = {.canaries = 1, .growable = true}};
	struct plan_replica r[] = {stable(0, REPLICA_READY), stable(1, REPLICA_READY),
				   rep(2, REPLICA_READY, true)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 3, t), "start 3 as before; start 4 as before");
	d.update.growable = false; /* the new revision is not to spread */
	assert_string_equal(plan(&d, r, 3, t), "");
	d.replicas = 1;
	assert_string_equal(plan(&d, r, 3, t), "stop 0");
	d.stopped = true;
	assert_string_equal(plan(&d, r, 3, t), "stop 0; stop 1; stop 2");
}

/* Another update came while there was a canary: that one goes, the stable ones stay. */
static void test_canary_after_a_canary(void **state)
{
	const struct plan_desired d = {.replicas = 2, .update = {.canaries = 1, .growable = true}};
	struct plan_replica r[] = {rep(0, REPLICA_READY, false), stable(1, REPLICA_READY),
				   stable(2, REPLICA_READY)};
	char t[200];

	(void)state;
	r[0].restorable = true;
	assert_string_equal(plan(&d, r, 3, t), "stop 0");
	r[0].state = REPLICA_DRAINING;
	r[0].intent = STOP_REMOVE;
	assert_string_equal(plan(&d, r, 3, t), "");
	assert_string_equal(plan(&d, r + 1, 2, t), "start 0");
}

/* It was stopped, or scaled to zero. */
static void test_canary_of_what_does_not_run(void **state)
{
	struct plan_desired d = {.replicas = 2, .update = {.canaries = 1, .growable = true}};
	struct plan_replica r[] = {rep(0, REPLICA_WAITING, true), rep(1, REPLICA_WAITING, true),
				   rep(2, REPLICA_WAITING, true)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, NULL, 0, t), "start 0; start 1 as before; start 2 as before");
	d.held = true; /* nobody knows yet which of them will be what */
	assert_string_equal(plan(&d, NULL, 0, t), "wait 0; wait 1");
	assert_string_equal(plan(&d, r, 2, t), "wait 2");
	assert_string_equal(plan(&d, r, 3, t), "");
	d.held = false;
	assert_string_equal(plan(&d, r, 3, t), "start 0; stop 1; stop 2");
	d.update.growable = false;
	assert_string_equal(plan(&d, NULL, 0, t), "start 0; start 1");
}

/* Back: the canary goes, nothing else. */
static void test_canary_is_taken_back(void **state)
{
	const struct plan_desired d = {.replicas = 2, .update = {.max_surge = 1}};
	const struct plan_replica r[] = {rep(0, REPLICA_READY, true), rep(1, REPLICA_READY, true),
					 rep(2, REPLICA_READY, false),
					 rep(3, REPLICA_STARTING, false)};
	char t[200];

	(void)state;
	assert_string_equal(plan(&d, r, 4, t), "stop 2; stop 3");
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
		cmocka_unit_test(test_start_first),
		cmocka_unit_test(test_surge_counts_what_is_stopping),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_old_ones_are_kept),
		cmocka_unit_test(test_superseded_goes_to_the_newest),
		cmocka_unit_test(test_paused),
		cmocka_unit_test(test_paused_and_scaled_up),
		cmocka_unit_test(test_surplus_order),
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_recycle_needs_no_min_ready),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_stop_held),
		cmocka_unit_test(test_task),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_canaries_run_beside_the_stable_ones),
		cmocka_unit_test(test_canaries_and_another_scale),
		cmocka_unit_test(test_canary_after_a_canary),
		cmocka_unit_test(test_canary_of_what_does_not_run),
		cmocka_unit_test(test_canary_is_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
