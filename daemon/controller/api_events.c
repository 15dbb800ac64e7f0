/*
 * api_events: GET /v1/events: JSON lines, the kept ones first, then (follow) each new one. A client
 * that does not read is cut by the server when its buffer is full.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdbool.h>
#include <string.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/journal.h"
#include "lib/buf.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define WANTED_MAX 64 /* names in one follow */

struct follow {
	struct event_follower follower;
	struct controller *c;
	struct http_request *r;
	struct wanted {
		char *service;
		int replica;  /* -1 = all, and what is about the service itself */
	} wanted[WANTED_MAX]; /* empty = all */
	size_t n;
};

static void follow_free(struct follow *f)
{
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->wanted[i].service);
	mem_free(f);
}

static bool wants(const struct follow *f, const struct event *ev)
{
	if (f->n == 0)
		return true;
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->wanted[i].service, ev->service) == 0 &&
		    (f->wanted[i].replica < 0 || f->wanted[i].replica == ev->replica))
			return true;
	return false;
}

static void append(struct buf *b, const struct event *ev)
{
	struct jsonw w = {.out = b};

	events_write_json(ev, &w);
	buf_char(b, '\n');
}

static void on_event(const struct event *ev, void *user)
{
	struct follow *f = user;
	_cleanup_buf_ struct buf b = {0};

	if (!wants(f, ev))
		return;
	append(&b, ev);
	if (!b.failed)
		http_stream_write(f->r, b.data, b.len); /* false: on_gone follows */
}

static void on_gone(struct http_request *r, void *user)
{
	struct follow *f = user;

	events_unfollow(f->c->events, &f->follower);
	follow_free(f);
	http_request_forget(r);
}

/* The last n kept ones that it wants, after since. */
static void write_kept(struct follow *f, size_t n, uint64_t since)
{
	size_t count = events_count(f->c->events), from = count, found = 0;
	_cleanup_buf_ struct buf b = {0};

	while (from > 0 && found < n && events_at(f->c->events, from - 1)->seq > since)
		found += wants(f, events_at(f->c->events, --from));
	for (; from < count; from++)
		if (wants(f, events_at(f->c->events, from)))
			append(&b, events_at(f->c->events, from));
	if (!b.failed && b.len)
		http_stream_write(f->r, b.data, b.len);
}

/* SERVICE or SERVICE/N of the query. What is neither is a name that none has. */
static bool want(struct follow *f, const char *text)
{
	char service[MANIFEST_NAME_MAX + 1] = "";
	struct wanted *w = &f->wanted[f->n++];

	w->replica = -1;
	parse_replica_id(text, service, &w->replica, NULL);
	w->service = mem_strdup(service[0] ? service : text);
	return w->service != NULL;
}

static struct follow *follow_new(struct api_call *call)
{
	struct follow *f = mem_alloc(sizeof(*f));
	const char *text;

	if (!f)
		return NULL;
	f->c = call->c;
	f->r = call->r;
	while (f->n < WANTED_MAX && (text = http_request_query_nth(call->r, "service", f->n))) {
		if (!want(f, text)) {
			follow_free(f);
			return NULL;
		}
	}
	return f;
}

void api_events_get(struct api_call *call)
{
	const char *follow = http_request_query(call->r, "follow");
	bool stay = follow && strcmp(follow, "0") != 0;
	int64_t n = api_query_int(call, "n", EVENTS_KEPT, 0, EVENTS_KEPT), since;
	struct follow *f;

	if (n < 0)
		return;			 /* answered: the request is gone */
	journal_flush(call->c->journal); /* what the caller has caused is in it */
	since = api_query_int(call, "since", 0, 0, INT64_MAX);
	if (since < 0)
		return;
	f = follow_new(call);
	if (!f) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	http_stream_begin(call->r, 200, "application/jsonl");
	if (stay) {
		f->follower.on_event = on_event;
		f->follower.user = f;
		events_follow(call->c->events, &f->follower);
		http_request_set_user(call->r, f, on_gone);
	}
	write_kept(f, (size_t)n, (uint64_t)since);
	if (!stay) {
		follow_free(f);
		http_stream_end(call->r);
	}
}
