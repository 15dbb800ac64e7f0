/*
 * key: the keys of a manifest as people name and read them: "restart.backoff", "services.chat.port",
 * "environment.MODEL" all find their row of lib/schema.h; type, range, default and change class in
 * words. For `aictl explain` and completion.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_KEY_H
#define AICTL_CLI_KEY_H

struct schema_row;

/*
 * The row of a key: its path from the top of the file or from a service, or its last parts when no
 * other key ends in them. NULL: *ret_hint (caller frees) says what might be meant, or is NULL.
 */
const struct schema_row *key_find(const char *text, char **ret_hint);
/* "duration", "list of texts" */
const char *key_type(const struct schema_row *row);
/* "from 0s to 1d", "always, on-failure or never"; "" when there is nothing to say. Caller frees. */
char *key_range(const struct schema_row *row);
/* "1s", "the manifest's directory", "" */
const char *key_default(const struct schema_row *row);
/* "live", "replace", or "" for what is not a service's */
const char *key_change(const struct schema_row *row);
/* The sentence for it. */
const char *key_change_text(const struct schema_row *row);
/* One line as it may stand in a service (or at the top of a file). Caller frees. */
char *key_example(const struct schema_row *row);

#endif
