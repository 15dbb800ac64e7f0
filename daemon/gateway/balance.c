/* balance: see balance.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/balance.h"

#include "daemon/gateway/eject.h"

#define WHOLE 1000 /* of a share */
#define DRAWS 8

enum fitness {
	FIT_NOT,  /* draining, tried */
	FIT_OUT,  /* ejected; or on probation, and it has its one request */
	FIT_FULL, /* it would do, later */
	FIT_YES,
};

/* splitmix64's last steps: every bit of x in every bit of the result */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t balance_key(const char *text, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	h = mix(h);
	return h ? h : 1;
}

static bool was_tried(const struct balance_ask *ask, const struct backend *b)
{
	for (unsigned i = 0; i < ask->n_tried; i++)
		if (ask->tried[i] == b)
			return true;
	return false;
}

static enum fitness fitness(const struct route *r, const struct balance_ask *ask,
			    const struct backend *b, bool desperate)
{
	enum eject_state state;

	if (b->draining || was_tried(ask, b))
		return FIT_NOT;
	state = eject_state(&b->eject, ask->now);
	if (!desperate && (state == EJECT_OUT || (state == EJECT_PROBATION && b->active > 0)))
		return FIT_OUT;
	return r->rules.concurrency > 0 && b->active >= r->rules.concurrency ? FIT_FULL : FIT_YES;
}

/* ---- one group: the stable ones, or the canary's ---- */

struct look {
	struct route *r;
	const struct balance_ask *ask;
	bool canary;
	bool desperate; /* ejected ones, too */
	bool full;	/* found: one without a free slot */
};

static enum fitness fit(struct look *l, const struct backend *b)
{
	enum fitness f = b->canary == l->canary ? fitness(l->r, l->ask, b, l->desperate) : FIT_NOT;

	l->full |= f == FIT_FULL;
	return f;
}

static struct backend *least_of_all(struct look *l)
{
	struct route *r = l->r;
	struct backend *best = NULL;
	uint32_t at = 0, turn = r->turn[l->canary];

	for (uint32_t k = 0; k < r->n; k++) {
		uint32_t i = turn + k < r->n ? turn + k : turn + k - r->n;
		struct backend *b = r->backends[i];

		if ((best && b->active >= best->active) || fit(l, b) != FIT_YES)
			continue;
		best = b;
		at = i;
		if (b->active == 0)
			break;
	}
	if (best)
		r->turn[l->canary] = at + 1 < r->n ? at + 1 : 0;
	return best;
}

/* The better of two that are drawn at random. */
static struct backend *least_of_two(struct look *l)
{
	struct route *r = l->r;
	struct backend *first = NULL;

	for (int i = 0; i < DRAWS; i++) {
		struct backend *b = r->backends[mix(++r->draws) % r->n];

		if (b == first || fit(l, b) != FIT_YES)
			continue;
		if (first)
			return b->active < first->active ? b : first;
		first = b;
	}
	return first ? first : least_of_all(l);
}

/* More than its share: 1.25 times the average, with this request. */
static uint64_t bound_of(struct look *l)
{
	uint64_t sum = 1, n = 0;

	for (uint32_t i = 0; i < l->r->n; i++) {
		const struct backend *b = l->r->backends[i];
		enum fitness f = fit(l, b);

		if (f != FIT_YES && f != FIT_FULL)
			continue;
		sum += b->active;
		n++;
	}
	return n ? (sum * 5 + n * 4 - 1) / (n * 4) : 0;
}

static struct backend *by_key(struct look *l)
{
	uint64_t bound = bound_of(l), most = 0;
	struct backend *best = NULL;

	for (uint32_t i = 0; i < l->r->n; i++) {
		struct backend *b = l->r->backends[i];
		uint64_t weight = mix(l->ask->key ^ mix(b->key.index + UINT64_C(1)));

		if ((best && weight <= most) || b->active >= bound || fit(l, b) != FIT_YES)
			continue;
		best = b;
		most = weight;
	}
	return best ? best : least_of_all(l);
}

static struct backend *pick_of(struct look *l)
{
	if (l->ask->key)
		return by_key(l);
	return l->r->n > BALANCE_LOOKS ? least_of_two(l) : least_of_all(l);
}

/* ---- the share of the canary ---- */

static bool wants_canary(const struct route *r, const struct balance_ask *ask)
{
	if (r->rules.canary_permille == 0)
		return false;
	if (ask->key)
		return mix(ask->key ^ UINT64_C(0x63616e617279)) % WHOLE < r->rules.canary_permille;
	return ask->again ? ask->canary : r->canary_due + r->rules.canary_permille >= WHOLE;
}

static void account(struct route *r, const struct balance_ask *ask, const struct backend *b)
{
	if (r->rules.canary_permille == 0 || ask->key || ask->again)
		return;
	r->canary_due += r->rules.canary_permille - (b->canary ? WHOLE : 0);
	if (r->canary_due > WHOLE)
		r->canary_due = WHOLE;
	if (r->canary_due < -WHOLE)
		r->canary_due = -WHOLE;
}

static struct backend *pick(struct route *r, const struct balance_ask *ask, bool desperate,
			    bool *ret_full)
{
	struct look l = {
		.r = r, .ask = ask, .canary = wants_canary(r, ask), .desperate = desperate};
	struct backend *b = pick_of(&l);

	*ret_full = l.full;
	if (b || (l.full && !l.canary))
		return b;
	l.canary = !l.canary;
	l.full = false;
	b = pick_of(&l);
	*ret_full |= l.full;
	return b;
}

struct backend *balance_pick(struct route *r, const struct balance_ask *ask, bool *ret_full)
{
	struct backend *b;

	*ret_full = false;
	if (r->n == 0)
		return NULL;
	b = pick(r, ask, false, ret_full);
	if (!b && !*ret_full)
		b = pick(r, ask, true, ret_full);
	if (b)
		account(r, ask, b);
	return b;
}

bool balance_has_other(const struct route *r, const struct backend *b, uint64_t now)
{
	for (uint32_t i = 0; i < r->n; i++) {
		const struct backend *other = r->backends[i];

		if (other != b && !other->draining && eject_state(&other->eject, now) == EJECT_IN)
			return true;
	}
	return false;
}
