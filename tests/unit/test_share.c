/* test_share: nobody's line waits for the megabytes of others. Counted in steps, not in time. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture_rig.h"

#define MIB (1u << 20)
#define LOUD 50

/* All that are ready have their step within a twentieth of a second, on whatever disk. */
static void a_round_is_bounded(void **state)
{
	(void)state;
	for (uint64_t speed = MIB; speed <= 4096ULL * MIB; speed *= 2)
		for (size_t ready = 2; ready <= 64; ready *= 2) {
			struct share s = {0};
			size_t step;

			share_took(&s, MIB, (int64_t)(MIB * 1000000ULL / speed));
			step = share_step(&s, ready);
			assert_in_range(step, SHARE_STEP_MIN, SHARE_STEP_MAX);
			if (step > SHARE_STEP_MIN)
				assert_true(step * ready * 1000000 / s.speed <= SHARE_ROUND_US);
		}
}

static void one_alone_has_all(void **state)
{
	struct share s = {0};

	(void)state;
	assert_int_equal(share_step(&s, 64), SHARE_STEP_MAX); /* nothing is known */
	share_took(&s, MIB, 10000000);
	assert_int_equal(share_step(&s, 1), SHARE_STEP_MAX);
}

static void small_steps_tell_nothing(void **state)
{
	struct share s = {0};

	(void)state;
	share_took(&s, 10, 1000);
	assert_int_equal(s.speed, 0);
	share_took(&s, MIB, 1000);
	share_took(&s, 10, 1000);
	assert_int_equal(s.speed, 1000ULL * MIB);
	for (int i = 0; i < 20; i++)
		share_took(&s, 10, SHARE_ROUND_US); /* but for one that takes long */
	assert_true(s.speed < 10ULL * MIB);
}

static void fill(int fd)
{
	static const char line[64] =
		"0123456789012345678901234567890123456789012345678901234567890a\n";

	while (write(fd, line, sizeof(line)) > 0)
		;
}

/* While the loud ones always have more, a line is stored within two rounds of all that are ready. */
static void a_line_among_the_loud(void **state)
{
	struct bench *b = *state;
	struct pipes loud[LOUD], quiet = begin(b, "quiet", 1000, MIB, 5);
	int unread;

	for (unsigned i = 0; i < LOUD; i++) {
		char name[16];

		snprintf(name, sizeof(name), "loud%u", i);
		loud[i] = begin(b, name, i, 100 * MIB, 5);
	}
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < LOUD; i++)
			fill(loud[i].out);
		if (round % 2 == 0)
			put(b, quiet.out, "line\n", 5);
		assert_int_equal(loop_once(&b->loop, 100), 0);
		assert_int_equal(ioctl(quiet.out, FIONREAD, &unread), 0);
		assert_true(round % 2 == 0 || unread == 0);
	}
	end(&quiet);
	for (unsigned i = 0; i < LOUD; i++)
		end(&loud[i]);
	wait_drained(b, LOUD + 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_round_is_bounded),
		cmocka_unit_test(one_alone_has_all),
		cmocka_unit_test(small_steps_tell_nothing),
		TEST(a_line_among_the_loud),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
