/* test_aictld_options: aictld's command line, and what it says about mistakes. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <getopt.h>
#include <string.h>

#include "daemon/supervisor/options.h"
#include "lib/err.h"
#include "lib/mem.h"

static int parse(struct options *o, struct err **e, const char *const *args)
{
	char *argv[16] = {(char *)(uintptr_t) "aictld"};
	int n = 1;

	while (*args)
		argv[n++] = (char *)(uintptr_t)*args++;
	argv[n] = NULL;
	optind = 0; /* getopt starts anew */
	return options_parse(o, n, argv, e);
}

static void defaults_are_filled_in(void **state)
{
	static const char *const args[] = {"--state-dir", "/s", NULL};
	_cleanup_err_ struct err *e = NULL;
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, &e, args), 0);
	assert_string_equal(o.paths.state_dir, "/s");
	assert_non_null(o.paths.runtime_dir);
	assert_string_equal(o.port_range, "20000-29999");
	assert_int_equal(o.restart_initial_ms, 100);
	assert_int_equal(o.restart_max_ms, 5000);
	assert_int_equal(o.restart_limit, 5);
	assert_int_equal(o.gateway_threads, 1);
	assert_int_equal(o.parent_fd, -1);
	options_done(&o);
}

static void values_are_taken(void **state)
{
	static const char *const args[] = {"--runtime-dir",
					   "/r//x/",
					   "--helper-restart",
					   "50ms,200ms,0",
					   "--port-range",
					   "1-2",
					   "--log-level",
					   "debug",
					   "--gateway-threads",
					   "64",
					   "--inherit-env",
					   "--default-user=ai",
					   NULL};
	_cleanup_err_ struct err *e = NULL;
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, &e, args), 0);
	assert_string_equal(o.paths.runtime_dir, "/r/x");
	assert_int_equal(o.restart_initial_ms, 50);
	assert_int_equal(o.restart_max_ms, 200);
	assert_int_equal(o.restart_limit, 0);
	assert_int_equal(o.gateway_threads, 64);
	assert_string_equal(o.port_range, "1-2");
	assert_int_equal(o.log_level, LOG_LVL_DEBUG);
	assert_true(o.inherit_env);
	assert_string_equal(o.default_user, "ai");
	options_done(&o);
}

static void runtimes_have_names_and_addresses(void **state)
{
	const char *args[] = {
		"--runtime", "docker",	   "--runtime",	   "pod-man=unix:///run/p.sock",
		"--runtime", "docker=a=b", "--plugin-dir", "/p",
		NULL};
	_cleanup_err_ struct err *e = NULL;
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, &e, args), 0);
	assert_int_equal(o.n_runtimes, 2);
	assert_string_equal(o.runtimes[0].name, "docker");
	assert_string_equal(o.runtimes[0].config, "a=b");
	assert_string_equal(o.runtimes[1].name, "pod-man");
	assert_string_equal(o.runtimes[1].config, "unix:///run/p.sock");
	assert_string_equal(o.plugin_dir, "/p");
	options_done(&o);
}

static void mistakes_name_their_option(void **state)
{
	static const char *const bad[][3] = {
		{"--port-range", "5", "--port-range"},
		{"--port-range", "9-5", "--port-range"},
		{"--port-range", "1-70000", "--port-range"},
		{"--helper-restart", "1s", "--helper-restart"},
		{"--helper-restart", "2s,1s,5", "--helper-restart"},
		{"--helper-restart", "1s,2s,65", "--helper-restart"},
		{"--log-level", "loud", "--log-level"},
		{"--gateway-threads", "0", "--gateway-threads"},
		{"--gateway-threads", "65", "--gateway-threads"},
		{"--gateway-threads", "two", "--gateway-threads"},
		{"--parent-fd", "2", "--parent-fd"},
		{"--parent-fd", "900", "--parent-fd"},
		{"--state-dir", "", "--state-dir"},
		{"--runtime", "", "--runtime"},
		{"--runtime", "=x", "--runtime"},
		{"--runtime", "../docker", "--runtime"},
		{"--runtime", "Docker", "--runtime"},
		{"--nonsense", NULL, "--nonsense"},
		{"--state-dir", NULL, "--state-dir"},
		{"stray", NULL, "stray"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *args[] = {bad[i][0], bad[i][1], NULL};
		_cleanup_err_ struct err *e = NULL;
		struct options o;

		assert_true(parse(&o, &e, args) < 0);
		assert_non_null(strstr(err_msg(e), bad[i][2]));
		options_done(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_filled_in),
		cmocka_unit_test(values_are_taken),
		cmocka_unit_test(runtimes_have_names_and_addresses),
		cmocka_unit_test(mistakes_name_their_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
