/* import_deploy: replicas, restart, update, resources and GPUs of a service. */
/* SPDX-License-Identifier: MIT */
#ifndef AICTL_CLI_IMPORT_DEPLOY_H
#define AICTL_CLI_IMPORT_DEPLOY_H

struct import_part;

void import_deploy_emit(const struct import_part *p);

#endif
