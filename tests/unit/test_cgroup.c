/*
 * test_cgroup: what limits become in the files of a cgroup, and the tool that works on one.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/cgroup_limits.h"
#include "daemon/supervisor/cgroup_tool.h"
#include "lib/mem.h"

#define ALL                                                                                        \
	(WIRE_CGROUP_TRACK | WIRE_CGROUP_MEMORY | WIRE_CGROUP_CPU | WIRE_CGROUP_IO |               \
	 WIRE_CGROUP_PIDS | WIRE_CGROUP_CPUSET)

/* "file=value file=value" */
static const char *text_of(const struct wire_limits *m, uint32_t can, bool fresh, char text[2048])
{
	struct cgroup_limit list[CGROUP_LIMITS_MAX];
	unsigned n = cgroup_limits_fill(list, m, can, fresh);
	size_t at = 0;

	assert_true(n <= CGROUP_LIMITS_MAX);
	text[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, 2048 - at, "%s%s=%s", i ? " " : "", list[i].file,
				       list[i].value);
	return text;
}

static void limits_become_files(void **state)
{
	struct wire_limits m = {.memory_max = 1 << 30,
				.memory_high = 1 << 29,
				.has_swap_max = true,
				.oom_group = true,
				.cpu_milli = 1500,
				.cpu_weight = 200,
				.io_weight = 10,
				.pids_max = 64,
				.cpuset = "0-1,3"};
	char text[2048];

	(void)state;
	assert_string_equal(text_of(&m, ALL, true, text),
			    "memory.max=1073741824 memory.high=536870912 memory.swap.max=0 "
			    "memory.oom.group=1 cpu.max=150000 100000 cpu.weight=200 io.weight=10 "
			    "pids.max=64 cpuset.cpus=0-1,3");
	assert_string_equal(text_of(&m, WIRE_CGROUP_TRACK, false, text), "");
	assert_string_equal(text_of(&m, WIRE_CGROUP_PIDS, true, text), "pids.max=64");
	m = (struct wire_limits){.cpu_milli = 1}; /* below what the kernel takes */
	assert_string_equal(text_of(&m, ALL, true, text), "cpu.max=1000 100000");
	m = (struct wire_limits){.memory_max = UINT64_MAX, .cpu_milli = UINT32_MAX};
	assert_string_equal(text_of(&m, ALL, true, text),
			    "memory.max=18446744073709551615 cpu.max=429496729500 100000");
}

static void what_is_not_limited_is_said_only_to_a_used_cgroup(void **state)
{
	const struct wire_limits none = {0};
	char text[2048];

	(void)state;
	assert_string_equal(text_of(&none, ALL, true, text), "");
	assert_string_equal(text_of(&none, ALL, false, text),
			    "memory.max=max memory.high=max memory.swap.max=max memory.oom.group=0 "
			    "cpu.max=max 100000 cpu.weight=100 io.weight=100 pids.max=max "
			    "cpuset.cpus=");
}

static void each_difference_counts(void **state)
{
	const struct wire_limits none = {0}, others[] = {
						     {.memory_max = 1},	  {.memory_high = 1},
						     {.swap_max = 1},	  {.has_swap_max = true},
						     {.oom_group = true}, {.cpu_milli = 1},
						     {.cpu_weight = 1},	  {.io_weight = 1},
						     {.pids_max = 1},	  {.cpuset = "0"},
					     };

	(void)state;
	assert_true(cgroup_limits_equal(&none, &none));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_true(cgroup_limits_equal(&others[i], &others[i]));
		assert_false(cgroup_limits_equal(&none, &others[i]));
	}
}

/* ---- the tool, on an ordinary directory and on a cgroup ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void expect_file(const char *dir, const char *name, const char *want)
{
	char path[512], got[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(got, sizeof(got), f));
	fclose(f);
	assert_string_equal(got, want);
}

static int tool(const char *a, const char *b, const char *c, const char *d)
{
	char *argv[5] = {strdup(a), b ? strdup(b) : NULL, c ? strdup(c) : NULL,
			 d ? strdup(d) : NULL};
	int n = 0, r;

	while (argv[n])
		n++;
	r = cgroup_tool_main(n, argv);
	for (int i = 0; i < n; i++)
		free(argv[i]);
	return r;
}

static void the_tool_writes_what_is_there(void **state)
{
	char dir[] = "/tmp/test-cgroup.XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	write_file(dir, "a", "____");
	write_file(dir, "b", "____");
	assert_int_equal(tool("--cgroup-write", dir, "a=1 2", "b="), 0);
	expect_file(dir, "a", "1 2_");
	expect_file(dir, "b", "\n");
	assert_int_equal(tool("--cgroup-write", dir, "none=1", "b=9"), 0); /* not on this machine */
	expect_file(dir, "b", "9___");
	snprintf(path, sizeof(path), "%s/d", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(tool("--cgroup-write", dir, "d=1", "a=7"),
			 1); /* and the others all the same */
	expect_file(dir, "a", "7 2_");
	assert_int_equal(tool("--cgroup-write", dir, "a", NULL), 2);
	assert_int_equal(tool("--cgroup-write", NULL, NULL, NULL), 2);
	assert_int_equal(tool("--cgroup-kill", dir, "a", NULL), 2);
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/a", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/b", dir);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(tool("--cgroup-write", dir, "a=1", NULL), 0); /* its slot is gone */
}

/* A slot's cgroup may be made anew while the tool is on its way. */
static void the_tool_means_the_descriptor_and_not_the_name(void **state)
{
	char dir[] = "/tmp/test-cgroup.XXXXXX", old[64], path[80];
	int fd, saved = dup(STDIN_FILENO);

	(void)state;
	assert_non_null(mkdtemp(dir));
	write_file(dir, "a", "____");
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	snprintf(old, sizeof(old), "%s.old", dir);
	assert_int_equal(rename(dir, old), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	write_file(dir, "a", "____");
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(tool("--cgroup-write", dir, "a=1", NULL), 0);
	expect_file(dir, "a", "____");
	expect_file(old, "a", "1___");
	snprintf(path, sizeof(path), "%s/a", old);
	unlink(path);
	assert_int_equal(rmdir(old), 0);
	assert_int_equal(tool("--cgroup-write", dir, "a=2", NULL),
			 0); /* gone, and the next stays */
	expect_file(dir, "a", "____");
	snprintf(path, sizeof(path), "%s/a", dir);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
	close(fd);
}

/* Makes the cgroup, or skips. */
static void make_cgroup(char *dir, size_t size)
{
	snprintf(dir, size, "/sys/fs/cgroup/unified/test-cgroup-%d", (int)getpid());
	if (mkdir(dir, 0755) < 0)
		snprintf(dir, size, "/sys/fs/cgroup/test-cgroup-%d", (int)getpid());
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		skip();
}

static pid_t sleeper_in(const char *dir)
{
	char path[512], text[16];
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		for (;;)
			pause();
	}
	snprintf(path, sizeof(path), "%s", dir);
	snprintf(text, sizeof(text), "%d", (int)pid);
	write_file(path, "cgroup.procs", text);
	return pid;
}

static void expect_killed(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void without_cgroup_kill_all_are_killed_by_hand(void **state)
{
	char dir[128], below[160];
	pid_t a, b, outside;

	(void)state;
	make_cgroup(dir, sizeof(dir));
	snprintf(below, sizeof(below), "%s/below", dir);
	assert_int_equal(mkdir(below, 0755), 0);
	outside = fork();
	if (outside == 0)
		for (;;)
			pause();
	a = sleeper_in(dir);
	b = sleeper_in(below);
	assert_int_equal(cgroup_tool_remove(AT_FDCWD, dir), -EBUSY);
	assert_int_equal(tool("--cgroup-kill", dir, NULL, NULL), 0);
	expect_killed(a);
	expect_killed(b);
	assert_int_equal(kill(outside, 0), 0);
	assert_int_equal(waitpid(outside, NULL, WNOHANG), 0);
	kill(outside, SIGTERM);
	waitpid(outside, NULL, 0);
	assert_int_equal(mkdir(below, 0755), -1); /* as it was: removed with all that is below */
	assert_int_equal(cgroup_tool_remove(AT_FDCWD, dir), 0);
	assert_int_equal(access(dir, F_OK), -1);
	assert_int_equal(cgroup_tool_remove(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_become_files),
		cmocka_unit_test(what_is_not_limited_is_said_only_to_a_used_cgroup),
		cmocka_unit_test(each_difference_counts),
		cmocka_unit_test(the_tool_writes_what_is_there),
		cmocka_unit_test(the_tool_means_the_descriptor_and_not_the_name),
		cmocka_unit_test(without_cgroup_kill_all_are_killed_by_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
