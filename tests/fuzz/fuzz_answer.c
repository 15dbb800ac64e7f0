/*
 * fuzz_answer: any bytes as the answer to the CLI's client, after a GET or a HEAD (by the first
 * byte). What comes out does not depend on how the bytes were cut into reads; what it calls an
 * error has a message; lines and bytes add up to the same body.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/http_client.c" /* its parser is fed without a socket */

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

const char fuzz_name[] = "answer";

const char *const fuzz_words[] = {"HTTP/1.1 200 OK\r\n",
				  "HTTP/1.1 100 Continue\r\n\r\n",
				  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
				  "HTTP/1.1 204 No Content\r\n\r\n",
				  "HTTP/1.0 200\r\n",
				  "HTTP/0.9 ",
				  "Content-Length: 3\r\n",
				  "Content-Length: 0\r\n",
				  "Content-Length: 99999999999999999999\r\n",
				  "Transfer-Encoding: chunked\r\n",
				  "Transfer-Encoding: gzip\r\n",
				  "Connection: close\r\n",
				  "Connection: keep-alive\r\n",
				  "\r\n",
				  "\n",
				  "\r\n\r\n",
				  "0\r\n\r\n",
				  "3\r\nabc\r\n",
				  "7\r\n{\"a\":1}\r\n",
				  "ffffffffffffffff\r\n",
				  "\xff",
				  " ",
				  ":",
				  NULL};

static void require(int condition)
{
	if (!condition)
		abort();
}

/* As receive() does; returns the last code. */
static int feed_all(struct http_client *c, const char *p, size_t n, size_t step)
{
	struct err *e = NULL;
	int r = 0;

	while (n > 0 && r == 0 && !c->complete) {
		size_t k = n < step ? n : step;

		r = feed(c, p, k, &e);
		p += k;
		n -= k;
	}
	if (r == 0 && !c->complete)
		r = feed(c, NULL, 0, &e);
	require((r < 0) == (e != NULL));
	require(!e || err_msg(e)[0]);
	err_free(e);
	return r;
}

static void begin(struct http_client *c, bool head)
{
	const struct http_client_request rq = {.method = head ? "HEAD" : "GET"};

	*c = (struct http_client){.fd = -1, .path = (char *)"x"};
	reset(c, &rq);
}

static size_t count_by_lines(struct http_client *c)
{
	const char *line;
	size_t n = 0;
	int r;

	while ((r = http_client_line(c, 0, &line, NULL)) == 1)
		n += c->given; /* the newline counts */
	require(r == 0);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct http_client whole, cut;
	bool head;
	int a, b;

	if (size < 2)
		return 0;
	head = data[0] == 'H';
	begin(&whole, head);
	begin(&cut, head);
	a = feed_all(&whole, text, size - 1, size);
	b = feed_all(&cut, text, size - 1, 1 + data[0] % 5);
	require((a == 0) == (b == 0) && whole.complete == cut.complete);
	require(a < 0 || whole.complete);
	if (a == 0) {
		size_t n = whole.body.len;

		require(n == cut.body.len && !(head && n));
		require(n == 0 || memcmp(whole.body.data, cut.body.data, n) == 0);
		require(whole.ll.status_code == cut.ll.status_code);
		require(count_by_lines(&cut) == n);
	}
	buf_done(&whole.body);
	buf_done(&cut.body);
	return 0;
}
