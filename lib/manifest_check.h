/*
 * manifest_check: what concerns several values of a manifest at once: a probe without a port, a
 * port used twice, ${...} names. Values that were wrong by themselves are already reported and
 * are not judged again. What works, but hardly as it was meant, is a warning.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_CHECK_H
#define AICTL_LIB_MANIFEST_CHECK_H

struct manifest_errors;
struct manifest_set;
struct service_spec;
struct ynode;

/* One service, just decoded from node (a map); completes working_dir. */
void manifest_check_service(struct service_spec *s, const struct ynode *node,
			    struct manifest_errors *errors, struct manifest_errors *warnings);
/* All services of all files together; warnings go into the set's. */
void manifest_check_set(struct manifest_set *set, struct manifest_errors *errors);

#endif
