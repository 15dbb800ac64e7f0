/*
 * Golden files: every tests/fuzz/seeds/manifest/bad/NAME.yaml must be refused with exactly the
 * errors in NAME.expect (line, column, message, hint), every warn/NAME.yaml accepted with exactly
 * the warnings there, every good/NAME.yaml and the manifest of every example accepted.
 * UPDATE_EXPECT=1 writes the .expect files anew: read the diff.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <glob.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "tests/unit/manifest_case.h"

#define BAD_MIN 190

static char *in_source(const char *pattern)
{
	const char *top = getenv("srcdir");

	return mem_printf("%s/%s", top ? top : ".", pattern);
}

static char *must_read(const char *path, size_t *len)
{
	struct err *e = NULL;
	char *text = NULL;

	if (fs_read_file(path, 4 << 20, &text, len, &e) < 0)
		fail_msg("%s", err_msg(e));
	return text;
}

static void write_expect(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

/* true when what is said of the file is what is expected. */
static bool check_file(const char *path, char *(*say)(const char *text, size_t len))
{
	_cleanup_free_ char *expect_path = mem_printf("%.*s.expect", (int)strlen(path) - 5, path);
	_cleanup_free_ char *text = NULL, *got = NULL, *want = NULL;
	size_t len, want_len;

	text = must_read(path, &len);
	got = say(text, len);
	assert_true(got[0] || say == manifest_case_warnings);
	if (getenv("UPDATE_EXPECT")) {
		write_expect(expect_path, got);
		return true;
	}
	want = must_read(expect_path, &want_len);
	if (strcmp(got, want) == 0)
		return true;
	print_error("%s: expected\n%sbut got\n%s", path, want, got);
	return false;
}

static void check_all(const char *files, size_t min, char *(*say)(const char *text, size_t len))
{
	_cleanup_free_ char *pattern = in_source(files);
	unsigned wrong = 0;
	glob_t g;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= min);
	for (size_t i = 0; i < g.gl_pathc; i++)
		wrong += !check_file(g.gl_pathv[i], say);
	globfree(&g);
	assert_int_equal(wrong, 0);
}

static void test_bad(void **state)
{
	(void)state;
	check_all("tests/fuzz/seeds/manifest/bad/*.yaml", BAD_MIN, manifest_case_errors);
}

static void test_warnings(void **state)
{
	(void)state;
	check_all("tests/fuzz/seeds/manifest/warn/*.yaml", 7, manifest_case_warnings);
}

/* What we show to others: not even a warning. */
static void check_examples(void)
{
	_cleanup_free_ char *pattern = in_source("examples/*/aictl.yaml");
	glob_t g;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		size_t len;
		_cleanup_free_ char *text = must_read(g.gl_pathv[i], &len);
		_cleanup_free_ char *got = manifest_case_warnings(text, len);

		if (got[0])
			fail_msg("%s: %s", g.gl_pathv[i], got);
	}
	globfree(&g);
}

static void check_good(const char *files, size_t min)
{
	_cleanup_free_ char *pattern = in_source(files);
	glob_t g;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= min);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		size_t len;
		_cleanup_free_ char *text = must_read(g.gl_pathv[i], &len);
		_cleanup_free_ char *got = manifest_case_errors(text, len);

		if (got[0])
			fail_msg("%s: %s", g.gl_pathv[i], got);
	}
	globfree(&g);
}

static void test_good(void **state)
{
	(void)state;
	check_good("tests/fuzz/seeds/manifest/good/*.yaml", 5);
	check_good("examples/*/aictl.yaml", 2);
	check_examples();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
