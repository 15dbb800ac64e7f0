/*
 * zones: the time zones of schedules, by name, as the workers that checked or loaded the manifests
 * have read them; the loop reads no file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_ZONES_H
#define AICTL_CONTROLLER_ZONES_H

#include <stddef.h>

struct err;
struct service_spec;
struct tz;

/* All zero: none. */
struct zones {
	struct zone {
		char *name; /* "" = the machine's */
		struct tz *tz;
	} * list;
	size_t n, cap;
};

/* In a worker: adds the zones that the schedules of spec need, of its own and of its scaler's. On an
 * error *reterr says which key is wrong, and the others are added. */
int zones_read(struct zones *z, const struct service_spec *spec, const char **ret_key,
	       struct err **reterr);
/* On the loop: all that were read, in place of what was known of them; from is emptied. */
void zones_put(struct zones *z, struct zones *from);
/* name NULL: the machine's. Borrowed until the next put; NULL = UTC. */
const struct tz *zones_get(const struct zones *z, const char *name);
void zones_done(struct zones *z);

#endif
