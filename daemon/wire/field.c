/*
 * field: see field.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/wire/field.h"

#include <string.h>

#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/err.h"

#define SIGNAL_MAX 64
#define WEIGHT_MAX 10000 /* of cgroups */

void field_put_le(struct buf *b, uint64_t v, unsigned bytes)
{
	uint8_t out[8];

	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(v >> (8 * i));
	buf_append(b, out, bytes);
}

void field_put_u8(struct buf *b, uint8_t v)
{
	field_put_le(b, v, 1);
}

void field_put_u32(struct buf *b, uint32_t v)
{
	field_put_le(b, v, 4);
}

void field_put_i32(struct buf *b, int32_t v)
{
	field_put_le(b, (uint32_t)v, 4);
}

void field_put_u64(struct buf *b, uint64_t v)
{
	field_put_le(b, v, 8);
}

void field_put_i64(struct buf *b, int64_t v)
{
	field_put_le(b, (uint64_t)v, 8);
}

void field_put_blob(struct buf *b, const void *p, size_t n)
{
	if (n > WIRE_BODY_MAX) {
		b->failed = true;
		return;
	}
	field_put_u32(b, (uint32_t)n);
	buf_append(b, p, n);
}

void field_put_text(struct buf *b, const char *s)
{
	field_put_blob(b, s, strlen(s));
}

void field_put_array(struct buf *b, const char *s, size_t size)
{
	field_put_blob(b, s, strnlen(s, size));
}

void field_put_strv(struct buf *b, char *const *v)
{
	uint32_t n = 0;

	while (v && v[n])
		n++;
	field_put_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		field_put_text(b, v[i]);
}

void field_put_key(struct buf *b, const struct wire_key *k)
{
	field_put_array(b, k->service, sizeof(k->service));
	field_put_u32(b, k->index);
	field_put_array(b, k->incarnation, sizeof(k->incarnation));
}

size_t field_begin(struct buf *b, enum wire_type type)
{
	size_t at = b->len;

	field_put_u32(b, WIRE_MAGIC);
	field_put_le(b, (uint16_t)type, 2);
	field_put_le(b, 0, 2);
	field_put_u32(b, 0);
	field_put_u32(b, 0);
	return at;
}

void field_end(struct buf *b, size_t at)
{
	size_t n;

	if (b->failed)
		return;
	n = b->len - at - WIRE_HEADER_SIZE;
	if (n > WIRE_BODY_MAX) {
		b->failed = true;
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		b->data[at + 8 + i] = (char)(uint8_t)(n >> (8 * i));
}

const uint8_t *field_get_bytes(struct field_reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

uint64_t field_get_le(struct field_reader *r, unsigned bytes)
{
	const uint8_t *p = field_get_bytes(r, bytes);
	uint64_t v = 0;

	for (unsigned i = 0; p && i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t field_get_u8(struct field_reader *r)
{
	return (uint8_t)field_get_le(r, 1);
}

bool field_get_bool(struct field_reader *r)
{
	uint8_t v = field_get_u8(r);

	if (v > 1)
		r->bad = true;
	return v == 1;
}

uint32_t field_get_u32(struct field_reader *r)
{
	return (uint32_t)field_get_le(r, 4);
}

int32_t field_get_i32(struct field_reader *r)
{
	return (int32_t)field_get_u32(r);
}

uint64_t field_get_u64(struct field_reader *r)
{
	return field_get_le(r, 8);
}

int64_t field_get_i64(struct field_reader *r)
{
	return (int64_t)field_get_u64(r);
}

const uint8_t *field_get_blob(struct field_reader *r, size_t max, uint32_t *len)
{
	const uint8_t *p;

	*len = field_get_u32(r);
	if (*len > max)
		r->bad = true;
	p = field_get_bytes(r, *len);
	if (!p)
		*len = 0;
	return p;
}

const char *field_get_text(struct field_reader *r, size_t max, uint32_t *len)
{
	const uint8_t *p = field_get_blob(r, max, len);

	if (p && *len && memchr(p, 0, *len)) {
		r->bad = true;
		*len = 0;
		return NULL;
	}
	return (const char *)p;
}

void field_get_array(struct field_reader *r, char *out, size_t size)
{
	uint32_t n;
	const char *s = field_get_text(r, size - 1, &n);

	if (s && n)
		memcpy(out, s, n);
	out[n] = '\0';
}

bool field_is_label(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && s[n] == '\0' && s[0] != '-';
}

void field_get_incarnation(struct field_reader *r, char *out)
{
	size_t n;

	field_get_array(r, out, WIRE_INCARNATION_SIZE);
	n = strspn(out, "0123456789abcdef");
	if (out[n] != '\0' || (n != 0 && n != WIRE_INCARNATION_SIZE - 1))
		r->bad = true;
}

void field_get_key(struct field_reader *r, struct wire_key *k)
{
	field_get_array(r, k->service, sizeof(k->service));
	k->index = field_get_u32(r);
	field_get_incarnation(r, k->incarnation);
	if (!field_is_label(k->service))
		r->bad = true;
}

int32_t field_get_signal(struct field_reader *r, int32_t min)
{
	int32_t v = field_get_i32(r);

	if (v < min || v > SIGNAL_MAX)
		r->bad = true;
	return v;
}

void field_put_limits(struct buf *b, const struct wire_limits *m)
{
	field_put_u64(b, m->memory_max);
	field_put_u64(b, m->memory_high);
	field_put_u64(b, m->swap_max);
	field_put_u8(b, m->has_swap_max);
	field_put_u8(b, m->oom_group);
	field_put_u32(b, m->cpu_milli);
	field_put_u32(b, m->cpu_weight);
	field_put_u32(b, m->io_weight);
	field_put_u64(b, m->pids_max);
	field_put_array(b, m->cpuset, sizeof(m->cpuset));
}

void field_put_logs(struct buf *b, const struct wire_logs *m)
{
	field_put_u64(b, m->max_size);
	field_put_u32(b, m->max_files);
	field_put_u32(b, m->flags);
	field_put_u64(b, m->max_total);
	field_put_i64(b, m->max_age_ms);
	field_put_i64(b, m->rotate_ms);
	field_put_u64(b, m->revision);
}

void field_get_logs(struct field_reader *r, struct wire_logs *m)
{
	m->max_size = field_get_u64(r);
	m->max_files = field_get_u32(r);
	m->flags = field_get_u32(r);
	m->max_total = field_get_u64(r);
	m->max_age_ms = field_get_i64(r);
	m->rotate_ms = field_get_i64(r);
	m->revision = field_get_u64(r);
	if (m->flags & ~(uint32_t)WIRE_LOGS_ALL || m->max_age_ms < 0 || m->rotate_ms < 0)
		r->bad = true;
}

void field_get_limits(struct field_reader *r, struct wire_limits *m)
{
	m->memory_max = field_get_u64(r);
	m->memory_high = field_get_u64(r);
	m->swap_max = field_get_u64(r);
	m->has_swap_max = field_get_bool(r);
	m->oom_group = field_get_bool(r);
	m->cpu_milli = field_get_u32(r);
	m->cpu_weight = field_get_u32(r);
	m->io_weight = field_get_u32(r);
	m->pids_max = field_get_u64(r);
	field_get_array(r, m->cpuset, sizeof(m->cpuset));
	if (m->cpu_weight > WEIGHT_MAX || m->io_weight > WEIGHT_MAX)
		r->bad = true;
	for (const char *p = m->cpuset; *p; p++) /* it is written into a file as it is */
		if ((*p < '0' || *p > '9') && *p != ',' && *p != '-')
			r->bad = true;
}

int field_check(const struct field_reader *r)
{
	return r->bad || r->left > 0 ? -ERR_INVALID : 0;
}
