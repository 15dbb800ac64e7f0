/* depends: cycles in small graphs made by hand and in many made by chance. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/depends.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define NODES 7

struct graph {
	struct service_spec specs[NODES];
	const struct service_spec *sorted[NODES];
	struct depend_spec edges[NODES][NODES + 1];
	char names[NODES][2];
};

static void make(struct graph *g)
{
	*g = (struct graph){0};
	for (size_t i = 0; i < NODES; i++) {
		g->names[i][0] = (char)('a' + i);
		g->specs[i].name = g->names[i];
		g->specs[i].depends_on.v = g->edges[i];
		g->sorted[i] = &g->specs[i];
	}
}

static void edge(struct graph *g, size_t from, const char *to)
{
	g->edges[from][g->specs[from].depends_on.n++].name = (char *)(uintptr_t)to;
}

/* "abc": a needs b, b needs c, c needs a. "" = none. */
static void cycle_is(const struct graph *g, const char *want)
{
	size_t path[NODES], n = 99;

	assert_int_equal(depends_cycle(g->sorted, NODES, path, &n), 0);
	assert_int_equal(n, strlen(want));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(g->names[path[i]][0], want[i]);
}

static void test_by_hand(void **state)
{
	struct graph g;

	(void)state;
	make(&g);
	cycle_is(&g, "");
	edge(&g, 0, g.names[1]);
	edge(&g, 0, g.names[2]);
	edge(&g, 1, g.names[2]);
	edge(&g, 2, "elsewhere");
	cycle_is(&g, ""); /* two ways to one are none */
	edge(&g, 2, g.names[3]);
	edge(&g, 3, g.names[1]);
	cycle_is(&g, "bcd"); /* without a, which only leads there */
	make(&g);
	edge(&g, 5, g.names[5]);
	cycle_is(&g, "f");
}

static bool reaches(const struct graph *g, size_t from, size_t to, unsigned seen)
{
	for (size_t i = 0; i < g->specs[from].depends_on.n; i++) {
		size_t next = (size_t)(g->edges[from][i].name[0] - 'a');

		if (next == to)
			return true;
		if (!(seen >> next & 1) && reaches(g, next, to, seen | 1U << next))
			return true;
	}
	return false;
}

static void test_by_chance(void **state)
{
	uint64_t random = 88172645463325252;
	unsigned found = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t path[NODES], n = 0;
		bool any = false;
		struct graph g;

		make(&g);
		for (size_t i = 0; i < NODES; i++) {
			for (size_t k = 0; k < NODES; k++) {
				random ^= random << 13;
				random ^= random >> 7;
				random ^= random << 17;
				if (random % 100 < 15)
					edge(&g, i, g.names[k]);
			}
		}
		for (size_t i = 0; i < NODES; i++)
			any |= reaches(&g, i, i, 0);
		assert_int_equal(depends_cycle(g.sorted, NODES, path, &n), 0);
		assert_int_equal(n > 0, any);
		found += any;
		for (size_t i = 0; i < n; i++) { /* each needs the next, none twice */
			const struct service_spec *s = g.sorted[path[i]];
			bool needs = false;

			for (size_t k = 0; k < s->depends_on.n; k++)
				needs |= g.edges[path[i]][k].name == g.names[path[(i + 1) % n]];
			assert_true(needs);
			for (size_t k = 0; k < i; k++)
				assert_true(path[k] != path[i]);
		}
	}
	assert_in_range(found, 1000, 19000); /* both kinds were there */
}

static void test_find(void **state)
{
	struct graph g;

	(void)state;
	make(&g);
	assert_int_equal(depends_find(g.sorted, NODES, "a"), 0);
	assert_int_equal(depends_find(g.sorted, NODES, "g"), 6);
	assert_int_equal(depends_find(g.sorted, NODES, "bb"), NODES);
	assert_int_equal(depends_find(g.sorted, 0, "a"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_by_chance),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
