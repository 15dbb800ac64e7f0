/*
 * traffic: the stable ports. Tells aictld what to listen on (LISTEN) and the gateway where requests
 * go (ROUTES), each once per turn of the loop and only when it has changed, and keeps what they say:
 * which ports are not open (LISTENING) and how many requests are under way (LOAD).
 *
 * Nothing is said before all replicas are known (controller_begin): until then the gateway goes on by
 * the former controller's word. Nor while a service is left alone, whose ports nobody knows now.
 *
 * A replica that is to stop drains first: the gateway is told to give it nothing new, and when it has
 * said so and that nothing is under way there, or when stop.drain is over, the stop goes on
 * (DRAINED). While the gateway of a former aictld still ends what it has, nobody knows what that is,
 * and all of stop.drain is waited. Without a gateway nothing is under way; but one that has not been heard of since we
 * started is waited for, a little.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_TRAFFIC_H
#define AICTL_CONTROLLER_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct controller;
struct jsonw;
struct port_spec;
struct replica;
struct service;
struct stats;
struct traffic;
struct wire_listen_at;
struct wire_packet;

struct traffic_load {
	uint16_t port; /* the replica's own */
	uint32_t active;
	uint64_t requests, failures;
	uint64_t as_of; /* the routes in force when it was said */
};

/* Of a replica; made when something is to be known. */
struct replica_traffic {
	int64_t cut_mono_ms; /* DRAINING: not longer than that */
	uint64_t told;	     /* DRAINING: by the routes of that generation; 0 = not yet */
	unsigned n;
	struct traffic_load loads[]; /* of each of its ports that was heard of */
};

struct traffic *traffic_new(struct controller *c);
void traffic_close(struct traffic *t); /* NULL is a no-op */
/* Something of it has changed that routes may be about. */
void traffic_touch(struct service *s);
/* The gateway goes by all that was touched, or there is none. */
bool traffic_is_told(const struct traffic *t);
/* Before the loop waits: sends what has changed, ends what has drained. */
void traffic_settle(struct traffic *t);

/* LISTENING, and PEER, whose descriptor is taken. */
void traffic_on_packet(struct traffic *t, struct wire_packet *p);

/* There is a gateway. */
bool traffic_is_connected(const struct traffic *t);
/* Some service has a stable port, and drains. */
bool traffic_is_wanted(const struct controller *c);
/* A STOP shall wait until it has drained. */
bool traffic_drains(const struct replica *r);
/* It is DRAINING, since its since_wall_ms. */
void traffic_drain(struct replica *r);
void traffic_forget_service(const struct service *s); /* it is no more */
void traffic_respec(const struct service *s); /* it has another specification, or its first */
/* It gets another process. */
void traffic_forget(struct replica *r);

bool traffic_has_gateway(const struct traffic *t); /* it is connected */
/* What its gateways have counted. */
const struct stats *traffic_stats(const struct traffic *t);
/* Since when the gateway says what comes; -1 = nobody does. */
int64_t traffic_sighted_mono_ms(const struct controller *c);
/* Requests under way; of all its ports. */
uint64_t traffic_active(const struct replica *r);
uint64_t traffic_active_of(const struct replica *r, const char *port); /* of one, by name */
/* Of one port of its service, by name. */
uint64_t traffic_active_at(const struct service *s, const char *port);
/* Why that one is not open: errno, 0 = it is; -1 = nobody has said yet. */
int traffic_error(const struct traffic *t, const struct wire_listen_at *at);
/* The first of the service's ports that is not open, and why; NULL = there is none. */
const struct port_spec *traffic_bad_port(const struct service *s, struct wire_listen_at *at,
					 int *ret_err);
/* "127.0.0.1:8000: Address already in use" of that one. Caller frees; NULL = there is none. */
char *traffic_complaint(const struct service *s);
/* What `ps -o json` says: the array "endpoints". */
void traffic_write_endpoints(const struct service *s, struct jsonw *w);
/* "3 requests under way, cut in 12s": of one that is DRAINING. */
void traffic_say(const struct replica *r, struct buf *out);

#endif
