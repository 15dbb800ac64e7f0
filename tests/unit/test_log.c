/* log: one line per event whatever a field holds, levels, and never waiting for a full pipe. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/log.h"
#include "lib/mem.h"

/* What the pipe holds, NUL-terminated. */
static void drain(int fd, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
}

static void test_lines(void **state)
{
	char text[4096], big[3000];
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	log_open("prog", fds[1], LOG_LVL_INFO);
	log_info("a=%d b=%s", 5, "x\ny\033z");
	drain(fds[0], text, sizeof(text));
	assert_string_equal(strchr(text, ' '), " info prog: a=5 b=x y z\n");
	assert_int_equal(text[19], 'Z');
	log_debug("not shown");
	drain(fds[0], text, sizeof(text));
	assert_string_equal(text, "");
	log_set_level(LOG_LVL_DEBUG);
	log_debug("shown");
	drain(fds[0], text, sizeof(text));
	assert_non_null(strstr(text, " debug prog: shown\n"));
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_error("%s", big);
	drain(fds[0], text, sizeof(text));
	assert_true(strlen(text) <= 2048 && text[strlen(text) - 1] == '\n');
	log_open("prog", STDERR_FILENO, LOG_LVL_INFO);
	close(fds[0]);
	close(fds[1]);
}

static void test_full_pipe(void **state)
{
	char text[65537];
	int fds[2], written = 0;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	log_open("prog", fds[1], LOG_LVL_INFO);
	while (written < 65536 && write(fds[1], "z", 1) == 1)
		written++;
	log_info("lost");
	log_info("lost");
	drain(fds[0], text, sizeof(text));
	log_info("back");
	drain(fds[0], text, sizeof(text));
	assert_non_null(strstr(text, "prog: (lost_lines=2) back\n"));
	log_info("again");
	drain(fds[0], text, sizeof(text));
	assert_non_null(strstr(text, "prog: again\n"));
	log_open("prog", STDERR_FILENO, LOG_LVL_INFO);
	close(fds[0]);
	close(fds[1]);
}

static void test_levels(void **state)
{
	(void)state;
	assert_int_equal(log_parse_level("error"), LOG_LVL_ERROR);
	assert_int_equal(log_parse_level("debug"), LOG_LVL_DEBUG);
	assert_int_equal(log_parse_level("Debug"), -1);
	assert_int_equal(log_parse_level(""), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
