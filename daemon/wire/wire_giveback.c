/*
 * wire_giveback: JOIN, GIVE_BACK and GIVE_BACK_END, which a helper that outlived its aictld sends to
 * the next one (wire.h).
 *
 * Frozen: after an upgrade the two are of different builds. Each body begins with a u32 of the
 * format's number, FORMAT; members are only ever appended, and a reader ignores what follows those
 * it knows.
 *
 *   JOIN       u32 format  text version[32]  i32 pid  u32 role
 *   GIVE_BACK  u32 format  key (text service, u32 index, text incarnation)  u32 intent word
 *              u64 max_size  u32 max_files  u8 gone  u32 fds
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/wire/field.h"
#include "daemon/wire/wire.h"
#include "lib/err.h"

#define FORMAT 1
#define ALL_FDS (WIRE_GIVE_STDOUT | WIRE_GIVE_STDERR | WIRE_GIVE_PIDFD)

void wire_giveback_encode_join(struct buf *b, const struct wire_join *m)
{
	size_t at = field_begin(b, WIRE_JOIN);

	field_put_u32(b, FORMAT);
	field_put_array(b, m->version, sizeof(m->version));
	field_put_i32(b, m->pid);
	field_put_u32(b, m->role);
	field_end(b, at);
}

int wire_giveback_decode_join(const uint8_t *body, size_t len, struct wire_join *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_join){0};
	if (field_get_u32(&r) < FORMAT)
		r.bad = true;
	field_get_array(&r, m->version, sizeof(m->version));
	m->pid = field_get_i32(&r);
	m->role = field_get_u32(&r);
	if (m->role != WIRE_ROLE_LOGGER && m->role != WIRE_ROLE_GATEWAY)
		r.bad = true;
	return r.bad ? -ERR_INVALID : 0;
}

void wire_giveback_encode(struct buf *b, const struct wire_give_back *m)
{
	size_t at = field_begin(b, WIRE_GIVE_BACK);

	field_put_u32(b, FORMAT);
	field_put_key(b, &m->stream.key);
	field_put_u32(b, m->stream.intent_index);
	field_put_u64(b, m->stream.max_size);
	field_put_u32(b, m->stream.max_files);
	field_put_u8(b, m->stream.gone);
	field_put_u32(b, m->fds);
	field_end(b, at);
}

int wire_giveback_decode(const uint8_t *body, size_t len, struct wire_give_back *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_give_back){0};
	if (field_get_u32(&r) < FORMAT)
		r.bad = true;
	field_get_key(&r, &m->stream.key);
	m->stream.intent_index = field_get_u32(&r);
	m->stream.max_size = field_get_u64(&r);
	m->stream.max_files = field_get_u32(&r);
	m->stream.gone = field_get_bool(&r);
	m->fds = field_get_u32(&r);
	if (m->stream.key.incarnation[0] == '\0' || m->fds & ~(uint32_t)ALL_FDS)
		r.bad = true;
	return r.bad ? -ERR_INVALID : 0;
}
