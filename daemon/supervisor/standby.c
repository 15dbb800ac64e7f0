/* standby: see standby.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/standby.h"

#include <string.h>

#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/buf.h"
#include "lib/delta.h"
#include "lib/mem.h"

struct standby_body {
	uint32_t n_slots; /* that have it as theirs */
	uint32_t len;
	uint8_t text[];
};

struct standby {
	uint32_t len; /* of the text */
	uint32_t n;   /* of delta; 0 = it is the body's text */
	uint8_t delta[];
};

static struct delta_bytes text_of(const struct standby_body *body)
{
	return (struct delta_bytes){body->text, body->len};
}

/* ---- bodies ---- */

static void set_body(struct slot *s, struct standby_body *body)
{
	struct standby_body *old = s->standby_body;

	if (body)
		body->n_slots++; /* first: it may be the old one */
	s->standby_body = body;
	if (!old || --old->n_slots > 0)
		return;
	if (s->sup->standbys.last == old)
		s->sup->standbys.last = NULL;
	mem_free(old);
}

static struct standby_body *new_body(struct delta_bytes text)
{
	struct standby_body *body = mem_alloc(sizeof(*body) + text.n);

	if (!body)
		return NULL;
	body->len = (uint32_t)text.n;
	memcpy(body->text, text.p, text.n);
	return body;
}

/* The delta of text to the body if it is short; else out is empty. */
static bool is_near(struct buf *out, const struct standby_body *body, struct delta_bytes text)
{
	if (!body)
		return false;
	buf_clear(out);
	if (body->len == text.n && memcmp(body->text, text.p, text.n) == 0)
		return true;
	delta_encode(out, text_of(body), text);
	if (!out->failed && out->len <= text.n / 2)
		return true;
	buf_clear(out);
	return false;
}

/* A body that the text is near to, with the delta; else a new one. NULL = no memory. */
static struct standby_body *find_body(struct slot *s, struct buf *delta, struct delta_bytes text)
{
	struct wire_key first = {0};
	const struct slot *other;
	struct standby_body *at[3] = {s->standby_body, NULL, s->sup->standbys.last};

	if (text.n > WIRE_INLINE_MAX)
		return new_body(text); /* too long to be put together on the restart path */
	if (is_near(delta, at[0], text))
		return at[0];
	memcpy(first.service, s->t->service, sizeof(first.service));
	other = slot_find(s->sup, &first);
	at[1] = other ? other->standby_body : NULL;
	for (size_t i = 1; i < ARRAY_SIZE(at); i++)
		if (at[i] != at[i - 1] && is_near(delta, at[i], text))
			return at[i];
	return new_body(text);
}

/* ---- of a slot ---- */

void standby_drop(struct slot *s)
{
	mem_free(s->standby);
	s->standby = NULL;
}

static void keep(struct slot *s, struct delta_bytes text)
{
	struct standbys *all = &s->sup->standbys;
	_cleanup_buf_ struct buf delta = {0};
	struct standby_body *body = find_body(s, &delta, text);

	if (!body)
		return;
	s->standby = mem_alloc(sizeof(*s->standby) + delta.len);
	if (!s->standby || (delta.len && mem_grow(&all->text, &all->cap, text.n, 1) < 0)) {
		standby_drop(s);
		if (body->n_slots == 0)
			mem_free(body);
		return;
	}
	s->standby->len = (uint32_t)text.n;
	s->standby->n = (uint32_t)delta.len;
	if (delta.len)
		memcpy(s->standby->delta, delta.data, delta.len);
	all->last = body;
	set_body(s, body);
}

void standby_keep(struct slot *s, const struct wire_spawn *m)
{
	_cleanup_buf_ struct buf b = {0};

	standby_drop(s);
	wire_encode_spawn(&b, m);
	if (!b.failed)
		keep(s, (struct delta_bytes){(const uint8_t *)b.data + WIRE_HEADER_SIZE,
					     b.len - WIRE_HEADER_SIZE});
}

int standby_take(struct slot *s, struct wire_spawn *m)
{
	const struct standby *b = s->standby;
	const uint8_t *text = s->standby_body->text;
	int r = 0;

	if (b->n > 0) {
		text = s->sup->standbys.text;
		r = delta_decode(text_of(s->standby_body), (struct delta_bytes){b->delta, b->n},
				 s->sup->standbys.text, b->len);
	}
	if (r == 0)
		r = wire_decode_spawn(text, b->len, m);
	standby_drop(s);
	return r;
}

void standby_free(struct slot *s)
{
	standby_drop(s);
	set_body(s, NULL);
}

void standby_done(struct supervisor *sup)
{
	mem_free(sup->standbys.text);
	sup->standbys = (struct standbys){0};
}
