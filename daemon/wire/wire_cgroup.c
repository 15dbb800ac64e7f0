/*
 * wire_cgroup: LIMITS and FREEZE, and where a slot's cgroup lies (wire.h).
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include "daemon/wire/field.h"
#include "daemon/wire/wire.h"
#include "lib/err.h"

void wire_cgroup_encode_limits(struct buf *b, const struct wire_key *key,
			       const struct wire_limits *m)
{
	size_t at = field_begin(b, WIRE_LIMITS);

	field_put_key(b, key);
	field_put_limits(b, m);
	field_end(b, at);
}

int wire_cgroup_decode_limits(const uint8_t *body, size_t len, struct wire_key *key,
			      struct wire_limits *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_limits){0};
	field_get_key(&r, key);
	field_get_limits(&r, m);
	return field_check(&r);
}

void wire_cgroup_encode_freeze(struct buf *b, const struct wire_key *key, bool frozen,
			       uint32_t request)
{
	size_t at = field_begin(b, WIRE_FREEZE);

	field_put_key(b, key);
	field_put_u8(b, frozen);
	field_put_u32(b, request);
	field_end(b, at);
}

int wire_cgroup_decode_freeze(const uint8_t *body, size_t len, struct wire_key *key, bool *frozen,
			      uint32_t *request)
{
	struct field_reader r = {.p = body, .left = len};

	field_get_key(&r, key);
	*frozen = field_get_bool(&r);
	*request = field_get_u32(&r);
	return field_check(&r);
}

int wire_cgroup_path(char *path, size_t size, const char *dir, const struct wire_key *key)
{
	int n = snprintf(path, size, "%s/%s.%u", dir, key->service, key->index);

	return n < 0 || (size_t)n >= size ? -ERR_INVALID : 0;
}
