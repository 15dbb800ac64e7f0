/*
 * import_out: the lines of a manifest under construction. Depths are steps of two blanks. What is
 * text is quoted where it has to be; words (numbers, durations, enums) are written as they are.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_OUT_H
#define AICTL_CLI_IMPORT_OUT_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct compose_texts;

/* "key:", without anything behind it. */
void import_out_key(struct buf *out, int depth, const char *key);
/* One scalar on one line; flow: inside of [...] and {...}. */
void import_out_scalar(struct buf *out, const char *text, bool flow);
/* "key:" and a newline: what follows is below it. */
void import_out_open(struct buf *out, int depth, const char *key);
void import_out_text(struct buf *out, int depth, const char *key, const char *text);
void import_out_word(struct buf *out, int depth, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* [a, b], or a line each where that is too long. */
void import_out_list(struct buf *out, int depth, const char *key, const struct compose_texts *t);
/* A comment, broken into lines. */
void import_out_comment(struct buf *out, int depth, const char *text);
/* "1m30s", "500ms"; "512MiB", "1000"; "1.5". Append. */
void import_out_duration(struct buf *out, int64_t ms);
void import_out_size(struct buf *out, int64_t bytes);
void import_out_thousandths(struct buf *out, int64_t n);
/* text with each dollar doubled that would begin something. Caller frees. */
char *import_out_escape(const char *text);

#endif
