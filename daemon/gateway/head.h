/*
 * head: one complete head of a request or of an answer, as spans into the bytes that were read. Pure
 * and without an allocation.
 *
 * llhttp judges the grammar; the lines are cut here, strictly, and both must agree. Refused besides
 * what llhttp refuses: bare CR or LF, NUL, folded lines, a space before a colon, control characters
 * in a value, other versions than 1.0 and 1.1, no or several Host fields, Content-Length more than
 * once or not plain digits, any transfer coding but one "chunked", that one with Content-Length or in
 * HTTP/1.0, Connection over 1 KiB, a target that is not a path, "*" (of OPTIONS) or http://authority.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_HEAD_H
#define AICTL_GATEWAY_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "daemon/gateway/field.h"

#define HEAD_MAX 65536u
#define HEAD_FIELDS_MAX 128u

struct head_span {
	const char *at;
	size_t n;
};

struct head_field {
	struct head_span name, value; /* the value without spaces around it */
	enum field is;
};

enum head_body {
	HEAD_BODY_NONE,
	HEAD_BODY_LENGTH, /* length > 0 */
	HEAD_BODY_CHUNKED,
	HEAD_BODY_TO_END, /* of the connection; answers only */
};

struct head {
	/* Requests. */
	struct head_span method, target; /* target: a path, or "*" */
	struct head_span host;		 /* of Host, or of an absolute target; may be empty */
	bool is_head, is_safe_to_repeat, expects, wants_trailers;
	/* Answers. */
	unsigned status;
	struct head_span reason;
	/* Both. */
	unsigned minor; /* HTTP/1.minor */
	enum head_body body;
	uint64_t length;
	bool close;		  /* the connection ends after this message */
	struct head_span upgrade; /* n > 0: Upgrade, and Connection names it */
	size_t size;		  /* of all of it, as it was read */
	size_t n;
	struct head_field fields[HEAD_FIELDS_MAX];
	/* Refused. */
	unsigned refusal; /* the status to answer with */
	const char *why;  /* static */
};

/* The length of what may be a head that begins here; 0: its end is not there, or it is none. */
size_t head_find_end(const char *data, size_t n);
/* Exactly one head, its empty line included. True, or false with refusal and why. */
bool head_parse_request(struct head *h, const char *data, size_t n);
/* of: the request that it answers. */
bool head_parse_answer(struct head *h, const char *data, size_t n, bool to_head);
/* The first of that name; n = 0: there is none, or it is empty. */
struct head_span head_value(const struct head *h, enum field is);
/* Is the (lower-case) token in one of the lists of that name? */
bool head_has_token(const struct head *h, enum field is, const char *token);
/* Case-insensitive; inline, for the length of a literal is known. */
static inline bool head_is(struct head_span s, const char *lower_case)
{
	return s.n == strlen(lower_case) && strncasecmp(s.at, lower_case, s.n) == 0;
}

#endif
