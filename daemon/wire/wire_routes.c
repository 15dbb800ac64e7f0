/* wire_routes: see wire_routes.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/wire/wire_routes.h"

#include "daemon/wire/field.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define BACKEND_BYTES 24 /* the least that one takes: a count is believed no further */
#define ROUTE_BYTES 94
#define PERMILLE 1000

static void put_backend(struct buf *b, const struct wire_routes_backend *m)
{
	field_put_u32(b, m->index);
	field_put_text(b, m->incarnation);
	field_put_le(b, m->port, 2);
	field_put_u8(b, m->draining);
	field_put_u8(b, m->canary);
	field_put_u64(b, m->revision);
	field_put_array(b, m->socket, sizeof(m->socket));
}

static void get_backend(struct field_reader *r, struct wire_routes_backend *m)
{
	m->index = field_get_u32(r);
	field_get_incarnation(r, m->incarnation);
	m->port = (uint16_t)field_get_le(r, 2);
	m->draining = field_get_bool(r);
	m->canary = field_get_bool(r);
	m->revision = field_get_u64(r);
	field_get_array(r, m->socket, sizeof(m->socket));
	if ((m->port == 0) == (m->socket[0] == '\0'))
		r->bad = true;
}

static void put_rules(struct buf *b, const struct wire_routes_rules *m)
{
	const uint32_t numbers[] = {m->concurrency, m->queue_max, m->queue_timeout_ms,
				    m->hold_ms,	    m->eta_ms,	  m->connect_ms,
				    m->head_ms,	    m->idle_ms,	  m->response_ms,
				    m->stall_ms,    m->total_ms,  m->tunnel_ms};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		field_put_u32(b, numbers[i]);
	field_put_u8(b, m->from_zero);
	field_put_u64(b, m->held_until);
	field_put_u8(b, m->retry);
	field_put_le(b, m->canary_permille, 2);
	field_put_le(b, m->access_permille, 2);
	field_put_array(b, m->affinity, sizeof(m->affinity));
}

static void get_rules(struct field_reader *r, struct wire_routes_rules *m)
{
	uint32_t *const numbers[] = {&m->concurrency, &m->queue_max, &m->queue_timeout_ms,
				     &m->hold_ms,     &m->eta_ms,    &m->connect_ms,
				     &m->head_ms,     &m->idle_ms,   &m->response_ms,
				     &m->stall_ms,    &m->total_ms,  &m->tunnel_ms};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		*numbers[i] = field_get_u32(r);
	m->from_zero = field_get_bool(r);
	m->held_until = field_get_u64(r);
	m->retry = field_get_u8(r);
	m->canary_permille = (uint16_t)field_get_le(r, 2);
	m->access_permille = (uint16_t)field_get_le(r, 2);
	field_get_array(r, m->affinity, sizeof(m->affinity));
	if (m->retry > RETRY_NEVER || m->canary_permille > PERMILLE ||
	    m->access_permille > PERMILLE)
		r->bad = true;
}

static void put_route(struct buf *b, const struct wire_route *m)
{
	field_put_array(b, m->at.address, sizeof(m->at.address));
	field_put_le(b, m->at.port, 2);
	field_put_array(b, m->service, sizeof(m->service));
	field_put_array(b, m->name, sizeof(m->name));
	field_put_u8(b, m->protocol);
	put_rules(b, &m->rules);
	field_put_array(b, m->news.state, sizeof(m->news.state));
	field_put_array(b, m->news.failed, sizeof(m->news.failed));
	field_put_u64(b, m->news.ready_mono_ms);
	field_put_u32(b, m->n);
	for (uint32_t i = 0; i < m->n; i++)
		put_backend(b, &m->backends[i]);
}

/* 0 or -ERR_NOMEM; what is malformed makes r bad. */
static int get_route(struct field_reader *r, struct wire_route *m)
{
	uint32_t n;

	field_get_array(r, m->at.address, sizeof(m->at.address));
	m->at.port = (uint16_t)field_get_le(r, 2);
	field_get_array(r, m->service, sizeof(m->service));
	field_get_array(r, m->name, sizeof(m->name));
	m->protocol = field_get_u8(r);
	get_rules(r, &m->rules);
	field_get_array(r, m->news.state, sizeof(m->news.state));
	field_get_array(r, m->news.failed, sizeof(m->news.failed));
	m->news.ready_mono_ms = field_get_u64(r);
	n = field_get_u32(r);
	if (!m->at.address[0] || m->at.port == 0 || !field_is_label(m->service) ||
	    m->protocol >= WIRE_ROUTES_PROTOCOL_MAX_ || n > WIRE_ROUTES_BACKENDS_MAX ||
	    n > r->left / BACKEND_BYTES)
		r->bad = true;
	if (r->bad || n == 0)
		return 0;
	m->backends = mem_alloc(n * sizeof(*m->backends));
	if (!m->backends)
		return -ERR_NOMEM;
	m->n = n;
	for (uint32_t i = 0; i < n; i++)
		get_backend(r, &m->backends[i]);
	return 0;
}

void wire_routes_encode(struct buf *b, const struct wire_routes *m)
{
	size_t at = field_begin(b, WIRE_ROUTES);

	field_put_u64(b, m->epoch);
	field_put_u64(b, m->generation);
	field_put_u32(b, m->n);
	for (uint32_t i = 0; i < m->n; i++)
		put_route(b, &m->list[i]);
	field_end(b, at);
}

int wire_routes_decode(const uint8_t *body, size_t len, struct wire_routes *m)
{
	struct field_reader r = {.p = body, .left = len};
	uint32_t n;
	int e = 0;

	*m = (struct wire_routes){0};
	m->epoch = field_get_u64(&r);
	m->generation = field_get_u64(&r);
	n = field_get_u32(&r);
	if (r.bad || m->epoch == 0 || m->generation == 0 || n > WIRE_ROUTES_MAX ||
	    n > r.left / ROUTE_BYTES)
		return -ERR_INVALID;
	m->list = n > 0 ? mem_alloc(n * sizeof(*m->list)) : NULL;
	if (n > 0 && !m->list)
		return -ERR_NOMEM;
	m->n = n;
	for (uint32_t i = 0; i < n && e == 0 && !r.bad; i++)
		e = get_route(&r, &m->list[i]);
	if (e == 0)
		e = field_check(&r);
	if (e < 0)
		wire_routes_free(m);
	return e;
}

void wire_routes_free(struct wire_routes *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		mem_free(m->list[i].backends);
	mem_free(m->list);
	*m = (struct wire_routes){0};
}

void wire_routes_encode_routed(struct buf *b, uint64_t epoch, uint64_t generation)
{
	size_t at = field_begin(b, WIRE_ROUTED);

	field_put_u64(b, epoch);
	field_put_u64(b, generation);
	field_end(b, at);
}

int wire_routes_decode_routed(const uint8_t *body, size_t len, uint64_t *epoch,
			      uint64_t *generation)
{
	struct field_reader r = {.p = body, .left = len};

	*epoch = field_get_u64(&r);
	*generation = field_get_u64(&r);
	return field_check(&r);
}

uint32_t wire_routes_encode_load(struct buf *b, const struct wire_routes_load *list, uint32_t n)
{
	size_t at = field_begin(b, WIRE_LOAD);

	if (n > WIRE_ROUTES_LOADS_MAX)
		n = WIRE_ROUTES_LOADS_MAX;
	field_put_u32(b, n);
	for (uint32_t i = 0; i < n; i++) {
		field_put_key(b, &list[i].key);
		field_put_array(b, list[i].name, sizeof(list[i].name));
		field_put_u32(b, list[i].active);
		field_put_u64(b, list[i].requests);
		field_put_u64(b, list[i].failures);
	}
	field_end(b, at);
	return n;
}

static void get_load(struct field_reader *r, struct wire_routes_load *m)
{
	field_get_key(r, &m->key);
	field_get_array(r, m->name, sizeof(m->name));
	m->active = field_get_u32(r);
	m->requests = field_get_u64(r);
	m->failures = field_get_u64(r);
}

int wire_routes_decode_load(const uint8_t *body, size_t len,
			    void (*fn)(void *user, const struct wire_routes_load *m), void *user)
{
	for (int pass = 0; pass < 2; pass++) { /* first: is it whole? */
		struct field_reader r = {.p = body, .left = len};
		uint32_t n = field_get_u32(&r);
		struct wire_routes_load m;

		if (n > WIRE_ROUTES_LOADS_MAX)
			return -ERR_INVALID;
		for (uint32_t i = 0; i < n; i++) {
			get_load(&r, &m);
			if (pass == 1)
				fn(user, &m);
		}
		if (field_check(&r) < 0)
			return -ERR_INVALID;
	}
	return 0;
}
