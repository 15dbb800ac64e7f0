/* head: see head.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/head.h"

#include <llhttp.h>
#include <string.h>

#include "daemon/gateway/chars.h"

#define CONNECTION_MAX 1024u /* each field is looked for in it */

static const char not_crlf[] = "a line that does not end with CR LF";

static bool refuse(struct head *h, unsigned status, const char *why)
{
	h->refusal = status;
	h->why = why;
	return false;
}

/* The line at *at without its CR LF, which must be there; *at behind it. */
static bool take_line(const char **at, const char *end, struct head_span *line)
{
	const char *lf = memchr(*at, '\n', (size_t)(end - *at));

	if (!lf || lf == *at || lf[-1] != '\r')
		return false;
	*line = (struct head_span){*at, (size_t)(lf - 1 - *at)};
	*at = lf + 1;
	return memchr(line->at, '\r', line->n) == NULL;
}

/* Why its name is none. The last byte before end is a LF. */
static const char *complaint(const char *line, const char *end)
{
	const char *lf = memchr(line, '\n', (size_t)(end - line));

	if (*line == ' ' || *line == '\t')
		return "folded header line";
	if (!lf || !memchr(line, ':', (size_t)(lf - line)))
		return "a header line without a colon";
	return "a malformed field name";
}

/* The same; *at is behind the line then. */
static const char *take_field(struct head *h, const char **at, const char *end)
{
	size_t n = chars_span(*at, (size_t)(end - *at), CHARS_TOKEN);
	const char *from = *at + n, *to;
	struct head_field *f;

	if (h->n == HEAD_FIELDS_MAX)
		return "too many header fields";
	if (n == 0 || *from != ':')
		return complaint(*at, end);
	for (from++; *from == ' ' || *from == '\t';)
		from++;
	to = from + chars_span_of_value(from, (size_t)(end - from));
	if (to[0] == '\n' || (to[0] == '\r' && to[1] != '\n'))
		return not_crlf;
	if (*to != '\r')
		return "a control character in a field";
	f = &h->fields[h->n++];
	f->name = (struct head_span){*at, n};
	f->is = field_of(*at, n);
	*at = to + 2;
	while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
		to--;
	f->value = (struct head_span){from, (size_t)(to - from)};
	return NULL;
}

static bool take_fields(struct head *h, const char *at, const char *end)
{
	if (at == end || end[-1] != '\n')
		return refuse(h, 400, not_crlf);
	while (at < end && *at != '\r') {
		const char *why = take_field(h, &at, end);

		if (why)
			return refuse(h, h->n == HEAD_FIELDS_MAX ? 431 : 400, why);
	}
	if (at == end || at[1] != '\n')
		return refuse(h, 400, not_crlf);
	return at + 2 == end || refuse(h, 400, "more than a head");
}

size_t head_find_end(const char *data, size_t n)
{
	const char *at = data, *end = data + n, *lf;

	while ((lf = memchr(at, '\n', (size_t)(end - at)))) {
		if (end - lf > 2 && lf[1] == '\r' && lf[2] == '\n')
			return (size_t)(lf + 3 - data);
		at = lf + 1;
	}
	return 0;
}

static bool llhttp_agrees(struct head *h, llhttp_type_t type, const char *data, size_t n)
{
	static const llhttp_settings_t settings; /* no callback */
	llhttp_errno_t e;
	llhttp_t ll;

	llhttp_init(&ll, type, &settings);
	e = llhttp_execute(&ll, data, n);
	if (e == HPE_OK || e == HPE_PAUSED_UPGRADE)
		return true;
	return refuse(h, e == HPE_INVALID_METHOD ? 501 : 400, "a malformed head");
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool list_has(struct head_span list, const char *token)
{
	size_t i = 0;

	while (i < list.n) {
		size_t from, to;

		while (i < list.n && (is_blank(list.at[i]) || list.at[i] == ','))
			i++;
		from = i;
		while (i < list.n && list.at[i] != ',')
			i++;
		to = i;
		while (to > from && is_blank(list.at[to - 1]))
			to--;
		if (to > from && head_is((struct head_span){list.at + from, to - from}, token))
			return true;
	}
	return false;
}

struct head_span head_value(const struct head *h, enum field is)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->fields[i].is == is)
			return h->fields[i].value;
	return (struct head_span){NULL, 0};
}

bool head_has_token(const struct head *h, enum field is, const char *token)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->fields[i].is == is && list_has(h->fields[i].value, token))
			return true;
	return false;
}

static bool parse_length(struct head_span s, uint64_t *ret)
{
	uint64_t n = 0;

	if (s.n == 0 || s.n > 18)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(s.at[i] - '0');
	}
	*ret = n;
	return true;
}

/* What frames the body, and what concerns the connection. */
static bool take_framing(struct head *h)
{
	bool has_length = false, has_coding = false;
	size_t named = 0;
	struct head_span upgrade = {NULL, 0};

	for (size_t i = 0; i < h->n; i++) {
		const struct head_field *f = &h->fields[i];

		if (f->is == FIELD_CONTENT_LENGTH) {
			if (has_length || !parse_length(f->value, &h->length))
				return refuse(h, 400, "Content-Length");
			has_length = true;
		} else if (f->is == FIELD_TRANSFER_ENCODING) {
			if (has_coding || !head_is(f->value, "chunked") || h->minor == 0)
				return refuse(h, 400, "transfer coding other than chunked");
			has_coding = true;
		} else if (f->is == FIELD_UPGRADE) {
			upgrade = f->value;
		} else if (f->is == FIELD_CONNECTION) {
			named += f->value.n;
			if (named > CONNECTION_MAX)
				return refuse(h, 400, "Connection names too much");
		}
	}
	if (has_coding && has_length)
		return refuse(h, 400, "Content-Length with Transfer-Encoding");
	h->body = has_coding	   ? HEAD_BODY_CHUNKED
		  : h->length > 0  ? HEAD_BODY_LENGTH
		  : has_length	   ? HEAD_BODY_NONE
		  : h->status != 0 ? HEAD_BODY_TO_END
				   : HEAD_BODY_NONE;
	h->close = h->minor == 0 || head_has_token(h, FIELD_CONNECTION, "close");
	if (upgrade.n > 0 && head_has_token(h, FIELD_CONNECTION, "upgrade"))
		h->upgrade = upgrade;
	return true;
}

static bool is_target(struct head_span s)
{
	return s.n > 0 && chars_span(s.at, s.n, CHARS_TARGET) == s.n;
}

static bool is_authority(struct head_span s)
{
	return chars_span(s.at, s.n, CHARS_AUTHORITY) == s.n;
}

/* http://authority/path: the authority counts, whatever Host says. */
static bool take_target(struct head *h)
{
	struct head_span *t = &h->target;
	size_t scheme = 0;
	const char *slash;

	if (!is_target(*t))
		return refuse(h, 400, "a malformed target");
	if (t->at[0] == '/')
		return true;
	if (t->n == 1 && t->at[0] == '*' && head_is(h->method, "options"))
		return true;
	if (t->n > 7 && strncasecmp(t->at, "http://", 7) == 0)
		scheme = 7;
	else if (t->n > 8 && strncasecmp(t->at, "https://", 8) == 0)
		scheme = 8;
	else
		return refuse(h, 400, "a malformed target");
	h->host = (struct head_span){t->at + scheme, t->n - scheme};
	slash = memchr(h->host.at, '/', h->host.n);
	if (slash)
		h->host.n = (size_t)(slash - h->host.at);
	if (h->host.n == 0 || !is_authority(h->host))
		return refuse(h, 400, "a malformed authority");
	if (slash)
		*t = (struct head_span){slash, (size_t)(t->at + t->n - slash)};
	else
		*t = (struct head_span){"/", 1};
	return true;
}

static bool take_host(struct head *h)
{
	size_t hosts = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (h->fields[i].is != FIELD_HOST)
			continue;
		hosts++;
		h->host = h->fields[i].value;
	}
	if (hosts > 1)
		return refuse(h, 400, "several Host fields");
	if (hosts == 0 && h->minor > 0)
		return refuse(h, 400, "no Host field");
	return is_authority(h->host) || refuse(h, 400, "a malformed Host");
}

static bool take_expectation(struct head *h)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->fields[i].is != FIELD_EXPECT || h->minor == 0)
			continue;
		if (!head_is(h->fields[i].value, "100-continue"))
			return refuse(h, 417, "unknown expectation");
		h->expects = true;
	}
	return true;
}

static inline bool is_exactly(struct head_span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.at, text, s.n) == 0;
}

static bool is_repeatable(struct head_span method)
{
	return is_exactly(method, "GET") || is_exactly(method, "HEAD") ||
	       is_exactly(method, "OPTIONS") || is_exactly(method, "PUT") ||
	       is_exactly(method, "DELETE") || is_exactly(method, "TRACE");
}

static bool take_request_line(struct head *h, struct head_span line)
{
	const char *end = line.at + line.n, *space = memchr(line.at, ' ', line.n);

	if (!space || line.n < 14 || memcmp(end - 9, " HTTP/1.", 8) != 0 ||
	    (end[-1] != '0' && end[-1] != '1') || space >= end - 9)
		return refuse(h, 400, "the request line does not end with HTTP/1.0 or HTTP/1.1");
	h->minor = (unsigned)(end[-1] - '0');
	h->method = (struct head_span){line.at, (size_t)(space - line.at)};
	h->target = (struct head_span){space + 1, (size_t)(end - 9 - space - 1)};
	if (h->method.n == 0 || chars_span(h->method.at, h->method.n, CHARS_TOKEN) != h->method.n)
		return refuse(h, 400, "a malformed method");
	h->is_head = is_exactly(h->method, "HEAD");
	h->is_safe_to_repeat = is_repeatable(h->method);
	return true;
}

static void begin(struct head *h, size_t size)
{
	memset(h, 0, offsetof(struct head, fields));
	h->size = size;
	h->refusal = 0;
	h->why = NULL;
}

bool head_parse_request(struct head *h, const char *data, size_t n)
{
	const char *at = data, *end = data + n;
	struct head_span line;

	begin(h, n);
	if (!take_line(&at, end, &line))
		return refuse(h, 400, not_crlf);
	if (!take_request_line(h, line) || !take_fields(h, at, end))
		return false;
	if (head_is(h->method, "connect"))
		return refuse(h, 405, "CONNECT is not for here");
	if (!llhttp_agrees(h, HTTP_REQUEST, data, n) || !take_framing(h) || !take_host(h) ||
	    !take_target(h) || !take_expectation(h))
		return false;
	h->wants_trailers = head_has_token(h, FIELD_TE, "trailers");
	return true;
}

static bool take_status_line(struct head *h, struct head_span line)
{
	const char *s = line.at;

	if (line.n < 12 || memcmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') ||
	    s[8] != ' ' || (line.n > 12 && s[12] != ' '))
		return refuse(h, 502, "a malformed status line");
	for (int i = 9; i < 12; i++) {
		if (s[i] < '0' || s[i] > '9')
			return refuse(h, 502, "a malformed status line");
		h->status = h->status * 10 + (unsigned)(s[i] - '0');
	}
	h->minor = (unsigned)(s[7] - '0');
	if (line.n > 13)
		h->reason = (struct head_span){s + 13, line.n - 13};
	if (h->status < 100 || h->status > 599 ||
	    chars_span_of_value(h->reason.at, h->reason.n) != h->reason.n)
		return refuse(h, 502, "a malformed status line");
	return true;
}

bool head_parse_answer(struct head *h, const char *data, size_t n, bool to_head)
{
	const char *at = data, *end = data + n;
	struct head_span line;

	begin(h, n);
	if (!take_line(&at, end, &line))
		return refuse(h, 502, not_crlf);
	if (!take_status_line(h, line) || !take_fields(h, at, end) ||
	    !llhttp_agrees(h, HTTP_RESPONSE, data, n) || !take_framing(h)) {
		h->refusal = 502;
		return false;
	}
	if (to_head || h->status < 200 || h->status == 204 || h->status == 304)
		h->body = HEAD_BODY_NONE;
	else if (h->body == HEAD_BODY_TO_END)
		h->close = true;
	return true;
}
