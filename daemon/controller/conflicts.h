/*
 * conflicts: does a manifest go together with the services that are there? A dependency that nobody
 * has, a cycle of several sets, a name or a port that another one has. What wants to be desired, by
 * an apply or as an earlier revision, is asked here first.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_CONFLICTS_H
#define AICTL_CONTROLLER_CONFLICTS_H

#include <stdbool.h>
#include <stddef.h>

struct controller;
struct manifest_errors;
struct service_spec;

/* What is to come; all borrowed. */
struct conflicts {
	const struct controller *c;
	const struct service_spec *const *specs; /* n of them, by name */
	size_t n;
	const char *set; /* theirs */
	bool prune;	 /* what else the set has goes */
};

void conflicts_check(const struct conflicts *k, struct manifest_errors *errors);
/* Where the key is written; "", or one that is not there: the service. Borrowed from spec. */
struct manifest_place conflicts_place(const struct service_spec *spec, const char *key);

#endif
