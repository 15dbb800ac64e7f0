/* mem: zeroing, overflow checks, growth, the countdown of the fault injection. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/mem.h"

static void test_alloc(void **state)
{
	char *p = mem_alloc(100);
	uint32_t *v = mem_array(10, sizeof(*v));

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(v[i], 0);
	mem_free(p);
	mem_free(v);
	mem_free(NULL);
	p = mem_alloc(0);
	assert_non_null(p);
	mem_free(p);
	assert_null(mem_array(SIZE_MAX / 2, 3));
	assert_null(mem_realloc(NULL, SIZE_MAX / 2, 3));
}

static void test_strings(void **state)
{
	static const char *const list[] = {"a", "", "ccc", NULL};
	char *s = mem_strdup("abc"), *n = mem_strndup("abcdef", 3),
	     *f = mem_printf("%d-%s", 7, "x");
	char **v = mem_strv_dup(list), **none = mem_strv_dup(NULL);
	char raw[3] = {'x', 'y', 'z'}; /* no NUL behind it */
	char *r = mem_strndup(raw, sizeof(raw)), *d = mem_dup(raw, sizeof(raw));

	(void)state;
	assert_string_equal(s, "abc");
	assert_string_equal(n, "abc");
	assert_string_equal(f, "7-x");
	assert_string_equal(r, "xyz");
	assert_memory_equal(d, raw, sizeof(raw));
	assert_string_equal(v[2], "ccc");
	assert_null(v[3]);
	assert_null(none[0]);
	mem_strv_free(v);
	mem_strv_free(none);
	mem_strv_free(NULL);
	mem_free(s);
	mem_free(n);
	mem_free(f);
	mem_free(r);
	mem_free(d);
}

static void test_grow(void **state)
{
	uint64_t *v = NULL, *before;
	size_t cap = 0, cap_before;

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(mem_grow(&v, &cap, i + 1, sizeof(*v)), 0);
		assert_true(cap > i);
		v[i] = i;
	}
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(v[i], i);
	before = v;
	cap_before = cap;
	assert_int_equal(mem_grow(&v, &cap, SIZE_MAX / 4, sizeof(*v)), -1);
	assert_int_equal(mem_grow(&v, &cap, SIZE_MAX, 1), -1);
	mem_fail_after(1);
	assert_int_equal(mem_grow(&v, &cap, cap + 1, sizeof(*v)), -1);
	mem_fail_after(0);
	assert_ptr_equal(v, before);
	assert_int_equal(cap, cap_before);
	assert_int_equal(v[999], 999);
	mem_free(v);
}

static void test_fail_after(void **state)
{
	static const char *const list[] = {"a", "b", NULL};
	void *p;

	(void)state;
	mem_fail_after(3);
	for (int i = 1; i <= 5; i++) {
		p = mem_alloc(1);
		assert_int_equal(p == NULL, i == 3);
		mem_free(p);
	}
	for (unsigned long n = 1; n <= 3; n++) {
		mem_fail_after(n);
		assert_null(mem_strv_dup(list));
	}
	mem_fail_after(1);
	assert_null(mem_strdup("x"));
	mem_fail_after(1);
	assert_null(mem_printf("x"));
	mem_fail_after(1);
	assert_null(mem_dup("x", 1));
	mem_fail_after(1);
	assert_null(mem_realloc(NULL, 1, 1));
	mem_fail_after(0);
}

static void test_cleanup(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), copy = fd;
	char *p = mem_strdup("x"), *taken;

	(void)state;
	{
		_cleanup_close_ int closed = fd;
		_cleanup_free_ char *freed = mem_strdup("y");
		_cleanup_strv_ char **v = mem_array(2, sizeof(*v));
		_cleanup_free_ char *kept = p;

		assert_non_null(freed);
		v[0] = mem_strdup("z");
		taken = TAKE_PTR(kept);
		assert_null(kept);
		fd = closed;
	}
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_ptr_equal(taken, p);
	assert_int_equal(TAKE_FD(copy), fd);
	assert_int_equal(copy, -1);
	mem_closep(&copy);
	mem_free(taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),	cmocka_unit_test(test_strings),
		cmocka_unit_test(test_grow),	cmocka_unit_test(test_fail_after),
		cmocka_unit_test(test_cleanup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
