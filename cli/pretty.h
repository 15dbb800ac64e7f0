/*
 * pretty: JSON text indented for people, token by token: no number or string is touched, so what
 * the daemon said is what is printed (a round trip through doubles would lose digits).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_PRETTY_H
#define AICTL_CLI_PRETTY_H

#include <stddef.h>

struct buf;

/* text must be valid JSON (js_parse); a newline ends the output. */
void pretty_json(const char *text, size_t len, struct buf *out);

#endif
