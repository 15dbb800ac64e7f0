/*
 * field: the parts that wire's messages are made of: little-endian integers, blobs (u32 length and
 * bytes), texts (a blob without NUL), keys and signals. Private to daemon/wire.
 *
 * Writers append to a buf, whose failure is sticky. A reader that once ran short or met a bad value
 * stays bad and gives zeroes, so a decoder asks field_check once at the end; bytes left over are an
 * error too. Nothing trusts a length, a count or a name: a key's service is a DNS label and its
 * incarnation is hex digits, so both may be used as file names.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_FIELD_H
#define AICTL_DAEMON_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

void field_put_le(struct buf *b, uint64_t v, unsigned bytes);
void field_put_u8(struct buf *b, uint8_t v);
void field_put_u32(struct buf *b, uint32_t v);
void field_put_i32(struct buf *b, int32_t v);
void field_put_u64(struct buf *b, uint64_t v);
void field_put_i64(struct buf *b, int64_t v);
void field_put_blob(struct buf *b, const void *p, size_t n);
void field_put_text(struct buf *b, const char *s);
/* A NULL list is an empty one. */
void field_put_strv(struct buf *b, char *const *v);
/* A text in an array of size bytes; a missing terminator is no reason to read on. */
void field_put_array(struct buf *b, const char *s, size_t size);
void field_put_key(struct buf *b, const struct wire_key *k);
void field_put_limits(struct buf *b, const struct wire_limits *m);
void field_put_logs(struct buf *b, const struct wire_logs *m);
/* Starts a packet and returns where it begins; field_end fills in its length. */
size_t field_begin(struct buf *b, enum wire_type type);
void field_end(struct buf *b, size_t at);

struct field_reader {
	const uint8_t *p;
	size_t left;
	bool bad;
};

const uint8_t *field_get_bytes(struct field_reader *r, size_t n);
uint64_t field_get_le(struct field_reader *r, unsigned bytes);
uint8_t field_get_u8(struct field_reader *r);
bool field_get_bool(struct field_reader *r);
uint32_t field_get_u32(struct field_reader *r);
int32_t field_get_i32(struct field_reader *r);
uint64_t field_get_u64(struct field_reader *r);
int64_t field_get_i64(struct field_reader *r);
/* Borrowed from the body; NULL and *len 0 when bad. */
const uint8_t *field_get_blob(struct field_reader *r, size_t max, uint32_t *len);
const char *field_get_text(struct field_reader *r, size_t max, uint32_t *len);
/* Copies a text into out[size], always terminated. */
void field_get_array(struct field_reader *r, char *out, size_t size);
/* 32 lower-case hex digits, or nothing. */
void field_get_incarnation(struct field_reader *r, char *out);
bool field_is_label(const char *s); /* lower-case letters, digits and '-', which is not first */
void field_get_key(struct field_reader *r, struct wire_key *k);
void field_get_limits(struct field_reader *r, struct wire_limits *m);
void field_get_logs(struct field_reader *r, struct wire_logs *m);
/* min..64 */
int32_t field_get_signal(struct field_reader *r, int32_t min);
/* 0, or -ERR_INVALID. */
int field_check(const struct field_reader *r);

#endif
