/*
 * test_runtime_units: aictl-runtime's units, between an aictld and a plugin that are both played here.
 * What the plugin is asked for, it ends when the test says so.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/runtime/runtime.h"
#include "daemon/runtime/unit.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/version.h"

#define DEADLINE_MS 20000
#define INSTANCE "0123456789abcdef0123456789abcdef"
#define OPS_MAX 32

struct asked { /* of the plugin */
	enum host_kind kind;
	uint64_t op;
	char unit[UNITS_NAME_SIZE];
	int number;
	bool canceled, ended;
};

struct rig {
	struct runtime r;
	struct runtime_options options;
	const struct aictl_host *host;
	struct asked ops[OPS_MAX];
	unsigned n_ops;
	int fd;		 /* aictld's end */
	int pipes[2][2]; /* stdout's and stderr's */
	struct wire_unit_state said;
	unsigned n_said;
	struct wire_runtime runtime;
	struct wire_run_end run_end;
};

static struct rig *rig; /* a plugin is found by its symbol, and so is this one */

/* ---- the plugin ---- */

static struct asked *add(enum host_kind kind, uint64_t op, const char *unit)
{
	struct asked *a = &rig->ops[rig->n_ops++];

	assert_true(rig->n_ops < OPS_MAX);
	*a = (struct asked){.kind = kind, .op = op};
	snprintf(a->unit, sizeof(a->unit), "%s", unit);
	return a;
}

static int p_open(const struct aictl_host *host, const struct aictl_open *with, void **ret_self,
		  char *error, size_t size)
{
	(void)with;
	(void)error;
	(void)size;
	rig->host = host;
	*ret_self = rig;
	return AICTL_OK;
}

static void p_close(void *self, uint64_t op)
{
	(void)self;
	for (unsigned i = 0; i < rig->n_ops; i++)
		if (!rig->ops[i].ended)
			rig->host->complete(
				rig->host, rig->ops[i].op,
				&(struct aictl_result){.struct_size = sizeof(struct aictl_result),
						       .code = AICTL_CANCELED,
						       .message = "closed"});
	rig->host->complete(rig->host, op, NULL);
}

static void p_start(void *self, uint64_t op, const struct aictl_start *what)
{
	(void)self;
	add(HOST_START, op, what->unit);
}

static void p_signal(void *self, uint64_t op, const char *unit, int number)
{
	(void)self;
	add(HOST_SIGNAL, op, unit)->number = number;
}

static void p_remove(void *self, uint64_t op, const char *unit)
{
	(void)self;
	add(HOST_REMOVE, op, unit);
}

static void p_list(void *self, uint64_t op)
{
	(void)self;
	add(HOST_LIST, op, "");
}

static void p_exec(void *self, uint64_t op, const struct aictl_exec *what)
{
	(void)self;
	add(HOST_EXEC, op, what->unit);
}

static void p_logs(void *self, uint64_t op, const struct aictl_logs *what)
{
	(void)self;
	add(HOST_LOGS, op, what->unit);
}

static void p_cancel(void *self, uint64_t op)
{
	(void)self;
	for (unsigned i = 0; i < rig->n_ops; i++)
		if (rig->ops[i].op == op)
			rig->ops[i].canceled = true;
}

static const struct aictl_runtime_ops ops = {.struct_size = sizeof(ops),
					     .open = p_open,
					     .close = p_close,
					     .start = p_start,
					     .signal = p_signal,
					     .remove = p_remove,
					     .list = p_list,
					     .exec = p_exec,
					     .logs = p_logs,
					     .cancel = p_cancel};

static const struct aictl_plugin plugin = {.abi = AICTL_PLUGIN_ABI,
					   .struct_size = sizeof(plugin),
					   .kind = AICTL_KIND_RUNTIME,
					   .name = "fake",
					   .version = "1",
					   .runtime = &ops};

/* In the loader's place. */
int loader_open(struct loader *l, const char *dir, const char *name, struct err **reterr)
{
	(void)dir;
	(void)name;
	(void)reterr;
	*l = (struct loader){.fd = -1, .plugin = &plugin, .path = mem_strdup("/fake.so")};
	return 0;
}

void loader_close(struct loader *l)
{
	mem_free(l->path);
	l->path = NULL;
}

const char *loader_kind_name(unsigned kind)
{
	(void)kind;
	return "runtime";
}

/* ---- what the plugin says ---- */

static void say_engine(bool reachable)
{
	const struct aictl_engine_state s = {.struct_size = sizeof(s),
					     .reachable = reachable,
					     .name = "Fake",
					     .error = reachable ? NULL : "gone fishing"};

	rig->host->engine_state(rig->host, &s);
}

static struct aictl_unit_state state_of(const char *unit, uint32_t phase)
{
	return (struct aictl_unit_state){
		.struct_size = sizeof(struct aictl_unit_state), .phase = phase, .unit = unit};
}

static void say_unit(const char *unit, uint32_t phase)
{
	const struct aictl_unit_state s = state_of(unit, phase);

	rig->host->unit_state(rig->host, &s);
}

static void say_item(const struct asked *list, const char *unit, uint32_t phase)
{
	const struct aictl_unit_state s = state_of(unit, phase);

	if (!list)
		abort();
	rig->host->list_item(rig->host, list->op, &s);
}

static void finish(struct asked *a, int code)
{
	const struct aictl_result result = {
		.struct_size = sizeof(result), .code = code, .message = "so it is"};

	if (!a || a->ended)
		abort();
	a->ended = true;
	rig->host->complete(rig->host, a->op, &result);
}

/* ---- aictld ---- */

static void read_packets(void)
{
	static struct wire_packet p;

	while (wire_recv(rig->fd, &p) > 0) {
		if (p.type == WIRE_UNIT_STATE) {
			assert_int_equal(wire_unit_decode_state(p.body, p.len, &rig->said), 0);
			rig->n_said++;
		} else if (p.type == WIRE_RUNTIME) {
			assert_int_equal(wire_unit_decode_runtime(p.body, p.len, &rig->runtime), 0);
		} else if (p.type == WIRE_RUN_END) {
			assert_int_equal(wire_run_decode_end(p.body, p.len, &rig->run_end), 0);
		}
		wire_packet_done(&p);
	}
}

static void turn(int max_ms)
{
	assert_int_equal(loop_once(&rig->r.loop, max_ms), 0);
	read_packets();
}

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		int64_t until_ = clock_add(clock_mono_ms(), DEADLINE_MS);                          \
		while (!(condition)) {                                                             \
			turn(5);                                                                   \
			if (clock_mono_ms() > until_)                                              \
				fail_msg("not in time: %s", #condition);                           \
		}                                                                                  \
	} while (0)

/* All that comes by itself has come. */
static void settle(void)
{
	for (int i = 0; i < 20; i++)
		turn(1);
}

static void send_packet(struct buf *b, const int *fds, unsigned n)
{
	assert_int_equal(wire_send(rig->fd, b, fds, n), 0);
	buf_done(b);
}

static void send_empty(enum wire_type type)
{
	struct buf b = {0};

	wire_encode_empty(&b, type);
	send_packet(&b, NULL, 0);
}

static struct wire_key key(char last)
{
	struct wire_key k = {.service = "web"};

	memset(k.incarnation, last, sizeof(k.incarnation) - 1);
	return k;
}

static void send_key(enum wire_type type, const struct wire_key *k)
{
	struct buf b = {0};

	wire_encode_key(&b, type, k);
	send_packet(&b, NULL, 0);
}

static void send_signal(const struct wire_key *k, int number)
{
	struct buf b = {0};

	wire_encode_signal(&b, k, number);
	send_packet(&b, NULL, 0);
}

static void send_start(const struct wire_key *k)
{
	const struct wire_unit_start m = {.key = *k,
					  .runtime = "fake",
					  .stop_signal = SIGTERM,
					  .logs = {.max_size = 1 << 20, .max_files = 3},
					  .spec = "{}",
					  .spec_len = 2};
	int fds[3] = {rig->pipes[0][1], rig->pipes[1][1], memfd_create("cell", MFD_CLOEXEC)};
	struct buf b = {0};

	assert_int_equal(ftruncate(fds[2], WIRE_UNIT_CELL_SIZE), 0);
	wire_unit_encode_start(&b, &m);
	send_packet(&b, fds, 3);
	close(fds[2]);
}

static const char *name_of(const struct wire_key *k)
{
	static char name[UNITS_NAME_SIZE];

	units_name(&rig->r.units, k, name);
	return name;
}

/* The last that is open of that kind, or NULL. */
static struct asked *asked(enum host_kind kind)
{
	for (unsigned i = rig->n_ops; i-- > 0;)
		if (rig->ops[i].kind == kind && !rig->ops[i].ended)
			return &rig->ops[i];
	return NULL;
}

static unsigned count(enum host_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rig->n_ops; i++)
		n += rig->ops[i].kind == kind;
	return n;
}

/* ---- set-up ---- */

static int set_up(void **state)
{
	int fds[2];

	(void)state;
	rig = mem_alloc(sizeof(*rig));
	if (!rig)
		return -1;
	rig->options = (struct runtime_options){
		.name = "fake", .plugin_dir = "/nowhere", .instance = INSTANCE};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pipe2(rig->pipes[i], O_CLOEXEC | O_NONBLOCK), 0);
	rig->fd = fds[1];
	assert_int_equal(runtime_init(&rig->r, &rig->options, fds[0]), 0);
	loop_timer_arm(&rig->r.loop, &rig->r.load_again, 0); /* as runtime_run */
	UNTIL(rig->host);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	send_empty(WIRE_QUIT);
	UNTIL(rig->r.loop.stopped);
	runtime_done(&rig->r);
	close(rig->fd);
	for (int i = 0; i < 4; i++)
		close(rig->pipes[i / 2][i % 2]);
	mem_free(rig);
	rig = NULL;
	return 0;
}

/* The engine has answered; it has nothing. */
static void begin(void)
{
	struct wire_hello m = {.aictld_pid = getpid(), .log_level = LOG_LVL_ERROR};
	struct buf b = {0};

	snprintf(m.version, sizeof(m.version), "%s", version_text);
	snprintf(m.boot_id, sizeof(m.boot_id), "boot");
	wire_encode_hello(&b, &m);
	send_packet(&b, NULL, 0);
	send_empty(WIRE_SYNCED);
	say_engine(true);
	UNTIL(asked(HOST_LIST));
	finish(asked(HOST_LIST), AICTL_OK);
}

static void run_one(const struct wire_key *k)
{
	send_start(k);
	UNTIL(asked(HOST_START));
	finish(asked(HOST_START), AICTL_OK);
	say_unit(name_of(k), AICTL_UNIT_RUNNING);
	UNTIL(rig->said.state == WIRE_UNIT_RUNNING && asked(HOST_LOGS));
}

/* ---- tests ---- */

static void test_life(void **state)
{
	const struct wire_key k = key('a');

	(void)state;
	begin();
	run_one(&k);
	say_unit(name_of(&k), AICTL_UNIT_EXITED);
	UNTIL(rig->said.state == WIRE_UNIT_EXITED);
	send_key(WIRE_UNIT_REMOVE, &k);
	settle();
	assert_null(asked(HOST_REMOVE)); /* its log first */
	finish(asked(HOST_LOGS), AICTL_OK);
	UNTIL(asked(HOST_REMOVE));
	finish(asked(HOST_REMOVE), AICTL_OK);
	UNTIL(rig->said.state == WIRE_UNIT_GONE);
	assert_int_equal(rig->r.units.n, 0);
}

/* The engine had made its list before, and its start was quicker than the rest of the answer. */
static void test_started_while_a_list_comes(void **state)
{
	const struct wire_key k = key('a');
	struct asked *list;

	(void)state;
	begin();
	units_list_soon(&rig->r.units);
	UNTIL(asked(HOST_LIST));
	list = asked(HOST_LIST);
	send_start(&k);
	UNTIL(asked(HOST_START));
	finish(asked(HOST_START), AICTL_OK);
	finish(list, AICTL_OK);
	settle();
	assert_int_not_equal(rig->said.state, WIRE_UNIT_GONE);
	assert_int_equal(rig->r.units.n, 1);
}

static void test_no_way_back(void **state)
{
	const struct wire_key k = key('a');

	(void)state;
	begin();
	run_one(&k);
	say_unit(name_of(&k), AICTL_UNIT_CREATED); /* as a list had it */
	settle();
	assert_int_equal(rig->said.state, WIRE_UNIT_RUNNING);
	say_unit(name_of(&k), AICTL_UNIT_EXITED);
	UNTIL(rig->said.state == WIRE_UNIT_EXITED);
	say_unit(name_of(&k), AICTL_UNIT_CREATED);
	say_unit(name_of(&k), AICTL_UNIT_RUNNING);
	settle();
	assert_int_equal(rig->said.state, WIRE_UNIT_EXITED);
}

/* "none", "syslog" and others of an engine keep nothing that could be read: once said is enough. */
static void test_logs_that_cannot_be_read(void **state)
{
	const struct wire_key k = key('a');

	(void)state;
	begin();
	run_one(&k);
	finish(asked(HOST_LOGS), AICTL_FAILED);
	UNTIL(asked(HOST_LOGS)); /* after a pause */
	assert_true(rig->r.units.all[0]->logs_pause_ms > 1000);
	finish(asked(HOST_LOGS), AICTL_UNSUPPORTED);
	settle();
	assert_true(rig->r.units.all[0]->logs_over);
	assert_false(rig->r.units.all[0]->logs_timer.armed);
}

/* A logger that waits for its disk is no reason to lose the end of a log. */
static void test_full_pipe(void **state)
{
	const struct wire_key k = key('a');
	struct asked *logs;
	char junk[16];

	(void)state;
	begin();
	rig->r.units.quiet_ms = 20;
	run_one(&k);
	logs = &rig->ops[rig->n_ops - 1];
	assert_int_equal(write(rig->pipes[0][1], "unread", 6), 6);
	say_unit(name_of(&k), AICTL_UNIT_EXITED);
	send_key(WIRE_UNIT_REMOVE, &k);
	UNTIL(rig->r.units.all[0]->logs_timer.armed);
	for (int64_t until = clock_mono_ms() + 100; clock_mono_ms() < until;)
		turn(5);
	assert_false(logs->canceled);
	assert_int_equal(read(rig->pipes[0][0], junk, sizeof(junk)), 6);
	UNTIL(logs->canceled);
	finish(logs, AICTL_CANCELED);
	UNTIL(asked(HOST_REMOVE));
}

static void say_labelled(const struct asked *list, const char *unit, const char *instance)
{
	struct aictl_pair label = {AICTL_LABEL_INSTANCE, instance};
	struct aictl_unit_state s = state_of(unit, AICTL_UNIT_RUNNING);

	s.labels = &label;
	s.n_labels = 1;
	rig->host->list_item(rig->host, list->op, &s);
}

/* Only what is ours, and one removal at a time. */
static void test_strays(void **state)
{
	struct asked *list, *removal;

	(void)state;
	begin();
	units_list_soon(&rig->r.units);
	UNTIL(asked(HOST_LIST));
	list = asked(HOST_LIST);
	say_item(list, "postgres", AICTL_UNIT_RUNNING);
	say_item(list, "aictl-fffffff0-web-0-aaaaaaaaaaaa", AICTL_UNIT_RUNNING);
	say_labelled(list, "aictl-01234567-web-0-aaaaaaaaaaaa", "01234567");
	assert_null(asked(HOST_REMOVE));
	say_labelled(list, "renamed", INSTANCE);
	assert_non_null(asked(HOST_REMOVE));
	finish(asked(HOST_REMOVE), AICTL_OK);
	say_item(list, "aictl-01234567-web-0-aaaaaaaaaaaa", AICTL_UNIT_RUNNING);
	finish(list, AICTL_OK);
	removal = asked(HOST_REMOVE);
	if (!removal)
		abort();
	assert_string_equal(removal->unit, "aictl-01234567-web-0-aaaaaaaaaaaa");
	units_list_soon(&rig->r.units);
	UNTIL(asked(HOST_LIST));
	list = asked(HOST_LIST);
	say_item(list, "aictl-01234567-web-0-aaaaaaaaaaaa", AICTL_UNIT_RUNNING);
	finish(list, AICTL_OK);
	assert_int_equal(count(HOST_REMOVE), 2);
	finish(removal, AICTL_CONFLICT);
	UNTIL(asked(HOST_LIST)); /* it is looked for again */
	say_item(asked(HOST_LIST), "aictl-01234567-web-0-aaaaaaaaaaaa", AICTL_UNIT_RUNNING);
	finish(asked(HOST_LIST), AICTL_OK);
	assert_int_equal(count(HOST_REMOVE), 3);
	finish(asked(HOST_REMOVE), AICTL_OK);
}

/* What a process before us had asked for comes after the list. */
static void test_late_stray(void **state)
{
	(void)state;
	begin();
	say_unit("aictl-fffffff0-web-0-aaaaaaaaaaaa", AICTL_UNIT_RUNNING);
	say_unit("aictl-01234567-web-0-aaaaaaaaaaaa", AICTL_UNIT_EXITED);
	settle();
	assert_false(rig->r.units.list_due);
	say_unit("aictl-01234567-web-0-aaaaaaaaaaaa", AICTL_UNIT_RUNNING);
	UNTIL(asked(HOST_LIST));
}

/* What the engine did not answer is paused for; a stop does not wait for that. */
static void test_stop_during_a_pause(void **state)
{
	const struct wire_key k = key('a');

	(void)state;
	begin();
	send_start(&k);
	UNTIL(asked(HOST_START));
	rig->r.units.all[0]->pause_ms = 3600000;
	finish(asked(HOST_START), AICTL_TIMEOUT);
	UNTIL(rig->r.units.all[0]->retry.armed);
	send_signal(&k, SIGTERM);
	UNTIL(rig->said.state == WIRE_UNIT_FAILED);
	assert_int_equal(rig->said.err, ECANCELED);
	send_key(WIRE_UNIT_REMOVE, &k);
	UNTIL(asked(HOST_REMOVE));
}

static void test_kill_during_a_pause(void **state)
{
	const struct wire_key k = key('a');

	(void)state;
	begin();
	run_one(&k);
	send_signal(&k, SIGTERM);
	UNTIL(asked(HOST_SIGNAL));
	rig->r.units.all[0]->pause_ms = 3600000;
	finish(asked(HOST_SIGNAL), AICTL_UNREACHABLE);
	UNTIL(rig->r.units.all[0]->retry.armed);
	send_signal(&k, SIGKILL);
	UNTIL(asked(HOST_SIGNAL));
	assert_int_equal(rig->ops[rig->n_ops - 1].number, SIGKILL);
}

/* The plugin may still be at a start that was too slow: no second one beside it. */
static void test_one_start_at_a_time(void **state)
{
	const struct wire_key k = key('a');
	struct asked *first;

	(void)state;
	begin();
	rig->r.host.deadline_ms[HOST_START] = 1;
	send_start(&k);
	UNTIL(asked(HOST_START));
	first = &rig->ops[rig->n_ops - 1];
	UNTIL(first->canceled);
	rig->r.host.deadline_ms[HOST_START] = 60000;
	assert_true(rig->r.units.all[0]->doing == UNIT_STARTS);
	assert_false(rig->r.units.all[0]->retry.armed);
	finish(first, AICTL_CANCELED);
	UNTIL(asked(HOST_START));
	assert_int_equal(count(HOST_START), 2);
	finish(asked(HOST_START), AICTL_OK);
}

/* It answers, but not what it should: nobody knows what runs. */
static void test_list_fails(void **state)
{
	(void)state;
	begin();
	UNTIL(rig->runtime.state == WIRE_RUNTIME_OK);
	units_list_soon(&rig->r.units);
	UNTIL(asked(HOST_LIST));
	finish(asked(HOST_LIST), AICTL_FAILED);
	UNTIL(rig->runtime.state == WIRE_RUNTIME_UNREACHABLE);
	assert_string_equal(rig->runtime.text, "its containers cannot be listed: so it is");
	say_engine(true); /* that alone is no news */
	UNTIL(asked(HOST_LIST));
	assert_int_equal(rig->r.said.state, WIRE_RUNTIME_UNREACHABLE);
	finish(asked(HOST_LIST), AICTL_OK);
	UNTIL(rig->runtime.state == WIRE_RUNTIME_OK);
	assert_string_equal(rig->runtime.text, "");
}

static void send_run(const struct wire_key *k)
{
	char *const argv[] = {(char[]){"true"}, NULL}, *const none[] = {NULL},
		    *const nowhere[] = {(char[]){""}, NULL};
	struct wire_run m = {
		.id = 7,
		.inside = true,
		.key = *k,
		.child = {.cwd = (char[]){"/"}, .paths = nowhere, .argv = argv, .envp = none}};
	int fds[3] = {rig->pipes[0][0], rig->pipes[0][1], rig->pipes[1][1]};
	struct buf b = {0};

	wire_run_encode(&b, &m);
	send_packet(&b, fds, 3);
}

static void test_run_in_what_is_not_there(void **state)
{
	const struct wire_key k = key('a'), other = key('b');

	(void)state;
	begin();
	run_one(&k);
	send_run(&other);
	UNTIL(rig->run_end.id == 7);
	assert_int_equal(rig->run_end.err, ESRCH);
	assert_int_equal(count(HOST_EXEC), 0);
	send_run(&k);
	UNTIL(asked(HOST_EXEC));
	finish(asked(HOST_EXEC), AICTL_OK);
}

/* aictld could not open what its log needs: it is followed all the same. */
static void test_kept_without_pipes(void **state)
{
	const struct wire_key k = key('a');

	(void)state;
	send_key(WIRE_UNIT_KEEP, &k);
	UNTIL(rig->r.units.n == 1);
	send_empty(WIRE_SYNCED);
	say_engine(true);
	UNTIL(asked(HOST_LIST));
	say_item(asked(HOST_LIST), name_of(&k), AICTL_UNIT_RUNNING);
	finish(asked(HOST_LIST), AICTL_OK);
	UNTIL(rig->said.state == WIRE_UNIT_RUNNING);
	assert_int_equal(count(HOST_REMOVE) + count(HOST_LOGS), 0);
}

#define ON(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {ON(test_life),
					   ON(test_started_while_a_list_comes),
					   ON(test_no_way_back),
					   ON(test_logs_that_cannot_be_read),
					   ON(test_full_pipe),
					   ON(test_strays),
					   ON(test_late_stray),
					   ON(test_stop_during_a_pause),
					   ON(test_kill_during_a_pause),
					   ON(test_one_start_at_a_time),
					   ON(test_list_fails),
					   ON(test_run_in_what_is_not_there),
					   ON(test_kept_without_pipes)};

	log_open("test", STDERR_FILENO, LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
