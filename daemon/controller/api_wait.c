/*
 * api_wait: GET /v1/changes/ID/wait and /v1/services/NAME/wait: the answer comes when it is true,
 * or at the time-out with what is true then. Nothing polls: a change tells its waiters, a service
 * is looked at again after each planning.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/change.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/service_zero.h"
#include "lib/buf.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

#define TIMEOUT_DEFAULT_MS 60000
#define TIMEOUT_MAX_MS (24 * 60 * 60 * 1000)

enum target { TARGET_READY, TARGET_STOPPED };

struct wait {
	struct change_waiter waiter;	 /* first: a change's wait */
	struct settle_follower follower; /* a service's wait */
	uv_timer_t timer;
	struct controller *c;
	struct http_request *r; /* NULL once answered or gone */
	struct change *change;	/* or NULL */
	char *service;		/* or NULL */
	enum target target;
};

static void on_closed(uv_handle_t *h)
{
	struct wait *w = h->data;

	mem_free(w->service);
	mem_free(w);
}

/* Takes it off every list; memory goes when the timer has closed. */
static void end(struct wait *w)
{
	if (w->change)
		change_unwait(w->change, &w->waiter);
	if (w->service)
		controller_unfollow(w->c, &w->follower);
	uv_close((uv_handle_t *)&w->timer, on_closed);
}

static void on_gone(struct http_request *r, void *user)
{
	struct wait *w = user;

	w->r = NULL;
	http_request_forget(r);
	end(w);
}

static struct wait *wait_new(struct api_call *call, int64_t timeout_ms, uv_timer_cb on_timer)
{
	struct wait *w = mem_alloc(sizeof(*w));

	if (!w) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return NULL;
	}
	w->c = call->c;
	w->r = call->r;
	uv_timer_init(call->c->loop, &w->timer);
	w->timer.data = w;
	uv_update_time(call->c->loop);
	uv_timer_start(&w->timer, on_timer, (uint64_t)timeout_ms, 0);
	http_request_set_user(call->r, w, on_gone);
	return w;
}

/* ---- changes ---- */

static void answer_change(struct wait *w)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw j = {.out = &b};

	change_write_json(w->c, w->change, &j);
	api_reply(w->r, 200, &b);
	w->r = NULL;
	end(w);
}

static void on_change(struct change_waiter *waiter)
{
	answer_change((struct wait *)waiter);
}

static void on_change_timeout(uv_timer_t *timer)
{
	answer_change(timer->data);
}

void api_wait_change(struct api_call *call)
{
	int64_t timeout_ms =
		api_query_int(call, "timeout_ms", TIMEOUT_DEFAULT_MS, 0, TIMEOUT_MAX_MS);
	struct change *ch = change_find(call->c, call->name);
	struct wait *w;

	if (timeout_ms < 0)
		return;
	if (!ch || ch->state != CHANGE_RUNNING) {
		api_changes_get(call);
		return;
	}
	w = wait_new(call, timeout_ms, on_change_timeout);
	if (!w)
		return;
	w->change = ch;
	w->waiter.on_change = on_change;
	change_wait(ch, &w->waiter);
}

/* ---- services ---- */

/* Nothing of it runs, and nothing starts by itself. */
static bool is_over(const struct service *s)
{
	if (s->n_replicas != service_desired(s) ||
	    (s->n_replicas > 0 && service_task_is_scheduled(s)))
		return false;
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->state != REPLICA_SUCCEEDED &&
		    s->replicas[i]->state != REPLICA_FAILED)
			return false;
	return true;
}

/* Is it true now; *hopeless: it will not become true by itself. */
static bool is_met(const struct service *s, enum target target, bool *hopeless)
{
	*hopeless = false;
	if (target == TARGET_STOPPED)
		return !s || is_over(s);
	*hopeless = !s || s->stopped || s->deleted || service_state(s) == SERVICE_FAILED;
	if (s && service_zero_is_asleep(s)) /* who asks it is answered */
		return true;
	return s && service_desired(s) > 0 && service_is_settled(s) && !service_has_frozen(s);
}

static void answer_service(struct api_call *call, const struct service *s, bool met, bool hopeless)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw j = {.out = &b};

	jsonw_object_begin(&j, NULL);
	jsonw_string(&j, "name", call->name);
	jsonw_string(&j, "state", s ? service_state_name(service_state(s)) : "stopped");
	jsonw_string(&j, "message", s ? service_message(s) : "deleted");
	jsonw_bool(&j, "met", met);
	jsonw_bool(&j, "failed", !met && hopeless);
	jsonw_object_end(&j);
	api_reply(call->r, 200, &b);
}

/* Answers when it is decided, or anyway when last. */
static void review(struct wait *w, bool last)
{
	const struct service *s = controller_find(w->c, w->service);
	struct api_call call = {.c = w->c, .r = w->r, .name = w->service};
	bool hopeless, met = is_met(s, w->target, &hopeless);

	if (!met && !hopeless && !last)
		return;
	answer_service(&call, s, met, hopeless);
	w->r = NULL;
	end(w);
}

static void on_settled(struct settle_follower *f, const char *service)
{
	struct wait *w = (struct wait *)((char *)f - offsetof(struct wait, follower));

	if (strcmp(service, w->service) == 0)
		review(w, false);
}

static void on_service_timeout(uv_timer_t *timer)
{
	review(timer->data, true);
}

void api_wait_service(struct api_call *call)
{
	const char *what = http_request_query(call->r, "for");
	enum target target = what && strcmp(what, "stopped") == 0 ? TARGET_STOPPED : TARGET_READY;
	int64_t timeout_ms =
		api_query_int(call, "timeout_ms", TIMEOUT_DEFAULT_MS, 0, TIMEOUT_MAX_MS);
	const struct service *s = controller_find(call->c, call->name);
	bool hopeless, met;
	struct wait *w;
	char *name;

	if (timeout_ms < 0)
		return;
	if (what && strcmp(what, "ready") != 0 && strcmp(what, "stopped") != 0) {
		api_reply_error(call->r, 400, "invalid", "for=%s is none of ready, stopped", what);
		return;
	}
	if (!s) {
		api_reply_error(call->r, call->c->begun ? 404 : 503,
				call->c->begun ? "not_found" : "starting", "no service \"%s\"",
				call->name);
		return;
	}
	met = is_met(s, target, &hopeless);
	if (met || hopeless) {
		answer_service(call, s, met, hopeless);
		return;
	}
	name = mem_strdup(call->name);
	w = name ? wait_new(call, timeout_ms, on_service_timeout) : NULL;
	if (!name)
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
	if (!w) {
		mem_free(name);
		return;
	}
	w->target = target;
	w->service = name;
	w->follower.on_settled = on_settled;
	controller_follow(call->c, &w->follower);
}
