/* stats: see stats.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/stats.h"

#include <string.h>

#include "lib/mem.h"

#define SLOTS 4 /* the last minute, and the one under way */
#define SLOT_MS 20000
#define RATE_SECONDS 10
#define SECONDS (STATS_SECONDS + 1)

/* What ended within a slot of time. */
struct ended {
	uint64_t requests, errors;
	uint64_t latency[WIRE_TRAFFIC_BUCKETS], first_byte[WIRE_TRAFFIC_BUCKETS];
};

struct stats_slot {
	int64_t number; /* time / SLOT_MS; another one: it is old */
	struct tally ended;
};

struct stats_recent {
	int64_t second; /* the last one that was counted in */
	uint32_t each[SECONDS];
	struct stats_slot slots[SLOTS];
};

struct stats {
	struct stats_entry **list;
	size_t n, cap;
	struct stats_port *ports;
	size_t n_ports, cap_ports;
	uint64_t gateway;
	int64_t swept_mono_ms; /* when what is of no minute any more was freed last */
	bool (*is_live)(const struct stats_entry *e, void *user);
	void *user;
};

struct stats *stats_new(bool (*is_live)(const struct stats_entry *e, void *user), void *user)
{
	struct stats *s = mem_alloc(sizeof(*s));

	if (s)
		*s = (struct stats){.gateway = 1, .is_live = is_live, .user = user};
	return s;
}

static void free_recent(struct stats_entry *e)
{
	for (int i = 0; e->recent && i < SLOTS; i++)
		tally_done(&e->recent->slots[i].ended);
	mem_free(TAKE_PTR(e->recent));
}

static void free_entry(struct stats_entry *e)
{
	free_recent(e);
	tally_done(&e->base);
	tally_done(&e->last);
	mem_free(e);
}

void stats_free(struct stats *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free_entry(s->list[i]);
	mem_free(s->list);
	mem_free(s->ports);
	mem_free(s);
}

void stats_new_gateway(struct stats *s)
{
	s->gateway++;
	for (size_t i = 0; i < s->n_ports; i++)
		s->ports[i].waiting = s->ports[i].longest_wait_ms = 0;
}

size_t stats_count(const struct stats *s)
{
	return s->n;
}

const struct stats_entry *stats_at(const struct stats *s, size_t i)
{
	return s->list[i];
}

/* ---- sums ---- */

/* All fields are counters. */
_Static_assert(sizeof(struct stats_counts) % sizeof(uint64_t) == 0, "nothing else is in it");
#define N_COUNTERS (sizeof(struct stats_counts) / sizeof(uint64_t))
_Static_assert(sizeof(struct ended) % sizeof(uint64_t) == 0, "nothing else is in it");
#define N_ENDED (sizeof(struct ended) / sizeof(uint64_t))
_Static_assert(N_COUNTERS <= TALLY_MAX && N_ENDED <= TALLY_MAX, "a tally holds them");

static void add_tally(struct stats_counts *to, const struct tally *t)
{
	tally_add_to(t, (uint64_t *)to, N_COUNTERS);
}

static int set_tally(struct tally *t, const struct stats_counts *c)
{
	return tally_set(t, (const uint64_t *)c, N_COUNTERS);
}

void stats_counts_of(const struct stats_entry *e, struct stats_counts *out)
{
	*out = (struct stats_counts){0};
	add_tally(out, &e->base);
	add_tally(out, &e->last);
}

void stats_add(struct stats_counts *to, const struct stats_counts *c)
{
	uint64_t *a = (uint64_t *)to;
	const uint64_t *b = (const uint64_t *)c;

	for (size_t i = 0; i < N_COUNTERS; i++)
		a[i] += b[i];
}

void stats_subtract(struct stats_counts *to, const struct stats_counts *c)
{
	uint64_t *a = (uint64_t *)to;
	const uint64_t *b = (const uint64_t *)c;

	for (size_t i = 0; i < N_COUNTERS; i++)
		a[i] = a[i] > b[i] ? a[i] - b[i] : 0;
}

uint64_t stats_requests(const struct stats_counts *c)
{
	uint64_t sum = 0;

	for (int i = 0; i < WIRE_TRAFFIC_CLASSES; i++)
		sum += c->answers[i];
	return sum;
}

uint64_t stats_errors(const struct stats_counts *c)
{
	return c->answers[0] + c->answers[5];
}

/* ---- the entries ---- */

static int compare(const struct stats_entry *a, const struct stats_entry *b)
{
	int r = strcmp(a->key.service, b->key.service);

	if (r == 0)
		r = strcmp(a->port, b->port);
	if (r == 0)
		r = (a->key.index > b->key.index) - (a->key.index < b->key.index);
	if (r == 0)
		r = (a->revision > b->revision) - (a->revision < b->revision);
	return r ? r : strcmp(a->key.incarnation, b->key.incarnation);
}

/* Where it is, or would be. */
static size_t place_of(const struct stats *s, const struct stats_entry *e, bool *ret_found)
{
	size_t low = 0, high = s->n;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = compare(s->list[middle], e);

		if (r == 0)
			*ret_found = true;
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t first_of(const struct stats *s, const char *service)
{
	struct stats_entry key = {0};
	bool found;

	memccpy(key.key.service, service, '\0', sizeof(key.key.service) - 1);
	return place_of(s, &key, &found);
}

static bool is_of(const struct stats_entry *e, const char *service)
{
	return strcmp(e->key.service, service) == 0;
}

static void prune(struct stats *s, const char *service);

static struct stats_entry *find_or_add(struct stats *s, const struct wire_traffic_stats *m)
{
	struct stats_entry key = {.key = m->key, .revision = m->revision}, *e;
	bool found;
	size_t at;

	memcpy(key.port, m->name, sizeof(key.port));
	at = place_of(s, &key, &found);
	if (found)
		return s->list[at];
	prune(s, m->key.service);
	at = place_of(s, &key, &found);
	if (mem_grow(&s->list, &s->cap, s->n + 1, sizeof(*s->list)) < 0)
		return NULL;
	e = mem_alloc(sizeof(*e));
	if (!e)
		return NULL;
	*e = key;
	memmove(&s->list[at + 1], &s->list[at], (s->n - at) * sizeof(*s->list));
	s->list[at] = e;
	s->n++;
	return e;
}

/* From i on the first that may be meant: those of another replica are many. s->n = none. */
static size_t seek(const struct stats *s, size_t i, const struct stats_which *w)
{
	while (i < s->n && is_of(s->list[i], w->service)) {
		const struct stats_entry *e = s->list[i];
		struct stats_entry to = {.key = e->key};
		bool found, below = e->key.index < w->index;

		if (w->index < 0 || e->key.index == w->index)
			return i;
		memcpy(to.port, e->port, sizeof(to.port));
		to.key.index = below ? (uint32_t)w->index : UINT32_MAX; /* or to the next port */
		to.key.incarnation[0] = '\0';
		to.revision = below ? 0 : UINT64_MAX;
		i = place_of(s, &to, &found);
	}
	return s->n;
}

/* The one that was told of this run last: this one, or one of the revision before a live change. */
static struct stats_entry *told_last(struct stats *s, const struct stats_entry *e)
{
	const struct stats_which which = {.service = e->key.service, .index = e->key.index};

	if (e->told == s->gateway)
		return s->list[place_of(s, e, &(bool){false})];
	for (size_t i = first_of(s, e->key.service); (i = seek(s, i, &which)) < s->n; i++) {
		struct stats_entry *other = s->list[i];

		if (other->told == s->gateway && other->key.index == e->key.index &&
		    strcmp(other->key.incarnation, e->key.incarnation) == 0 &&
		    strcmp(other->port, e->port) == 0)
			return other;
	}
	return NULL;
}

static void drop(struct stats *s, size_t i)
{
	struct stats_entry *e = s->list[i], *next = i + 1 < s->n ? s->list[i + 1] : NULL;
	struct stats_entry *before = i > 0 ? s->list[i - 1] : NULL;
	struct stats_entry *heirs[] = {before, next};
	struct stats_counts base;

	for (size_t k = 0; k < ARRAY_SIZE(heirs); k++) {
		struct stats_entry *h = heirs[k];

		/* Shown as one with it: that sum does not shrink. */
		if (!h || h->key.index != e->key.index || h->revision != e->revision ||
		    strcmp(h->port, e->port) != 0 || !is_of(h, e->key.service))
			continue;
		stats_counts_of(e, &base);
		add_tally(&base, &h->base);
		set_tally(&h->base, &base); /* without memory it does */
		break;
	}
	free_entry(e);
	memmove(&s->list[i], &s->list[i + 1], (s->n - i - 1) * sizeof(*s->list));
	s->n--;
}

/* Those that are no more: the oldest go when there are too many. */
static void prune(struct stats *s, const char *service)
{
	size_t old = 0, oldest = 0;

	for (size_t i = first_of(s, service); i < s->n && is_of(s->list[i], service); i++) {
		if (s->is_live(s->list[i], s->user))
			continue;
		if (old++ == 0 || s->list[i]->told_mono_ms < s->list[oldest]->told_mono_ms)
			oldest = i;
	}
	if (old >= STATS_OLD_MAX)
		drop(s, oldest);
}

void stats_forget(struct stats *s, const char *service)
{
	size_t from = first_of(s, service), to = from;

	for (; to < s->n && is_of(s->list[to], service); to++)
		free_entry(s->list[to]);
	if (to > from)
		memmove(&s->list[from], &s->list[to], (s->n - to) * sizeof(*s->list));
	s->n -= to - from;
	for (size_t i = s->n_ports; i-- > 0;)
		if (strcmp(s->ports[i].service, service) == 0)
			s->ports[i] = s->ports[--s->n_ports];
}

void stats_keep_ports(struct stats *s, const char *service,
		      bool (*has)(const void *user, const char *port), const void *user)
{
	for (size_t i = s->n_ports; i-- > 0;)
		if (strcmp(s->ports[i].service, service) == 0 && !has(user, s->ports[i].port))
			s->ports[i] = s->ports[--s->n_ports];
}

/* ---- what is told ---- */

static void convert(struct stats_counts *now, const struct wire_traffic_stats *m)
{
	memcpy(now->answers, m->answers, sizeof(now->answers));
	now->cancelled = m->cancelled;
	now->connect_failures = m->connect_failures;
	now->retries = m->retries;
	now->bytes_in = m->bytes_in;
	now->bytes_out = m->bytes_out;
	now->ejections = m->ejections;
	now->latency_us = m->latency_us;
	now->first_byte_us = m->first_byte_us;
	memcpy(now->latency, m->latency, sizeof(now->latency));
	memcpy(now->first_byte, m->first_byte, sizeof(now->first_byte));
}

static void count_recent(struct stats_entry *e, const struct stats_counts *more, int64_t now)
{
	int64_t second = now / 1000, number = now / SLOT_MS;
	struct ended ended = {.requests = stats_requests(more), .errors = stats_errors(more)};
	uint32_t requests = (uint32_t)ended.requests;
	struct stats_recent *r = e->recent;
	struct stats_slot *slot;

	if (requests == 0)
		return;
	if (!r)
		r = e->recent = mem_alloc(sizeof(*r));
	if (!r) /* it is for tables only */
		return;
	if (second - r->second > SECONDS)
		r->second = second - SECONDS;
	while (r->second < second)
		r->each[++r->second % SECONDS] = 0;
	r->each[second % SECONDS] += requests;
	slot = &r->slots[number % SLOTS];
	memcpy(ended.latency, more->latency, sizeof(ended.latency));
	memcpy(ended.first_byte, more->first_byte, sizeof(ended.first_byte));
	if (slot->number == number)
		tally_add_to(&slot->ended, (uint64_t *)&ended, N_ENDED);
	if (tally_set(&slot->ended, (const uint64_t *)&ended, N_ENDED) == 0)
		slot->number = number;
}

/* What was counted lately is of no minute any more. */
static void sweep(struct stats *s, int64_t now)
{
	if (now - s->swept_mono_ms < SLOTS * SLOT_MS)
		return;
	s->swept_mono_ms = now;
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i]->recent &&
		    s->list[i]->recent->second < (now - SLOTS * SLOT_MS) / 1000)
			free_recent(s->list[i]);
}

/* e has counted `more` since last, which makes it now. False: no memory, nothing has changed. */
static bool count(struct stats_entry *e, const struct stats_counts *now,
		  const struct stats_counts *more)
{
	struct stats_counts base, before = {0};

	stats_counts_of(e, &base);
	stats_add(&base, more);
	for (size_t i = 0; i < N_COUNTERS; i++)
		((uint64_t *)&base)[i] -= ((const uint64_t *)now)[i];
	add_tally(&before, &e->last);
	if (set_tally(&e->last, now) < 0)
		return false;
	if (set_tally(&e->base, &base) == 0)
		return true;
	set_tally(&e->last, &before);
	return false;
}

void stats_take(struct stats *s, const struct wire_traffic_stats *m, bool old, int64_t now_mono_ms)
{
	struct stats_entry *e = find_or_add(s, m), *before;
	struct stats_counts now = {0}, last = {0}, more;

	if (!e)
		return;
	sweep(s, now_mono_ms);
	before = told_last(s, e);
	if (before)
		add_tally(&last, &before->last);
	convert(&now, m);
	more = now;
	stats_subtract(&more, &last);
	if (!count(e, &now, &more))
		return;
	if (before && before != e)
		before->told = 0;
	e->told = s->gateway;
	e->told_mono_ms = now_mono_ms;
	e->ejected_until_ms = m->ejected_for_ms ? now_mono_ms + m->ejected_for_ms : 0;
	if (before || !old)
		count_recent(e, &more, now_mono_ms);
}

static struct stats_port *find_or_add_port(struct stats *s, const struct wire_traffic_demand *m)
{
	struct stats_port *p;

	for (size_t i = 0; i < s->n_ports; i++)
		if (strcmp(s->ports[i].service, m->service) == 0 &&
		    strcmp(s->ports[i].port, m->name) == 0)
			return &s->ports[i];
	if (mem_grow(&s->ports, &s->cap_ports, s->n_ports + 1, sizeof(*s->ports)) < 0)
		return NULL;
	p = &s->ports[s->n_ports++];
	*p = (struct stats_port){0};
	memcpy(p->service, m->service, sizeof(p->service));
	memcpy(p->port, m->name, sizeof(p->port));
	return p;
}

void stats_take_demand(struct stats *s, const struct wire_traffic_demand *m)
{
	struct stats_port *p = find_or_add_port(s, m);

	if (!p)
		return;
	if (p->told != s->gateway)
		p->last_arrived = p->last_refused = 0;
	p->told = s->gateway;
	p->waiting = m->waiting;
	p->longest_wait_ms = m->longest_wait_ms;
	p->arrived += m->arrived > p->last_arrived ? m->arrived - p->last_arrived : 0;
	p->refused += m->refused > p->last_refused ? m->refused - p->last_refused : 0;
	p->last_arrived = m->arrived;
	p->last_refused = m->refused;
}

size_t stats_count_ports(const struct stats *s)
{
	return s->n_ports;
}

const struct stats_port *stats_port_at(const struct stats *s, size_t i)
{
	return &s->ports[i];
}

/* ---- what is asked ---- */

static bool is_meant(const struct stats_entry *e, const struct stats_which *w)
{
	return (!w->port || strcmp(w->port, e->port) == 0) &&
	       (!w->revision || w->revision == e->revision) &&
	       (w->index < 0 || w->index == e->key.index) &&
	       (!w->incarnation || strcmp(w->incarnation, e->key.incarnation) == 0);
}

static void add_entry(struct stats_counts *to, const struct stats_entry *e)
{
	add_tally(to, &e->base);
	add_tally(to, &e->last);
}

void stats_sum(const struct stats *s, const struct stats_which *which, struct stats_counts *out)
{
	*out = (struct stats_counts){0};
	for (size_t i = first_of(s, which->service); (i = seek(s, i, which)) < s->n; i++)
		if (is_meant(s->list[i], which))
			add_entry(out, s->list[i]);
}

bool stats_is_ejected(const struct stats *s, const struct stats_which *which, int64_t now_mono_ms)
{
	for (size_t i = first_of(s, which->service); (i = seek(s, i, which)) < s->n; i++)
		if (s->list[i]->ejected_until_ms > now_mono_ms && is_meant(s->list[i], which))
			return true;
	return false;
}

static void add_recent(const struct stats_recent *r, int64_t now, struct stats_minute *out)
{
	int64_t first = now / 1000 - STATS_SECONDS; /* the one under way is not whole */

	for (int k = 0; k < STATS_SECONDS; k++)
		if (first + k <= r->second && first + k > r->second - SECONDS)
			out->each[k] += r->each[(first + k) % SECONDS];
	for (int k = 0; k < SLOTS; k++) {
		const struct stats_slot *slot = &r->slots[k];

		struct ended ended = {0};

		if (slot->number <= now / SLOT_MS - SLOTS)
			continue;
		tally_add_to(&slot->ended, (uint64_t *)&ended, N_ENDED);
		out->requests += ended.requests;
		out->errors += ended.errors;
		for (int i = 0; i < WIRE_TRAFFIC_BUCKETS; i++) {
			out->latency[i] += ended.latency[i];
			out->first_byte[i] += ended.first_byte[i];
		}
	}
}

void stats_minute(const struct stats *s, const struct stats_which *which, int64_t now_mono_ms,
		  struct stats_minute *out)
{
	uint64_t sum = 0;

	*out = (struct stats_minute){0};
	for (size_t i = first_of(s, which->service); (i = seek(s, i, which)) < s->n; i++)
		if (s->list[i]->recent && is_meant(s->list[i], which))
			add_recent(s->list[i]->recent, now_mono_ms, out);
	for (int k = STATS_SECONDS - RATE_SECONDS; k < STATS_SECONDS; k++)
		sum += out->each[k];
	out->per_second = (double)sum / RATE_SECONDS;
}

double stats_quantile_ms(const uint64_t *buckets, double q)
{
	uint64_t all = 0, below = 0;
	double rank;

	for (int i = 0; i < WIRE_TRAFFIC_BUCKETS; i++)
		all += buckets[i];
	if (all == 0)
		return -1;
	rank = q * (double)all;
	for (int i = 0; i < WIRE_TRAFFIC_BUCKETS - 1; i++) {
		double from = i > 0 ? wire_traffic_bound_ms(i - 1) : 0;

		if (buckets[i] && (double)(below + buckets[i]) >= rank)
			return from + (wire_traffic_bound_ms(i) - from) * (rank - (double)below) /
					      (double)buckets[i];
		below += buckets[i];
	}
	return wire_traffic_bound_ms(WIRE_TRAFFIC_BUCKETS - 2); /* more than that */
}
