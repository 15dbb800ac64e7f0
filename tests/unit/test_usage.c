/*
 * test_usage: what a replica uses, read from trees of our own: from a cgroup with all controllers,
 * from one with none, and from the sessions of /proc when there is no cgroup; names that would upset
 * a parser, processes that go while we look, files that say nothing.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <ftw.h>
#include <unistd.h>

#include "daemon/controller/usage.h"
#include "lib/fs.h"
#include "lib/mem.h"

static char base[] = "/tmp/aictl-usage-XXXXXX";

static void put(const char *dir, const char *file, const char *text)
{
	_cleanup_free_ char *where = mem_printf("%s/%s", base, dir);
	_cleanup_free_ char *path = mem_printf("%s/%s", where, file);
	FILE *f;

	assert_int_equal(fs_mkdir_p(where, 0700, NULL), 0);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A process with 10 + 20 ticks of its own and 1 + 2 of its children. */
static void process(int pid, const char *name, int session, int threads, int pages)
{
	_cleanup_free_ char *dir = mem_printf("proc/%d", pid);
	_cleanup_free_ char *text = mem_printf(
		"%d (%s) S 1 %d %d 0 -1 4194560 9 8 7 6 10 20 1 2 20 0 %d 0 5 1000000 %d 18446744073709551615 1 1",
		pid, name, session, session, threads, pages);

	put(dir, "stat", text);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(base) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct usage_item item(const char *service, uint32_t index, int32_t pid)
{
	struct usage_item i = {.index = index, .pid = pid};

	snprintf(i.service, sizeof(i.service), "%s", service);
	return i;
}

static void look(struct usage_item *items, size_t n, bool cgroup)
{
	_cleanup_free_ char *proc = mem_printf("%s/proc", base);
	_cleanup_free_ char *dir = cgroup ? mem_printf("%s/cg", base) : mem_strdup("");

	_cleanup_free_ char *root = mem_printf("%s/sys", base);
	const struct usage_where where = {proc, root, dir};

	usage_read(items, n, &where);
}

static void expect(const struct usage_item *i, const char *source, int64_t memory, int64_t cpu_us,
		   int64_t pids)
{
	assert_non_null(i->usage.source);
	assert_string_equal(i->usage.source, source);
	assert_int_equal(i->usage.memory_bytes, memory);
	assert_int_equal(i->usage.cpu_us, cpu_us);
	assert_int_equal(i->usage.pids, pids);
}

static void test_all_controllers(void **state)
{
	struct usage_item i = item("full", 3, 50);

	(void)state;
	put("cg/full.3", "memory.current", "5000000\n");
	put("cg/full.3", "memory.stat",
	    "anon 1\nfile 3000000\nactive_file 9\ninactive_file 2000000\n");
	put("cg/full.3", "cpu.stat", "usage_usec 1234567\nuser_usec 1\nsystem_usec 1\n");
	put("cg/full.3", "pids.current", "17\n");
	look(&i, 1, true);
	expect(&i, "cgroup", 3000000, 1234567, 17);
	put("cg/full.3", "memory.stat", "anon 1\n"); /* no such line */
	look(&i, 1, true);
	expect(&i, "cgroup", 5000000, 1234567, 17);
	put("cg/full.3", "memory.stat", "inactive_file 6000000\n"); /* read a moment later */
	look(&i, 1, true);
	expect(&i, "cgroup", 5000000, 1234567, 17);
	i.pid = 0; /* nothing runs: nothing is asked */
	look(&i, 1, true);
	assert_null(i.usage.source);
}

static void test_no_controller(void **state)
{
	const int64_t page = sysconf(_SC_PAGESIZE), tick = 1000000 / sysconf(_SC_CLK_TCK);
	struct usage_item i = item("bare", 0, 60);

	(void)state;
	process(60, "a ) S (b", 60, 4, 100);
	process(61, "in another session", 61, 1, 7);
	put("cg/bare.0", "cpu.stat", "usage_usec 99\n");
	put("cg/bare.0", "cgroup.procs", "60\n61\n62\n"); /* 62 is gone again */
	look(&i, 1, true);
	expect(&i, "cgroup", 107 * page, 99, 5);
	put("cg/bare.0", "cpu.stat", "nonsense\n");
	look(&i, 1, true);
	expect(&i, "cgroup", 107 * page, 2 * 33 * tick, 5);
}

static void test_sessions(void **state)
{
	const int64_t page = sysconf(_SC_PAGESIZE), tick = 1000000 / sysconf(_SC_CLK_TCK);
	struct usage_item items[] = {item("web", 1, 80), item("web", 0, 70), item("web", 2, 90)};

	(void)state;
	process(70, "main", 70, 2, 10);
	process(71, "child", 70, 1, 5);
	process(80, "other", 80, 1, 3);
	process(75, "nobody's", 1, 1, 1000);
	put("proc/self", "stat", "not a process\n");
	put("proc/76", "stat", "76 (broken\n");
	put("cg/web.1", "cgroup.procs", ""); /* empty: it does not run in there */
	look(items, 3, true);
	expect(&items[1], "session", 15 * page, 2 * 33 * tick, 3);
	expect(&items[0], "session", 3 * page, 33 * tick, 1);
	assert_null(items[2].usage.source); /* ended meanwhile */
	look(items, 3, false);
	expect(&items[1], "session", 15 * page, 2 * 33 * tick, 3);
}

static void test_containers(void **state)
{
	struct usage_item i = item("box", 0, 700);

	(void)state;
	i.container = true;
	process(700, "nginx", 700, 3, 10);
	put("proc/700", "cgroup",
	    "3:memory:/docker/ab\n2:cpu,cpuacct:/docker/ab\n1:pids:/docker/ab\n0::/\n");
	put("sys/memory/docker/ab", "memory.usage_in_bytes", "9000\n");
	put("sys/memory/docker/ab", "memory.stat", "cache 7\ntotal_inactive_file 1000\n");
	put("sys/cpu,cpuacct/docker/ab", "cpuacct.usage", "5000000\n");
	put("sys/pids/docker/ab", "pids.current", "4\n");
	look(&i, 1, true);
	expect(&i, "container", 8000, 5000, 4);
	put("proc/700", "cgroup", "0::/system.slice/docker-ab.scope\n");
	put("sys/system.slice/docker-ab.scope", "memory.current", "5000\n");
	put("sys/system.slice/docker-ab.scope", "cpu.stat", "usage_usec 77\n");
	put("sys/system.slice/docker-ab.scope", "pids.current", "2\n");
	look(&i, 1, true);
	expect(&i, "container", 5000, 77, 2);
	put("proc/700", "cgroup", "0::/\n"); /* it shares ours: as any process */
	look(&i, 1, true);
	assert_string_equal(i.usage.source, "session");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_controllers), cmocka_unit_test(test_no_controller),
		cmocka_unit_test(test_containers), cmocka_unit_test(test_sessions)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
