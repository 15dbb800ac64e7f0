/*
 * spawn: many children at once, each with its own descriptors and nothing of ours; seats come back,
 * also from children that die before they leave theirs, and when there is none a start works as well.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/spawn.h"
#include "daemon/wire/wire.h"
#include "lib/err.h"

#define MANY 200
#define DEADLINE_MS 30000

struct kid {
	struct spawn_job job;
	struct spawn_cell cell;
	char script[128];
	char *argv[4];
	int pid, pidfd, out;
};

extern char **environ;

static struct spawner *new_spawner(void)
{
	static struct spawner s;
	struct err *e = NULL;

	assert_int_equal(spawn_init(&s, &e), 0);
	s.lock_fd = fcntl(s.null_fd, F_DUPFD_CLOEXEC, SPAWN_LOW_FDS);
	assert_true(s.lock_fd >= SPAWN_LOW_FDS);
	return &s;
}

static void start_script(struct spawner *s, struct kid *k, const char *script)
{
	static char sh[] = "/bin/sh", c[] = "-c";
	static char *const paths[] = {sh, NULL};
	int ends[2], pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	snprintf(k->script, sizeof(k->script), "%s", script);
	k->argv[0] = sh;
	k->argv[1] = c;
	k->argv[2] = k->script;
	k->argv[3] = NULL;
	k->out = ends[0];
	k->job = (struct spawn_job){.paths = paths,
				    .exec_fd = -1,
				    .argv = k->argv,
				    .envp = environ,
				    .umask = 022,
				    .fds = {s->null_fd, ends[1], s->null_fd},
				    .n_fds = 3,
				    .cell = &k->cell};
	pid = spawn_start(s, &k->job, &k->pidfd);
	assert_true(pid > 0);
	k->pid = pid;
	close(ends[1]); /* at once, as aictld does: the child has its own or the seat's */
}

/* It prints its number and its descriptors: 0, 1, 2 and the one that looks. */
static void start(struct spawner *s, struct kid *k, int number)
{
	char script[96];

	snprintf(script, sizeof(script), "echo %d $(ls /proc/self/fd | wc -l)", number);
	start_script(s, k, script);
}

/* As aictld's loop does it: EOF of the error pipe frees the memory. */
static void finish(struct spawner *s, struct kid *k)
{
	for (;;) {
		struct pollfd p = {.fd = k->job.gone_fd, .events = POLLIN};

		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		if (spawn_gone(s, &k->job))
			break;
	}
	spawn_finish(s, &k->job);
}

static void check_output(struct kid *k, int number)
{
	char line[64] = "", expected[64];
	size_t n = 0;
	ssize_t r;

	while ((r = read(k->out, line + n, sizeof(line) - 1 - n)) > 0)
		n += (size_t)r;
	snprintf(expected, sizeof(expected), "%d 4\n", number);
	assert_string_equal(line, expected);
	close(k->out);
	assert_int_equal(waitpid(k->pid, NULL, 0), k->pid);
	close(k->pidfd);
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int taken(const struct spawner *s)
{
	int n = 0;

	for (int i = 0; i < s->n_seats; i++)
		n += s->seats[i].job != NULL;
	return n;
}

static void test_many_at_once(void **state)
{
	static struct kid kids[MANY];
	struct spawner *s = new_spawner();
	int before = count_fds();

	(void)state;
	assert_true(s->n_seats > 0);
	for (int i = 0; i < MANY; i++)
		start(s, &kids[i], i);
	for (int i = 0; i < MANY; i++)
		finish(s, &kids[i]);
	for (int i = 0; i < MANY; i++)
		check_output(&kids[i], i);
	assert_int_equal(taken(s), 0);
	assert_int_equal(count_fds(), before);
	spawn_done(s);
}

static void test_without_a_seat(void **state)
{
	static struct kid kids[3];
	struct spawner *s = new_spawner();
	int seats = s->n_seats;

	(void)state;
	s->n_seats = 0;
	for (int i = 0; i < 3; i++)
		start(s, &kids[i], i);
	for (int i = 0; i < 3; i++)
		assert_null(kids[i].job.seat);
	for (int i = 0; i < 3; i++) {
		finish(s, &kids[i]);
		check_output(&kids[i], i);
	}
	s->n_seats = seats;
	spawn_done(s);
}

/* What lies above the first seat is never copied: the table of a child stays a small one. */
static void test_copies_little(void **state)
{
	static const char script[] = "while read k v; do case $k in FDSize:) echo $v;; esac; done "
				     "</proc/self/status";
	struct spawner *s = new_spawner();
	char text[16] = "", expected[16];
	int size = 64; /* the smallest there is; a power of two */
	struct kid k;

	(void)state;
	while (size <= s->seats[0].fds[SPAWN_SEAT_FDS - 1])
		size *= 2;
	snprintf(expected, sizeof(expected), "%d\n", size);
	if (s->seats[s->n_seats - 1].fds[0] < size)
		skip(); /* few seats: with all of them it is no larger */
	start_script(s, &k, script);
	finish(s, &k);
	assert_int_equal(waitpid(k.pid, NULL, 0), k.pid);
	assert_true(read(k.out, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, expected);
	close(k.pidfd);
	close(k.out);
	spawn_done(s);
}

/* One that is killed at any moment gives its seat back when it is reaped. */
static void test_killed_on_its_seat(void **state)
{
	struct spawner *s = new_spawner();
	struct kid k;
	int before = count_fds();

	(void)state;
	for (int i = 0; i < 100; i++) {
		start(s, &k, i);
		kill(k.pid, SIGKILL);
		assert_int_equal(waitpid(k.pid, NULL, 0), k.pid);
		spawn_finish(s, &k.job);
		close(k.pidfd);
		close(k.out);
		assert_int_equal(taken(s), 0);
	}
	assert_int_equal(count_fds(), before);
	spawn_done(s);
}

/* Nobody reads its error pipe any more, as when aictld has died: it is started all the same. */
static void test_goes_on_alone(void **state)
{
	static struct kid k;
	struct spawner *s = new_spawner();
	struct pollfd ended = {.events = POLLIN};
	sigset_t all, before;

	(void)state;
	sigfillset(&all); /* as in aictld */
	sigprocmask(SIG_SETMASK, &all, &before);
	close(s->spare[0]);
	close(s->spare[1]);
	assert_int_equal(pipe2(s->spare, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(dup3(s->null_fd, s->spare[0], O_CLOEXEC), s->spare[0]);
	start(s, &k, 7);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_non_null(k.job.seat);
	ended.fd = k.pidfd;
	assert_int_equal(poll(&ended, 1, DEADLINE_MS), 1);
	spawn_finish(s, &k.job);
	check_output(&k, 7);
	spawn_done(s);
}

/* With few descriptors to have there are few seats. */
static void test_few_descriptors(void **state)
{
	struct spawner *s = new_spawner();

	(void)state;
	assert_true((uint64_t)s->n_seats * SPAWN_SEAT_FDS * 8 <= s->nofile.hard);
	spawn_done(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_at_once),  cmocka_unit_test(test_without_a_seat),
		cmocka_unit_test(test_copies_little), cmocka_unit_test(test_killed_on_its_seat),
		cmocka_unit_test(test_goes_on_alone), cmocka_unit_test(test_few_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
