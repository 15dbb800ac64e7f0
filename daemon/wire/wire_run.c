/*
 * wire_run: RUN, RUN_END and RUN_KILL: processes beside the slots (wire.h).
 *
 * SPDX-License-Identifier: MIT
 */
#include <stddef.h>

#include "daemon/wire/field.h"
#include "daemon/wire/wire.h"
#include "daemon/wire/wire_child.h"
#include "lib/mem.h"

void wire_run_encode(struct buf *b, const struct wire_run *m)
{
	size_t at = field_begin(b, WIRE_RUN);

	field_put_u64(b, m->id);
	field_put_u8(b, m->key.service[0] != '\0');
	if (m->key.service[0] != '\0')
		field_put_key(b, &m->key);
	field_put_u8(b, m->tty);
	field_put_u8(b, m->inside);
	field_put_u8(b, m->log);
	field_put_logs(b, &m->logs);
	field_put_i64(b, m->timeout_ms);
	wire_child_put(b, &m->child);
	field_end(b, at);
}

int wire_run_decode(const uint8_t *body, size_t len, struct wire_run *m)
{
	struct field_reader r = {.p = body, .left = len};
	void *none;

	*m = (struct wire_run){0};
	m->id = field_get_u64(&r);
	if (field_get_bool(&r))
		field_get_key(&r, &m->key);
	m->tty = field_get_bool(&r);
	m->inside = field_get_bool(&r);
	m->log = field_get_bool(&r);
	field_get_logs(&r, &m->logs);
	m->timeout_ms = field_get_i64(&r);
	if (m->timeout_ms < 0 || (m->log && (m->tty || !m->key.incarnation[0])) ||
	    (m->inside && !m->key.service[0]))
		r.bad = true;
	return wire_child_get(&r, &m->child, 0, &none);
}

void wire_run_free(struct wire_run *m)
{
	mem_free(m->child.memory_);
	*m = (struct wire_run){0};
}

void wire_run_encode_end(struct buf *b, const struct wire_run_end *m)
{
	size_t at = field_begin(b, WIRE_RUN_END);

	field_put_u64(b, m->id);
	field_put_u8(b, m->stage);
	field_put_u8(b, m->what);
	field_put_i32(b, m->err);
	field_put_i32(b, m->code);
	field_put_i32(b, m->signal);
	field_put_u8(b, m->timed_out);
	field_put_array(b, m->text, sizeof(m->text));
	field_end(b, at);
}

int wire_run_decode_end(const uint8_t *body, size_t len, struct wire_run_end *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_run_end){0};
	m->id = field_get_u64(&r);
	m->stage = field_get_u8(&r);
	m->what = field_get_u8(&r);
	m->err = field_get_i32(&r);
	m->code = field_get_i32(&r);
	m->signal = field_get_i32(&r);
	m->timed_out = field_get_bool(&r);
	field_get_array(&r, m->text, sizeof(m->text));
	if (m->stage >= WIRE_STAGE_MAX_ || m->what >= WIRE_WHAT_MAX_)
		r.bad = true;
	return field_check(&r);
}

void wire_run_encode_kill(struct buf *b, uint64_t id, int32_t signal)
{
	size_t at = field_begin(b, WIRE_RUN_KILL);

	field_put_u64(b, id);
	field_put_i32(b, signal);
	field_end(b, at);
}

int wire_run_decode_kill(const uint8_t *body, size_t len, uint64_t *id, int32_t *signal)
{
	struct field_reader r = {.p = body, .left = len};

	*id = field_get_u64(&r);
	*signal = field_get_signal(&r, 1);
	return field_check(&r);
}
