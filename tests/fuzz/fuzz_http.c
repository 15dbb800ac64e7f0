/*
 * fuzz_http: any bytes as pipelined HTTP requests. What comes out does not depend on how the bytes
 * were cut into reads; a refused request says why; an accepted one keeps the limits, holds no NUL
 * where a string is promised and resolves or is refused. One input in eight runs with one
 * allocation that fails.
 */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "lib/http_parse.h"
#include "lib/http_request.h"
#include "lib/http_server.h"
#include "lib/mem.h"
#include "tests/fuzz/fuzz.h"

#define BODY_MAX 4096

const char fuzz_name[] = "http";

const char *const fuzz_words[] = {"GET ",
				  "POST ",
				  "HEAD ",
				  "CONNECT ",
				  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
				  "/a?b=c",
				  "http://h/",
				  " HTTP/1.1\r\n",
				  " HTTP/1.0\r\n",
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
				  "%00",
				  "%2f",
				  "%",
				  "&",
				  "=",
				  "#",
				  "Content-Length: 3\r\n",
				  "Content-Length: 99999999999999999999\r\n",
				  "Transfer-Encoding: chunked\r\n",
				  "Transfer-Encoding: gzip, chunked\r\n",
				  "Connection: close\r\n",
				  "Connection: upgrade\r\nUpgrade: h2c\r\n",
				  "Expect: 100-continue\r\n",
				  "0\r\n\r\n",
				  "3\r\nabc\r\n",
				  "fff\r\n",
				  ";x=\"y\"",
				  "X: y\r\n",
				  "\xff",
				  "\x80",
				  NULL};

static void require(int condition)
{
	if (!condition)
		abort();
}

/* Feeds as a connection does; returns the number of bytes taken. */
static size_t feed(struct http_parse *p, const char *data, size_t n, size_t step)
{
	size_t used = 0;

	while (used < n && (p->state == HTTP_PARSE_HEAD || p->state == HTTP_PARSE_BODY)) {
		size_t part = n - used < step ? n - used : step;
		size_t k = http_parse_feed(p, data + used, part);

		require(k <= part);
		require(k == part || p->state == HTTP_PARSE_DONE || p->state == HTTP_PARSE_FAILED);
		used += k;
	}
	return used;
}

static void same(const struct http_parse *a, const struct http_parse *b)
{
	require(a->state == b->state);
	if (a->state == HTTP_PARSE_FAILED)
		return;
	require(a->body.len == b->body.len && a->n_fields == b->n_fields && a->keep == b->keep);
	if (a->body.len)
		require(memcmp(a->body.data, b->body.data, a->body.len) == 0);
	for (size_t i = 0; i < a->n_fields; i++)
		require(strcmp(a->fields[i].name, b->fields[i].name) == 0 &&
			strcmp(a->fields[i].value, b->fields[i].value) == 0);
	if (a->state == HTTP_PARSE_DONE)
		require(strcmp(a->target, b->target) == 0 && a->ll.method == b->ll.method);
}

static void check(struct http_request *r)
{
	struct http_parse *p = &r->parse;
	const char *why;
	size_t len;
	int status;

	require(p->body.len <= BODY_MAX && p->head.len <= HTTP_HEAD_MAX &&
		p->n_fields <= HTTP_FIELDS_MAX);
	if (p->state == HTTP_PARSE_FAILED)
		require(p->status >= 400 && p->status <= 503 && p->why && p->why[0]);
	if (p->state != HTTP_PARSE_DONE)
		return;
	why = http_request_resolve(r, &status);
	if (why) {
		require(why[0] && (status == 400 || status == 503));
		return;
	}
	require(http_request_path(r)[0] == '/' && http_request_method(r)[0]);
	require(p->ll.http_minor == 0 || http_request_header(r, "HOST") != NULL);
	require(http_request_body(r, &len)[p->body.len] == '\0' && len == p->body.len);
	for (size_t i = 0; i < r->n_params; i++)
		require(http_request_query(r, r->params[i].name) != NULL);
}

/* One request from data; returns the bytes it took, 0 when the connection would end here. */
static size_t one(const char *data, size_t n, size_t step, unsigned long fail_at)
{
	struct http_request *whole, *cut;
	size_t used;
	bool go_on;

	mem_fail_after(fail_at);
	whole = http_request_new(NULL, BODY_MAX);
	used = whole ? feed(&whole->parse, data, n, n) : 0;
	if (whole)
		check(whole);
	mem_fail_after(0);
	cut = fail_at ? NULL : http_request_new(NULL, BODY_MAX);
	if (whole && cut) {
		size_t k = feed(&cut->parse, data, n, step);

		require(k == used || cut->parse.state == HTTP_PARSE_FAILED);
		if (whole->parse.state != HTTP_PARSE_DONE) /* check() decodes in place */
			same(&whole->parse, &cut->parse);
		else
			require(cut->parse.state == HTTP_PARSE_DONE);
		check(cut);
		same(&whole->parse, &cut->parse);
	}
	go_on = whole && whole->parse.state == HTTP_PARSE_DONE && whole->parse.keep;
	http_request_free(whole);
	http_request_free(cut);
	return go_on ? used : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned long sum = size;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + data[i];
	for (size_t at = 0, k = 1; at < size && k > 0; at += k) {
		k = one((const char *)data + at, size - at, 1 + sum % 7 * (sum % 11),
			sum % 8 == 0 ? 1 + sum / 8 % 30 : 0);
		require(k <= size - at);
	}
	return 0;
}
