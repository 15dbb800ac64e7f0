/*
 * cell: how far a unit's log was written, in a little file in memory that aictld keeps, so that a
 * successor of this process goes on from there. A position is written beside the last one and then
 * made the last one: whoever is killed in between leaves the one before.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_CELL_H
#define AICTL_RUNTIME_CELL_H

#include <aictl/plugin.h>

struct cell_file;

/* fd stays the caller's, and may be closed. NULL: it cannot be mapped. */
struct cell_file *cell_map(int fd);
void cell_unmap(struct cell_file *c); /* NULL is a no-op */
struct aictl_log_position cell_read(const struct cell_file *c);
void cell_write(struct cell_file *c, const struct aictl_log_position *p);

#endif
