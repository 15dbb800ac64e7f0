/* depends: see depends.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/depends.h"

#include <stdint.h>
#include <string.h>

#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* A walk in depth: path holds where it is, next the edge to be tried there. */
struct walk {
	const struct service_spec *const *services;
	size_t n, depth;
	size_t *path;
	size_t *next;	/* by position */
	uint8_t *state; /* enum visit, by position */
};

enum visit { VISIT_NEW, VISIT_OPEN, VISIT_DONE };

size_t depends_find(const struct service_spec *const *services, size_t n, const char *name)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(services[mid]->name, name);

		if (order == 0)
			return mid;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return n;
}

static void enter(struct walk *w, size_t at)
{
	w->state[at] = VISIT_OPEN;
	w->path[w->depth++] = at;
}

/* One step: deeper, or back. Returns the position that closes a cycle, or n. */
static size_t step(struct walk *w)
{
	size_t at = w->path[w->depth - 1], to;
	const struct spec_table *table = &w->services[at]->depends_on;
	const struct depend_spec *v = table->v;

	if (w->next[at] == table->n) {
		w->state[at] = VISIT_DONE;
		w->depth--;
		return w->n;
	}
	to = depends_find(w->services, w->n, v[w->next[at]++].name);
	if (to == w->n || w->state[to] == VISIT_DONE)
		return w->n;
	if (w->state[to] == VISIT_OPEN)
		return to;
	enter(w, to);
	return w->n;
}

/* The part of the path from `first` on is the cycle. */
static size_t take_cycle(struct walk *w, size_t first)
{
	size_t from = 0;

	while (w->path[from] != first)
		from++;
	memmove(w->path, w->path + from, (w->depth - from) * sizeof(*w->path));
	return w->depth - from;
}

int depends_cycle(const struct service_spec *const *services, size_t n, size_t *path, size_t *ret_n)
{
	_cleanup_free_ size_t *next = mem_array(n + 1, sizeof(*next));
	_cleanup_free_ uint8_t *state = mem_array(n + 1, sizeof(*state));
	struct walk w = {.services = services, .n = n, .path = path, .next = next, .state = state};

	*ret_n = 0;
	if (!next || !state)
		return -ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		if (state[i] != VISIT_NEW)
			continue;
		enter(&w, i);
		while (w.depth > 0) {
			size_t closing = step(&w);

			if (closing == n)
				continue;
			*ret_n = take_cycle(&w, closing);
			return 0;
		}
	}
	return 0;
}
