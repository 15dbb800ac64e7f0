/*
 * balance and eject: who gets a request. Shares are counted, not sampled; a key's way is followed
 * while backends come and go.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "daemon/gateway/balance.h"
#include "daemon/gateway/eject.h"
#include "lib/mem.h"

#define MANY 64
#define KEYS 10000

struct set {
	struct route r;
	struct backend all[MANY];
	struct backend *list[MANY];
	unsigned got[MANY];
	uint64_t now;
};

static void make(struct set *s, uint32_t n)
{
	memset(s, 0, sizeof(*s));
	s->now = 1000000;
	s->r.backends = s->list;
	s->r.n = n;
	for (uint32_t i = 0; i < n; i++) {
		s->all[i].key.index = i;
		s->all[i].route = &s->r;
		s->list[i] = &s->all[i];
	}
}

static struct backend *pick(struct set *s, uint64_t key)
{
	const struct balance_ask ask = {.key = key, .now = s->now};
	bool full;
	struct backend *b = balance_pick(&s->r, &ask, &full);

	if (b)
		s->got[b - s->all]++;
	return b;
}

static bool is_full(struct set *s)
{
	const struct balance_ask ask = {.now = s->now};
	bool full;

	return !balance_pick(&s->r, &ask, &full) && full;
}

static uint64_t key(unsigned i)
{
	char text[16];

	return balance_key(text, (size_t)snprintf(text, sizeof(text), "user-%u", i));
}

/* Nothing ends: each gets as many as the others. */
static void few_are_filled_evenly(void **state)
{
	struct set s;

	(void)state;
	make(&s, 5);
	for (int i = 0; i < 103; i++)
		pick(&s, 0)->active++;
	for (int i = 0; i < 5; i++)
		assert_in_range(s.got[i], 20, 21);
}

static void in_turn_among_equals(void **state)
{
	struct set s;

	(void)state;
	make(&s, 3);
	for (int i = 0; i < 300; i++)
		pick(&s, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(s.got[i], 100);
}

/* Two choices: with random ones alone the fullest would have some 30 of a mean of 16. */
static void of_many_none_is_far_above_the_mean(void **state)
{
	struct set s;

	(void)state;
	make(&s, MANY);
	for (int i = 0; i < MANY * 16; i++)
		pick(&s, 0)->active++;
	for (int i = 0; i < MANY; i++)
		assert_in_range(s.got[i], 12, 20);
}

static void of_many_the_one_that_is_left_is_found(void **state)
{
	struct set s;

	(void)state;
	make(&s, MANY);
	for (int i = 0; i < MANY; i++)
		s.all[i].draining = i != 37;
	for (int i = 0; i < 50; i++)
		assert_ptr_equal(pick(&s, 0), &s.all[37]);
}

static void slots_are_exact(void **state)
{
	struct set s;

	(void)state;
	for (uint32_t n = 3; n <= MANY; n += MANY - 3) {
		make(&s, n);
		s.r.rules.concurrency = 2;
		for (uint32_t i = 0; i < 2 * n; i++)
			pick(&s, 0)->active++;
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(s.all[i].active, 2);
		assert_true(is_full(&s));
		assert_null(pick(&s, key(1)));
		s.all[1].active--;
		assert_ptr_equal(pick(&s, 0), &s.all[1]);
	}
}

static void what_drains_or_was_tried_is_left_out(void **state)
{
	struct backend *tried[1];
	struct balance_ask ask = {.tried = tried, .n_tried = 1};
	struct set s;
	bool full;

	(void)state;
	make(&s, 2);
	tried[0] = &s.all[0];
	assert_ptr_equal(balance_pick(&s.r, &ask, &full), &s.all[1]);
	s.all[1].draining = true;
	assert_null(balance_pick(&s.r, &ask, &full));
	assert_false(full);
	s.r.n = 0;
	assert_null(balance_pick(&s.r, &ask, &full));
}

/* ---- canary ---- */

static unsigned canaries(const struct set *s)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < s->r.n; i++)
		n += s->all[i].canary ? s->got[i] : 0;
	return n;
}

static void a_share_is_exact(void **state)
{
	static const uint16_t shares[] = {0, 1, 50, 250, 333, 500, 999, 1000};
	struct set s;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(shares); k++) {
		unsigned before = 0;

		make(&s, 4);
		s.all[2].canary = true;
		s.r.rules.canary_permille = shares[k];
		for (unsigned i = 1; i <= 5000;
		     i++) { /* after each request, not in the end alone */
			pick(&s, 0);
			assert_in_range(canaries(&s) * 1000 + 999, i * shares[k],
					i * shares[k] + 999);
			assert_in_range(canaries(&s) - before, 0, 1);
			before = canaries(&s);
		}
		assert_int_equal(canaries(&s), 5 * shares[k]);
	}
}

static void a_share_spills_one_way_only(void **state)
{
	struct set s;

	(void)state;
	make(&s, 2);
	s.all[1].canary = true;
	s.r.rules.canary_permille = 500;
	s.r.rules.concurrency = 1;
	s.all[1].active = 1; /* full: the stable one takes it */
	for (int i = 0; i < 10; i++)
		assert_ptr_equal(pick(&s, 0), &s.all[0]);
	s.all[1].active = 0; /* and no more than its share is made up for */
	for (int i = 0; i < 100; i++)
		pick(&s, 0);
	assert_in_range(canaries(&s), 50, 52);
	s.all[0].active = 1; /* the stable one is full: its share waits */
	s.r.canary_due = 0;
	assert_true(is_full(&s));
	s.all[0].draining = true; /* gone */
	assert_ptr_equal(pick(&s, 0), &s.all[1]);
}

static void a_retry_is_not_counted_twice(void **state)
{
	struct balance_ask ask = {.again = true};
	struct set s;
	bool full;

	(void)state;
	make(&s, 2);
	s.all[1].canary = true;
	s.r.rules.canary_permille = 500;
	for (int i = 0; i < 100; i++) {
		pick(&s, 0);
		assert_ptr_equal(balance_pick(&s.r, &ask, &full), &s.all[0]);
	}
	assert_int_equal(canaries(&s), 50);
	ask.canary = true;
	assert_ptr_equal(balance_pick(&s.r, &ask, &full), &s.all[1]);
}

/* ---- affinity ---- */

static void a_key_stays(void **state)
{
	struct set s;

	(void)state;
	make(&s, 10);
	for (unsigned i = 0; i < KEYS; i++) {
		struct backend *b = pick(&s, key(i));

		for (int k = 0; k < 3; k++)
			assert_ptr_equal(pick(&s, key(i)), b);
	}
	for (int i = 0; i < 10; i++) /* 4 of each; 1000 keys, sigma 30 */
		assert_in_range(s.got[i], 4 * 850, 4 * 1150);
}

static unsigned moved(struct set *s, struct backend **at, struct backend *from)
{
	unsigned n = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		struct backend *b = pick(s, key(i));

		if (from) /* only its own have to go */
			assert_true(at[i] == from || b == at[i]);
		n += b != at[i];
		at[i] = b;
	}
	return n;
}

static void few_keys_move(void **state)
{
	static struct backend *at[KEYS];
	struct set s;

	(void)state;
	make(&s, 11);
	s.r.n = 10;
	moved(&s, at, NULL);
	s.all[3].draining = true;
	assert_in_range(moved(&s, at, &s.all[3]), KEYS / 10 - 150, KEYS / 10 + 150);
	s.all[3].draining = false;
	assert_in_range(moved(&s, at, NULL), KEYS / 10 - 150, KEYS / 10 + 150);
	s.r.n = 11;
	assert_in_range(moved(&s, at, NULL), KEYS / 11 - 150, KEYS / 11 + 150);
}

/* One key only: nobody gets more than 1.25 times the average. */
static void load_is_bounded(void **state)
{
	unsigned used = 0;
	struct set s;

	(void)state;
	make(&s, 8);
	for (unsigned total = 1; total <= 400; total++) {
		pick(&s, key(1))->active++;
		for (int i = 0; i < 8; i++)
			assert_true(s.all[i].active <= (total * 5 + 31) / 32);
	}
	for (int i = 0; i < 8; i++)
		used += s.all[i].active > 0;
	assert_in_range(used, 7, 8); /* 1 / 1.25 of them are enough */
}

static void a_key_sees_one_side_of_a_canary(void **state)
{
	static bool was[KEYS];
	unsigned n = 0;
	struct set s;

	(void)state;
	make(&s, 4);
	s.all[0].canary = true;
	for (uint16_t share = 100; share <= 1000; share = (uint16_t)(share + 300)) {
		n = 0;
		s.r.rules.canary_permille = share;
		for (unsigned i = 0; i < KEYS; i++) {
			bool is = pick(&s, key(i))->canary;

			assert_true(is || !was[i]); /* who has seen it goes on seeing it */
			was[i] = is;
			n += is;
		}
		assert_in_range(n, KEYS / 1000 * share - 150, KEYS / 1000 * share + 150);
	}
}

/* ---- ejection ---- */

static void happens(struct set *s, int i, enum eject_event event, int times)
{
	for (int k = 0; k < times; k++)
		eject_note(&s->all[i].eject, event, s->now,
			   balance_has_other(&s->r, &s->all[i], s->now));
}

static enum eject_state state_of(const struct set *s, int i)
{
	return eject_state(&s->all[i].eject, s->now);
}

static void failures_in_a_row_eject(void **state)
{
	struct set s;

	(void)state;
	make(&s, 3);
	for (int i = 0; i < 10; i++) { /* not in a row */
		happens(&s, 0, EJECT_ERROR, EJECT_ERRORS - 1);
		happens(&s, 0, EJECT_GOOD, 1);
		happens(&s, 0, EJECT_REFUSED, EJECT_CONNECTS - 1);
		happens(&s, 0, EJECT_CONNECTED, 1);
	}
	assert_int_equal(state_of(&s, 0), EJECT_IN);
	happens(&s, 0, EJECT_ERROR, EJECT_ERRORS);
	happens(&s, 1, EJECT_REFUSED, EJECT_CONNECTS);
	assert_int_equal(state_of(&s, 0), EJECT_OUT);
	assert_int_equal(state_of(&s, 1), EJECT_OUT);
	for (int i = 0; i < 10; i++)
		assert_ptr_equal(pick(&s, key((unsigned)i)), &s.all[2]);
	for (int i = 0; i < 10; i++)
		assert_ptr_equal(pick(&s, 0), &s.all[2]);
	s.all[2].active = 1; /* it is full: the others are out still */
	s.r.rules.concurrency = 1;
	assert_true(is_full(&s));
}

static void never_the_last_one(void **state)
{
	struct set s;

	(void)state;
	make(&s, 3);
	for (int i = 0; i < 3; i++)
		happens(&s, i, EJECT_ERROR, 100);
	assert_int_equal(state_of(&s, 0), EJECT_OUT);
	assert_int_equal(state_of(&s, 1), EJECT_OUT);
	assert_int_equal(state_of(&s, 2), EJECT_IN);
	s.all[2].draining = true; /* better one of those than nobody */
	assert_non_null(pick(&s, 0));
	assert_non_null(pick(&s, key(1)));
}

static void out_for_longer_each_time(void **state)
{
	static const unsigned seconds[] = {10, 20, 40, 80, 160, 300, 300};
	struct set s;

	(void)state;
	make(&s, 2);
	happens(&s, 0, EJECT_ERROR, EJECT_ERRORS);
	for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
		assert_int_equal(s.all[0].eject.count, i + 1);
		s.now += seconds[i] * 1000 - 1;
		assert_int_equal(state_of(&s, 0), EJECT_OUT);
		happens(&s, 0, EJECT_ERROR, 10); /* from before */
		happens(&s, 0, EJECT_GOOD, 1);
		assert_int_equal(state_of(&s, 0), EJECT_OUT);
		s.now++;
		assert_int_equal(state_of(&s, 0), EJECT_PROBATION);
		if (i % 2) {
			happens(&s, 0, EJECT_ERROR, 1);
			continue;
		}
		happens(&s, 0, EJECT_GOOD, 1); /* it works, but not for long */
		assert_int_equal(state_of(&s, 0), EJECT_IN);
		s.now += 5000;
		happens(&s, 0, EJECT_REFUSED, EJECT_CONNECTS);
	}
	s.now += 300000;
	happens(&s, 0, EJECT_GOOD, 1);
	s.now += 300000;
	happens(&s, 0, EJECT_ERROR, EJECT_ERRORS);
	assert_int_equal(s.all[0].eject.ms, EJECT_MS);
}

static void on_probation_it_gets_one_at_a_time(void **state)
{
	struct set s;

	(void)state;
	make(&s, 2);
	happens(&s, 0, EJECT_ERROR, EJECT_ERRORS);
	s.now += EJECT_MS;
	s.all[1].active = 5;
	assert_ptr_equal(pick(&s, 0), &s.all[0]);
	s.all[0].active = 1;
	assert_ptr_equal(pick(&s, 0), &s.all[1]);
	happens(&s, 0, EJECT_GOOD, 1);
	assert_ptr_equal(pick(&s, 0), &s.all[0]);
}

/* What it got while it was out, and the only one, may take long: others do not wait for that. */
static void on_probation_the_last_one_gets_all(void **state)
{
	struct set s;

	(void)state;
	make(&s, 2);
	happens(&s, 0, EJECT_ERROR, EJECT_ERRORS);
	s.all[1].draining = true;
	assert_ptr_equal(pick(&s, 0), &s.all[0]);
	s.all[0].active = 1;
	s.now += EJECT_MS;
	assert_int_equal(state_of(&s, 0), EJECT_PROBATION);
	assert_ptr_equal(pick(&s, 0), &s.all[0]);
	assert_ptr_equal(pick(&s, key(1)), &s.all[0]);
	s.r.rules.concurrency = 1;
	assert_true(is_full(&s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_are_filled_evenly),
		cmocka_unit_test(in_turn_among_equals),
		cmocka_unit_test(of_many_none_is_far_above_the_mean),
		cmocka_unit_test(of_many_the_one_that_is_left_is_found),
		cmocka_unit_test(slots_are_exact),
		cmocka_unit_test(what_drains_or_was_tried_is_left_out),
		cmocka_unit_test(a_share_is_exact),
		cmocka_unit_test(a_share_spills_one_way_only),
		cmocka_unit_test(a_retry_is_not_counted_twice),
		cmocka_unit_test(a_key_stays),
		cmocka_unit_test(few_keys_move),
		cmocka_unit_test(load_is_bounded),
		cmocka_unit_test(a_key_sees_one_side_of_a_canary),
		cmocka_unit_test(failures_in_a_row_eject),
		cmocka_unit_test(never_the_last_one),
		cmocka_unit_test(out_for_longer_each_time),
		cmocka_unit_test(on_probation_it_gets_one_at_a_time),
		cmocka_unit_test(on_probation_the_last_one_gets_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
