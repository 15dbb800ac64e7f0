/*
 * http_parse: one HTTP/1.x request out of a byte stream, without any I/O: the server, the gateway
 * and the fuzzer feed it the same way. llhttp does the grammar and the framing; on top of it this
 * file refuses what llhttp 8.1 lets through: bare LF, NUL, obs-fold, an empty name, a space before
 * a colon, no or several Host fields, transfer codings other than one plain "chunked", versions
 * but 1.0 and 1.1.
 *
 * The head is gathered first (at most HTTP_HEAD_MAX bytes, fields at most HTTP_FIELDS_MAX) and
 * given to llhttp in one piece, so fields are plain pointers into it. The body is gathered up to
 * body_max; what frames it (chunk sizes, extensions, trailers) is bounded too.
 *
 *   http_parse_init; while (state is HEAD or BODY) http_parse_feed; use; http_parse_done
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_HTTP_PARSE_H
#define AICTL_LIB_HTTP_PARSE_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

#define HTTP_HEAD_MAX 65536u
#define HTTP_FIELDS_MAX 128u

enum http_parse_state { HTTP_PARSE_HEAD, HTTP_PARSE_BODY, HTTP_PARSE_DONE, HTTP_PARSE_FAILED };

struct http_field {
	char *name, *value; /* NUL-terminated, inside the head */
};

struct http_parse {
	llhttp_t ll;
	enum http_parse_state state;
	size_t body_max;
	size_t body_raw;  /* bytes read after the head, framing included */
	struct buf head;  /* as read; terminators overwritten once complete */
	struct buf body;  /* decoded */
	char *target;	  /* request target, inside the head; NULL until the head is complete */
	size_t target_at; /* private: its place in the head */
	size_t target_len;
	struct http_field *fields;
	size_t n_fields, cap_fields;
	bool in_field;	 /* private: the last field has a name, no value yet */
	bool keep;	 /* the connection may be used again after the answer */
	bool expects;	 /* wants "100 Continue" before it sends the body; cleared by the caller */
	int status;	 /* FAILED: the HTTP status to answer with */
	const char *why; /* FAILED: for people; static */
};

void http_parse_init(struct http_parse *p, size_t body_max);
void http_parse_done(struct http_parse *p);
/* Takes as much of data as belongs to this request; returns the number of bytes taken. */
size_t http_parse_feed(struct http_parse *p, const char *data, size_t n);
/* Value of the first field of that name (case-insensitive), or NULL. */
const char *http_parse_field(const struct http_parse *p, const char *name);
/* Is token (case-insensitive) in one of the lists of that name? */
bool http_parse_has_token(const struct http_parse *p, const char *name, const char *token);

/*
 * Looks for the end of a head in data, whose bytes before *at were looked at already. Returns the
 * length of the head, empty line included; 0 when there is more to come; -1 for a byte that no head
 * holds (NUL, bare CR or LF).
 */
long http_parse_head_end(const char *data, size_t n, size_t *at);

#endif
