/*
 * test_former: a logger beside a thread of a former one that was killed and is still in a step: what
 * that may be about is left alone until it has ended.
 */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/capture_rig.h"

#include "daemon/logger/capture_keep.h"

static void file_path(const struct bench *b, char *path, size_t n, unsigned inc,
		      enum logidx_kind kind)
{
	char name[LOGIDX_NAME_SIZE], incarnation[40];

	snprintf(incarnation, sizeof(incarnation), INC, inc);
	snprintf(path, n, "%s/svc/0/%s", b->dir, logidx_name(name, incarnation, 1, kind));
}

#define MOUNT 7 /* of the set */

/* A former logger's thread, in a step. */
static void begin_former_on(struct bench *b, struct steps *former, struct steps_thread *t,
			    unsigned inc, uint64_t mount)
{
	struct intent_table *intents = &b->pool.intents;
	char incarnation[40];

	steps_init(former);
	steps_map(former, &intents->words[intents->n_slots]);
	b->set.store.steps = &intents->steps;
	b->set.store.mount = MOUNT;
	snprintf(incarnation, sizeof(incarnation), INC, inc);
	steps_begin(former, t, mount, inc == 0 ? STEPS_NOBODY : steps_id(incarnation));
}

static void begin_former(struct bench *b, struct steps *former, struct steps_thread *t,
			 unsigned inc)
{
	begin_former_on(b, former, t, inc, MOUNT);
}

/* Turns until it does so no more. */
static void turn_while_waiting(struct bench *b, const struct capture *c)
{
	int64_t until = clock_mono_ms() + DEADLINE_MS;

	while (c->waits && clock_mono_ms() < until)
		turn(b, 20);
	assert_false(c->waits);
}

static bool is_there(const struct bench *b)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/svc", b->dir);
	return access(path, F_OK) == 0;
}

/* Neither what its step is for, be its mount another one by now, nor what is on the same mount is touched
 * before it has ended. */
static void a_former_loggers_step_is_waited_for(void **state)
{
	struct bench *b = *state;

	for (unsigned inc = 1; inc <= 3; inc++) {
		struct steps_thread thread = {0};
		struct pipes p;
		struct capture *c;
		struct steps former;
		struct logcheck l;
		int n;

		begin_former_on(b, &former, &thread, inc == 2 ? 100 : inc, inc == 3 ? 9 : MOUNT);
		p = begin(b, "svc", inc, 1 << 20, 5);
		c = TAILQ_FIRST(&b->set.queues[CAPTURE_LIVING]);
		put(b, p.out, "one\n", 4);
		for (int i = 0; i < 20; i++)
			turn(b, 20);
		assert_true(c->waits);
		assert_int_equal(c->fault.state, FAULT_STALLED);
		assert_int_equal(c->fault.err, FAULT_HUNG);
		assert_int_equal(ioctl(p.out, FIONREAD, &n), 0);
		assert_int_equal(n, 4);
		assert_true(inc > 1 || !is_there(b));
		steps_end(&former, &thread);
		turn_while_waiting(b, c);
		assert_int_equal(c->fault.state, FAULT_OK);
		end(&p);
		wait_drained(b, inc);
		check(b, "svc", &l);
		logcheck_done(&l);
		steps_done(&former);
	}
	assert_int_equal(b->set.n_waits, 0);
}

/* Its half step is completed when it has ended, and not before. */
static void a_former_loggers_half_step_is_completed_after_it(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	struct steps_thread thread = {0};
	char log[256], incarnation[40];
	struct steps former;
	struct logcheck l;
	int fd;

	put(b, p.out, "one\n", 4);
	wait_taken(b, p.out);
	end(&p);
	capture_set_done(&b->set); /* the logger is killed */
	assert_int_equal(capture_set_init(&b->set, &b->loop, b->dir, &b->pool), 0);
	snprintf(incarnation, sizeof(incarnation), INC, 1);
	intent_set(&b->pool.intents.words[1], incarnation, 2, 4);
	begin_former(b, &former, &thread, 1);
	p = begin(b, "svc", 1, 1 << 20, 5);
	put(b, p.out, "three\n", 6);
	turn(b, 20);
	file_path(b, log, sizeof(log), 1, LOGIDX_LOG);
	fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC); /* the disk answers */
	assert_int_equal(write(fd, "two\n", 4), 4);
	close(fd);
	steps_end(&former, &thread);
	turn_while_waiting(b, TAILQ_FIRST(&b->set.queues[CAPTURE_LIVING]));
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &l);
	assert_string_equal(buf_cstr(&l.streams[0]), "one\nthree\n");
	assert_string_equal(buf_cstr(&l.streams[1]), "two\n");
	logcheck_done(&l);
	steps_done(&former);
}

/* One that has said nothing need not be stored, and ends. */
static void silent_ones_do_not_wait_for_a_former_logger(void **state)
{
	struct bench *b = *state;
	struct steps_thread thread = {0};
	struct steps former;
	struct capture *c;
	struct pipes p;

	begin_former(b, &former, &thread, 2);
	p = begin(b, "svc", 1, 1 << 20, 5);
	c = TAILQ_FIRST(&b->set.queues[CAPTURE_LIVING]);
	assert_true(c->waits);
	end(&p);
	capture_gone(&b->set, &c->key);
	wait_drained(b, 1);
	assert_int_equal(b->set.n_waits, 0);
	assert_false(is_there(b));
	steps_end(&former, &thread);
	steps_done(&former);
}

/* Nor is anything deleted or compressed there. */
static void nothing_is_kept_beside_a_former_logger(void **state)
{
	struct bench *b = *state;
	const struct wire_log_work all = {.what = WIRE_LOG_PRUNE, .id = 1, .index = -1};
	struct steps_thread thread = {0};
	struct wire_log_done done;
	struct steps former;
	int64_t until = clock_mono_ms() + DEADLINE_MS;

	begin_former(b, &former, &thread, 0);
	assert_true(capture_keep_ask(&b->set, &all));
	for (int i = 0; i < 10; i++)
		turn(b, 20);
	assert_false(capture_keep_answer(&b->set, &done));
	steps_end(&former, &thread);
	while (!capture_keep_answer(&b->set, &done)) {
		assert_true(clock_mono_ms() < until);
		turn(b, 20);
	}
	steps_done(&former);
}

/* What its pipes cannot hold is dropped, but for the one whose bytes the step may be about. */
static void who_drops_does_not_wait_for_a_former_logger(void **state)
{
	struct bench *b = *state;

	for (unsigned slot = 1; slot <= 2; slot++) {
		struct wire_stream m = {
			.intent_index = slot,
			.logs = {.max_size = 1 << 20, .max_files = 5, .flags = WIRE_LOGS_DROP},
			.key.service = "svc"};
		struct steps_thread thread = {0};
		int out[2], err[2], n;
		struct capture *c;
		struct steps former;
		struct logcheck l;
		char text[4096];

		memset(text, '\n', sizeof(text));
		begin_former(b, &former, &thread, 1);
		snprintf(m.key.incarnation, sizeof(m.key.incarnation), INC, slot);
		assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
		assert_int_equal(pipe2(err, O_CLOEXEC | O_NONBLOCK), 0);
		assert_int_equal(capture_add(&b->set, &m, (int[]){out[0], err[0], -1}), 0);
		c = TAILQ_FIRST(&b->set.queues[CAPTURE_LIVING]);
		while (write(out[1], text, sizeof(text)) > 0)
			;
		assert_int_equal(ioctl(out[1], FIONREAD, &n), 0);
		for (int64_t until = clock_mono_ms() + DEADLINE_MS;
		     c->fault.dropped_lines < 2 * (uint64_t)n && clock_mono_ms() < until;) {
			if (write(out[1], text, sizeof(text)) < 0)
				turn(b, 5);
			if (slot == 1 && clock_mono_ms() > until - DEADLINE_MS + 500)
				break;
		}
		assert_int_equal(c->fault.state, FAULT_DROPPING);
		assert_int_equal(c->fault.dropped_lines > 0, slot == 2);
		assert_true(slot == 2 || !is_there(b));
		steps_end(&former, &thread);
		turn_while_waiting(b, c);
		close(out[1]);
		close(err[1]);
		wait_drained(b, slot);
		check(b, "svc", &l);
		assert_int_equal(l.notes.len > 0, slot == 2);
		logcheck_done(&l);
		steps_done(&former);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_former_loggers_step_is_waited_for),
		TEST(a_former_loggers_half_step_is_completed_after_it),
		TEST(silent_ones_do_not_wait_for_a_former_logger),
		TEST(nothing_is_kept_beside_a_former_logger),
		TEST(who_drops_does_not_wait_for_a_former_logger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
