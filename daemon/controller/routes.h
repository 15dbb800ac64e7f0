/*
 * routes: what aictld shall listen on, and what the gateway shall do with it, as the services and
 * replicas are now. Pure: no clock, no I/O; traffic.c sends it.
 *
 * A service that is not deleted listens on each of its ports that has a number. Where the replicas get
 * that socket (mode: socket) no route leads there. Else behind it are the replicas that are ready, and as `draining` those that are up and are to get nothing new: unready,
 * frozen, or about to be stopped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_ROUTES_H
#define AICTL_CONTROLLER_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/wire/wire_routes.h"

struct buf;
struct port_spec;
struct service;
struct service_spec;

/* The i-th of the ports that have a stable address, and that in *at if not NULL; NULL = no more. */
const struct port_spec *routes_port(const struct service_spec *spec, size_t i,
				    struct wire_listen_at *at);
void routes_at(const struct port_spec *p, struct wire_listen_at *ret);
/* The i-th of those behind which the gateway is. */
const struct port_spec *routes_proxied(const struct service_spec *spec, size_t i);
/* Is one of them called so? */
bool routes_has(const struct service_spec *spec, const char *name);
/* "127.0.0.1:8000", "[::1]:8000". */
void routes_say(const struct wire_listen_at *at, struct buf *out);
/* Without epoch and generation. 0 or -ERR_NOMEM; *out is to be freed in either case. What is beyond
 * the wire's limits is left out, and *ret_left_out set. */
int routes_build(struct service *const *services, size_t n, struct wire_routes *out,
		 bool *ret_left_out);
/* The same for LISTEN. */
int routes_listen(struct service *const *services, size_t n, struct wire_listen *out);

#endif
