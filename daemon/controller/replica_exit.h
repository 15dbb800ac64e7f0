/*
 * replica_exit: an exit record of aictld in words: its cause, its reason and a sentence. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_EXIT_H
#define AICTL_CONTROLLER_REPLICA_EXIT_H

#include <stddef.h>

struct service_spec;
struct wire_exit;

/* Static: "exit", "signal", "oom", "start", "unknown"; of a stop the caller's own word for it. */
const char *replica_exit_cause(const struct wire_exit *x, const char *stop_cause);
/* The reason (static); message: "exit code 1", "signal KILL (oom: memory limit 512MiB)". spec is
 * what it ran with, or NULL. */
const char *replica_exit_describe(const struct wire_exit *x, const struct service_spec *spec,
				  char *message, size_t size);
/* The static text equal to cause, "unknown" for others. */
const char *replica_exit_intern(const char *cause);

#endif
