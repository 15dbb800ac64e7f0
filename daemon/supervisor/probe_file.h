/*
 * probe_file: `aictld --probe-file PATH [MAX_AGE_MS]`, what a file probe runs as the service: exit
 * code 0 when the file is there and was changed within that time, else 1; one line says what it is.
 * A process of its own: a hung disk hurts nobody else, and the service's own rights are what counts.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_PROBE_FILE_H
#define AICTL_SUPERVISOR_PROBE_FILE_H

int probe_file_main(int argc, char **argv); /* argv[0] is --probe-file */

#endif
