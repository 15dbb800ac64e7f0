/*
 * aictl-gateway and request smuggling: what two parsers might cut differently is refused, or reaches
 * the backend as exactly one request, framed anew. Judged by what the backend received.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/mem.h"
#include "tests/unit/gate_rig.h"

#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
#define CHUNKED "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct attack {
	const char *name, *bytes;
	size_t n; /* 0: a string */
	const char *status;
};

#define A(name, status, bytes)                                                                     \
	{                                                                                          \
		name, bytes, sizeof(bytes) - 1, status                                             \
	}

/* Nothing of these reaches a backend. */
static const struct attack heads[] = {
	A("CL and TE", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("TE and CL", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("two CL", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n" SMUGGLED),
	A("two equal CL", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n" SMUGGLED),
	A("CL list", "400", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 0\r\n\r\n" SMUGGLED),
	A("CL +", "400", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n" SMUGGLED),
	A("CL -", "400", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n" SMUGGLED),
	A("CL hex", "400", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x2c\r\n\r\n" SMUGGLED),
	A("CL inner space", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4 4\r\n\r\n" SMUGGLED),
	A("CL empty", "400", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n" SMUGGLED),
	A("CL overflow", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n" SMUGGLED),
	A("two TE", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("TE list", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("TE unknown", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("TE quoted", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("TE vertical tab", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("TE in HTTP/1.0", "400",
	  "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("space before colon", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("space before a name", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("obs-fold", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("NUL in a name", "400",
	  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	A("NUL in a value", "400", "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n" SMUGGLED),
	A("bare LF", "400", "GET / HTTP/1.1\nHost: h\n\n" SMUGGLED),
	A("bare LF in a field", "400",
	  "GET / HTTP/1.1\r\nHost: h\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n" SMUGGLED),
	A("bare CR", "400",
	  "GET / HTTP/1.1\r\nHost: h\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n" SMUGGLED),
	A("no colon", "400", "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\r\n\r\n" SMUGGLED),
	A("no name", "400", "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n" SMUGGLED),
	A("odd character in a name", "400",
	  "GET / HTTP/1.1\r\nHost: h\r\nX(y): 1\r\n\r\n" SMUGGLED),
	A("two Hosts", "400", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" SMUGGLED),
	A("no Host", "400", "GET / HTTP/1.1\r\n\r\n" SMUGGLED),
	A("Host with a path", "400", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n" SMUGGLED),
	A("Host with user", "400", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" SMUGGLED),
	A("absolute without authority", "400",
	  "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	A("another scheme", "400", "GET file:///etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	A("no target", "400", "GET  HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	A("space in the target", "400", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	A("tab in the request line", "400", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	A("fragment", "400", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	A("HTTP/0.9", "400", "GET /\r\n\r\n" SMUGGLED),
	A("HTTP/1.2", "400", "GET / HTTP/1.2\r\nHost: h\r\n\r\n" SMUGGLED),
	A("HTTP/2.0", "400", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" SMUGGLED),
	A("version's case", "400", "GET / http/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	A("CONNECT", "405", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	A("unknown method", "501", "SMUGGLE / HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	A("unknown expectation", "417",
	  "POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\nContent-Length: 0\r\n\r\n" SMUGGLED),
};

/* Of these a backend sees the beginning of one request, never its end, and nothing else. */
static const struct attack bodies[] = {
	A("chunk size with 0x", "400", CHUNKED "0x3\r\nabc\r\n0\r\n\r\n" SMUGGLED),
	A("chunk size with space", "400", CHUNKED "3 \r\nabc\r\n0\r\n\r\n" SMUGGLED),
	A("chunk size with sign", "400", CHUNKED "+3\r\nabc\r\n0\r\n\r\n" SMUGGLED),
	A("no chunk size", "400", CHUNKED "\r\n\r\n" SMUGGLED),
	A("huge chunk size", "400", CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n" SMUGGLED),
	A("bare LF after the size", "400", CHUNKED "3\nabc\r\n0\r\n\r\n" SMUGGLED),
	A("bare LF after data", "400", CHUNKED "3\r\nabc\n0\r\n\r\n" SMUGGLED),
	A("bare CR after the size", "400", CHUNKED "3\rabc\r\n0\r\n\r\n" SMUGGLED),
	A("bare LF in an extension", "400", CHUNKED "3;a\nbc\r\n0\r\n\r\n" SMUGGLED),
	A("data longer than its size", "400", CHUNKED "3\r\nabcd\r\n0\r\n\r\n" SMUGGLED),
	A("trailer without a colon", "400", CHUNKED "0\r\nX\r\n\r\n" SMUGGLED),
	A("trailer with space before colon", "400", CHUNKED "0\r\nX : y\r\n\r\n" SMUGGLED),
	A("folded trailer", "400", CHUNKED "0\r\nX: y\r\n z\r\n\r\n" SMUGGLED),
	A("framing in a trailer", "400", CHUNKED "0\r\nTransfer-Encoding: x\r\n\r\n" SMUGGLED),
	A("bare LF in a trailer", "400", CHUNKED "0\r\nX: y\n\r\n\r\n" SMUGGLED),
};

static int attack(struct gate_rig *h, const struct attack *a)
{
	int c = gate_rig_connect(h);

	print_message("%s\n", a->name);
	assert_int_equal(send(c, a->bytes, a->n, MSG_NOSIGNAL), a->n);
	return c;
}

static void expect_refusal(struct gate_rig *h, int c, const struct attack *a)
{
	assert_true(gate_rig_read_end(h, c)); /* one answer, then the end */
	assert_memory_equal(h->text, "HTTP/1.1 ", 9);
	assert_memory_equal(h->text + 9, a->status, 3);
	assert_null(strstr(h->text + 9, "HTTP/1.1 "));
	close(c);
}

static void what_is_malformed_is_refused(void **state)
{
	struct gate_rig *h = *state;

	gate_rig_route(h, 1);
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		int c = attack(h, &heads[i]);

		expect_refusal(h, c, &heads[i]);
		assert_false(gate_rig_is_readable(h->backends[0], 0));
	}
}

static void a_malformed_body_ends_both_connections(void **state)
{
	struct gate_rig *h = *state;

	gate_rig_route(h, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		int c = attack(h, &bodies[i]), b;

		expect_refusal(h, c, &bodies[i]);
		b = gate_rig_accept(h, 0);
		gate_rig_read_end(h, b);
		assert_null(strstr(h->text, "smuggled"));
		assert_null(strstr(h->text, "\r\n0\r\n"));
		close(b);
	}
}

/* Two in one go, where a lenient server might see one or three. */
static void what_is_passed_on_is_one_request(void **state)
{
	static const char *const first[] = {
		CHUNKED "3;x=\"\\\"\r\nabc\r\n000;y\r\nHost: 40\r\nConnection: X\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length:3  \r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: h\r\ncontent_length: 40\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: Content-Length\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: h\r\ntransfer-ENCODING:CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	};
	struct gate_rig *h = *state;

	gate_rig_route(h, 1);
	for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
		int c = gate_rig_connect(h), b;
		bool chunked;

		print_message("%zu\n", i);
		gate_rig_send(c, first[i]);
		gate_rig_send(c, "GET /second HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
		b = gate_rig_take(h, 0, "\r\n\r\n");
		chunked = strstr(h->text, "\r\nTransfer-Encoding: chunked\r\n") != NULL;
		assert_true(chunked != (strstr(h->text, "\r\nContent-Length: 3\r\n") != NULL));
		assert_null(strstr(h->text, ": 40\r\n"));
		gate_rig_read(h, b, chunked ? "3\r\nabc\r\n0\r\n\r\n" : "abc");
		assert_int_equal(h->n, chunked ? 13 : 3);
		gate_rig_send(b, OK);
		gate_rig_read(h, b, "\r\n\r\n");
		assert_memory_equal(h->text, "GET /second HTTP/1.1\r\n", 22);
		gate_rig_send(b, OK);
		assert_true(gate_rig_read_end(h, c));
		close(b);
		close(c);
	}
}

/* The other direction: what a backend's connection says after its answer is nobody's. */
static void an_answer_is_one_too(void **state)
{
	static const char *const bad[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
		"SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
	};
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		print_message("%zu\n", i);
		c = gate_rig_connect(h);
		gate_rig_send(c, SMUGGLED);
		b = gate_rig_take(h, 0, "\r\n\r\n");
		gate_rig_send(b, bad[i]);
		gate_rig_read(h, c, "}\n");
		assert_memory_equal(h->text, "HTTP/1.1 502 ", 13);
		gate_rig_read_end(h, b);
		close(b);
		close(c);
	}
	c = gate_rig_connect(h);
	gate_rig_send(c, SMUGGLED);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
	gate_rig_read(h, c, "ok");
	gate_rig_send(c, SMUGGLED);
	close(b);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	assert_null(strstr(h->text, "evil"));
	close(b);
	close(c);
}

static void a_head_has_a_limit(void **state)
{
	struct gate_rig *h = *state;
	static char line[1025];
	int c = gate_rig_connect(h);

	gate_rig_route(h, 1);
	memset(line, 'a', 1024);
	gate_rig_send(c, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
	for (int i = 0; i < 64; i++)
		gate_rig_send(c, line);
	gate_rig_read_end(h, c);
	assert_memory_equal(h->text, "HTTP/1.1 431 ", 13);
	close(c);
	c = gate_rig_connect(h);
	gate_rig_send(c, "GET / HTTP/1.1\r\nHost: h\r\n");
	for (int i = 0; i < 128; i++)
		gate_rig_send(c, "X: 1\r\n");
	gate_rig_send(c, "\r\n");
	gate_rig_read_end(h, c);
	assert_memory_equal(h->text, "HTTP/1.1 431 ", 13);
	close(c);
	c = gate_rig_connect(h); /* each field is looked for in it */
	gate_rig_send(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: ");
	gate_rig_send(c, line);
	gate_rig_send(c, "\r\nConnection: b\r\n\r\n");
	gate_rig_read_end(h, c);
	assert_memory_equal(h->text, "HTTP/1.1 400 ", 13);
	assert_false(gate_rig_is_readable(h->backends[0], 0));
	close(c);
}

/* What was not passed on was not asked for. */
static void an_upgrade_that_was_dropped_is_not_taken_up(void **state)
{
	struct gate_rig *h = *state;
	int c = gate_rig_connect(h), b;

	gate_rig_route(h, 1);
	gate_rig_send(c,
		      "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
	gate_rig_read(h, c, "\r\n\r\n");
	assert_memory_equal(h->text, "HTTP/1.1 502 ", 13);
	close(c);
	close(b);
}

static void an_extension_has_a_limit(void **state)
{
	struct gate_rig *h = *state;
	static char line[2049];
	int c, b;

	gate_rig_route(h, 1);
	for (int i = 0; i < 2; i++) {
		c = gate_rig_connect(h);
		memset(line, i == 0 ? 'a' : 0xff, 2048);
		gate_rig_send(c, CHUNKED "1;");
		b = gate_rig_take(h, 0, "\r\n\r\n");
		gate_rig_send(c, line);
		gate_rig_read_end(h, c);
		assert_memory_equal(h->text, "HTTP/1.1 400 ", 13);
		close(c);
		close(b);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, gate_rig_setup, gate_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_malformed_is_refused),
		TEST(a_malformed_body_ends_both_connections),
		TEST(what_is_passed_on_is_one_request),
		TEST(an_answer_is_one_too),
		TEST(a_head_has_a_limit),
		TEST(an_extension_has_a_limit),
		TEST(an_upgrade_that_was_dropped_is_not_taken_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
