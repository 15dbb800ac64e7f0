/*
 * manifest_traffic: judges the keys of the stable ports together: ranges and scalers, canaries,
 * ports that are given to the replicas.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_TRAFFIC_H
#define AICTL_LIB_MANIFEST_TRAFFIC_H

struct manifest_errors;
struct manifest_set;

/* Warnings go into the set's. */
void manifest_traffic_check_set(struct manifest_set *set, struct manifest_errors *errors);

#endif
