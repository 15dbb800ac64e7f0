/* import_service: one service, its parts in the order of a tidy manifest. */
/* SPDX-License-Identifier: MIT */
#ifndef AICTL_CLI_IMPORT_SERVICE_H
#define AICTL_CLI_IMPORT_SERVICE_H

struct import_part;

void import_service_emit(const struct import_part *p);

#endif
