/*
 * manifest_host_check: what of a manifest does not fit this machine, where it is said, and what of
 * it makes an apply fail.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_host.h"
#include "lib/mem.h"

static char dir[] = "/tmp/aictl-host-XXXXXX";

/* What is said about one service with these lines; the manifest lies in dir. */
static char *verdict(const char *keys, enum manifest_host what)
{
	_cleanup_free_ char *path = mem_printf("%s/aictl.yaml", dir);
	_cleanup_free_ char *text = mem_printf("version: 1\nservices:\n  web:\n%s", keys);
	struct manifest_source src = {.path = path, .text = text, .len = strlen(text)};
	struct manifest_errors errors = {0}, host = {0};
	struct manifest *m = NULL;
	struct buf out = {0};

	if (manifest_parse(&(struct manifest_input){.sources = &src, .n = 1}, &m, &errors) < 0)
		fail_msg("%s: %s", keys, errors.errs[0]->msg);
	manifest_host_check(m, what, &host);
	for (size_t i = 0; i < host.n; i++)
		buf_printf(&out, "%u:%u: %s\n", host.errs[i]->line, host.errs[i]->column,
			   host.errs[i]->msg);
	assert_false(host.nomem);
	manifest_errors_done(&host);
	manifest_errors_done(&errors);
	manifest_free(m);
	return out.len ? buf_take(&out) : mem_strdup("");
}

/* "DIR" in want stands for the directory. is_error: apply says the same, else nothing. */
static void expect(const char *keys, const char *want, bool is_error)
{
	_cleanup_free_ char *warned = verdict(keys, HOST_WARN),
			    *applied = verdict(keys, HOST_APPLY);
	const char *at = strstr(want, "DIR");
	_cleanup_free_ char *full =
		at ? mem_printf("%.*s%s%s", (int)(at - want), want, dir, at + 3) : mem_strdup(want);

	assert_string_equal(warned, full);
	assert_string_equal(applied, is_error ? full : "");
}

static void test_good(void **state)
{
	(void)state;
	expect("    command: [sh, -c, x]\n", "", false);
	expect("    command: [/bin/sh]\n    user: root\n    group: root\n", "", false);
	expect("    command: [/bin/sh]\n    user: 12345\n    group: 0\n", "", false);
	expect("    command: [./run]\n", "", false);
	expect("    command: [\"/opt/${SERVICE}\"]\n", "", false); /* known at the start only */
	expect("    command: [aictl-nope]\n    environment: { PATH: \"${env:PATH}:/opt\" }\n", "",
	       false);
}

static void test_accounts(void **state)
{
	(void)state;
	expect("    command: [/bin/sh]\n    user: no-such-user-x\n    group: no-such-group-x\n",
	       "5:11: user: this machine has no user \"no-such-user-x\"\n"
	       "6:12: group: this machine has no group \"no-such-group-x\"\n",
	       true);
}

static void test_programs(void **state)
{
	(void)state;
	expect("    command: [/nope/server, -v]\n",
	       "4:15: command[0]: /nope/server: there is no such file\n", true);
	expect("    command:\n      - /etc/passwd\n",
	       "5:9: command[0]: /etc/passwd: it is not executable\n", true);
	expect("    command: [/etc]\n", "4:15: command[0]: /etc: it is a directory\n", true);
	expect("    command: [aictl-nope]\n",
	       "4:15: command[0]: \"aictl-nope\" is not found in PATH\n", false);
	expect("    command: [./nope]\n", "4:15: command[0]: DIR/nope: there is no such file\n",
	       false);
	expect("    command: [sh]\n    environment: { PATH: /nowhere }\n",
	       "4:15: command[0]: \"sh\" is not found in PATH\n", false);
	expect("    command: [sh]\n    probes: { liveness: { exec: { command: [/nope] } } }\n",
	       "5:45: probes.liveness.exec.command[0]: /nope: there is no such file\n", false);
}

static void test_working_dir(void **state)
{
	(void)state;
	expect("    command: [sh]\n    working_dir: sub\n",
	       "5:18: working_dir: DIR/sub: there is no such directory\n", false);
	expect("    command: [sh]\n    working_dir: /etc/passwd\n",
	       "5:18: working_dir: /etc/passwd: it is not a directory\n", false);
}

/* This process as an ordinary user's daemon would be: its own hard limit counts; root's does not,
 * but the kernel's maximum does. */
/* User, program and directory are the image's; what is mounted is this machine's. */
static void test_containers(void **state)
{
	(void)state;
	expect("    image: nginx\n    command: [aictl-nope]\n    user: no-such-user-x\n"
	       "    working_dir: /nope\n    ulimits: { nofile: unlimited }\n"
	       "    volumes: [\"vol:/a\", \"~/x:/b\", \"./${REPLICA}:/c\", \"/etc:/d\"]\n"
	       "    probes: { liveness: { exec: { command: [aictl-nope] } } }\n",
	       "", false);
	expect("    image: nginx\n    volumes: [\"vol:/a\", \"./sub:/x\"]\n",
	       "5:25: volumes[1].source: DIR/sub: there is no such file or directory\n", false);
	expect("    image: nginx\n    volumes: [{ type: bind, source: /nope, target: /x }]\n",
	       "5:37: volumes[0].source: /nope: there is no such file or directory\n", false);
	expect("    image: nginx\n    devices: [/dev/null, /dev/nope]\n",
	       "5:26: devices[1].source: /dev/nope: there is no such device\n", false);
}

static void test_limits(void **state)
{
	static const char high[] = "    command: [sh]\n    ulimits: { core: \"0:9\" }\n";
	static const char most[] = "    command: [sh]\n    ulimits: { nofile: 99999999999 }\n";
	_cleanup_free_ char *root = NULL, *kernel = NULL;

	(void)state;
	expect("    command: [sh]\n    ulimits: { core: 0 }\n", "", false);
	assert_int_equal(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 5}), 0);
	if (geteuid() == 0)
		expect(high, "", false);
	else
		expect(high, "5:22: ulimits.core: 9 is above the hard limit of this machine, 5\n",
		       true);
	root = verdict(high, HOST_APPLY_ROOT);
	assert_string_equal(root, "");
	kernel = verdict(most, HOST_APPLY_ROOT);
	assert_non_null(
		strstr(kernel, "5:24: ulimits.nofile: 99999999999 is above the hard limit"));
}

static void test_processors(void **state)
{
	static const char cpuset[] =
		"    command: [sh]\n    resources: { limits: { cpuset: \"0,999999\" } }\n";
	static const char cpus[] = "    command: [sh]\n    resources: { limits: { cpus: 1024 } }\n";
	_cleanup_free_ char *set = NULL, *warned = NULL, *applied = NULL;

	(void)state;
	expect("    command: [sh]\n    resources: { limits: { cpuset: 0, cpus: 0.5 } }\n", "",
	       false);
	set = verdict(cpuset, HOST_APPLY);
	assert_non_null(strstr(set, "5:36: resources.limits.cpuset: this machine has no processor "
				    "999999, but 0"));
	warned = verdict(cpus, HOST_WARN);
	assert_non_null(strstr(warned, "5:34: resources.limits.cpus: 1024, and this machine has "));
	applied = verdict(cpus, HOST_APPLY); /* of no use, and no harm: the same file elsewhere */
	assert_string_equal(applied, "");
}

static int make_dir(void **state)
{
	_cleanup_free_ char *run = NULL;
	int fd;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	run = mem_printf("%s/run", dir);
	fd = open(run, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int remove_dir(void **state)
{
	_cleanup_free_ char *run = mem_printf("%s/run", dir);

	(void)state;
	unlink(run);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	   cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_programs),   cmocka_unit_test(test_working_dir),
		cmocka_unit_test(test_containers), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_processors),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
