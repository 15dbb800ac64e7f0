/*
 * schema_hint: what somebody who wrote a key or word that the schema does not know probably meant:
 * the nearest name (Damerau-Levenshtein distance at most 2), the same thing's name in other tools,
 * the object where the key belongs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_SCHEMA_HINT_H
#define AICTL_LIB_SCHEMA_HINT_H

#include <stdbool.h>
#include <stddef.h>

struct schema_row;

/* True when key is designed but not built yet, e.g. "image" in a service. parent NULL = top. */
bool schema_hint_unbuilt(const struct schema_row *parent, const char *key);
/* A hint for an unknown key. Caller frees; NULL when out of memory. */
char *schema_hint_key(const struct schema_row *parent, const char *key);
/* The row of parent that key probably misspells, or NULL. */
const struct schema_row *schema_hint_row(const struct schema_row *parent, const char *key);
/* The nearest of names ("a|b|c") to text, borrowed, *ret_len long; NULL when none is near. */
const char *schema_hint_nearest(const char *names, const char *text, size_t *ret_len);
/* "10s" for "10 sec", "20MiB" for "20Mi": a DURATION or SIZE as somebody else writes it. Caller
 * frees; NULL = no idea. */
char *schema_hint_units(const struct schema_row *row, const char *text);
/* How a TABLE is written, for who wrote something else; NULL = no idea. */
const char *schema_hint_table(const struct schema_row *row);
/* Names of signals, for schema_hint_nearest. */
extern const char schema_hint_signals[];

#endif
