/*
 * check_state: `aictld --check-state OPTION...`, run by an aictld that wants to become this program
 * (reexec.h), with its table as stdin: would this build start with these options on this machine,
 * find its helpers, all of one build, and understand the table?
 *
 * Nothing is changed. Exit code 0: yes; 1: no, and stderr has the reason in one line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_CHECK_STATE_H
#define AICTL_SUPERVISOR_CHECK_STATE_H

struct options;

int check_state_main(const struct options *o);

#endif
