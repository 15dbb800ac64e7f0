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

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/lib/logcheck.h"

#define INCARNATION "0199aaaabbbbccccddddeeeeffff0001"
#define DEADLINE_MS 60000
#define SLOTS 64

struct harness {
	char dir[64];
	int sock;      /* ours */
	int intents;   /* memfd, as aictld keeps it */
	int ownlog[2]; /* pipe of our own log */
	int err[2];    /* what becomes the logger's fd 2 */
	pid_t pid;
	struct wire_packet packet;
};

static void nap(long us)
{
	struct timespec t = {.tv_nsec = us * 1000};

	nanosleep(&t, NULL);
}

static int setup(void **state)
{
	struct harness *h = mem_alloc(sizeof(*h));

	assert_non_null(h);
	snprintf(h->dir, sizeof(h->dir), "/tmp/aictl-test-logger-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	h->intents = memfd_create("intents", MFD_CLOEXEC);
	assert_int_equal(ftruncate(h->intents, SLOTS * 8), 0);
	assert_int_equal(pipe2(h->ownlog, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(pipe2(h->err, O_CLOEXEC), 0);
	h->sock = -1;
	*state = h;
	return 0;
}

static void reap(struct harness *h, int sig)
{
	int status;

	if (h->pid <= 0)
		return;
	if (sig)
		kill(h->pid, sig);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	h->pid = 0;
	mem_closep(&h->sock);
}

static int teardown(void **state)
{
	struct harness *h = *state;

	reap(h, SIGKILL);
	close(h->intents);
	for (int i = 0; i < 2; i++) {
		mem_closep(&h->ownlog[i]);
		mem_closep(&h->err[i]);
	}
	logcheck_remove(h->dir);
	mem_free(h);
	return 0;
}

/* fd 3 of the child is the socket; everything else of ours closes by itself. */
static void exec_logger(int sock, int err, const char *dir)
{
	const char *program = getenv("AICTL_LOGGER");

	if (dup2(err, 2) < 0)
		_exit(126);
	if (sock == WIRE_HELPER_FD)
		fcntl(sock, F_SETFD, 0);
	else if (dup2(sock, WIRE_HELPER_FD) < 0)
		_exit(126);
	execl(program ? program : "./aictl-logger", "aictl-logger", "--log-dir", dir, (char *)NULL);
	_exit(127);
}

static void start(struct harness *h)
{
	struct wire_hello hello = {.version = PKGVERSION, .aictld_pid = getpid()};
	_cleanup_buf_ struct buf b = {0};
	int pair[2];

	assert_int_equal(sock_pair(pair), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0)
		exec_logger(pair[1], h->err[1], h->dir);
	close(pair[1]);
	h->sock = pair[0];
	wire_encode_hello(&b, &hello);
	assert_int_equal(wire_send(h->sock, &b, (int[]){h->intents, h->ownlog[0]}, 2), 0);
}

static void send_stream(struct harness *h, const char *service, uint32_t slot, const int *fds)
{
	struct wire_stream m = {.key = {.incarnation = INCARNATION},
				.intent_index = slot,
				.max_size = 1 << 20,
				.max_files = 500};
	_cleanup_buf_ struct buf b = {0};

	snprintf(m.key.service, sizeof(m.key.service), "%s", service);
	wire_encode_stream(&b, &m);
	assert_int_equal(wire_send(h->sock, &b, fds, 2), 0);
}

/* Waits for one packet; false when the socket ended or the time is over. */
static bool next_packet(struct harness *h, int64_t ms)
{
	int64_t deadline = clock_mono_ms() + ms;
	struct pollfd p = {.fd = h->sock, .events = POLLIN};

	for (;;) {
		int r = wire_recv(h->sock, &h->packet);

		if (r != -EAGAIN)
			return r == 1;
		if (clock_mono_ms() >= deadline)
			return false;
		poll(&p, 1, 50);
	}
}

static void expect_drained(struct harness *h, const char *service)
{
	struct wire_key key;

	assert_true(next_packet(h, DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_DRAINED);
	assert_int_equal(wire_decode_key(h->packet.body, h->packet.len, &key), 0);
	assert_string_equal(key.service, service);
	assert_string_equal(key.incarnation, INCARNATION);
	wire_packet_done(&h->packet);
}

static void ping_is_answered(void **state)
{
	struct harness *h = *state;
	_cleanup_buf_ struct buf b = {0};

	start(h);
	wire_encode_empty(&b, WIRE_PING);
	assert_int_equal(wire_send(h->sock, &b, NULL, 0), 0);
	assert_true(next_packet(h, DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_PONG);
	wire_packet_done(&h->packet);
	mem_closep(&h->sock); /* aictld is gone: it ends by itself */
	reap(h, 0);
}

/* ---- kill -9 ---- */

struct writer {
	pthread_t thread;
	int fd;
	char tag;
	size_t n;
	unsigned seed;
};

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

/* Writes its lines in pieces of any length, now and then with a pause. */
static void *write_lines(void *arg)
{
	struct writer *w = arg;
	char *text = mem_array(w->n, 10);
	size_t len = 0, at = 0;

	for (size_t i = 0; i < w->n; i++)
		len += (size_t)snprintf(text + len, 10, "%c%07zu\n", w->tag, i);
	while (at < len) {
		size_t n = 1 + next_random(&w->seed) % (next_random(&w->seed) % 8 ? 60 : 9000);
		ssize_t k = write(w->fd, text + at, n < len - at ? n : len - at);

		if (k < 0)
			break;
		at += (size_t)k;
		if (next_random(&w->seed) % 2 == 0)
			nap(400);
	}
	close(w->fd);
	mem_free(text);
	return NULL;
}

static void start_writer(struct writer *w, int fds[2], int which, size_t n)
{
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fds[which] = p[0];
	*w = (struct writer){
		.fd = p[1], .tag = which ? 'e' : 'o', .n = n, .seed = 17u + (unsigned)which};
	assert_int_equal(pthread_create(&w->thread, NULL, write_lines, w), 0);
}

/* Kills and restarts until the bytes are all there; returns the number of kills. */
static unsigned kill_campaign(struct harness *h, const int *fds, unsigned kills)
{
	unsigned done = 0, seed = 4711;

	start(h);
	send_stream(h, "svc", 7, fds);
	while (done < kills) {
		nap(300 + next_random(&seed) % 6000);
		if (next_packet(h, 0)) { /* drained */
			wire_packet_done(&h->packet);
			break;
		}
		reap(h, SIGKILL);
		done++;
		start(h);
		send_stream(h, "svc", 7, fds);
		if (next_random(&seed) % 3 == 0)
			send_stream(h, "svc", 7, fds); /* resending is harmless */
	}
	return done;
}

static void kills_lose_and_double_nothing(void **state)
{
	struct harness *h = *state;
	size_t n = 700000;
	struct writer w[2];
	struct logcheck c;
	char dir[128];
	unsigned kills;
	int fds[2];

	start_writer(&w[0], fds, 0, n);
	start_writer(&w[1], fds, 1, n);
	kills = kill_campaign(h, fds, 600);
	print_message("%u kills\n", kills);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
	reap(h, SIGKILL); /* once more, and then until it is drained */
	start(h);
	send_stream(h, "svc", 7, fds);
	expect_drained(h, "svc");
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
	struct harness *h = *state;
	struct logcheck c;
	char dir[128];
	int out[2], err[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	start(h);
	kill(h->pid, SIGSTOP);
	send_stream(h, "svc", 1, (int[]){out[0], err[0]});
	assert_int_equal(write(out[1], "no newline", 10), 10);
	mem_closep(&h->sock);
	kill(h->pid, SIGCONT);
	reap(h, 0);
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
	struct harness *h = *state;
	char name[32];
	int p[2];

	start(h);
	for (uint32_t i = 0; i < SLOTS; i++) {
		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		snprintf(name, sizeof(name), "svc%u", i);
		send_stream(h, name, i, (int[]){p[0], p[0]});
		close(p[1]); /* end of file at once */
		expect_drained(h, name);
		close(p[0]);
	}
	assert_int_equal(rmdir(h->dir), 0); /* empty */
	assert_int_equal(mkdir(h->dir, 0755), 0);
}

static void own_log_lines_come_whole(void **state)
{
	struct harness *h = *state;
	char got[64] = {0};
	size_t len = 0;

	start(h);
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
	struct harness *h = *state;
	struct wire_hello hello = {.version = "0.0.0-other"};
	_cleanup_buf_ struct buf b = {0};
	int status;

	start(h);
	wire_encode_hello(&b, &hello);
	assert_int_equal(wire_send(h->sock, &b, (int[]){h->intents, h->ownlog[0]}, 2), 0);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	h->pid = 0;
	mem_closep(&h->sock);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ping_is_answered),
		TEST(kills_lose_and_double_nothing),
		TEST(what_is_readable_is_stored_at_the_end),
		TEST(many_silent_services_make_no_file),
		TEST(own_log_lines_come_whole),
		TEST(another_build_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
