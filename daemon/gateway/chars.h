/*
 * chars: which bytes may stand where in a head.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_CHARS_H
#define AICTL_GATEWAY_CHARS_H

#include <stdbool.h>
#include <stddef.h>

enum chars_kind {
	CHARS_TOKEN = 1,     /* a method, a field's name */
	CHARS_VALUE = 2,     /* visible ones, spaces, tabs, and what is not ASCII */
	CHARS_TARGET = 4,    /* visible ASCII without # */
	CHARS_AUTHORITY = 8, /* of it: not / \ ? @ , " < > */
	CHARS_ID = 16,	     /* of a request: letters, digits, -_.:+/= */
};

extern const unsigned char chars_kinds[256];

static inline bool chars_is(char c, enum chars_kind kind)
{
	return (chars_kinds[(unsigned char)c] & kind) != 0;
}

/* How many they are, up to the first that is not. */
static inline size_t chars_span(const char *s, size_t n, enum chars_kind kind)
{
	size_t i = 0;

	while (i < n && chars_is(s[i], kind))
		i++;
	return i;
}

/* The same of CHARS_VALUE, eight at a time: most of a head is values. */
size_t chars_span_of_value(const char *s, size_t n);

#endif
