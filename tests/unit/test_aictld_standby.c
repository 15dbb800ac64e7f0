/*
 * test_aictld_standby: standbys of a service share a body (standby.h), and each slot still starts
 * exactly what it was given: with other environments, after another revision, after an adoption,
 * and with one that is too long to be shared.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"
#include "tests/unit/cgroup_rig.h"

#define N 6
#define LONG (100 << 10) /* of one value: goes by memfd, and is not shared */

/* A shell that tells what stands in its environment, and stays. */
static void spawn_with(struct rig *r, const struct wire_key *k, const char *value, bool standby)
{
	static const char script[] = "printf 'told=%.40s of %s length %d\\n' \"$VALUE\" \"$SAME\" "
				     "${#VALUE}; exec sleep 1000";
	_cleanup_free_ char *env = mem_printf("VALUE=%s", value);
	char replica[32], note[64];
	const char *const envp[] = {"PATH=/usr/bin:/bin",
				    "SAME=what-all-replicas-of-the-service-have-in-common",
				    "MODEL=models/which/lie/somewhere/far/away.joblib",
				    replica,
				    env,
				    NULL};
	struct cgroup_rig_shell v;
	struct wire_spawn m = {.key = *k,
			       .standby = standby,
			       .child = cgroup_rig_shell(&v, script),
			       .stop_signal = SIGTERM,
			       .grace_ms = 2000,
			       .logs.max_size = 1 << 20,
			       .logs.max_files = 5};

	assert_non_null(env);
	snprintf(replica, sizeof(replica), "AICTL_REPLICA=%u", k->index);
	snprintf(note, sizeof(note), "note of %s", k->incarnation);
	m.child.envp = (char *const *)(uintptr_t)envp;
	m.note = (const uint8_t *)note;
	m.note_len = (uint32_t)strlen(note);
	rig_spawn(r, &m);
}

static void expect(struct rig *r, const struct wire_key *k, const char *value)
{
	char text[128];

	rig_wait_state(r, k, WIRE_SLOT_RUNNING);
	snprintf(text, sizeof(text), "told=%s of what-all", value);
	rig_expect_output(r, k, text);
}

static void give(struct rig *r, struct wire_key *next, const struct wire_key *k, const char *value)
{
	*next = rig_key(r, k->service, k->index);
	spawn_with(r, next, value, true);
}

static void end_process(struct rig *r, const struct wire_key *k)
{
	kill(rig_wait_state(r, k, WIRE_SLOT_RUNNING)->m.pid, SIGKILL);
}

static const char *value_of(int round, int i, char text[32])
{
	snprintf(text, 32, "%d-%.*s%d", round, i, "xxxxxxxxxxxx", i);
	return text;
}

/* All slots end at once, each with the standby of this round, and some have a second one by then. */
static void restart_all(struct rig *r, struct wire_key k[N], int round)
{
	struct wire_key next[N];
	char text[32];

	for (int i = 0; i < N; i++) {
		if (i % 2) /* replaced before it is used */
			give(r, &next[i], &k[i], "never");
		give(r, &next[i], &k[i], value_of(round, i, text));
	}
	rig_settle(r); /* else one may be seen to have ended first, and then there is none */
	for (int i = N - 1; i >= 0; i--)
		end_process(r, &k[i]);
	for (int i = 0; i < N; i++) {
		expect(r, &next[i], value_of(round, i, text));
		k[i] = next[i];
	}
}

static void each_slot_starts_what_it_was_given(void **state)
{
	struct wire_key k[N];
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	for (int i = 0; i < N; i++) {
		k[i] = rig_key(&r, i < 4 ? "web" : "other", (uint32_t)i % 4);
		spawn_with(&r, &k[i], "first", false);
	}
	for (int i = 0; i < N; i++)
		expect(&r, &k[i], "first");
	for (int round = 1; round <= 3; round++)
		restart_all(&r, k, round);
	rig_stop_key(&r, &k[0], 0, 0); /* the others still need what it shared */
	rig_wait_swept(&r, &k[0]);
	k[0] = rig_key(&r, "web", 0);
	spawn_with(&r, &k[0], "first", false);
	expect(&r, &k[0], "first");
	restart_all(&r, k, 4);
	rig_clean_stop(&r);
}

static void standbys_come_again_after_an_adoption(void **state)
{
	struct wire_key k[N], lost;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	for (int i = 0; i < N; i++) {
		k[i] = rig_key(&r, "web", (uint32_t)i);
		spawn_with(&r, &k[i], "first", false);
	}
	for (int i = 0; i < N; i++) {
		expect(&r, &k[i], "first");
		give(&r, &lost, &k[i], "lost");
	}
	cgroup_rig_kill_and_start(&r, NULL, NULL);
	restart_all(&r, k, 1);
	restart_all(&r, k, 2);
	rig_clean_stop(&r);
}

static void a_long_one_is_kept_as_it_is(void **state)
{
	_cleanup_free_ char *value = mem_alloc(LONG + 1);
	struct wire_key k[2], next[2];
	char end[64];
	struct rig r;

	(void)state;
	assert_non_null(value);
	memset(value, 'v', LONG);
	rig_start(&r, NULL);
	for (int i = 0; i < 2; i++) {
		k[i] = rig_key(&r, "long", (uint32_t)i);
		spawn_with(&r, &k[i], "short", false);
		expect(&r, &k[i], "short");
		give(&r, &next[i], &k[i], value);
	}
	rig_settle(&r);
	snprintf(end, sizeof(end), "length %d\n", LONG);
	for (int i = 0; i < 2; i++) {
		end_process(&r, &k[i]);
		rig_wait_state(&r, &next[i], WIRE_SLOT_RUNNING);
		rig_expect_output(&r, &next[i], end);
		give(&r, &k[i], &next[i], "short again");
		rig_settle(&r);
		end_process(&r, &next[i]);
		expect(&r, &k[i], "short again");
	}
	rig_clean_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_slot_starts_what_it_was_given),
		cmocka_unit_test(standbys_come_again_after_an_adoption),
		cmocka_unit_test(a_long_one_is_kept_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
