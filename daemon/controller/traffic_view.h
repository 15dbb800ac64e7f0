/*
 * traffic_view: what passes a service and each of its replicas, as the API shows it: `traffic`.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_TRAFFIC_VIEW_H
#define AICTL_CONTROLLER_TRAFFIC_VIEW_H

struct jsonw;
struct replica;
struct service;

/* The member "traffic": null without a stable port. */
void traffic_view_write_service(const struct service *s, struct jsonw *w);
void traffic_view_write_replica(const struct replica *r, struct jsonw *w);

#endif
