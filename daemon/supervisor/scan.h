/*
 * scan: `aictld --sweep SIGNAL COOKIE...`, a child of aictld that looks through /proc for processes
 * with AICTL_INCARNATION=<one of the cookies> in their environment and signals them, again and
 * again until a look finds none. May hang (environ of a process in D state): the parent has a
 * deadline.
 *
 * Exit code: 0 nothing is left, 1 something is, 2 usage.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_SCAN_H
#define AICTL_SUPERVISOR_SCAN_H

/* argv: "--sweep" SIGNAL COOKIE... */
int scan_main(int argc, char **argv);

#endif
