/*
 * api_logs: GET /v1/logs: lines as JSON, the last n first, then (follow) each new one. For clients
 * that may not read the files themselves (the CLI does where it may), also of services that were
 * deleted. The files are read in a
 * worker thread, a bounded piece at a time; the next piece is read when the client has taken the
 * last one, so a slow reader costs nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "lib/base64.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/loggrep.h"
#include "lib/logidx.h"
#include "lib/logview.h"
#include "lib/mem.h"
#include "lib/when.h"

#define LINES_DEFAULT 100
#define LINES_MAX 1000000
#define PIECE_BYTES (256 << 10)
#define LOOK_AGAIN_MS 200
/* A replica whose log is read may take two descriptors: probes must never run out of them. */
#define REPLICAS_MAX 1024

struct tail {
	struct log_work work;
	uv_timer_t timer;
	struct http_request *r; /* NULL: the client has left */
	struct logview_opts opts;
	char *log_dir, *service;
	struct loggrep *grep; /* the worker's, when there is a view */
	struct logview_runs *runs;
	struct controller *c;
	size_t replicas; /* counted in c->log_replicas */
	struct logview *view;
	struct buf piece;
	struct err *err;
	bool known;   /* there is such a service */
	bool begun;   /* the answer is; before, the worker looks if there is anything */
	bool nothing; /* neither a service nor files */
	bool at_end;  /* nothing more at the moment */
	bool working; /* the worker has it */
	bool gone;    /* atomic: nobody wants what the worker reads */
};

static void read_piece(struct tail *t);

static void free_tail(struct tail *t)
{
	logview_free(t->view);
	buf_done(&t->piece);
	err_free(t->err);
	mem_free(t->log_dir);
	mem_free(t->service);
	loggrep_free(t->grep);
	mem_free(t->runs);
	mem_free(t);
}

static void on_closed(uv_handle_t *h)
{
	struct tail *t = h->data;

	t->c->log_replicas -= t->replicas;
	free_tail(t);
}

static void write_bytes(struct jsonw *w, const struct logview_line *line)
{
	_cleanup_free_ char *text = base64_encode(line->text, line->len);

	w->out->failed |= !text;
	jsonw_string(w, "raw", text);
}

static void write_line(struct tail *t, const struct logview_line *line)
{
	struct jsonw w = {.out = &t->piece};
	char stamp[CLOCK_RFC3339_SIZE], at[CLOCK_RFC3339_SIZE + 8];

	clock_rfc3339(line->wall_ms, stamp);
	snprintf(at, sizeof(at), "%.19s.%03dZ", stamp, (int)(line->wall_ms % 1000));
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "service", t->service);
	jsonw_int(&w, "replica", line->index);
	jsonw_string(&w, "incarnation", line->incarnation);
	jsonw_string(&w, "stream", logidx_stream_name(line->stream));
	jsonw_string(&w, "at", at);
	if (!t->opts.raw)
		jsonw_string_n(&w, "line", line->text, line->len);
	if (t->opts.raw || memchr(line->text, '\0', line->len)) /* many a JSON reader ends there */
		write_bytes(&w, line);
	if (line->cut)
		jsonw_bool(&w, "cut", true);
	jsonw_object_end(&w);
	buf_char(&t->piece, '\n');
}

/* Where lines are missing, when there are none at the moment. */
static void write_warnings(struct tail *t)
{
	char text[PATH_MAX + 64];

	while (logview_warning(t->view, text, sizeof(text))) {
		struct jsonw w = {.out = &t->piece};

		jsonw_object_begin(&w, NULL);
		jsonw_string(&w, "service", t->service);
		jsonw_string(&w, "warning", text);
		jsonw_object_end(&w);
		buf_char(&t->piece, '\n');
	}
}

/* The last line of a stream that could not go on. */
static void write_error(struct tail *t)
{
	struct jsonw w = {.out = &t->piece};

	jsonw_object_begin(&w, NULL);
	api_write_error(&w, "error", t->err);
	jsonw_object_end(&w);
	buf_char(&t->piece, '\n');
}

/* In the worker thread. */
static void work(struct log_work *w)
{
	struct tail *t = w->user;
	struct logview_line line;
	int r = 1;

	if (!t->view)
		r = logview_open(&t->opts, &t->view, &t->err) < 0 ? -1 : 1;
	while (r == 1 && t->piece.len < PIECE_BYTES &&
	       (r = logview_next(t->view, &line, &t->err)) == 1)
		write_line(t, &line);
	t->at_end = r == 0;
	t->nothing = !t->known && t->view && logview_is_empty(t->view);
	if (t->at_end)
		write_warnings(t);
	if (t->err)
		write_error(t);
}

static void on_timer(uv_timer_t *timer)
{
	read_piece(timer->data);
}

static void on_drained(struct http_request *r, void *user)
{
	(void)r;
	read_piece(user);
}

static void finish(struct tail *t)
{
	if (t->r)
		http_stream_end(t->r);
	t->r = NULL;
	uv_close((uv_handle_t *)&t->timer, on_closed);
}

/* Nothing that comes later is asked for, when its time is past and the last of it is stored. */
static bool goes_on(const struct tail *t)
{
	return t->opts.follow &&
	       (!t->opts.until_ms || clock_wall_ms() < t->opts.until_ms + 5 * LOOK_AGAIN_MS);
}

static void begin(struct tail *t)
{
	t->begun = true;
	http_stream_begin(t->r, 200, "application/jsonl");
}

/* The request ends without a stream. */
static struct http_request *take_request(struct tail *t)
{
	struct http_request *r = t->r;

	t->r = NULL;
	http_request_set_user(r, NULL, NULL);
	return r;
}

/* Of a service that nobody knows, once its files were looked for. False: answered. */
static bool begin_unknown(struct tail *t)
{
	if (t->err)
		api_reply_err(take_request(t), t->err);
	else if (t->nothing)
		api_reply_error(take_request(t), 404, "not_found",
				"no service \"%s\", and no log files of one", t->service);
	else
		begin(t);
	return t->begun;
}

static void on_worked(struct log_work *w, bool was_read)
{
	struct tail *t = w->user;

	t->working = false;
	if (t->r && !was_read && !t->begun)
		api_reply_error(take_request(t), 503, "shutting_down", "the controller ends");
	if (!t->r || !was_read || (!t->begun && !begin_unknown(t))) {
		finish(t);
		return;
	}
	if (t->err)
		log_warn("logs of %s: %s", t->service, err_msg(t->err));
	if (t->piece.len && !t->piece.failed &&
	    !http_stream_write(t->r, t->piece.data, t->piece.len))
		return; /* on_gone ends it */
	if (t->err || t->piece.failed || (t->at_end && !goes_on(t))) {
		finish(t);
		return;
	}
	buf_done(&t->piece); /* a stream that waits keeps no memory */
	if (t->at_end)
		uv_timer_start(&t->timer, on_timer, LOOK_AGAIN_MS, 0);
	else
		http_stream_on_drain(t->r, on_drained);
}

static void read_piece(struct tail *t)
{
	if (!t->r || t->working)
		return;
	t->working = true;
	log_work_start(t->c, &t->work);
}

static void on_gone(struct http_request *r, void *user)
{
	struct tail *t = user;

	t->r = NULL;
	__atomic_store_n(&t->gone, true, __ATOMIC_RELAXED);
	http_request_forget(r);
	if (!t->working || log_work_cancel(&t->work))
		finish(t);
}

/* The name in the query. NULL: there is none, and the client was told. */
static const char *wanted_service(struct api_call *call)
{
	const char *name = http_request_query(call->r, "service");

	if (!name)
		api_reply_error(call->r, 400, "invalid", "query service is missing");
	return name;
}

/* One reader is always served, many only within a budget. */
static bool within_budget(struct api_call *call, size_t replicas)
{
	size_t others = call->c->log_replicas;

	if (others == 0 || others + replicas <= REPLICAS_MAX)
		return true;
	api_reply_error(call->r, 503, "busy",
			"the logs of %zu replicas are being read already: try again later", others);
	return false;
}

static bool query_flag(struct api_call *call, const char *name)
{
	const char *value = http_request_query(call->r, name);

	return value && strcmp(value, "0") != 0;
}

/* False: it is none, and the client was told. */
static bool query_time(struct api_call *call, const char *name, int64_t *ret)
{
	const char *value = http_request_query(call->r, name);
	_cleanup_err_ struct err *err = NULL;

	if (!value || when_parse(value, clock_wall_ms(), false, ret, &err) == 0)
		return true;
	err_wrap(&err, "query %s", name);
	api_reply_err(call->r, err);
	return false;
}

static bool query_stream(struct api_call *call, uint32_t *ret)
{
	const char *value = http_request_query(call->r, "stream");

	for (uint32_t i = LOGIDX_STDOUT; value && i <= LOGIDX_NOTE; i++)
		if (strcmp(logidx_stream_name(i), value) == 0)
			*ret = 1U << i;
	if (!value || *ret)
		return true;
	api_reply_error(call->r, 400, "invalid", "query stream: one of stdout, stderr, aictl");
	return false;
}

/* Its pattern goes into *ret. False: it is none, and the client was told. */
static bool query_grep(struct api_call *call, struct loggrep **ret)
{
	const char *pattern = http_request_query(call->r, "grep");
	_cleanup_err_ struct err *err = NULL;

	if (!pattern || loggrep_new(pattern, query_flag(call, "ignore_case"), ret, &err) == 0)
		return true;
	err_wrap(&err, "query grep");
	api_reply_err(call->r, err);
	return false;
}

/* False: the client was told what is wrong. */
static bool read_query(struct api_call *call, struct logview_opts *o)
{
	o->index = -1;
	o->tail = api_query_int(call, "n", LINES_DEFAULT, 0, LINES_MAX);
	if (o->tail < 0)
		return false;
	if (http_request_query(call->r, "replica") &&
	    (o->index = api_query_int(call, "replica", 0, 0, 100000)) < 0)
		return false;
	o->follow = query_flag(call, "follow");
	o->raw = query_flag(call, "raw");
	o->previous = query_flag(call, "previous");
	if (o->follow && o->previous) {
		api_reply_error(call->r, 400, "invalid", "previous with follow");
		return false;
	}
	return query_time(call, "since", &o->since_ms) && query_time(call, "until", &o->until_ms) &&
	       query_stream(call, &o->streams);
}

/* Its last end; "" when it is no longer remembered. */
static const char *previous_of(const struct service *s, const struct replica *r)
{
	for (size_t i = s->exits->n; i-- > 0;) {
		const struct exits_entry *x = &s->exits->list[i];

		if (x->index == r->index && strcmp(x->exit.incarnation, r->incarnation) != 0)
			return x->exit.incarnation;
	}
	return "";
}

/* Which incarnations are the present ones; the worker cannot ask. s: NULL when it was deleted. */
static bool copy_runs(struct tail *t, const struct service *s)
{
	if (!t->opts.previous || !s)
		return true;
	t->opts.runs = t->runs = mem_array(s->n_replicas ? s->n_replicas : 1, sizeof(*t->runs));
	if (!t->runs)
		return false;
	for (t->opts.n_runs = 0; t->opts.n_runs < s->n_replicas; t->opts.n_runs++) {
		const struct replica *r = s->replicas[t->opts.n_runs];
		struct logview_runs *runs = &t->runs[t->opts.n_runs];

		runs->index = r->index;
		snprintf(runs->present, sizeof(runs->present), "%s", r->incarnation);
		snprintf(runs->previous, sizeof(runs->previous), "%s", previous_of(s, r));
	}
	return true;
}

static struct tail *tail_new(struct api_call *call, const char *name,
			     const struct logview_opts *opts)
{
	const struct service *s = controller_find(call->c, name);
	struct tail *t = mem_alloc(sizeof(*t));

	if (!t)
		return NULL;
	t->c = call->c;
	t->r = call->r;
	t->opts = *opts;
	t->known = s != NULL;
	t->service = mem_strdup(name);
	t->log_dir = mem_strdup(call->c->opts.log_dir);
	if (!t->service || !t->log_dir || !copy_runs(t, s)) {
		free_tail(t);
		return NULL;
	}
	t->opts.log_dir = t->log_dir;
	t->opts.service = t->service;
	t->opts.stop = &t->gone;
	uv_timer_init(call->c->loop, &t->timer);
	t->timer.data = t;
	t->work = (struct log_work){.read = work, .done = on_worked, .user = t};
	return t;
}

void api_logs_get(struct api_call *call)
{
	struct logview_opts opts = {0};
	const struct service *s;
	const char *name;
	struct tail *t;
	struct loggrep *grep = NULL;
	size_t replicas;

	if (!read_query(call, &opts))
		return;
	name = wanted_service(call);
	if (!name)
		return;
	s = controller_find(call->c, name);
	replicas = s && opts.index < 0 && s->n_replicas > 1 ? s->n_replicas : 1;
	if (!within_budget(call, replicas) || !query_grep(call, &grep))
		return;
	t = tail_new(call, name, &opts);
	if (!t) {
		loggrep_free(grep);
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	if (grep) {
		t->grep = t->opts.filter_user = grep;
		t->opts.filter = loggrep_filter;
	}
	t->replicas = replicas;
	call->c->log_replicas += replicas;
	http_request_set_user(call->r, t, on_gone);
	if (t->known)
		begin(t);
	read_piece(t);
}
