/* wiremsg_gateway: the messages about stable ports, for wiremsg. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "daemon/wire/wire_listen.h"
#include "daemon/wire/wire_routes.h"
#include "daemon/wire/wire_traffic.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "tests/lib/wiremsg.h"

static void sample_listen(enum wire_type type, struct buf *b)
{
	struct wire_listen_state list[] = {{{"127.0.0.1", 8000}, 0, false},
					   {{"::1", 65535}, 98, true}};
	const struct wire_listen m = {2, list};

	if (type == WIRE_LISTEN || type == WIRE_LISTENING)
		wire_listen_encode(b, type, &m);
	else if (type == WIRE_GIVE_LISTENER)
		wire_giveback_encode_listener(b, &list[1].at);
	else
		wire_listen_encode_at(b, (int)type, &list[0].at);
}

static void sample_routes(enum wire_type type, const struct wire_key *key, struct buf *b)
{
	struct wire_routes_backend backends[] = {
		{.index = 0, .port = 20000, .draining = true, .revision = 6},
		{.index = UINT32_MAX, .canary = true, .revision = 7, .socket = "/run/x.sock"},
	};
	const struct wire_routes_rules rules = {.concurrency = 4,
						.queue_max = 100,
						.queue_timeout_ms = 30000,
						.hold_ms = 120000,
						.eta_ms = 9000,
						.from_zero = true,
						.held_until = 86400000,
						.retry = 2,
						.canary_permille = 50,
						.access_permille = 1000,
						.affinity = "X-Session",
						.connect_ms = 5000,
						.total_ms = UINT32_MAX,
						.tunnel_ms = 3600000};
	const struct wire_routes_news none = {0}, news = {"failed", "exit code 1", UINT64_MAX};
	struct wire_route list[] = {
		{{"127.0.0.1", 8000}, "llm-7b", "http", WIRE_ROUTES_HTTP, rules, none, 2, backends},
		{{"::", 9000}, "tokenizer", "grpc", WIRE_ROUTES_TCP, rules, news, 0, NULL},
	};
	const struct wire_routes m = {1700000000000, 7, 2, list};
	const struct wire_routes_load load = {
		.key = *key, .name = "http", .active = 3, .requests = UINT64_MAX, .failures = 1};

	memcpy(backends[0].incarnation, key->incarnation, sizeof(key->incarnation));
	memcpy(backends[1].incarnation, key->incarnation, sizeof(key->incarnation));
	if (type == WIRE_ROUTES)
		wire_routes_encode(b, &m);
	else if (type == WIRE_ROUTED)
		wire_routes_encode_routed(b, 1700000000000, 7);
	else
		wire_routes_encode_load(b, &load, 1);
}

static void sample_traffic(enum wire_type type, const struct wire_key *key, struct buf *b)
{
	const struct wire_traffic_demand demand = {"llm-7b", "http", 3, 4, 1200, 17, 1, UINT64_MAX};
	const struct wire_traffic_stats stats = {.key = *key,
						 .name = "http",
						 .revision = 7,
						 .answers = {1, 0, 1000, 2, 3, 4},
						 .bytes_out = UINT64_MAX,
						 .ejections = 1,
						 .ejected_for_ms = 10000,
						 .latency = {[3] = 1000, [23] = 1}};

	if (type == WIRE_DEMAND)
		wire_traffic_encode_demand(b, &demand, 1);
	else
		wire_traffic_encode_stats(b, &stats, 1);
}

void wiremsg_gateway_sample(enum wire_type type, const struct wire_key *key, struct buf *b)
{
	if (type == WIRE_DEMAND || type == WIRE_STATS)
		sample_traffic(type, key, b);
	else if (type == WIRE_ROUTES || type == WIRE_ROUTED || type == WIRE_LOAD)
		sample_routes(type, key, b);
	else
		sample_listen(type, b);
}

static int again_listen(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_listen_at at;
	struct wire_listen m;
	int r;

	if (type == WIRE_LISTEN || type == WIRE_LISTENING) {
		r = wire_listen_decode(body, len, &m);
		wire_listen_encode(out, type, &m);
		wire_listen_free(&m);
	} else if (type == WIRE_GIVE_LISTENER) {
		r = wire_giveback_decode_listener(body, len, &at);
		wire_giveback_encode_listener(out, &at);
	} else {
		r = wire_listen_decode_at(body, len, &at);
		wire_listen_encode_at(out, type, &at);
	}
	return r;
}

struct loads {
	struct wire_routes_load list[WIRE_ROUTES_LOADS_MAX];
	uint32_t n;
};

static void put_load(void *user, const struct wire_routes_load *m)
{
	struct loads *l = user;

	l->list[l->n++] = *m;
}

static int again_routes(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	static struct loads loads;
	uint64_t epoch, generation;
	struct wire_routes m;
	int r;

	loads.n = 0;
	if (type == WIRE_ROUTES) {
		r = wire_routes_decode(body, len, &m);
		wire_routes_encode(out, &m);
		wire_routes_free(&m);
	} else if (type == WIRE_ROUTED) {
		r = wire_routes_decode_routed(body, len, &epoch, &generation);
		wire_routes_encode_routed(out, epoch, generation);
	} else {
		r = wire_routes_decode_load(body, len, put_load, &loads);
		wire_routes_encode_load(out, loads.list, loads.n);
	}
	return r;
}

struct traffics {
	struct wire_traffic_demand demands[WIRE_TRAFFIC_DEMANDS_MAX];
	struct wire_traffic_stats stats[WIRE_TRAFFIC_STATS_MAX];
	uint32_t n;
};

static void put_demand(void *user, const struct wire_traffic_demand *m)
{
	struct traffics *t = user;

	t->demands[t->n++] = *m;
}

static void put_stats(void *user, const struct wire_traffic_stats *m)
{
	struct traffics *t = user;

	t->stats[t->n++] = *m;
}

static int again_traffic(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	static struct traffics t;
	int r;

	t.n = 0;
	if (type == WIRE_DEMAND) {
		r = wire_traffic_decode_demand(body, len, put_demand, &t);
		wire_traffic_encode_demand(out, t.demands, t.n);
	} else {
		r = wire_traffic_decode_stats(body, len, put_stats, &t);
		wire_traffic_encode_stats(out, t.stats, t.n);
	}
	return r;
}

int wiremsg_gateway_again(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	if (type == WIRE_DEMAND || type == WIRE_STATS)
		return again_traffic(type, body, len, out);
	if (type == WIRE_ROUTES || type == WIRE_ROUTED || type == WIRE_LOAD)
		return again_routes(type, body, len, out);
	return again_listen(type, body, len, out);
}
