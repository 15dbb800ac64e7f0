/*
 * exchange: one request of a client and its answer, or a connection in tcp mode, and the backend
 * that it goes to.
 *
 * Where nobody takes it, it waits in its route (waiting.h). A backend that cannot be reached is another
 * one's turn, always; when all were tried it waits a moment and begins again. One that breaks without
 * a byte of an answer is, too, but only for methods that may be repeated (RFC 9110 9.2.2; `retry` of
 * the manifest says otherwise) and while all that was sent is still held.
 *
 * The client's end cancels it: the connection to the backend is closed at once. In tcp mode, and
 * after an Upgrade, each side's end is passed on alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_EXCHANGE_H
#define AICTL_GATEWAY_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/gateway/body.h"
#include "daemon/gateway/deadline.h"
#include "daemon/gateway/head.h"
#include "daemon/gateway/measure.h"
#include "daemon/gateway/rewrite.h"
#include "daemon/gateway/routes.h"
#include "lib/buf.h"

struct access_record;
struct client;
struct upstream;

#define EXCHANGE_HELD_MAX 262144u
#define EXCHANGE_TRIES_MAX 3 /* of a request that a backend took and did not answer */
#define EXCHANGE_TRIED_MAX 8 /* backends, before all may be tried again */

struct exchange {
	struct client *c;
	bool open;	/* there is one */
	bool connected; /* what was held went out */
	bool began;	/* the answer did: its head went to the client */
	bool spliced, is_tcp;
	bool may_repeat, is_head, http10, upgrade, close;
	bool keep;	     /* the upstream, afterwards */
	bool placed, canary; /* its share is decided */
	bool client_end;     /* spliced: FIN came, or is to be passed on */
	unsigned tries, n_tried, informational;
	struct backend *tried[EXCHANGE_TRIED_MAX]; /* compared, never followed */
	struct upstream *u;
	struct backend *b;
	struct body request, answer;
	struct buf held; /* what went out, or is to */
	struct route *waiting_in;
	struct exchange *next, *prev;
	struct deadline deadline; /* WAIT, START; spliced: TUNNEL */
	struct deadline again, total;
	uint64_t give_up_at; /* 0 = it has not waited yet */
	uint64_t turn;	     /* in which they came */
	uint64_t key;	     /* affinity; 0 = none */
	struct measured m;
	struct access_record *access; /* NULL: it is not logged */
	char id[REWRITE_ID_SIZE];
};

void exchange_begin(struct exchange *x, const struct head *h);
void exchange_begin_tcp(struct exchange *x);
/* The client's: an answer of ours, and the end of the connection. */
void exchange_refuse(struct exchange *x, unsigned status, const char *why);
size_t exchange_body(struct exchange *x, const char *data, size_t n);
void exchange_splice(struct exchange *x, const char *data, size_t n);
void exchange_splice_end(struct exchange *x);
void exchange_client_room(struct exchange *x, bool full);
void exchange_cancel(struct exchange *x); /* idempotent; no word to the client */
bool exchange_takes(const struct exchange *x);
/* An answer of ours if none has begun, else the client is cut. */
void exchange_fail(struct exchange *x, unsigned status, const char *why);
/* The upstream's. */
void exchange_connected(struct exchange *x, int err);
void exchange_answer(struct exchange *x, const char *data, size_t n);
void exchange_answer_end(struct exchange *x, int err);
void exchange_upstream_room(struct exchange *x, bool full);
void exchange_too_late(struct exchange *x);
/* Of those that wait: to a backend, or it waits again. */
void exchange_go(struct exchange *x, struct route *r);
/* False: nobody takes it now, nothing was done. */
bool exchange_go_from_queue(struct exchange *x, struct route *r);

#endif
