/*
 * manifest_write: specifications back to YAML and JSON, as one would write them: `10s`, `20MiB`,
 * `SIGTERM`. Driven by the rows of schema_table.c, keys in their order, one value per line, so that a
 * diff of two texts shows which keys differ. What equals its default is left out unless
 * MANIFEST_WRITE_DEFAULTS asks for it.
 *
 * manifest_parse reads the YAML back to an equal specification (service_spec_diff finds nothing),
 * unless values are masked. Texts that a YAML reader, of whatever version, would take for a number,
 * a boolean, a date or nothing are quoted.
 * Contents of secrets are never written; with MANIFEST_WRITE_MASKED the values of the environment
 * are "***", too. Out of memory is the buffer's sticky failure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_WRITE_H
#define AICTL_LIB_MANIFEST_WRITE_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct jsonw;
struct manifest;
struct schema_row;
struct service_spec;

enum manifest_write_flags {
	MANIFEST_WRITE_MASKED = 1,
	MANIFEST_WRITE_DEFAULTS = 2, /* keys that have a default stand there with it */
};

#define MANIFEST_WRITE_MASK "***"

/* The keys of one service as YAML, beginning in column 1: what stands below its name. */
void manifest_write_yaml(const struct service_spec *s, unsigned flags, struct buf *out);
/* The same as members of the JSON object that is open in w. */
void manifest_write_json(const struct service_spec *s, unsigned flags, struct jsonw *w);
/* A whole manifest: version, name and services. */
void manifest_write_file(const struct manifest *m, unsigned flags, struct buf *out);
void manifest_write_file_json(const struct manifest *m, unsigned flags, struct jsonw *w);

/* text as a YAML scalar in block context, quoted only where it must be. */
void manifest_write_scalar(struct buf *out, const char *text);

/*
 * A value (or bound) of an INT, NUMBER (in thousandths), DURATION, SIZE, ENUM or SIGNAL row as one
 * would write it, into buf[MANIFEST_WRITE_NUMBER_SIZE]; returns buf.
 */
const char *manifest_write_number(const struct schema_row *row, int64_t value, char *buf);
#define MANIFEST_WRITE_NUMBER_SIZE 64

#endif
