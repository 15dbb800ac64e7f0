/*
 * import_gpus: devices and GPUs of a service, from all the places where Compose has had them: `gpus`,
 * deploy.resources.reservations.devices, `runtime: nvidia`, and CDI names among `devices`. The first
 * request counts; a second one is noted.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_GPUS_H
#define AICTL_CLI_IMPORT_GPUS_H

struct import_part;

void import_gpus_emit(const struct import_part *p);

#endif
