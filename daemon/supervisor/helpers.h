/*
 * helpers: which helpers there are, where their programs lie, how they are called.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_HELPERS_H
#define AICTL_SUPERVISOR_HELPERS_H

#include <stdint.h>

struct err;
struct helper;
struct supervisor;

/* Opens the programs (and our own), so that an upgrade on disk changes nothing for us. That of the
 * gateway may be missing. */
int helpers_find(struct supervisor *sup, struct err **reterr);
/* Command lines, users and callbacks. */
int helpers_init(struct supervisor *sup, struct err **reterr);
/* A helper was started: the table names it, so that the next aictld finds it. */
void helpers_note(struct helper *h);
/* That gateway, for the next aictld. state: enum table_gateway. */
void helpers_note_gateway(struct supervisor *sup, int pid, uint32_t state);

#endif
