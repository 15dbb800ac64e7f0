/*
 * test_probe_log: an attempt ends in time, whatever keeps the log from being read; between attempts
 * nothing is open, and the next one goes on where the last one ended, in the middle of a line too.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/probe_log.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "lib/fs.h"
#include "lib/logidx.h"
#include "lib/mem.h"

#define REPLICAS 1000

struct one {
	struct replica replica;
	struct probe_log *log;
	unsigned answers;
	struct probe_result last;
};

struct rig {
	char dir[64];
	uv_loop_t loop;
	struct controller c;
	struct service service;
	struct one *all;
	unsigned n;
};

static void on_answer(const struct probe_result *r, void *user)
{
	struct one *o = user;

	o->answers++;
	o->last = *r;
}

static void ask(struct one *o, int64_t timeout_ms)
{
	const struct probe_log_args args = {"^up ([0-9]+)$", timeout_ms, on_answer, o};

	assert_int_equal(probe_log_start(&o->replica, &args, &o->log, NULL), 0);
}

static void ask_and_wait(struct rig *g, struct one *o, int64_t timeout_ms)
{
	unsigned before = o->answers;

	ask(o, timeout_ms);
	while (o->answers == before)
		uv_run(&g->loop, UV_RUN_ONCE);
	assert_int_equal(o->answers, before + 1);
}

/* One segment of that replica, with its index. */
static void write_log(const struct rig *g, const struct one *o, uint32_t seq, const char *text)
{
	char name[LOGIDX_NAME_SIZE], path[200];
	uint8_t raw[LOGIDX_HEADER_SIZE];
	struct logidx_header h = {.seq = seq};
	struct logidx_entry e = {
		.length = (uint32_t)strlen(text), .stream = LOGIDX_STDOUT, .wall_ms = 1};
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/svc/%u/%s", g->dir, o->replica.index,
		 logidx_name(name, o->replica.incarnation, seq, LOGIDX_LOG));
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	e.offset = (uint64_t)st.st_size;
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/svc/%u/%s", g->dir, o->replica.index,
		 logidx_name(name, o->replica.incarnation, seq, LOGIDX_IDX));
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	if (st.st_size == 0) {
		memcpy(h.incarnation, o->replica.incarnation, sizeof(h.incarnation));
		logidx_encode_header(&h, raw);
		assert_int_equal(fs_write_all(fd, raw, LOGIDX_HEADER_SIZE), 0);
	}
	logidx_encode_entry(&e, raw);
	assert_int_equal(fs_write_all(fd, raw, LOGIDX_ENTRY_SIZE), 0);
	close(fd);
}

static void begin(struct rig *g, unsigned n)
{
	char path[200];

	memset(g, 0, sizeof(*g));
	snprintf(g->dir, sizeof(g->dir), "/tmp/aictl-test-probe-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	assert_int_equal(uv_loop_init(&g->loop), 0);
	g->c.loop = &g->loop;
	g->c.opts.log_dir = g->dir;
	log_work_init(&g->c.log_workers);
	g->service.controller = &g->c;
	g->service.name = (char *)"svc";
	g->n = n;
	g->all = mem_array(n, sizeof(*g->all));
	assert_non_null(g->all);
	snprintf(path, sizeof(path), "%s/svc", g->dir);
	assert_int_equal(mkdir(path, 0755), 0);
	for (unsigned i = 0; i < n; i++) {
		struct replica *r = &g->all[i].replica;

		r->service = &g->service;
		r->index = i;
		snprintf(r->incarnation, sizeof(r->incarnation), "%032x", i + 1);
		snprintf(path, sizeof(path), "%s/svc/%u", g->dir, i);
		assert_int_equal(mkdir(path, 0755), 0);
	}
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char below[400];

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			remove_tree(below);
		else
			unlink(below);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static void end(struct rig *g)
{
	for (unsigned i = 0; i < g->n; i++)
		probe_log_free(g->all[i].log);
	uv_run(&g->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&g->loop), 0);
	remove_tree(g->dir);
	mem_free(g->all);
}

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void a_thousand_that_wait_have_nothing_open(void **state)
{
	unsigned before;
	struct rig g;

	(void)state;
	begin(&g, REPLICAS);
	for (unsigned i = 0; i < g.n; i++)
		write_log(&g, &g.all[i], 1, "loading\nup ");
	ask_and_wait(&g, &g.all[0], 60000); /* the workers are there, with what they keep */
	before = open_files();
	for (unsigned round = 1; round <= 2; round++) {
		for (unsigned i = 0; i < g.n; i++)
			ask(&g.all[i], 60000);
		for (unsigned i = 0; i < g.n; i++)
			while (g.all[i].answers < round + (i == 0)) {
				uv_run(&g.loop, UV_RUN_ONCE);
				assert_true(open_files() <= before + 16);
			}
		assert_int_equal(open_files(), before);
	}
	for (unsigned i = 0; i < g.n; i++) {
		assert_false(g.all[i].last.ok);
		assert_string_equal(g.all[i].last.message,
				    "no line matches \"^up ([0-9]+)$\" so far");
		if (i % 2) { /* the line goes on in the same segment */
			write_log(&g, &g.all[i], 1, "7\n");
		} else { /* or in the next one */
			write_log(&g, &g.all[i], 2, "7\nmore\n");
		}
		ask(&g.all[i], 60000);
	}
	for (unsigned i = 0; i < g.n; i++)
		while (!g.all[i].last.ok)
			uv_run(&g.loop, UV_RUN_ONCE);
	for (unsigned i = 0; i < g.n; i++)
		assert_string_equal(g.all[i].last.message, "seen: up 7");
	end(&g);
}

/* What it read is rotated away while it looks elsewhere. */
static void a_segment_that_is_gone(void **state)
{
	char name[LOGIDX_NAME_SIZE], path[200];
	struct rig g;

	(void)state;
	begin(&g, 1);
	write_log(&g, g.all, 1, "loading\nup");
	ask_and_wait(&g, g.all, 60000);
	for (int kind = LOGIDX_LOG; kind <= LOGIDX_IDX; kind++) {
		snprintf(path, sizeof(path), "%s/svc/0/%s", g.dir,
			 logidx_name(name, g.all->replica.incarnation, 1, (enum logidx_kind)kind));
		assert_int_equal(unlink(path), 0);
	}
	ask_and_wait(&g, g.all, 60000);
	assert_false(g.all->last.ok);
	write_log(&g, g.all, 3, "up 8\n");
	ask_and_wait(&g, g.all, 60000);
	assert_string_equal(g.all->last.message, "seen: up 8");
	end(&g);
}

struct blocker {
	struct log_work work;
	uv_sem_t *disk;
};

static void hang(struct log_work *w)
{
	struct blocker *b = w->user;

	uv_sem_wait(b->disk);
}

static void hung(struct log_work *w, bool was_read)
{
	(void)w;
	(void)was_read;
}

static void an_attempt_ends_in_time(void **state)
{
	struct blocker blockers[LOG_WORKERS_MAX];
	uv_sem_t disk;
	struct rig g;

	(void)state;
	begin(&g, 1);
	write_log(&g, g.all, 1, "up 1\n");
	assert_int_equal(uv_sem_init(&disk, 0), 0);
	for (int i = 0; i < LOG_WORKERS_MAX; i++) {
		blockers[i].disk = &disk;
		blockers[i].work =
			(struct log_work){.read = hang, .done = hung, .user = &blockers[i]};
		log_work_start(&g.c, &blockers[i].work);
	}
	for (int i = 0; i < 3; i++) {
		ask_and_wait(&g, g.all, 20);
		assert_false(g.all->last.ok);
		assert_string_equal(g.all->last.message, "the log was not read within 20ms: "
							 "others are being read");
	}
	assert_true(TAILQ_EMPTY(&g.c.log_workers.waiting)); /* nothing is left of them */
	for (int i = 0; i < LOG_WORKERS_MAX; i++)
		uv_sem_post(&disk);
	ask_and_wait(&g, g.all, 60000);
	assert_string_equal(g.all->last.message, "seen: up 1");
	end(&g);
	uv_sem_destroy(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_that_wait_have_nothing_open),
		cmocka_unit_test(a_segment_that_is_gone),
		cmocka_unit_test(an_attempt_ends_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
