/*
 * wire_giveback: JOIN, GIVE_BACK, GIVE_LISTENER and GIVE_BACK_END, which a helper that outlived its aictld sends to
 * the next one (wire.h).
 *
 * Frozen: after an upgrade the two are of different builds. Each body begins with a u32 of the
 * format's number, FORMAT; members are only ever appended, and a reader ignores what follows those
 * it knows.
 *
 *   JOIN       u32 format  text version[32]  i32 pid  u32 role
 *   GIVE_BACK  u32 format  key (text service, u32 index, text incarnation)  u32 intent word
 *              u64 max_size  u32 max_files  u8 gone  u32 fds
 *              u32 flags of logs  u64 max_total  i64 max_age_ms  i64 rotate_ms
 *              (these four: not in the first builds)
 *              u64 revision (later still)
 *   GIVE_LISTENER  u32 format  text address[46]  u16 port; with its descriptor
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/wire/field.h"
#include "daemon/wire/wire.h"
#include "daemon/wire/wire_listen.h"
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
	field_put_u64(b, m->stream.logs.max_size);
	field_put_u32(b, m->stream.logs.max_files);
	field_put_u8(b, m->stream.gone);
	field_put_u32(b, m->fds);
	field_put_u32(b, m->stream.logs.flags);
	field_put_u64(b, m->stream.logs.max_total);
	field_put_i64(b, m->stream.logs.max_age_ms);
	field_put_i64(b, m->stream.logs.rotate_ms);
	field_put_u64(b, m->stream.logs.revision);
	field_end(b, at);
}

static void get_later(struct field_reader *r, struct wire_logs *m)
{
	m->flags = field_get_u32(r) & WIRE_LOGS_ALL; /* a later build may know more */
	m->max_total = field_get_u64(r);
	m->max_age_ms = field_get_i64(r);
	m->rotate_ms = field_get_i64(r);
	m->revision = r->left > 0 ? field_get_u64(r) : 0;
	if (m->max_age_ms < 0 || m->rotate_ms < 0)
		r->bad = true;
}

int wire_giveback_decode(const uint8_t *body, size_t len, struct wire_give_back *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_give_back){0};
	if (field_get_u32(&r) < FORMAT)
		r.bad = true;
	field_get_key(&r, &m->stream.key);
	m->stream.intent_index = field_get_u32(&r);
	m->stream.logs.max_size = field_get_u64(&r);
	m->stream.logs.max_files = field_get_u32(&r);
	m->stream.gone = field_get_bool(&r);
	m->fds = field_get_u32(&r);
	if (r.left > 0)
		get_later(&r, &m->stream.logs);
	if (m->stream.key.incarnation[0] == '\0' || m->fds & ~(uint32_t)ALL_FDS)
		r.bad = true;
	return r.bad ? -ERR_INVALID : 0;
}

void wire_giveback_encode_listener(struct buf *b, const struct wire_listen_at *m)
{
	size_t at = field_begin(b, WIRE_GIVE_LISTENER);

	field_put_u32(b, FORMAT);
	field_put_array(b, m->address, sizeof(m->address));
	field_put_le(b, m->port, 2);
	field_end(b, at);
}

int wire_giveback_decode_listener(const uint8_t *body, size_t len, struct wire_listen_at *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_listen_at){0};
	if (field_get_u32(&r) < FORMAT)
		r.bad = true;
	field_get_array(&r, m->address, sizeof(m->address));
	m->port = (uint16_t)field_get_le(&r, 2);
	return r.bad || m->port == 0 || m->address[0] == '\0' ? -ERR_INVALID : 0;
}
