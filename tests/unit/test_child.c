/*
 * test_child: a child whose place another process takes, or cannot take; and one that is given away.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/child.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/loop.h"
#include "lib/mem.h"

static void on_exit_(void *user, const siginfo_t *si)
{
	*(int *)user = si->si_pid;
}

static int kid(void)
{
	int pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	return pid;
}

static void until_ended(struct supervisor *sup, const int *ended, int pid)
{
	kill(pid, SIGKILL);
	for (int i = 0; *ended != pid; i++) {
		assert_true(i < 1000);
		assert_int_equal(loop_once(&sup->loop, 20), 0);
	}
}

static void what_cannot_be_watched_replaces_nobody(void **state)
{
	struct supervisor *sup = mem_alloc(sizeof(*sup));
	int first = kid(), second = kid(), ended = 0, file;
	struct child c = {.sup = sup, .user = &ended, .on_exit = on_exit_};

	(void)state;
	assert_int_equal(loop_init(&sup->loop), 0);
	c.cell = &c.own_cell;
	assert_int_equal(child_adopt(&c, first, pidfd_open(first, 0)), 0);
	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(child_replace(&c, second, file) < 0); /* epoll takes no file */
	assert_int_equal(c.pid, first);
	assert_int_equal(fcntl(file, F_GETFD), -1);
	assert_int_equal(child_replace(&c, second, pidfd_open(second, 0)), 0);
	assert_int_equal(c.pid, second);
	assert_int_equal(child_replace(&c, first, pidfd_open(first, 0)), 0);
	assert_true(child_replace(&c, second, open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) < 0);
	until_ended(sup, &ended, first);
	kill(second, SIGKILL);
	waitpid(second, NULL, 0);
	loop_done(&sup->loop);
	mem_free(sup);
}

/* Who had it starts another one; both ends are told to whom they belong. */
static void what_is_given_away_ends_elsewhere(void **state)
{
	struct supervisor *sup = mem_alloc(sizeof(*sup));
	int first = kid(), second = kid(), ended = 0, left = 0, file;
	struct child c = {.sup = sup, .user = &ended, .on_exit = on_exit_};
	struct child to = {.sup = sup, .user = &left, .on_exit = on_exit_};

	(void)state;
	assert_int_equal(loop_init(&sup->loop), 0);
	c.cell = &c.own_cell;
	assert_true(child_move(&c, &to) < 0); /* it has none */
	assert_int_equal(child_adopt(&c, first, pidfd_open(first, 0)), 0);
	assert_int_equal(child_move(&c, &to), 0);
	assert_false(child_is_alive(&c));
	assert_true(child_is_alive(&to));
	assert_int_equal(child_adopt(&c, second, pidfd_open(second, 0)), 0);
	until_ended(sup, &left, first);
	assert_int_equal(ended, 0);
	assert_int_equal(waitpid(first, NULL, WNOHANG), -1); /* it was reaped */
	assert_true(child_is_alive(&c));
	assert_false(child_is_alive(&to));
	file = c.pidfd;
	c.pidfd = -1;
	assert_true(child_move(&c, &to) < 0);
	assert_int_equal(c.pid, second);
	c.pidfd = file;
	until_ended(sup, &ended, second);
	loop_done(&sup->loop);
	mem_free(sup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_watched_replaces_nobody),
		cmocka_unit_test(what_is_given_away_ends_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
