/* test_delta: round trips of texts that are alike and that are not, and bytes that are no delta. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/delta.h"
#include "lib/mem.h"

#define NEXT() ((x = x * 1103515245 + 12345) >> 16)

static struct delta_bytes bytes(const void *p, size_t n)
{
	return (struct delta_bytes){p, n};
}

/* Length of the delta; the text comes back from it, in memory of its very size. */
static size_t round_trip(struct delta_bytes base, struct delta_bytes text)
{
	_cleanup_buf_ struct buf delta = {0};
	_cleanup_free_ uint8_t *back = mem_alloc(text.n), *exact = NULL;
	size_t n;

	delta_encode(&delta, base, text);
	assert_false(delta.failed);
	n = delta.len;
	exact = mem_dup(delta.data, n);
	assert_non_null(exact);
	assert_int_equal(delta_decode(base, bytes(exact, n), back, text.n), 0);
	if (text.n)
		assert_memory_equal(back, text.p, text.n);
	for (size_t cut = 0; cut < n; cut++) { /* never a wrong text: shorter ones are refused */
		_cleanup_free_ uint8_t *part = mem_dup(exact, cut);

		assert_int_equal(delta_decode(base, bytes(part, cut), back, text.n), -1);
	}
	if (text.n)
		assert_int_equal(delta_decode(base, bytes(exact, n), back, text.n - 1), -1);
	return n;
}

static void texts_that_are_alike_take_little_room(void **state)
{
	static const char a[] = "service\0\0\0web sleep 1000\0PATH=/usr/local/sbin:/usr/local/bin\0"
				"LANG=C.UTF-8\0AICTL_REPLICA=9\0AICTL_INCARNATION=0123456789abcdef";
	static const char b[] =
		"service\0\0\0web sleep 1000\0PATH=/usr/local/sbin:/usr/local/bin\0"
		"LANG=C.UTF-8\0AICTL_REPLICA=10\0AICTL_INCARNATION=fedcba9876543210";

	(void)state;
	assert_true(round_trip(bytes(a, sizeof(a)), bytes(a, sizeof(a))) < 10);
	assert_true(round_trip(bytes(a, sizeof(a)), bytes(b, sizeof(b))) < 40);
	assert_true(round_trip(bytes(b, sizeof(b)), bytes(a, sizeof(a))) < 40);
}

static void nothing_at_all_is_a_text_too(void **state)
{
	(void)state;
	round_trip(bytes(NULL, 0), bytes(NULL, 0));
	round_trip(bytes("base", 4), bytes(NULL, 0));
	round_trip(bytes(NULL, 0), bytes("text", 4));
	round_trip(bytes("a", 1), bytes("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 35));
}

static void a_text_repeats_itself(void **state)
{
	static const char text[] = "0123456789abcdef and once more 0123456789abcdef";

	(void)state;
	assert_true(round_trip(bytes(NULL, 0), bytes(text, sizeof(text) - 1)) < 40);
}

static void a_long_text_with_a_change_in_its_middle(void **state)
{
	enum { N = 60000 };
	_cleanup_free_ uint8_t *a = mem_alloc(N), *b = mem_alloc(N + 3), *back = mem_alloc(N + 3);
	_cleanup_buf_ struct buf delta = {0};
	uint32_t x = 7;

	(void)state;
	for (size_t i = 0; i < N; i++)
		a[i] = (uint8_t)((x = x * 1103515245 + 12345) >> 24);
	memcpy(b, a, N / 2);
	memcpy(b + N / 2, "new", 3);
	memcpy(b + N / 2 + 3, a + N / 2, N / 2);
	delta_encode(&delta, bytes(a, N), bytes(b, N + 3));
	assert_true(delta.len < 100);
	assert_int_equal(delta_decode(bytes(a, N), bytes(delta.data, delta.len), back, N + 3), 0);
	assert_memory_equal(back, b, N + 3);
}

/* Texts from few letters: many matches, of all kinds. */
static void random_texts_come_back(void **state)
{
	uint32_t x = 1;

	(void)state;
	for (int round = 0; round < 300; round++) {
		uint8_t a[160], b[160];
		size_t n_a, n_b;

		n_a = NEXT() % sizeof(a);
		n_b = NEXT() % sizeof(b);
		for (size_t i = 0; i < sizeof(a); i++)
			a[i] = (uint8_t)('a' + NEXT() % 2);
		for (size_t i = 0; i < sizeof(b); i++)
			b[i] = NEXT() % 8 && i < n_a ? a[i] : (uint8_t)('a' + NEXT() % 3);
		round_trip(bytes(a, n_a), bytes(b, n_b));
	}
}

static void what_is_no_delta_is_refused(void **state)
{
	static const char base[] = "0123456789";
	uint8_t out[32];
	uint32_t x = 3;

	(void)state;
	for (int round = 0; round < 20000; round++) { /* the sanitizers look on */
		uint8_t noise[12];

		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = NEXT() % 3 ? (uint8_t)(NEXT() % 24) : (uint8_t)NEXT();
		delta_decode(bytes(base, sizeof(base)), bytes(noise, NEXT() % sizeof(noise)), out,
			     sizeof(out));
	}
	assert_int_equal(delta_decode(bytes(base, 10), bytes("\0\x0b\0\0", 4), out, 11), -1);
	assert_int_equal(delta_decode(bytes(base, 10), bytes("\0\x05\x01\0", 4), out, 5), -1);
	assert_int_equal(delta_decode(bytes(base, 10), bytes("\0\x05\x0c\0", 4), out, 5), -1);
	assert_int_equal(delta_decode(bytes(base, 10), bytes("\0\x05\x0a\0", 4), out, 5), 0);
}

static void too_long_ones_and_no_memory_are_told(void **state)
{
	_cleanup_buf_ struct buf out = {0}, none = {0};

	(void)state;
	delta_encode(&out, bytes("x", DELTA_MAX), bytes("x", 1));
	assert_true(out.failed);
	mem_fail_after(1);
	delta_encode(&none, bytes("base", 4), bytes("text", 4));
	mem_fail_after(0);
	assert_true(none.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_that_are_alike_take_little_room),
		cmocka_unit_test(nothing_at_all_is_a_text_too),
		cmocka_unit_test(a_text_repeats_itself),
		cmocka_unit_test(a_long_text_with_a_change_in_its_middle),
		cmocka_unit_test(random_texts_come_back),
		cmocka_unit_test(what_is_no_delta_is_refused),
		cmocka_unit_test(too_long_ones_and_no_memory_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
