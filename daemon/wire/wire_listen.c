/* wire_listen: see wire_listen.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/wire/wire_listen.h"

#include <string.h>

#include "daemon/wire/field.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"

static void put_at(struct buf *b, const struct wire_listen_at *m)
{
	field_put_array(b, m->address, sizeof(m->address));
	field_put_le(b, m->port, 2);
}

static void get_at(struct field_reader *r, struct wire_listen_at *m)
{
	field_get_array(r, m->address, sizeof(m->address));
	m->port = (uint16_t)field_get_le(r, 2);
	if (m->port == 0 || m->address[0] == '\0')
		r->bad = true;
}

void wire_listen_encode(struct buf *b, int type, const struct wire_listen *m)
{
	size_t at = field_begin(b, (enum wire_type)type);

	field_put_u32(b, m->n);
	for (uint32_t i = 0; i < m->n; i++) {
		put_at(b, &m->list[i].at);
		field_put_i32(b, m->list[i].err);
		field_put_u8(b, m->list[i].handed);
	}
	field_end(b, at);
}

int wire_listen_decode(const uint8_t *body, size_t len, struct wire_listen *m)
{
	struct field_reader r = {.p = body, .left = len};
	uint32_t n = field_get_u32(&r);

	*m = (struct wire_listen){0};
	if (r.bad || n > WIRE_LISTEN_MAX)
		return -ERR_INVALID;
	m->list = n > 0 ? mem_alloc(n * sizeof(*m->list)) : NULL;
	if (n > 0 && !m->list)
		return -ERR_NOMEM;
	m->n = n;
	for (uint32_t i = 0; i < n; i++) {
		get_at(&r, &m->list[i].at);
		m->list[i].err = field_get_i32(&r);
		m->list[i].handed = field_get_bool(&r);
	}
	if (field_check(&r) < 0) {
		wire_listen_free(m);
		return -ERR_INVALID;
	}
	return 0;
}

void wire_listen_free(struct wire_listen *m)
{
	mem_free(m->list);
	*m = (struct wire_listen){0};
}

void wire_listen_encode_at(struct buf *b, int type, const struct wire_listen_at *m)
{
	size_t at = field_begin(b, (enum wire_type)type);

	put_at(b, m);
	field_end(b, at);
}

int wire_listen_decode_at(const uint8_t *body, size_t len, struct wire_listen_at *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_listen_at){0};
	get_at(&r, m);
	return field_check(&r);
}

void wire_listen_put_spawn(struct buf *b, const struct wire_spawn *m)
{
	field_put_u32(b, m->n_listen);
	for (uint32_t i = 0; i < m->n_listen; i++)
		put_at(b, &m->listen[i]);
	field_put_u32(b, m->n_sockets);
	for (uint32_t i = 0; i < m->n_sockets; i++)
		field_put_array(b, m->sockets[i], sizeof(m->sockets[i]));
}

/* A name becomes a file's. */
static bool is_file_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && !strchr(name, '/');
}

void wire_listen_get_spawn(struct field_reader *r, struct wire_spawn *m)
{
	uint32_t n = field_get_u32(r);

	r->bad = r->bad || n > WIRE_SPAWN_LISTEN_MAX;
	for (; !r->bad && m->n_listen < n; m->n_listen++)
		get_at(r, &m->listen[m->n_listen]);
	n = field_get_u32(r);
	r->bad = r->bad || n > WIRE_SPAWN_SOCKETS_MAX;
	for (; !r->bad && m->n_sockets < n; m->n_sockets++) {
		field_get_array(r, m->sockets[m->n_sockets], sizeof(m->sockets[0]));
		r->bad = r->bad || !is_file_name(m->sockets[m->n_sockets]);
	}
	if (m->notify_fd != 0 && m->notify_fd < WIRE_LISTEN_FD + m->n_listen)
		r->bad = true;
}

void wire_listen_socket_dir(struct buf *b, const char *dir, const char *service, uint32_t index)
{
	buf_printf(b, "%s/%s.%u", dir, service, index);
}
