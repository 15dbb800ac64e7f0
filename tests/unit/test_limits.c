/*
 * test_limits: what of resources.limits goes to aictld, which of it a machine cannot keep, and how
 * that is said; and the words for an exit, out of memory above all.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "daemon/controller/limits.h"
#include "daemon/controller/replica_exit.h"
#include "daemon/wire/wire.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"
#include "tests/unit/manifest_case.h"

#define ALL                                                                                        \
	(WIRE_CGROUP_TRACK | WIRE_CGROUP_MEMORY | WIRE_CGROUP_CPU | WIRE_CGROUP_IO |               \
	 WIRE_CGROUP_PIDS | WIRE_CGROUP_CPUSET)

static struct manifest *service(const char *resources)
{
	_cleanup_free_ char *text =
		mem_printf("version: 1\nservices:\n  web:\n    command: [server]\n"
			   "    resources: %s\n",
			   resources);

	return manifest_case_good(text);
}

static void test_on_the_wire(void **state)
{
	struct manifest *m = service("{ limits: { memory: 1GiB, memory_high: 512MiB, swap: 0, "
				     "cpus: 1.5, cpu_weight: 50, io_weight: 60, pids: 7, "
				     "cpuset: \"0-3,8\", oom_group: false } }");
	struct wire_limits l;

	(void)state;
	limits_of(m->services[0], &l);
	assert_true(l.memory_max == UINT64_C(1) << 30 && l.memory_high == UINT64_C(1) << 29);
	assert_true(l.has_swap_max && l.swap_max == 0);
	assert_int_equal(l.cpu_milli, 1500);
	assert_int_equal(l.cpu_weight, 50);
	assert_int_equal(l.io_weight, 60);
	assert_int_equal(l.pids_max, 7);
	assert_string_equal(l.cpuset, "0-3,8");
	assert_false(l.oom_group);
	manifest_free(m);

	m = service("{}");
	limits_of(m->services[0], &l);
	assert_true(l.memory_max == 0 && !l.has_swap_max && l.cpu_milli == 0 && l.pids_max == 0);
	assert_true(l.oom_group); /* killed as a whole, whoever runs out of memory */
	assert_string_equal(l.cpuset, "");
	manifest_free(m);
	limits_of(NULL, &l);
	assert_false(l.oom_group);

	m = service("{ limits: { cpus: 0.01, swap: 4096 } }");
	limits_of(m->services[0], &l);
	assert_int_equal(l.cpu_milli, 10);
	assert_true(l.has_swap_max && l.swap_max == 4096);
	manifest_free(m);
}

/* One socket of a machine with two: every other one of 128 processors. */
static void test_many_processors(void **state)
{
	_cleanup_free_ char *list = mem_strdup("0"), *resources = NULL;
	struct manifest *m;
	struct wire_limits l;

	(void)state;
	for (int i = 2; i < 128; i += 2) {
		char *more = mem_printf("%s,%d", list, i);

		mem_free(list);
		list = more;
	}
	resources = mem_printf("{ limits: { cpuset: \"%s\" } }", list);
	m = service(resources);
	limits_of(m->services[0], &l);
	assert_string_equal(l.cpuset, list);
	manifest_free(m);
}

/* "KEY: LACKS\n"... of what is missing. */
static void expect_gaps(const char *resources, uint32_t can, const char *want)
{
	struct manifest *m = service(resources);
	struct limits_gap gaps[LIMITS_GAPS_MAX];
	size_t n = limits_gaps(m->services[0], can, gaps);
	char *got = mem_strdup("");

	for (size_t i = 0; i < n; i++) {
		char *more = mem_printf("%s%s: %s\n", got, gaps[i].key, gaps[i].lacks);

		mem_free(got);
		got = more;
	}
	assert_string_equal(got, want);
	mem_free(got);
	manifest_free(m);
}

static void test_gaps(void **state)
{
	static const char all[] = "{ limits: { memory: 1GiB, memory_high: 1MiB, swap: 0, cpus: 1, "
				  "cpu_weight: 1, io_weight: 1, pids: 1, cpuset: 0 } }";
	static const char none[] = ": there is no cgroup2 tree that the daemon may use\n";
	_cleanup_free_ char *memory = mem_printf("resources.limits.memory%s", none);

	(void)state;
	expect_gaps("{}", 0, "");
	expect_gaps("{ limits: { oom_group: true } }", 0, "");
	expect_gaps(all, ALL, "");
	expect_gaps("{ limits: { memory: 1GiB } }", 0, memory);
	expect_gaps(all, WIRE_CGROUP_TRACK | WIRE_CGROUP_CPU,
		    "resources.limits.memory: no memory controller\n"
		    "resources.limits.memory_high: no memory controller\n"
		    "resources.limits.swap: no memory controller\n"
		    "resources.limits.io_weight: no io controller\n"
		    "resources.limits.pids: no pids controller\n"
		    "resources.limits.cpuset: no cpuset controller\n");
	expect_gaps(all, ALL & ~(uint32_t)WIRE_CGROUP_CPU,
		    "resources.limits.cpus: no cpu controller\n"
		    "resources.limits.cpu_weight: no cpu controller\n");
}

static void test_warning_or_error(void **state)
{
	struct manifest_errors errors = {0}, warnings = {0};
	struct manifest *m = service("{ limits: { memory: 1GiB } }");

	(void)state;
	limits_check(m->services[0], WIRE_CGROUP_TRACK, &errors, &warnings);
	assert_int_equal(errors.n, 0);
	assert_int_equal(warnings.n, 1);
	assert_string_equal(warnings.errs[0]->msg,
			    "service \"web\": resources.limits.memory is not enforced here: no "
			    "memory controller");
	assert_int_equal(warnings.errs[0]->line, 5);
	assert_int_equal(warnings.errs[0]->column, 36);
	manifest_errors_done(&warnings);
	limits_check(m->services[0], ALL, &errors, &warnings);
	assert_int_equal(warnings.n, 0);
	manifest_free(m);

	m = service("{ required: true, limits: { pids: 5 } }");
	limits_check(m->services[0], 0, &errors, &warnings);
	assert_int_equal(warnings.n, 0);
	assert_int_equal(errors.n, 1);
	assert_non_null(strstr(errors.errs[0]->msg, "resources.limits.pids cannot be enforced"));
	assert_non_null(strstr(errors.errs[0]->hint, "aictl doctor"));
	assert_int_equal(errors.errs[0]->column, 50);
	manifest_errors_done(&errors);
	manifest_free(m);
}

static void expect_exit(const struct wire_exit *x, const struct service_spec *spec,
			const char *cause, const char *reason, const char *message)
{
	char text[200];

	assert_string_equal(replica_exit_cause(x, "user"), cause);
	assert_string_equal(replica_exit_describe(x, spec, text, sizeof(text)), reason);
	assert_string_equal(text, message);
	assert_string_equal(replica_exit_intern(cause), cause);
}

static void test_exits(void **state)
{
	struct manifest *m = service("{ limits: { memory: 512MiB } }");
	const struct service_spec *spec = m->services[0];
	struct wire_exit x = {.stage = WIRE_STAGE_EXEC, .status_known = true, .code = 3};

	(void)state;
	expect_exit(&x, spec, "exit", "exited", "exit code 3");
	x.oom_killed = true; /* a child of it, and the main process had the last word */
	expect_exit(&x, spec, "exit", "exited",
		    "exit code 3, after a process of it was killed (oom: memory limit 512MiB)");
	x = (struct wire_exit){
		.stage = WIRE_STAGE_EXEC, .status_known = true, .code = -1, .signal = SIGKILL};
	expect_exit(&x, spec, "signal", "signaled", "signal KILL");
	x.oom_killed = true;
	expect_exit(&x, spec, "oom", "oom_killed", "signal KILL (oom: memory limit 512MiB)");
	expect_exit(&x, NULL, "oom", "oom_killed", "signal KILL (oom: out of memory)");
	x.by_stop = true; /* it was to end anyway, and memory was quicker */
	expect_exit(&x, spec, "oom", "oom_killed", "signal KILL (oom: memory limit 512MiB)");
	x.killed = true; /* no: our own SIGKILL after the grace period */
	expect_exit(&x, spec, "user", "signaled", "signal KILL");
	x = (struct wire_exit){.stage = WIRE_STAGE_EXEC, .oom_killed = true, .code = -1};
	expect_exit(&x, spec, "oom", "oom_killed",
		    "ended while nobody could read its status (oom: memory limit 512MiB)");
	x.oom_killed = false;
	expect_exit(&x, spec, "lost", "lost", "ended while nobody could read its status");
	x = (struct wire_exit){.stage = WIRE_STAGE_CHDIR, .err = 2, .status_known = true};
	expect_exit(&x, spec, "start", "spawn_failed",
		    "cannot start: chdir /srv/app: No such file or directory");
	x = (struct wire_exit){
		.stage = WIRE_STAGE_EXEC, .status_known = true, .signal = SIGSEGV, .code = -1};
	x.core_dumped = true;
	expect_exit(&x, spec, "signal", "signaled", "signal SEGV (core dumped)");
	x = (struct wire_exit){.stage = WIRE_STAGE_EXEC, .status_known = true, .signal = 40};
	expect_exit(&x, spec, "signal", "signaled", "signal 40");
	assert_string_equal(replica_exit_intern("from the future"), "unknown");
	x = (struct wire_exit){
		.stage = WIRE_STAGE_CLONE, .what = WIRE_WHAT_CONTAINER, .err = EIDRM};
	expect_exit(&x, spec, "start", "spawn_failed",
		    "cannot start: container: it was removed before it ran, by another hand than "
		    "aictl's");
	x = (struct wire_exit){.stage = WIRE_STAGE_CLONE, .what = WIRE_WHAT_NOTIFY, .err = EBUSY};
	expect_exit(
		&x, spec, "start", "spawn_failed",
		"cannot start: clone: notify socket: descriptors that it was sent cannot be closed, "
		"as on a hung mount");
	manifest_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_on_the_wire), cmocka_unit_test(test_many_processors),
		cmocka_unit_test(test_gaps), cmocka_unit_test(test_warning_or_error),
		cmocka_unit_test(test_exits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
