/*
 * wiremsg: one sample of every message of the wire, and "decode, then encode again", for the unit
 * test and the fuzzer of wire.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_WIREMSG_H
#define AICTL_TESTS_WIREMSG_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

struct buf;

/* Appends the packet of sample i (0..); its type, or 0 when there is no such sample. */
enum wire_type wiremsg_sample(unsigned i, struct buf *b);
/* Decodes a body of type and appends the packet of what was understood. 0 or the decoder's error.
 */
int wiremsg_again(enum wire_type type, const uint8_t *body, size_t len, struct buf *out);

/* Of them those about stable ports: wiremsg_gateway.c. */
void wiremsg_gateway_sample(enum wire_type type, const struct wire_key *key, struct buf *b);
int wiremsg_gateway_again(enum wire_type type, const uint8_t *body, size_t len, struct buf *out);

/* And about containers: wiremsg_unit.c. */
void wiremsg_unit_sample(enum wire_type type, const struct wire_key *key, struct buf *b);
int wiremsg_unit_again(enum wire_type type, const uint8_t *body, size_t len, struct buf *out);

#endif
