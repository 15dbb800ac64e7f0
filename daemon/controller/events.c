/*
 * events: see events.h. An array, oldest first, that is thinned when it is full: a quarter goes, by
 * each service's fair share. Out of memory loses the event, never the caller.
 */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/events.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/controller/quota.h"
#include "daemon/controller/store.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/mem.h"

struct events {
	struct event list[EVENTS_KEPT]; /* oldest first */
	size_t count;
	uint64_t last_seq;
	struct store *store;
	struct event_follower *followers;
	struct event_follower *walking; /* the next one to call, while events_add walks */
};

int events_new(struct events **ret, struct err **reterr)
{
	struct events *e = mem_alloc(sizeof(*e));

	if (!e)
		return err_nomem(reterr);
	*ret = e;
	return 0;
}

static void clear(struct event *ev)
{
	mem_free(ev->service);
	*ev = (struct event){0};
}

void events_free(struct events *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < EVENTS_KEPT; i++)
		clear(&e->list[i]);
	mem_free(e);
}

void events_set_store(struct events *e, struct store *s)
{
	e->store = s;
}

static const char *intern_type(const char *type)
{
	static const char *const types[] = {"state",	"exit", "apply",  "scale",   "daemon",
					    "probe",	"user", "frozen", "thawed",  "rollout",
					    "schedule", "hook", "reload", "recycle", "limits",
					    "logs",	"hold"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(type, types[i]) == 0)
			return types[i];
	return "other";
}

/* All in one allocation, which begins with the service. */
static bool copy_texts(struct event *ev, const struct event_args *a)
{
	const char *const from[] = {a->service ? a->service : "", a->reason ? a->reason : "",
				    a->message ? a->message : "", a->from, a->to};
	char **const to[] = {&ev->service, &ev->reason, &ev->message, &ev->from, &ev->to};
	size_t size = 0;
	char *at;

	for (size_t i = 0; i < ARRAY_SIZE(from); i++)
		size += from[i] ? strlen(from[i]) + 1 : 0;
	at = mem_alloc(size);
	for (size_t i = 0; at && i < ARRAY_SIZE(from); i++) {
		size = from[i] ? strlen(from[i]) + 1 : 0;
		*to[i] = size ? memcpy(at, from[i], size) : NULL;
		at += size;
	}
	return at != NULL;
}

static int by_service_and_age(const void *a, const void *b)
{
	const struct event *x = *(struct event *const *)a, *y = *(struct event *const *)b;
	int order = strcmp(x->service, y->service);

	return order ? order : x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* How many each service has, in the order of v; returns the number of services. */
static size_t count_services(struct event *const *v, size_t n, size_t *counts)
{
	size_t services = 0;

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(v[i - 1]->service, v[i]->service) == 0)
			counts[services - 1]++;
		else
			counts[services++] = 1;
	}
	return services;
}

/* Clears what is beyond its service's quota. v: by service and age. */
static void clear_surplus(struct event **v, size_t n)
{
	size_t counts[EVENTS_KEPT] = {0};
	size_t services = count_services(v, n, counts);
	size_t quota = quota_fair(counts, services, STORE_EVENTS_KEPT);

	for (size_t i = 0; quota > 0 && i < services; v += counts[i++])
		for (size_t k = 0; k + quota < counts[i]; k++)
			clear(v[k]);
}

static void close_gaps(struct events *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->count; i++)
		if (e->list[i].service)
			e->list[kept++] = e->list[i];
	memset(&e->list[kept], 0, (e->count - kept) * sizeof(e->list[0]));
	e->count = kept;
}

/* Makes room for new ones: of each service its newest stay. */
static void thin_out(struct events *e)
{
	struct event **v = mem_alloc(e->count * sizeof(struct event *));

	for (size_t i = 0; v && i < e->count; i++)
		v[i] = &e->list[i];
	if (v) {
		qsort(v, e->count, sizeof(struct event *), by_service_and_age);
		clear_surplus(v, e->count);
	}
	mem_free(v);
	close_gaps(e);
	if (e->count <= STORE_EVENTS_KEPT)
		return;
	/* more services than room, or no memory: the oldest */
	for (size_t i = 0; i < e->count - STORE_EVENTS_KEPT; i++)
		clear(&e->list[i]);
	close_gaps(e);
}

/* A new last one, or NULL when out of memory. */
static struct event *push(struct events *e, const struct event_args *a, uint64_t seq,
			  int64_t at_wall_ms)
{
	struct event ev = {.seq = seq, .at_wall_ms = at_wall_ms, .replica = a->replica};

	ev.type = intern_type(a->type);
	if (!copy_texts(&ev, a))
		return NULL;
	if (e->count == EVENTS_KEPT)
		thin_out(e);
	e->list[e->count] = ev;
	return &e->list[e->count++];
}

void events_restore(struct events *e, const struct store_event *list, size_t n, uint64_t last_seq)
{
	for (size_t i = 0; i < n; i++) {
		const struct store_event *s = &list[i];
		const struct event_args a = {s->service, s->replica, s->type, s->reason,
					     s->message, s->from,    s->to};

		push(e, &a, s->seq, s->at_wall_ms);
	}
	if (last_seq > e->last_seq)
		e->last_seq = last_seq;
}

void events_add(struct events *e, const struct event_args *args)
{
	struct event *ev = push(e, args, ++e->last_seq, clock_wall_ms());

	if (!ev) {
		log_error("event lost: out of memory");
		return;
	}
	if (e->store) {
		const struct store_event s = {ev->seq,	   ev->at_wall_ms, ev->service,
					      ev->replica, ev->type,	   ev->reason,
					      ev->message, ev->from,	   ev->to};

		if (store_add_event(e->store, &s) < 0)
			log_debug("event %llu is not stored, ignoring",
				  (unsigned long long)ev->seq);
	}
	for (struct event_follower *f = e->followers; f; f = e->walking) {
		e->walking = f->next;
		f->on_event(ev, f->user);
	}
	e->walking = NULL;
}

const struct event *events_at(const struct events *e, size_t i)
{
	return i < e->count ? &e->list[i] : NULL;
}

size_t events_count(const struct events *e)
{
	return e->count;
}

void events_write_json(const struct event *ev, struct jsonw *w)
{
	jsonw_object_begin(w, NULL);
	jsonw_int(w, "seq", (int64_t)ev->seq);
	jsonw_time(w, "at", ev->at_wall_ms);
	jsonw_string(w, "service", ev->service);
	if (ev->replica >= 0)
		jsonw_int(w, "replica", ev->replica);
	else
		jsonw_null(w, "replica");
	jsonw_string(w, "type", ev->type);
	jsonw_string(w, "reason", ev->reason);
	jsonw_string(w, "message", ev->message);
	jsonw_string(w, "from", ev->from);
	jsonw_string(w, "to", ev->to);
	jsonw_object_end(w);
}

void events_follow(struct events *e, struct event_follower *f)
{
	f->prev = NULL;
	f->next = e->followers;
	if (f->next)
		f->next->prev = f;
	e->followers = f;
}

void events_unfollow(struct events *e, struct event_follower *f)
{
	if (e->walking == f)
		e->walking = f->next;
	if (f->next)
		f->next->prev = f->prev;
	if (f->prev)
		f->prev->next = f->next;
	else
		e->followers = f->next;
	f->next = f->prev = NULL;
}
