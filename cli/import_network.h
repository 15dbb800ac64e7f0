/* import_network: ports and networks of a service. */
/* SPDX-License-Identifier: MIT */
#ifndef AICTL_CLI_IMPORT_NETWORK_H
#define AICTL_CLI_IMPORT_NETWORK_H

struct import;
struct import_part;

/* Before any service: has one of them several networks? */
void import_network_choose(struct import *im);
void import_network_emit(const struct import_part *p);

#endif
