/*
 * field: the header fields that the gateway knows by name.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_FIELD_H
#define AICTL_GATEWAY_FIELD_H

#include <stdbool.h>
#include <stddef.h>

enum field {
	FIELD_OTHER,
	/* Of one connection only, or written anew; with "_" for "-" they mean nothing to us, but may to
	 * an application: FIELD_ODD. */
	FIELD_ODD,
	FIELD_CONNECTION,
	FIELD_KEEP_ALIVE,
	FIELD_TE,
	FIELD_TRANSFER_ENCODING,
	FIELD_UPGRADE,
	FIELD_CONTENT_LENGTH,
	FIELD_PROXY_CONNECTION,
	FIELD_PROXY_AUTHENTICATE,
	FIELD_PROXY_AUTHORIZATION,
	FIELD_HTTP2_SETTINGS,
	/* The same, of requests. */
	FIELD_ODD_OF_REQUEST,
	FIELD_HOST,
	FIELD_EXPECT,
	FIELD_FORWARDED,
	FIELD_X_FORWARDED_FOR,
	FIELD_X_FORWARDED_PROTO,
	FIELD_X_FORWARDED_HOST,
	FIELD_X_REQUEST_ID,
	FIELD_MAX_
};

/* The name is a token. */
enum field field_of(const char *name, size_t n);

static inline bool field_is_passed_on(enum field f, bool in_request)
{
	return f == FIELD_OTHER || (!in_request && f >= FIELD_ODD_OF_REQUEST);
}

#endif
