/*
 * autoscale_window: between which numbers a scaler may choose at a time: the range of replicas, or
 * what the windows of the schedule that are open put in its place. Of several that are open the
 * highest min and the lowest max count; where they contradict each other, max. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_AUTOSCALE_WINDOW_H
#define AICTL_CONTROLLER_AUTOSCALE_WINDOW_H

#include <stdint.h>

struct service_spec;
struct tz;

struct autoscale_bounds {
	unsigned min, max;
	unsigned open;	       /* windows that are */
	int64_t until_wall_ms; /* nothing of it changes before; INT64_MAX = ever */
};

/* zone gives the time zone of a name (NULL: the machine's; NULL for UTC). */
struct autoscale_bounds autoscale_window_bounds(const struct service_spec *spec,
						const struct tz *(*zone)(const void *user,
									 const char *name),
						const void *user, int64_t now_wall_ms);

#endif
