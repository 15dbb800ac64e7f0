/*
 * api_exits: GET /v1/services/NAME/exits: the newest ends of a service's processes, each with its last
 * lines as the store keeps them (exit_lines.h). They are read one after the other by its thread.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/controller/api_exits.h"

#include <string.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/service.h"
#include "daemon/controller/store.h"
#include "lib/buf.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/mem.h"
#include "lib/parse.h"

struct asked {
	struct controller *c;
	struct http_request *r; /* NULL: the client has left */
	char *service;
	struct exits_entry list[EXITS_KEPT]; /* newest first */
	size_t n, next;
	struct buf out;
	struct jsonw w;
};

void api_exits_write_signal(struct jsonw *w, int signal)
{
	_cleanup_free_ char *number = NULL;

	if (signal == 0) {
		jsonw_null(w, "signal");
	} else if (parse_signal_name(signal)) {
		jsonw_string(w, "signal", parse_signal_name(signal));
	} else {
		number = mem_printf("SIG%d", signal); /* real-time signals */
		jsonw_string(w, "signal", number);
	}
}

void api_exits_write(struct jsonw *w, const struct exits_entry *x)
{
	jsonw_int(w, "replica", x->index);
	jsonw_string(w, "incarnation", x->exit.incarnation);
	if (x->exit.code >= 0)
		jsonw_int(w, "code", x->exit.code);
	else
		jsonw_null(w, "code");
	api_exits_write_signal(w, x->exit.signal);
	jsonw_string(w, "cause", x->exit.cause);
	jsonw_time(w, "started_at", x->exit.started_wall_ms);
	jsonw_time(w, "at", x->exit.at_wall_ms);
}

static void finish(struct asked *a)
{
	jsonw_array_end(&a->w);
	jsonw_object_end(&a->w);
	if (a->r) {
		http_request_set_user(a->r, NULL, NULL);
		api_reply(a->r, 200, &a->out);
	}
	buf_done(&a->out);
	mem_free(a->service);
	mem_free(a);
}

static void put(struct asked *a, const char *lines)
{
	jsonw_object_begin(&a->w, NULL);
	api_exits_write(&a->w, &a->list[a->next++]);
	if (lines)
		jsonw_raw(&a->w, "lines", lines);
	else
		jsonw_null(&a->w, "lines");
	jsonw_object_end(&a->w);
}

static void go_on(struct asked *a);

static void on_read(void *user, const char *found, const struct err *err)
{
	struct asked *a = user;

	(void)err; /* how it ended is known all the same */
	put(a, found);
	go_on(a);
}

static void go_on(struct asked *a)
{
	while (a->next < a->n) {
		const struct store_exit x = {.service = a->service,
					     .index = a->list[a->next].index,
					     .incarnation = a->list[a->next].exit.incarnation};

		if (a->r && store_read_exit_lines(a->c->store, &x, on_read, a) == 0)
			return;
		put(a, NULL);
	}
	finish(a);
}

static void on_gone(struct http_request *r, void *user)
{
	struct asked *a = user;

	a->r = NULL;
	http_request_forget(r);
}

/* Of that replica, or -1 = of all. */
static struct asked *asked_new(struct api_call *call, const struct service *s, int64_t replica)
{
	struct asked *a = mem_alloc(sizeof(*a));

	if (!a)
		return NULL;
	a->service = mem_strdup(s->name);
	if (!a->service) {
		mem_free(a);
		return NULL;
	}
	a->c = call->c;
	a->r = call->r;
	a->w.out = &a->out;
	for (size_t i = s->exits->n; i-- > 0;)
		if (replica < 0 || s->exits->list[i].index == replica)
			a->list[a->n++] = s->exits->list[i];
	return a;
}

void api_exits_get(struct api_call *call)
{
	const struct service *s;
	struct asked *a;
	int64_t replica = -1;

	if (!api_ready(call))
		return;
	s = controller_find(call->c, call->name);
	if (!s) {
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", call->name);
		return;
	}
	if (http_request_query(call->r, "replica")) {
		replica = api_query_int(call, "replica", 0, 0, 100000);
		if (replica < 0)
			return;
	}
	a = asked_new(call, s, replica);
	if (!a) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	http_request_set_user(call->r, a, on_gone);
	jsonw_object_begin(&a->w, NULL);
	jsonw_string(&a->w, "service", a->service);
	jsonw_array_begin(&a->w, "exits");
	go_on(a);
}
