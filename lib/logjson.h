/*
 * logjson: a line of a log that is a JSON object, as structlog, python-json-logger, zap, logrus,
 * slog, pino, bunyan, Rust's tracing and the Elastic format write it: which of its members are
 * level, message and time.
 *
 * Pure, without memory of its own: members point into the line. The line is somebody else's: it is
 * JSON to the last byte, not deeper than LOGJSON_DEPTH, with LOGJSON_MEMBERS members at most, and
 * has a level or a message, or it is not taken for such a line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGJSON_H
#define AICTL_LIB_LOGJSON_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/loglevel.h"

#define LOGJSON_DEPTH 32
#define LOGJSON_MEMBERS 64

struct buf;

enum logjson_type { LOGJSON_STRING, LOGJSON_NUMBER, LOGJSON_OTHER };

/* Slices of the line, with JSON's escapes, without the quotes of a string. */
struct logjson_member {
	const char *key, *value;
	size_t key_len, value_len;
	enum logjson_type type; /* of the value */
	bool hidden;		/* level, message or time */
};

struct logjson {
	struct logjson_member members[LOGJSON_MEMBERS]; /* in their order; those of "fields", too */
	size_t n;
	const struct logjson_member *level, *message; /* one may be NULL */
	enum loglevel priority;
	char name[12]; /* of the level, as it is shown: "WARN"; "" without */
};

/* False: it is shown as it is. Large, but nothing of it is read beyond n members. */
bool logjson_read(const char *line, size_t n, struct logjson *ret);

/* A stack of calls as a text: not one word among others. */
bool logjson_is_trace(const struct logjson_member *m);

/*
 * A string's text: escapes are undone, but those of control characters, which stay as they are but
 * for \n and \t if `lines`. What is no UTF-16 becomes U+FFFD.
 */
void logjson_put_text(struct buf *out, const char *value, size_t n, bool lines);
/* key=value; a value with spaces, quotes or nothing in it is in quotes, with \" and \\ in it. */
void logjson_put_member(struct buf *out, const struct logjson_member *m);

#endif
