/* units: see units.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/units.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/runtime/cell.h"
#include "daemon/runtime/runtime.h"
#include "daemon/runtime/unit.h"
#include "daemon/wire/wire_unit.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define PAUSE_MS 1000
#define PAUSE_MAX_MS 60000
#define QUIET_MS 10000

/* Ours, and nobody wants it. */
struct stray {
	struct units *units;
	struct stray *next;
	char name[UNITS_NAME_SIZE];
};

void units_name(const struct units *us, const struct wire_key *key, char out[UNITS_NAME_SIZE])
{
	snprintf(out, UNITS_NAME_SIZE, "aictl-%.8s-%s-%u-%.12s", us->runtime->options->instance,
		 key->service, key->index, key->incarnation);
}

int units_errno_of(int code)
{
	static const int numbers[] = {
		[AICTL_OK] = EIO,
		[AICTL_INVALID] = EINVAL,
		[AICTL_NOT_FOUND] = ENOENT,
		[AICTL_CONFLICT] = EBUSY,
		[AICTL_DENIED] = EACCES,
		[AICTL_UNREACHABLE] = EHOSTUNREACH,
		[AICTL_TIMEOUT] = ETIMEDOUT,
		[AICTL_UNSUPPORTED] = EOPNOTSUPP,
		[AICTL_CANCELED] = ECANCELED,
		[AICTL_NO_MEMORY] = ENOMEM,
		[AICTL_FAILED] = EIO,
	};

	return code >= 0 && code < (int)ARRAY_SIZE(numbers) ? numbers[code] : EIO;
}

static struct unit *find(const struct units *us, const char *name)
{
	for (size_t i = 0; i < us->n; i++)
		if (strcmp(us->all[i]->name, name) == 0)
			return us->all[i];
	return NULL;
}

static struct unit *find_key(const struct units *us, const struct wire_key *key)
{
	char name[UNITS_NAME_SIZE];

	units_name(us, key, name);
	return find(us, name);
}

static struct unit *add(struct units *us, const struct wire_key *key)
{
	struct unit *u;

	if (mem_grow(&us->all, &us->cap, us->n + 1, sizeof(struct unit *)) < 0)
		return NULL;
	u = unit_new(us, key);
	if (!u)
		return NULL;
	us->all[us->n++] = u;
	return u;
}

static void forget(struct units *us, struct unit *u)
{
	for (size_t i = 0; i < us->n; i++) {
		if (us->all[i] == u) {
			us->all[i] = us->all[--us->n];
			break;
		}
	}
	unit_free(u);
}

bool units_knows(const struct units *us, const struct wire_key *key)
{
	const struct unit *u = find_key(us, key);

	return u && !u->gone;
}

static void close_all(const int fds[UNITS_FDS])
{
	for (int i = 0; i < UNITS_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* A later one of the same is no news, but for its pipes, which are the same, too. */
static void take_fds(struct unit *u, const int fds[UNITS_FDS])
{
	if (u->fds[0] >= 0 || fds[0] < 0) {
		close_all(fds);
		return;
	}
	u->fds[0] = fds[0];
	u->fds[1] = fds[1];
	u->cell = cell_map(fds[2]);
	close(fds[2]);
	if (!u->cell)
		log_error(
			"replica=%s/%u its cell cannot be mapped: after a restart of this process "
			"its output is written from the beginning again",
			u->state.key.service, u->state.key.index);
}

static void go_on(struct units *us)
{
	for (size_t i = 0; i < us->n; i++)
		unit_go_on(us->all[i]);
}

/* ---- the list ---- */

static void on_stray_ended(void *user, uint64_t op, const struct aictl_result *r)
{
	struct stray *x = user, **at = &x->units->strays;

	(void)op;
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	if (r->code != AICTL_OK && r->code != AICTL_NOT_FOUND && !x->units->runtime->quitting) {
		log_warn("runtime=%s unit=%s error=\"%s\" left over, and could not be removed",
			 x->units->runtime->said.name, x->name, r->message);
		units_list_soon(x->units);
	}
	mem_free(x);
}

/* By its label, or its name where there is none: nothing else is touched, whatever a plugin takes for
 * ours. */
static bool is_ours(const struct units *us, const struct aictl_unit_state *s)
{
	const char *instance = us->runtime->options->instance;
	char ours[UNITS_NAME_SIZE];
	int n = snprintf(ours, sizeof(ours), "aictl-%.8s-", instance);

	if (strlen(s->unit) >= UNITS_NAME_SIZE)
		return false;
	for (size_t i = 0; i < s->n_labels; i++)
		if (strcmp(s->labels[i].key, AICTL_LABEL_INSTANCE) == 0)
			return strcmp(s->labels[i].value, instance) == 0;
	return strncmp(s->unit, ours, (size_t)n) == 0;
}

static void remove_stray(struct units *us, const char *name)
{
	struct host_reply reply = {.ended = on_stray_ended};
	struct stray *x = us->strays;

	while (x && strcmp(x->name, name) != 0)
		x = x->next;
	if (x)
		return;
	reply.user = x = mem_alloc(sizeof(*x));
	if (!x)
		return; /* the next list has it, too */
	log_info("runtime=%s unit=%s nobody wants it: removed", us->runtime->said.name, name);
	x->units = us;
	memcpy(x->name, name, strlen(name) + 1);
	x->next = us->strays;
	us->strays = x;
	if (host_remove(&us->runtime->host, x->name, &reply) == 0) {
		us->strays = x->next;
		mem_free(x);
	}
}

static void on_list_item(void *user, uint64_t op, const struct aictl_unit_state *s)
{
	struct units *us = user;
	struct unit *u = find(us, s->unit);

	(void)op;
	if (u)
		unit_take_state(u, s);
	else if (us->synced && is_ours(us, s))
		remove_stray(us, s->unit);
}

void units_list_soon(struct units *us)
{
	us->list_due = true;
	if (us->retry.armed)
		return;
	loop_timer_arm(&us->runtime->loop, &us->retry, clock_mono_ms() + us->pause_ms);
	us->pause_ms = us->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : us->pause_ms * 2;
}

static void list_if_due(struct units *us);

static void on_list_ended(void *user, uint64_t op, const struct aictl_result *r)
{
	struct units *us = user;

	(void)op;
	us->list_op = 0;
	if (us->runtime->quitting)
		return;
	if (r->code != AICTL_OK) {
		log_warn("runtime=%s error=\"%s\" its units could not be listed",
			 us->runtime->said.name, r->message);
		us->list_failed = true;
		runtime_list_failed(us->runtime, r->message);
		units_list_soon(us);
		return;
	}
	us->listed = true;
	us->list_failed = false;
	runtime_listed(us->runtime);
	if (!us->strays)
		us->pause_ms = PAUSE_MS;
	for (size_t i = 0; i < us->n; i++) {
		struct unit *u = us->all[i];

		if (!u->seen && u->state.state != WIRE_UNIT_FAILED && !u->remove_due)
			unit_vanished(u);
	}
	go_on(us);
	list_if_due(us); /* it was asked for while it came */
}

static void begin_list(struct units *us)
{
	const struct host_reply reply = {.user = us, .ended = on_list_ended, .item = on_list_item};
	uint64_t op;

	us->list_due = false;
	for (size_t i = 0; i < us->n; i++) {
		struct unit *u = us->all[i];

		/* What is started meanwhile is not missing from it. */
		u->seen = u->start_due || u->doing != UNIT_NONE;
	}
	op = host_list(&us->runtime->host, &reply);
	if (op == 0)
		units_list_soon(us);
	else if (host_is_open(&us->runtime->host, op))
		us->list_op = op;
}

static void list_if_due(struct units *us)
{
	if (us->list_due && us->synced && us->list_op == 0 && !us->retry.armed &&
	    runtime_engine_is_up(us->runtime) && !us->runtime->quitting)
		begin_list(us);
}

static void on_retry(void *user)
{
	struct units *us = user;

	list_if_due(us); /* if it cannot be reached, units_engine_changed comes */
}

void units_init(struct units *us, struct runtime *r)
{
	*us = (struct units){.runtime = r,
			     .list_due = true,
			     .retry = {.fn = on_retry, .user = us},
			     .pause_ms = PAUSE_MS,
			     .quiet_ms = QUIET_MS};
}

void units_done(struct units *us)
{
	loop_timer_disarm(&us->runtime->loop, &us->retry);
	while (us->n > 0)
		unit_free(us->all[--us->n]);
	mem_free(us->all);
	*us = (struct units){.runtime = us->runtime};
}

void units_engine_changed(struct units *us)
{
	loop_timer_disarm(&us->runtime->loop, &us->retry);
	us->pause_ms = PAUSE_MS;
	us->listed = us->list_failed = false;
	us->list_due = true;
	for (size_t i = 0; i < us->n; i++)
		unit_hurry(us->all[i]);
	list_if_due(us);
}

void units_plugin_failed(struct units *us)
{
	for (size_t i = 0; i < us->n; i++)
		if (us->all[i]->start_due)
			unit_fail(us->all[i], WIRE_WHAT_RUNTIME, ENOEXEC, us->runtime->said.text);
}

/* ---- from aictld ---- */

void units_start(struct units *us, const struct wire_unit_start *m, const int fds[UNITS_FDS])
{
	struct unit *u = find_key(us, &m->key);

	if (u) {
		take_fds(u, fds);
		unit_mark(u);
		return;
	}
	u = add(us, &m->key);
	if (!u) { /* it is sent again to the next one of us */
		close_all(fds);
		log_error("replica=%s/%u error=\"out of memory\" cannot start", m->key.service,
			  m->key.index);
		return;
	}
	take_fds(u, fds);
	u->revision = m->logs.revision;
	u->spec_len = m->spec_len;
	u->spec = mem_strndup(m->spec, m->spec_len);
	u->state.state = WIRE_UNIT_CREATED;
	u->start_due = true;
	if (!u->spec) {
		unit_fail(u, WIRE_WHAT_CONTAINER, ENOMEM, "out of memory");
		return;
	}
	if (us->runtime->said.state == WIRE_RUNTIME_FAILED) {
		unit_fail(u, WIRE_WHAT_RUNTIME, ENOEXEC, us->runtime->said.text);
		return;
	}
	unit_mark(u);
	unit_go_on(u);
}

void units_keep(struct units *us, const struct wire_key *key, const int fds[UNITS_FDS])
{
	struct unit *u = find_key(us, key);

	if (!u)
		u = add(us, key);
	if (u) {
		take_fds(u, fds);
		if (us->synced) /* it was not looked for */
			units_list_soon(us);
		return;
	}
	close_all(fds);
	log_error("replica=%s/%u error=\"out of memory\" not followed", key->service, key->index);
}

void units_synced(struct units *us)
{
	us->synced = true;
	us->list_due = true;
	list_if_due(us);
}

void units_signal(struct units *us, const struct wire_key *key, int number)
{
	struct unit *u = find_key(us, key);

	if (!u || u->state.state == WIRE_UNIT_FAILED)
		return;
	if ((u->start_due || u->doing == UNIT_STARTS) && u->state.state != WIRE_UNIT_RUNNING &&
	    u->state.state != WIRE_UNIT_EXITED) {
		u->give_up = true;
		if (u->signal_due != SIGKILL)
			u->signal_due = number; /* for when it is too late */
		if (u->doing == UNIT_STARTS)
			host_cancel(&us->runtime->host, u->op);
		else
			unit_fail(u, WIRE_WHAT_CONTAINER, ECANCELED, "given up");
		return;
	}
	if (u->signal_due != SIGKILL)
		u->signal_due = number;
	unit_hurry(u);
	unit_go_on(u);
}

void units_remove(struct units *us, const struct wire_key *key)
{
	struct unit *u = find_key(us, key);

	if (!u)
		u = add(us, key);
	if (!u || u->gone) {
		if (u)
			unit_mark(u);
		return;
	}
	if (u->state.state == WIRE_UNIT_FAILED && !u->offered && !us->runtime->usable) {
		unit_vanished(u); /* of an earlier process's the first list would tell */
		return;
	}
	u->remove_due = true;
	u->start_due = false;
	if (u->doing == UNIT_STARTS)
		host_cancel(&us->runtime->host, u->op);
	unit_hurry(u);
	unit_go_on(u);
}

/* ---- statistics ---- */

struct look {
	struct units *units;
	struct wire_key key;
};

static uint64_t known(int64_t n)
{
	return n > 0 ? (uint64_t)n : 0;
}

static void on_stats(void *user, uint64_t op, const struct aictl_result *r)
{
	struct look *look = user;
	struct wire_unit_stats m = {.key = look->key};
	struct buf b = {0};

	(void)op;
	if (r->code != AICTL_OK || !r->stats) {
		m.err = units_errno_of(r->code);
	} else {
		m.cpu_us = known(r->stats->cpu_us);
		m.memory_bytes = known(r->stats->memory_bytes);
		m.memory_limit = known(r->stats->memory_limit);
		m.read_bytes = known(r->stats->read_bytes);
		m.written_bytes = known(r->stats->written_bytes);
		m.rx_bytes = known(r->stats->received_bytes);
		m.tx_bytes = known(r->stats->sent_bytes);
		m.pids = (uint32_t)known(r->stats->pids);
	}
	wire_unit_encode_stats(&b, &m);
	control_put_take(&look->units->runtime->control, &b);
	mem_free(look);
}

void units_look(struct units *us, const struct wire_key *key)
{
	const struct unit *u = find_key(us, key);
	struct look *look = mem_alloc(sizeof(*look));
	const struct host_reply reply = {.user = look, .ended = on_stats};
	static const struct aictl_result none = {
		.struct_size = sizeof(none), .code = AICTL_NOT_FOUND, .message = ""};

	if (!look)
		return;
	*look = (struct look){.units = us, .key = *key};
	if (!u || !us->runtime->usable || host_stats(&us->runtime->host, u->name, &reply) == 0)
		on_stats(look, 0, &none);
}

/* ---- states ---- */

void units_take_state(struct units *us, const struct aictl_unit_state *s)
{
	struct unit *u = find(us, s->unit);

	if (u)
		unit_take_state(u, s);
	else if (us->listed && is_ours(us, s) &&
		 (s->phase == AICTL_UNIT_CREATED || s->phase == AICTL_UNIT_RUNNING))
		units_list_soon(us); /* a request of a process before us was still under way */
}

struct unit *units_next_due(const struct units *us)
{
	for (size_t i = 0; i < us->n; i++)
		if (us->all[i]->told_due)
			return us->all[i];
	return NULL;
}

const struct wire_unit_state *units_state(const struct unit *u)
{
	return &u->state;
}

void units_told(struct units *us, struct unit *u)
{
	u->told_due = false;
	if (u->state.state == WIRE_UNIT_GONE && u->doing == UNIT_NONE && !u->logs_op)
		forget(us, u);
}
