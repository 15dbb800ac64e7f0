/*
 * routes: what the controller says is behind each listener, and what goes on at each backend. A
 * ROUTES is applied at once; a backend that is no more named stays until its last request has ended.
 *
 * Who gets a request: balance.h; who gets none for a while: eject.h. Requests that find nobody wait in
 * the route, in order: waiting.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_ROUTES_H
#define AICTL_GATEWAY_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/gateway/deadline.h"
#include "daemon/gateway/eject.h"
#include "daemon/gateway/measure.h"
#include "daemon/wire/wire_routes.h"

struct exchange;
struct gateway;
struct upstream;

struct backend {
	struct wire_key key;
	char name[WIRE_ROUTES_NAME_SIZE];
	uint16_t port; /* on 127.0.0.1; 0 = */
	char *socket;  /* the path; else NULL */
	bool draining, canary;
	bool is_next; /* no replica: whoever accepts at the service's port after us */
	uint64_t revision;
	bool routed; /* in a route of the last ROUTES */
	bool seen;   /* while one is applied */
	uint32_t active;
	uint64_t requests, failures;
	struct upstream *idle; /* kept connections, the last used first */
	unsigned n_idle;
	bool load_due; /* the controller is to hear of it */
	bool stats_due;
	struct wire_traffic_stats stats;
	struct demand *demand; /* that of its port; may be NULL */
	struct eject eject;
	struct deadline out; /* ejected: until then */
	struct gateway *g;
	struct route *route; /* while routed */
	struct backend *next, *prev;
};

struct route {
	struct wire_listen_at at;
	char service[WIRE_SERVICE_SIZE], name[WIRE_ROUTES_NAME_SIZE];
	struct demand *demand; /* may be NULL */
	bool is_tcp;
	bool seen;
	bool gone; /* kept for clients that are here: it is in no ROUTES any more */
	struct wire_routes_rules rules;			  /* affinity: in lower case */
	struct deadline_queue *times[DEADLINE_KIND_MAX_]; /* NULL = the kind's usual one */
	uint32_t eta_ms;				  /* what a start takes; 0 = not known */
	struct wire_routes_news news;
	/* Who is behind it. */
	struct backend **backends;
	uint32_t n;
	uint32_t turn[2]; /* of the stable ones, of the canary's */
	uint64_t draws;
	uint32_t access_due; /* of a request, in thousandths */
	int32_t canary_due;  /* of a request, in thousandths */
	/* Who waits. */
	struct exchange *first, *last;
	unsigned n_waiting;
	bool waking;
	bool untimed;	      /* some have no deadline yet: it was held */
	struct deadline held; /* looks whether that is over */
};

struct routes {
	uint64_t epoch, generation; /* in force; 0 = none has come */
	struct route **list;
	size_t n, cap;
	struct backend *backends;
};

/* 1: in force; 0: nothing new; -ERR_NOMEM: nothing was changed. */
int routes_apply(struct gateway *g, const struct wire_routes *m);
/* Another gateway has the listeners, and hears of the replicas: who waits here for one would wait in
 * vain. The service's own port is behind it now, where the other one answers. */
void routes_hand_over(struct gateway *g);
void routes_done(struct gateway *g);
/* The listener of one that is gone is closed, too. */
void routes_drop_gone(struct gateway *g, struct route *route);
struct route *routes_find(const struct routes *r, const struct wire_listen_at *at);
bool routes_has_active(const struct route *r);
bool routes_is_held(const struct route *r, uint64_t now);
void routes_begin(struct gateway *g, struct backend *b);
void routes_end(struct gateway *g, struct backend *b, bool failed);
/* What became of a request, or of a connection to it. */
void routes_note(struct gateway *g, struct backend *b, enum eject_event event);
/* Frees b when nobody needs it any more. */
void routes_forget(struct gateway *g, struct backend *b);
/* With the duration that r has for it; r may be NULL. */
void routes_set_deadline(struct gateway *g, const struct route *r, struct deadline *d,
			 enum deadline_kind kind);

#endif
