/*
 * Which thread of the gateway has which port, and when all of them have the routes in force.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "daemon/gateway/share.h"
#include "lib/err.h"
#include "lib/mem.h"

#define MANY (WIRE_ROUTES_MAX)

struct world {
	struct share share;
	struct wire_route list[MANY], part[MANY];
	struct wire_routes m;
	unsigned threads[MANY];
};

static int setup(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));

	assert_non_null(w);
	w->share.n = 3;
	w->m = (struct wire_routes){.epoch = 7, .list = w->list};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	share_done(&w->share);
	mem_free(w);
	return 0;
}

static void route(struct world *w, const char *service, const char *name, uint16_t port)
{
	struct wire_route *r = &w->list[w->m.n];

	*r = (struct wire_route){.at = {.address = "127.0.0.1", .port = port}};
	snprintf(r->service, sizeof(r->service), "%s", service);
	snprintf(r->name, sizeof(r->name), "%s", name);
	w->threads[w->m.n++] = port % 3;
}

static void share(struct world *w)
{
	w->m.generation++;
	assert_int_equal(share_routes(&w->share, &w->m, w->threads), 0);
}

static void a_port_has_one_thread(void **state)
{
	struct world *w = *state;

	route(w, "a", "http", 9000);
	route(w, "b", "http", 9001);
	route(w, "b", "admin", 9002);
	route(w, "c", "http", 9004);
	share(w);
	assert_int_equal(w->threads[0], 0);
	assert_int_equal(w->threads[1], 1);
	assert_int_equal(w->threads[2], 2);
	assert_int_equal(w->threads[3], 1);
}

static void each_gets_its_own_and_every_generation(void **state)
{
	struct world *w = *state;
	struct wire_routes part;

	route(w, "a", "http", 9001);
	route(w, "b", "http", 9002);
	route(w, "c", "http", 9004);
	share(w);
	share_part(&w->m, w->threads, 1, w->part, &part);
	assert_int_equal(part.n, 2);
	assert_int_equal(part.list[0].at.port, 9001);
	assert_int_equal(part.list[1].at.port, 9004);
	assert_int_equal(part.epoch, 7);
	assert_int_equal(part.generation, 1);
	share_part(&w->m, w->threads, 0, w->part, &part); /* nothing, but it is told */
	assert_int_equal(part.n, 0);
	assert_int_equal(part.generation, 1);
}

/* What is under way there is counted there. */
static void another_number_changes_no_thread(void **state)
{
	struct world *w = *state;

	route(w, "a", "http", 9000);
	share(w);
	w->m.n = 0;
	route(w, "a", "http", 9001);
	route(w, "b", "http", 9000);
	share(w);
	assert_int_equal(w->threads[0], 0);
	assert_int_equal(w->threads[1], 0);
	assert_int_equal(share_of(&w->share, &w->list[0].at), 0); /* a listener may come later */
	assert_int_equal(share_of(&w->share, &(struct wire_listen_at){"127.0.0.1", 9002}), 2);
	w->m.n = 0; /* not even when it was without a route for a while */
	share(w);
	route(w, "a", "http", 9002);
	share(w);
	assert_int_equal(w->threads[0], 0);
}

static void what_is_kept_is_bounded(void **state)
{
	struct world *w = *state;
	char name[16];

	for (unsigned turn = 0; turn < 20; turn++) {
		w->m.n = 0;
		for (unsigned i = 0; i < MANY; i++) {
			snprintf(name, sizeof(name), "s%u", turn * MANY + i);
			route(w, name, "http", (uint16_t)(9000 + i));
		}
		share(w);
		assert_true(w->share.n_ports <= SHARE_KEPT_MAX);
	}
	w->m.n = 0;
	route(w, name, "http", 9000); /* it had one of the last routes */
	share(w);
	assert_int_equal(w->threads[0], (9000 + MANY - 1) % 3);
}

static void memory_may_be_out(void **state)
{
	struct world *w = *state;

	route(w, "a", "http", 9000);
	mem_fail_after(1);
	assert_int_equal(share_routes(&w->share, &w->m, w->threads), -ERR_NOMEM);
	mem_fail_after(0);
	share(w);
}

static void they_are_in_force_when_all_say_so(void **state)
{
	struct share_routed r[3] = {{0}};
	uint64_t epoch, generation;

	(void)state;
	assert_false(share_routed(r, 3, &epoch, &generation));
	r[0] = (struct share_routed){.epoch = 7, .generation = 5};
	r[1] = (struct share_routed){.epoch = 7, .generation = 4};
	assert_false(share_routed(r, 3, &epoch, &generation));
	r[2] = (struct share_routed){.epoch = 7, .generation = 9};
	assert_true(share_routed(r, 3, &epoch, &generation));
	assert_int_equal(epoch, 7);
	assert_int_equal(generation, 4);
	r[1].ended = true;
	assert_true(share_routed(r, 3, &epoch, &generation));
	assert_int_equal(generation, 5);
	r[2] = (struct share_routed){.epoch = 8, .generation = 1}; /* of another controller */
	assert_false(share_routed(r, 3, &epoch, &generation));
	r[0] = r[2];
	assert_true(share_routed(r, 3, &epoch, &generation));
	assert_int_equal(epoch, 8);
	assert_int_equal(generation, 1);
	r[0].ended = r[2].ended = true;
	assert_false(share_routed(r, 3, &epoch, &generation));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_port_has_one_thread),
		TEST(each_gets_its_own_and_every_generation),
		TEST(another_number_changes_no_thread),
		TEST(what_is_kept_is_bounded),
		TEST(memory_may_be_out),
		TEST(they_are_in_force_when_all_say_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
