/*
 * test_preview: what an apply makes of a service, and that its order is the order of plan_step.
 *
 * The last test plays random services against a second, naive player that asks plan_step for one
 * action at a time: the two must touch the same replicas in the same order.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/preview.h"
#include "daemon/controller/rollout.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/schema.h"

#define NOW 10000

/* A specification with all defaults but for its updates, command `word` and so many replicas. */
static struct service_spec *spec(const char *word, int64_t replicas)
{
	struct service_spec *s = mem_alloc(sizeof(*s));
	const char *const command[] = {word, NULL};

	assert_non_null(s);
	assert_int_equal(schema_defaults(s), 0);
	s->name = mem_strdup("a");
	s->command = mem_strv_dup(command);
	s->working_dir = mem_strdup("/");
	s->replicas = replicas;
	s->update.order = UPDATE_STOP_FIRST;
	s->update.min_ready_ms = 0;
	return s;
}

static struct preview_replica rep(unsigned index, enum replica_state state,
				  const struct service_spec *runs)
{
	return (struct preview_replica){.index = index,
					.state = state,
					.launch_hash = service_spec_hash(runs),
					.start_ms = 2000,
					.stop_ms = 100};
}

/* "replace: restart 0, restart 1" */
static const char *shown(const struct preview *p, char *text)
{
	size_t len = (size_t)snprintf(text, 400, "%s:", preview_action_name(p->action));

	for (size_t i = 0; i < p->n_steps; i++)
		len += (size_t)snprintf(text + len, 400 - len, "%s %s %u", i ? "," : "",
					preview_touch_name(p->steps[i].touch), p->steps[i].index);
	return text;
}

static void look(const struct preview_present *now, const struct service_spec *want,
		 struct preview *p)
{
	assert_int_equal(preview_compare(now, want, p), 0);
	assert_int_equal(preview_play(now, want, NOW, p), 0);
}

static void test_new_and_removed(void **state)
{
	struct service_spec *a = spec("x", 3);
	const struct preview_replica r[] = {rep(0, REPLICA_READY, a), rep(1, REPLICA_READY, a)};
	const struct preview_present now = {
		.spec = a, .replicas_override = -1, .replicas = r, .n_replicas = 2};
	struct preview p;
	char t[400];

	(void)state;
	look(NULL, a, &p);
	assert_string_equal(shown(&p, t), "start: start 0, start 1, start 2");
	assert_int_equal(p.unavailable, 0);
	assert_int_equal(p.expected_ms, 0);
	preview_done(&p);
	look(&now, NULL, &p);
	assert_string_equal(shown(&p, t), "stop: stop 0, stop 1");
	assert_true(p.down);
	assert_int_equal(p.unavailable, 2);
	assert_int_equal(p.expected_ms, -1); /* for good */
	preview_done(&p);
	service_spec_free(a);
}

/* What may be at zero is started by a request: an apply neither starts nor wakes it. */
static void test_from_zero(void **state)
{
	struct service_spec *a = spec("x", 1), *b = spec("y", 1);
	const struct preview_replica r[] = {rep(0, REPLICA_READY, a)};
	struct preview_present now = {.spec = a, .asleep = true, .replicas_override = -1};
	struct preview p;
	char t[400];

	(void)state;
	a->replicas_min = b->replicas_min = 0;
	a->replicas_max = b->replicas_max = 4;
	look(NULL, a, &p);
	assert_string_equal(shown(&p, t), "start:");
	assert_int_equal(p.desired, 0);
	preview_done(&p);
	look(&now, b, &p);
	assert_string_equal(shown(&p, t), "replace:");
	preview_done(&p);
	now = (struct preview_present){
		.spec = a, .replicas_override = -1, .replicas = r, .n_replicas = 1};
	look(&now, b, &p); /* it is up */
	assert_string_equal(shown(&p, t), "replace: restart 0");
	preview_done(&p);
	now = (struct preview_present){.spec = a, .asleep = true, .replicas_override = -1};
	b->replicas_min = 1;
	look(&now, b, &p);
	assert_string_equal(shown(&p, t), "replace: start 0");
	preview_done(&p);
	service_spec_free(a);
	service_spec_free(b);
}

static void test_unchanged(void **state)
{
	struct service_spec *a = spec("x", 1), *b = spec("x", 1);
	const struct preview_replica r[] = {rep(0, REPLICA_BACKOFF, a)};
	struct preview_present now = {
		.spec = a, .replicas_override = 4, .replicas = r, .n_replicas = 1};
	struct preview p;
	char t[400];

	(void)state;
	look(&now, b, &p);
	assert_string_equal(shown(&p, t), "none:");
	assert_int_equal(p.replicas_override, 4); /* the user's number survives */
	preview_done(&p);
	now.stopped = true;
	look(&now, b, &p);
	assert_true(p.stopped);
	assert_int_equal(p.desired, 0);
	preview_done(&p);
	service_spec_free(a);
	service_spec_free(b);
}

static void test_replace_rolls(void **state)
{
	struct service_spec *a = spec("x", 3), *b = spec("y", 3);
	struct preview_replica r[] = {rep(0, REPLICA_READY, a), rep(1, REPLICA_BACKOFF, a),
				      rep(2, REPLICA_READY, a)};
	const struct preview_present now = {
		.spec = a, .replicas_override = -1, .replicas = r, .n_replicas = 3};
	struct preview p;
	char t[400];

	(void)state;
	r[1].next_at_mono_ms = NOW + 60000;
	look(&now, b, &p);
	/* the one in back-off serves nobody: it is replaced at once, the others one by one */
	assert_string_equal(shown(&p, t), "replace: start 1, restart 0, restart 2");
	assert_string_equal(buf_cstr(&p.keys), "command");
	assert_int_equal(p.of, 2);
	assert_int_equal(p.unavailable, 0); /* the third stands in while the first is away */
	assert_false(p.down);
	preview_done(&p);
	service_spec_free(a);
	service_spec_free(b);
}

static void test_single_replica_is_down(void **state)
{
	struct service_spec *a = spec("x", 1), *b = spec("y", 1);
	struct preview_replica r[] = {rep(0, REPLICA_READY, a)};
	struct preview_present now = {
		.spec = a, .replicas_override = -1, .replicas = r, .n_replicas = 1};
	struct preview p;
	char t[400];

	(void)state;
	look(&now, b, &p);
	assert_string_equal(shown(&p, t), "replace: restart 0");
	assert_true(p.down);
	assert_int_equal(p.unavailable, 1);
	assert_int_equal(p.of, 1);
	assert_int_equal(p.expected_ms, 2100);
	preview_done(&p);
	r[0].stop_ms = 0; /* it was never stopped: the start counts alone */
	look(&now, b, &p);
	assert_int_equal(p.expected_ms, 2000);
	preview_done(&p);
	r[0].start_ms = 0; /* nothing is recorded */
	look(&now, b, &p);
	assert_true(p.down);
	assert_int_equal(p.expected_ms, -1);
	preview_done(&p);
	now.stopped = true;
	now.n_replicas = 0;
	look(&now, b, &p);
	assert_string_equal(shown(&p, t), "replace:"); /* stopped by the user: stays so */
	preview_done(&p);
	service_spec_free(a);
	service_spec_free(b);
}

static void test_two_take_turns(void **state)
{
	struct service_spec *a = spec("x", 2), *b = spec("y", 2);
	struct preview_replica r[] = {rep(0, REPLICA_READY, a), rep(1, REPLICA_READY, a)};
	const struct preview_present now = {
		.spec = a, .replicas_override = -1, .replicas = r, .n_replicas = 2};
	struct preview p;

	(void)state;
	r[1].start_ms = 0; /* not known: as long as the other's */
	r[1].stop_ms = 700;
	look(&now, b, &p);
	assert_false(p.down);
	assert_int_equal(p.unavailable, 1);
	assert_int_equal(p.of, 2);
	assert_int_equal(p.expected_ms, 2700); /* the longer of the two */
	preview_done(&p);
	service_spec_free(a);
	service_spec_free(b);
}

static void test_scale_is_live(void **state)
{
	struct service_spec *a = spec("x", 2), *up = spec("x", 4), *down = spec("x", 1);
	const struct preview_replica r[] = {rep(0, REPLICA_READY, a), rep(1, REPLICA_READY, a)};
	struct preview_present now = {
		.spec = a, .replicas_override = 2, .replicas = r, .n_replicas = 2};
	struct preview p;
	char t[400];

	(void)state;
	look(&now, up, &p);
	assert_string_equal(shown(&p, t), "live: start 2, start 3");
	assert_int_equal(p.replicas_override, -1); /* the manifest speaks again */
	preview_done(&p);
	look(&now, down, &p);
	assert_string_equal(shown(&p, t), "live: stop 1");
	assert_int_equal(p.unavailable, 0); /* what goes was not wanted any more */
	preview_done(&p);
	service_spec_free(a);
	service_spec_free(up);
	service_spec_free(down);
}

/* A failed replica of the new kind holds the roll: as in the real run, nothing else is touched. */
static void test_reload(void **state)
{
	struct service_spec *a = spec("x", 3), *b = spec("x", 2);
	struct secret_spec *s = mem_array(2, sizeof(*s));
	struct preview_replica r[3];
	const struct preview_present now = {
		.spec = a, .replicas_override = -1, .replicas = r, .n_replicas = 3};
	struct preview p;
	char t[400];

	(void)state;
	assert_non_null(s);
	s[0] = (struct secret_spec){.name = mem_strdup("t"), .reloaded_digest = 1};
	a->secrets = (struct spec_table){.v = s, .n = 1};
	s = mem_array(2, sizeof(*s));
	assert_non_null(s);
	s[0] = (struct secret_spec){.name = mem_strdup("t"), .reloaded_digest = 2};
	b->secrets = (struct spec_table){.v = s, .n = 1};
	r[0] = rep(0, REPLICA_READY, a);
	r[1] = rep(1, REPLICA_BACKOFF, a);
	r[2] = rep(2, REPLICA_READY, a);
	look(&now, b, &p); /* one that is stopped beside it is not asked */
	assert_string_equal(shown(&p, t), "reload: stop 1, reload 0, reload 2");
	assert_string_equal(buf_cstr(&p.keys), "secrets.t, replicas");
	assert_int_equal(p.unavailable, 0);
	assert_int_equal(p.expected_ms, 0);
	preview_done(&p);
	service_spec_free(a);
	service_spec_free(b);
}

static void test_failed_one_holds(void **state)
{
	struct service_spec *a = spec("x", 2), *b = spec("y", 2);
	const struct preview_replica r[] = {rep(0, REPLICA_READY, a), rep(1, REPLICA_FAILED, b)};
	const struct preview_present now = {
		.spec = a, .replicas_override = -1, .replicas = r, .n_replicas = 2};
	struct preview p;
	char t[400];

	(void)state;
	look(&now, b, &p);
	assert_string_equal(shown(&p, t), "replace:");
	preview_done(&p);
	service_spec_free(a);
	service_spec_free(b);
}

static void test_start_first(void **state)
{
	struct service_spec *a = spec("x", 2), *b = spec("y", 2);
	const struct preview_replica r[] = {rep(0, REPLICA_READY, a), rep(1, REPLICA_READY, a)};
	const struct preview_present now = {
		.spec = a, .replicas_override = -1, .replicas = r, .n_replicas = 2};
	struct preview p;
	char t[400];

	(void)state;
	b->update.order = UPDATE_START_FIRST;
	b->update.min_ready_ms = 10000;
	look(&now, b, &p);
	/* the first new one takes the smallest free index; 0 is free again for the second */
	assert_string_equal(shown(&p, t), "replace: start 2, restart 0, stop 1");
	assert_int_equal(p.unavailable, 0);
	assert_int_equal(p.expected_ms, 0);
	preview_done(&p);
	service_spec_free(a);
	service_spec_free(b);
}

static void test_out_of_memory(void **state)
{
	struct service_spec *a = spec("x", 2), *b = spec("y", 5);
	struct preview_replica r[] = {rep(0, REPLICA_READY, a), rep(1, REPLICA_READY, a)};
	const struct preview_present now = {
		.spec = a, .replicas_override = -1, .replicas = r, .n_replicas = 2};
	int failures = 0, code = -1;
	struct preview p;

	(void)state;
	for (unsigned long nth = 1; code < 0; nth++) {
		mem_fail_after(nth);
		code = preview_compare(&now, b, &p);
		if (code == 0)
			code = preview_play(&now, b, NOW, &p);
		mem_fail_after(0);
		assert_true(code == 0 || code == -ERR_NOMEM);
		failures += code < 0;
		preview_done(&p);
	}
	assert_true(failures >= 3); /* the keys, the replicas, the steps */
	service_spec_free(a);
	service_spec_free(b);
}

/* ---- the naive player ---- */

struct naive {
	struct plan_replica r[32];
	enum stop_intent intent[32];
	size_t n;
	unsigned touched[64];
	size_t n_touched;
};

static void naive_touch(struct naive *v, unsigned index)
{
	for (size_t i = 0; i < v->n_touched; i++)
		if (v->touched[i] == index)
			return;
	v->touched[v->n_touched++] = index;
}

static size_t naive_find(struct naive *v, unsigned index)
{
	size_t at = v->n;

	for (size_t i = 0; i < v->n; i++)
		if (v->r[i].index == index)
			return i;
	while (at > 0 && v->r[at - 1].index > index) {
		v->r[at] = v->r[at - 1];
		v->intent[at] = v->intent[at - 1];
		at--;
	}
	v->n++;
	v->r[at] = (struct plan_replica){.index = index, .state = REPLICA_PENDING};
	return at;
}

static void naive_perform(struct naive *v, const struct plan_action *a)
{
	size_t i = naive_find(v, a->index);

	switch (a->kind) {
	case PLAN_START:
		v->r[i].state = REPLICA_STARTING;
		v->r[i].current = true;
		naive_touch(v, a->index);
		break;
	case PLAN_STOP:
		v->intent[i] = v->r[i].intent = a->intent;
		v->r[i].state =
			v->r[i].state == REPLICA_PENDING ? REPLICA_EXITED : REPLICA_STOPPING;
		naive_touch(v, a->index);
		break;
	case PLAN_WAIT:
		v->r[i].state = REPLICA_WAITING;
		break;
	case PLAN_REMOVE:
		for (v->n--; i < v->n; i++) {
			v->r[i] = v->r[i + 1];
			v->intent[i] = v->intent[i + 1];
		}
		break;
	}
}

static bool naive_time_passes(struct naive *v)
{
	bool moved = false;

	for (size_t i = 0; i < v->n; i++) {
		enum replica_state old = v->r[i].state;

		if (old == REPLICA_STARTING || old == REPLICA_UNREADY)
			v->r[i].state = REPLICA_READY;
		else if (old == REPLICA_STOPPING)
			v->r[i].state =
				v->intent[i] == STOP_REPLACE ? REPLICA_PENDING : REPLICA_EXITED;
		moved |= v->r[i].state != old;
	}
	return moved;
}

static void naive_play(struct naive *v, const struct plan_desired *d)
{
	struct plan_action a[1];

	do
		while (plan_step(d, v->r, v->n, NOW, a, 1).n_actions)
			naive_perform(v, a);
	while (naive_time_passes(v));
}

static unsigned next_random(uint32_t *seed, unsigned below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % below;
}

static void one_random(uint32_t *seed, const struct service_spec *const specs[2])
{
	static const enum replica_state states[] = {
		REPLICA_PENDING, REPLICA_STARTING, REPLICA_READY,     REPLICA_READY, REPLICA_READY,
		REPLICA_UNREADY, REPLICA_STOPPING, REPLICA_SUCCEEDED, REPLICA_FAILED};
	struct service_spec from = *specs[0], to = *specs[next_random(seed, 2)];
	struct preview_replica r[8];
	struct preview_present now = {.spec = &from,
				      .stopped = next_random(seed, 8) == 0,
				      .replicas_override = -1,
				      .replicas = r};
	static const struct rollout all = {.state = ROLLOUT_COMPLETE};
	struct naive v = {.n = 0};
	struct plan_desired d;
	struct preview p;

	from.replicas = next_random(seed, 6);
	to.replicas = next_random(seed, 6);
	to.update.order = next_random(seed, 2);
	while (now.n_replicas < (size_t)from.replicas) {
		unsigned i = (unsigned)now.n_replicas++;

		r[i] = rep(i, states[next_random(seed, ARRAY_SIZE(states))],
			   specs[next_random(seed, 4) == 0]);
		r[i].start_ms = next_random(seed, 3) * 700;
		r[i].stop_ms = next_random(seed, 3) * 90;
		v.r[i] = (struct plan_replica){.index = i,
					       .state = r[i].state,
					       .current =
						       r[i].launch_hash == service_spec_hash(&to)};
		v.n++;
	}
	look(&now, next_random(seed, 6) ? &to : NULL, &p);
	if (p.action != PREVIEW_NONE) {
		d = (struct plan_desired){.replicas = p.desired,
					  .stopped = p.stopped,
					  .deleted = p.action == PREVIEW_STOP,
					  .update = rollout_bounds(&to.update, &all, p.desired)};
		naive_play(&v, &d);
	}
	assert_int_equal(p.n_steps, v.n_touched);
	for (size_t i = 0; i < p.n_steps; i++)
		assert_int_equal(p.steps[i].index, v.touched[i]);
	assert_true(p.unavailable <= p.of);
	assert_true(p.down == (p.of && p.unavailable == p.of));
	preview_done(&p);
}

static void test_order_is_that_of_plan_step(void **state)
{
	struct service_spec *a = spec("x", 0), *b = spec("y", 0);
	const struct service_spec *const specs[] = {a, b};
	uint32_t seed = 20260102;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint32_t before = seed;

		one_random(&seed, specs);
		if (seed == before)
			fail_msg("no randomness at seed %u", seed);
	}
	service_spec_free(a);
	service_spec_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_and_removed),
		cmocka_unit_test(test_from_zero),
		cmocka_unit_test(test_unchanged),
		cmocka_unit_test(test_replace_rolls),
		cmocka_unit_test(test_single_replica_is_down),
		cmocka_unit_test(test_two_take_turns),
		cmocka_unit_test(test_scale_is_live),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_failed_one_holds),
		cmocka_unit_test(test_start_first),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_order_is_that_of_plan_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
