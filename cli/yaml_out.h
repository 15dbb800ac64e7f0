/*
 * yaml_out: a JSON text as YAML, block style, in the order of the text. Numbers keep their digits.
 * A string is plain only when every YAML reader (1.1 and 1.2) takes it for that very string; else
 * it is in double quotes, or a literal block when it has several lines. Nothing that could move a
 * terminal's cursor comes out raw.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_YAML_OUT_H
#define AICTL_CLI_YAML_OUT_H

#include <stddef.h>

struct buf;

/* Text that is no JSON comes out as one quoted string. Deeper than 64 levels: in flow style. */
void yaml_out_json(const char *text, size_t len, struct buf *out);
/* One string as a scalar on one line, plain or quoted. */
void yaml_out_scalar(const char *s, struct buf *out);

#endif
