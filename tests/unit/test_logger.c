/*
 * test_logger: the program itself over its socket: messages, kill -9 at random moments with two
 * numbered pipes in one segment, own log, the end of aictld.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/lib/logcheck.h"
#include "tests/unit/logger_rig.h"

static void ping_is_answered(void **state)
{
	struct logger_rig *h = *state;

	logger_rig_start(h);
	logger_rig_ping(h);
	logger_rig_say(h, WIRE_QUIT);
	logger_rig_reap(h, 0);
}

/* ---- kill -9 ---- */

static unsigned kill_campaign(struct logger_rig *h, const int *fds, unsigned kills)
{
	unsigned done = 0, seed = 4711;

	logger_rig_start(h);
	logger_rig_send_stream(h, "svc", 7, fds);
	while (done < kills) {
		logger_rig_nap(300 + logger_rig_random(&seed) % 6000);
		if (logger_rig_next_packet(h, 0)) { /* drained */
			wire_packet_done(&h->packet);
			break;
		}
		logger_rig_reap(h, SIGKILL);
		done++;
		logger_rig_start(h);
		logger_rig_send_stream(h, "svc", 7, fds);
		if (logger_rig_random(&seed) % 3 == 0)
			logger_rig_send_stream(h, "svc", 7, fds); /* resending is harmless */
	}
	return done;
}

static void kills_lose_and_double_nothing(void **state)
{
	struct logger_rig *h = *state;
	size_t n = 700000;
	struct logger_rig_writer w[2];
	struct logcheck c;
	char dir[128];
	unsigned kills;
	int fds[2];

	logger_rig_start_writer(&w[0], fds, 0, n, NULL);
	logger_rig_start_writer(&w[1], fds, 1, n, NULL);
	kills = kill_campaign(h, fds, 600);
	print_message("%u kills\n", kills);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
	logger_rig_reap(h, SIGKILL); /* once more, and then until it is drained */
	logger_rig_start(h);
	logger_rig_send_stream(h, "svc", 7, fds);
	logger_rig_expect_drained(h, "svc");
	snprintf(dir, sizeof(dir), "%s/svc/0", h->dir);
	logcheck_read(dir, &c);
	print_message("%zu segments, %zu entries\n", c.segments, c.entries);
	assert_string_equal(c.problem, "");
	assert_null(logcheck_numbered(&c.streams[0], 'o', n));
	assert_null(logcheck_numbered(&c.streams[1], 'e', n));
	assert_true(kills >= 100);
	logcheck_done(&c);
	close(fds[0]);
	close(fds[1]);
}

/* ---- the rest ---- */

static void what_is_readable_is_stored_at_the_end(void **state)
{
	struct logger_rig *h = *state;
	struct logcheck c;
	char dir[128];
	int out[2], err[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	logger_rig_start(h);
	kill(h->pid, SIGSTOP);
	logger_rig_send_stream(h, "svc", 1, (int[]){out[0], err[0]});
	assert_int_equal(write(out[1], "no newline", 10), 10);
	logger_rig_say(h, WIRE_QUIT);
	mem_closep(&h->sock);
	kill(h->pid, SIGCONT);
	logger_rig_reap(h, 0);
	snprintf(dir, sizeof(dir), "%s/svc/0", h->dir);
	logcheck_read(dir, &c);
	assert_string_equal(c.problem, "");
	assert_string_equal(buf_cstr(&c.streams[0]), "no newline");
	logcheck_done(&c);
	for (int i = 0; i < 2; i++) {
		close(out[i]);
		close(err[i]);
	}
}

static void many_silent_services_make_no_file(void **state)
{
	struct logger_rig *h = *state;
	char name[32];
	int p[2];

	logger_rig_start(h);
	for (uint32_t i = 0; i < LOGGER_RIG_SLOTS; i++) {
		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		snprintf(name, sizeof(name), "svc%u", i);
		logger_rig_send_stream(h, name, i, (int[]){p[0], p[0]});
		close(p[1]); /* end of file at once */
		logger_rig_expect_drained(h, name);
		close(p[0]);
	}
	assert_int_equal(rmdir(h->dir), 0); /* empty */
	assert_int_equal(mkdir(h->dir, 0755), 0);
}

/* The next LOG_FAULT, of any. */
static struct wire_log_fault next_fault(struct logger_rig *h)
{
	struct wire_log_fault m;
	struct wire_key key;

	assert_true(logger_rig_next_packet(h, LOGGER_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_LOG_FAULT);
	assert_int_equal(wire_logs_decode_fault(h->packet.body, h->packet.len, &key, &m), 0);
	wire_packet_done(&h->packet);
	return m;
}

/* A service with a file where its directory should be, and a line. */
static void begin_stalled(struct logger_rig *h, const char *name, uint32_t slot, int pipes[4])
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	fd = open(path, O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(pipe2(pipes + 2, O_CLOEXEC), 0);
	logger_rig_send_stream(h, name, slot, (int[]){pipes[0], pipes[2]});
	assert_int_equal(write(pipes[1], "a line\n", 7), 7);
}

static void end_stalled(struct logger_rig *h, const char *name, int pipes[4])
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(next_fault(h).state, WIRE_LOG_OK);
	close(pipes[1]);
	close(pipes[3]);
	logger_rig_expect_drained(h, name); /* and nothing else */
	close(pipes[0]);
	close(pipes[2]);
}

/* The first at once; what follows at once is told when a second has passed. */
static void what_cannot_be_stored_is_told(void **state)
{
	struct logger_rig *h = *state;
	int a[4], b[4];
	int64_t told;

	logger_rig_start(h);
	begin_stalled(h, "a", 7, a);
	assert_int_equal(next_fault(h).state, WIRE_LOG_STALLED);
	told = clock_mono_ms();
	begin_stalled(h, "b", 8, b);
	assert_int_equal(next_fault(h).state, WIRE_LOG_STALLED);
	assert_true(clock_mono_ms() - told > 800);
	end_stalled(h, "a", a);
	end_stalled(h, "b", b);
}

static void own_log_lines_come_whole(void **state)
{
	struct logger_rig *h = *state;
	char got[64] = {0};
	size_t len = 0;

	logger_rig_start(h);
	assert_int_equal(write(h->ownlog[1], "first\nsec", 9), 9);
	while (len < 6)
		len += (size_t)read(h->err[0], got + len, sizeof(got) - 1 - len);
	assert_string_equal(got, "first\n");
	assert_int_equal(write(h->ownlog[1], "ond\n", 4), 4);
	while (len < 13)
		len += (size_t)read(h->err[0], got + len, sizeof(got) - 1 - len);
	assert_string_equal(got, "first\nsecond\n");
}

static void another_build_is_refused(void **state)
{
	struct logger_rig *h = *state;
	struct wire_hello hello = {.version = "0.0.0-other"};
	_cleanup_buf_ struct buf b = {0};
	int status;

	logger_rig_start(h);
	wire_encode_hello(&b, &hello);
	assert_int_equal(wire_send(h->sock, &b, (int[]){h->intents, h->ownlog[0]}, 2), 0);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	h->pid = 0;
	mem_closep(&h->sock);
}

/* How many threads of it have one single descriptor. */
static unsigned threads_with_one(pid_t pid)
{
	char path[64];
	unsigned found = 0;
	struct dirent *task;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((task = readdir(tasks))) {
		char fds[sizeof(path) + sizeof(task->d_name) + 8];
		struct dirent *fd;
		unsigned n = 0;
		DIR *d;

		snprintf(fds, sizeof(fds), "%s/%s/fd", path, task->d_name);
		d = task->d_name[0] == '.' ? NULL : opendir(fds);
		while (d && (fd = readdir(d)))
			n += fd->d_name[0] != '.';
		if (d)
			closedir(d);
		found += d && n == 1;
	}
	closedir(tasks);
	return found;
}

/* The end of the pipe is held by a thread that nothing else holds: one that waits for a disk does not. */
static void a_witness_sees_its_death(void **state)
{
	struct logger_rig *h = *state;
	struct wire_hello hello = {.version = PKGVERSION};
	_cleanup_buf_ struct buf b = {0};
	int vault[2], witness[2], pair[2];
	struct pollfd p = {.events = POLLIN};

	assert_int_equal(pipe2(witness, O_CLOEXEC), 0);
	assert_int_equal(sock_pair(vault), 0);
	assert_int_equal(sock_pair(pair), 0);
	h->pid = fork();
	if (h->pid == 0)
		logger_rig_exec(h, pair[1]);
	close(pair[1]);
	h->sock = pair[0];
	wire_encode_hello(&b, &hello);
	assert_int_equal(
		wire_send(h->sock, &b, (int[]){h->intents, h->ownlog[0], vault[1], witness[1]}, 4),
		0);
	close(witness[1]);
	logger_rig_ping(h);
	p.fd = witness[0];
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(threads_with_one(h->pid), 1);
	kill(h->pid, SIGKILL);
	assert_int_equal(poll(&p, 1, LOGGER_RIG_DEADLINE_MS), 1);
	logger_rig_reap(h, 0);
	close(witness[0]);
	close(vault[0]);
	close(vault[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, logger_rig_setup, logger_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ping_is_answered),
		TEST(kills_lose_and_double_nothing),
		TEST(what_is_readable_is_stored_at_the_end),
		TEST(many_silent_services_make_no_file),
		TEST(what_cannot_be_stored_is_told),
		TEST(own_log_lines_come_whole),
		TEST(another_build_is_refused),
		TEST(a_witness_sees_its_death),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
