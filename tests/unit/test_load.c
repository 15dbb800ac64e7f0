/*
 * test_load: services come from the store while users are looked up on a worker; the controller may
 * end before that.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/load.h"
#include "daemon/controller/store.h"
#include "lib/err.h"

#define SOURCES                                                                                    \
	"[{\"path\":\"/m.yaml\",\"text\":\"{version: 1, name: s, services: {a: {command: "         \
	"[sleep]}}}\"}]"

static const struct controller_opts opts = {
	.log_dir = "/nonexistent", .port_first = 1024, .port_last = 1100};
static const struct store_service row = {
	.name = "a", .set = "s", .sources = SOURCES, .revision = 1, .replicas_override = -1};
static const struct store_snapshot snap = {.services = &row, .n_services = 1, .last_event_seq = 1};

static void begin(struct controller *c, uv_loop_t *loop)
{
	struct err *e = NULL;

	assert_int_equal(uv_loop_init(loop), 0);
	assert_int_equal(controller_init(c, loop, &opts, &e), 0);
	assert_int_equal(load_from_store(c, &snap), 0);
}

static void services_are_there_when_users_are_known(void **state)
{
	struct controller c;
	uv_loop_t loop;

	(void)state;
	begin(&c, &loop);
	assert_false(c.loaded);
	while (!c.loaded)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(c.n_services, 1);
	assert_non_null(controller_find(&c, "a"));
	assert_false(c.begun); /* aictld has not told its part */
	controller_close(&c);
	uv_run(&loop, UV_RUN_DEFAULT);
	controller_done(&c);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void an_end_before_that_leaves_nothing(void **state)
{
	struct controller c;
	uv_loop_t loop;

	(void)state;
	begin(&c, &loop);
	c.synced = true;
	controller_close(&c);
	controller_done(&c);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(c.n_services, 0);
	assert_false(c.begun);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services_are_there_when_users_are_known),
		cmocka_unit_test(an_end_before_that_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
