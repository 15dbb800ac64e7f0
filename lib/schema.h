/*
 * schema: the one table of manifest keys. From it come the decoder, the defaults, the change
 * classes, the hints for misspelt keys, and later `aictl explain`, aictl-manifest(5) and the JSON
 * Schema. A key without a row does not exist.
 *
 * A row's path has "*" for a name the user chose: "services.*.stop.signal". Rows stand parent
 * first. Rows below "services.*" store into struct service_spec, the others into struct
 * schema_head.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_SCHEMA_H
#define AICTL_LIB_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/manifest.h"

enum schema_type {
	SCHEMA_OBJECT,	 /* a map with rows of its own; offset, when given, is a bool "present" */
	SCHEMA_SERVICES, /* the map of services */
	SCHEMA_STRING,
	SCHEMA_INT,
	SCHEMA_NUMBER,
	SCHEMA_DURATION, /* milliseconds */
	SCHEMA_SIZE,	 /* bytes */
	SCHEMA_ENUM,	 /* int64_t, index in names */
	SCHEMA_SIGNAL,
	SCHEMA_LIST, /* of strings: char ** */
	SCHEMA_MAP,  /* of names to strings: char **, "NAME=value" sorted */
	SCHEMA_TYPE_MAX_
};

#define SCHEMA_NO_FIELD ((size_t)-1)

enum schema_flags {
	SCHEMA_REQUIRED = 1,   /* its parent is not complete without it */
	SCHEMA_EXPANDED = 2,   /* ${...} is replaced when a replica starts */
	SCHEMA_VERBATIM = 4,   /* free text: ${ is nothing special */
	SCHEMA_BARE_NO = 8,    /* an enum where Compose says "no" for never */
	SCHEMA_SHORTHAND = 16, /* an object that may be written as the value of its first key */
};

struct schema_row {
	const char *path;
	enum schema_type type;
	size_t offset;	   /* of the field, or SCHEMA_NO_FIELD */
	const char *def;   /* default as one would write it; NULL = none, see def_note */
	int64_t min, max;  /* INT, DURATION, SIZE; NUMBER in thousandths; LIST: entries */
	const char *names; /* ENUM: "always|on-failure|never" */
	unsigned flags;	   /* enum schema_flags */
	enum change_class change;
	/* What is wrong with a STRING, or NULL. */
	const char *(*check)(const char *text);
	const char *def_note; /* for people, when def cannot say it: "the manifest's directory" */
	const char *doc;      /* one line */
};

/* What the top of a file says; the rest goes into services. */
struct schema_head {
	int64_t version;
	char *name;
};

/* All rows in order. */
const struct schema_row *schema_rows(size_t *n);
/* The row of an exact path, or NULL. */
const struct schema_row *schema_find(const char *path);
/* The row of key inside parent (NULL = the top of the file), or NULL. */
const struct schema_row *schema_child(const struct schema_row *parent, const char *key);
/* The next row directly below parent after `last` (NULL = first), or NULL. */
const struct schema_row *schema_next(const struct schema_row *parent,
				     const struct schema_row *last);
/* True when the row is `parent` or anywhere below it. */
bool schema_below(const struct schema_row *row, const struct schema_row *parent);
/* The path as messages name it: inside the service, "stop.signal". Borrowed. */
const char *schema_shown(const struct schema_row *row);
/* Last part of the path: "signal". Borrowed. */
const char *schema_key(const struct schema_row *row);

/* The words of an ENUM: "always, on-failure, never". Returns buf. */
const char *schema_words(const struct schema_row *row, char *buf, size_t n);
#define SCHEMA_WORDS_SIZE 128

/* Parses text as the row's scalar type and stores it at base + offset. Errors have no place. */
int schema_store(const struct schema_row *row, void *base, const char *text, struct err **reterr);
/* Fills *s (zeroed) with every default. 0 or -ERR_NOMEM. */
int schema_defaults(struct service_spec *s);
/* True for a DNS label: a-z, 0-9, "-", not at the ends, 1..63. */
bool schema_is_label(const char *text);

#endif
