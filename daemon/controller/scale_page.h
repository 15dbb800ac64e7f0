/*
 * scale_page: values that a service's ready replicas tell of themselves, on a page of metrics in
 * Prometheus' text format, for its scaler: each is asked every SCALE_PAGE_MS, as a probe would.
 * What one said counts for SCALE_PAGE_STALE_MS; then it is one of which nothing is known.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SCALE_PAGE_H
#define AICTL_CONTROLLER_SCALE_PAGE_H

#include <stdint.h>

#include "daemon/controller/autoscale.h"

#define SCALE_PAGE_MS 4000
#define SCALE_PAGE_TIMEOUT_MS 3000
#define SCALE_PAGE_STALE_MS 10000

struct scale_page;
struct service_scale;

/* The scaler has other rules: made, or freed, as they need it. */
void scale_page_respec(struct service_scale *x);
/* Asks those that it is time to ask. */
void scale_page_look(struct service_scale *x, int64_t now_mono_ms);
/* Of the goal at that place. */
void scale_page_measure(const struct service_scale *x, size_t goal, int64_t now_mono_ms,
			struct autoscale_measure *m);
/* Why the goal's value is not known of a replica, or "". Borrowed. */
const char *scale_page_said(const struct service_scale *x, size_t goal);
void scale_page_free(struct scale_page *p); /* NULL is a no-op */

#endif
