/* field: see field.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/field.h"

#include <stdint.h>
#include <string.h>

#define LONGEST 19
#define OF_ONE_LENGTH 2

static const char *const names[FIELD_MAX_] = {
	[FIELD_CONNECTION] = "connection",
	[FIELD_KEEP_ALIVE] = "keep-alive",
	[FIELD_TE] = "te",
	[FIELD_TRANSFER_ENCODING] = "transfer-encoding",
	[FIELD_UPGRADE] = "upgrade",
	[FIELD_CONTENT_LENGTH] = "content-length",
	[FIELD_PROXY_CONNECTION] = "proxy-connection",
	[FIELD_PROXY_AUTHENTICATE] = "proxy-authenticate",
	[FIELD_PROXY_AUTHORIZATION] = "proxy-authorization",
	[FIELD_HTTP2_SETTINGS] = "http2-settings",
	[FIELD_HOST] = "host",
	[FIELD_EXPECT] = "expect",
	[FIELD_FORWARDED] = "forwarded",
	[FIELD_X_FORWARDED_FOR] = "x-forwarded-for",
	[FIELD_X_FORWARDED_PROTO] = "x-forwarded-proto",
	[FIELD_X_FORWARDED_HOST] = "x-forwarded-host",
	[FIELD_X_REQUEST_ID] = "x-request-id",
};

static const uint8_t by_length[LONGEST + 1][OF_ONE_LENGTH] = {
	[2] = {FIELD_TE},
	[4] = {FIELD_HOST},
	[6] = {FIELD_EXPECT},
	[7] = {FIELD_UPGRADE},
	[9] = {FIELD_FORWARDED},
	[10] = {FIELD_CONNECTION, FIELD_KEEP_ALIVE},
	[12] = {FIELD_X_REQUEST_ID},
	[14] = {FIELD_CONTENT_LENGTH, FIELD_HTTP2_SETTINGS},
	[15] = {FIELD_X_FORWARDED_FOR},
	[16] = {FIELD_X_FORWARDED_HOST, FIELD_PROXY_CONNECTION},
	[17] = {FIELD_X_FORWARDED_PROTO, FIELD_TRANSFER_ENCODING},
	[18] = {FIELD_PROXY_AUTHENTICATE},
	[19] = {FIELD_PROXY_AUTHORIZATION},
};

/* In lower case, "-" for "_". */
static char folded(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c + 32);
	return c == '_' ? '-' : c;
}

static bool is_same(const char *name, const char *known, size_t n)
{
	size_t i = 0;

	while (i < n && folded(name[i]) == known[i])
		i++;
	return i == n;
}

enum field field_of(const char *name, size_t n)
{
	for (size_t k = 0; n <= LONGEST && k < OF_ONE_LENGTH; k++) {
		enum field f = by_length[n][k];

		if (f == FIELD_OTHER || !is_same(name, names[f], n))
			continue;
		if (memchr(name, '_', n))
			return f < FIELD_ODD_OF_REQUEST ? FIELD_ODD : FIELD_ODD_OF_REQUEST;
		return f;
	}
	return FIELD_OTHER;
}
