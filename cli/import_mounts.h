/*
 * import_mounts: volumes, tmpfs, secrets and configs of a service -> secrets and volumes. Named volumes
 * keep the names that Compose gave them. A config whose content stands in the Compose file becomes a
 * file (struct import_file), for whoever writes the manifest to write, too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_MOUNTS_H
#define AICTL_CLI_IMPORT_MOUNTS_H

struct import_part;

void import_mounts_emit(const struct import_part *p);

#endif
