/* canary: see canary.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/canary.h"

#include <string.h>

#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

bool canary_step(const struct update_spec *u, unsigned i, struct canary_step *ret)
{
	static const struct canary_step usual[] = {{5, 120000}, {25, 300000}, {100, 0}};

	if (i >= canary_steps(u))
		return false;
	if (!u->steps)
		*ret = usual[i];
	else if (parse_step(u->steps[i], &ret->percent, &ret->ms, NULL) <
		 0) /* not a valid manifest */
		return false;
	return true;
}

unsigned canary_steps(const struct update_spec *u)
{
	unsigned n = 0;

	if (!u->steps)
		return 3;
	while (u->steps[n])
		n++;
	return n;
}

unsigned canary_replicas(unsigned percent, unsigned replicas)
{
	uint64_t n = ((uint64_t)percent * replicas + 99) / 100;

	return n > 0 || replicas == 0 ? (unsigned)n : 1;
}

/* ---- counting ---- */

/* Each comes once in a round, and mostly in the order of the last one. */
static struct canary_seen *find(struct canary_count *c, const char *id)
{
	if (c->n_used == c->n)
		return NULL;
	for (size_t i = 0; i < c->n; i++) {
		struct canary_seen *s = &c->seen[(c->next + i) % c->n];

		if (strcmp(s->id, id) != 0)
			continue;
		c->next = (size_t)(s - c->seen) + 1;
		return s;
	}
	return NULL;
}

static struct canary_seen *meet(struct canary_count *c, const char *id, bool old,
				const struct judge_side *now)
{
	struct canary_seen *s;

	if (mem_grow(&c->seen, &c->cap, c->n + 1, sizeof(*c->seen)) < 0)
		return NULL;
	s = &c->seen[c->n++];
	*s = (struct canary_seen){0};
	memccpy(s->id, id, '\0', sizeof(s->id) - 1);
	if (old)
		s->last = *now;
	return s;
}

/* Another gateway counts from zero. */
static uint64_t more(uint64_t now, uint64_t last)
{
	return now >= last ? now - last : now;
}

void canary_see(struct canary_count *c, const char *id, bool canary, bool old,
		const struct judge_side *now)
{
	struct judge_side *sum = canary ? &c->canary : &c->stable;
	struct canary_seen *s = find(c, id);

	if (!s)
		s = meet(c, id, old, now);
	if (!s)
		return;
	if (now->requests < s->last.requests)
		s->last = (struct judge_side){0};
	sum->requests += more(now->requests, s->last.requests);
	sum->errors += more(now->errors, s->last.errors);
	for (unsigned i = 0; i < JUDGE_BUCKETS_MAX; i++)
		sum->times[i] += more(now->times[i], s->last.times[i]);
	s->last = *now;
	c->n_used += !s->used;
	s->used = true;
}

void canary_seen_all(struct canary_count *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (!c->seen[i].used)
			continue;
		c->seen[n] = c->seen[i];
		c->seen[n++].used = false;
	}
	c->n = n;
	c->next = c->n_used = 0;
}

void canary_begin(struct canary_count *c)
{
	c->canary = c->stable = (struct judge_side){0};
}

void canary_done(struct canary_count *c)
{
	mem_free(c->seen);
	*c = (struct canary_count){0};
}
