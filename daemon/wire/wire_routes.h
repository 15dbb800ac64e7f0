/*
 * wire_routes: what the controller and the gateway say to each other, over the socket that aictld
 * gives both (PEER).
 *
 *   ROUTES  controller -> gateway: the whole picture, applied at once. The last one is served while
 *           there is no controller. A ROUTES of the epoch that was seen last with a generation that
 *           is not newer changes nothing; another epoch (another controller) always counts
 *   ROUTED  gateway -> controller: that one is in force. Requests that come from now on go by it
 *   LOAD    gateway -> controller: of the backends that something has happened to since the last
 *           one. After a PEER all of them, and after the first ROUTES of another epoch, for
 *           only then its services are known there. At most every WIRE_ROUTES_LOAD_MS; at once when a
 *           backend that is draining, or is in no route any more, has nothing under way
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_WIRE_ROUTES_H
#define AICTL_DAEMON_WIRE_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"
#include "daemon/wire/wire_listen.h"

#define WIRE_ROUTES_MAX WIRE_LISTEN_MAX
#define WIRE_ROUTES_BACKENDS_MAX 4096 /* of one route */
#define WIRE_ROUTES_NAME_SIZE 64      /* of a port */
#define WIRE_ROUTES_LOAD_MS 250
#define WIRE_ROUTES_LOADS_MAX 256 /* in one packet: 200 bytes each at most */

#define WIRE_ROUTES_FIELD_SIZE 64   /* a header field's name */
#define WIRE_ROUTES_SOCKET_SIZE 108 /* sun_path, with NUL */
#define WIRE_ROUTES_STATE_SIZE 16
#define WIRE_ROUTES_REASON_SIZE 160

enum wire_routes_protocol { WIRE_ROUTES_HTTP, WIRE_ROUTES_TCP, WIRE_ROUTES_PROTOCOL_MAX_ };

struct wire_routes_backend {
	uint32_t index; /* of the replica */
	char incarnation[WIRE_INCARNATION_SIZE];
	uint16_t port; /* on 127.0.0.1; 0 = socket */
	bool draining; /* nothing new goes there; what is under way ends */
	bool canary;   /* of the revision that gets canary_permille */
	uint64_t revision;
	char socket[WIRE_ROUTES_SOCKET_SIZE]; /* path; "" = port */
};

/* What holds for the requests of a route. Time-outs of 0: as the gateway has it. */
struct wire_routes_rules {
	uint32_t concurrency; /* requests of one backend at a time; 0 = any number */
	uint32_t queue_max, queue_timeout_ms;
	uint32_t hold_ms;    /* from_zero: instead of queue_timeout_ms */
	uint32_t eta_ms;     /* from_zero: how long a start takes; 0 = unknown */
	bool from_zero;	     /* none runs; the first request that waits starts one (DEMAND) */
	uint64_t held_until; /* CLOCK_MONOTONIC in ms; until then nothing is sent to a backend */
	uint8_t retry;	     /* enum retry_when */
	uint16_t canary_permille;	       /* share of the requests that go to the canary */
	uint16_t access_permille;	       /* share of them that is logged */
	char affinity[WIRE_ROUTES_FIELD_SIZE]; /* header field; "" = none */
	uint32_t connect_ms, head_ms, idle_ms, response_ms, stall_ms;
	uint32_t total_ms, tunnel_ms; /* 0 = none */
};

/* What who waits is told, while there is no active backend. */
struct wire_routes_news {
	char state[WIRE_ROUTES_STATE_SIZE];   /* of the service: "starting"; "" = there is one */
	char failed[WIRE_ROUTES_REASON_SIZE]; /* none will come, for this reason: nobody waits */
	uint64_t ready_mono_ms; /* the start under way is expected to be over then; 0 = not known */
};

struct wire_route {
	struct wire_listen_at at; /* no two have the same */
	char service[WIRE_SERVICE_SIZE];
	char name[WIRE_ROUTES_NAME_SIZE]; /* of the port: "http" */
	uint8_t protocol;		  /* enum wire_routes_protocol */
	struct wire_routes_rules rules;
	struct wire_routes_news news;
	uint32_t n;
	struct wire_routes_backend *backends; /* may be none: requests wait or are refused */
};

struct wire_routes {
	uint64_t epoch;	     /* of the controller's life: wall ms of its start; not 0 */
	uint64_t generation; /* from 1 */
	uint32_t n;
	struct wire_route *list; /* decoded: owns all */
};

struct wire_routes_load {
	struct wire_key key;
	char name[WIRE_ROUTES_NAME_SIZE]; /* of the port */
	uint32_t active;		  /* requests (http) or connections (tcp) under way now */
	/* Since this gateway has known it. */
	uint64_t requests; /* begun */
	uint64_t failures; /* no whole answer came from it */
};

void wire_routes_encode(struct buf *b, const struct wire_routes *m);
/* 0, -ERR_INVALID, -ERR_NOMEM. */
int wire_routes_decode(const uint8_t *body, size_t len, struct wire_routes *m);
void wire_routes_free(struct wire_routes *m);
void wire_routes_encode_routed(struct buf *b, uint64_t epoch, uint64_t generation);
int wire_routes_decode_routed(const uint8_t *body, size_t len, uint64_t *epoch,
			      uint64_t *generation);
/* As many of the list as fit into one packet; returns how many that were, at least one of n > 0. */
uint32_t wire_routes_encode_load(struct buf *b, const struct wire_routes_load *list, uint32_t n);
/* Calls fn for each; 0 or -ERR_INVALID, then for none. */
int wire_routes_decode_load(const uint8_t *body, size_t len,
			    void (*fn)(void *user, const struct wire_routes_load *m), void *user);

#endif
