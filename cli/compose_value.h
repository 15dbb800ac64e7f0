/*
 * compose_value: single values as Compose writes them. All return false for what is none.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_COMPOSE_VALUE_H
#define AICTL_CLI_COMPOSE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ynode;

struct compose_texts {
	char **v; /* owned */
	size_t n, cap;
};

void compose_value_add(struct compose_texts *t, const char *text, size_t len);
void compose_value_done(struct compose_texts *t);
#define _cleanup_texts_ __attribute__((cleanup(compose_value_done)))

/* "1m30s", "500ms", "1.5h", "0": as Go. */
bool compose_value_duration(const char *text, int64_t *ret_ms);
/* "512m", "1.5gb", "64MiB", "1024": powers of 1024, whatever it is called. */
bool compose_value_size(const char *text, int64_t *ret);
/* "0.5" -> 500. */
bool compose_value_thousandths(const char *text, int64_t *ret);
bool compose_value_int(const char *text, int64_t min, int64_t max, int64_t *ret);
bool compose_value_bool(const char *text, bool *ret);
/* A command line as a shell splits it, without replacing anything. */
bool compose_value_words(const char *text, struct compose_texts *ret);
/* A text, or the texts of a list; false when there is something else among them. */
bool compose_value_texts(const struct ynode *node, struct compose_texts *ret);
/* The text of a scalar that is not null, or NULL; node may be NULL. Borrowed. */
const char *compose_value_text(const struct ynode *node);
/* The same of a key of a map. */
const char *compose_value_get(const struct ynode *map, const char *key);

#endif
