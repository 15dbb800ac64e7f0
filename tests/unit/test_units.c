/*
 * test_units: replicas that are containers, from the controller's side: aictld and its runtime are
 * played here. A manifest becomes a UNIT_START; the pull, the start and the end are shown; an engine
 * that cannot be reached makes a replica unknown and nothing else: nothing is started, stopped or
 * counted, and all is as before when it is back.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
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
#include "daemon/controller/events.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/runtimes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/why.h"
#include "daemon/wire/wire_unit.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/version.h"

#define DEADLINE_MS 30000
#define FORMER "0123456789abcdef0123456789abcdef"

struct rig {
	uv_loop_t loop;
	struct controller *c;
	struct controller_opts opts;
	uv_poll_t poll;
	int fd, reload_fd;
	char dir[64], runtime[80], state[80], log[80], manifests[80];
	/* Of service web: */
	struct wire_key key;
	unsigned starts, stops, inside;
	char *spec; /* of the last start */
	uint64_t seq;
};

static void send_packet(const struct rig *r, struct buf *b, const int *fds, unsigned n)
{
	assert_false(b->failed);
	assert_int_equal(wire_send(r->fd, b, fds, n), 0);
	buf_done(b);
}

/* ---- the fake aictld ---- */

static void on_start(struct rig *r, const struct wire_packet *p)
{
	struct wire_unit_start m;

	assert_int_equal(wire_unit_decode_start(p->body, p->len, &m), 0);
	assert_string_equal(m.runtime, "docker");
	r->key = m.key;
	r->starts++;
	mem_free(r->spec);
	r->spec = mem_strndup(m.spec, m.spec_len);
}

static void on_run(struct rig *r, const struct wire_packet *p)
{
	struct wire_run m;

	assert_int_equal(wire_run_decode(p->body, p->len, &m), 0);
	assert_true(m.inside);
	assert_string_equal(m.key.service, "web");
	assert_string_equal(m.child.argv[0], "check");
	assert_string_equal(m.child.argv[1], "8000"); /* the port inside */
	assert_null(m.child.envp[0]);
	r->inside++;
	wire_run_free(&m);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	static struct wire_packet p;
	struct rig *r = poll->data;
	int n;

	assert_int_equal(status, 0);
	(void)events;
	while ((n = wire_recv(r->fd, &p)) > 0) {
		assert_int_not_equal(p.type, WIRE_SPAWN);
		assert_int_not_equal(p.type, WIRE_LIMITS);
		if (p.type == WIRE_UNIT_START)
			on_start(r, &p);
		else if (p.type == WIRE_RUN)
			on_run(r, &p);
		r->stops += p.type == WIRE_STOP;
		wire_packet_done(&p);
	}
	if (n == 0)
		uv_poll_stop(poll);
}

static void say_runtime(const struct rig *r, enum wire_runtime_state state, const char *text)
{
	struct wire_runtime m = {
		.name = "docker", .state = state, .since_wall_ms = clock_wall_ms()};
	struct buf b = {0};

	snprintf(m.engine, sizeof(m.engine), "Docker Engine 9.9");
	snprintf(m.text, sizeof(m.text), "%s", text);
	wire_unit_encode_runtime(&b, &m);
	send_packet(r, &b, NULL, 0);
}

static struct wire_unit_state unit(const struct rig *r, enum wire_unit state)
{
	struct wire_unit_state m = {.key = r->key, .state = state};

	snprintf(m.id, sizeof(m.id), "%064d", 7);
	return m;
}

static void say_unit(const struct rig *r, const struct wire_unit_state *m)
{
	struct buf b = {0};

	wire_unit_encode_state(&b, m);
	send_packet(r, &b, NULL, 0);
}

static struct wire_slot slot(const struct rig *r, enum wire_slot_state state)
{
	struct wire_slot m = {.key = r->key,
			      .state = state,
			      .stage = WIRE_STAGE_EXEC,
			      .started_wall_ms = clock_wall_ms(),
			      .started_mono_ms = clock_mono_ms()};

	memcpy(m.runtime, "docker", sizeof("docker"));
	return m;
}

static void say_slot(const struct rig *r, const struct wire_slot *m)
{
	struct buf b = {0};

	wire_encode_slot(&b, m);
	send_packet(r, &b, NULL, 0);
}

/* It runs, as which process the engine does not say. */
static void say_running(const struct rig *r)
{
	struct wire_unit_state m = unit(r, WIRE_UNIT_RUNNING);
	struct wire_slot s = slot(r, WIRE_SLOT_RUNNING);

	snprintf(m.address, sizeof(m.address), "10.255.255.9"); /* nowhere near */
	say_unit(r, &m);
	say_slot(r, &s);
}

static void say_end(struct rig *r, struct wire_exit x)
{
	struct wire_slot s = slot(r, WIRE_SLOT_EMPTY);

	memcpy(x.incarnation, r->key.incarnation, sizeof(x.incarnation));
	x.seq = ++r->seq;
	x.started_wall_ms = x.ended_wall_ms = clock_wall_ms();
	x.started_mono_ms = x.ended_mono_ms = clock_mono_ms();
	s.swept = true;
	s.exits[0] = x;
	s.n_exits = 1;
	say_slot(r, &s);
}

/* ---- setting up ---- */

static void say_hello(const struct rig *r)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct wire_hello m = {.aictld_pid = getpid(), .log_level = LOG_LVL_ERROR};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct buf b = {0};

	snprintf(m.version, sizeof(m.version), "%s", version_text);
	snprintf(m.boot_id, sizeof(m.boot_id), "boot");
	snprintf(m.secrets_dir, sizeof(m.secrets_dir), "%s/secrets", r->runtime);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", r->runtime);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	wire_encode_hello(&b, &m);
	send_packet(r, &b, &fd, 1);
	close(fd);
}

static void say_synced(const struct rig *r)
{
	struct buf b = {0};

	wire_encode_empty(&b, WIRE_SYNCED);
	send_packet(r, &b, NULL, 0);
}

/* As that of the daemon's own directory: no client is needed. */
static void apply(struct rig *r, const char *text)
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

	snprintf(path, sizeof(path), "%s/aictl.yaml", r->manifests);
	out = fopen(path, "we");
	assert_non_null(out);
	fputs(text, out);
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
	if (r->reload_fd >= 0)
		close(r->reload_fd);
	r->reload_fd = fds[1];
	wire_encode_empty(&b, WIRE_RELOAD);
	send_packet(r, &b, &fds[0], 1);
	close(fds[0]);
}

static void make_dir(char *out, size_t n, const struct rig *r, const char *name)
{
	snprintf(out, n, "%s/%s", r->dir, name);
	assert_int_equal(mkdir(out, 0700), 0);
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct err *e = NULL;
	int fds[2];

	assert_non_null(r);
	uv_loop_init(&r->loop);
	r->reload_fd = -1;
	snprintf(r->dir, sizeof(r->dir), "/tmp/units-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	make_dir(r->runtime, sizeof(r->runtime), r, "run");
	make_dir(r->state, sizeof(r->state), r, "state");
	make_dir(r->log, sizeof(r->log), r, "log");
	make_dir(r->manifests, sizeof(r->manifests), r, "m");
	r->opts = (struct controller_opts){.runtime_dir = r->runtime,
					   .state_dir = r->state,
					   .log_dir = r->log,
					   .manifests = r->manifests,
					   .port_first = 41000,
					   .port_last = 41099};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	r->c = calloc(1, sizeof(*r->c));
	r->fd = fds[1];
	if (brain_begin(r->c, &r->loop, &r->opts, fds[0], &e) < 0)
		fail_msg("%s", err_msg(e));
	uv_poll_init(&r->loop, &r->poll, r->fd);
	r->poll.data = r;
	uv_poll_start(&r->poll, UV_READABLE, on_readable);
	*state = r;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	brain_close(r->c);
	if (r->reload_fd >= 0)
		close(r->reload_fd);
	uv_close((uv_handle_t *)&r->poll, NULL);
	uv_run(&r->loop, UV_RUN_NOWAIT);
	controller_done(r->c);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	close(r->fd);
	free(r->c);
	mem_free(r->spec);
	assert_int_equal(nftw(r->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(r);
	return 0;
}

/* ---- waiting ---- */

static void on_turn(uv_timer_t *timer)
{
	(void)timer;
}

static void wait_for(struct rig *r, const char *what, bool (*holds)(const struct rig *r))
{
	int64_t deadline = clock_add(clock_mono_ms(), DEADLINE_MS);
	uv_timer_t timer;

	uv_timer_init(&r->loop, &timer);
	uv_timer_start(&timer, on_turn, 1, 1);
	while (!holds(r)) {
		uv_run(&r->loop, UV_RUN_ONCE);
		if (clock_mono_ms() > deadline)
			fail_msg("not within %d s: %s", DEADLINE_MS / 1000, what);
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&r->loop, UV_RUN_NOWAIT);
}

#define WAIT(r, holds) wait_for(r, #holds, holds)

/* It is there from the first start on. */
static struct replica *web(const struct rig *r)
{
	const struct service *s = controller_find(r->c, "web");
	struct replica *x = s ? service_replica(s, 0) : NULL;

	if (!x)
		abort();
	return x;
}

static bool started(const struct rig *r)
{
	return r->starts > 0;
}

static bool started_again(const struct rig *r)
{
	return r->starts > 1;
}

static bool is_ready(const struct rig *r)
{
	return web(r)->state == REPLICA_READY;
}

static bool is_lost(const struct rig *r)
{
	return replica_unit_is_lost(web(r));
}

static bool is_found(const struct rig *r)
{
	return !replica_unit_is_lost(web(r));
}

static bool starts_up(const struct rig *r)
{
	return runtimes_find(r->c->runtimes, "docker")->state == WIRE_RUNTIME_STARTING;
}

static bool pulls(const struct rig *r)
{
	return strstr(replica_message(web(r)), "2 of 5 layers") != NULL;
}

static bool has_pulled(const struct rig *r)
{
	return strcmp(web(r)->reason, "spawning") == 0;
}

static bool waits(const struct rig *r)
{
	return web(r)->state == REPLICA_BACKOFF;
}

static bool asked_inside(const struct rig *r)
{
	return r->inside > 0;
}

static bool told(const struct rig *r, const char *reason)
{
	const struct events *e = r->c->events;

	journal_flush(r->c->journal);
	for (size_t i = events_count(e); i-- > 0;)
		if (strcmp(events_at(e, i)->reason, reason) == 0)
			return true;
	return false;
}

#define MANIFEST(more) "{version: 1, name: s, services: {web: {image: 'nginx:1'" more "}}}"

static void bring_up(struct rig *r, const char *manifest)
{
	say_hello(r);
	say_synced(r);
	say_runtime(r, WIRE_RUNTIME_OK, "");
	apply(r, manifest);
	WAIT(r, started);
}

/* ---- the tests ---- */

static bool has_podman(const struct rig *r)
{
	return r->c->begun && runtimes_find(r->c->runtimes, "podman");
}

/* Without --runtime nothing is applied that needs it. */
static void test_not_enabled(void **state)
{
	struct rig *r = *state;
	struct service_spec spec = {.container = {.image = (char *)(uintptr_t) "nginx",
						  .runtime = (char *)(uintptr_t) "docker"}};
	struct service_spec process = {0};
	struct wire_runtime podman = {.name = "podman", .state = WIRE_RUNTIME_OK};
	struct err *e = NULL;
	struct buf b = {0};

	say_hello(r);
	say_synced(r);
	wire_unit_encode_runtime(&b, &podman);
	send_packet(r, &b, NULL, 0);
	WAIT(r, has_podman);
	assert_int_equal(runtimes_check(r->c->runtimes, &process, &e), 0);
	assert_int_equal(runtimes_check(r->c->runtimes, &spec, &e), -ERR_INVALID);
	assert_non_null(strstr(err_msg(e), "runtime \"docker\" is not enabled"));
	assert_non_null(strstr(e->hint, "--runtime docker"));
	err_free(e);
	spec.container.runtime = (char *)(uintptr_t) "podman";
	e = NULL;
	assert_int_equal(runtimes_check(r->c->runtimes, &spec, &e), 0);
}

static void test_from_pull_to_ready(void **state)
{
	struct rig *r = *state;
	struct wire_unit_state m;

	bring_up(r, MANIFEST(""));
	assert_non_null(strstr(r->spec, "\"image\":\"nginx:1\""));
	assert_int_equal(web(r)->state, REPLICA_STARTING);
	m = unit(r, WIRE_UNIT_PULLING);
	m.layers = 5;
	m.layers_done = 2;
	m.done = 3 << 20;
	m.total = 30 << 20;
	say_unit(r, &m);
	WAIT(r, pulls);
	assert_string_equal(replica_message(web(r)),
			    "pulling nginx:1: 2 of 5 layers, 3.0MiB of 30MiB");
	m = unit(r, WIRE_UNIT_CREATED);
	say_unit(r, &m);
	WAIT(r, has_pulled);
	assert_true(told(r, "pulling"));
	assert_true(told(r, "image_pulled"));
	say_running(r);
	WAIT(r, is_ready);
	assert_int_equal(web(r)->pid, REPLICA_UNIT_PID);
	assert_null(replica_unit_address(web(r)));
	assert_int_equal(service_state(web(r)->service), SERVICE_READY);
	assert_string_equal(web(r)->standby, ""); /* nothing is started ahead */
	assert_int_equal(r->starts, 1);
}

/* It is unknown, and that is all. */
static void test_engine_lost(void **state)
{
	struct rig *r = *state;
	struct why y = {0};

	bring_up(r,
		 MANIFEST(", probes: {readiness: {exec: {command: [check, '${PORT}']}, period: 1s}}"
			  ", port: 8000"));
	say_running(r);
	WAIT(r, asked_inside);
	say_runtime(r, WIRE_RUNTIME_UNREACHABLE, "Connection refused");
	WAIT(r, is_lost);
	assert_int_equal(replica_unit_shown(web(r)), REPLICA_UNKNOWN);
	assert_int_equal(web(r)->state, REPLICA_STARTING);
	assert_int_equal(service_state(web(r)->service), SERVICE_UNKNOWN);
	assert_int_equal(service_ready(web(r)->service), 0);
	assert_non_null(strstr(service_message(web(r)->service), "engine unreachable since 2"));
	assert_non_null(strstr(service_message(web(r)->service), "Connection refused"));
	assert_true(told(r, "engine_lost"));
	why_explain(&y, web(r)->service, 0);
	assert_false(y.fine);
	assert_string_equal(y.links[0].state, "unknown");
	assert_string_equal(y.links[0].reason, "engine_unreachable");
	why_done(&y);
	say_runtime(r, WIRE_RUNTIME_OK, "");
	WAIT(r, is_found);
	assert_true(told(r, "engine_back"));
	assert_int_equal(web(r)->state, REPLICA_STARTING);
	assert_int_equal(r->starts, 1);
	assert_int_equal(r->stops, 0);
	assert_int_equal(web(r)->restarts, 0);
}

/* Our own processes are no engine: while one of them is started again nothing is said. */
static void test_short_silence(void **state)
{
	struct rig *r = *state;

	bring_up(r, MANIFEST(""));
	say_running(r);
	WAIT(r, is_ready);
	say_runtime(r, WIRE_RUNTIME_DOWN, "");
	uv_run(&r->loop, UV_RUN_ONCE);
	assert_false(runtimes_is_lost(r->c->runtimes, "docker", clock_mono_ms()));
	assert_false(told(r, "engine_lost"));
	WAIT(r, is_ready);
	WAIT(r, is_lost);			   /* after RUNTIMES_QUIET_MS */
	say_runtime(r, WIRE_RUNTIME_STARTING, ""); /* the same silence */
	WAIT(r, starts_up);
	assert_true(is_lost(r));
	say_runtime(r, WIRE_RUNTIME_OK, "");
	WAIT(r, is_found);
}

static bool says_why_late(const struct rig *r)
{
	return strcmp(replica_message(web(r)),
		      "not started yet: the engine did not answer in time; trying again") == 0;
}

/* Where a start is asked for again it is said why. */
static void test_start_is_delayed(void **state)
{
	struct rig *r = *state;
	struct wire_unit_state m;

	bring_up(r, MANIFEST(""));
	m = unit(r, WIRE_UNIT_CREATED);
	snprintf(m.text, sizeof(m.text), "the engine did not answer in time");
	say_unit(r, &m);
	WAIT(r, says_why_late);
	assert_int_equal(web(r)->state, REPLICA_STARTING);
	say_running(r);
	WAIT(r, is_ready);
}

static void test_image_missing(void **state)
{
	struct rig *r = *state;
	struct wire_exit x = {.code = -1,
			      .stage = WIRE_STAGE_CLONE,
			      .what = WIRE_WHAT_IMAGE,
			      .err = ENOENT,
			      .status_known = true};
	struct wire_unit_state m;
	struct why y = {0};

	bring_up(r, MANIFEST(", pull_policy: never"));
	m = unit(r, WIRE_UNIT_FAILED);
	m.what = WIRE_WHAT_IMAGE;
	m.err = ENOENT;
	snprintf(m.text, sizeof(m.text), "No such image: nginx:1");
	say_unit(r, &m);
	say_end(r, x);
	WAIT(r, waits);
	assert_string_equal(replica_message(web(r)), "cannot start: No such image: nginx:1");
	assert_string_equal(web(r)->reason, "image_failed");
	assert_string_equal(web(r)->last_exit.cause, "start");
	why_explain(&y, web(r)->service, 0);
	assert_string_equal(y.links[0].key, "image");
	why_done(&y);
}

/* An end counts, and the next start has another name. */
static void test_restart(void **state)
{
	struct rig *r = *state;
	struct wire_exit x = {.code = 3, .stage = WIRE_STAGE_EXEC, .status_known = true};
	char before[WIRE_INCARNATION_SIZE];

	bring_up(r, MANIFEST(", restart: {backoff: {initial: 0s}}"));
	say_running(r);
	WAIT(r, is_ready);
	memcpy(before, r->key.incarnation, sizeof(before));
	say_end(r, x);
	WAIT(r, started_again);
	assert_string_not_equal(before, r->key.incarnation);
	say_running(r);
	WAIT(r, is_ready);
	assert_int_equal(web(r)->restarts, 1);
	assert_int_equal(web(r)->last_exit.code, 3);
}

static bool has_id(const struct rig *r)
{
	return replica_unit_said(web(r)) != NULL;
}

static bool has_failed_once(const struct rig *r)
{
	return replica_unit_failure(web(r), FORMER) != NULL;
}

/* What a former one, still to be removed, is said to be does not hold for the present one. */
static void test_former_one(void **state)
{
	struct rig *r = *state;
	struct wire_unit_state m;

	bring_up(r, MANIFEST(""));
	say_running(r);
	WAIT(r, is_ready);
	WAIT(r, has_id);
	m = unit(r, WIRE_UNIT_FAILED);
	m.what = WIRE_WHAT_CONTAINER;
	m.err = EIO;
	snprintf(m.text, sizeof(m.text), "long ago");
	snprintf(m.key.incarnation, sizeof(m.key.incarnation), FORMER);
	say_unit(r, &m);
	WAIT(r, has_failed_once);
	assert_non_null(replica_unit_said(web(r)));
	assert_int_equal(replica_unit_said(web(r))->state, WIRE_UNIT_RUNNING);
}

static bool has_begun(const struct rig *r)
{
	return r->c->begun && controller_find(r->c, "web");
}

/* Another controller is told of both: the present one first. */
static void test_former_one_taken_over(void **state)
{
	struct rig *r = *state;
	struct wire_unit_state m;
	struct wire_slot s;

	r->key = (struct wire_key){.service = "web",
				   .incarnation = "fedcba9876543210fedcba9876543210"};
	say_hello(r);
	say_runtime(r, WIRE_RUNTIME_OK, "");
	m = unit(r, WIRE_UNIT_RUNNING);
	say_unit(r, &m);
	m = unit(r, WIRE_UNIT_EXITED);
	snprintf(m.key.incarnation, sizeof(m.key.incarnation), FORMER);
	say_unit(r, &m);
	s = slot(r, WIRE_SLOT_RUNNING);
	say_slot(r, &s);
	say_synced(r);
	WAIT(r, has_begun);
	assert_non_null(replica_unit_said(web(r)));
	assert_int_equal(replica_unit_said(web(r))->state, WIRE_UNIT_RUNNING);
}

#define ON(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(test_not_enabled),	       ON(test_from_pull_to_ready),
		ON(test_engine_lost),	       ON(test_short_silence),
		ON(test_image_missing),	       ON(test_restart),
		ON(test_former_one),	       ON(test_start_is_delayed),
		ON(test_former_one_taken_over)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
