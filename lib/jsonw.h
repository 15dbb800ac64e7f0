/*
 * jsonw: writes JSON straight into a buf, without a tree (a `ps` of 1,000 replicas is one pass).
 * The caller keeps the order: jsonw_object_begin, members, jsonw_object_end. `key` is NULL inside
 * an array. Strings that are not UTF-8 come out with U+FFFD in place of each bad byte.
 *
 *   struct jsonw w = {.out = &b};
 *   jsonw_object_begin(&w, NULL); jsonw_string(&w, "name", "chat"); jsonw_object_end(&w);
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_JSONW_H
#define AICTL_LIB_JSONW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

struct jsonw {
	struct buf *out;
	bool comma; /* private: a value precedes at this level */
};

void jsonw_object_begin(struct jsonw *w, const char *key);
void jsonw_object_end(struct jsonw *w);
void jsonw_array_begin(struct jsonw *w, const char *key);
void jsonw_array_end(struct jsonw *w);
void jsonw_string(struct jsonw *w, const char *key, const char *value); /* NULL writes null */
void jsonw_string_n(struct jsonw *w, const char *key, const char *value, size_t n);
void jsonw_int(struct jsonw *w, const char *key, int64_t value);
void jsonw_double(struct jsonw *w, const char *key, double value);
void jsonw_bool(struct jsonw *w, const char *key, bool value);
void jsonw_null(struct jsonw *w, const char *key);
void jsonw_raw(struct jsonw *w, const char *key, const char *json); /* already JSON */
/* RFC 3339 of a wall time, or null for 0. */
void jsonw_time(struct jsonw *w, const char *key, int64_t wall_ms);

#endif
