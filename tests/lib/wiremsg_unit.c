/* wiremsg_unit: the messages about containers, for wiremsg. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "daemon/wire/wire_unit.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "tests/lib/wiremsg.h"

static const char spec[] = "{\"image\":\"busybox\",\"command\":[\"sleep\",\"9\"]}";

static void sample_start(const struct wire_key *key, struct buf *b)
{
	wire_unit_encode_start(
		b, &(struct wire_unit_start){
			   .key = *key,
			   .runtime = "docker",
			   .secrets = 7,
			   .stop_signal = 15,
			   .grace_ms = 10000,
			   .logs = {.max_size = 1 << 20, .max_files = 3, .revision = UINT64_MAX},
			   .note = (const uint8_t *)"a\0b",
			   .note_len = 3,
			   .spec = spec,
			   .spec_len = sizeof(spec) - 1});
}

static void sample_state(const struct wire_key *key, struct buf *b)
{
	wire_unit_encode_state(b, &(struct wire_unit_state){.key = *key,
							    .state = WIRE_UNIT_FAILED,
							    .what = WIRE_WHAT_IMAGE,
							    .err = ENOENT,
							    .pid = 4711,
							    .started_wall_ms = INT64_MIN,
							    .ended_wall_ms = INT64_MAX,
							    .status_known = true,
							    .code = -1,
							    .signal = 64,
							    .oom_killed = true,
							    .id = "f00dfeed",
							    .address = "172.17.0.2",
							    .done = 1,
							    .total = UINT64_MAX,
							    .layers_done = 2,
							    .layers = 5,
							    .text = "no such image: \xc3\xa9"});
}

static void sample_runtime(struct buf *b)
{
	wire_unit_encode_runtime(b, &(struct wire_runtime){.name = "docker",
							   .state = WIRE_RUNTIME_UNREACHABLE,
							   .since_wall_ms = 1767323045000,
							   .pid = 99,
							   .restarts = 2,
							   .ended = "SIGSEGV",
							   .can = WIRE_RUNTIME_EXEC,
							   .abi = 1,
							   .kind = "runtime",
							   .plugin = "/usr/lib/aictl/docker.so",
							   .version = "0.7",
							   .description = "containers",
							   .faults = 3,
							   .fault = "complete was called twice",
							   .engine = "Docker Engine 26.1.4",
							   .endpoint = "unix:///run/docker.sock",
							   .text = "connection refused"});
}

void wiremsg_unit_sample(enum wire_type type, const struct wire_key *key, struct buf *b)
{
	if (type == WIRE_UNIT_START)
		sample_start(key, b);
	else if (type == WIRE_UNIT_STATE)
		sample_state(key, b);
	else if (type == WIRE_UNIT_STATS)
		wire_unit_encode_stats(b, &(struct wire_unit_stats){.key = *key,
								    .err = -1,
								    .cpu_us = 1,
								    .memory_bytes = 2,
								    .memory_limit = 3,
								    .read_bytes = 4,
								    .written_bytes = 5,
								    .rx_bytes = 6,
								    .tx_bytes = UINT64_MAX,
								    .pids = 8});
	else if (type == WIRE_UNIT_PID)
		wire_unit_encode_pid(b, UINT64_MAX, INT32_MAX);
	else if (type == WIRE_RUNTIME)
		sample_runtime(b);
	else
		wire_encode_key(b, type, key);
}

static int again_start(const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_unit_start m;
	int r = wire_unit_decode_start(body, len, &m);

	if (r == 0)
		wire_unit_encode_start(out, &m);
	return r;
}

static int again_state(const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_unit_state m;
	int r = wire_unit_decode_state(body, len, &m);

	wire_unit_encode_state(out, &m);
	return r;
}

static int again_stats(const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_unit_stats m;
	int r = wire_unit_decode_stats(body, len, &m);

	wire_unit_encode_stats(out, &m);
	return r;
}

static int again_runtime(const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_runtime m;
	int r = wire_unit_decode_runtime(body, len, &m);

	wire_unit_encode_runtime(out, &m);
	return r;
}

int wiremsg_unit_again(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_key key;
	uint64_t id;
	int32_t pid;
	int r;

	if (type == WIRE_UNIT_START)
		return again_start(body, len, out);
	if (type == WIRE_UNIT_STATE)
		return again_state(body, len, out);
	if (type == WIRE_UNIT_STATS)
		return again_stats(body, len, out);
	if (type == WIRE_RUNTIME)
		return again_runtime(body, len, out);
	if (type == WIRE_UNIT_PID) {
		r = wire_unit_decode_pid(body, len, &id, &pid);
		wire_unit_encode_pid(out, id, pid);
		return r;
	}
	r = wire_decode_key(body, len, &key);
	wire_encode_key(out, type, &key);
	return r;
}
