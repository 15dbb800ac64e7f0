/*
 * wire_logs: LOGS, what is kept of a slot's output; LOG_FAULT, what is wrong with it; LOG_WORK and
 * LOG_DONE, what is done with its files by hand (wire.h).
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/wire/field.h"
#include "daemon/wire/wire.h"
#include "daemon/wire/wire_logs.h"
#include "lib/err.h"

void wire_logs_encode(struct buf *b, const struct wire_key *key, const struct wire_logs *m)
{
	size_t at = field_begin(b, WIRE_LOGS);

	field_put_key(b, key);
	field_put_logs(b, m);
	field_end(b, at);
}

int wire_logs_decode(const uint8_t *body, size_t len, struct wire_key *key, struct wire_logs *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_logs){0};
	field_get_key(&r, key);
	field_get_logs(&r, m);
	return field_check(&r);
}

bool wire_logs_is_trouble(uint8_t state)
{
	return state == WIRE_LOG_STALLED || state == WIRE_LOG_DROPPING;
}

void wire_logs_put_fault(struct buf *b, const struct wire_log_fault *m)
{
	field_put_u8(b, m->state);
	field_put_i32(b, m->err);
	field_put_i64(b, m->since_wall_ms);
	field_put_u64(b, m->dropped_bytes);
	field_put_u64(b, m->dropped_lines);
	field_put_u64(b, m->all_bytes);
	field_put_u64(b, m->all_lines);
	field_put_u8(b, m->told);
}

void wire_logs_get_fault(struct field_reader *r, struct wire_log_fault *m)
{
	m->state = field_get_u8(r);
	m->err = field_get_i32(r);
	m->since_wall_ms = field_get_i64(r);
	m->dropped_bytes = field_get_u64(r);
	m->dropped_lines = field_get_u64(r);
	m->all_bytes = field_get_u64(r);
	m->all_lines = field_get_u64(r);
	m->told = field_get_u8(r);
	if (m->state >= WIRE_LOG_STATE_MAX_ || m->told >= WIRE_LOG_STATE_MAX_)
		r->bad = true;
}

void wire_logs_encode_fault(struct buf *b, const struct wire_key *key,
			    const struct wire_log_fault *m)
{
	size_t at = field_begin(b, WIRE_LOG_FAULT);

	field_put_key(b, key);
	wire_logs_put_fault(b, m);
	field_end(b, at);
}

int wire_logs_decode_fault(const uint8_t *body, size_t len, struct wire_key *key,
			   struct wire_log_fault *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_log_fault){0};
	field_get_key(&r, key);
	wire_logs_get_fault(&r, m);
	if (key->incarnation[0] == '\0')
		r.bad = true;
	return field_check(&r);
}

void wire_logs_encode_work(struct buf *b, const struct wire_log_work *m)
{
	size_t at = field_begin(b, WIRE_LOG_WORK);

	field_put_u64(b, m->id);
	field_put_u32(b, m->what);
	field_put_array(b, m->service, sizeof(m->service));
	field_put_i64(b, m->index);
	field_put_i64(b, m->older_than_ms);
	field_put_u64(b, m->keep);
	field_put_u8(b, m->dry_run);
	field_put_u32(b, m->n_stay);
	for (uint32_t i = 0; i < m->n_stay && i < WIRE_LOG_STAY_MAX; i++)
		field_put_u32(b, m->stay[i]);
	field_end(b, at);
}

int wire_logs_decode_work(const uint8_t *body, size_t len, struct wire_log_work *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_log_work){0};
	m->id = field_get_u64(&r);
	m->what = field_get_u32(&r);
	field_get_array(&r, m->service, sizeof(m->service));
	m->index = field_get_i64(&r);
	m->older_than_ms = field_get_i64(&r);
	m->keep = field_get_u64(&r);
	m->dry_run = field_get_bool(&r);
	m->n_stay = field_get_u32(&r);
	if (m->n_stay > WIRE_LOG_STAY_MAX)
		return -ERR_INVALID;
	for (uint32_t i = 0; i < m->n_stay; i++)
		m->stay[i] = field_get_u32(&r);
	if ((m->what != WIRE_LOG_ROTATE && m->what != WIRE_LOG_PRUNE) || m->index < -1 ||
	    m->older_than_ms < 0 || !field_is_label(m->service))
		r.bad = true;
	return field_check(&r);
}

void wire_logs_encode_done(struct buf *b, const struct wire_log_done *m)
{
	size_t at = field_begin(b, WIRE_LOG_DONE);

	field_put_u64(b, m->id);
	field_put_i32(b, m->err);
	field_put_u64(b, m->files);
	field_put_u64(b, m->bytes);
	field_put_u64(b, m->kept);
	field_put_u64(b, m->kept_bytes);
	field_put_u64(b, m->failed);
	field_end(b, at);
}

int wire_logs_decode_done(const uint8_t *body, size_t len, struct wire_log_done *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_log_done){0};
	m->id = field_get_u64(&r);
	m->err = field_get_i32(&r);
	m->files = field_get_u64(&r);
	m->bytes = field_get_u64(&r);
	m->kept = field_get_u64(&r);
	m->kept_bytes = field_get_u64(&r);
	m->failed = field_get_u64(&r);
	return field_check(&r);
}
