/*
 * schema: the one table of manifest keys. From it come the decoder, the defaults, the change
 * classes, the hints for misspelt keys, and later `aictl explain`, aictl-manifest(5) and the JSON
 * Schema. A key without a row does not exist.
 *
 * A row's path has "*" for a name the user chose: "services.*.stop.signal". Rows stand parent
 * first, and all that is below a row follows it directly. Rows below "services.*" store into
 * struct service_spec, those below a SCHEMA_TABLE into its elements, the others into struct
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
	SCHEMA_LIST,	 /* of strings: char ** */
	SCHEMA_MAP,	 /* of names to strings: char **, "NAME=value" sorted */
	SCHEMA_UMASK,	 /* octal text such as 022 */
	SCHEMA_LIMIT,	 /* struct spec_limit: 65536, unlimited, "1024:2048", {soft, hard} */
	SCHEMA_INTS,	 /* whole numbers: struct spec_ints */
	SCHEMA_PORTREF,	 /* char *: a number, or a name in ports; "" = the main port */
	SCHEMA_TABLE,	 /* of names to objects: struct spec_table of elements of .size bytes that
			    begin with char *name; the objects' rows stand below PATH.* */
	SCHEMA_DEFAULTS, /* a map with the keys of services.*: merged before anything is decoded */
	SCHEMA_BOOL,	 /* int64_t: true or false */
	SCHEMA_SHARE,	 /* int64_t: a number, or "25%" of the replicas, kept as -25 */
	SCHEMA_TREE, /* char *: a map of anything, as JSON with sorted names; see schema_tree.h */
	SCHEMA_ANY,  /* "x-*": whatever follows x- is a key whose value nobody reads */
	SCHEMA_TYPE_MAX_
};

#define SCHEMA_NO_FIELD ((size_t)-1)

enum schema_flags {
	SCHEMA_REQUIRED = 1,	 /* its parent is not complete without it */
	SCHEMA_EXPANDED = 2,	 /* ${...} is replaced when a replica starts */
	SCHEMA_VERBATIM = 4,	 /* free text: ${ is nothing special */
	SCHEMA_BARE_NO = 8,	 /* an enum where Compose says "no" for never */
	SCHEMA_SHORTHAND = 16,	 /* an object that may be written as the value of its first key */
	SCHEMA_ONE_OR_MANY = 32, /* LIST, INTS: a list of one may be written without the brackets */
	SCHEMA_SECRET = 64,	 /* MAP: its values are for nobody's eyes */
	SCHEMA_HIDDEN = 128,	 /* no key, only compared: what its parent stands for */
	SCHEMA_LISTED = 256,	 /* TABLE: a list of objects; elements have no names */
	SCHEMA_UNSET = 512,	 /* INT, SIZE: SPEC_UNSET when it is not given */
	SCHEMA_ONE_OF = 1024, /* OBJECT: of its children with SCHEMA_CHOICE exactly one is given */
	SCHEMA_CHOICE = 2048,
	SCHEMA_SUFFICES = 4096, /* where this is given, none of the choices has to be */
	SCHEMA_NAMES = 8192,	/* TABLE: a list of names stands for a map of them to {} */
	SCHEMA_BARE = 16384,	/* the first key of a SHORTHAND: written short when it is alone, and
				   called by its parent's name */
	SCHEMA_NEEDED = 32768,	/* of its parent's keys with this flag at least one is given */
	SCHEMA_ALL = 65536,	/* INT: the word all is -1 */
	SCHEMA_LONE = 131072,	/* OBJECT: may stand as the only entry of a list */
	SCHEMA_CONTAINER = 262144, /* with all below it: only where there is an image */
	SCHEMA_PROCESS = 524288,   /* likewise, only where there is none */
};

struct err;

struct schema_row {
	const char *path;
	enum schema_type type;
	size_t offset;	  /* of the field, or SCHEMA_NO_FIELD */
	const char *def;  /* default as one would write it; NULL = none, see def_note */
	int64_t min, max; /* INT, DURATION, SIZE, UMASK, LIMIT; NUMBER in thousandths; PORTREF: as a
			      number; LIST, MAP, TABLE: entries; INTS: each of them */
	const char *names; /* ENUM: "always|on-failure|never" */
	unsigned flags;	   /* enum schema_flags */
	enum change_class change;
	/* What is wrong with a STRING, an entry of a LIST, a name in a MAP or TABLE; NULL = nothing. */
	const char *(*check)(const char *text);
	size_t size; /* TABLE: of an element */
	/* OBJECT in a LISTED table: reads an element (zeroed) that is written as one text. */
	int (*brief)(const char *text, void *element, struct err **reterr);
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
/* The row of key inside parent (NULL = the top of the file; DEFAULTS is like a service), or NULL. */
const struct schema_row *schema_child(const struct schema_row *parent, const char *key);
/* One behind the last row below row: for (r = row + 1; r < schema_end(row); r++). */
const struct schema_row *schema_end(const struct schema_row *row);
/* SCHEMA_CONTAINER or SCHEMA_PROCESS of the row or of what it stands below; 0 = both have it. */
unsigned schema_only(const struct schema_row *row);
/* The next key's row directly below parent after `last` (NULL = first), or NULL. */
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
/* One side of a LIMIT: a number or "unlimited". */
int schema_parse_limit(const struct schema_row *row, const char *text, int64_t *ret,
		       struct err **reterr);
/* Fills *s (zeroed) with every default. 0 or -ERR_NOMEM. */
int schema_defaults(struct service_spec *s);
/* The same for an element (zeroed) of the TABLE `table`. */
int schema_element_defaults(const struct schema_row *table, void *element);
/* Frees what the rows below parent own in base, nothing of base itself. */
void schema_free_fields(const struct schema_row *parent, void *base);
/* True for a DNS label: a-z, 0-9, "-", not at the ends, 1..63. */
bool schema_is_label(const char *text);
/* "/srv/My App" -> "my-app": a DNS label out of a path's last part, or a copy of fallback when nothing
 * of it can be in one. Caller frees; NULL when out of memory. */
char *schema_make_label(const char *path, const char *fallback);

#endif
