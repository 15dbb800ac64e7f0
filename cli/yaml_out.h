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

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* Text that is no JSON comes out as one quoted string. Deeper than 64 levels: in flow style. */
void yaml_out_json(const char *text, size_t len, struct buf *out);
/* One string as a scalar on one line, plain or quoted. */
void yaml_out_scalar(const char *s, struct buf *out);
/* The same inside of [...] and {...}. */
void yaml_out_flow(const char *s, struct buf *out);
/* Several lines as a literal block at that depth of two blanks, with the newline; false: the string is
 * none that a block gives back exactly, nothing is written. */
bool yaml_out_block(const char *s, int depth, struct buf *out);

#endif
