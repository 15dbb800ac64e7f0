/*
 * js: reading JSON replies with cJSON, strictly: the whole text must be one value, member names
 * are case-sensitive, and a member that is absent or of another type reads as its fallback.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_JS_H
#define AICTL_CLI_JS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cjson/cJSON.h>

/* NULL when text is not exactly one JSON value. text must end in NUL at text[len]. */
cJSON *js_parse(const char *text, size_t len);
/* Member name of object o (which may be NULL), or NULL; JSON null counts as absent. */
const cJSON *js_get(const cJSON *o, const char *name);
const char *js_str(const cJSON *o, const char *name, const char *fallback);
/* Numbers are whole and within 2^53, else fallback. */
double js_double(const cJSON *o, const char *name, double fallback);
int64_t js_int(const cJSON *o, const char *name, int64_t fallback);
bool js_bool(const cJSON *o, const char *name);
/* RFC 3339 UTC member as wall-clock ms, or 0. */
int64_t js_time(const cJSON *o, const char *name);
/* Has the first of the reply's "services" the replica "NAME/N" now? */
bool js_has_replica(const cJSON *reply, const char *id);
void js_freep(cJSON **o);
#define _cleanup_js_ __attribute__((cleanup(js_freep)))

#endif
