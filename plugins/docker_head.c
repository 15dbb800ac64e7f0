/*
 * docker_head: see docker_head.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_head.h"

#include <string.h>
#include <strings.h>

#define HEAD_MAX 32768

bool docker_head_has_body(const struct docker_head *h)
{
	return h->at > DOCKER_HEAD_FIELDS;
}

/* The value of a field, if this line is one of that name. */
static const char *field(const char *line, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	line += n + 1;
	return line + strspn(line, " \t");
}

static bool number(const char *s, int base, uint64_t *ret)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < 15 && s[i]; i++) {
		const char *p = strchr(digits, s[i]);
		int d = p ? (int)(p - digits) : 99;

		d = d > 15 && d < 22 ? d - 6 : d;
		if (d >= base)
			break;
		v = v * (uint64_t)base + (uint64_t)d;
	}
	*ret = v;
	return i > 0 && (!s[i] || strchr("; \t", s[i]));
}

static int status(struct docker_head *h)
{
	uint64_t code = 0;

	if (strncmp(h->line, "HTTP/1.", 7) != 0 || h->n_line < 12 || h->line[8] != ' ' ||
	    !number(h->line + 9, 10, &code) || code < 100 || code > 599)
		return -1;
	h->status = (int)code;
	h->at = DOCKER_HEAD_FIELDS;
	return 0;
}

static int begin_body(struct docker_head *h)
{
	if (h->status >= 100 && h->status < 200 && h->status != 101) {
		*h = (struct docker_head){.n_head = h->n_head}; /* the real one follows */
		return 0;
	}
	if (h->status == 204 || h->status == 304)
		h->at = DOCKER_HEAD_ENDED;
	else if (h->status == 101)
		h->at = DOCKER_HEAD_EOF;
	else if (h->chunked)
		h->at = DOCKER_HEAD_SIZE;
	else if (h->has_length)
		h->at = h->left ? DOCKER_HEAD_LENGTH : DOCKER_HEAD_ENDED;
	else
		h->at = DOCKER_HEAD_EOF;
	return 0;
}

static int one_field(struct docker_head *h)
{
	const char *v;

	if (h->n_line == 0)
		return begin_body(h);
	v = field(h->line, "Content-Length");
	if (v) {
		h->has_length = true;
		return number(v, 10, &h->left) ? 0 : -1;
	}
	v = field(h->line, "Transfer-Encoding");
	if (v) {
		h->chunked = strcasecmp(v, "chunked") == 0;
		return h->chunked ? 0 : -1;
	}
	v = field(h->line, "Content-Type");
	if (v) {
		h->multiplexed = strstr(v, "multiplexed-stream") != NULL;
		h->raw = strstr(v, "raw-stream") != NULL;
	}
	return 0;
}

static int size(struct docker_head *h)
{
	if (!number(h->line, 16, &h->left))
		return -1;
	h->at = h->left ? DOCKER_HEAD_CHUNK : DOCKER_HEAD_TRAILER;
	return 0;
}

static int line(struct docker_head *h)
{
	int r = 0;

	if (h->n_line && h->line[h->n_line - 1] == '\r')
		h->n_line--;
	h->line[h->n_line] = '\0';
	switch (h->at) {
	case DOCKER_HEAD_STATUS:
		r = status(h);
		break;
	case DOCKER_HEAD_FIELDS:
		r = one_field(h);
		break;
	case DOCKER_HEAD_SIZE:
		r = size(h);
		break;
	case DOCKER_HEAD_CHUNK_END:
		r = h->n_line ? -1 : 0;
		h->at = DOCKER_HEAD_SIZE;
		break;
	default:
		if (h->n_line == 0)
			h->at = DOCKER_HEAD_ENDED;
		break;
	}
	h->n_line = 0;
	return r;
}

static ssize_t take_line(struct docker_head *h, const char *data, size_t n)
{
	const char *nl = memchr(data, '\n', n);
	size_t k = nl ? (size_t)(nl - data) : n, room = sizeof(h->line) - 1 - h->n_line;

	memcpy(h->line + h->n_line, data, k < room ? k : room);
	h->n_line += k < room ? k : room;
	/* Chunk sizes do not count: an endless stream has endlessly many. */
	if (h->at <= DOCKER_HEAD_FIELDS || h->at == DOCKER_HEAD_TRAILER)
		h->n_head += k + 1;
	else if (h->n_line == sizeof(h->line) - 1)
		return -1;
	if (h->n_head > HEAD_MAX || (nl && line(h) < 0))
		return -1;
	return (ssize_t)(k + (nl ? 1 : 0));
}

static ssize_t take_body(struct docker_head *h, const char *data, size_t n, const char **ret_body,
			 size_t *ret_len)
{
	if (h->at == DOCKER_HEAD_ENDED)
		return (ssize_t)n; /* nothing follows: we close */
	if (h->at != DOCKER_HEAD_EOF) {
		if (n > h->left)
			n = (size_t)h->left;
		h->left -= n;
		if (h->left == 0)
			h->at = h->at == DOCKER_HEAD_CHUNK ? DOCKER_HEAD_CHUNK_END
							   : DOCKER_HEAD_ENDED;
	}
	*ret_body = data;
	*ret_len = n;
	return (ssize_t)n;
}

ssize_t docker_head_next(struct docker_head *h, const char *data, size_t n, const char **ret_body,
			 size_t *ret_len)
{
	*ret_body = data;
	*ret_len = 0;
	if (n == 0)
		return 0;
	switch (h->at) {
	case DOCKER_HEAD_LENGTH:
	case DOCKER_HEAD_EOF:
	case DOCKER_HEAD_CHUNK:
	case DOCKER_HEAD_ENDED:
		return take_body(h, data, n, ret_body, ret_len);
	default:
		return take_line(h, data, n);
	}
}
