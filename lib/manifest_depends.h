/*
 * manifest_depends: judges depends_on of a set. A cycle is an error that prints it; a name that is
 * nearly one of the set's is a warning, for it may be a service of another set.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_DEPENDS_H
#define AICTL_LIB_MANIFEST_DEPENDS_H

#include <stddef.h>

struct manifest_errors;
struct manifest_set;
struct service_spec;

void manifest_depends_check(const struct manifest_set *set, struct manifest_errors *errors,
			    struct manifest_errors *warnings);
/* The cycle among services (sorted by name) as an error, if there is one. */
void manifest_depends_cycle(const struct service_spec *const *services, size_t n,
			    struct manifest_errors *errors);

#endif
