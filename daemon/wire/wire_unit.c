/* wire_unit: see wire_unit.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/wire/wire_unit.h"

#include "daemon/wire/field.h"
#include "lib/buf.h"
#include "lib/err.h"

static const char *const unit_names[WIRE_UNIT_MAX_] = {
	[WIRE_UNIT_UNKNOWN] = "unknown", [WIRE_UNIT_PULLING] = "pulling",
	[WIRE_UNIT_CREATED] = "created", [WIRE_UNIT_RUNNING] = "running",
	[WIRE_UNIT_EXITED] = "exited",	 [WIRE_UNIT_FAILED] = "failed",
	[WIRE_UNIT_GONE] = "gone",
};

static const char *const runtime_names[WIRE_RUNTIME_STATE_MAX_] = {
	[WIRE_RUNTIME_STARTING] = "starting",
	[WIRE_RUNTIME_OK] = "ok",
	[WIRE_RUNTIME_UNREACHABLE] = "unreachable",
	[WIRE_RUNTIME_FAILED] = "failed",
	[WIRE_RUNTIME_DOWN] = "down",
};

/* A key that names one incarnation. */
static void get_key(struct field_reader *r, struct wire_key *k)
{
	field_get_key(r, k);
	if (k->incarnation[0] == '\0')
		r->bad = true;
}

static void get_runtime_name(struct field_reader *r, char name[WIRE_RUNTIME_SIZE])
{
	field_get_array(r, name, WIRE_RUNTIME_SIZE);
	if (!field_is_label(name))
		r->bad = true;
}

void wire_unit_encode_start(struct buf *b, const struct wire_unit_start *m)
{
	size_t at = field_begin(b, WIRE_UNIT_START);

	field_put_key(b, &m->key);
	field_put_array(b, m->runtime, sizeof(m->runtime));
	field_put_u64(b, m->secrets);
	field_put_i32(b, m->stop_signal);
	field_put_i64(b, m->grace_ms);
	field_put_logs(b, &m->logs);
	field_put_blob(b, m->note, m->note ? m->note_len : 0);
	field_put_blob(b, m->spec, m->spec_len);
	field_end(b, at);
}

int wire_unit_decode_start(const uint8_t *body, size_t len, struct wire_unit_start *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_unit_start){0};
	get_key(&r, &m->key);
	get_runtime_name(&r, m->runtime);
	m->secrets = field_get_u64(&r);
	m->stop_signal = field_get_signal(&r, 1);
	m->grace_ms = field_get_i64(&r);
	if (m->grace_ms < 0)
		r.bad = true;
	field_get_logs(&r, &m->logs);
	m->note = field_get_blob(&r, WIRE_NOTE_MAX, &m->note_len);
	m->spec = field_get_text(&r, WIRE_UNIT_SPEC_MAX, &m->spec_len);
	if (m->spec_len == 0)
		r.bad = true;
	return field_check(&r);
}

void wire_unit_encode_state(struct buf *b, const struct wire_unit_state *m)
{
	size_t at = field_begin(b, WIRE_UNIT_STATE);

	field_put_key(b, &m->key);
	field_put_u8(b, m->state);
	field_put_u8(b, m->what);
	field_put_i32(b, m->err);
	field_put_i32(b, m->pid);
	field_put_i64(b, m->started_wall_ms);
	field_put_i64(b, m->ended_wall_ms);
	field_put_u8(b, m->status_known);
	field_put_i32(b, m->code);
	field_put_i32(b, m->signal);
	field_put_u8(b, m->oom_killed);
	field_put_array(b, m->id, sizeof(m->id));
	field_put_array(b, m->address, sizeof(m->address));
	field_put_u64(b, m->done);
	field_put_u64(b, m->total);
	field_put_u32(b, m->layers_done);
	field_put_u32(b, m->layers);
	field_put_array(b, m->text, sizeof(m->text));
	field_end(b, at);
}

static bool is_state(const struct wire_unit_state *m)
{
	bool failed = m->state == WIRE_UNIT_FAILED;

	if (m->state >= WIRE_UNIT_MAX_ || m->pid < 0 || m->signal < 0 || m->signal > 64)
		return false;
	return !failed || (m->err > 0 && m->what >= WIRE_WHAT_RUNTIME && m->what < WIRE_WHAT_MAX_);
}

int wire_unit_decode_state(const uint8_t *body, size_t len, struct wire_unit_state *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_unit_state){0};
	get_key(&r, &m->key);
	m->state = field_get_u8(&r);
	m->what = field_get_u8(&r);
	m->err = field_get_i32(&r);
	m->pid = field_get_i32(&r);
	m->started_wall_ms = field_get_i64(&r);
	m->ended_wall_ms = field_get_i64(&r);
	m->status_known = field_get_bool(&r);
	m->code = field_get_i32(&r);
	m->signal = field_get_i32(&r);
	m->oom_killed = field_get_bool(&r);
	field_get_array(&r, m->id, sizeof(m->id));
	field_get_array(&r, m->address, sizeof(m->address));
	m->done = field_get_u64(&r);
	m->total = field_get_u64(&r);
	m->layers_done = field_get_u32(&r);
	m->layers = field_get_u32(&r);
	field_get_array(&r, m->text, sizeof(m->text));
	if (!is_state(m))
		r.bad = true;
	return field_check(&r);
}

void wire_unit_encode_runtime(struct buf *b, const struct wire_runtime *m)
{
	size_t at = field_begin(b, WIRE_RUNTIME);

	field_put_array(b, m->name, sizeof(m->name));
	field_put_u8(b, m->state);
	field_put_i64(b, m->since_wall_ms);
	field_put_i32(b, m->pid);
	field_put_u32(b, m->restarts);
	field_put_array(b, m->ended, sizeof(m->ended));
	field_put_u32(b, m->can);
	field_put_u32(b, m->abi);
	field_put_array(b, m->kind, sizeof(m->kind));
	field_put_array(b, m->plugin, sizeof(m->plugin));
	field_put_array(b, m->version, sizeof(m->version));
	field_put_array(b, m->description, sizeof(m->description));
	field_put_u32(b, m->faults);
	field_put_array(b, m->fault, sizeof(m->fault));
	field_put_array(b, m->engine, sizeof(m->engine));
	field_put_array(b, m->endpoint, sizeof(m->endpoint));
	field_put_array(b, m->text, sizeof(m->text));
	field_end(b, at);
}

int wire_unit_decode_runtime(const uint8_t *body, size_t len, struct wire_runtime *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_runtime){0};
	get_runtime_name(&r, m->name);
	m->state = field_get_u8(&r);
	m->since_wall_ms = field_get_i64(&r);
	m->pid = field_get_i32(&r);
	m->restarts = field_get_u32(&r);
	field_get_array(&r, m->ended, sizeof(m->ended));
	m->can = field_get_u32(&r);
	m->abi = field_get_u32(&r);
	field_get_array(&r, m->kind, sizeof(m->kind));
	field_get_array(&r, m->plugin, sizeof(m->plugin));
	field_get_array(&r, m->version, sizeof(m->version));
	field_get_array(&r, m->description, sizeof(m->description));
	m->faults = field_get_u32(&r);
	field_get_array(&r, m->fault, sizeof(m->fault));
	field_get_array(&r, m->engine, sizeof(m->engine));
	field_get_array(&r, m->endpoint, sizeof(m->endpoint));
	field_get_array(&r, m->text, sizeof(m->text));
	if (m->state >= WIRE_RUNTIME_STATE_MAX_)
		r.bad = true;
	return field_check(&r);
}

void wire_unit_encode_stats(struct buf *b, const struct wire_unit_stats *m)
{
	size_t at = field_begin(b, WIRE_UNIT_STATS);

	field_put_key(b, &m->key);
	field_put_i32(b, m->err);
	field_put_u64(b, m->cpu_us);
	field_put_u64(b, m->memory_bytes);
	field_put_u64(b, m->memory_limit);
	field_put_u64(b, m->read_bytes);
	field_put_u64(b, m->written_bytes);
	field_put_u64(b, m->rx_bytes);
	field_put_u64(b, m->tx_bytes);
	field_put_u32(b, m->pids);
	field_end(b, at);
}

int wire_unit_decode_stats(const uint8_t *body, size_t len, struct wire_unit_stats *m)
{
	struct field_reader r = {.p = body, .left = len};

	*m = (struct wire_unit_stats){0};
	get_key(&r, &m->key);
	m->err = field_get_i32(&r);
	m->cpu_us = field_get_u64(&r);
	m->memory_bytes = field_get_u64(&r);
	m->memory_limit = field_get_u64(&r);
	m->read_bytes = field_get_u64(&r);
	m->written_bytes = field_get_u64(&r);
	m->rx_bytes = field_get_u64(&r);
	m->tx_bytes = field_get_u64(&r);
	m->pids = field_get_u32(&r);
	return field_check(&r);
}

void wire_unit_encode_pid(struct buf *b, uint64_t id, int32_t pid)
{
	size_t at = field_begin(b, WIRE_UNIT_PID);

	field_put_u64(b, id);
	field_put_i32(b, pid);
	field_end(b, at);
}

int wire_unit_decode_pid(const uint8_t *body, size_t len, uint64_t *id, int32_t *pid)
{
	struct field_reader r = {.p = body, .left = len};

	*id = field_get_u64(&r);
	*pid = field_get_i32(&r);
	if (*pid <= 1)
		r.bad = true;
	return field_check(&r);
}

const char *wire_unit_name(enum wire_unit state)
{
	return (unsigned)state < WIRE_UNIT_MAX_ ? unit_names[state] : "?";
}

const char *wire_unit_runtime_name(enum wire_runtime_state state)
{
	return (unsigned)state < WIRE_RUNTIME_STATE_MAX_ ? runtime_names[state] : "?";
}
