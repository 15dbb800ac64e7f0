/* test_probe_grpc: the request's bytes, and every answer that is short, odd or bad. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/controller/probe_grpc.h"
#include "lib/buf.h"
#include "lib/mem.h"

static void expect_request(const char *service, const char *bytes, size_t n)
{
	_cleanup_buf_ struct buf b = {0};

	probe_grpc_request(service, &b);
	assert_int_equal(b.len, n + strlen(service));
	assert_memory_equal(b.data, bytes, n);
	assert_memory_equal(b.data + n, service, strlen(service));
}

static void test_request(void **state)
{
	char name[PROBE_GRPC_SERVICE_MAX + 1];

	(void)state;
	expect_request("", "\0\0\0\0\0", 5);
	expect_request("a.B", "\0\0\0\0\5\n\3", 7);
	memset(name, 'x', sizeof(name));
	name[127] = '\0';
	expect_request(name, "\0\0\0\0\x81\n\x7f", 7);
	name[127] = 'x';
	name[128] = '\0';
	expect_request(name, "\0\0\0\0\x83\n\x80\1", 8);
	name[128] = 'x';
	name[255] = '\0';
	expect_request(name, "\0\0\0\1\2\n\xff\1", 8);
}

static void expect(const char *body, size_t n, bool ok, const char *message)
{
	uint8_t *exact = malloc(n ? n : 1); /* a byte beyond is seen by the sanitizer */
	struct probe_grpc_answer a = {.http_status = 200, .body = exact, .len = n};
	char said[160];

	memcpy(exact, body, n);
	assert_true(probe_grpc_judge(&a, "", said, sizeof(said)) == ok);
	assert_string_equal(said, message);
	free(exact);
}

#define NOT "not an answer of the health service"

static void test_answers(void **state)
{
	(void)state;
	expect("\0\0\0\0\2\x08\1", 7, true, "SERVING");
	expect("\0\0\0\0\2\x08\2", 7, false, "NOT_SERVING");
	expect("\0\0\0\0\2\x08\3", 7, false, "SERVICE_UNKNOWN");
	expect("\0\0\0\0\2\x08\x7f", 7, false, "unknown status");
	expect("\0\0\0\0\0", 5, false, "UNKNOWN");
	/* fields of a later version are stepped over */
	expect("\0\0\0\0\x15\x12\3abc\x19"
	       "12345678\x25"
	       "1234\x08\1",
	       26, true, "SERVING");
	for (size_t n = 0; n < 7; n++)
		expect("\0\0\0\0\2\x08\1", n, false, NOT);
	expect("\1\0\0\0\2\x08\1", 7, false, NOT);	   /* compressed: was not offered */
	expect("\0\xff\xff\xff\xff\x08\1", 7, false, NOT); /* longer than it is */
	expect("\0\0\0\0\2\x08\xff", 7, false, NOT);	   /* a cut varint */
	expect("\0\0\0\0\2\x12\x7f", 7, false, NOT);	   /* a cut text */
	expect("\0\0\0\0\2\x0b\1", 7, false, NOT);	   /* a group */
	expect("\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 17, false, NOT);
}

static void field(struct probe_grpc_answer *a, const char *line)
{
	probe_grpc_field(a, line, strlen(line));
}

static void test_trailers(void **state)
{
	struct probe_grpc_answer a = {.http_status = 200, .status = -1};
	char said[160];

	(void)state;
	field(&a, "content-type: application/grpc");
	field(&a, "grpc-statuses: 1");
	assert_int_equal(a.status, -1);
	assert_false(probe_grpc_judge(&a, "", said, sizeof(said)));
	assert_string_equal(said, "HTTP 200, not a gRPC answer");
	field(&a, "Grpc-Status: 5");
	assert_int_equal(a.status, 5);
	field(&a, "grpc-message: no\x1b[1m such");
	assert_string_equal(a.said, "no[1m such");
	assert_false(probe_grpc_judge(&a, "", said, sizeof(said)));
	assert_string_equal(said, "gRPC NOT_FOUND: no[1m such");
	probe_grpc_judge(&a, "m", said, sizeof(said));
	assert_string_equal(said, "gRPC NOT_FOUND: it knows no service \"m\"");
	field(&a, "grpc-status:12");
	probe_grpc_judge(&a, "m", said, sizeof(said));
	assert_string_equal(said, "gRPC UNIMPLEMENTED: it has no health service");
	field(&a, "grpc-status: 999");
	probe_grpc_judge(&a, "m", said, sizeof(said));
	assert_string_equal(said, "gRPC unknown code: no[1m such");
	for (const char *const *bad =
		     (const char *const[]){"grpc-status:", "grpc-status: 1000", NULL};
	     *bad; bad++) {
		field(&a, *bad);
		assert_int_equal(a.status, -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_trailers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
