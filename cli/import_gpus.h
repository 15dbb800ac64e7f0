/* import_gpus: devices and GPUs of a service. */
/* SPDX-License-Identifier: MIT */
#ifndef AICTL_CLI_IMPORT_GPUS_H
#define AICTL_CLI_IMPORT_GPUS_H

struct import_part;

void import_gpus_emit(const struct import_part *p);

#endif
