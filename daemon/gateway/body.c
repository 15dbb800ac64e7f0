/* body: see body.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/body.h"

#include <stdio.h>
#include <string.h>

#include "daemon/gateway/rewrite.h"

void body_init(struct body *b, enum head_body from, uint64_t length, bool chunks)
{
	*b = (struct body){.from = from, .left = length, .chunks = chunks};
	if (from == HEAD_BODY_CHUNKED)
		b->left = 0;
	b->trailers.limit = BODY_TRAILERS_MAX;
	b->done = from == HEAD_BODY_NONE;
}

void body_done(struct body *b)
{
	buf_done(&b->trailers);
}

static void put_piece(const struct body *b, const char *data, size_t n, body_put_fn put, void *user)
{
	char size[24];

	if (n == 0)
		return;
	if (!b->chunks) {
		put(user, data, n);
		return;
	}
	put(user, size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", n));
	put(user, data, n);
	put(user, "\r\n", 2);
}

static void put_end(struct body *b, body_put_fn put, void *user)
{
	struct buf fields = {0};

	b->done = true;
	if (!b->chunks)
		return;
	rewrite_trailers(&fields, buf_cstr(&b->trailers), b->trailers.len);
	put(user, "0\r\n", 3);
	if (!fields.failed && fields.len > 0)
		put(user, fields.data, fields.len);
	put(user, "\r\n", 2);
	buf_done(&fields);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void on_size(struct body *b, char c)
{
	int d = hex(c);

	if (d >= 0 && b->digits < 15) {
		b->left = b->left << 4 | (unsigned)d;
		b->digits++;
	} else if (b->digits > 0 && c == '\r') {
		b->step = BODY_SIZE_LF;
	} else if (b->digits > 0 && c == ';') {
		b->step = BODY_EXTENSION;
	} else {
		b->bad = true;
	}
}

static void on_extension(struct body *b, char c)
{
	if (c == '\r')
		b->step = BODY_SIZE_LF;
	else if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f ||
		 ++b->extension > BODY_EXTENSION_MAX)
		b->bad = true; /* else nobody hears of it */
}

static void on_size_lf(struct body *b, char c)
{
	b->bad = c != '\n';
	b->step = b->left > 0 ? BODY_DATA : BODY_TRAILER;
	b->digits = 0;
	if (b->left > 0)
		b->extension = 0;
}

/* Lines up to an empty one. */
static void on_trailer(struct body *b, char c, body_put_fn put, void *user)
{
	size_t n;

	buf_char(&b->trailers, c);
	n = b->trailers.len;
	if (b->trailers.failed || c == '\0' ||
	    (c == '\n') != (n > 1 && b->trailers.data[n - 2] == '\r')) {
		b->bad = true;
		return;
	}
	if (c != '\n' ||
	    (n != 2 && (n < 4 || memcmp(b->trailers.data + n - 4, "\r\n\r\n", 4) != 0)))
		return;
	if (!rewrite_trailers_are_sound(b->trailers.data, n)) {
		b->bad = true;
		return;
	}
	put_end(b, put, user);
}

static void on_char(struct body *b, char c, body_put_fn put, void *user)
{
	switch (b->step) {
	case BODY_SIZE:
		on_size(b, c);
		break;
	case BODY_EXTENSION:
		on_extension(b, c);
		break;
	case BODY_SIZE_LF:
		on_size_lf(b, c);
		break;
	case BODY_DATA_CR:
		b->bad = c != '\r';
		b->step = BODY_DATA_LF;
		break;
	case BODY_DATA_LF:
		b->bad = c != '\n';
		b->step = BODY_SIZE;
		break;
	case BODY_TRAILER:
		on_trailer(b, c, put, user);
		break;
	case BODY_DATA:
		break;
	}
}

static size_t pass_chunks(struct body *b, const char *data, size_t n, body_put_fn put, void *user)
{
	size_t i = 0;

	while (i < n && !b->done && !b->bad) {
		size_t part;

		if (b->step != BODY_DATA) {
			on_char(b, data[i++], put, user);
			continue;
		}
		part = n - i < b->left ? n - i : (size_t)b->left;
		put_piece(b, data + i, part, put, user);
		i += part;
		b->left -= part;
		if (b->left == 0)
			b->step = BODY_DATA_CR;
	}
	return i;
}

size_t body_pass(struct body *b, const char *data, size_t n, body_put_fn put, void *user)
{
	if (b->done || b->bad)
		return 0;
	if (b->from == HEAD_BODY_CHUNKED)
		return pass_chunks(b, data, n, put, user);
	if (b->from == HEAD_BODY_LENGTH) {
		n = n < b->left ? n : (size_t)b->left;
		b->left -= n;
	}
	put_piece(b, data, n, put, user);
	if (b->from == HEAD_BODY_LENGTH && b->left == 0)
		b->done = true;
	return n;
}

bool body_end(struct body *b, body_put_fn put, void *user)
{
	if (b->done)
		return true;
	if (b->from != HEAD_BODY_TO_END)
		return false;
	put_end(b, put, user);
	return true;
}
