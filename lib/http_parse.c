/* http_parse: see http_parse.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/http_parse.h"

#include <string.h>
#include <strings.h>

#include "lib/mem.h"

#define FRAMING_MAX 65536u /* chunk extensions and trailers beyond the body itself */

static void fail(struct http_parse *p, int status, const char *why)
{
	if (p->state == HTTP_PARSE_FAILED)
		return;
	p->state = HTTP_PARSE_FAILED;
	p->status = status;
	p->why = why;
}

/* Whole, CR LF ends it; else a CR is at most its last byte yet. It may have begun before `from`. */
static bool is_line(const char *data, size_t from, size_t end, bool whole)
{
	const char *cr = memchr(data + from, '\r', end - from);

	if (from > 0 && data[from - 1] == '\r' && (!whole || from < end))
		return false;
	if ((cr && cr + 1 != data + end) || memchr(data + from, '\0', end - from))
		return false;
	return !whole || (end > 0 && data[end - 1] == '\r');
}

long http_parse_head_end(const char *data, size_t n, size_t *at)
{
	while (*at < n) {
		const char *from = data + *at, *lf = memchr(from, '\n', n - *at);
		size_t end = lf ? (size_t)(lf - data) : n;

		if (!is_line(data, *at, end, lf != NULL))
			return -1;
		*at = lf ? end + 1 : n;
		if (lf && end >= 3 && data[end - 3] == '\r' && data[end - 2] == '\n')
			return (long)end + 1;
	}
	return 0;
}

static int on_url(llhttp_t *ll, const char *at, size_t len)
{
	struct http_parse *p = ll->data;

	p->target_at = (size_t)(at - p->head.data);
	p->target_len = len;
	return 0;
}

static int on_field(llhttp_t *ll, const char *at, size_t len)
{
	struct http_parse *p = ll->data;

	if (p->target) /* a trailer */
		return 0;
	if (p->n_fields == HTTP_FIELDS_MAX) {
		fail(p, 431, "too many header fields");
		return -1;
	}
	if (mem_grow(&p->fields, &p->cap_fields, p->n_fields + 1, sizeof(*p->fields)) < 0) {
		fail(p, 503, "out of memory");
		return -1;
	}
	p->fields[p->n_fields].name = p->head.data + (at - p->head.data);
	p->fields[p->n_fields].value = p->head.data + (at - p->head.data) + len;
	p->n_fields++;
	return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t len)
{
	struct http_parse *p = ll->data;

	(void)len;
	if (!p->target && p->n_fields > 0)
		p->fields[p->n_fields - 1].value = p->head.data + (at - p->head.data);
	return 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t len)
{
	struct http_parse *p = ll->data;

	if (p->body.len + len > p->body_max) {
		fail(p, 413, "the body is too large");
		return -1;
	}
	buf_append(&p->body, at, len);
	if (p->body.failed) {
		fail(p, 503, "out of memory");
		return -1;
	}
	return 0;
}

/* An Upgrade field is left to the handler: until it takes it up, what follows is HTTP/1.1. */
static int on_head_complete(llhttp_t *ll)
{
	ll->upgrade = 0;
	return 0;
}

static int on_complete(llhttp_t *ll)
{
	struct http_parse *p = ll->data;

	p->state = HTTP_PARSE_DONE;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_head_complete,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

void http_parse_init(struct http_parse *p, size_t body_max)
{
	*p = (struct http_parse){.body_max = body_max, .head.limit = HTTP_HEAD_MAX + 4};
	llhttp_init(&p->ll, HTTP_REQUEST, &settings);
	p->ll.data = p;
}

void http_parse_done(struct http_parse *p)
{
	buf_done(&p->head);
	buf_done(&p->body);
	mem_free(p->fields);
	p->fields = NULL;
	p->n_fields = p->cap_fields = 0;
	p->target = NULL;
}

const char *http_parse_field(const struct http_parse *p, const char *name)
{
	for (size_t i = 0; i < p->n_fields; i++)
		if (strcasecmp(p->fields[i].name, name) == 0)
			return p->fields[i].value;
	return NULL;
}

/*
 * The lines of a complete head, before llhttp sees it: the version at the end of the first, no
 * folded line, no space before a colon, a name before it. A line without a colon is left to llhttp.
 */
static const char *check_lines(const char *head, size_t len)
{
	const char *end = head + len, *eol = memchr(head, '\r', len);

	if (!eol || eol - head < 9 || memcmp(eol - 9, " HTTP/1.", 8) != 0 ||
	    (eol[-1] != '0' && eol[-1] != '1'))
		return "the request line does not end with HTTP/1.0 or HTTP/1.1";
	for (const char *line = eol + 2; line < end && *line != '\r'; line = eol + 2) {
		const char *colon;

		eol = memchr(line, '\r', (size_t)(end - line));
		if (!eol)
			break;
		if (*line == ' ' || *line == '\t')
			return "folded header line";
		if (*line == ':')
			return "header field without a name";
		colon = memchr(line, ':', (size_t)(eol - line));
		if (colon && colon > line && (colon[-1] == ' ' || colon[-1] == '\t'))
			return "space before a colon";
	}
	return NULL;
}

static void trim_end(char *value)
{
	size_t n = strlen(value);

	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		value[--n] = '\0';
}

/* Puts NULs where names, values and the target end. */
static void cut_fields(struct http_parse *p)
{
	for (size_t i = 0; i < p->n_fields; i++) {
		struct http_field *f = &p->fields[i];

		f->name[strcspn(f->name, ":")] = '\0';
		f->value[strcspn(f->value, "\r")] = '\0';
		trim_end(f->value);
	}
	p->target = p->head.data + p->target_at;
	p->target[p->target_len] = '\0';
}

static size_t count(const struct http_parse *p, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_fields; i++)
		n += strcasecmp(p->fields[i].name, name) == 0;
	return n;
}

/* What RFC 9112 asks of a server and llhttp leaves to us. */
static void check_fields(struct http_parse *p)
{
	const char *coding = http_parse_field(p, "transfer-encoding");
	const char *expect = http_parse_field(p, "expect");
	size_t hosts = count(p, "host");

	if (hosts > 1)
		fail(p, 400, "several Host fields");
	else if (hosts == 0 && p->ll.http_minor > 0)
		fail(p, 400, "no Host field");
	else if (coding && (strcasecmp(coding, "chunked") != 0 || p->ll.http_minor == 0 ||
			    count(p, "transfer-encoding") > 1))
		fail(p, 400, "transfer coding other than chunked");
	else if (coding && count(p, "content-length") > 0)
		fail(p, 400, "Content-Length with Transfer-Encoding");
	else if (expect && p->ll.http_minor > 0 && strcasecmp(expect, "100-continue") != 0)
		fail(p, 417, "unknown expectation");
	else if (p->state != HTTP_PARSE_DONE && !coding && p->ll.content_length > p->body_max)
		fail(p, 413, "the body is too large");
	p->expects = expect && p->ll.http_minor > 0 && p->state == HTTP_PARSE_BODY;
}

static void parse_head(struct http_parse *p)
{
	const char *why = check_lines(p->head.data, p->head.len);
	llhttp_errno_t e;

	if (why) {
		fail(p, 400, why);
		return;
	}
	p->state = HTTP_PARSE_BODY;
	e = llhttp_execute(&p->ll, p->head.data, p->head.len);
	if (e != HPE_OK && e != HPE_PAUSED) {
		fail(p, 400, llhttp_get_error_reason(&p->ll));
		return;
	}
	cut_fields(p);
	check_fields(p);
}

bool http_parse_has_token(const struct http_parse *p, const char *name, const char *token)
{
	size_t len = strlen(token);

	for (size_t i = 0; i < p->n_fields; i++) {
		const char *v = p->fields[i].value;

		if (strcasecmp(p->fields[i].name, name) != 0)
			continue;
		while (*v) {
			size_t skip = strspn(v, " \t,"), n = strcspn(v + skip, " \t,");

			if (n == len && strncasecmp(v + skip, token, n) == 0)
				return true;
			v += skip + n;
		}
	}
	return false;
}

/*
 * llhttp has cleared its flags when a message is complete, so the field itself is read. It is a
 * list; only "close" matters here. HTTP/1.0 is always closed.
 */
static bool may_keep(const struct http_parse *p)
{
	return p->ll.http_minor > 0 && !http_parse_has_token(p, "connection", "close");
}

/* Appends to the head what can belong to it; returns how much of data that is. */
static size_t gather_head(struct http_parse *p, const char *data, size_t n, long *ret_end)
{
	size_t before = p->head.len, at = before, room = HTTP_HEAD_MAX + 1 - before;

	if (before == 0) { /* the usual case: no more is copied than the head */
		size_t zero = 0;
		long end = http_parse_head_end(data, n, &zero);

		n = end > 0 ? (size_t)end : n;
	}
	n = n < room ? n : room;
	buf_append(&p->head, data, n);
	if (p->head.failed) {
		fail(p, 503, "out of memory");
		return n;
	}
	*ret_end = http_parse_head_end(p->head.data, p->head.len, &at);
	if (*ret_end > 0) {
		n = (size_t)*ret_end - before;
		p->head.len = (size_t)*ret_end;
		p->head.data[p->head.len] = '\0';
	}
	return n;
}

static size_t feed_head(struct http_parse *p, const char *data, size_t n)
{
	size_t used = 0;
	long end = 0;

	/* Empty lines before a request are ignored (RFC 9112 2.2), a lone CR may wait for its LF.
	 */
	if (p->head.len == 1 && p->head.data[0] == '\r' && n > 0 && data[0] == '\n') {
		buf_clear(&p->head);
		used = 1;
	}
	while (p->head.len == 0 && used + 1 < n && data[used] == '\r' && data[used + 1] == '\n')
		used += 2;
	if (used == n)
		return n;
	used += gather_head(p, data + used, n - used, &end);
	if (p->state == HTTP_PARSE_FAILED)
		return used;
	if (end < 0) {
		fail(p, 400, "NUL, bare CR or bare LF in the head");
	} else if (end > 0) {
		parse_head(p);
		p->keep = p->state != HTTP_PARSE_FAILED && may_keep(p);
	} else if (p->head.len > HTTP_HEAD_MAX) {
		fail(p, 431, "the head is larger than 64 KiB");
	}
	return used;
}

static size_t feed_body(struct http_parse *p, const char *data, size_t n)
{
	llhttp_errno_t e = llhttp_execute(&p->ll, data, n);
	size_t used = e == HPE_OK ? n : (size_t)(llhttp_get_error_pos(&p->ll) - data);

	if (e != HPE_OK && e != HPE_PAUSED) {
		fail(p, 400, llhttp_get_error_reason(&p->ll));
		return n;
	}
	p->body_raw += used;
	if (p->state == HTTP_PARSE_BODY && p->body_raw > 8 * p->body.len + FRAMING_MAX)
		fail(p, 413, "chunk framing without an end");
	return used;
}

size_t http_parse_feed(struct http_parse *p, const char *data, size_t n)
{
	size_t used = 0;

	if (p->state == HTTP_PARSE_HEAD)
		used = feed_head(p, data, n);
	if (p->state == HTTP_PARSE_BODY && used < n)
		used += feed_body(p, data + used, n - used);
	return used;
}
