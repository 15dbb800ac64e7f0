/*
 * test_log_work: a disk that hangs keeps at most two workers, so that others of libuv's pool are
 * free; who waits can leave.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/log_work.h"

#define JOBS 6

struct job {
	struct log_work work;
	uv_sem_t *disk; /* hangs until posted */
	unsigned reads, done, refused;
};

struct rig {
	struct controller c;
	uv_loop_t loop;
	uv_sem_t disk;
	struct job jobs[JOBS];
};

static void on_read(struct log_work *w)
{
	struct job *j = w->user;

	uv_sem_wait(j->disk);
	j->reads++;
}

static void on_done(struct log_work *w, bool was_read)
{
	struct job *j = w->user;

	j->done++;
	j->refused += !was_read;
}

static void begin(struct rig *g)
{
	*g = (struct rig){0};
	assert_int_equal(uv_loop_init(&g->loop), 0);
	assert_int_equal(uv_sem_init(&g->disk, 0), 0);
	g->c.loop = &g->loop;
	log_work_init(&g->c.log_workers);
	for (int i = 0; i < JOBS; i++) {
		g->jobs[i] = (struct job){.disk = &g->disk};
		g->jobs[i].work =
			(struct log_work){.read = on_read, .done = on_done, .user = &g->jobs[i]};
		log_work_start(&g->c, &g->jobs[i].work);
	}
}

static void let_go(struct rig *g)
{
	for (int i = 0; i < JOBS; i++)
		uv_sem_post(&g->disk);
	uv_run(&g->loop, UV_RUN_DEFAULT);
}

static void end(struct rig *g)
{
	assert_int_equal(uv_loop_close(&g->loop), 0);
	uv_sem_destroy(&g->disk);
}

static void look_up(uv_work_t *w)
{
	(void)w;
}

static void looked_up(uv_work_t *w, int status)
{
	bool *done = w->data;

	*done = status == 0;
}

static void a_hung_disk_leaves_workers_to_others(void **state)
{
	bool done = false;
	uv_work_t apply = {.data = &done};
	struct rig g;

	(void)state;
	begin(&g);
	assert_int_equal(uv_queue_work(&g.loop, &apply, look_up, looked_up), 0);
	while (!done) /* hangs here if all workers are taken */
		uv_run(&g.loop, UV_RUN_ONCE);
	assert_int_equal(g.c.log_workers.n, LOG_WORKERS_MAX);
	let_go(&g);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(g.jobs[i].reads, 1);
		assert_int_equal(g.jobs[i].done, 1);
	}
	assert_int_equal(g.c.log_workers.n, 0);
	end(&g);
}

static void who_waits_can_leave_and_come_again(void **state)
{
	struct rig g;

	(void)state;
	begin(&g);
	assert_false(log_work_cancel(&g.jobs[0].work)); /* a worker has it */
	assert_true(log_work_cancel(&g.jobs[3].work));
	assert_false(log_work_cancel(&g.jobs[3].work));
	assert_true(log_work_cancel(&g.jobs[4].work));
	log_work_start(&g.c, &g.jobs[4].work);
	let_go(&g);
	assert_int_equal(g.jobs[3].reads + g.jobs[3].done, 0);
	assert_int_equal(g.jobs[4].reads, 1);
	assert_int_equal(g.jobs[5].done, 1);
	end(&g);
}

static void at_the_end_nobody_waits(void **state)
{
	struct rig g;

	(void)state;
	begin(&g);
	log_work_close(&g.c);
	for (int i = LOG_WORKERS_MAX; i < JOBS; i++)
		assert_int_equal(g.jobs[i].refused, 1);
	let_go(&g);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(g.jobs[i].reads, i < LOG_WORKERS_MAX);
		assert_int_equal(g.jobs[i].done, 1);
	}
	end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hung_disk_leaves_workers_to_others),
		cmocka_unit_test(who_waits_can_leave_and_come_again),
		cmocka_unit_test(at_the_end_nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
