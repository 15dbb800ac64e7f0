/*
 * depends: what depends_on says among services. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_DEPENDS_H
#define AICTL_LIB_DEPENDS_H

#include <stddef.h>

struct service_spec;

/*
 * Looks for a cycle among services, which are sorted by name; names that are not among them lead
 * nowhere. *ret_n is its length, 0 = there is none; path (room for n) gets the positions in order,
 * each depends on the next and the last one on the first. -ERR_NOMEM.
 */
int depends_cycle(const struct service_spec *const *services, size_t n, size_t *path,
		  size_t *ret_n);
/* The position of that name, or n. */
size_t depends_find(const struct service_spec *const *services, size_t n, const char *name);

#endif
