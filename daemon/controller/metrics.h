/*
 * metrics: all that a Prometheus may scrape of one daemon, as text (exposition.h): the daemon, the
 * services and their replicas, and what passes the gateway. Names begin with aictl_, units are
 * seconds and bytes; doc of each is its HELP line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_METRICS_H
#define AICTL_CONTROLLER_METRICS_H

#include <stddef.h>

struct buf;
struct controller;
struct usage_item;

/* items: what is used, as the replicas are sorted; may be none. */
void metrics_write(const struct controller *c, const struct usage_item *items, size_t n_items,
		   struct buf *b);

#endif
