/* import_mounts: volumes, tmpfs, devices, secrets and configs of a service. */
/* SPDX-License-Identifier: MIT */
#ifndef AICTL_CLI_IMPORT_MOUNTS_H
#define AICTL_CLI_IMPORT_MOUNTS_H

struct import_part;

void import_mounts_emit(const struct import_part *p);

#endif
