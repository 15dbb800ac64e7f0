/* import_ports: the ports of a service. */
/* SPDX-License-Identifier: MIT */
#ifndef AICTL_CLI_IMPORT_PORTS_H
#define AICTL_CLI_IMPORT_PORTS_H

struct import_part;

void import_ports_emit(const struct import_part *p);

#endif
