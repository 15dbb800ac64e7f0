/*
 * import_service: one service of a Compose project, in the order of a tidy manifest: what runs, with
 * which environment, where it is reached, what it is given, its health, how it is kept, its limits.
 * The larger parts are in import_*.c of their own; the small ones, and the table of what has no
 * counterpart, are here.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_SERVICE_H
#define AICTL_CLI_IMPORT_SERVICE_H

struct import_part;

void import_service_emit(const struct import_part *p);

#endif
