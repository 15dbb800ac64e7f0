/*
 * test_orphan: the logger when aictld has died; the test plays the next one on sup.sock.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/lib/logcheck.h"
#include "tests/unit/logger_rig.h"

#define ROUNDS 50

static void set_owner(struct logger_rig *h, pid_t pid)
{
	uint64_t word = (uint64_t)pid;

	assert_int_equal(pwrite(h->intents, &word, 8, (LOGGER_RIG_SLOTS - 1) * 8), 8);
}

static void start_service(struct logger_rig *h, int *ret_pidfd)
{
	h->service = fork();
	assert_true(h->service >= 0);
	if (h->service == 0) {
		close_range(3, ~0U, 0);
		for (;;)
			pause();
	}
	*ret_pidfd = (int)syscall(SYS_pidfd_open, h->service, 0);
	assert_true(*ret_pidfd >= 0);
}

/* The next aictld is there. */
static void listen_as_next(struct logger_rig *h)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	mem_closep(&h->next);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/sup.sock", h->sup);
	unlink(a.sun_path);
	h->next = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(h->next, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(h->next, 4), 0);
}

static void accept_join(struct logger_rig *h)
{
	struct pollfd p = {.fd = h->next, .events = POLLIN};
	struct wire_join m;

	mem_closep(&h->sock);
	assert_int_equal(poll(&p, 1, LOGGER_RIG_DEADLINE_MS), 1);
	h->sock = accept4(h->next, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(h->sock >= 0);
	assert_true(logger_rig_next_packet(h, LOGGER_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_JOIN);
	assert_int_equal(wire_giveback_decode_join(h->packet.body, h->packet.len, &m), 0);
	assert_int_equal(m.pid, h->pid);
	assert_int_equal(m.role, WIRE_ROLE_LOGGER);
	assert_string_equal(m.version, PKGVERSION);
	wire_packet_done(&h->packet);
}

/* One GIVE_BACK; fds[i] becomes -1 where there is none. */
static void expect_given(struct logger_rig *h, struct wire_give_back *m, int fds[3])
{
	unsigned n = 0;

	assert_true(logger_rig_next_packet(h, LOGGER_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_GIVE_BACK);
	assert_int_equal(wire_giveback_decode(h->packet.body, h->packet.len, m), 0);
	for (unsigned i = 0; i < 3; i++) {
		fds[i] = m->fds & 1u << i ? h->packet.fds[n] : -1;
		if (fds[i] >= 0)
			h->packet.fds[n++] = -1;
	}
	assert_int_equal(n, h->packet.n_fds);
	wire_packet_done(&h->packet);
}

static void expect_given_all(struct logger_rig *h)
{
	assert_true(logger_rig_next_packet(h, LOGGER_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_GIVE_BACK_END);
	wire_packet_done(&h->packet);
}

static void close_fds(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		mem_closep(&fds[i]);
}

static int unread(int fd)
{
	int n = -1;

	assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
	return n;
}

static void wait_read(int fd)
{
	int64_t deadline = clock_mono_ms() + LOGGER_RIG_DEADLINE_MS;

	while (unread(fd) > 0 && clock_mono_ms() < deadline)
		logger_rig_nap(1000);
	assert_int_equal(unread(fd), 0);
}

/* A service with two pipes: fds are read ends and the pidfd, w the write ends. */
static void start_stream(struct logger_rig *h, int fds[3], int w[2])
{
	for (int i = 0; i < 2; i++) {
		int p[2];

		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		fds[i] = p[0];
		w[i] = p[1];
	}
	start_service(h, &fds[2]);
	logger_rig_start(h);
	set_owner(h, h->pid);
	logger_rig_send_stream_of(h, "svc", 5, fds, 3);
	logger_rig_ping(h);
}

static void expect_stored(struct logger_rig *h, const char *text)
{
	struct logcheck c;
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/svc/0", h->dir);
	logcheck_read(dir, &c);
	assert_string_equal(c.problem, "");
	assert_string_equal(buf_cstr(&c.streams[0]), text);
	logcheck_done(&c);
}

static void what_it_holds_is_given_back(void **state)
{
	struct logger_rig *h = *state;
	struct wire_give_back m;
	int fds[3], w[2], given[3];
	char line[64] = {0};

	start_stream(h, fds, w);
	mem_closep(&h->sock); /* aictld dies */
	assert_int_equal(write(w[0], "alone\n", 6), 6);
	wait_read(fds[0]);					  /* it works on */
	assert_true(read(h->err[0], line, sizeof(line) - 1) > 0); /* and says so */
	assert_non_null(strstr(line, "aictl-logger"));
	listen_as_next(h);
	accept_join(h);
	expect_given(h, &m, given);
	assert_string_equal(m.stream.key.service, "svc");
	assert_string_equal(m.stream.key.incarnation, LOGGER_RIG_INCARNATION);
	assert_int_equal(m.stream.intent_index, 5);
	assert_int_equal(m.stream.logs.max_size, 1 << 20);
	assert_int_equal(m.stream.logs.max_files, 500);
	assert_false(m.stream.gone);
	assert_int_equal(m.fds, WIRE_GIVE_STDOUT | WIRE_GIVE_STDERR | WIRE_GIVE_PIDFD);
	expect_given_all(h);
	assert_int_equal(write(w[0], "later\n", 6), 6);
	logger_rig_ping(h);
	assert_int_equal(unread(given[0]), 6); /* no more its own to read */
	logger_rig_say(h, WIRE_QUIT);
	logger_rig_reap(h, 0);
	assert_int_equal(unread(given[0]), 6);
	expect_stored(h, "alone\n");
	close_fds(fds, 3);
	close_fds(given, 3);
	close_fds(w, 2);
}

static void it_reads_on_only_as_the_owner(void **state)
{
	struct logger_rig *h = *state;
	struct wire_give_back m;
	int fds[3], w[2], given[3];

	start_stream(h, fds, w);
	mem_closep(&h->sock);
	listen_as_next(h);
	accept_join(h);
	expect_given(h, &m, given);
	close_fds(given, 3);
	assert_int_equal(write(w[0], "one\n", 4), 4);
	mem_closep(&h->next);
	mem_closep(&h->sock); /* this aictld dies, too, and has started no logger */
	wait_read(fds[0]);
	set_owner(h, h->pid + 1); /* the next one has */
	listen_as_next(h);
	accept_join(h);
	expect_given(h, &m, given);
	close_fds(given, 3);
	expect_given_all(h);
	assert_int_equal(write(w[0], "two\n", 4), 4);
	mem_closep(&h->sock);
	accept_join(h); /* it comes again, but has read nothing */
	expect_given(h, &m, given);
	expect_given_all(h);
	logger_rig_ping(h);
	assert_int_equal(unread(fds[0]), 4);
	expect_stored(h, "one\n");
	logger_rig_say(h, WIRE_QUIT);
	logger_rig_reap(h, 0);
	close_fds(fds, 3);
	close_fds(given, 3);
	close_fds(w, 2);
}

/* How it ended, by a pidfd alone; -1 where the kernel does not tell. */
static int exit_code_of(int pidfd)
{
	struct {
		uint64_t mask, cgroupid;
		uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
		int32_t exit_code;
		uint32_t coredump_mask, spare;
	} info = {.mask = 8}; /* PIDFD_INFO_EXIT */

	if (ioctl(pidfd, _IOWR(0xFF, 11, info), &info) < 0 || !(info.mask & 8))
		return -1;
	return info.exit_code;
}

static void an_exit_is_kept(void **state)
{
	struct logger_rig *h = *state;
	struct wire_give_back m;
	int fds[3], w[2], given[3], own;

	start_stream(h, fds, w);
	close_fds(w, 2); /* its output ends before it does */
	wait_read(fds[0]);
	logger_rig_ping(h); /* not DRAINED */
	logger_rig_end_service(h);
	own = exit_code_of(fds[2]);
	logger_rig_expect_drained(h, "svc");
	close_fds(fds, 3);
	mem_closep(&h->sock); /* aictld heard it and died before it had reaped */
	listen_as_next(h);
	accept_join(h);
	expect_given(h, &m, given);
	assert_int_equal(m.fds, WIRE_GIVE_PIDFD);
	assert_true(m.stream.gone);
	assert_int_equal(exit_code_of(given[2]), own);
	assert_true(own == SIGKILL || own == -1);
	expect_given_all(h);
	logger_rig_say(h, WIRE_QUIT);
	logger_rig_reap(h, 0);
	close_fds(given, 3);
}

static void what_ended_meanwhile_is_stored_and_told(void **state)
{
	struct logger_rig *h = *state;
	struct wire_give_back m;
	int fds[3], w[2], given[3];

	start_stream(h, fds, w);
	mem_closep(&h->sock);
	assert_int_equal(write(w[0], "last\n", 5), 5);
	close_fds(w, 2);
	close_fds(fds, 3);
	logger_rig_end_service(h);
	for (int i = 0; i < 3; i++) { /* whenever it is asked, it does not lose it */
		listen_as_next(h);
		accept_join(h);
		expect_given(h, &m, given);
		assert_int_equal(m.fds & WIRE_GIVE_PIDFD, WIRE_GIVE_PIDFD);
		close_fds(given, 3);
		expect_given_all(h);
		if (m.fds == WIRE_GIVE_PIDFD)
			break;
		mem_closep(&h->next);
		mem_closep(&h->sock); /* it reads on, and sees the end */
		logger_rig_nap(50000);
	}
	assert_int_equal(m.fds, WIRE_GIVE_PIDFD);
	assert_true(m.stream.gone);
	logger_rig_say(h, WIRE_QUIT);
	logger_rig_reap(h, 0);
	expect_stored(h, "last\n");
}

static unsigned long switches(pid_t pid)
{
	char path[64], line[128];
	unsigned long n = 0, k;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &k) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &k) == 1)
			n += k;
	fclose(f);
	return n;
}

static void it_sleeps_while_nobody_comes(void **state)
{
	struct logger_rig *h = *state;
	int64_t deadline = clock_mono_ms() + LOGGER_RIG_DEADLINE_MS;
	unsigned long before, after = 0;
	int fds[3], w[2];

	start_stream(h, fds, w);
	mem_closep(&h->sock);
	do {
		before = after;
		for (int i = 0; i < 15; i++)
			logger_rig_nap(100000);
		after = switches(h->pid);
	} while (after != before && clock_mono_ms() < deadline);
	assert_int_equal(after, before); /* not once in 1.5 s */
	listen_as_next(h);		 /* and it is there at once all the same */
	accept_join(h);
	close_fds(fds, 3);
	close_fds(w, 2);
}

static void without_a_directory_it_ends(void **state)
{
	struct logger_rig *h = *state;
	int fds[3], w[2], status;

	start_stream(h, fds, w);
	mem_closep(&h->sock);
	assert_int_equal(write(w[0], "one\n", 4), 4);
	wait_read(fds[0]);
	assert_int_equal(rmdir(h->sup), 0);
	assert_int_equal(write(w[0], "two\n", 4), 4);
	wait_read(fds[0]); /* somebody writes: it reads */
	assert_int_equal(waitpid(h->pid, &status, WNOHANG), 0);
	logger_rig_end_service(h);
	close_fds(w, 2);
	logger_rig_reap(h, 0);
	expect_stored(h, "one\ntwo\n");
	close_fds(fds, 3);
	assert_int_equal(mkdir(h->sup, 0755), 0);
}

static void where_it_is_not_wanted_it_ends(void **state)
{
	struct logger_rig *h = *state;

	logger_rig_start(h);
	logger_rig_ping(h);
	mem_closep(&h->sock);
	listen_as_next(h);
	for (int i = 0; i < 5; i++)
		accept_join(h); /* and closes the one before */
	mem_closep(&h->sock);
	logger_rig_reap(h, 0);
}

static void before_hello_it_ends_with_aictld(void **state)
{
	struct logger_rig *h = *state;
	int pair[2];

	assert_int_equal(sock_pair(pair), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0)
		logger_rig_exec(h, pair[1]);
	close(pair[0]);
	close(pair[1]);
	logger_rig_reap(h, 0);
}

/*
 * aictld dies again and again, at times with its logger, at times before the hand-over is done. Each
 * new one starts a logger with what it got; lines come once and in order all the same.
 */
static void take_over(struct logger_rig *h, int fds[2], bool die_before_quit)
{
	_cleanup_buf_ struct buf b = {0};
	struct wire_give_back m;
	int given[3], old_sock;
	pid_t old = h->pid;

	listen_as_next(h);
	accept_join(h);
	expect_given(h, &m, given);
	expect_given_all(h);
	for (int i = 0; i < 2; i++) {
		if (given[i] < 0) /* at end of file, as ours is */
			continue;
		close(fds[i]);
		fds[i] = given[i];
	}
	if (die_before_quit) { /* it is the owner still, and comes again */
		mem_closep(&h->sock);
		return;
	}
	old_sock = h->sock;
	set_owner(h, 0);
	logger_rig_start(h);
	set_owner(h, h->pid);
	logger_rig_send_stream(h, "svc", 7, fds);
	wire_encode_empty(&b, WIRE_QUIT);
	assert_int_equal(wire_send(old_sock, &b, NULL, 0), 0);
	close(old_sock);
	assert_int_equal(waitpid(old, NULL, 0), old);
	mem_closep(&h->next);
}

/* At least ROUNDS of them, at most as many as there is time for. */
static unsigned handover_campaign(struct logger_rig *h, int *fds, unsigned rounds,
				  atomic_bool *writers_hold)
{
	unsigned done = 0, seed = 815;

	logger_rig_start(h);
	set_owner(h, h->pid);
	logger_rig_send_stream(h, "svc", 7, fds);
	while (done < rounds) {
		logger_rig_nap(300 + logger_rig_random(&seed) % 6000);
		if (logger_rig_next_packet(h, 0)) { /* drained */
			wire_packet_done(&h->packet);
			break;
		}
		atomic_store(writers_hold, ++done < ROUNDS);
		if (logger_rig_random(&seed) % 3 == 0) {
			logger_rig_reap(h, SIGKILL);
			logger_rig_start(h);
			set_owner(h, h->pid);
			logger_rig_send_stream(h, "svc", 7, fds);
			continue;
		}
		mem_closep(&h->sock);
		if (logger_rig_random(&seed) % 2)
			take_over(h, fds, true);
		take_over(h, fds, false);
	}
	return done;
}

static void hand_overs_lose_and_double_nothing(void **state)
{
	struct logger_rig *h = *state;
	size_t n = 300000;
	atomic_bool hold = true;
	struct logger_rig_writer w[2];
	struct logcheck c;
	char dir[128];
	unsigned rounds;
	int fds[2];

	logger_rig_start_writer(&w[0], fds, 0, n, &hold);
	logger_rig_start_writer(&w[1], fds, 1, n, &hold);
	rounds = handover_campaign(h, fds, 200, &hold);
	print_message("%u rounds\n", rounds);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);
	logger_rig_reap(h, SIGKILL);
	logger_rig_start(h);
	logger_rig_send_stream(h, "svc", 7, fds);
	logger_rig_expect_drained(h, "svc");
	snprintf(dir, sizeof(dir), "%s/svc/0", h->dir);
	logcheck_read(dir, &c);
	assert_string_equal(c.problem, "");
	assert_null(logcheck_numbered(&c.streams[0], 'o', n));
	assert_null(logcheck_numbered(&c.streams[1], 'e', n));
	assert_true(rounds >= ROUNDS);
	logcheck_done(&c);
	close_fds(fds, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, logger_rig_setup, logger_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_it_holds_is_given_back),
		TEST(it_reads_on_only_as_the_owner),
		TEST(an_exit_is_kept),
		TEST(what_ended_meanwhile_is_stored_and_told),
		TEST(it_sleeps_while_nobody_comes),
		TEST(without_a_directory_it_ends),
		TEST(where_it_is_not_wanted_it_ends),
		TEST(before_hello_it_ends_with_aictld),
		TEST(hand_overs_lose_and_double_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
