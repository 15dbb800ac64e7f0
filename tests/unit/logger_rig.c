/* logger_rig: see logger_rig.h. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/lib/logcheck.h"
#include "tests/unit/logger_rig.h"

#define SLOW_BYTES 180000 /* the last of a writer that is held */

void logger_rig_nap(long us)
{
	struct timespec t = {.tv_nsec = us * 1000};

	nanosleep(&t, NULL);
}

int logger_rig_setup(void **state)
{
	struct logger_rig *h = mem_alloc(sizeof(*h));

	assert_non_null(h);
	snprintf(h->dir, sizeof(h->dir), "/tmp/aictl-test-logger-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	snprintf(h->sup, sizeof(h->sup), "/tmp/aictl-test-sup-XXXXXX");
	assert_non_null(mkdtemp(h->sup));
	h->next = -1;
	h->intents = memfd_create("intents", MFD_CLOEXEC);
	assert_int_equal(ftruncate(h->intents, LOGGER_RIG_SLOTS * 8), 0);
	assert_int_equal(pipe2(h->ownlog, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(pipe2(h->err, O_CLOEXEC), 0);
	h->sock = -1;
	*state = h;
	return 0;
}

void logger_rig_reap(struct logger_rig *h, int sig)
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

void logger_rig_end_service(struct logger_rig *h)
{
	if (h->service <= 0)
		return;
	kill(h->service, SIGKILL);
	assert_int_equal(waitpid(h->service, NULL, 0), h->service);
	h->service = 0;
}

int logger_rig_teardown(void **state)
{
	struct logger_rig *h = *state;

	logger_rig_reap(h, SIGKILL);
	logger_rig_end_service(h);
	mem_closep(&h->next);
	close(h->intents);
	for (int i = 0; i < 2; i++) {
		mem_closep(&h->ownlog[i]);
		mem_closep(&h->err[i]);
	}
	logcheck_remove(h->dir);
	logcheck_remove(h->sup);
	mem_free(h);
	return 0;
}

void logger_rig_exec(const struct logger_rig *h, int sock)
{
	const char *program = getenv("AICTL_LOGGER");

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* it would outlive an interrupted test */
	if (dup2(h->err[1], 2) < 0)
		_exit(126);
	if (sock == WIRE_HELPER_FD)
		fcntl(sock, F_SETFD, 0);
	else if (dup2(sock, WIRE_HELPER_FD) < 0)
		_exit(126);
	execl(program ? program : "./aictl-logger", "aictl-logger", "--log-dir", h->dir,
	      "--sup-dir", h->sup, (char *)NULL);
	_exit(127);
}

void logger_rig_start(struct logger_rig *h)
{
	struct wire_hello hello = {
		.version = PKGVERSION, .aictld_pid = getpid(), .log_level = LOG_LVL_WARN};
	_cleanup_buf_ struct buf b = {0};
	int pair[2];

	assert_int_equal(sock_pair(pair), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0)
		logger_rig_exec(h, pair[1]);
	close(pair[1]);
	h->sock = pair[0];
	wire_encode_hello(&b, &hello);
	assert_int_equal(wire_send(h->sock, &b, (int[]){h->intents, h->ownlog[0]}, 2), 0);
}

void logger_rig_send_stream_of(struct logger_rig *h, const char *service, uint32_t slot,
			       const int *fds, unsigned n)
{
	struct wire_stream m = {.key = {.incarnation = LOGGER_RIG_INCARNATION},
				.intent_index = slot,
				.logs.max_size = 1 << 20,
				.logs.max_files = 500};
	_cleanup_buf_ struct buf b = {0};

	snprintf(m.key.service, sizeof(m.key.service), "%s", service);
	wire_encode_stream(&b, &m);
	assert_int_equal(wire_send(h->sock, &b, fds, n), 0);
}

void logger_rig_send_stream(struct logger_rig *h, const char *service, uint32_t slot,
			    const int *fds)
{
	logger_rig_send_stream_of(h, service, slot, fds, 2);
}

void logger_rig_say(struct logger_rig *h, enum wire_type type)
{
	_cleanup_buf_ struct buf b = {0};

	wire_encode_empty(&b, type);
	assert_int_equal(wire_send(h->sock, &b, NULL, 0), 0);
}

bool logger_rig_next_packet(struct logger_rig *h, int64_t ms)
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

void logger_rig_expect_drained(struct logger_rig *h, const char *service)
{
	struct wire_key key;

	assert_true(logger_rig_next_packet(h, LOGGER_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_DRAINED);
	assert_int_equal(wire_decode_key(h->packet.body, h->packet.len, &key), 0);
	assert_string_equal(key.service, service);
	assert_string_equal(key.incarnation, LOGGER_RIG_INCARNATION);
	wire_packet_done(&h->packet);
}

void logger_rig_ping(struct logger_rig *h)
{
	logger_rig_say(h, WIRE_PING);
	assert_true(logger_rig_next_packet(h, LOGGER_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_PONG);
	wire_packet_done(&h->packet);
}

unsigned logger_rig_random(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

/* Writes its lines in pieces of any length, now and then with a pause. */
static void *write_lines(void *arg)
{
	struct logger_rig_writer *w = arg;
	char *text = mem_array(w->n, 10);
	size_t len = 0, at = 0;

	for (size_t i = 0; i < w->n; i++)
		len += (size_t)snprintf(text + len, 10, "%c%07zu\n", w->tag, i);
	while (at < len) {
		size_t n = 1 + logger_rig_random(&w->seed) %
				       (logger_rig_random(&w->seed) % 8 ? 60 : 9000);
		bool slow = w->hold && len - at < SLOW_BYTES && atomic_load(w->hold);
		ssize_t k;

		if (slow) {
			n = 1;
			logger_rig_nap(400);
		}
		k = write(w->fd, text + at, n < len - at ? n : len - at);
		if (k < 0)
			break;
		at += (size_t)k;
		if (logger_rig_random(&w->seed) % 2 == 0)
			logger_rig_nap(400);
	}
	close(w->fd);
	mem_free(text);
	return NULL;
}

void logger_rig_start_writer(struct logger_rig_writer *w, int fds[2], int which, size_t n,
			     const atomic_bool *hold)
{
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fds[which] = p[0];
	*w = (struct logger_rig_writer){.fd = p[1],
					.tag = which ? 'e' : 'o',
					.n = n,
					.hold = hold,
					.seed = 17u + (unsigned)which};
	assert_int_equal(pthread_create(&w->thread, NULL, write_lines, w), 0);
}

/* Kills and restarts until the bytes are all there; returns the number of kills. */