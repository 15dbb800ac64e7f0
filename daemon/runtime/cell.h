/*
 * cell: how far a unit's log was written, in a little file in memory that aictld keeps, so that a
 * successor of this process goes on from there. A position is written beside the last one and then
 * made the last one: whoever is killed in between leaves the one before. Beside it stands whether a
 * start was ever begun: of one that was not, no engine has heard, whoever had the unit before.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_CELL_H
#define AICTL_RUNTIME_CELL_H

#include <aictl/plugin.h>
#include <stdbool.h>

struct cell_file;

/* fd stays the caller's, and may be closed. NULL: it cannot be mapped; then it says no more that no
 * start was begun. */
struct cell_file *cell_map(int fd);
void cell_unmap(struct cell_file *c); /* NULL is a no-op */
/* True: nobody has asked an engine to start it. c may be NULL. */
bool cell_is_fresh(const struct cell_file *c);
void cell_begin(struct cell_file *c); /* somebody is about to; NULL is a no-op */
struct aictl_log_position cell_read(const struct cell_file *c);
void cell_write(struct cell_file *c, const struct aictl_log_position *p);

#endif
