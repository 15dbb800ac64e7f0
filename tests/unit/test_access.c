/*
 * The access log's files: rotation, and what becomes of lines that cannot be written.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/gateway/access.h"
#include "daemon/gateway/client.h"
#include "daemon/gateway/exchange.h"
#include "daemon/gateway/gateway.h"
#include "daemon/gateway/head.h"
#include "daemon/gateway/routes.h"
#include "lib/fs.h"
#include "lib/mem.h"

struct world {
	char dir[64];
	struct gateway g; /* not all of it is set up */
	struct client c;
	struct route r;
};

static int setup(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));

	assert_non_null(w);
	snprintf(w->dir, sizeof(w->dir), "/tmp/aictl-test-access-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(uv_loop_init(&w->g.uv), 0);
	measure_init(&w->g.measure, &w->g.uv);
	access_init(&w->g.access, &w->g.uv);
	access_open(&w->g.access, open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	w->c.g = &w->g;
	w->c.x.c = &w->c;
	snprintf(w->c.address, sizeof(w->c.address), "127.0.0.1");
	snprintf(w->r.service, sizeof(w->r.service), "svc");
	snprintf(w->r.name, sizeof(w->r.name), "http");
	w->r.rules.access_permille = 1000;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *command = mem_printf("rm -rf %s", w->dir);

	assert_true(access_close(&w->g.access));
	measure_close(&w->g.measure);
	uv_run(&w->g.uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->g.uv), 0);
	assert_int_equal(system(command), 0);
	mem_free(w);
	return 0;
}

static void request(struct world *w, unsigned n)
{
	char target[32];
	struct head h = {.method = {"GET", 3}, .target = {target, 0}};

	h.target.n = (size_t)snprintf(target, sizeof(target), "/%u", n);
	access_begin(&w->c.x, &w->r, &h);
	access_answer(&w->c.x, 503);
	access_end(&w->c.x);
}

static void write_it(struct world *w)
{
	uv_run(&w->g.uv, UV_RUN_DEFAULT); /* the timer, and the worker */
	assert_false(w->g.access.busy);
}

static char *content(const struct world *w, const char *name)
{
	_cleanup_free_ char *path = mem_printf("%s/%s", w->dir, name);
	char *text = NULL;
	size_t len;

	fs_read_file(path, 1 << 24, &text, &len, NULL);
	return text;
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (; text && (text = strstr(text, part)); text++)
		n++;
	return n;
}

static void files_are_bounded(void **state)
{
	struct world *w = *state;
	unsigned lines = 0;
	char name[32];

	w->g.access.size_max = 2000;
	for (unsigned i = 0; i < 200; i++) {
		request(w, i);
		write_it(w);
	}
	for (int k = 0; k <= ACCESS_FILES + 1; k++) {
		_cleanup_free_ char *text = NULL;

		snprintf(name, sizeof(name), k ? "access.log.%d" : "access.log", k);
		text = content(w, name);
		assert_true((text != NULL) == (k <= ACCESS_FILES));
		if (!text)
			continue;
		assert_true(strlen(text) <= 2000);
		assert_int_equal(count(text, "\n"), count(text, "\"status\":503"));
		lines += count(text, "\n");
		if (k == 0) /* the newest, to the last one */
			assert_non_null(strstr(text, "\"target\":\"/199\""));
	}
	assert_true(lines > 20 && lines < 200);
}

static void what_cannot_wait_is_counted(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *text = NULL;
	unsigned n = 0;

	w->g.access.busy = true; /* as with a disk that hangs */
	while (w->g.access.dropped < 3)
		request(w, n++);
	assert_true(w->g.access.waiting.len < ACCESS_WAITING + 4096);
	w->g.access.busy = false;
	request(w, n); /* dropped, too: it is as full as before */
	write_it(w);
	text = content(w, "access.log");
	assert_int_equal(count(text, "\"status\":503"), n - 3);
	assert_non_null(strstr(text, "\"dropped\":4}\n"));
}

static void another_one_may_move_it(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *from = mem_printf("%s/access.log", w->dir);
	_cleanup_free_ char *to = mem_printf("%s/mine", w->dir), *text = NULL;

	request(w, 1);
	write_it(w);
	assert_int_equal(rename(from, to), 0);
	request(w, 2);
	write_it(w);
	text = content(w, "access.log");
	assert_int_equal(count(text, "\n"), 1);
}

/* Another thread, or another gateway. */
static void several_write_to_the_same(void **state)
{
	struct world *w = *state, *others[3];
	unsigned lines = 0;

	w->g.access.size_max = 4000;
	for (int i = 0; i < 3; i++) {
		void *other;

		setup(&other);
		others[i] = other;
		rmdir(others[i]->dir);
		close(others[i]->g.access.dir_fd);
		others[i]->g.access.dir_fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		others[i]->g.access.size_max = 4000;
	}
	for (unsigned i = 0; i < 15; i++) { /* their workers at the same time */
		for (int k = 0; k < 3; k++)
			request(others[k], i);
		for (int k = 0; k < 3; k++)
			while (others[k]->g.access.waiting.len > 0)
				uv_run(&others[k]->g.uv, UV_RUN_ONCE);
		for (int k = 0; k < 3; k++)
			write_it(others[k]);
	}
	for (int k = 0; k <= ACCESS_FILES; k++) {
		_cleanup_free_ char *name = mem_printf(k ? "access.log.%d" : "access.log", k);
		_cleanup_free_ char *text = content(w, name);

		lines += count(text, "\n");
		/* room for one more of each, that came between the look and the write */
		assert_true(!text || strlen(text) <= 4000 + 3 * 400);
	}
	assert_int_equal(lines, 45); /* none is lost, none is twice */
	for (int k = 0; k < 3; k++) {
		void *other = others[k];

		teardown(&other);
	}
}

static void without_a_disk_requests_go_on(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *path = mem_printf("%s/access.log", w->dir), *text = NULL;

	assert_int_equal(mkdir(path, 0700), 0); /* it cannot be opened */
	request(w, 1);
	write_it(w);
	assert_true(w->g.access.err < 0);
	assert_int_equal(rmdir(path), 0);
	request(w, 2);
	write_it(w);
	text = content(w, "access.log");
	assert_int_equal(count(text, "\"status\":503"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_are_bounded),
		TEST(what_cannot_wait_is_counted),
		TEST(another_one_may_move_it),
		TEST(several_write_to_the_same),
		TEST(without_a_disk_requests_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
