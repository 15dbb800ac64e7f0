/* wire_push: see wire_push.h, and EVIDENCE. */
/* SPDX-License-Identifier: MIT */
#include "daemon/wire/wire_push.h"

#include "lib/buf.h"

void wire_push_put(struct buf *b, const struct wire_push *m)
{
	field_put_u8(b, m->flags);
	field_put_i32(b, m->err);
	field_put_i64(b, m->watchdog_ms);
	field_put_i64(b, m->extend_until_mono_ms);
	field_put_u32(b, m->dropped);
	field_put_array(b, m->status, sizeof(m->status));
}

void wire_push_get(struct field_reader *r, struct wire_push *m)
{
	m->flags = field_get_u8(r);
	m->err = field_get_i32(r);
	m->watchdog_ms = field_get_i64(r);
	m->extend_until_mono_ms = field_get_i64(r);
	m->dropped = field_get_u32(r);
	field_get_array(r, m->status, sizeof(m->status));
	if (m->flags > WIRE_PUSH_MAX_ || m->watchdog_ms < 0 || m->extend_until_mono_ms < 0)
		r->bad = true;
}

void wire_push_encode_evidence(struct buf *b, const struct wire_evidence *m)
{
	size_t at = field_begin(b, WIRE_EVIDENCE);

	field_put_key(b, &m->key);
	field_put_u64(b, m->io_bytes);
	field_put_u64(b, m->memory_bytes);
	field_put_u64(b, m->block_bytes);
	field_end(b, at);
}

int wire_push_decode_evidence(const uint8_t *body, size_t len, struct wire_evidence *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_evidence){0};
	field_get_key(&r, &m->key);
	m->io_bytes = field_get_u64(&r);
	m->memory_bytes = field_get_u64(&r);
	m->block_bytes = field_get_u64(&r);
	return field_check(&r);
}
