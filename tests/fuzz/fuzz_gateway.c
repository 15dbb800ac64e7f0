/*
 * fuzz_gateway: any bytes as a request, and as an answer, on their way through the gateway. A head
 * that is accepted is one that the API's parser accepts, too, with the same body; what is made of it
 * has the framing that was understood, no field of one connection only, and is accepted again. A body
 * comes out the same however it was cut, and read once more it is the same body.
 */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "daemon/gateway/body.h"
#include "daemon/gateway/head.h"
#include "daemon/gateway/rewrite.h"
#include "lib/http_parse.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_name[] = "gateway";

const char *const fuzz_words[] = {"GET ",
				  "POST ",
				  "OPTIONS * HTTP/1.1\r\n",
				  "/a",
				  "http://h/",
				  " HTTP/1.1\r\n",
				  " HTTP/1.0\r\n",
				  "HTTP/1.1 200 OK\r\n",
				  "HTTP/1.1 204 \r\n",
				  "Host: h\r\n",
				  "\r\n",
				  "\r\n\r\n",
				  "\n",
				  "\r",
				  " ",
				  "\t",
				  ":",
				  ",",
				  ";",
				  "_",
				  "Content-Length: 3\r\n",
				  "Content-Length: 0\r\n",
				  "content_length: 3\r\n",
				  "Transfer-Encoding: chunked\r\n",
				  "Connection: close\r\n",
				  "Connection: upgrade\r\nUpgrade: websocket\r\n",
				  "Connection: X\r\n",
				  "X-Forwarded-For: 1.2.3.4\r\n",
				  "X-Request-Id: a\r\n",
				  "TE: trailers\r\n",
				  "Expect: 100-continue\r\n",
				  "0\r\n\r\n",
				  "3\r\nabc\r\n",
				  "0\r\nX: y\r\n\r\n",
				  "fff\r\n",
				  ";x=\"y\"",
				  "X: y\r\n",
				  "\xff",
				  NULL};

static void require(int condition)
{
	if (!condition)
		abort();
}

static void put(void *user, const char *data, size_t n)
{
	buf_append(user, data, n);
}

static size_t pass(struct body *b, const char *data, size_t n, size_t step, struct buf *out)
{
	size_t used = 0;

	while (used < n && !b->done && !b->bad)
		used += body_pass(b, data + used, n - used < step ? n - used : step, put, out);
	return used;
}

static void check_body(const struct head *h, const char *data, size_t n)
{
	struct body whole, cut, again;
	struct buf a = {0}, b = {0}, c = {0};
	size_t used;

	/* In chunks, the pieces show how it was cut: without them, but for the last run. */
	body_init(&whole, h->body, h->length, false);
	body_init(&cut, h->body, h->length, false);
	used = pass(&whole, data, n, n, &a);
	require(pass(&cut, data, n, 1, &b) == used);
	require(whole.done == cut.done && whole.bad == cut.bad && a.len == b.len);
	require(a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
	body_done(&cut);
	if (whole.done && h->body == HEAD_BODY_CHUNKED) {
		buf_clear(&b);
		body_init(&cut, h->body, h->length, true);
		require(pass(&cut, data, n, n, &b) == used);
		body_init(&again, h->body, 0, false);
		require(pass(&again, b.data, b.len, 7, &c) == b.len && again.done);
		require(c.len == a.len && (a.len == 0 || memcmp(a.data, c.data, a.len) == 0));
		body_done(&again);
		body_done(&cut);
	}
	body_done(&whole);
	buf_done(&a);
	buf_done(&b);
	buf_done(&c);
}

static size_t count(const struct head *h, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		n += head_is(h->fields[i].name, name);
	return n;
}

static void check_same(const struct head *h, const char *data, size_t n)
{
	struct http_parse p;
	size_t used;

	http_parse_init(&p, SIZE_MAX / 16);
	used = http_parse_feed(&p, data, n);
	require(p.state != HTTP_PARSE_FAILED && used == n);
	require((p.state == HTTP_PARSE_DONE) == (h->body == HEAD_BODY_NONE));
	if (h->body == HEAD_BODY_LENGTH)
		require(p.ll.content_length == h->length);
	http_parse_done(&p);
}

static void check_request(const struct head *h)
{
	struct rewrite_from from = {.address = "::1",
				    .is_ipv6 = true,
				    .is_trusted = h->n % 2,
				    .host = "127.0.0.1:80",
				    .id = "1"};
	static struct head again;
	struct buf out = {0};

	rewrite_request(&out, h, &from);
	require(!out.failed);
	if (out.len <= HEAD_MAX && h->n < HEAD_FIELDS_MAX - 12) {
		require(head_parse_request(&again, out.data, out.len));
		require(again.body == h->body && again.length == h->length && again.minor == 1);
		require(count(&again, "content-length") + count(&again, "transfer-encoding") <= 1);
		require(count(&again, "x-forwarded-for") == 1 && count(&again, "host") == 1);
		require(count(&again, "keep-alive") + count(&again, "proxy-connection") == 0);
		require(!again.close && again.method.n == h->method.n);
	}
	buf_done(&out);
}

static void check_answer(const struct head *h)
{
	struct rewrite_to to = {.id = "1",
				.close = h->n % 2,
				.chunks = h->body == HEAD_BODY_CHUNKED ||
					  h->body == HEAD_BODY_TO_END};
	static struct head again;
	struct buf out = {0};

	rewrite_answer(&out, h, &to);
	require(!out.failed);
	if (out.len <= HEAD_MAX && h->n < HEAD_FIELDS_MAX - 12) {
		require(head_parse_answer(&again, out.data, out.len, false));
		require(again.status == h->status);
		if (h->body == HEAD_BODY_LENGTH)
			require(again.body == HEAD_BODY_LENGTH && again.length == h->length);
		if (to.chunks)
			require(again.body == HEAD_BODY_CHUNKED);
	}
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	static struct head h;
	const char *data = (const char *)input;
	size_t at = 0;
	long end = http_parse_head_end(data, n, &at);

	if (end <= 0 || (size_t)end > HEAD_MAX)
		return 0;
	if (head_parse_request(&h, data, (size_t)end)) {
		check_same(&h, data, (size_t)end);
		check_request(&h);
		check_body(&h, data + end, n - (size_t)end);
	} else {
		require(h.why && h.why[0] && h.refusal >= 400 && h.refusal < 600);
	}
	if (head_parse_answer(&h, data, (size_t)end, false)) {
		check_answer(&h);
		check_body(&h, data + end, n - (size_t)end);
	} else {
		require(h.why && h.why[0] && h.refusal == 502);
	}
	return 0;
}
