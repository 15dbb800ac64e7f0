/*
 * peer: the socket to the controller (wire_routes.h, wire_traffic.h). ROUTES come and are answered by
 * ROUTED; LOAD goes of the backends that something has happened to: at most every
 * WIRE_ROUTES_LOAD_MS, but at once when one that is to go has nothing under way any more. DEMAND goes
 * with it, of the routes that something has happened to; at once when the first request waits where
 * there is nobody to take it, and each second while anything waits or is under way. STATS go each
 * second, of the backends where a request has ended.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_PEER_H
#define AICTL_GATEWAY_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/buf.h"

struct channel;
struct gateway;

struct peer {
	struct gateway *g;
	struct channel *channel; /* NULL = none */
	uv_timer_t timer;
	uint64_t next_at; /* uv_now when it is due; 0 = not armed */
	bool routed_due;
	uint64_t load_at, demand_at, stats_at; /* uv_now of the last ones */
	struct buf out;
};

void peer_init(struct peer *p, struct gateway *g);
/* A new socket; it replaces the last. Owned. */
void peer_set(struct peer *p, int fd);
/* All of it is due again. */
void peer_tell_all(struct peer *p);
void peer_close(struct peer *p);
bool peer_is_there(const struct peer *p);
/* Something has happened; at_once: that somebody waits for. */
void peer_load(struct peer *p, bool at_once);

#endif
