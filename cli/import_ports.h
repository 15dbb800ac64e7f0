/*
 * import_ports: `ports` of a service -> ports by name. Compose publishes on all addresses of the machine
 * unless one is given; here it is the loopback address, and a note says how to open it. Only TCP is
 * passed on; what is known to speak HTTP is said to, all else is bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_PORTS_H
#define AICTL_CLI_IMPORT_PORTS_H

#include <stdint.h>

struct import_part;

/* The number inside that PORT will be, or 0: it will be unset. */
int64_t import_ports_emit(const struct import_part *p);

#endif
