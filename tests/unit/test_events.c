/*
 * test_events: what is kept of what happened: each service's fair share. The store is a counter.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/events.h"
#include "daemon/controller/quota.h"
#include "daemon/controller/store.h"
#include "lib/mem.h"

int store_add_event(struct store *s, const struct store_event *e)
{
	(void)e;
	++*(size_t *)s;
	return 0;
}

static void add(struct events *e, const char *service, const char *reason)
{
	const struct event_args a = {.service = service, .type = "state", .reason = reason};

	events_add(e, &a);
}

/* Events of a service that are kept; they are in order. */
static size_t kept_of(const struct events *e, const char *service)
{
	uint64_t last = 0;
	size_t n = 0;

	for (size_t i = 0; i < events_count(e); i++) {
		const struct event *ev = events_at(e, i);

		assert_true(ev->seq > last);
		last = ev->seq;
		n += strcmp(ev->service, service) == 0;
	}
	return n;
}

static struct events *events(void)
{
	struct events *e = NULL;

	assert_int_equal(events_new(&e, NULL), 0);
	return e;
}

static void test_quota(void **state)
{
	const size_t counts[] = {5, 1000, 20, 0};

	(void)state;
	assert_int_equal(quota_fair(counts, 4, 2000), 2000); /* there is room for all */
	assert_int_equal(quota_fair(counts, 4, 1024), 999);
	assert_int_equal(quota_fair(counts, 4, 100), 75); /* 5 + 75 + 20 */
	assert_int_equal(quota_fair(counts, 4, 40), 17);
	assert_int_equal(quota_fair(counts, 4, 3), 1);
	assert_int_equal(quota_fair(counts, 4, 2), 0);
	assert_int_equal(quota_fair(counts, 0, 7), 7);
}

static void test_one_that_never_rests(void **state)
{
	struct events *e = events();
	size_t stored = 0;

	(void)state;
	events_set_store(e, (struct store *)&stored);
	for (int i = 0; i < 60; i++)
		add(e, "quiet", "r");
	for (int i = 0; i < 5 * EVENTS_KEPT; i++)
		add(e, "crash", i == 5 * EVENTS_KEPT - 1 ? "last" : "r");
	assert_int_equal(stored, 60 + 5 * EVENTS_KEPT);
	assert_int_equal(kept_of(e, "quiet"), 60);
	assert_true(kept_of(e, "crash") >= STORE_EVENTS_KEPT - 60);
	assert_true(events_count(e) <= EVENTS_KEPT);
	assert_string_equal(events_at(e, events_count(e) - 1)->reason, "last");
	assert_null(events_at(e, events_count(e)));
	events_free(e);
}

static void test_more_services_than_room(void **state)
{
	struct events *e = events();
	char name[32];

	(void)state;
	for (int i = 0; i < 3 * EVENTS_KEPT; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		add(e, name, "r");
	}
	assert_true(events_count(e) >= STORE_EVENTS_KEPT && events_count(e) <= EVENTS_KEPT);
	assert_int_equal(kept_of(e, name), 1);
	assert_int_equal(kept_of(e, "s0"), 0);
	events_free(e);
}

static void test_out_of_memory(void **state)
{
	struct events *e = events();

	(void)state;
	for (int i = 0; i < EVENTS_KEPT; i++)
		add(e, "a", "r");
	mem_fail_after(2); /* the list to sort; the event itself is the first */
	add(e, "b", "r");
	mem_fail_after(0);
	assert_int_equal(events_count(e), STORE_EVENTS_KEPT + 1);
	assert_int_equal(kept_of(e, "b"), 1);
	events_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_one_that_never_rests),
		cmocka_unit_test(test_more_services_than_room),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
