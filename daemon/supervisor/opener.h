/*
 * opener: `aictld --open-manifests DIR`, a child of aictld that opens the manifests of a directory
 * and sends them over descriptor 3 (packets: manifests.h). Only regular *.yaml and *.yml files that
 * belong to us or root and that nobody else may write, in a directory of the same kind.
 *
 * After the last one it says so and answers requests for files that manifests name
 * (opener_path.h), until the reader closes its end or the time is over.
 *
 * Exit code: 0 all is sent (refusals included), 1 not.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_OPENER_H
#define AICTL_SUPERVISOR_OPENER_H

int opener_main(const char *dir);

#endif
