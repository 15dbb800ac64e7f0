/* measure: see measure.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/measure.h"

#include <string.h>

#include "daemon/gateway/client.h"
#include "daemon/gateway/exchange.h"
#include "daemon/gateway/gateway.h"
#include "daemon/gateway/routes.h"
#include "lib/mem.h"

#define LONGEST_LOOKS 64 /* at those that wait */

/* Before the loop waits: what was read is old by then. */
static void on_prepare(uv_prepare_t *p)
{
	struct measure *m = p->data;

	m->fresh = false;
}

void measure_init(struct measure *m, uv_loop_t *uv)
{
	*m = (struct measure){0};
	uv_prepare_init(uv, &m->prepare);
	m->prepare.data = m;
	uv_prepare_start(&m->prepare, on_prepare);
	uv_unref((uv_handle_t *)&m->prepare);
}

void measure_close(struct measure *m)
{
	uv_close((uv_handle_t *)&m->prepare, NULL);
}

uint64_t measure_now_us(struct measure *m)
{
	if (!m->fresh) {
		m->now_us = uv_hrtime() / 1000;
		m->fresh = true;
	}
	return m->now_us;
}

/* ---- what is asked for, of a port ---- */

struct demand *measure_demand(struct measure *m, const char *service, const char *name)
{
	struct demand *d = m->demands;

	while (d && (strcmp(d->service, service) != 0 || strcmp(d->name, name) != 0))
		d = d->next;
	if (!d) {
		d = mem_alloc(sizeof(*d));
		if (!d)
			return NULL;
		memccpy(d->service, service, '\0', sizeof(d->service) - 1);
		memccpy(d->name, name, '\0', sizeof(d->name) - 1);
		d->due = true;
		d->next = m->demands;
		if (d->next)
			d->next->prev = d;
		m->demands = d;
	}
	d->refs++;
	return d;
}

void measure_demand_drop(struct measure *m, struct demand *d)
{
	if (!d || --d->refs > 0)
		return;
	if (d->next)
		d->next->prev = d->prev;
	if (d->prev)
		d->prev->next = d->next;
	else
		m->demands = d->next;
	mem_free(d);
}

uint64_t measure_area_us(struct measure *m, struct demand *d)
{
	uint64_t now = measure_now_us(m);

	d->area_us += (now - d->at_us) * (d->waiting + d->active);
	d->at_us = now;
	return d->area_us;
}

void measure_route(struct measure *m, struct route *r)
{
	struct demand *d = measure_demand(m, r->service, r->name);

	if (d != r->demand) { /* the address is another one's now, with those who wait there */
		measure_change(m, r->demand, -(int)r->n_waiting, 0);
		measure_change(m, d, (int)r->n_waiting, 0);
	}
	measure_demand_drop(m, r->demand);
	r->demand = d;
}

void measure_revision(struct backend *b, uint64_t revision)
{
	b->stats_due |= b->revision != revision;
	b->revision = revision;
}

void measure_change(struct measure *m, struct demand *d, int waiting, int active)
{
	if (!d)
		return;
	measure_area_us(m, d);
	d->waiting += (uint32_t)waiting;
	d->active += (uint32_t)active;
	d->due = true;
}

uint32_t measure_longest_wait_ms(struct measure *m, const struct route *r)
{
	uint64_t now = measure_now_us(m), first = now;
	unsigned n = 0;

	for (const struct exchange *x = r->first; x && n < LONGEST_LOOKS; x = x->next, n++)
		if (x->m.arrived_us < first)
			first = x->m.arrived_us;
	first = (now - first) / 1000;
	return first < UINT32_MAX ? (uint32_t)first : UINT32_MAX;
}

/* ---- a request ---- */

void measure_arrived(struct gateway *g, struct exchange *x, struct route *r)
{
	x->m.arrived_us = measure_now_us(&g->measure);
	if (r && r->demand) {
		r->demand->arrived++;
		r->demand->due = true;
	}
}

void measure_refused(struct route *r)
{
	if (r && r->demand) {
		r->demand->refused++;
		r->demand->due = true;
	}
}

void measure_began(struct exchange *x, unsigned status)
{
	x->m.status = (uint16_t)status;
	x->m.first_us = measure_now_us(&x->c->g->measure);
}

/* The client has, or had, all of it. */
static void count_answer(struct exchange *x, struct wire_traffic_stats *s)
{
	uint64_t all, first;

	if (!x->m.first_us) /* tcp: nobody has to answer */
		measure_began(x, 200);
	all = measure_now_us(&x->c->g->measure) - x->m.arrived_us;
	first = x->m.first_us - x->m.arrived_us;
	s->answers[x->m.status / 100 < WIRE_TRAFFIC_CLASSES ? x->m.status / 100 : 0]++;
	s->latency[wire_traffic_bucket(all)]++;
	s->latency_us += all;
	s->first_byte[wire_traffic_bucket(first)]++;
	s->first_byte_us += first;
}

void measure_ended(struct exchange *x, bool failed)
{
	struct wire_traffic_stats *s = &x->b->stats;

	x->b->stats_due = true;
	if (!x->connected)
		s->connect_failures += failed;
	else if (x->m.repeats)
		s->retries++;
	else if (failed)
		s->answers[0]++;
	else if (x->m.first_us || x->is_tcp)
		count_answer(x, s);
	else
		s->cancelled++;
	x->m.repeats = false;
}
