/*
 * The sums of what gateways have counted (stats), and Prometheus' text format (exposition).
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/exposition.h"
#include "daemon/controller/stats.h"
#include "daemon/controller/tally.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"

static bool nothing_lives(const struct stats_entry *e, void *user)
{
	(void)e;
	(void)user;
	return false;
}

static bool zero_lives(const struct stats_entry *e, void *user)
{
	(void)user;
	return e->key.index == 0;
}

static int setup(void **state)
{
	*state = stats_new(zero_lives, NULL);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	stats_free(*state);
	return 0;
}

/* n answers of 200 and one connect failure for each ten, in all, by that run. */
static struct wire_traffic_stats told(unsigned index, unsigned run, uint64_t revision, uint64_t n)
{
	struct wire_traffic_stats m = {
		.key = {.service = "svc", .index = index}, .name = "http", .revision = revision};

	snprintf(m.key.incarnation, sizeof(m.key.incarnation), "%032x", run);
	m.answers[2] = n;
	m.connect_failures = n / 10;
	m.latency[4] = n;
	m.latency_us = n * 450;
	return m;
}

static uint64_t requests(const struct stats *s, uint64_t revision, int64_t index)
{
	struct stats_counts c;

	stats_sum(s, &(struct stats_which){.service = "svc", .revision = revision, .index = index},
		  &c);
	assert_int_equal(c.latency[4], stats_requests(&c));
	assert_int_equal(c.latency_us, 450 * stats_requests(&c));
	return stats_requests(&c);
}

static uint64_t requests_of(const struct stats *s, int64_t index)
{
	struct stats_counts c;

	stats_sum(s, &(struct stats_which){.service = "svc", .index = index}, &c);
	return stats_requests(&c);
}

static void sums_are_taken_once(void **state)
{
	struct stats *s = *state;
	struct wire_traffic_stats m = told(0, 1, 7, 10);

	stats_take(s, &m, false, 1000);
	stats_take(s, &m, false, 2000); /* told twice, as after a reconnection */
	assert_int_equal(requests(s, 0, -1), 10);
	m = told(0, 1, 7, 25);
	stats_take(s, &m, false, 3000);
	assert_int_equal(requests(s, 0, -1), 25);
	m = told(1, 2, 7, 5);
	stats_take(s, &m, false, 3000);
	assert_int_equal(requests(s, 0, -1), 30);
	assert_int_equal(requests(s, 7, 1), 5);
	assert_int_equal(requests(s, 8, -1), 0);
	assert_int_equal(stats_count(s), 2);
}

static void another_gateway_begins_at_zero(void **state)
{
	struct stats *s = *state;
	struct wire_traffic_stats m = told(0, 1, 7, 10);
	uint64_t last = 0;

	stats_take(s, &m, false, 1000);
	for (unsigned g = 0; g < 5; g++) {
		stats_new_gateway(s);
		for (uint64_t n = 0; n < 30; n += 3) { /* below, and then above what the last had */
			m = told(0, 1, 7, n);
			stats_take(s, &m, false, 2000);
			assert_true(requests(s, 0, -1) >= last);
			last = requests(s, 0, -1);
		}
	}
	assert_int_equal(last, 10 + 5 * 27);
}

static void a_live_change_moves_what_comes_later(void **state)
{
	struct stats *s = *state;
	struct wire_traffic_stats m = told(0, 1, 7, 10);

	stats_take(s, &m, false, 1000);
	m = told(0, 1, 8, 14); /* the same run is another revision now */
	stats_take(s, &m, false, 2000);
	assert_int_equal(requests(s, 7, -1), 10);
	assert_int_equal(requests(s, 8, -1), 4);
	m = told(0, 1, 7, 15); /* and back */
	stats_take(s, &m, false, 3000);
	assert_int_equal(requests(s, 7, -1), 11);
	assert_int_equal(requests(s, 8, -1), 4);
	assert_int_equal(requests(s, 0, -1), 15);
}

static void another_run_is_added(void **state)
{
	struct stats *s = *state;
	struct wire_traffic_stats m = told(0, 1, 7, 10);

	stats_take(s, &m, false, 1000);
	m = told(0, 2, 7, 3);
	stats_take(s, &m, false, 2000);
	m = told(0, 1, 7, 11); /* a straggler */
	stats_take(s, &m, false, 3000);
	assert_int_equal(requests(s, 7, 0), 14);
}

static void old_ones_go_the_oldest_first(void **state)
{
	struct stats *s = stats_new(nothing_lives, NULL);
	struct wire_traffic_stats m;

	stats_free(*state);
	*state = s;
	for (unsigned i = 0; i < STATS_OLD_MAX + 10; i++) {
		m = told(i, i, 7, 1);
		stats_take(s, &m, false, 1000 + i);
	}
	assert_int_equal(stats_count(s), STATS_OLD_MAX);
	assert_int_equal(requests(s, 0, 0), 0);
	assert_int_equal(requests(s, 0, STATS_OLD_MAX + 9), 1);
	stats_forget(s, "svc");
	assert_int_equal(stats_count(s), 0);
	for (unsigned i = 0; i < STATS_OLD_MAX + 10; i++) { /* one replica that restarts */
		m = told(0, i, 7, 1);
		stats_take(s, &m, false, 1000 + i);
		assert_int_equal(requests(s, 7, 0), i + 1);
	}
	assert_int_equal(stats_count(s), STATS_OLD_MAX);
}

static void the_last_minute_passes(void **state)
{
	struct stats *s = *state;
	struct stats_minute out;
	struct wire_traffic_stats m = told(0, 1, 7, 0);
	const struct stats_which all = {.service = "svc", .index = -1};

	for (uint64_t i = 1; i <= 100; i++) { /* 5 a second */
		m = told(0, 1, 7, 5 * i);
		stats_take(s, &m, false, (int64_t)i * 1000 + 7);
	}
	stats_minute(s, &all, 101000, &out);
	assert_true(out.per_second == 5);
	for (int i = 0; i < STATS_SECONDS; i++)
		assert_int_equal(out.each[i], 5);
	assert_true(out.requests >= 300 && out.requests <= 400);
	assert_int_equal(out.latency[4], out.requests);
	stats_minute(s, &all, 106000, &out);
	assert_true(out.per_second == 2.5);
	assert_int_equal(out.each[STATS_SECONDS - 1], 0);
	stats_minute(s, &all, 181000, &out);
	assert_int_equal(out.requests, 0);
	assert_true(out.per_second == 0);
	for (int i = 0; i < STATS_SECONDS; i++)
		assert_int_equal(out.each[i], 0);
}

/* What a gateway had counted before we were here is of no known time. */
static void what_was_before_is_not_of_the_last_minute(void **state)
{
	struct stats *s = *state;
	struct stats_minute out;
	struct wire_traffic_stats m = told(0, 1, 7, 100000);
	const struct stats_which all = {.service = "svc", .index = -1};

	stats_take(s, &m, true, 100000);
	assert_int_equal(requests(s, 0, -1), 100000);
	stats_minute(s, &all, 101000, &out);
	assert_true(out.per_second == 0 && out.requests == 0);
	m = told(0, 1, 7, 100010);
	stats_take(s, &m, true, 101000);
	stats_minute(s, &all, 102000, &out);
	assert_true(out.per_second == 1 && out.requests == 10);
	stats_new_gateway(s); /* it counts from zero, and tells each second */
	m = told(0, 1, 7, 20);
	stats_take(s, &m, false, 102000);
	stats_minute(s, &all, 103000, &out);
	assert_true(out.per_second == 3 && out.requests == 30);
	assert_int_equal(requests(s, 0, -1), 100030);
}

static bool is_http(const void *user, const char *port)
{
	(void)user;
	return strcmp(port, "http") == 0;
}

static void ports_that_are_no_more_are_forgotten(void **state)
{
	struct stats *s = *state;
	struct wire_traffic_demand m = {.service = "svc", .name = "side", .waiting = 3};

	stats_take_demand(s, &m);
	snprintf(m.name, sizeof(m.name), "http");
	stats_take_demand(s, &m);
	snprintf(m.service, sizeof(m.service), "other");
	snprintf(m.name, sizeof(m.name), "side");
	stats_take_demand(s, &m);
	stats_keep_ports(s, "svc", is_http, NULL);
	assert_int_equal(stats_count_ports(s), 2);
	for (size_t i = 0; i < 2; i++)
		assert_true(strcmp(stats_port_at(s, i)->service, "svc") != 0 ||
			    strcmp(stats_port_at(s, i)->port, "http") == 0);
}

static void quantiles_lie_within_their_bucket(void **state)
{
	uint64_t buckets[WIRE_TRAFFIC_BUCKETS] = {0};

	(void)state;
	assert_true(stats_quantile_ms(buckets, 0.5) == -1);
	buckets[wire_traffic_bucket(100000)] = 100;
	for (double q = 0.01; q < 1; q += 0.01) {
		double ms = stats_quantile_ms(buckets, q);

		assert_true(ms > 80 && ms < 110);
	}
	buckets[wire_traffic_bucket(1000000)] = 10; /* 9 % are slow */
	assert_true(stats_quantile_ms(buckets, 0.9) < 110);
	assert_true(stats_quantile_ms(buckets, 0.95) > 800);
	buckets[WIRE_TRAFFIC_BUCKETS - 1] = 1000;
	assert_true(isfinite(stats_quantile_ms(buckets, 0.99)));
}

/* A quarter of the requests in each of some buckets side by side, a few elsewhere. */
static struct wire_traffic_stats busy(unsigned index, uint64_t n)
{
	struct wire_traffic_stats m = told(index, index, 7, 0);

	m.answers[2] = n;
	m.answers[5] = n / 100;
	m.bytes_in = n * 300;
	m.bytes_out = n * 70000;
	m.latency_us = n * 90000;
	m.first_byte_us = n * 20000;
	for (unsigned i = 30; i < 48; i++) {
		m.latency[i] = n / 18;
		m.first_byte[i - 10] = n / 18;
	}
	m.latency[70] = n / 1000;
	return m;
}

static bool all_live(const struct stats_entry *e, void *user)
{
	(void)e;
	(void)user;
	return true;
}

/* Of what 4 KiB of the controller's memory a replica may have, this is the largest part. */
static void a_replica_with_traffic_costs_little(void **state)
{
	enum { N = 500, BYTES_MAX = 2048 };
	struct stats *s = stats_new(all_live, NULL);
	struct stats_counts c;
	size_t before, bytes;

	stats_free(*state);
	*state = s;
	before = mallinfo2().uordblks;
	for (unsigned second = 1; second <= 90; second++) {
		for (unsigned i = 0; i < N; i++) {
			struct wire_traffic_stats m = busy(i, second * 1000);

			stats_take(s, &m, false, second * 1000);
		}
	}
	bytes = (mallinfo2().uordblks - before) / N;
	print_message("%zu bytes for each replica\n", bytes);
	stats_sum(s, &(struct stats_which){.service = "svc", .index = N - 1}, &c);
	assert_int_equal(c.answers[2], 90000);
	assert_int_equal(c.latency[47], 90000 / 18);
	assert_int_equal(c.bytes_out, UINT64_C(90000) * 70000);
	assert_true(bytes < BYTES_MAX); /* 0 with sanitizers */
}

static void what_is_long_ago_is_freed(void **state)
{
	struct stats *s = *state;
	struct wire_traffic_stats m = busy(1, 1000);

	stats_take(s, &m, false, 100000);
	assert_non_null(stats_at(s, 0)->recent);
	m = busy(0, 1);
	stats_take(s, &m, false, 400000);
	assert_int_equal(stats_at(s, 1)->key.index, 1);
	assert_null(stats_at(s, 1)->recent);
	assert_int_equal(requests_of(s, 1), 1010);
}

static void tallies_hold_any_numbers(void **state)
{
	uint64_t in[TALLY_MAX] = {0}, out[TALLY_MAX];
	struct tally t = {0};

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		memset(out, 0, sizeof(out));
		in[round * 37 % TALLY_MAX] = round % 3 ? UINT64_MAX >> round % 64 : 0;
		assert_int_equal(tally_set(&t, in, TALLY_MAX), 0);
		tally_add_to(&t, out, TALLY_MAX);
		assert_memory_equal(in, out, sizeof(in));
	}
	tally_done(&t);
	mem_fail_after(1);
	assert_int_equal(tally_set(&t, in, TALLY_MAX), -ERR_NOMEM);
	mem_fail_after(0);
	assert_int_equal(t.len, 0);
}

static void labels_are_escaped(void **state)
{
	struct buf b = {0};

	(void)state;
	exposition_family(&b, "aictl_x_total", "counter", "a \"b\" \\ c\nd");
	exposition_begin(&b, "aictl_x_total");
	exposition_label(&b, "service", "a\"b\\c\nd");
	exposition_label(&b, "code", "");
	exposition_end_int(&b, UINT64_MAX);
	exposition_begin(&b, "aictl_x_total");
	exposition_end_double(&b, 0.25);
	assert_string_equal(buf_cstr(&b), "# HELP aictl_x_total a \"b\" \\\\ c\\nd\n"
					  "# TYPE aictl_x_total counter\n"
					  "aictl_x_total{service=\"a\\\"b\\\\c\\nd\",code=\"\"} "
					  "18446744073709551615\n"
					  "aictl_x_total 0.25\n");
	buf_clear(&b);
	exposition_begin(&b, "x");
	exposition_end_double(&b, INFINITY);
	exposition_begin(&b, "x");
	exposition_end_double(&b, NAN);
	assert_string_equal(buf_cstr(&b), "x +Inf\nx NaN\n");
	buf_done(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sums_are_taken_once),
		TEST(another_gateway_begins_at_zero),
		TEST(a_live_change_moves_what_comes_later),
		TEST(another_run_is_added),
		TEST(old_ones_go_the_oldest_first),
		TEST(the_last_minute_passes),
		TEST(what_was_before_is_not_of_the_last_minute),
		TEST(ports_that_are_no_more_are_forgotten),
		cmocka_unit_test(quantiles_lie_within_their_bucket),
		cmocka_unit_test_setup_teardown(a_replica_with_traffic_costs_little, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_long_ago_is_freed, setup, teardown),
		cmocka_unit_test(tallies_hold_any_numbers),
		cmocka_unit_test(labels_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
