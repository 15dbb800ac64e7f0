/* usage: see usage.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/usage.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define FILE_MAX ((size_t)1 << 20) /* a list of so many processes is cut off by an error */
#define STAT_MAX 16384
#define PATH_SIZE 512
#define US_PER_S 1000000

struct reader {
	const char *proc, *cgroup_dir, *cgroup_root;
	int64_t page_size, us_per_tick;
};

/* What /proc/PID/stat says, summed up. */
struct sum {
	int64_t rss_pages, ticks, threads;
	unsigned processes;
};

static char *read_in(const char *dir, const char *file, size_t limit)
{
	char path[PATH_SIZE], *text = NULL;
	size_t len;
	int n = snprintf(path, sizeof(path), "%s/%s", dir, file);

	if (n < 0 || (size_t)n >= sizeof(path) || fs_read_file(path, limit, &text, &len, NULL) < 0)
		return NULL;
	return text;
}

/* A file that is one number; -1: it is not there, or says "max". */
static int64_t read_number(const char *dir, const char *file)
{
	_cleanup_free_ char *text = read_in(dir, file, STAT_MAX);
	int64_t value = -1;

	if (!text)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	return parse_i64(text, 0, INT64_MAX, &value, NULL) < 0 ? -1 : value;
}

/* The number behind "key " in a file of such lines, or -1. */
static int64_t read_keyed(const char *dir, const char *file, const char *key)
{
	_cleanup_free_ char *text = read_in(dir, file, STAT_MAX);
	size_t len = strlen(key);
	int64_t value = -1;

	for (char *next = text, *line; next && (line = strsep(&next, "\n"));)
		if (strncmp(line, key, len) == 0 && line[len] == ' ' &&
		    parse_i64(line + len + 1, 0, INT64_MAX, &value, NULL) == 0)
			return value;
	return -1;
}

/* Fields of /proc/PID/stat behind the name, from 1, as proc(5) counts less 2. */
enum stat_field {
	STAT_SESSION = 4,
	STAT_UTIME = 12,
	STAT_STIME,
	STAT_CUTIME,
	STAT_CSTIME,
	STAT_THREADS = 18,
	STAT_RSS = 22,
	STAT_FIELDS
};

/* text is cut into pieces. False: there is less in it. */
static bool parse_stat(char *text, int64_t v[STAT_FIELDS])
{
	char *next = text ? strrchr(text, ')') : NULL; /* the name may hold anything */
	int field = 0;

	for (char *word; field < STAT_FIELDS && next && (word = strsep(&next, " ")); field++)
		if (parse_i64(word, INT64_MIN, INT64_MAX, &v[field], NULL) < 0)
			v[field] = 0; /* the state is a letter, some are unsigned */
	return field == STAT_FIELDS;
}

/* Adds a process. *ret_session (may be NULL) is its session; false: it is gone, or hidden. */
static bool add_process(const struct reader *in, const char *pid, struct sum *sum,
			int32_t *ret_session)
{
	char dir[PATH_SIZE];
	_cleanup_free_ char *text = NULL;
	int64_t v[STAT_FIELDS];

	snprintf(dir, sizeof(dir), "%s/%.16s", in->proc, pid);
	text = read_in(dir, "stat", STAT_MAX);
	if (!parse_stat(text, v))
		return false;
	if (ret_session)
		*ret_session = (int32_t)v[STAT_SESSION];
	sum->rss_pages += v[STAT_RSS];
	sum->ticks += v[STAT_UTIME] + v[STAT_STIME] + v[STAT_CUTIME] + v[STAT_CSTIME];
	sum->threads += v[STAT_THREADS];
	sum->processes++;
	return true;
}

static struct usage usage_of(const struct reader *in, const struct sum *sum, const char *source)
{
	return (struct usage){.source = source,
			      .memory_bytes = sum->rss_pages * in->page_size,
			      .cpu_us = sum->ticks * in->us_per_tick,
			      .pids = sum->threads};
}

/* ---- cgroups ---- */

static void add_members(const struct reader *in, const char *dir, struct sum *sum)
{
	_cleanup_free_ char *text = read_in(dir, "cgroup.procs", FILE_MAX);

	for (char *next = text, *pid; next && (pid = strsep(&next, "\n"));)
		if (*pid)
			add_process(in, pid, sum, NULL);
}

/* As docker and kubectl count: what the kernel can give back at once is not in use. -1: unknown. */
static int64_t read_memory(const char *dir)
{
	int64_t all = read_number(dir, "memory.current"), cache;

	if (all < 0)
		return -1;
	cache = read_keyed(dir, "memory.stat", "inactive_file");
	return cache > 0 && cache <= all ? all - cache : all;
}

static int64_t read_memory_v1(const char *dir)
{
	int64_t all = read_number(dir, "memory.usage_in_bytes"), cache;

	if (all < 0)
		return -1;
	cache = read_keyed(dir, "memory.stat", "total_inactive_file");
	return cache > 0 && cache <= all ? all - cache : all;
}

/* False: there is none, or nothing is in it. */
static bool read_cgroup(const struct reader *in, struct usage_item *item)
{
	struct wire_key key = {.index = item->index};
	int64_t memory, cpu, pids;
	struct sum sum = {0};
	char dir[PATH_SIZE];

	memcpy(key.service, item->service, sizeof(key.service));
	if (!in->cgroup_dir[0] || wire_cgroup_path(dir, sizeof(dir), in->cgroup_dir, &key) < 0)
		return false;
	cpu = read_keyed(dir, "cpu.stat", "usage_usec");
	memory = read_memory(dir);
	pids = read_number(dir, "pids.current");
	if (cpu < 0 || memory < 0 || pids < 0)
		add_members(in, dir, &sum);
	if (pids == 0 || (pids < 0 && sum.processes == 0))
		return false;
	item->usage = usage_of(in, &sum, "cgroup");
	item->usage.cpu_us = cpu < 0 ? item->usage.cpu_us : cpu;
	item->usage.memory_bytes = memory < 0 ? item->usage.memory_bytes : memory;
	item->usage.pids = pids < 0 ? item->usage.pids : pids;
	return true;
}

/* ---- containers ---- */

/* "cpu,cpuacct" has cpuacct. */
static bool has_word(const char *list, const char *end, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p < end; p += strcspn(p, ",:") + 1)
		if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == ':'))
			return true;
	return false;
}

/* Where the controller's files of the process's cgroup lie: v1 has a tree for each, v2 one for all.
 * False: it is in none but the root. */
static bool cgroup_of(const struct reader *in, const struct usage_item *item,
		      const char *controller, char dir[PATH_SIZE])
{
	char path[PATH_SIZE];
	_cleanup_free_ char *text = NULL;
	bool found = false;

	snprintf(path, sizeof(path), "%s/%d", in->proc, item->pid);
	text = read_in(path, "cgroup", STAT_MAX);
	for (char *next = text, *line; next && !found && (line = strsep(&next, "\n"));) {
		char *list = strchr(line, ':'), *at = list ? strchr(list + 1, ':') : NULL;
		bool v2 = list && at == list + 1;
		int len;

		if (!at || (!v2 && !has_word(list + 1, at, controller)))
			continue;
		len = snprintf(dir, PATH_SIZE, "%s/%.*s%s", in->cgroup_root,
			       v2 ? 0 : (int)(at - list - 1), list + 1, at + 1);
		found = strcmp(at + 1, "/") != 0 && len > 0 && len < PATH_SIZE;
	}
	return found;
}

/* A container's are its engine's: they are found by its first process. */
static bool read_container(const struct reader *in, struct usage_item *item)
{
	char memory[PATH_SIZE], cpu[PATH_SIZE], pids[PATH_SIZE];
	int64_t used, ns, us, n;

	if (!cgroup_of(in, item, "memory", memory) || !cgroup_of(in, item, "cpuacct", cpu) ||
	    !cgroup_of(in, item, "pids", pids))
		return false;
	used = read_memory(memory);
	if (used < 0)
		used = read_memory_v1(memory);
	us = read_keyed(cpu, "cpu.stat", "usage_usec");
	ns = us < 0 ? read_number(cpu, "cpuacct.usage") : 0;
	n = read_number(pids, "pids.current");
	if (used < 0 || (us < 0 && ns < 0) || n <= 0)
		return false;
	item->usage = (struct usage){.source = "container",
				     .memory_bytes = used,
				     .cpu_us = us < 0 ? ns / 1000 : us,
				     .pids = n};
	return true;
}

/* ---- sessions ---- */

struct session {
	int32_t pid; /* its leader's */
	struct usage_item *item;
	struct sum sum;
};

static int by_pid(const void *a, const void *b)
{
	int32_t x = ((const struct session *)a)->pid, y = ((const struct session *)b)->pid;

	return (x > y) - (x < y);
}

/* One walk over all processes, each of which belongs to at most one of the sessions. */
static void walk(const struct reader *in, struct session *sessions, size_t n)
{
	DIR *dir = opendir(in->proc);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct session key = {0}, *found;

		if (entry->d_name[strspn(entry->d_name, "0123456789")] ||
		    !add_process(in, entry->d_name, &key.sum, &key.pid))
			continue;
		found = bsearch(&key, sessions, n, sizeof(*sessions), by_pid);
		if (!found)
			continue;
		found->sum.rss_pages += key.sum.rss_pages;
		found->sum.ticks += key.sum.ticks;
		found->sum.threads += key.sum.threads;
		found->sum.processes++;
	}
	if (dir)
		closedir(dir);
}

static void read_sessions(const struct reader *in, struct session *sessions, size_t n)
{
	qsort(sessions, n, sizeof(*sessions), by_pid);
	walk(in, sessions, n);
	for (size_t i = 0; i < n; i++)
		if (sessions[i].sum.processes > 0)
			sessions[i].item->usage = usage_of(in, &sessions[i].sum, "session");
}

void usage_read(struct usage_item *items, size_t n, const struct usage_where *where)
{
	const struct reader in = {.proc = where->proc,
				  .cgroup_dir = where->cgroup_dir,
				  .cgroup_root = where->cgroup_root,
				  .page_size = sysconf(_SC_PAGESIZE),
				  .us_per_tick = US_PER_S / sysconf(_SC_CLK_TCK)};
	_cleanup_free_ struct session *sessions = mem_array(n, sizeof(*sessions));
	size_t left = 0;

	for (size_t i = 0; i < n; i++) {
		items[i].usage = (struct usage){0};
		if (items[i].pid > 0 &&
		    !(items[i].container ? read_container(&in, &items[i])
					 : read_cgroup(&in, &items[i])) &&
		    sessions)
			sessions[left++] = (struct session){.pid = items[i].pid, .item = &items[i]};
	}
	if (left > 0)
		read_sessions(&in, sessions, left);
}
