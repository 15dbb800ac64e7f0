/*
 * scale_usage: processor and memory of a service's ready replicas, for its scaler. Read by a worker
 * every SCALE_USAGE_MS while the scaler looks at one of the two; a /proc that hangs costs the
 * signal, nothing else.
 *
 * Processor time is that of all ready replicas together within SCALE_USAGE_SPAN_MS: so a replica that
 * has just come does not count as if it had idled, nor do the others as if they had nobody beside
 * them, and nothing is ordered twice. What a replica used before it was ready does not count.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SCALE_USAGE_H
#define AICTL_CONTROLLER_SCALE_USAGE_H

#include <stdint.h>

#include "daemon/controller/autoscale.h"

#define SCALE_USAGE_MS 4000
#define SCALE_USAGE_KEPT 5
#define SCALE_USAGE_SPAN_MS (SCALE_USAGE_MS * (SCALE_USAGE_KEPT - 1))

struct scale_usage;
struct service_scale;

/* The scaler has other rules: made, or freed, as they need it. */
void scale_usage_respec(struct service_scale *x);
/* Reads when it is time. */
void scale_usage_look(struct service_scale *x, int64_t now_mono_ms);
/* Of cpu: percent of a processor; of memory: percent of its limit. */
void scale_usage_measure(const struct service_scale *x, enum autoscale_kind kind,
			 int64_t now_mono_ms, struct autoscale_measure *m);
void scale_usage_free(struct scale_usage *u); /* NULL is a no-op */

#endif
