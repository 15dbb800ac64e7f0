/*
 * Unit tests of the plugin interface: what aictl/plugin.h has frozen, and what the host makes of a
 * plugin that is older, younger or breaks the rules.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/runtime/host.h"
#include "daemon/runtime/sized.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/loop.h"
#include "lib/mem.h"

#define DEADLINE_MS 10000

/* ---- the layout ---- */

#define AT(type, member, offset) assert_int_equal(offsetof(struct type, member), offset)
#define ENDS(type, member, size) assert_int_equal(SIZED_FIRST(type, member), size)

/* Version 1, for ever: plugins that people have built rely on it. New members may follow. */
static void test_frozen(void **state)
{
	(void)state;
	assert_int_equal(AICTL_PLUGIN_ABI, 1);
	assert_int_equal(sizeof(struct aictl_pair), 2 * sizeof(void *));
	assert_int_equal(sizeof(struct aictl_log_position), 24);
	if (sizeof(void *) != 8)
		return;
	AT(aictl_plugin, runtime, 40);
	ENDS(aictl_plugin, runtime, 48);
	AT(aictl_runtime_ops, open, 8);
	ENDS(aictl_runtime_ops, cancel, 96);
	AT(aictl_host, log, 8);
	ENDS(aictl_host, exec_started, 112);
	AT(aictl_result, message, 8);
	ENDS(aictl_result, stats, 32);
	AT(aictl_unit_state, pid, 48);
	ENDS(aictl_unit_state, n_labels, 96);
	ENDS(aictl_engine_state, reserved, 48);
	AT(aictl_progress, bytes_done, 16);
	ENDS(aictl_progress, text, 40);
	ENDS(aictl_stats, sent_bytes, 72);
	ENDS(aictl_open, instance, 32);
	ENDS(aictl_start, stderr_fd, 56);
	ENDS(aictl_logs, stderr_fd, 48);
	ENDS(aictl_exec, reserved, 72);
	assert_int_equal(AICTL_FAILED, 10);
	assert_int_equal(AICTL_UNIT_GONE, 4);
	assert_int_equal(AICTL_KIND_DEVICE, 4);
}

/* What is full when it is frozen has no room at its end that a new member could slip into. */
static void test_no_padding(void **state)
{
	(void)state;
	assert_int_equal(SIZED_FIRST(aictl_plugin, runtime), sizeof(struct aictl_plugin));
	assert_int_equal(SIZED_FIRST(aictl_runtime_ops, cancel), sizeof(struct aictl_runtime_ops));
	assert_int_equal(SIZED_FIRST(aictl_host, exec_started), sizeof(struct aictl_host));
	assert_int_equal(SIZED_FIRST(aictl_result, stats), sizeof(struct aictl_result));
	assert_int_equal(SIZED_FIRST(aictl_unit_state, n_labels), sizeof(struct aictl_unit_state));
	assert_int_equal(SIZED_FIRST(aictl_engine_state, reserved),
			 sizeof(struct aictl_engine_state));
	assert_int_equal(SIZED_FIRST(aictl_progress, text), sizeof(struct aictl_progress));
	assert_int_equal(SIZED_FIRST(aictl_stats, sent_bytes), sizeof(struct aictl_stats));
	assert_int_equal(SIZED_FIRST(aictl_start, stderr_fd), sizeof(struct aictl_start));
	assert_int_equal(SIZED_FIRST(aictl_logs, stderr_fd), sizeof(struct aictl_logs));
	assert_int_equal(SIZED_FIRST(aictl_exec, reserved), sizeof(struct aictl_exec));
}

static void test_sized(void **state)
{
	struct {
		struct aictl_progress known;
		int64_t younger;
	} in = {.known = {.struct_size = sizeof(in), .layers_done = 3, .text = "x"}, .younger = 9};
	struct aictl_progress out;

	(void)state;
	assert_true(sized_take(&out, sizeof(out), &in, SIZED_FIRST(aictl_progress, text)));
	assert_int_equal(out.struct_size, sizeof(out));
	assert_int_equal(out.layers_done, 3);
	in.known.struct_size =
		offsetof(struct aictl_progress, text); /* of an older one, were it so */
	assert_true(sized_take(&out, sizeof(out), &in, 8));
	assert_null(out.text);
	assert_int_equal(out.layers_done, 3);
	assert_false(sized_take(&out, sizeof(out), &in, SIZED_FIRST(aictl_progress, text)));
	assert_int_equal(out.layers_done, 0);
	assert_false(sized_take(&out, sizeof(out), NULL, 0));
	assert_int_equal(out.struct_size, sizeof(out));
}

/* ---- a plugin that does as it is told ---- */

struct rig {
	struct loop loop;
	struct host host;
	const struct aictl_host *table;
	uint64_t op; /* the last that was given */
	unsigned canceled;
	unsigned ended;
	int code;
	char message[300];
	int64_t cpu_us;
	unsigned faults, units, items, engines;
	uint32_t phase;
	char fault[300], error[300], id[300];
};

static int plugin_open(const struct aictl_host *host, const struct aictl_open *with,
		       void **ret_self, char *error, size_t size)
{
	struct rig *r;

	memcpy(&r, with->config, sizeof(r)); /* the test's own way in */
	if (!r) {
		snprintf(error, size, "no such\nengine");
		return AICTL_INVALID;
	}
	r->table = host;
	*ret_self = r;
	return AICTL_OK;
}

static void note(void *self, uint64_t op)
{
	((struct rig *)self)->op = op;
}

static void plugin_start(void *self, uint64_t op, const struct aictl_start *what)
{
	(void)what;
	note(self, op);
}

static void plugin_signal(void *self, uint64_t op, const char *unit, int number)
{
	(void)unit;
	(void)number;
	note(self, op);
}

static void plugin_unit(void *self, uint64_t op, const char *unit)
{
	(void)unit;
	note(self, op);
}

static void plugin_cancel(void *self, uint64_t op)
{
	(void)op;
	((struct rig *)self)->canceled++;
}

static const struct aictl_runtime_ops ops = {.struct_size = sizeof(ops),
					     .open = plugin_open,
					     .close = note,
					     .start = plugin_start,
					     .signal = plugin_signal,
					     .remove = plugin_unit,
					     .list = note,
					     .stats = plugin_unit,
					     .cancel = plugin_cancel};
static const struct aictl_plugin plugin = {.abi = AICTL_PLUGIN_ABI,
					   .struct_size = sizeof(plugin),
					   .kind = AICTL_KIND_RUNTIME,
					   .name = "mock",
					   .version = "1",
					   .runtime = &ops};

static void on_ended(void *user, uint64_t op, const struct aictl_result *result)
{
	struct rig *r = user;

	(void)op;
	r->ended++;
	r->code = result->code;
	snprintf(r->message, sizeof(r->message), "%s", result->message);
	r->cpu_us = result->stats ? result->stats->cpu_us : -1;
}

static void on_item(void *user, uint64_t op, const struct aictl_unit_state *s)
{
	struct rig *r = user;

	(void)op;
	r->items++;
	r->phase = s->phase;
}

static void on_unit(void *user, const struct aictl_unit_state *s)
{
	struct rig *r = user;

	r->units++;
	r->phase = s->phase;
	snprintf(r->error, sizeof(r->error), "%s", s->error ? s->error : "(none)");
	snprintf(r->id, sizeof(r->id), "%s", s->engine_id ? s->engine_id : "(none)");
}

static void on_engine(void *user, const struct aictl_engine_state *s)
{
	(void)s;
	((struct rig *)user)->engines++;
}

static void on_fault(void *user, const char *text)
{
	struct rig *r = user;

	r->faults++;
	snprintf(r->fault, sizeof(r->fault), "%s", text);
}

static const struct host_reply *reply(struct rig *r)
{
	static struct host_reply it;

	it = (struct host_reply){.user = r, .ended = on_ended, .item = on_item};
	return &it;
}

static int try_open(struct rig *r, struct rig *given, struct err **reterr)
{
	char config[sizeof(given)];
	const struct aictl_open with = {
		.struct_size = sizeof(with), .name = "mock", .config = config, .instance = "i"};

	memcpy(config, &given, sizeof(given));
	host_init(&r->host, &r->loop, &plugin);
	r->host.events = (struct host_events){
		.user = r, .unit_state = on_unit, .engine_state = on_engine, .fault = on_fault};
	return host_open(&r->host, &with, reterr);
}

static int set_up(void **state)
{
	struct rig *r = mem_alloc(sizeof(*r));

	*state = r;
	if (!r || loop_init(&r->loop) < 0)
		return -1;
	return try_open(r, r, NULL);
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	host_done(&r->host);
	loop_done(&r->loop);
	mem_free(r);
	return 0;
}

static void complete(struct rig *r, uint64_t op, int code)
{
	const struct aictl_result result = {.struct_size = sizeof(result), .code = code};

	r->table->complete(r->table, op, &result);
}

static void await(struct rig *r, const unsigned *what, unsigned wanted)
{
	int64_t end = clock_mono_ms() + DEADLINE_MS;

	while (*what < wanted && clock_mono_ms() < end)
		assert_int_equal(loop_once(&r->loop, 20), 0);
	assert_int_equal(*what, wanted);
}

static void test_once(void **state)
{
	struct rig *r = *state;
	uint64_t op = host_signal(&r->host, "u", 15, reply(r));

	assert_int_equal(op, r->op);
	complete(r, op, AICTL_NOT_FOUND);
	assert_int_equal(r->ended, 1);
	assert_int_equal(r->code, AICTL_NOT_FOUND);
	assert_int_equal(r->faults, 0);
	complete(r, op, AICTL_OK);
	assert_int_equal(r->ended, 1);
	assert_int_equal(r->faults, 1);
	assert_non_null(strstr(r->fault, "complete was called for operation"));
	complete(r, op + 7, AICTL_OK);
	complete(r, 0, AICTL_OK);
	assert_int_equal(r->faults, 3);
	assert_non_null(strstr(r->fault, "never begun"));
	assert_int_equal(r->ended, 1);
}

static void test_deadline(void **state)
{
	struct rig *r = *state;
	uint64_t op;

	r->host.deadline_ms[HOST_REMOVE] = 1;
	r->host.cancel_ms = 1;
	op = host_remove(&r->host, "u", reply(r));
	await(r, &r->ended, 1);
	assert_int_equal(r->code, AICTL_TIMEOUT);
	assert_int_equal(r->canceled, 1);
	await(r, &r->faults, 2); /* late, and not ended after its cancel */
	assert_int_equal(r->ended, 1);
	assert_false(host_is_open(&r->host, op));
	complete(r, op, AICTL_OK); /* much too late */
	assert_int_equal(r->faults, 3);
	assert_int_equal(r->ended, 1);
}

static void test_late_is_not_passed_on(void **state)
{
	struct rig *r = *state;
	const struct aictl_unit_state s = {
		.struct_size = sizeof(s), .phase = AICTL_UNIT_RUNNING, .unit = "u"};
	uint64_t op;

	r->host.deadline_ms[HOST_LIST] = 1;
	op = host_list(&r->host, reply(r));
	await(r, &r->canceled, 1);
	assert_int_equal(r->ended, 0); /* it may still do something */
	r->table->list_item(r->table, op, &s);
	assert_int_equal(r->items, 0);
	complete(r, op, AICTL_OK);
	assert_int_equal(r->ended, 1);
	assert_int_equal(r->code, AICTL_TIMEOUT);
	assert_int_equal(r->faults, 1);
}

static void test_states(void **state)
{
	struct rig *r = *state;
	struct {
		struct aictl_unit_state known;
		int64_t younger;
	} s = {.known = {.struct_size = sizeof(s),
			 .phase = 77,
			 .unit = "u",
			 .engine_id = "a\x1b[2Jb",
			 .error = "line\nline\x7f "}};

	r->table->unit_state(r->table, &s.known);
	assert_int_equal(r->units, 1);
	assert_int_equal(r->phase, AICTL_UNIT_UNKNOWN);
	assert_string_equal(r->id, "a [2Jb");
	assert_string_equal(r->error, "line line");
	assert_int_equal(r->faults, 0);
	s.known.struct_size = SIZED_FIRST(aictl_unit_state, n_labels) - 1;
	r->table->unit_state(r->table, &s.known);
	s.known.struct_size = sizeof(s);
	s.known.unit = NULL;
	r->table->unit_state(r->table, &s.known);
	r->table->unit_state(r->table, NULL);
	r->table->engine_state(r->table, NULL);
	assert_int_equal(r->units, 1);
	assert_int_equal(r->engines, 0);
	assert_int_equal(r->faults, 4);
}

static void test_results(void **state)
{
	struct rig *r = *state;
	struct aictl_result result = {.struct_size = 8, .code = AICTL_OK};
	const struct aictl_stats stats = {.struct_size = sizeof(stats), .cpu_us = 42};

	r->table->complete(r->table, host_list(&r->host, reply(r)), &result);
	assert_int_equal(r->code, AICTL_FAILED); /* too short */
	assert_int_equal(r->faults, 1);
	assert_true(r->message[0] != '\0');
	result = (struct aictl_result){.struct_size = sizeof(result), .code = 99};
	r->table->complete(r->table, host_list(&r->host, reply(r)), &result);
	assert_int_equal(r->code, AICTL_FAILED); /* of a later version */
	assert_int_equal(r->faults, 1);
	r->table->complete(r->table, host_list(&r->host, reply(r)), NULL);
	assert_int_equal(r->code, AICTL_OK);
	result = (struct aictl_result){.struct_size = sizeof(result), .stats = &stats};
	r->table->complete(r->table, host_stats(&r->host, "u", reply(r)), &result);
	assert_int_equal(r->cpu_us, 42);
	r->table->complete(r->table, host_list(&r->host, reply(r)), &result);
	assert_int_equal(r->cpu_us, -1); /* nobody asked for it */
	r->table->complete(r->table, host_stats(&r->host, "u", reply(r)), NULL);
	assert_int_equal(r->code, AICTL_FAILED);
	assert_int_equal(r->faults, 2);
	assert_int_equal(host_exec(&r->host, &(struct aictl_exec){.unit = "u"}, reply(r)) > 0, 1);
	assert_int_equal(r->code, AICTL_UNSUPPORTED);
}

static void *call_from_elsewhere(void *user)
{
	const struct rig *r = user;

	r->table->complete(r->table, r->op, NULL);
	r->table->log(r->table, AICTL_INFO, "x");
	assert_null(r->table->timer_new(r->table, NULL, NULL));
	return NULL;
}

static void test_threads(void **state)
{
	struct rig *r = *state;
	pthread_t thread;

	host_list(&r->host, reply(r));
	assert_int_equal(pthread_create(&thread, NULL, call_from_elsewhere, r), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r->ended, 0);
	complete(r, r->op, AICTL_OK);
	assert_int_equal(r->ended, 1);
	assert_int_equal(r->faults, 1);
	assert_non_null(strstr(r->fault, "timer_new was called from a thread"));
	assert_non_null(strstr(r->fault, "3 such calls"));
}

static void test_close(void **state)
{
	struct rig *r = *state;

	host_list(&r->host, reply(r));
	host_close(&r->host, reply(r));
	complete(r, r->op, AICTL_OK);
	assert_int_equal(r->ended, 2);
	assert_int_equal(r->faults, 1); /* the list was left open */
	complete(r, r->op, AICTL_OK);
	assert_int_equal(r->faults, 2);
	assert_non_null(strstr(r->fault, "after the end"));
	host_list(&r->host, reply(r));
	assert_int_equal(r->code, AICTL_CANCELED);
}

static void test_refusal(void **state)
{
	_cleanup_err_ struct err *err = NULL;
	struct rig *r = *state;

	host_done(&r->host);
	assert_true(try_open(r, NULL, &err) < 0);
	assert_string_equal(err_msg(err), "no such engine");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_no_padding),
		cmocka_unit_test(test_sized),
		cmocka_unit_test_setup_teardown(test_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_late_is_not_passed_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_states, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_results, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusal, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
