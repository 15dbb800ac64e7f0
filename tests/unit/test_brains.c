/*
 * test_brains: eight controllers in one process, on one loop, each with an aictld of its own that is
 * played here, a store and an API socket. All have a service of the same name with another command
 * and number of replicas, whose processes die at random moments. Whoever used anything of another
 * one would be found: by the command of a spawn, by a pid, by the count of restarts, by a name that
 * only one of them has.
 */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>

#include "daemon/controller/brain.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/version.h"

#define BRAINS 8
#define SLOTS 16
#define KILLS 60 /* of each */
#define DEADLINE_MS 60000

struct fake_slot {
	struct wire_key key; /* of the living process, or of the last one */
	bool used, living, has_standby;
	char standby[WIRE_INCARNATION_SIZE];
	uint64_t seq;
	int pid;
};

/* One aictld and the controller that it has. */
struct fake {
	unsigned number;
	struct controller *c;
	struct controller_opts opts;
	uv_poll_t poll;
	int fd, reload_fd;
	char dir[64], runtime[80], state[80], log[80], manifests[80];
	struct fake_slot slots[SLOTS];
	int next_pid;
	unsigned kills;
	bool wrong;
	const char *limits_failed;
};

struct world {
	uv_loop_t loop;
	struct fake fakes[BRAINS];
	uint64_t random;
};

static void send_packet(struct fake *f, struct buf *b, const int *fds, unsigned n)
{
	assert_false(b->failed);
	assert_int_equal(wire_send(f->fd, b, fds, n), 0);
	buf_done(b);
}

static unsigned wanted(const struct fake *f)
{
	return 1 + f->number % 4;
}

/* ---- the fake aictld ---- */

static struct fake_slot *slot_of(struct fake *f, const struct wire_key *key)
{
	struct fake_slot *free_one = NULL;

	for (size_t i = 0; i < SLOTS; i++) {
		if (f->slots[i].used && wire_key_same_slot(&f->slots[i].key, key))
			return &f->slots[i];
		if (!f->slots[i].used && !free_one)
			free_one = &f->slots[i];
	}
	assert_non_null(free_one);
	free_one->used = true;
	free_one->key = *key;
	return free_one;
}

static void tell(struct fake *f, const struct fake_slot *s, const struct wire_exit *x)
{
	struct wire_slot m = {.key = s->key,
			      .state = s->living ? WIRE_SLOT_RUNNING : WIRE_SLOT_EMPTY,
			      .stage = WIRE_STAGE_EXEC,
			      .pid = s->living ? s->pid : 0,
			      .swept = !s->living,
			      .started_wall_ms = clock_wall_ms(),
			      .started_mono_ms = clock_mono_ms()};
	struct buf b = {0};

	if (f->limits_failed)
		snprintf(m.limits_failed, sizeof(m.limits_failed), "%s", f->limits_failed);
	if (x) {
		m.exits[0] = *x;
		m.n_exits = 1;
	}
	wire_encode_slot(&b, &m);
	send_packet(f, &b, NULL, 0);
}

static void run(struct fake *f, struct fake_slot *s)
{
	s->living = true;
	s->pid = (int)(1000000 * (f->number + 1)) + f->next_pid++;
}

/* The process ends; a standby takes its place at once. */
static void end(struct fake *f, struct fake_slot *s, bool by_stop)
{
	struct wire_exit x = {.seq = ++s->seq,
			      .pid = s->pid,
			      .code = -1,
			      .signal = by_stop ? 15 : 9,
			      .by_stop = by_stop,
			      .status_known = true,
			      .stage = WIRE_STAGE_EXEC,
			      .started_wall_ms = clock_wall_ms(),
			      .ended_wall_ms = clock_wall_ms(),
			      .started_mono_ms = clock_mono_ms(),
			      .ended_mono_ms = clock_mono_ms()};

	memcpy(x.incarnation, s->key.incarnation, sizeof(x.incarnation));
	s->living = false;
	if (s->has_standby && !by_stop) {
		memcpy(s->key.incarnation, s->standby, sizeof(s->standby));
		run(f, s);
	}
	s->has_standby = false;
	tell(f, s, &x);
}

static void on_spawn(struct fake *f, const struct wire_packet *p)
{
	struct wire_spawn m = {0};
	struct fake_slot *s;
	char mine[32];

	assert_int_equal(wire_decode_spawn(p->body, p->len, &m), 0);
	snprintf(mine, sizeof(mine), "of-%u", f->number);
	f->wrong |= !m.child.argv[1] || strcmp(m.child.argv[1], mine) != 0;
	s = slot_of(f, &m.key);
	if (m.standby) {
		s->has_standby = s->living;
		memcpy(s->standby, m.key.incarnation, sizeof(s->standby));
	} else {
		f->wrong |= s->living; /* never two */
		s->key = m.key;
		run(f, s);
		tell(f, s, NULL);
	}
	wire_spawn_free(&m);
}

static void on_key(struct fake *f, const struct wire_packet *p)
{
	struct fake_slot *s;
	struct wire_stop stop;
	struct wire_key key;

	if (p->type == WIRE_STOP) {
		assert_int_equal(wire_decode_stop(p->body, p->len, &stop), 0);
		s = slot_of(f, &stop.key);
		if (s->living && wire_key_equal(&s->key, &stop.key))
			end(f, s, true);
		else
			tell(f, s, NULL);
		return;
	}
	assert_int_equal(wire_decode_key(p->body, p->len, &key), 0);
	s = slot_of(f, &key);
	if (p->type == WIRE_RELEASE)
		*s = (struct fake_slot){0};
	else
		s->has_standby = false; /* STANDBY_OFF */
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	static struct wire_packet p;
	struct fake *f = poll->data;
	int r;

	assert_int_equal(status, 0);
	(void)events;
	while ((r = wire_recv(f->fd, &p)) > 0) {
		if (p.type == WIRE_SPAWN)
			on_spawn(f, &p);
		else if (p.type == WIRE_STOP || p.type == WIRE_RELEASE ||
			 p.type == WIRE_STANDBY_OFF)
			on_key(f, &p);
		wire_packet_done(&p); /* notes, acks and what else is level */
	}
	if (r == 0)
		uv_poll_stop(poll);
}

/* ---- setting up ---- */

static int listener(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_non_null(memccpy(a.sun_path, path, '\0', sizeof(a.sun_path)));
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void say_hello(struct fake *f)
{
	struct wire_hello m = {.aictld_pid = getpid(), .log_level = LOG_LVL_ERROR};
	struct buf b = {0};
	char path[120];
	int fd;

	snprintf(m.version, sizeof(m.version), "%s", version_text);
	snprintf(m.boot_id, sizeof(m.boot_id), "boot-%u", f->number);
	snprintf(m.secrets_dir, sizeof(m.secrets_dir), "%s/secrets", f->runtime);
	snprintf(path, sizeof(path), "%s/aictl.sock", f->runtime);
	fd = listener(path);
	wire_encode_hello(&b, &m);
	send_packet(f, &b, &fd, 1);
	close(fd);
	b = (struct buf){0};
	wire_encode_empty(&b, WIRE_SYNCED);
	send_packet(f, &b, NULL, 0);
}

/* The manifest comes as that of the daemon's own directory does: no client is needed. */
static void send_manifest(struct fake *f)
{
	char path[120], name[] = "aictl.yaml\0";
	struct iovec iov = {.iov_base = name, .iov_len = sizeof(name) - 1};
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct buf b = {0};
	int fds[2], file;
	FILE *out;

	snprintf(path, sizeof(path), "%s/aictl.yaml", f->manifests);
	out = fopen(path, "we");
	assert_non_null(out);
	fprintf(out,
		"{version: 1, name: set-%u, defaults: {restart: {backoff: {initial: 0s}, budget: "
		"{restarts: 0}}}, services: {web: {command: [server, of-%u], replicas: %u}, only-%u: "
		"{command: [server, of-%u]}}}",
		f->number, f->number, wanted(f), f->number, f->number);
	fclose(out);
	file = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_non_null(c);
	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS,
			      .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), &file, sizeof(file));
	assert_int_equal(sendmsg(fds[1], &m, MSG_NOSIGNAL), (int)iov.iov_len);
	assert_int_equal(send(fds[1], "", 1, MSG_NOSIGNAL), 1);
	close(file);
	f->reload_fd = fds[1];
	wire_encode_empty(&b, WIRE_RELOAD);
	send_packet(f, &b, &fds[0], 1);
	close(fds[0]);
}

static void make_dir(char *out, size_t n, const struct fake *f, const char *name)
{
	snprintf(out, n, "%s/%s", f->dir, name);
	assert_int_equal(mkdir(out, 0700), 0);
}

static void begin(struct world *w, unsigned number)
{
	struct fake *f = &w->fakes[number];
	struct err *e = NULL;
	int fds[2];

	f->number = number;
	snprintf(f->dir, sizeof(f->dir), "/tmp/brain-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	make_dir(f->runtime, sizeof(f->runtime), f, "run");
	make_dir(f->state, sizeof(f->state), f, "state");
	make_dir(f->log, sizeof(f->log), f, "log");
	make_dir(f->manifests, sizeof(f->manifests), f, "m");
	f->opts = (struct controller_opts){.runtime_dir = f->runtime,
					   .state_dir = f->state,
					   .log_dir = f->log,
					   .manifests = f->manifests,
					   .default_user = "root",
					   .port_first = 40000 + 100 * number,
					   .port_last = 40099 + 100 * number};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	f->c = calloc(1, sizeof(*f->c));
	f->fd = fds[1];
	if (brain_begin(f->c, &w->loop, &f->opts, fds[0], &e) < 0)
		fail_msg("%s", err_msg(e));
	uv_poll_init(&w->loop, &f->poll, f->fd);
	f->poll.data = f;
	uv_poll_start(&f->poll, UV_READABLE, on_readable);
	say_hello(f);
	send_manifest(f);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void finish(struct world *w)
{
	for (unsigned i = 0; i < BRAINS; i++)
		brain_close(w->fakes[i].c);
	for (unsigned i = 0; i < BRAINS; i++) {
		close(w->fakes[i].reload_fd);
		uv_close((uv_handle_t *)&w->fakes[i].poll, NULL);
	}
	uv_run(&w->loop, UV_RUN_NOWAIT);
	for (unsigned i = 0; i < BRAINS; i++)
		controller_done(w->fakes[i].c);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	for (unsigned i = 0; i < BRAINS; i++) {
		close(w->fakes[i].fd);
		free(w->fakes[i].c);
		assert_int_equal(nftw(w->fakes[i].dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	}
}

/* ---- what must hold ---- */

static unsigned ready_in(const struct fake *f)
{
	const struct service *web = controller_find(f->c, "web");

	return web && service_state(web) == SERVICE_READY ? service_ready(web) : 0;
}

static bool all_ready(const struct world *w)
{
	for (unsigned i = 0; i < BRAINS; i++)
		if (ready_in(&w->fakes[i]) != wanted(&w->fakes[i]))
			return false;
	return true;
}

static bool all_killed(const struct world *w)
{
	for (unsigned i = 0; i < BRAINS; i++)
		if (w->fakes[i].kills < KILLS)
			return false;
	return true;
}

static void kill_some(struct world *w)
{
	for (unsigned n = 0; n < 3; n++) {
		struct fake *f;
		struct fake_slot *s;

		w->random ^= w->random << 13;
		w->random ^= w->random >> 7;
		w->random ^= w->random << 17;
		f = &w->fakes[w->random % BRAINS];
		s = &f->slots[(w->random >> 16) % SLOTS];
		if (!s->living || strcmp(s->key.service, "web") != 0 || f->kills == KILLS)
			continue;
		f->kills++;
		end(f, s, false);
	}
}

static void on_turn(uv_timer_t *timer)
{
	(void)timer; /* the loop turns; what is done is done in turn_until */
}

static void turn_until(struct world *w, bool (*done)(const struct world *w), bool kill)
{
	int64_t deadline = clock_add(clock_mono_ms(), DEADLINE_MS);
	uv_timer_t timer;

	uv_timer_init(&w->loop, &timer);
	uv_timer_start(&timer, on_turn, 1, 1);
	while (!done(w)) {
		uv_run(&w->loop, UV_RUN_ONCE);
		if (kill)
			kill_some(w);
		if (clock_mono_ms() > deadline)
			fail_msg("not within %d s", DEADLINE_MS / 1000);
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void check(const struct world *w, const struct fake *f)
{
	const struct service *web = controller_find(f->c, "web");
	unsigned restarts = 0;

	assert_false(f->wrong);
	assert_int_equal(f->c->n_services, 2);
	assert_int_equal(web->n_replicas, wanted(f));
	for (size_t i = 0; i < web->n_replicas; i++) {
		const struct replica *r = web->replicas[i];

		assert_int_equal(r->pid / 1000000, f->number + 1);
		restarts += r->restarts;
	}
	assert_int_equal(restarts, f->kills); /* each once, none of another one */
	for (unsigned i = 0; i < BRAINS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "only-%u", i);
		assert_true(!!controller_find(f->c, name) == (i == f->number));
	}
	(void)w;
}

static const char *failure_of(const struct world *w)
{
	return controller_find(w->fakes[1].c, "web")->replicas[0]->limits_failed;
}

static bool is_told(const struct world *w)
{
	return failure_of(w);
}

static bool is_over(const struct world *w)
{
	return !failure_of(w);
}

/* A live change of limits that failed is the replica's to tell, until one is done. */
static void fail_limits(struct world *w)
{
	struct fake *f = &w->fakes[1];
	const struct wire_key key = {.service = "web"};

	f->limits_failed = "pids.max: Invalid argument";
	tell(f, slot_of(f, &key), NULL);
	turn_until(w, is_told, false);
	assert_string_equal(failure_of(w), f->limits_failed);
	f->limits_failed = NULL;
	tell(f, slot_of(f, &key), NULL);
	turn_until(w, is_over, false);
}

static void test_eight(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	(void)state;
	w->random = 88172645463325252;
	assert_int_equal(uv_loop_init(&w->loop), 0);
	for (unsigned i = 0; i < BRAINS; i++)
		begin(w, i);
	turn_until(w, all_ready, false);
	fail_limits(w);
	turn_until(w, all_killed, true);
	turn_until(w, all_ready, false);
	for (unsigned i = 0; i < BRAINS; i++)
		check(w, &w->fakes[i]);
	finish(w);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_eight)};

	log_open("test_brains", STDERR_FILENO, LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
