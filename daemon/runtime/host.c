/* host: see host.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/host.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/runtime/host_watch.h"
#include "daemon/runtime/sized.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"

#define TEXT_MAX 2000
#define LATE "the plugin did not answer in time"
#define ID_MAX 256
#define FIRST_RESULT SIZED_FIRST(aictl_result, stats)
#define FIRST_STATS SIZED_FIRST(aictl_stats, sent_bytes)
#define FIRST_STATE SIZED_FIRST(aictl_unit_state, n_labels)
#define FIRST_ENGINE SIZED_FIRST(aictl_engine_state, reserved)
#define FIRST_PROGRESS SIZED_FIRST(aictl_progress, text)

struct host_call {
	struct host *host;
	uint64_t op;
	enum host_kind kind;
	struct host_reply reply;
	struct loop_timer timer; /* the deadline, or the end of the grace */
	bool canceled, late;	 /* late: beyond its deadline */
	char unit[];		 /* or "" */
};

static const struct {
	const char *name;
	int64_t deadline_ms;
} kinds[] = {
	[HOST_START] = {"start", AICTL_START_MS},
	[HOST_SIGNAL] = {"signal", AICTL_SIGNAL_MS},
	[HOST_REMOVE] = {"remove", AICTL_REMOVE_MS},
	[HOST_LIST] = {"list", AICTL_LIST_MS},
	[HOST_STATS] = {"stats", AICTL_STATS_MS},
	[HOST_EXEC] = {"exec", 0},
	[HOST_LOGS] = {"logs", 0},
	[HOST_CLOSE] = {"close", AICTL_CLOSE_MS},
};
_Static_assert(ARRAY_SIZE(kinds) == HOST_KIND_MAX_, "a row for each operation");

static struct host *host_of(const struct aictl_host *table)
{
	return (struct host *)(void *)table; /* NOLINT: it is ours, and only lent as const */
}

/* ---- what the plugin did wrong ---- */

void host_fault(struct host *h, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	h->n_faults++;
	if (h->events.fault)
		h->events.fault(h->events.user, text);
}

/* What was counted on other threads is said on ours. */
static void report_strangers(struct host *h)
{
	unsigned n = atomic_exchange(&h->n_stranger_calls, 0);

	if (n > 0)
		host_fault(h, "%s was called from a thread that is not the host's (%u such calls)",
			   atomic_load(&h->stranger_called), n);
}

bool host_may_call(struct host *h, const char *what)
{
	if (h->thread != gettid()) { /* nothing else of the host may be touched here */
		atomic_store(&h->stranger_called, what);
		atomic_fetch_add(&h->n_stranger_calls, 1);
		return false;
	}
	report_strangers(h);
	if (h->ended) {
		host_fault(h, "%s was called after the end", what);
		return false;
	}
	return true;
}

int64_t host_enter(struct host *h)
{
	h->depth++;
	return clock_mono_ms();
}

void host_leave(struct host *h, int64_t entered_mono_ms, const char *what)
{
	int64_t took = clock_mono_ms() - entered_mono_ms;

	/* What is called from within is part of the outer one. */
	if (--h->depth == 0 && took > h->call_ms)
		host_fault(h, "%s held up the loop for %lld ms", what, (long long)took);
	report_strangers(h);
}

/* ---- operations ---- */

static size_t position_of(const struct host *h, uint64_t op)
{
	size_t from = 0, to = h->n_calls;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (h->calls[mid]->op < op)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static struct host_call *find(const struct host *h, uint64_t op)
{
	size_t i = position_of(h, op);

	return i < h->n_calls && h->calls[i]->op == op ? h->calls[i] : NULL;
}

static void forget(struct host *h, struct host_call *c)
{
	size_t i = position_of(h, c->op);

	memmove(h->calls + i, h->calls + i + 1, (h->n_calls - i - 1) * sizeof(*h->calls));
	h->n_calls--;
	loop_timer_disarm(h->loop, &c->timer);
	mem_free(c);
}

/* Frees c before it tells: what is told may begin and end others. */
static void end(struct host_call *c, int code, const char *message)
{
	const struct aictl_result r = {
		.struct_size = sizeof(r), .code = code, .message = message, .exit_status = -1};
	const struct host_reply reply = c->reply;
	uint64_t op = c->op;

	forget(c->host, c);
	reply.ended(reply.user, op, &r);
}

static const char *of_unit(const struct host_call *c)
{
	return c->unit[0] ? c->unit : "no unit";
}

static void ask_to_end(struct host_call *c)
{
	struct host *h = c->host;
	uint64_t op = c->op;
	int64_t entered;

	c->canceled = true;
	loop_timer_arm(h->loop, &c->timer, clock_mono_ms() + h->cancel_ms);
	if (!h->ops.cancel || !h->open)
		return;
	entered = host_enter(h);
	h->ops.cancel(h->self, op); /* c may be gone now */
	host_leave(h, entered, "cancel");
}

static void on_deadline(void *user)
{
	struct host_call *c = user;
	struct host *h = c->host;

	report_strangers(h);
	if (c->canceled) {
		host_fault(h,
			   "%s (operation %llu, %s) was not completed within %lld ms of its cancel",
			   kinds[c->kind].name, (unsigned long long)c->op, of_unit(c),
			   (long long)h->cancel_ms);
		if (c->late)
			end(c, AICTL_TIMEOUT, LATE);
		else
			end(c, AICTL_CANCELED, "canceled; the plugin did not answer");
		return;
	}
	host_fault(h, "%s (operation %llu, %s) was not completed within %lld ms",
		   kinds[c->kind].name, (unsigned long long)c->op, of_unit(c),
		   (long long)h->deadline_ms[c->kind]);
	if (c->kind == HOST_CLOSE) {
		end(c, AICTL_TIMEOUT, "the plugin did not close");
		return;
	}
	c->late = true; /* answered when it has ended: until then it may still do something */
	ask_to_end(c);
}

static void arm_deadline(struct host_call *c)
{
	int64_t ms = c->host->deadline_ms[c->kind];

	loop_timer_arm(c->host->loop, &c->timer, ms > 0 ? clock_mono_ms() + ms : INT64_MAX);
}

/* NULL: no memory. */
static struct host_call *begin(struct host *h, enum host_kind kind, const char *unit,
			       const struct host_reply *reply)
{
	size_t n = strlen(unit) + 1;
	struct host_call *c;

	if (mem_grow(&h->calls, &h->cap_calls, h->n_calls + 1, sizeof(struct host_call *)) < 0)
		return NULL;
	c = mem_alloc(sizeof(*c) + n);
	if (!c)
		return NULL;
	c->host = h;
	c->op = ++h->last_op;
	c->kind = kind;
	c->reply = *reply;
	c->timer.fn = on_deadline;
	c->timer.user = c;
	memcpy(c->unit, unit, n);
	h->calls[h->n_calls++] = c;
	arm_deadline(c);
	return c;
}

/* ---- the table ---- */

/* One line without control characters. */
static void clean(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++)
		out[n++] = (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text;
	while (*text && n > 0 && ((unsigned char)out[n - 1] & 0xc0) == 0x80)
		n--; /* cut: no half character */
	if (*text && n > 0 && (unsigned char)out[n - 1] >= 0xc0)
		n--;
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

static const char *tidy(char *out, size_t size, const char *text)
{
	if (!text)
		return NULL;
	clean(out, size, text);
	return out;
}

static void on_log(const struct aictl_host *table, int level, const char *text)
{
	struct host *h = host_of(table);
	char line[TEXT_MAX];

	if (!host_may_call(h, "log"))
		return;
	clean(line, sizeof(line), text ? text : "");
	if (level < AICTL_ERROR || level > AICTL_DEBUG)
		level = AICTL_ERROR;
	if (h->events.log)
		h->events.log(h->events.user, level, line);
}

/* The operation that the plugin speaks of, if it may. */
static struct host_call *spoken_of(const struct aictl_host *table, uint64_t op, const char *what)
{
	struct host *h = host_of(table);
	struct host_call *c;

	if (!host_may_call(h, what))
		return NULL;
	c = find(h, op);
	if (!c && op > 0 && op <= h->last_op)
		host_fault(h, "%s was called for operation %llu, which had ended", what,
			   (unsigned long long)op);
	else if (!c)
		host_fault(h, "%s was called for operation %llu, which was never begun", what,
			   (unsigned long long)op);
	return c;
}

/* Copies of what the plugin said. */
struct taken_result {
	struct aictl_result result;
	struct aictl_stats stats;
	char message[TEXT_MAX];
};

struct taken_state {
	struct aictl_unit_state state;
	char engine_id[ID_MAX], image[TEXT_MAX], address[ID_MAX], error[TEXT_MAX];
};

static void take_stats(struct host *h, const struct host_call *c, struct aictl_result *out,
		       struct aictl_stats *stats)
{
	bool has =
		c->kind == HOST_STATS && sized_take(stats, sizeof(*stats), out->stats, FIRST_STATS);

	out->stats = has ? stats : NULL;
	if (c->kind == HOST_STATS && out->code == AICTL_OK && !has) {
		host_fault(h, "stats ended without any");
		out->code = AICTL_FAILED;
	}
}

/* What the plugin said, made fit to be passed on. */
static void normalise(struct host *h, const struct host_call *c, const struct aictl_result *in,
		      struct taken_result *taken)
{
	struct aictl_result *out = &taken->result;

	if (!sized_take(out, sizeof(*out), in, FIRST_RESULT) && in) {
		host_fault(h, "%s ended with a result of %u bytes: too short", kinds[c->kind].name,
			   in->struct_size);
		out->code = AICTL_FAILED;
	}
	if (out->code < AICTL_OK || out->code > AICTL_FAILED)
		out->code = AICTL_FAILED;
	take_stats(h, c, out, &taken->stats);
	out->message = tidy(taken->message, sizeof(taken->message), out->message);
	if (!out->message)
		out->message = out->code == AICTL_OK ? "" : "the plugin gives no reason";
	if (c->kind != HOST_EXEC)
		out->exit_status = -1;
}

static void end_close(struct host *h)
{
	h->open = false;
	while (h->n_calls > 0) {
		struct host_call *c = h->calls[h->n_calls - 1];

		host_fault(h, "closed with %s (operation %llu, %s) not completed",
			   kinds[c->kind].name, (unsigned long long)c->op, of_unit(c));
		end(c, AICTL_CANCELED, "the plugin was closed");
	}
	host_watch_done(h, 1);
	h->ended = true;
}

static void on_complete(const struct aictl_host *table, uint64_t op,
			const struct aictl_result *result)
{
	struct host *h = host_of(table);
	struct host_call *c = spoken_of(table, op, "complete");
	struct taken_result r;
	struct host_reply reply;
	bool closes;

	if (!c)
		return;
	if (c->late) {
		end(c, AICTL_TIMEOUT, LATE);
		return;
	}
	normalise(h, c, result, &r);
	reply = c->reply;
	closes = c->kind == HOST_CLOSE;
	forget(h, c); /* as end() */
	if (closes)
		end_close(h);
	reply.ended(reply.user, op, &r.result);
}

static bool take_state(struct host *h, struct taken_state *taken, const struct aictl_unit_state *in,
		       const char *what)
{
	struct aictl_unit_state *out = &taken->state;

	if (!sized_take(out, sizeof(*out), in, FIRST_STATE) || !out->unit || !out->unit[0] ||
	    (out->n_labels > 0 && !out->labels)) {
		host_fault(h, "%s was called with a state that is too short or has no unit", what);
		return false;
	}
	if (out->phase > AICTL_UNIT_GONE) /* of a later version */
		out->phase = AICTL_UNIT_UNKNOWN;
	out->engine_id = tidy(taken->engine_id, sizeof(taken->engine_id), out->engine_id);
	out->image = tidy(taken->image, sizeof(taken->image), out->image);
	out->address = tidy(taken->address, sizeof(taken->address), out->address);
	out->error = tidy(taken->error, sizeof(taken->error), out->error);
	return true;
}

static void on_unit_state(const struct aictl_host *table, const struct aictl_unit_state *s)
{
	struct host *h = host_of(table);
	struct taken_state own;

	if (host_may_call(h, "unit_state") && take_state(h, &own, s, "unit_state") &&
	    h->events.unit_state)
		h->events.unit_state(h->events.user, &own.state);
}

static void on_engine_state(const struct aictl_host *table, const struct aictl_engine_state *s)
{
	struct host *h = host_of(table);
	struct aictl_engine_state own;
	char name[ID_MAX], version[ID_MAX], endpoint[TEXT_MAX], error[TEXT_MAX];

	if (!host_may_call(h, "engine_state"))
		return;
	if (!sized_take(&own, sizeof(own), s, FIRST_ENGINE)) {
		host_fault(h, "engine_state was called with a state that is too short");
		return;
	}
	own.name = tidy(name, sizeof(name), own.name);
	own.version = tidy(version, sizeof(version), own.version);
	own.endpoint = tidy(endpoint, sizeof(endpoint), own.endpoint);
	own.error = tidy(error, sizeof(error), own.error);
	if (h->events.engine_state)
		h->events.engine_state(h->events.user, &own);
}

/* The open operation of that kind; NULL is either said to be wrong, or nobody wants it any more. */
static struct host_call *spoken_of_kind(const struct aictl_host *table, uint64_t op,
					enum host_kind kind, const char *what)
{
	struct host_call *c = spoken_of(table, op, what);

	if (c && c->kind != kind) {
		host_fault(host_of(table), "%s was called for operation %llu, which is %s", what,
			   (unsigned long long)op, kinds[c->kind].name);
		return NULL;
	}
	return c && !c->late ? c : NULL;
}

static void on_progress(const struct aictl_host *table, uint64_t op, const struct aictl_progress *p)
{
	struct host_call *c = spoken_of_kind(table, op, HOST_START, "progress");
	struct aictl_progress own;
	char text[TEXT_MAX];

	if (!c)
		return;
	if (!sized_take(&own, sizeof(own), p, FIRST_PROGRESS)) {
		host_fault(c->host, "progress was called with a report that is too short");
		return;
	}
	if (!c->canceled)
		arm_deadline(c);
	own.text = tidy(text, sizeof(text), own.text);
	if (c->reply.progress)
		c->reply.progress(c->reply.user, op, &own);
}

static void on_list_item(const struct aictl_host *table, uint64_t op,
			 const struct aictl_unit_state *s)
{
	struct host_call *c = spoken_of_kind(table, op, HOST_LIST, "list_item");
	struct taken_state own;

	if (c && take_state(c->host, &own, s, "list_item") && c->reply.item)
		c->reply.item(c->reply.user, op, &own.state);
}

static void on_log_position(const struct aictl_host *table, uint64_t op,
			    const struct aictl_log_position *p)
{
	struct host_call *c = spoken_of_kind(table, op, HOST_LOGS, "log_position");

	if (c && p && c->reply.position)
		c->reply.position(c->reply.user, op, p);
}

static void on_exec_started(const struct aictl_host *table, uint64_t op, int64_t pid)
{
	struct host_call *c = spoken_of_kind(table, op, HOST_EXEC, "exec_started");

	if (c && pid > 0 && pid <= INT32_MAX && c->reply.started)
		c->reply.started(c->reply.user, op, (pid_t)pid);
}

/* ---- life ---- */

void host_init(struct host *h, struct loop *loop, const struct aictl_plugin *plugin)
{
	*h = (struct host){
		.table = {.abi = AICTL_PLUGIN_ABI,
			  .struct_size = sizeof(h->table),
			  .log = on_log,
			  .complete = on_complete,
			  .unit_state = on_unit_state,
			  .engine_state = on_engine_state,
			  .progress = on_progress,
			  .list_item = on_list_item,
			  .log_position = on_log_position,
			  .exec_started = on_exec_started},
		.loop = loop,
		.cancel_ms = AICTL_CANCEL_MS,
		.call_ms = AICTL_CALL_MS,
		.thread = gettid(),
	};
	sized_take(&h->ops, sizeof(h->ops), plugin->runtime, 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		h->deadline_ms[i] = kinds[i].deadline_ms;
	host_watch_init(h);
}

int host_open(struct host *h, const struct aictl_open *with, struct err **reterr)
{
	char raw[TEXT_MAX] = "", text[TEXT_MAX];
	int64_t entered;
	int r;

	entered = host_enter(h);
	r = h->ops.open(&h->table, with, &h->self, raw, sizeof(raw));
	host_leave(h, entered, "open");
	raw[sizeof(raw) - 1] = '\0';
	clean(text, sizeof(text), raw);
	if (r == AICTL_OK && h->self) {
		h->open = true;
		return 0;
	}
	host_watch_done(h, 1);
	h->ended = true;
	if (r == AICTL_OK)
		return err_set(reterr, ERR_INVALID, "open succeeded and gave nothing");
	return err_set(reterr, r == AICTL_NO_MEMORY ? ERR_NOMEM : ERR_INVALID, "%s",
		       text[0] ? text : host_code_name(r));
}

void host_done(struct host *h)
{
	h->open = false;
	while (h->n_calls > 0) {
		struct host_call *c = h->calls[h->n_calls - 1];

		end(c, AICTL_CANCELED, "the host ends");
	}
	mem_free(h->calls);
	h->calls = NULL;
	h->cap_calls = 0;
	host_watch_done(h, 0);
	h->ended = true;
}

bool host_can(const struct host *h, enum host_kind kind)
{
	return (kind != HOST_STATS || h->ops.stats) && (kind != HOST_EXEC || h->ops.exec) &&
	       (kind != HOST_LOGS || h->ops.logs);
}

/* The number of an operation that is to be handed to the plugin; else 0, and it has been answered
 * or *ret_op is 0, too. */
static uint64_t prepare(struct host *h, enum host_kind kind, const char *unit,
			const struct host_reply *reply, uint64_t *ret_op)
{
	struct host_call *c = begin(h, kind, unit, reply);

	*ret_op = c ? c->op : 0;
	if (!c)
		return 0;
	if (h->open && host_can(h, kind))
		return c->op;
	if (h->open)
		end(c, AICTL_UNSUPPORTED, "the plugin cannot do that");
	else
		end(c, AICTL_CANCELED, "the plugin is not open");
	return 0;
}

uint64_t host_start(struct host *h, const struct aictl_start *what, const struct host_reply *reply)
{
	uint64_t ret, op = prepare(h, HOST_START, what->unit, reply, &ret);
	int64_t entered = host_enter(h);

	if (op)
		h->ops.start(h->self, op, what);
	host_leave(h, entered, "start");
	return ret;
}

uint64_t host_signal(struct host *h, const char *unit, int number, const struct host_reply *reply)
{
	uint64_t ret, op = prepare(h, HOST_SIGNAL, unit, reply, &ret);
	int64_t entered = host_enter(h);

	if (op)
		h->ops.signal(h->self, op, unit, number);
	host_leave(h, entered, "signal");
	return ret;
}

uint64_t host_remove(struct host *h, const char *unit, const struct host_reply *reply)
{
	uint64_t ret, op = prepare(h, HOST_REMOVE, unit, reply, &ret);
	int64_t entered = host_enter(h);

	if (op)
		h->ops.remove(h->self, op, unit);
	host_leave(h, entered, "remove");
	return ret;
}

uint64_t host_list(struct host *h, const struct host_reply *reply)
{
	uint64_t ret, op = prepare(h, HOST_LIST, "", reply, &ret);
	int64_t entered = host_enter(h);

	if (op)
		h->ops.list(h->self, op);
	host_leave(h, entered, "list");
	return ret;
}

uint64_t host_stats(struct host *h, const char *unit, const struct host_reply *reply)
{
	uint64_t ret, op = prepare(h, HOST_STATS, unit, reply, &ret);
	int64_t entered = host_enter(h);

	if (op)
		h->ops.stats(h->self, op, unit);
	host_leave(h, entered, "stats");
	return ret;
}

uint64_t host_exec(struct host *h, const struct aictl_exec *what, const struct host_reply *reply)
{
	uint64_t ret, op = prepare(h, HOST_EXEC, what->unit, reply, &ret);
	int64_t entered = host_enter(h);

	if (op)
		h->ops.exec(h->self, op, what);
	host_leave(h, entered, "exec");
	return ret;
}

uint64_t host_logs(struct host *h, const struct aictl_logs *what, const struct host_reply *reply)
{
	uint64_t ret, op = prepare(h, HOST_LOGS, what->unit, reply, &ret);
	int64_t entered = host_enter(h);

	if (op)
		h->ops.logs(h->self, op, what);
	host_leave(h, entered, "logs");
	return ret;
}

uint64_t host_close(struct host *h, const struct host_reply *reply)
{
	uint64_t ret, op = prepare(h, HOST_CLOSE, "", reply, &ret);
	int64_t entered = host_enter(h);

	if (op)
		h->ops.close(h->self, op);
	host_leave(h, entered, "close");
	return ret;
}

void host_cancel(struct host *h, uint64_t op)
{
	struct host_call *c = find(h, op);

	if (c && !c->canceled && c->kind != HOST_CLOSE)
		ask_to_end(c);
}

void host_resize(struct host *h, uint64_t op, uint32_t rows, uint32_t columns)
{
	const struct host_call *c = find(h, op);
	int64_t entered;

	if (!c || c->kind != HOST_EXEC || !h->open || !h->ops.exec_resize)
		return;
	entered = host_enter(h);
	h->ops.exec_resize(h->self, op, rows, columns);
	host_leave(h, entered, "exec_resize");
}

bool host_is_open(const struct host *h, uint64_t op)
{
	return find(h, op) != NULL;
}

const char *host_kind_name(enum host_kind kind)
{
	return kinds[kind].name;
}

const char *host_code_name(int code)
{
	static const char *const names[] = {
		[AICTL_OK] = "ok",
		[AICTL_INVALID] = "invalid",
		[AICTL_NOT_FOUND] = "not_found",
		[AICTL_CONFLICT] = "conflict",
		[AICTL_DENIED] = "denied",
		[AICTL_UNREACHABLE] = "unreachable",
		[AICTL_TIMEOUT] = "timeout",
		[AICTL_UNSUPPORTED] = "unsupported",
		[AICTL_CANCELED] = "canceled",
		[AICTL_NO_MEMORY] = "no_memory",
		[AICTL_FAILED] = "failed",
	};

	return names[code >= 0 && code < (int)ARRAY_SIZE(names) ? code : AICTL_FAILED];
}

const char *host_phase_name(unsigned phase)
{
	static const char *const names[] = {"unknown", "created", "running", "exited", "gone"};

	return names[phase < ARRAY_SIZE(names) ? phase : 0];
}
