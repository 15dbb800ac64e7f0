/*
 * import_deploy: replicas, restart, stop, update and resources of a service, from `deploy` and from the
 * older keys beside it that say the same; `deploy` wins, as in Compose. What Compose does without a
 * word (no restart, the old one stopped first) is written down.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_DEPLOY_H
#define AICTL_CLI_IMPORT_DEPLOY_H

struct import_part;

void import_deploy_emit(const struct import_part *p);

#endif
