/*
 * docker_logs: see docker_logs.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_logs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "docker.h"
#include "docker_engine.h"
#include "docker_look.h"
#include "docker_mem.h"
#include "docker_mux.h"
#include "docker_out.h"
#include "docker_stream.h"
#include "docker_units.h"

#define AGAIN_MS 500
#define AGAIN_MAX_MS 10000
#define ERROR_MAX 4096
#define MARGIN_NS 1000000

struct reading {
	struct docker_op op;
	char *unit;
	struct docker_mux mux;
	struct docker_out out;
	struct docker_stream *stream;
	struct docker_units_asking *asking;
	struct aictl_timer *timer; /* look again */
	int64_t again_ms;	   /* grows while nothing comes of it */
	int status;		   /* of the stream's answer */
	struct docker_buf refusal; /* its body, unless 200 */
	bool opened_exited;	   /* the container had ended when the stream was opened */
	bool waits;		   /* for news of the container */
};

static void go_on(struct reading *l);

static void reading_free(struct reading *l)
{
	docker_stream_free(l->stream);
	docker_units_forget(l->asking);
	docker_out_done(&l->out);
	l->op.d->host->timer_free(l->op.d->host, l->timer);
	docker_mem_done(&l->refusal);
	docker_mem_free(l->unit);
	docker_mem_free(l);
}

static void end(struct reading *l, int code, const char *text)
{
	docker_end(&l->op, code, "%s", text);
	reading_free(l);
}

static void cancel(struct docker_op *op)
{
	end((struct reading *)op, AICTL_CANCELED, "canceled");
}

static void later(struct reading *l)
{
	l->op.d->host->timer_set(l->op.d->host, l->timer, l->again_ms);
	l->again_ms = l->again_ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : l->again_ms * 2;
}

/* ---- output ---- */

static void tell(struct reading *l)
{
	const struct aictl_host *host = l->op.d->host;

	if (!l->out.wrote)
		return;
	l->out.wrote = false;
	l->again_ms = AGAIN_MS;
	host->log_position(host, l->op.op, &l->mux.written);
}

static void said(void *user, const char *text, size_t len)
{
	struct reading *l = user;

	docker_log(l->op.d, AICTL_WARNING, "the engine says of the logs of %s: %.*s", l->unit,
		   (int)(len < 300 ? len : 300), text);
}

static void broken(struct reading *l)
{
	char text[160];

	snprintf(text, sizeof(text), "cannot write the output of %.100s: %s", l->unit,
		 strerror(l->out.error));
	end(l, AICTL_FAILED, text);
}

/* The stream was kept waiting until the pipe had room. */
static void on_room(void *user)
{
	struct reading *l = user;

	tell(l);
	if (l->out.error)
		broken(l);
	else if (l->stream)
		docker_stream_resume(l->stream);
	else if (!l->waits)
		go_on(l);
}

static bool on_head(void *user, const struct docker_head *head)
{
	struct reading *l = user;

	l->status = head->status;
	return true;
}

static size_t on_body(void *user, const char *data, size_t n)
{
	struct reading *l = user;
	long k;

	if (l->status != 200) {
		docker_mem_add(&l->refusal, data, n);
		return n;
	}
	k = docker_out_body(&l->out, data, n, said);
	tell(l);
	if (k >= 0 && !l->out.error)
		return (size_t)k;
	if (l->out.error) {
		broken(l);
		return 0;
	}
	docker_log(l->op.d, AICTL_WARNING, "the logs of %s are garbled, beginning anew", l->unit);
	docker_stream_free(l->stream);
	l->stream = NULL;
	later(l);
	return 0;
}

/* ---- the end of a stream ---- */

static void refused(struct reading *l)
{
	char text[300];
	int status = l->status;

	docker_look_error(l->refusal.data, l->refusal.len, text, sizeof(text));
	if (status == 404) {
		end(l, AICTL_NOT_FOUND, text);
		return;
	}
	docker_log(l->op.d, AICTL_WARNING, "the logs of %s are refused, trying again: %s", l->unit,
		   text);
	later(l);
}

static void on_ended(void *user, bool clean, const char *error)
{
	struct reading *l = user;

	(void)error;
	l->stream = NULL;
	if (l->status && l->status != 200) {
		refused(l);
	} else if (!clean) {
		docker_engine_doubt(l->op.d->engine);
		later(l);
	} else if (l->opened_exited && docker_mux_between(&l->mux)) {
		if (!docker_out_blocked(&l->out))
			end(l, AICTL_OK, "");
		else
			l->waits = false; /* on_room ends it */
	} else {
		/* Mostly it has just ended; if not, the timer looks. */
		l->waits = true;
		later(l);
	}
}

/* ---- a stream ---- */

static void connect_to(struct reading *l, const struct docker_unit *u)
{
	const struct docker_stream_events ev = {
		.user = l, .head = on_head, .body = on_body, .ended = on_ended};
	struct docker *d = l->op.d;
	struct aictl_log_position at = l->mux.written;
	/* Podman wants stamps that are younger than this, and reads it as a double: 0.24 us of them
	 * are one. What is too old is dropped here. */
	int64_t since = at.stamp_ns > MARGIN_NS ? at.stamp_ns - MARGIN_NS : 0;
	_docker_free_ char *request = docker_mem_printf(
		"GET /v%s/containers/%s/logs?follow=true&stdout=true&stderr=true&timestamps=true"
		"&since=%" PRId64 ".%09" PRId64 " HTTP/1.1\r\nHost: engine\r\n\r\n",
		docker_engine_api(d->engine), l->unit, since / 1000000000, since % 1000000000);

	l->waits = false;
	l->status = 0;
	docker_mem_done(&l->refusal);
	docker_mux_init(&l->mux, u->tty, true, &at);
	l->opened_exited = u->phase == AICTL_UNIT_EXITED;
	l->stream = request ? docker_stream_new(d, request, &ev) : NULL;
	if (!l->stream) {
		if (request && errno != ENOMEM)
			docker_engine_doubt(d->engine);
		later(l);
	}
}

static void found(void *user, struct docker_unit *u, int code, const char *error)
{
	struct reading *l = user;

	(void)u;
	l->asking = NULL;
	if (code == AICTL_NOT_FOUND || code == AICTL_CONFLICT)
		end(l, code, error);
	else
		later(l);
}

/* Opens a stream if there is none, and it has a point. */
static void go_on(struct reading *l)
{
	struct docker *d = l->op.d;
	struct docker_unit *u = docker_units_find(d->units, l->unit);

	if (l->stream || l->asking || docker_out_blocked(&l->out) || !docker_engine_up(d->engine))
		return;
	if (!u || !u->id) {
		l->asking = docker_units_ask(d->units, l->unit, found, l);
		if (!l->asking)
			later(l);
		return;
	}
	/* Before it runs there is nothing; the event will tell. */
	if (u->phase == AICTL_UNIT_RUNNING || u->phase == AICTL_UNIT_EXITED)
		connect_to(l, u);
}

static void on_timer(void *user)
{
	go_on(user);
}

/* Something was learnt about the container. */
static void on_changed(struct docker_op *op)
{
	struct reading *l = (struct reading *)op;
	struct docker_unit *u = docker_units_find(op->d->units, l->unit);

	if (!u && !l->stream && docker_engine_up(op->d->engine))
		end(l, AICTL_NOT_FOUND, "there is no such container any more");
	else if (!l->stream)
		go_on(l);
}

static void on_engine(struct docker_op *op, bool up)
{
	struct reading *l = (struct reading *)op;

	if (up) {
		go_on(l);
		return;
	}
	docker_stream_free(l->stream);
	l->stream = NULL;
}

void docker_logs_begin(struct docker *d, uint64_t op, const struct aictl_logs *what)
{
	struct reading *l = docker_mem_zalloc(sizeof(*l));

	if (!l) {
		docker_refuse(d, op, AICTL_NO_MEMORY, "out of memory");
		return;
	}
	docker_begin(d, &l->op, op, cancel);
	docker_mux_init(&l->mux, false, true, &what->from);
	docker_out_init(&l->out, d->host, &l->mux, what->stdout_fd, what->stderr_fd);
	l->out.room = on_room;
	l->out.user = l;
	l->refusal.limit = ERROR_MAX;
	l->again_ms = AGAIN_MS;
	l->unit = docker_mem_dup(what->unit);
	l->timer = d->host->timer_new(d->host, on_timer, l);
	if (!l->unit || !l->timer) {
		end(l, AICTL_NO_MEMORY, "out of memory");
		return;
	}
	if (!docker_units_name_ok(l->unit)) {
		end(l, AICTL_INVALID, "the unit's name is not fit for a container");
		return;
	}
	l->op.unit = l->unit;
	l->op.changed = on_changed;
	l->op.engine = on_engine;
	go_on(l);
}
