/*
 * import_network: the network that a service's containers are in. A container of ours is in one, one of
 * Compose in any number: where a service has several, all services share the project's own, so that
 * who could reach another still does; that is said, since it separates nobody. What the engine has to
 * make before is said, too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_NETWORK_H
#define AICTL_CLI_IMPORT_NETWORK_H

struct import;
struct import_part;

/* Before any service: has one of them several networks? */
void import_network_choose(struct import *im);
void import_network_emit(const struct import_part *p);

#endif
