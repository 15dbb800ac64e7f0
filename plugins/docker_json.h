/*
 * docker_json: reading and making JSON. What an engine says is never trusted: a member that is
 * missing or of another type reads as NULL, false or "no".
 *
 * docker_json_parse wants one value and nothing behind it; NULL otherwise. docker_json_put takes
 * `item` in any case; false if it is NULL or cannot be added, so that a chain of && makes an
 * object. Numbers are refused where an int64_t does not hold them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_JSON_H
#define AICTL_PLUGINS_DOCKER_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

cJSON *docker_json_parse(const char *text, size_t len);
const cJSON *docker_json_get(const cJSON *object, const char *key); /* NULL-safe */
const char *docker_json_text(const cJSON *object, const char *key); /* NULL if "" as well */
bool docker_json_number(const cJSON *object, const char *key, int64_t *ret);
bool docker_json_true(const cJSON *object, const char *key);
/* Seconds and nanoseconds of RFC 3339 as ns since 1970; false for year 1 and nonsense. *ret_len
 * (may be NULL): how long the stamp is. */
bool docker_json_stamp(const char *text, size_t len, int64_t *ret_ns, size_t *ret_len);

bool docker_json_put(cJSON *object, const char *key, cJSON *item);
bool docker_json_add(cJSON *array, cJSON *item);
cJSON *docker_json_object(cJSON *parent, const char *key); /* a new one, put there */
cJSON *docker_json_array(cJSON *parent, const char *key);
char *docker_json_print(const cJSON *value); /* for docker_mem_free; NULL: no memory */

#endif
