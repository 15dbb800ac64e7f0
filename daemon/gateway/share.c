/* share: see share.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/share.h"

#include <string.h>

#include "lib/err.h"
#include "lib/mem.h"

unsigned share_of(const struct share *s, const struct wire_listen_at *at)
{
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct share_port *p = &s->list[i];

		if (p->seen && p->at.port == at->port && strcmp(p->at.address, at->address) == 0)
			return p->thread;
	}
	return at->port % s->n;
}

static struct share_port *find(const struct share *s, const struct wire_route *r)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (strcmp(s->list[i].service, r->service) == 0 &&
		    strcmp(s->list[i].name, r->name) == 0)
			return &s->list[i];
	return NULL;
}

static void forget_old(struct share *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_ports; i++)
		if (s->list[i].seen)
			s->list[n++] = s->list[i];
	s->n_ports = n;
}

static struct share_port *add(struct share *s, const struct wire_route *r, unsigned thread)
{
	struct share_port *p;

	if (mem_grow(&s->list, &s->cap, s->n_ports + 1, sizeof(*s->list)) < 0)
		return NULL;
	p = &s->list[s->n_ports++];
	*p = (struct share_port){.thread = thread};
	memcpy(p->service, r->service, sizeof(p->service));
	memcpy(p->name, r->name, sizeof(p->name));
	return p;
}

int share_routes(struct share *s, const struct wire_routes *m, unsigned *threads)
{
	if (s->n_ports + m->n > SHARE_KEPT_MAX)
		forget_old(s);
	for (size_t i = 0; i < s->n_ports; i++)
		s->list[i].seen = false;
	for (uint32_t i = 0; i < m->n; i++) {
		struct share_port *p = find(s, &m->list[i]);

		if (!p)
			p = add(s, &m->list[i], threads[i]);
		if (!p)
			return -ERR_NOMEM;
		p->seen = true;
		p->at = m->list[i].at;
		threads[i] = p->thread;
	}
	return 0;
}

void share_part(const struct wire_routes *m, const unsigned *threads, unsigned thread,
		struct wire_route *list, struct wire_routes *ret)
{
	*ret = (struct wire_routes){.epoch = m->epoch, .generation = m->generation, .list = list};
	for (uint32_t i = 0; i < m->n; i++)
		if (threads[i] == thread)
			list[ret->n++] = m->list[i];
}

bool share_routed(const struct share_routed *list, unsigned n, uint64_t *epoch,
		  uint64_t *generation)
{
	*epoch = *generation = 0;
	for (unsigned i = 0; i < n; i++) {
		if (list[i].ended)
			continue;
		if (list[i].epoch == 0 || (*epoch && list[i].epoch != *epoch))
			return false;
		if (*epoch == 0 || list[i].generation < *generation)
			*generation = list[i].generation;
		*epoch = list[i].epoch;
	}
	return *epoch != 0;
}

void share_done(struct share *s)
{
	mem_free(s->list);
	*s = (struct share){.n = s->n};
}

void share_take(struct share_ports *p, const struct wire_listen_at *at, bool on)
{
	uint64_t bit = UINT64_C(1) << at->port % 64;

	if (strcmp(at->address, "127.0.0.1") != 0 && strcmp(at->address, "0.0.0.0") != 0)
		return;
	if (on)
		__atomic_or_fetch(&p->bits[at->port / 64], bit, __ATOMIC_RELAXED);
	else
		__atomic_and_fetch(&p->bits[at->port / 64], ~bit, __ATOMIC_RELAXED);
}

bool share_is_taken(const struct share_ports *p, uint16_t port)
{
	return __atomic_load_n(&p->bits[port / 64], __ATOMIC_RELAXED) >> port % 64 & 1;
}
