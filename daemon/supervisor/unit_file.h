/*
 * unit_file: the two files of a unit, beside the table on tmpfs: what a start needs (unit-ID.start:
 * the body of UNIT_START; it may hold secrets), and the runtime's cell (unit-ID.cell).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_UNIT_FILE_H
#define AICTL_SUPERVISOR_UNIT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct supervisor;

/* 0 or -errno. */
int unit_file_write_start(struct supervisor *sup, const char *incarnation, const uint8_t *body,
			  size_t len);
/* The caller frees it; NULL = there is none. */
uint8_t *unit_file_read_start(struct supervisor *sup, const char *incarnation, size_t *len);
void unit_file_drop_start(struct supervisor *sup, const char *incarnation);
/* The cell, which says that no engine has heard of the unit. 0 or -errno. */
int unit_file_make_cell(struct supervisor *sup, const char *incarnation);
/* It still says so. */
bool unit_file_is_fresh(struct supervisor *sup, const char *incarnation);
/* Opened, made when it is not there (then nothing is known); -errno. */
int unit_file_open_cell(struct supervisor *sup, const char *incarnation);
/* Both. */
void unit_file_drop(struct supervisor *sup, const char *incarnation);
/* Those of which keep says false; keep NULL: all. */
void unit_file_clean(struct supervisor *sup,
		     bool (*keep)(struct supervisor *sup, const char *incarnation));

#endif
