/*
 * manifest_task: judges the keys of tasks: the text of a schedule, keys that a service does not
 * have, and who waits for the end of what never ends.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_TASK_H
#define AICTL_LIB_MANIFEST_TASK_H

struct manifest_errors;
struct manifest_set;
struct service_spec;

/* One service; before its places are known: node is its map. */
struct ynode;
void manifest_task_check(const struct service_spec *s, const struct ynode *node,
			 struct manifest_errors *errors, struct manifest_errors *warnings);
/* condition: completed of a service that is no task. */
void manifest_task_check_set(const struct manifest_set *set, struct manifest_errors *errors);

#endif
