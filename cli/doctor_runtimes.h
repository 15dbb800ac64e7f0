/*
 * doctor_runtimes: the checks of `aictl doctor` about container engines (aictld --runtime): do they
 * answer, and who may speak to them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_DOCTOR_RUNTIMES_H
#define AICTL_CLI_DOCTOR_RUNTIMES_H

struct doctor_finding;
struct doctor_machine;

/* Each engine answers, or what it says instead. */
void doctor_runtimes_engines(const struct doctor_machine *m, struct doctor_finding *f);
/* Who may speak to an engine is root: that is said, and a socket that is open to all is a problem. */
void doctor_runtimes_rights(const struct doctor_machine *m, struct doctor_finding *f);

#endif
