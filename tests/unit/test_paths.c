/* paths: the table of DESIGN.md 5 for root and for a user with and without the XDG variables. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/err.h"
#include "lib/mem.h"
#include "lib/paths.h"

#define SOME_UID 12345

/* As a user: root takes another effective uid for the test. */
static int be_user(void **state)
{
	(void)state;
	return geteuid() == 0 ? setresuid((uid_t)-1, SOME_UID, 0) : 0;
}

static int be_self(void **state)
{
	(void)state;
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_STATE_HOME");
	return getuid() == 0 ? setresuid((uid_t)-1, 0, 0) : 0;
}

static void test_user(void **state)
{
	struct paths p = {0};
	_cleanup_free_ char *fallback = mem_printf("/tmp/aictl-%u", getuid());

	(void)state;
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	setenv("XDG_STATE_HOME", "/s", 1);
	assert_int_equal(paths_defaults(&p, NULL), 0);
	assert_string_equal(p.runtime_dir, "/run/user/7/aictl");
	assert_string_equal(p.state_dir, "/s/aictl");
	assert_string_equal(p.log_dir, "/s/aictl/log");
	assert_null(p.manifests);
	paths_done(&p);
	assert_null(p.runtime_dir);
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", "/home/x", 1);
	assert_int_equal(paths_defaults(&p, NULL), 0);
	assert_string_equal(p.runtime_dir, fallback);
	assert_string_equal(p.state_dir, "/home/x/.local/state/aictl");
	paths_done(&p);
	setenv("XDG_RUNTIME_DIR", "relative", 1); /* the standard says: ignore it */
	setenv("XDG_STATE_HOME", "", 1);
	assert_int_equal(paths_defaults(&p, NULL), 0);
	assert_string_equal(p.runtime_dir, fallback);
	assert_string_equal(p.state_dir, "/home/x/.local/state/aictl");
	paths_done(&p);
}

static void test_up(void **state)
{
	struct paths p = {0}, other = {0};
	_cleanup_free_ char *want = NULL;
	struct stat st;

	(void)state;
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	setenv("XDG_STATE_HOME", "/s", 1);
	assert_int_equal(stat("/usr", &st), 0);
	want = mem_printf("up-%llx-%llx", (unsigned long long)st.st_dev,
			  (unsigned long long)st.st_ino);
	assert_int_equal(paths_up("/usr", &p, NULL), 0);
	assert_int_equal(paths_up("/usr/../usr", &other, NULL), 0);
	assert_string_equal(p.runtime_dir + strlen("/run/user/7/aictl/"), want);
	assert_string_equal(p.state_dir + strlen("/s/aictl/"), want);
	assert_string_equal(p.log_dir + strlen(p.state_dir), "/log");
	assert_string_equal(p.runtime_dir, other.runtime_dir);
	assert_null(p.manifests);
	paths_done(&p);
	paths_done(&other);
	assert_int_equal(paths_up("/nonexistent", &p, NULL), -ERR_SYS);
	assert_null(p.runtime_dir);
}

static void test_root(void **state)
{
	struct paths p = {0};

	(void)state;
	if (geteuid() != 0) {
		print_message("not root: not tried\n");
		skip();
	}
	setenv("XDG_RUNTIME_DIR", "/run/user/0", 1); /* means nothing for root */
	assert_int_equal(paths_defaults(&p, NULL), 0);
	assert_string_equal(p.runtime_dir, "/run/aictl");
	assert_string_equal(p.state_dir, "/var/lib/aictl");
	assert_string_equal(p.log_dir, "/var/log/aictl");
	assert_string_equal(p.manifests, "/etc/aictl/services");
	paths_done(&p);
	assert_int_equal(paths_up("/usr", &p, NULL), 0);
	assert_memory_equal(p.runtime_dir, "/run/aictl/up-", strlen("/run/aictl/up-"));
	assert_memory_equal(p.state_dir, "/var/lib/aictl/up-", strlen("/var/lib/aictl/up-"));
	assert_memory_equal(p.log_dir, "/var/log/aictl/up-", strlen("/var/log/aictl/up-"));
	paths_done(&p);
	paths_done(&p);
}

static void test_out_of_memory(void **state)
{
	int r = 0;

	(void)state;
	for (unsigned long n = 1; n <= 8; n++) {
		struct paths p = {0};

		mem_fail_after(n);
		r = paths_defaults(&p, NULL);
		mem_fail_after(0);
		assert_int_equal(r == 0, p.runtime_dir != NULL);
		assert_true(r == 0 || r == -ERR_NOMEM);
		if (r == 0 && geteuid() == 0)
			assert_non_null(p.manifests);
		paths_done(&p);
		mem_fail_after(n);
		r = paths_up("/usr", &p, NULL);
		mem_fail_after(0);
		assert_true(r == 0 || r == -ERR_NOMEM);
		paths_done(&p);
	}
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_user, be_user, be_self),
		cmocka_unit_test_setup_teardown(test_up, be_user, be_self),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test_setup_teardown(test_out_of_memory, be_user, be_self),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
