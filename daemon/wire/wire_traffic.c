/* wire_traffic: see wire_traffic.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/wire/wire_traffic.h"

#include <math.h>

#include "daemon/wire/field.h"
#include "lib/buf.h"
#include "lib/err.h"

static uint64_t bound_us(unsigned i)
{
	static const uint64_t first[WIRE_TRAFFIC_DOUBLING] = {250, 297, 354, 420};

	return first[i % WIRE_TRAFFIC_DOUBLING] << i / WIRE_TRAFFIC_DOUBLING;
}

double wire_traffic_bound_ms(unsigned i)
{
	return i >= WIRE_TRAFFIC_BUCKETS - 1 ? INFINITY : (double)bound_us(i) / 1e3;
}

unsigned wire_traffic_bucket(uint64_t us)
{
	unsigned i;

	if (us <= bound_us(0))
		return 0;
	/* the last one of a doubling that is below, and up from there */
	i = WIRE_TRAFFIC_DOUBLING * (63 - (unsigned)__builtin_clzll((us - 1) / bound_us(0))) + 1;
	while (i < WIRE_TRAFFIC_BUCKETS - 1 && us > bound_us(i))
		i++;
	return i < WIRE_TRAFFIC_BUCKETS - 1 ? i : WIRE_TRAFFIC_BUCKETS - 1;
}

uint32_t wire_traffic_encode_demand(struct buf *b, const struct wire_traffic_demand *list,
				    uint32_t n)
{
	size_t at = field_begin(b, WIRE_DEMAND);

	if (n > WIRE_TRAFFIC_DEMANDS_MAX)
		n = WIRE_TRAFFIC_DEMANDS_MAX;
	field_put_u32(b, n);
	for (uint32_t i = 0; i < n; i++) {
		field_put_array(b, list[i].service, sizeof(list[i].service));
		field_put_array(b, list[i].name, sizeof(list[i].name));
		field_put_u32(b, list[i].waiting);
		field_put_u32(b, list[i].active);
		field_put_u32(b, list[i].longest_wait_ms);
		field_put_u64(b, list[i].arrived);
		field_put_u64(b, list[i].refused);
		field_put_u64(b, list[i].area_us);
	}
	field_end(b, at);
	return n;
}

static void get_demand(struct field_reader *r, struct wire_traffic_demand *m)
{
	field_get_array(r, m->service, sizeof(m->service));
	field_get_array(r, m->name, sizeof(m->name));
	m->waiting = field_get_u32(r);
	m->active = field_get_u32(r);
	m->longest_wait_ms = field_get_u32(r);
	m->arrived = field_get_u64(r);
	m->refused = field_get_u64(r);
	m->area_us = field_get_u64(r);
	if (!field_is_label(m->service))
		r->bad = true;
}

int wire_traffic_decode_demand(const uint8_t *body, size_t len,
			       void (*fn)(void *user, const struct wire_traffic_demand *m),
			       void *user)
{
	for (int pass = 0; pass < 2; pass++) { /* first: is it whole? */
		struct field_reader r = {.p = body, .left = len};
		uint32_t n = field_get_u32(&r);
		struct wire_traffic_demand m;

		if (n > WIRE_TRAFFIC_DEMANDS_MAX)
			return -ERR_INVALID;
		for (uint32_t i = 0; i < n; i++) {
			get_demand(&r, &m);
			if (pass == 1)
				fn(user, &m);
		}
		if (field_check(&r) < 0)
			return -ERR_INVALID;
	}
	return 0;
}

static void put_totals(struct buf *b, const uint64_t *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		field_put_u64(b, v[i]);
}

static void get_totals(struct field_reader *r, uint64_t *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		v[i] = field_get_u64(r);
}

uint32_t wire_traffic_encode_stats(struct buf *b, const struct wire_traffic_stats *list, uint32_t n)
{
	size_t at = field_begin(b, WIRE_STATS);

	if (n > WIRE_TRAFFIC_STATS_MAX)
		n = WIRE_TRAFFIC_STATS_MAX;
	field_put_u32(b, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct wire_traffic_stats *m = &list[i];

		field_put_key(b, &m->key);
		field_put_array(b, m->name, sizeof(m->name));
		field_put_u64(b, m->revision);
		put_totals(b, m->answers, WIRE_TRAFFIC_CLASSES);
		field_put_u64(b, m->cancelled);
		field_put_u64(b, m->connect_failures);
		field_put_u64(b, m->retries);
		field_put_u64(b, m->bytes_in);
		field_put_u64(b, m->bytes_out);
		field_put_u32(b, m->ejections);
		field_put_u32(b, m->ejected_for_ms);
		field_put_u64(b, m->latency_us);
		field_put_u64(b, m->first_byte_us);
		put_totals(b, m->latency, WIRE_TRAFFIC_BUCKETS);
		put_totals(b, m->first_byte, WIRE_TRAFFIC_BUCKETS);
	}
	field_end(b, at);
	return n;
}

static void get_stats(struct field_reader *r, struct wire_traffic_stats *m)
{
	field_get_key(r, &m->key);
	field_get_array(r, m->name, sizeof(m->name));
	m->revision = field_get_u64(r);
	get_totals(r, m->answers, WIRE_TRAFFIC_CLASSES);
	m->cancelled = field_get_u64(r);
	m->connect_failures = field_get_u64(r);
	m->retries = field_get_u64(r);
	m->bytes_in = field_get_u64(r);
	m->bytes_out = field_get_u64(r);
	m->ejections = field_get_u32(r);
	m->ejected_for_ms = field_get_u32(r);
	m->latency_us = field_get_u64(r);
	m->first_byte_us = field_get_u64(r);
	get_totals(r, m->latency, WIRE_TRAFFIC_BUCKETS);
	get_totals(r, m->first_byte, WIRE_TRAFFIC_BUCKETS);
}

int wire_traffic_decode_stats(const uint8_t *body, size_t len,
			      void (*fn)(void *user, const struct wire_traffic_stats *m),
			      void *user)
{
	for (int pass = 0; pass < 2; pass++) {
		struct field_reader r = {.p = body, .left = len};
		uint32_t n = field_get_u32(&r);
		struct wire_traffic_stats m;

		if (n > WIRE_TRAFFIC_STATS_MAX)
			return -ERR_INVALID;
		for (uint32_t i = 0; i < n; i++) {
			get_stats(&r, &m);
			if (pass == 1)
				fn(user, &m);
		}
		if (field_check(&r) < 0)
			return -ERR_INVALID;
	}
	return 0;
}
