/*
 * unit: a replica that an engine runs, as a container (daemon/wire/wire_unit.h). Its slot goes
 * through the states of any other slot, and its exits, notes and streams are theirs too; the rest of
 * one incarnation stands here.
 *
 *   UNIT_START -> SPAWNING: sent to the runtime, with the write ends of its log pipes
 *   RUNNING    -> RUNNING
 *   EXITED, FAILED, GONE -> an exit record, EMPTY: the slot may start the next one
 *
 * After its end it has to be removed, with its log written to the end before (UNIT_REMOVE, GONE).
 * Until then it counts as unswept: the slot is not given back, and the table names it, so that the
 * next aictld goes on. A slot has one unit that is not ended at most, and some that are.
 *
 * What a start needs lies in a file beside the table until the unit runs: so neither the death of the
 * runtime's process nor of aictld loses one. Another file is the cell in which the runtime notes how
 * far it has written the log.
 *
 * Here the write ends of the pipes are held as well (a dying runtime must not be an end of file):
 * they are closed when the unit is GONE. After our own death the runtime ends, too; then the logger
 * is at the end of file, and the next aictld makes new write ends of the read ends it was given back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_UNIT_H
#define AICTL_SUPERVISOR_UNIT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/wire/wire_unit.h"

struct link;
struct runtime;
struct slot;
struct stream;
struct supervisor;

struct unit {
	struct slot *slot;
	struct runtime *runtime;
	struct unit *next_of_slot; /* the one that has not ended is first */
	char incarnation[WIRE_INCARNATION_SIZE];
	int fds[2];  /* write ends of stdout's and stderr's pipe */
	bool unsent; /* no runtime process has heard of it */
	bool ended;  /* its exit stands in the table; unswept */
	bool kept;   /* UNIT_KEEP, not UNIT_START, was sent to the present runtime process */
	int signal;  /* due; 0 = none */
	bool open_due, remove_due, look_due;
	struct unit *next_due, *prev_due;
	bool due;
	struct wire_unit_state state; /* as the runtime said it last */
	bool state_due;		      /* to the controller */
};

/* From the controller. p: m borrows from its body. */
void unit_start(struct supervisor *sup, const struct wire_unit_start *m,
		const struct wire_packet *p);
/* The one that has not ended, or NULL: the slot has none. */
struct unit *unit_of(const struct slot *s);
/* To its main process; one that has not started is given up. */
void unit_signal(struct slot *s, int signal);
/* Ends one of which no engine can have heard: no runtime process has, or none that had begun its
 * start lives; false: it has none like that. */
bool unit_drop(struct slot *s);
void unit_look(struct slot *s);
/* Every word about the slot's units is due again. */
void unit_controller_connected(struct slot *s);
/* What is due of the slot's units goes out; false: the socket is full. */
bool unit_tell(struct link *l, struct slot *s);
void unit_free_all(struct slot *s);

/* ---- told by runtime ---- */

/* Another process: all is due again. */
void unit_connected(struct unit *u);
/* One word, of those that are due; false: the socket is full. */
bool unit_send(struct unit *u, struct link *l);
void unit_take_state(struct runtime *r, const struct wire_unit_state *m);

/* ---- a former aictld's ---- */

/* From the table; before streams are given back. */
void unit_adopt(struct slot *s);
/* A stream of that incarnation has been made of what a logger gave back, or of nothing. */
void unit_stream_adopted(struct slot *s, struct stream *t);
/* No more is given back. */
void unit_adopt_streams(struct slot *s);

#endif
