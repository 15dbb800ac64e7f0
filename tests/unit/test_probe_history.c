/* test_probe_history: the last ten results, and what they cost. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "daemon/controller/probe_history.h"
#include "lib/mem.h"

static void test_ring(void **state)
{
	struct probe_history h = {0};
	char text[32];

	(void)state;
	assert_null(probe_history_at(&h, 0));
	assert_string_equal(probe_history_message(NULL), "");
	for (int i = 1; i <= 25; i++) {
		snprintf(text, sizeof(text), "result %d", i / 2 * 2); /* pairs are equal */
		probe_history_add(&h, i, i == 25 ? INT64_MAX : i * 10, i % 3 == 0, text);
		for (int k = 0; k < PROBE_HISTORY_MAX; k++) {
			const struct probe_entry *e = probe_history_at(&h, (unsigned)k);

			assert_true((e != NULL) == (k < i));
			if (!e)
				continue;
			snprintf(text, sizeof(text), "result %d", (i - k) / 2 * 2);
			assert_int_equal(e->at_wall_ms, i - k);
			assert_true(e->ok == ((i - k) % 3 == 0));
			assert_string_equal(probe_history_message(e), text);
		}
	}
	assert_null(probe_history_at(&h, PROBE_HISTORY_MAX));
	assert_int_equal(probe_history_at(&h, 0)->duration_ms, INT32_MAX);
	assert_int_equal(h.count, 25);
	probe_history_done(&h);
	assert_null(probe_history_at(&h, 0));
}

static void test_equal_texts_are_one(void **state)
{
	struct probe_history h = {0};

	(void)state;
	for (int i = 0; i < 12; i++)
		probe_history_add(&h, i, 1, true, "HTTP 200");
	assert_ptr_equal(probe_history_at(&h, 0)->text, probe_history_at(&h, 9)->text);
	probe_history_done(&h);
}

static void test_no_memory(void **state)
{
	struct probe_history h = {0};

	(void)state;
	for (int fail = 1; fail < 5; fail++) {
		mem_fail_after(fail);
		probe_history_add(&h, fail, 1, true, fail % 2 ? "a" : "b");
		mem_fail_after(0);
		assert_int_equal(h.count, fail);
	}
	probe_history_done(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_equal_texts_are_one),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
