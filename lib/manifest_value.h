/*
 * manifest_value: one value of a manifest -> one field of a specification, by the type of its row.
 * What it consists of besides a single scalar (lists, maps, limits) is read here too; objects and
 * tables are manifest_decode's. Errors never stop the reading: the field keeps its default.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_VALUE_H
#define AICTL_LIB_MANIFEST_VALUE_H

#include <stddef.h>

#include "lib/buf.h"

struct manifest_errors;
struct manifest_set;
struct schema_row;
struct spec_place;
struct yitem;
struct ynode;

/* What is being read. */
struct manifest_decoder {
	struct manifest_set *set;
	struct manifest_errors *errors;
	struct buf path; /* the key as messages name it: "ports.http.port" */
	/* Where each key of the service stands. */
	struct spec_place *places;
	size_t n_places, places_cap;
};

/* Enters path.key (or "path[index]" with key NULL); returns what _leave takes. */
size_t manifest_value_enter(struct manifest_decoder *d, const char *key, size_t index);
void manifest_value_leave(struct manifest_decoder *d, size_t length);
/* The path entered. Borrowed. */
const char *manifest_value_shown(const struct manifest_decoder *d);

/* An error at a node; the hint may be NULL. */
void manifest_value_add(struct manifest_decoder *d, const struct ynode *at, const char *hint,
			const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* "PATH: expected a list, this is text". */
void manifest_value_wrong_kind(struct manifest_decoder *d, const struct schema_row *row,
			       const struct ynode *node, const char *hint);
/* Remembers that the path entered stands at the key. */
void manifest_value_place(struct manifest_decoder *d, const struct ynode *key);

/* Reads the value into base + row->offset. */
void manifest_value_decode(struct manifest_decoder *d, const struct schema_row *row,
			   const struct ynode *node, void *base);

#endif
