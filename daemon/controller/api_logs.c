/*
 * api_logs: GET /v1/logs: lines as JSON, the last n first, then (follow) each new one. For clients
 * that may not read the files themselves (the CLI does where it may). The files are read in a
 * worker thread, a bounded piece at a time; the next piece is read when the client has taken the
 * last one, so a slow reader costs nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/logview.h"
#include "lib/mem.h"

#define LINES_DEFAULT 100
#define LINES_MAX 1000000
#define PIECE_BYTES (256 << 10)
#define LOOK_AGAIN_MS 200
/* A replica whose log is read takes two descriptors: probes must never run out of them. */
#define REPLICAS_MAX 1024

struct tail {
	uv_work_t work;
	uv_timer_t timer;
	struct http_request *r; /* NULL: the client has left */
	struct logview_opts opts;
	char *log_dir, *service;
	struct controller *c;
	size_t replicas; /* counted in c->log_replicas */
	struct logview *view;
	struct buf piece;
	struct err *err;
	bool at_end;  /* nothing more at the moment */
	bool working; /* the worker has it */
};

static void read_piece(struct tail *t);

static void on_closed(uv_handle_t *h)
{
	struct tail *t = h->data;

	t->c->log_replicas -= t->replicas;
	logview_free(t->view);
	buf_done(&t->piece);
	err_free(t->err);
	mem_free(t->log_dir);
	mem_free(t->service);
	mem_free(t);
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
	jsonw_string(&w, "stream", line->stream == 2 ? "stderr" : "stdout");
	jsonw_string(&w, "at", at);
	jsonw_string_n(&w, "line", line->text, line->len);
	jsonw_object_end(&w);
	buf_char(&t->piece, '\n');
}

/* In the worker thread. */
static void work(uv_work_t *work_)
{
	struct tail *t = work_->data;
	struct logview_line line;
	int r = 1;

	if (!t->view && logview_open(&t->opts, &t->view, &t->err) < 0)
		return;
	while (t->piece.len < PIECE_BYTES && (r = logview_next(t->view, &line, &t->err)) == 1)
		write_line(t, &line);
	t->at_end = r == 0;
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

static void on_worked(uv_work_t *work_, int status)
{
	struct tail *t = work_->data;

	(void)status;
	t->working = false;
	if (!t->r) {
		finish(t);
		return;
	}
	if (t->err)
		log_warn("logs of %s: %s", t->service, err_msg(t->err));
	if (t->piece.len && !t->piece.failed &&
	    !http_stream_write(t->r, t->piece.data, t->piece.len))
		return; /* on_gone ends it */
	if (t->err || t->piece.failed || (t->at_end && !t->opts.follow)) {
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
	if (uv_queue_work(t->timer.loop, &t->work, work, on_worked) < 0) {
		t->working = false;
		finish(t);
	}
}

static void on_gone(struct http_request *r, void *user)
{
	struct tail *t = user;

	t->r = NULL;
	http_request_forget(r);
	if (!t->working)
		finish(t);
}

static struct tail *tail_new(struct api_call *call, const char *service)
{
	struct tail *t = mem_alloc(sizeof(*t));

	if (!t)
		return NULL;
	t->c = call->c;
	t->r = call->r;
	t->service = mem_strdup(service);
	t->log_dir = mem_strdup(call->c->opts.log_dir);
	if (!t->service || !t->log_dir) {
		mem_free(t->service);
		mem_free(t->log_dir);
		mem_free(t);
		return NULL;
	}
	t->opts.log_dir = t->log_dir;
	t->opts.service = t->service;
	uv_timer_init(call->c->loop, &t->timer);
	t->timer.data = t->work.data = t;
	return t;
}

/* The service of the query; NULL: there is none, and the client was told. */
static const struct service *wanted_service(struct api_call *call)
{
	const char *name = http_request_query(call->r, "service");
	const struct service *s = name ? controller_find(call->c, name) : NULL;

	if (!name)
		api_reply_error(call->r, 400, "invalid", "query service is missing");
	else if (!s)
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", name);
	return s;
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

void api_logs_get(struct api_call *call)
{
	const char *follow = http_request_query(call->r, "follow");
	int64_t replica = -1, n = api_query_int(call, "n", LINES_DEFAULT, 0, LINES_MAX);
	const struct service *s;
	struct tail *t;
	size_t replicas;

	if (n < 0)
		return;
	if (http_request_query(call->r, "replica") &&
	    (replica = api_query_int(call, "replica", 0, 0, 100000)) < 0)
		return;
	s = wanted_service(call);
	if (!s)
		return;
	replicas = replica < 0 && s->n_replicas > 1 ? s->n_replicas : 1;
	if (!within_budget(call, replicas))
		return;
	t = tail_new(call, s->name);
	if (!t) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	t->replicas = replicas;
	call->c->log_replicas += replicas;
	t->opts.index = replica;
	t->opts.tail = n;
	t->opts.follow = follow && strcmp(follow, "0") != 0;
	http_request_set_user(call->r, t, on_gone);
	http_stream_begin(call->r, 200, "application/jsonl");
	read_piece(t);
}
