/*
 * import_health: healthcheck, depends_on and hooks of a service. A healthcheck of Compose restarts
 * nothing: it is a readiness probe. start_period and start_interval make a startup probe of the same
 * command, which asks more often.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_HEALTH_H
#define AICTL_CLI_IMPORT_HEALTH_H

struct import_part;

void import_health_emit(const struct import_part *p);

#endif
