/* demand: see demand.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/demand.h"

#include <string.h>

#define US_PER_MS 1000.0
#define MS_PER_S 1000.0

static void clear(struct demand_ring *r, int64_t now)
{
	memset(r->area_ms, 0, sizeof(r->area_ms));
	memset(r->arrived, 0, sizeof(r->arrived));
	r->newest = r->width_ms ? now / r->width_ms : 0;
}

void demand_windows(struct demand *d, int64_t stable_ms, int64_t panic_ms, int64_t now_mono_ms)
{
	const int64_t windows[DEMAND_SPAN_MAX_] = {stable_ms, panic_ms};

	for (int i = 0; i < DEMAND_SPAN_MAX_; i++) {
		struct demand_ring *r = &d->rings[i];
		/* one bucket is under way, and of one only a part counts */
		int64_t width = (windows[i] + DEMAND_BUCKETS - 3) / (DEMAND_BUCKETS - 2);

		if (r->window_ms == windows[i])
			continue;
		r->window_ms = windows[i];
		r->width_ms = width > DEMAND_BUCKET_MIN_MS ? width : DEMAND_BUCKET_MIN_MS;
		clear(r, now_mono_ms);
	}
}

void demand_connect(struct demand *d, bool connected, int64_t now_mono_ms)
{
	if (connected) { /* what was before is too long ago, or of nobody knows when */
		d->since_mono_ms = now_mono_ms;
		for (int i = 0; i < DEMAND_SPAN_MAX_; i++)
			clear(&d->rings[i], now_mono_ms);
	}
	d->connected = connected;
	for (int i = 0; i < DEMAND_PORTS_MAX; i++) {
		d->ports[i].known = false;
		d->ports[i].waiting = d->ports[i].active = 0;
	}
}

/* Time has come to now: what is older than the ring goes. */
static void advance(struct demand_ring *r, int64_t now)
{
	int64_t to = now / r->width_ms;

	if (to - r->newest >= DEMAND_BUCKETS) {
		clear(r, now);
		return;
	}
	while (r->newest < to) {
		r->newest++;
		r->area_ms[r->newest % DEMAND_BUCKETS] = 0;
		r->arrived[r->newest % DEMAND_BUCKETS] = 0;
	}
}

/* Evenly over the time in which it came together. */
static void spread(struct demand_ring *r, int64_t from, int64_t to, double area_ms, double arrived)
{
	int64_t oldest, first;

	if (!r->window_ms)
		return;
	advance(r, to);
	oldest = (r->newest - DEMAND_BUCKETS + 1) * r->width_ms;
	if (from >= to)
		from = to - 1;
	first = from > oldest ? from : oldest;
	for (int64_t at = first; at < to;) {
		int64_t bucket = at / r->width_ms, end = (bucket + 1) * r->width_ms;
		double share;

		end = end < to ? end : to;
		share = (double)(end - at) / (double)(to - from);
		r->area_ms[bucket % DEMAND_BUCKETS] += area_ms * share;
		r->arrived[bucket % DEMAND_BUCKETS] += arrived * share;
		at = end;
	}
}

static struct demand_port *port_of(struct demand *d, const char *name)
{
	for (int i = 0; i < DEMAND_PORTS_MAX; i++) {
		struct demand_port *p = &d->ports[i];

		if (!p->name[0])
			memccpy(p->name, name, '\0', sizeof(p->name) - 1);
		if (strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

void demand_take(struct demand *d, const struct demand_reading *m, int64_t now_mono_ms)
{
	struct demand_port *p = port_of(d, m->port);
	uint64_t now = (uint64_t)m->waiting + m->active;
	int64_t from;
	bool counts;

	if (!p)
		return;
	/* behind a nothing the gateway is silent for long, and then speaks soon */
	from = p->waiting || p->active || now_mono_ms - p->at_mono_ms < DEMAND_BUCKET_MIN_MS
		       ? p->at_mono_ms
		       : now_mono_ms - DEMAND_BUCKET_MIN_MS;
	if (!d->since_mono_ms)
		d->since_mono_ms = now_mono_ms;
	counts = p->known && m->area_us >= p->area_us && m->arrived >= p->arrived;
	for (int i = 0; counts && i < DEMAND_SPAN_MAX_; i++)
		spread(&d->rings[i], from, now_mono_ms,
		       (double)(m->area_us - p->area_us) / US_PER_MS,
		       (double)(m->arrived - p->arrived));
	if (now || (counts && m->arrived > p->arrived))
		d->last_mono_ms = now_mono_ms;
	if (counts && m->refused > p->refused)
		d->refused += m->refused - p->refused;
	p->known = true;
	p->at_mono_ms = now_mono_ms;
	p->waiting = m->waiting;
	p->active = m->active;
	p->longest_wait_ms = m->longest_wait_ms;
	p->arrived = m->arrived;
	p->refused = m->refused;
	p->area_us = m->area_us;
	d->connected = true;
}

void demand_keep(struct demand *d, bool (*has)(const void *user, const char *port),
		 const void *user)
{
	int n = 0;

	for (int i = 0; i < DEMAND_PORTS_MAX; i++)
		if (d->ports[i].name[0] && has(user, d->ports[i].name))
			d->ports[n++] = d->ports[i];
	for (; n < DEMAND_PORTS_MAX; n++)
		d->ports[n] = (struct demand_port){0};
}

void demand_forget(struct demand *d, int64_t now_mono_ms)
{
	for (int i = 0; i < DEMAND_SPAN_MAX_; i++) {
		struct demand_ring *r = &d->rings[i];

		clear(r, now_mono_ms);
		if (now_mono_ms - r->window_ms < d->since_mono_ms)
			d->since_mono_ms = now_mono_ms - r->window_ms;
	}
	for (int i = 0; i < DEMAND_PORTS_MAX; i++) { /* up to now it will have gone on */
		struct demand_port *p = &d->ports[i];
		int64_t since = now_mono_ms - p->at_mono_ms;

		if (!p->known || since <= 0)
			continue;
		p->area_us +=
			((uint64_t)p->waiting + p->active) * (uint64_t)since * (uint64_t)US_PER_MS;
		p->at_mono_ms = now_mono_ms;
	}
}

bool demand_is_known(const struct demand *d, int64_t now_mono_ms)
{
	for (int i = 0; d->connected && i < DEMAND_PORTS_MAX; i++) {
		const struct demand_port *p = &d->ports[i];

		if (p->known && (p->waiting || p->active) &&
		    now_mono_ms - p->at_mono_ms > DEMAND_SILENCE_MS)
			return false;
	}
	return d->connected;
}

/* The sum of the last window_ms, of one of the two. */
static double sum(const struct demand_ring *r, const double *buckets, int64_t now)
{
	int64_t newest = now / r->width_ms, from = now - r->window_ms;
	double all = 0;

	for (int64_t n = newest; n > newest - DEMAND_BUCKETS; n--) {
		int64_t begin = n * r->width_ms, left = begin + r->width_ms - from;

		if (left <= 0)
			break;
		if (n > r->newest || n <= r->newest - DEMAND_BUCKETS || n < 0)
			continue;
		all += buckets[n % DEMAND_BUCKETS] *
		       (left < r->width_ms ? (double)left / (double)r->width_ms : 1.0);
	}
	return all;
}

static double length_ms(const struct demand *d, const struct demand_ring *r, int64_t now)
{
	int64_t age = now - d->since_mono_ms;

	if (age < r->width_ms)
		age = r->width_ms;
	return (double)(age < r->window_ms ? age : r->window_ms);
}

double demand_concurrency(const struct demand *d, enum demand_span span, int64_t now_mono_ms)
{
	const struct demand_ring *r = &d->rings[span];
	double all;

	if (!r->window_ms || !d->since_mono_ms)
		return 0;
	all = sum(r, r->area_ms, now_mono_ms);
	for (int i = 0; i < DEMAND_PORTS_MAX; i++) { /* since the last word it will have gone on */
		const struct demand_port *p = &d->ports[i];
		int64_t since = now_mono_ms - p->at_mono_ms;

		if (p->known && since > 0)
			all += (double)(p->waiting + (uint64_t)p->active) *
			       (double)(since < r->window_ms ? since : r->window_ms);
	}
	return all / length_ms(d, r, now_mono_ms);
}

double demand_rps(const struct demand *d, enum demand_span span, int64_t now_mono_ms)
{
	const struct demand_ring *r = &d->rings[span];

	if (!r->window_ms || !d->since_mono_ms)
		return 0;
	return sum(r, r->arrived, now_mono_ms) * MS_PER_S / length_ms(d, r, now_mono_ms);
}

uint64_t demand_now(const struct demand *d)
{
	uint64_t n = 0;

	for (int i = 0; i < DEMAND_PORTS_MAX; i++)
		n += (uint64_t)d->ports[i].waiting + d->ports[i].active;
	return n;
}

bool demand_is_quiet(const struct demand *d, int64_t now_mono_ms)
{
	if (demand_now(d))
		return false;
	for (int i = 0; i < DEMAND_SPAN_MAX_; i++)
		if (demand_concurrency(d, i, now_mono_ms) > 0 || demand_rps(d, i, now_mono_ms) > 0)
			return false;
	return true;
}
