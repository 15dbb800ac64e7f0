/*
 * test_keep: what is too old goes, also of a service that this process never saw writing: it was
 * stopped or deleted before. A few at a time, and nothing is to be done when nothing is due.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/keep.h"
#include "daemon/logger/keep_age.h"
#include "daemon/logger/store.h"
#include "lib/clock.h"
#include "tests/unit/log_rig.h"

#define HOUR INT64_C(3600000)

/* The file of a service below the log directory; "" = the directory itself. */
static const char *path_of(const struct log_rig *p, const char *service, const char *name,
			   char *buf)
{
	snprintf(buf, 256, "%s/%s/%s", p->dir, service, name);
	return buf;
}

static bool is_there(const struct log_rig *p, const char *service, const char *name)
{
	char path[256];

	return access(path_of(p, service, name, path), F_OK) == 0;
}

/* A segment that was written to last so long ago. */
static void put(const struct log_rig *p, const char *service, const char *replica, int64_t age_ms)
{
	static const enum logidx_kind kinds[] = {LOGIDX_LOG, LOGIDX_IDX};
	int64_t wall_s = (clock_wall_ms() - age_ms) / 1000;
	const struct timespec times[2] = {{.tv_sec = wall_s}, {.tv_sec = wall_s}};
	char path[256], name[LOGIDX_NAME_SIZE], inside[128];

	mkdir(path_of(p, service, "", path), 0750);
	mkdir(path_of(p, service, replica, path), 0750);
	for (int i = 0; i < 2; i++) {
		int fd;

		snprintf(inside, sizeof(inside), "%s/%s", replica,
			 logidx_name(name, INC_A, 1, kinds[i]));
		fd = open(path_of(p, service, inside, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "line\n", 5), 5);
		close(fd);
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	}
}

/* A segment of the service is closed in a process of its own. */
static void tell_age(const struct log_rig *p, const char *service, int64_t max_age_ms)
{
	struct keep_limits l = {.service = service,
				.max_size = 1 << 20,
				.max_files = 10,
				.max_age_ms = max_age_ms,
				.incarnation = INC_B};
	struct store st;

	assert_int_equal(store_init(&st, p->dir), 0);
	keep_closed(&st, &l);
	store_done(&st);
}

static void of_a_service_that_is_gone(void **state)
{
	struct log_rig *p = *state;
	struct store st;
	int64_t due;

	put(p, "old", "0", 2 * HOUR);
	put(p, "old", "1", HOUR / 2);
	put(p, "any", "0", 2 * HOUR);
	tell_age(p, "old", HOUR);
	tell_age(p, "any", HOUR);
	tell_age(p, "any", 0);
	assert_true(is_there(p, "old", KEEP_AGE_NAME));
	assert_false(is_there(p, "any", KEEP_AGE_NAME));
	assert_int_equal(store_init(&st, p->dir), 0);
	assert_in_range(st.due_wall_ms, clock_wall_ms(), clock_wall_ms() + KEEP_RECALL_MS);
	keep_aged(&st);
	due = st.due_wall_ms - clock_wall_ms();
	assert_false(is_there(p, "old/0", "0000000003e8aaaaaaaaaaaaaaaaaaaa.1.log"));
	assert_true(is_there(p, "old/1", "") && is_there(p, "any/0", ""));
	assert_in_range(due, HOUR / 2 - 5000, HOUR / 2);
	store_done(&st);
	put(p, "old", "1", 3 * HOUR);
	assert_int_equal(store_init(&st, p->dir), 0);
	keep_aged(&st);
	assert_false(is_there(p, "old", "")); /* nothing of it is left */
	assert_int_equal(st.due_wall_ms, KEEP_NEVER);
	put(p, "old", "0", 0); /* it is there again */
	keep_closed(&st, &(struct keep_limits){
				 .service = "old", .max_age_ms = HOUR, .incarnation = INC_B});
	assert_true(is_there(p, "old", KEEP_AGE_NAME));
	store_done(&st);
}

static bool uses_all(void *user, const char *incarnation, uint32_t seq)
{
	(void)user;
	(void)incarnation;
	(void)seq;
	return true;
}

static void what_is_written_to_stays(void **state)
{
	struct log_rig *p = *state;
	struct store st;

	put(p, "svc", "0", 2 * HOUR);
	tell_age(p, "svc", HOUR);
	assert_int_equal(store_init(&st, p->dir), 0);
	st.in_use = uses_all;
	keep_aged(&st);
	assert_true(is_there(p, "svc/0", ""));
	assert_int_equal(st.due_wall_ms, KEEP_NEVER);
	store_done(&st);
}

static void a_few_at_a_time(void **state)
{
	struct log_rig *p = *state;
	unsigned steps = 0, left = 200, before;
	char name[16];
	struct store st;

	for (unsigned i = 0; i < left; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		put(p, name, "0", 2 * HOUR);
		tell_age(p, name, HOUR);
	}
	assert_int_equal(store_init(&st, p->dir), 0);
	do {
		before = left;
		keep_aged(&st);
		left = 0;
		for (unsigned i = 0; i < 200; i++) {
			snprintf(name, sizeof(name), "s%u", i);
			left += is_there(p, name, "");
		}
		assert_in_range(before - left, 0, 16);
		assert_int_equal(st.due_wall_ms == KEEP_NEVER, left == 0);
		assert_true(++steps < 30);
	} while (left > 0);
	store_done(&st);
}

static void what_makes_no_sense(void **state)
{
	static const char *const bad[] = {"", "\n", "x\n", "-5\n", "5", "99999999999999999999\n"};
	struct log_rig *p = *state;
	char path[256], other[256];
	int dir_fd;

	put(p, "svc", "0", 0);
	dir_fd = open(path_of(p, "svc", "", path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	path_of(p, "svc", KEEP_AGE_NAME, path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

		assert_int_equal(write(fd, bad[i], strlen(bad[i])), strlen(bad[i]));
		close(fd);
		assert_int_equal(keep_age_read(dir_fd), 0);
	}
	assert_true(keep_age_write(dir_fd, HOUR));
	assert_int_equal(keep_age_read(dir_fd), HOUR);
	assert_int_equal(rename(path, path_of(p, "svc", "elsewhere", other)), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(keep_age_read(dir_fd), 0);
	close(dir_fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, log_rig_setup, log_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_a_service_that_is_gone),
		TEST(what_is_written_to_stays),
		TEST(a_few_at_a_time),
		TEST(what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
