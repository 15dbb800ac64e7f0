/* wiremsg: see wiremsg.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/lib/wiremsg.h"

#include <errno.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"

#define CANARY "0123456789abcdef0123456789abcdef"

static const struct wire_key key = {"llm-7b", 3, CANARY};
static const uint8_t note[] = "backoff=\0\1\377";

static void sample_slot(struct buf *b)
{
	struct wire_slot m = {.key = key,
			      .state = WIRE_SLOT_STUCK,
			      .stage = WIRE_STAGE_CHDIR,
			      .what = WIRE_WHAT_TTY,
			      .err = 2,
			      .pid = 4711,
			      .runtime = "docker",
			      .swept = true,
			      .started_wall_ms = -1,
			      .started_mono_ms = INT64_MAX,
			      .freeze_request = 3,
			      .freeze_err = 28,
			      .exits_lost = 9,
			      .n_exits = WIRE_EXITS_MAX,
			      .note = note,
			      .note_len = sizeof(note),
			      .has_push = true,
			      .push = {.flags = WIRE_PUSH_MAX_,
				       .err = -1,
				       .watchdog_ms = 30000,
				       .extend_until_mono_ms = INT64_MAX,
				       .dropped = 7,
				       .status = "loading shard 3/8"},
			      .has_log = true,
			      .log = {.state = WIRE_LOG_DROPPING,
				      .err = ENOSPC,
				      .since_wall_ms = INT64_MAX,
				      .dropped_bytes = 4096,
				      .dropped_lines = 12,
				      .all_bytes = UINT64_MAX,
				      .all_lines = 1 << 20,
				      .told = WIRE_LOG_STALLED}};

	for (unsigned i = 0; i < WIRE_EXITS_MAX; i++)
		m.exits[i] = (struct wire_exit){.incarnation = CANARY,
						.seq = UINT64_MAX - i,
						.pid = (int32_t)i,
						.code = -1,
						.signal = 11,
						.core_dumped = i & 1,
						.by_stop = i & 2,
						.killed = i & 4,
						.status_known = true,
						.stage = WIRE_STAGE_EXEC,
						.what = WIRE_WHAT_RLIMIT + 7,
						.err = -5,
						.started_wall_ms = INT64_MIN,
						.ended_wall_ms = 1,
						.started_mono_ms = 2,
						.ended_mono_ms = 3};
	wire_encode_slot(b, &m);
}

static char *const paths[] = {(char *)"/bin/sh", (char *)"/usr/bin/sh", NULL};
static char *const argv[] = {(char *)"sh", (char *)"", (char *)"-c", (char *)"echo \xff", NULL};
static char *const envp[] = {(char *)"A=1", (char *)"B=", NULL};
static const uint32_t groups[] = {0, 4, UINT32_MAX};
static const struct wire_rlimit rlimits[] = {{7, 1024, WIRE_LIMIT_KEEP},
					     {15, 0, WIRE_LIMIT_INFINITY}};
static const struct wire_child child = {.cwd = "/srv/x",
					.paths = paths,
					.argv = argv,
					.envp = envp,
					.uid = 65534,
					.gid = 65533,
					.groups = groups,
					.n_groups = 3,
					.set_user = true,
					.set_oom_score = true,
					.oom_score = -1000,
					.nice = -20,
					.rlimits = rlimits,
					.n_rlimits = 2,
					.umask = 0027};

static const struct wire_limits limits = {.memory_max = UINT64_MAX,
					  .memory_high = 1,
					  .has_swap_max = true,
					  .oom_group = true,
					  .cpu_milli = 1500,
					  .cpu_weight = 10000,
					  .io_weight = 1,
					  .pids_max = 512,
					  .cpuset = "0-3,8"};

static const struct wire_logs logs = {.max_size = 20 << 20,
				      .max_files = 5,
				      .flags = WIRE_LOGS_ALL,
				      .max_total = UINT64_MAX,
				      .max_age_ms = INT64_MAX,
				      .rotate_ms = 1,
				      .revision = 77};

static const struct wire_log_work log_work = {.id = UINT64_MAX,
					      .what = WIRE_LOG_PRUNE,
					      .service = "llm-7b",
					      .index = -1,
					      .older_than_ms = INT64_MAX,
					      .keep = UINT64_MAX,
					      .dry_run = true,
					      .n_stay = 2,
					      .stay = {0, UINT32_MAX}};

static const struct wire_log_done log_done = {.id = 1,
					      .err = 28,
					      .files = 2,
					      .bytes = UINT64_MAX,
					      .kept = 4,
					      .kept_bytes = 5,
					      .failed = 6};

static void sample_spawn(struct buf *b)
{
	struct wire_spawn m = {.key = key,
			       .child = child,
			       .limits = limits,
			       .secrets = UINT64_MAX,
			       .notify = true,
			       .notify_fd = WIRE_NOTIFY_FD_MAX,
			       .watchdog_ms = 30000,
			       .n_listen = 2,
			       .listen = {{"127.0.0.1", 8000}, {"::", 1}},
			       .n_sockets = 2,
			       .sockets = {"http", "metrics"},
			       .stop_signal = 15,
			       .grace_ms = 10000,
			       .logs = logs,
			       .note = note,
			       .note_len = sizeof(note)};

	wire_encode_spawn(b, &m);
}

static void sample_secrets(struct buf *b)
{
	struct wire_secrets m = {
		.service = "llm-7b",
		.generation = 1,
		.version = UINT64_MAX - 1,
		.uid = 65534,
		.gid = UINT32_MAX,
		.n = 2,
		.secrets = {{"hf-token", note, sizeof(note)}, {"Key_2.pem", note, 0}}};

	wire_secrets_encode(b, &m);
}

static void sample_run(unsigned i, struct buf *b)
{
	struct wire_run run = {
		.id = UINT64_MAX, .key = key, .tty = true, .timeout_ms = INT64_MAX, .child = child};
	struct wire_run_end end = {.id = 7,
				   .stage = WIRE_STAGE_LIMITS,
				   .what = WIRE_WHAT_NICE,
				   .err = 1,
				   .code = -1,
				   .signal = 9,
				   .timed_out = true,
				   .text = "no such unit"};

	if (i == 0)
		wire_run_encode(b, &run);
	else if (i == 1)
		wire_run_encode_end(b, &end);
	else
		wire_run_encode_kill(b, 1, 64);
}

static void sample_hello(struct buf *b)
{
	struct wire_hello m = {.version = "0.1.0",
			       .boot_id = "00000000-1111-2222-3333-444444444444",
			       .aictld_pid = 12,
			       .safe_mode = true,
			       .first_start = true,
			       .other_state = true,
			       .log_level = 3,
			       .secrets_dir = "/run/aictl/sup/secrets",
			       .sockets_dir = "/run/aictl/sup/sockets"};

	wire_encode_hello(b, &m);
}

static void sample_giveback(unsigned i, struct buf *b)
{
	struct wire_join join = {.version = "0.2.0", .pid = 7, .role = WIRE_ROLE_GATEWAY};
	struct wire_give_back give = {
		.stream = {.key = key, .intent_index = 1, .logs = logs, .gone = true},
		.fds = WIRE_GIVE_STDERR | WIRE_GIVE_PIDFD};

	if (i == 0)
		wire_giveback_encode_join(b, &join);
	else
		wire_giveback_encode(b, &give);
}

static void sample_cgroup(unsigned i, struct buf *b)
{
	if (i == 0)
		wire_cgroup_encode_limits(b, &key, &limits);
	else
		wire_cgroup_encode_freeze(b, &key, true, UINT32_MAX);
}

static void sample_evidence(struct buf *b)
{
	wire_push_encode_evidence(
		b, &(struct wire_evidence){.key = key, .io_bytes = UINT64_MAX, .memory_bytes = 1});
}

static void sample_small(unsigned i, struct buf *b)
{
	static const enum wire_type empty[] = {WIRE_SYNCED, WIRE_RELOAD, WIRE_PING,
					       WIRE_PONG,   WIRE_QUIT,	 WIRE_GIVE_BACK_END,
					       WIRE_PEER};
	static const enum wire_type keyed[] = {WIRE_RELEASE, WIRE_STANDBY_OFF, WIRE_GONE,
					       WIRE_DRAINED, WIRE_WATCH,       WIRE_LOOK};

	if (i < 7)
		wire_encode_empty(b, empty[i]);
	else
		wire_encode_key(b, keyed[i - 7], &key);
}

static const enum wire_type order[] = {WIRE_HELLO,	   WIRE_SLOT,
				       WIRE_SPAWN,	   WIRE_STOP,
				       WIRE_SIGNAL,	   WIRE_NOTE,
				       WIRE_ACK,	   WIRE_CONTROL,
				       WIRE_STREAM,	   WIRE_STATUS,
				       WIRE_RUN,	   WIRE_RUN_END,
				       WIRE_RUN_KILL,	   WIRE_SECRETS,
				       WIRE_SECRETS_DROP,  WIRE_LOG_LEVEL,
				       WIRE_JOIN,	   WIRE_GIVE_BACK,
				       WIRE_LIMITS,	   WIRE_FREEZE,
				       WIRE_EVIDENCE,	   WIRE_LOGS,
				       WIRE_LOG_FAULT,	   WIRE_LOG_WORK,
				       WIRE_LOG_DONE,	   WIRE_SECRETS_WRITTEN,
				       WIRE_LISTENING,	   WIRE_LISTENER,
				       WIRE_LISTEN,	   WIRE_LISTENER_OFF,
				       WIRE_GIVE_LISTENER, WIRE_ROUTES,
				       WIRE_ROUTED,	   WIRE_LOAD,
				       WIRE_DEMAND,	   WIRE_STATS,
				       WIRE_SYNCED,	   WIRE_RELOAD,
				       WIRE_PING,	   WIRE_PONG,
				       WIRE_QUIT,	   WIRE_GIVE_BACK_END,
				       WIRE_PEER,	   WIRE_RELEASE,
				       WIRE_STANDBY_OFF,   WIRE_GONE,
				       WIRE_DRAINED,	   WIRE_WATCH,
				       WIRE_LOOK,	   WIRE_UNIT_START,
				       WIRE_UNIT_STATE,	   WIRE_UNIT_STATS,
				       WIRE_UNIT_PID,	   WIRE_RUNTIME,
				       WIRE_UNIT_KEEP,	   WIRE_UNIT_REMOVE};
#define SMALL 36 /* the first of the small ones */

static void sample_plain(unsigned i, struct buf *b)
{
	if (i == 3)
		wire_encode_stop(b, &(struct wire_stop){.key = key, .signal = 2, .grace_ms = -1});
	else if (i == 4)
		wire_encode_signal(b, &key, 64);
	else if (i == 5)
		wire_encode_note(b, &key, note, sizeof(note));
	else if (i == 6)
		wire_encode_ack(b, &key, UINT64_MAX);
	else if (i == 7)
		wire_encode_u32(b, WIRE_CONTROL, WIRE_CONTROL_STOP);
	else if (i == 8)
		wire_encode_stream(
			b, &(struct wire_stream){
				   .key = key, .intent_index = 1023, .logs = logs, .gone = true});
	else
		wire_encode_status(b, &(struct wire_status){.mode = WIRE_MODE_SAFE,
							    .logger_pid = 77,
							    .controller_restarts = 1,
							    .logger_restarts = 2,
							    .gateway_pid = 78,
							    .gateway_restarts = 3,
							    .gateway_threads = 4,
							    .gateways_leaving = 1,
							    .slots = 3,
							    .cgroup_can = WIRE_CGROUP_TRACK,
							    .cgroup_dir = "/sys/fs/cgroup/aictl",
							    .started_wall_ms = 1767323045000,
							    .adopted = 4,
							    .refusals = 1,
							    .refusal = "the table"});
}

enum wire_type wiremsg_sample(unsigned i, struct buf *b)
{
	if (i >= sizeof(order) / sizeof(order[0]))
		return 0;
	switch (order[i]) {
	case WIRE_HELLO:
		sample_hello(b);
		break;
	case WIRE_SLOT:
		sample_slot(b);
		break;
	case WIRE_SPAWN:
		sample_spawn(b);
		break;
	case WIRE_RUN:
	case WIRE_RUN_END:
	case WIRE_RUN_KILL:
		sample_run(i - 10, b);
		break;
	case WIRE_SECRETS:
		sample_secrets(b);
		break;
	case WIRE_SECRETS_DROP:
		wire_secrets_encode_drop(b, "llm-7b", UINT64_MAX);
		break;
	case WIRE_SECRETS_WRITTEN:
		wire_secrets_encode_written(
			b, &(struct wire_secrets_written){"llm-7b", 1, UINT64_MAX, 28});
		break;
	case WIRE_LOG_LEVEL:
		wire_encode_u32(b, WIRE_LOG_LEVEL, 3);
		break;
	case WIRE_JOIN:
	case WIRE_GIVE_BACK:
		sample_giveback(i - 16, b);
		break;
	case WIRE_LIMITS:
	case WIRE_FREEZE:
		sample_cgroup(i - 18, b);
		break;
	case WIRE_EVIDENCE:
		sample_evidence(b);
		break;
	case WIRE_LISTEN:
	case WIRE_LISTENING:
	case WIRE_LISTENER:
	case WIRE_LISTENER_OFF:
	case WIRE_GIVE_LISTENER:
	case WIRE_ROUTES:
	case WIRE_ROUTED:
	case WIRE_LOAD:
	case WIRE_DEMAND:
	case WIRE_STATS:
		wiremsg_gateway_sample(order[i], &key, b);
		break;
	case WIRE_UNIT_START:
	case WIRE_UNIT_STATE:
	case WIRE_UNIT_STATS:
	case WIRE_UNIT_PID:
	case WIRE_RUNTIME:
	case WIRE_UNIT_KEEP:
	case WIRE_UNIT_REMOVE:
		wiremsg_unit_sample(order[i], &key, b);
		break;
	case WIRE_LOGS:
		wire_logs_encode(b, &key, &logs);
		break;
	case WIRE_LOG_FAULT:
		wire_logs_encode_fault(b, &key,
				       &(struct wire_log_fault){.state = WIRE_LOG_STALLED,
								.err = ETIMEDOUT,
								.since_wall_ms = 1,
								.dropped_bytes = UINT64_MAX,
								.dropped_lines = 3});
		break;
	case WIRE_LOG_WORK:
		wire_logs_encode_work(b, &log_work);
		break;
	case WIRE_LOG_DONE:
		wire_logs_encode_done(b, &log_done);
		break;
	default:
		if (i >= SMALL)
			sample_small(i - SMALL, b);
		else
			sample_plain(i, b);
	}
	return order[i];
}

static int again_spawn(const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_spawn m;
	int r = wire_decode_spawn(body, len, &m);

	if (r == 0)
		wire_encode_spawn(out, &m);
	wire_spawn_free(&m);
	return r;
}

static int again_run(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_run_end end;
	struct wire_run run;
	int32_t signal = 0;
	uint64_t id = 0;
	int r;

	if (type == WIRE_RUN) {
		r = wire_run_decode(body, len, &run);
		if (r == 0)
			wire_run_encode(out, &run);
		wire_run_free(&run);
	} else if (type == WIRE_RUN_END) {
		r = wire_run_decode_end(body, len, &end);
		wire_run_encode_end(out, &end);
	} else {
		r = wire_run_decode_kill(body, len, &id, &signal);
		wire_run_encode_kill(out, id, signal);
	}
	return r;
}

static int again_secrets(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	static struct wire_secrets m;
	struct wire_secrets_written w;
	char service[WIRE_SERVICE_SIZE];
	uint64_t generation = 0;
	int r;

	if (type == WIRE_SECRETS) {
		r = wire_secrets_decode(body, len, &m);
		if (r == 0)
			wire_secrets_encode(out, &m);
	} else if (type == WIRE_SECRETS_WRITTEN) {
		r = wire_secrets_decode_written(body, len, &w);
		wire_secrets_encode_written(out, &w);
	} else {
		r = wire_secrets_decode_drop(body, len, service, &generation);
		wire_secrets_encode_drop(out, service, generation);
	}
	return r;
}

static int again_giveback(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_give_back give;
	struct wire_join join;
	int r;

	if (type == WIRE_JOIN) {
		r = wire_giveback_decode_join(body, len, &join);
		wire_giveback_encode_join(out, &join);
	} else {
		r = wire_giveback_decode(body, len, &give);
		wire_giveback_encode(out, &give);
	}
	return r;
}

static int again_cgroup(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_limits l;
	struct wire_key k;
	uint32_t request;
	bool frozen;
	int r;

	if (type == WIRE_LIMITS) {
		r = wire_cgroup_decode_limits(body, len, &k, &l);
		wire_cgroup_encode_limits(out, &k, &l);
	} else {
		r = wire_cgroup_decode_freeze(body, len, &k, &frozen, &request);
		wire_cgroup_encode_freeze(out, &k, frozen, request);
	}
	return r;
}

static int again_logs(const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_logs m;
	struct wire_key k;
	int r = wire_logs_decode(body, len, &k, &m);

	wire_logs_encode(out, &k, &m);
	return r;
}

static int again_log_fault(const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_log_fault m;
	struct wire_key k;
	int r = wire_logs_decode_fault(body, len, &k, &m);

	wire_logs_encode_fault(out, &k, &m);
	return r;
}

static int again_log_work(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	static struct wire_log_work work;
	struct wire_log_done done;
	int r;

	if (type == WIRE_LOG_WORK) {
		r = wire_logs_decode_work(body, len, &work);
		wire_logs_encode_work(out, &work);
	} else {
		r = wire_logs_decode_done(body, len, &done);
		wire_logs_encode_done(out, &done);
	}
	return r;
}

static int again_evidence(const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_evidence m;
	int r = wire_push_decode_evidence(body, len, &m);

	wire_push_encode_evidence(out, &m);
	return r;
}

static int again_slot(const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_slot m;
	int r = wire_decode_slot(body, len, &m);

	if (r == 0)
		wire_encode_slot(out, &m);
	return r;
}

static int again_keyed(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	const uint8_t *text = NULL;
	uint32_t n = 0;
	int32_t signal = 0;
	uint64_t seq = 0;
	struct wire_key k;
	int r;

	if (type == WIRE_SIGNAL) {
		r = wire_decode_signal(body, len, &k, &signal);
		wire_encode_signal(out, &k, signal);
	} else if (type == WIRE_NOTE) {
		r = wire_decode_note(body, len, &k, &text, &n);
		wire_encode_note(out, &k, text, n);
	} else if (type == WIRE_ACK) {
		r = wire_decode_ack(body, len, &k, &seq);
		wire_encode_ack(out, &k, seq);
	} else {
		r = wire_decode_key(body, len, &k);
		wire_encode_key(out, type, &k);
	}
	return r;
}

static int again_plain(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	struct wire_hello hello;
	struct wire_stop stop;
	struct wire_stream stream;
	struct wire_status status;
	uint32_t value;
	int r;

	if (type == WIRE_HELLO) {
		r = wire_decode_hello(body, len, &hello);
		wire_encode_hello(out, &hello);
	} else if (type == WIRE_STOP) {
		r = wire_decode_stop(body, len, &stop);
		wire_encode_stop(out, &stop);
	} else if (type == WIRE_STREAM) {
		r = wire_decode_stream(body, len, &stream);
		wire_encode_stream(out, &stream);
	} else if (type == WIRE_STATUS) {
		r = wire_decode_status(body, len, &status);
		wire_encode_status(out, &status);
	} else {
		r = wire_decode_u32(body, len, &value);
		wire_encode_u32(out, type, value);
	}
	return r;
}

int wiremsg_again(enum wire_type type, const uint8_t *body, size_t len, struct buf *out)
{
	switch (type) {
	case WIRE_SPAWN:
		return again_spawn(body, len, out);
	case WIRE_SLOT:
		return again_slot(body, len, out);
	case WIRE_RUN:
	case WIRE_RUN_END:
	case WIRE_RUN_KILL:
		return again_run(type, body, len, out);
	case WIRE_SECRETS:
	case WIRE_SECRETS_DROP:
	case WIRE_SECRETS_WRITTEN:
		return again_secrets(type, body, len, out);
	case WIRE_HELLO:
	case WIRE_STOP:
	case WIRE_STREAM:
	case WIRE_STATUS:
	case WIRE_CONTROL:
	case WIRE_LOG_LEVEL:
		return again_plain(type, body, len, out);
	case WIRE_SIGNAL:
	case WIRE_NOTE:
	case WIRE_ACK:
	case WIRE_RELEASE:
	case WIRE_STANDBY_OFF:
	case WIRE_GONE:
	case WIRE_DRAINED:
	case WIRE_WATCH:
	case WIRE_LOOK:
		return again_keyed(type, body, len, out);
	case WIRE_JOIN:
	case WIRE_GIVE_BACK:
		return again_giveback(type, body, len, out);
	case WIRE_LIMITS:
	case WIRE_FREEZE:
		return again_cgroup(type, body, len, out);
	case WIRE_EVIDENCE:
		return again_evidence(body, len, out);
	case WIRE_LISTEN:
	case WIRE_LISTENING:
	case WIRE_LISTENER:
	case WIRE_LISTENER_OFF:
	case WIRE_GIVE_LISTENER:
	case WIRE_ROUTES:
	case WIRE_ROUTED:
	case WIRE_LOAD:
	case WIRE_DEMAND:
	case WIRE_STATS:
		return wiremsg_gateway_again(type, body, len, out);
	case WIRE_UNIT_START:
	case WIRE_UNIT_KEEP:
	case WIRE_UNIT_REMOVE:
	case WIRE_UNIT_STATE:
	case WIRE_UNIT_STATS:
	case WIRE_UNIT_PID:
	case WIRE_RUNTIME:
		return wiremsg_unit_again(type, body, len, out);
	case WIRE_LOGS:
		return again_logs(body, len, out);
	case WIRE_LOG_FAULT:
		return again_log_fault(body, len, out);
	case WIRE_LOG_WORK:
	case WIRE_LOG_DONE:
		return again_log_work(type, body, len, out);
	case WIRE_SYNCED:
	case WIRE_RELOAD:
	case WIRE_PING:
	case WIRE_PONG:
	case WIRE_QUIT:
	case WIRE_GIVE_BACK_END:
	case WIRE_PEER:
		wire_encode_empty(out, type);
		return len ? -ERR_INVALID : 0;
	case WIRE_TYPE_MAX_:
		break;
	}
	return -ERR_INVALID;
}
