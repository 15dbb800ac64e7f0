/*
 * delta: bytes as their difference to other bytes, the base, which the reader has, too. For many
 * texts that are nearly the same, such as the environments of a service's replicas.
 *
 * A delta is a list of: number of new bytes, these bytes, number of bytes to copy, from where. What
 * is copied comes from the base, or from what has been made of the text so far. Numbers are LEB128.
 * It lives in memory only: the format may change.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_DELTA_H
#define AICTL_LIB_DELTA_H

#include <stddef.h>
#include <stdint.h>

#define DELTA_MAX (1 << 24) /* bytes, of base and text together */

struct buf;

struct delta_bytes {
	const uint8_t *p;
	size_t n;
};

/* Appends text as a delta to base; check out->failed (also set beyond DELTA_MAX). */
void delta_encode(struct buf *out, struct delta_bytes base, struct delta_bytes text);
/* 0, and all n bytes of text are written; or -1: this is no delta of such a text. */
int delta_decode(struct delta_bytes base, struct delta_bytes delta, uint8_t *text, size_t n);

#endif
