/*
 * wire_secrets: SECRETS and SECRETS_DROP, and where the files lie (wire.h). A decoded name is a
 * file name and nothing else: it may be opened below a directory as it is.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "daemon/wire/field.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

bool wire_secrets_is_name(const char *name)
{
	size_t n = strspn(name, NAME_CHARS);

	return n > 0 && n < WIRE_SECRET_NAME_SIZE && name[n] == '\0' && name[0] != '.' &&
	       name[0] != '-';
}

static void put_service(struct buf *b, const char *service)
{
	field_put_array(b, service, WIRE_SERVICE_SIZE);
}

/* A label, as in a key. */
static void get_service(struct field_reader *r, char *service)
{
	field_get_array(r, service, WIRE_SERVICE_SIZE);
	if (!field_is_label(service))
		r->bad = true;
}

void wire_secrets_encode(struct buf *b, const struct wire_secrets *m)
{
	size_t at = field_begin(b, WIRE_SECRETS);

	put_service(b, m->service);
	field_put_u64(b, m->generation);
	field_put_u64(b, m->version);
	field_put_u32(b, m->uid);
	field_put_u32(b, m->gid);
	field_put_u8(b, m->everyone);
	field_put_u32(b, m->n);
	for (uint32_t i = 0; i < m->n && i < WIRE_SECRETS_MAX; i++) {
		field_put_array(b, m->secrets[i].name, WIRE_SECRET_NAME_SIZE);
		field_put_blob(b, m->secrets[i].data, m->secrets[i].len);
	}
	field_end(b, at);
}

int wire_secrets_decode(const uint8_t *body, size_t len, struct wire_secrets *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_secrets){0};
	get_service(&r, m->service);
	m->generation = field_get_u64(&r);
	m->version = field_get_u64(&r);
	m->uid = field_get_u32(&r);
	m->gid = field_get_u32(&r);
	m->everyone = field_get_bool(&r);
	m->n = field_get_u32(&r);
	if (m->n > WIRE_SECRETS_MAX || m->generation == 0)
		r.bad = true;
	for (uint32_t i = 0; !r.bad && i < m->n; i++) {
		struct wire_secret *s = &m->secrets[i];

		field_get_array(&r, s->name, sizeof(s->name));
		s->data = field_get_blob(&r, WIRE_SECRET_BYTES_MAX, &s->len);
		if (!wire_secrets_is_name(s->name))
			r.bad = true;
	}
	return field_check(&r);
}

void wire_secrets_encode_drop(struct buf *b, const char *service, uint64_t generation)
{
	size_t at = field_begin(b, WIRE_SECRETS_DROP);

	put_service(b, service);
	field_put_u64(b, generation);
	field_end(b, at);
}

int wire_secrets_decode_drop(const uint8_t *body, size_t len, char service[WIRE_SERVICE_SIZE],
			     uint64_t *generation)
{
	struct field_reader r = {.p = body, .left = len};

	get_service(&r, service);
	*generation = field_get_u64(&r);
	return field_check(&r);
}

void wire_secrets_encode_written(struct buf *b, const struct wire_secrets_written *m)
{
	size_t at = field_begin(b, WIRE_SECRETS_WRITTEN);

	put_service(b, m->service);
	field_put_u64(b, m->generation);
	field_put_u64(b, m->version);
	field_put_u32(b, (uint32_t)m->err);
	field_end(b, at);
}

int wire_secrets_decode_written(const uint8_t *body, size_t len, struct wire_secrets_written *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_secrets_written){0};
	get_service(&r, m->service);
	m->generation = field_get_u64(&r);
	m->version = field_get_u64(&r);
	m->err = (int32_t)field_get_u32(&r);
	return field_check(&r);
}

void wire_secrets_path(struct buf *b, const char *dir, const char *service, uint64_t generation)
{
	buf_printf(b, "%s/%s/%016llx", dir, service, (unsigned long long)generation);
}
