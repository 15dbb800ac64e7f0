/* rewrite: see rewrite.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/rewrite.h"

#include <string.h>
#include <strings.h>

#include "daemon/gateway/chars.h"
#include "daemon/gateway/field.h"

static bool is_named_by_connection(const struct head *h, struct head_span name)
{
	char lower[128];

	if (name.n >= sizeof(lower))
		return false;
	for (size_t i = 0; i < name.n; i++)
		lower[i] = (char)(name.at[i] >= 'A' && name.at[i] <= 'Z' ? name.at[i] + 32
									 : name.at[i]);
	lower[name.n] = '\0';
	return head_has_token(h, FIELD_CONNECTION, lower);
}

static bool has_connection(const struct head *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->fields[i].is == FIELD_CONNECTION)
			return true;
	return false;
}

/* ---- writing: into room that was made for all of it ---- */

#define OUR_WORDS 448 /* at most, around the spans and one number */

static inline char *put(char *at, const char *s, size_t n)
{
	memcpy(at, s, n);
	return at + n;
}

/* Inline, for the length of a literal is known. */
static inline char *put_text(char *at, const char *s)
{
	return put(at, s, strlen(s));
}

static char *put_span(char *at, struct head_span s)
{
	return s.n > 0 ? put(at, s.at, s.n) : at;
}

static char *put_number(char *at, uint64_t n)
{
	char digits[20], *first = digits + sizeof(digits);

	do {
		*--first = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	return put(at, first, (size_t)(digits + sizeof(digits) - first));
}

static char *put_line(char *at, const struct head_field *f)
{
	at = put_span(at, f->name);
	at = put_text(at, ": ");
	at = put_span(at, f->value);
	return put_text(at, "\r\n");
}

/* It stands there as it is to be written: up to where; else NULL. */
static const char *end_of_plain(const struct head_field *f)
{
	const char *end = f->value.at + f->value.n;

	return f->value.at == f->name.at + f->name.n + 2 && f->value.at[-1] == ' ' &&
			       end[0] == '\r' && end[1] == '\n'
		       ? end + 2
		       : NULL;
}

/* Lines that stand behind each other are copied at once. At most h->size + h->n bytes. */
static char *put_fields(char *at, const struct head *h, bool is_request)
{
	const char *from = NULL, *to = NULL;
	bool named = has_connection(h);

	for (size_t i = 0; i < h->n; i++) {
		const struct head_field *f = &h->fields[i];
		const char *end = end_of_plain(f);

		if (!field_is_passed_on(f->is, is_request) ||
		    (named && is_named_by_connection(h, f->name)))
			continue;
		if (to != f->name.at || !end) {
			at = put_span(at, (struct head_span){from, (size_t)(to - from)});
			from = f->name.at;
		}
		if (!end) {
			at = put_line(at, f);
			from = NULL;
		}
		to = end;
	}
	return put_span(at, (struct head_span){from, (size_t)(to - from)});
}

static bool is_id(struct head_span s)
{
	return s.n > 0 && s.n < REWRITE_ID_SIZE && chars_span(s.at, s.n, CHARS_ID) == s.n;
}

/* What those before us said, each field's value in its order. */
static char *put_all(char *at, const struct head *h, enum field is)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->fields[i].is != is || h->fields[i].value.n == 0)
			continue;
		at = put_span(at, h->fields[i].value);
		at = put_text(at, ", ");
	}
	return at;
}

static char *put_forwarded(char *at, const struct head *h, const struct rewrite_from *from,
			   struct head_span host)
{
	struct head_span address = {from->address, strlen(from->address)};
	struct head_span proto = {NULL, 0}, first_host = {NULL, 0};

	if (from->is_trusted) {
		proto = head_value(h, FIELD_X_FORWARDED_PROTO);
		first_host = head_value(h, FIELD_X_FORWARDED_HOST);
	}
	at = put_text(at, "X-Forwarded-For: ");
	if (from->is_trusted)
		at = put_all(at, h, FIELD_X_FORWARDED_FOR);
	at = put_span(at, address);
	at = put_text(at, "\r\nForwarded: ");
	if (from->is_trusted)
		at = put_all(at, h, FIELD_FORWARDED);
	at = from->is_ipv6 ? put_text(at, "for=\"[") : put_text(at, "for=");
	at = put_span(at, address);
	at = from->is_ipv6 ? put_text(at, "]\";host=\"") : put_text(at, ";host=\"");
	at = put_span(at, host);
	at = put_text(at, "\";proto=http\r\nX-Forwarded-Proto: ");
	at = put_span(at, proto.n > 0 ? proto : (struct head_span){"http", 4});
	at = put_text(at, "\r\nX-Forwarded-Host: ");
	at = put_span(at, first_host.n > 0 ? first_host : host);
	return put_text(at, "\r\n");
}

bool rewrite_may_upgrade(const struct head *h)
{
	return h->upgrade.n > 0 && h->minor > 0 && h->body == HEAD_BODY_NONE &&
	       strncasecmp(h->upgrade.at, "h2", h->upgrade.n < 2 ? h->upgrade.n : 2) != 0 &&
	       strncasecmp(h->upgrade.at, "http", h->upgrade.n < 4 ? h->upgrade.n : 4) != 0 &&
	       !memchr(h->upgrade.at, ',', h->upgrade.n);
}

static char *put_framing(char *at, const struct head *h)
{
	if (h->body == HEAD_BODY_CHUNKED)
		return put_text(at, "Transfer-Encoding: chunked\r\n");
	if (h->body == HEAD_BODY_NONE) /* other methods than those may have one */
		return head_is(h->method, "get") || h->is_head
			       ? at
			       : put_text(at, "Content-Length: 0\r\n");
	at = put_text(at, "Content-Length: ");
	at = put_number(at, h->length);
	return put_text(at, "\r\n");
}

static char *put_hop(char *at, const struct head *h)
{
	if (rewrite_may_upgrade(h)) {
		at = put_text(at, "Connection: Upgrade\r\nUpgrade: ");
		at = put_span(at, h->upgrade);
		return put_text(at, "\r\n");
	}
	return h->wants_trailers ? put_text(at, "Connection: TE\r\nTE: trailers\r\n") : at;
}

/* Each field's value goes out once at most, whatever its name is then. */
static size_t room_for(const struct head *h, const char *id)
{
	return h->size + h->n + strlen(id) + OUR_WORDS;
}

void rewrite_request(struct buf *out, const struct head *h, struct rewrite_from *from)
{
	struct head_span id = head_value(h, FIELD_X_REQUEST_ID), host = h->host;
	char *start, *at;

	if (host.n == 0)
		host = (struct head_span){from->host, strlen(from->host)};
	if (is_id(id))
		*put_span(from->id, id) = '\0';
	start = at =
		buf_reserve(out, room_for(h, from->id) + 3 * host.n + 2 * strlen(from->address));
	if (!at)
		return;
	at = put_span(at, h->method);
	*at++ = ' ';
	at = put_span(at, h->target);
	at = put_text(at, " HTTP/1.1\r\nHost: ");
	at = put_span(at, host);
	at = put_text(at, "\r\n");
	at = put_fields(at, h, true);
	at = put_framing(at, h);
	if (h->expects)
		at = put_text(at, "Expect: 100-continue\r\n");
	at = put_forwarded(at, h, from, host);
	at = put_text(at, "X-Request-Id: ");
	at = put_text(at, from->id);
	at = put_text(at, "\r\n");
	at = put_hop(at, h);
	at = put_text(at, "\r\n");
	buf_added(out, (size_t)(at - start));
}

static char *put_end_of_answer(char *at, const struct head *h, const struct rewrite_to *to)
{
	struct head_span length = head_value(h, FIELD_CONTENT_LENGTH);

	if (to->chunks) {
		at = put_text(at, "Transfer-Encoding: chunked\r\n");
	} else if (h->status != 204 && length.n > 0) {
		at = put_text(at, "Content-Length: ");
		at = put_span(at, length);
		at = put_text(at, "\r\n");
	}
	if (to->close)
		at = put_text(at, "Connection: close\r\n");
	if (head_value(h, FIELD_X_REQUEST_ID).n == 0) {
		at = put_text(at, "X-Request-Id: ");
		at = put_text(at, to->id);
		at = put_text(at, "\r\n");
	}
	return at;
}

void rewrite_answer(struct buf *out, const struct head *h, const struct rewrite_to *to)
{
	char *start = buf_reserve(out, room_for(h, to->id)), *at = start;

	if (!at)
		return;
	at = put_text(at, "HTTP/1.1 ");
	at = put_number(at, h->status);
	*at++ = ' ';
	at = put_span(at, h->reason);
	at = put_text(at, "\r\n");
	at = put_fields(at, h, false);
	if (h->status == 101) {
		at = put_text(at, "Connection: Upgrade\r\nUpgrade: ");
		at = put_span(at, h->upgrade);
		at = put_text(at, "\r\n");
	} else if (h->status >= 200) {
		at = put_end_of_answer(at, h, to);
	}
	at = put_text(at, "\r\n");
	buf_added(out, (size_t)(at - start));
}

/* A head of trailers alone is looked at as an answer's, whose fields they are. */
static bool parse_trailers(struct head *h, const char *lines, size_t n)
{
	struct buf b = {0};
	bool sound;

	buf_str(&b, "HTTP/1.1 200 OK\r\n");
	buf_append(&b, lines, n);
	sound = !b.failed && head_parse_answer(h, b.data, b.len, false);
	for (size_t i = 0; sound && i < h->n; i++) { /* into lines, which lives longer */
		h->fields[i].name.at = lines + (h->fields[i].name.at - b.data - 17);
		h->fields[i].value.at = lines + (h->fields[i].value.at - b.data - 17);
	}
	buf_done(&b);
	return sound;
}

bool rewrite_trailers_are_sound(const char *lines, size_t n)
{
	struct head h;

	return parse_trailers(&h, lines, n);
}

void rewrite_trailers(struct buf *out, const char *lines, size_t n)
{
	struct head h;

	char *at;

	if (n <= 2 || !parse_trailers(&h, lines, n))
		return;
	at = buf_reserve(out, h.size + h.n);
	if (at)
		buf_added(out, (size_t)(put_fields(at, &h, true) - at));
}
