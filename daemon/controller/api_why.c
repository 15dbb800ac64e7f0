/*
 * api_why: GET /v1/services/NAME/why: why.h's chain of causes. Log and memory are read in a worker;
 * when a hung disk keeps it, the answer comes without them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdbool.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/service.h"
#include "daemon/controller/store.h"
#include "daemon/controller/why.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

#define LOOK_MS 2000 /* for the log and memory */

/* Outlives its client and its answer; its last user of the two, worker and timer, frees it. */
struct asked {
	struct log_work work;
	uv_timer_t timer;
	struct controller *c;
	struct http_request *r; /* NULL: answered, or the client has left */
	size_t next;		/* of looked's links: whose lines may be with its exit */
	struct why found,
		looked; /* the worker has looked, which is as found but for what it adds */
	char *service, *log_dir, *cgroup_dir;
	int64_t replica;
	unsigned users;
};

static void release(struct asked *a)
{
	if (--a->users > 0)
		return;
	why_done(&a->found);
	why_done(&a->looked);
	mem_free(a->service);
	mem_free(a->log_dir);
	mem_free(a->cgroup_dir);
	mem_free(a);
}

static void on_closed(uv_handle_t *h)
{
	release(h->data);
}

static void stop_timer(struct asked *a)
{
	if (!uv_is_closing((uv_handle_t *)&a->timer))
		uv_close((uv_handle_t *)&a->timer, on_closed);
}

static void answer(struct asked *a, const struct why *y, bool looked)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};
	struct http_request *r = a->r;

	if (!r)
		return;
	a->r = NULL;
	http_request_set_user(r, NULL, NULL);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "service", a->service);
	if (a->replica >= 0)
		jsonw_int(&w, "replica", a->replica);
	else
		jsonw_null(&w, "replica");
	jsonw_bool(&w, "fine", y->fine);
	jsonw_bool(&w, "logs_read", looked);
	jsonw_time(&w, "at", clock_wall_ms());
	why_write_json(y, &w);
	jsonw_object_end(&w);
	b.failed |= y->failed;
	api_reply(r, 200, &b);
}

static void work(struct log_work *w)
{
	struct asked *a = w->user;

	why_look(&a->looked, a->log_dir, a->cgroup_dir);
}

static void finish(struct asked *a, bool was_read)
{
	answer(a, &a->looked, was_read);
	stop_timer(a);
	release(a);
}

static void ask_store(struct asked *a);

static void on_lines(void *user, const char *found, const struct err *err)
{
	struct asked *a = user;

	(void)err; /* a chain without them */
	if (found)
		why_take_lines(&a->looked, a->next, found);
	a->next++;
	ask_store(a);
}

/* The lines of an exit whose segments are gone are kept with it. */
static void ask_store(struct asked *a)
{
	for (; a->r && a->next < a->looked.n; a->next++) {
		const struct why_link *l = &a->looked.links[a->next];
		const struct store_exit x = {
			.service = l->service, .index = l->index, .incarnation = l->log_of};

		if (l->log_gone && store_read_exit_lines(a->c->store, &x, on_lines, a) == 0)
			return;
	}
	finish(a, true);
}

static void on_worked(struct log_work *w, bool was_read)
{
	if (was_read)
		ask_store(w->user);
	else
		finish(w->user, false);
}

/* Nobody waits for the worker any more. */
static void give_up(struct asked *a)
{
	if (log_work_cancel(&a->work))
		release(a);
	stop_timer(a);
}

static void on_timer(uv_timer_t *timer)
{
	struct asked *a = timer->data;

	answer(a, &a->found, false);
	give_up(a);
}

static void on_gone(struct http_request *r, void *user)
{
	struct asked *a = user;

	a->r = NULL;
	http_request_forget(r);
	give_up(a);
}

/* The replica of the query is there, or none is asked for; else the client is told. */
static bool replica_is_there(struct api_call *call, const struct service *s, int64_t *ret)
{
	*ret = -1;
	if (!http_request_query(call->r, "replica"))
		return true;
	*ret = api_query_int(call, "replica", 0, 0, 100000);
	if (*ret < 0)
		return false;
	if (service_replica(s, (unsigned)*ret))
		return true;
	api_reply_error(call->r, 404, "not_found", "no replica \"%s/%lld\"", s->name,
			(long long)*ret);
	return false;
}

static struct asked *asked_new(struct api_call *call, const struct service *s, int64_t replica)
{
	struct asked *a = mem_alloc(sizeof(*a));

	if (!a)
		return NULL;
	a->c = call->c;
	a->r = call->r;
	a->replica = replica;
	a->service = mem_strdup(s->name);
	a->log_dir = mem_strdup(call->c->opts.log_dir);
	a->cgroup_dir = mem_strdup(call->c->status.cgroup_dir);
	a->timer.data = a;
	a->work = (struct log_work){.read = work, .done = on_worked, .user = a};
	a->users = 1;
	why_explain(&a->found, s, replica);
	why_explain(&a->looked, s, replica);
	if (!a->service || !a->log_dir || !a->cgroup_dir || a->found.failed || a->looked.failed) {
		release(a);
		return NULL;
	}
	return a;
}

static bool anything_to_look_at(const struct why *y)
{
	for (size_t i = 0; i < y->n; i++)
		if (y->links[i].log_of[0] || (y->links[i].pid && y->links[i].memory_limit))
			return true;
	return false;
}

/* Both the worker and the timer use it from now on. */
static void begin(struct asked *a)
{
	a->users = 2;
	uv_timer_init(a->c->loop, &a->timer);
	uv_timer_start(&a->timer, on_timer, LOOK_MS, 0);
	http_request_set_user(a->r, a, on_gone);
	log_work_start(a->c, &a->work);
}

void api_why_get(struct api_call *call)
{
	const struct service *s;
	struct asked *a;
	int64_t replica;

	journal_flush(call->c->journal); /* what the caller has caused is in it */
	if (!api_ready(call))
		return;
	s = controller_find(call->c, call->name);
	if (!s) {
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", call->name);
		return;
	}
	if (!replica_is_there(call, s, &replica))
		return;
	a = asked_new(call, s, replica);
	if (!a) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	if (anything_to_look_at(&a->found)) {
		begin(a);
		return;
	}
	answer(a, &a->found, true);
	release(a);
}
