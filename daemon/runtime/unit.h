/*
 * unit: one of units.h, and what is done for it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_UNIT_H
#define AICTL_RUNTIME_UNIT_H

#include "daemon/runtime/units.h"
#include "daemon/wire/wire_unit.h"
#include "lib/loop.h"

struct cell_file;

struct unit {
	struct units *units;
	char name[UNITS_NAME_SIZE];
	struct wire_unit_state state;
	bool told_due;
	bool seen; /* it need not be in the list that is coming, or is */

	char *spec; /* of a start that has not come to an end; owned */
	size_t spec_len;
	uint64_t revision;
	bool start_due, remove_due, give_up; /* give_up: no start any more */
	bool offered;			     /* the plugin has been told to start it */
	int signal_due;			     /* 0 = none */
	uint64_t op; /* start, signal or remove that is under way; 0 = none */
	enum { UNIT_NONE, UNIT_STARTS, UNIT_SIGNALS, UNIT_REMOVES } doing;
	int signal_sent;
	struct loop_timer retry; /* of what the engine did not answer */
	int64_t pause_ms;

	uint64_t logs_op; /* 0 = not followed */
	int64_t logs_pause_ms;
	bool logs_wanted; /* it runs or has run */
	bool logs_over;	  /* all was written, or never will be */
	bool gone;	  /* the engine has it no more; told when the log is over */
	struct loop_timer
		logs_timer; /* when nothing was written any more for so long, it is over */
	struct cell_file *cell;
	int fds[UNITS_FDS - 1];
};

struct unit *unit_new(struct units *us, const struct wire_key *key); /* NULL: no memory */
/* Does for it what is due and can be done now. */
void unit_go_on(struct unit *u);
/* A name has one life: what lies behind it is not believed. */
void unit_take_state(struct unit *u, const struct aictl_unit_state *s);
/* The engine has it no more, or never had it. */
void unit_vanished(struct unit *u);
void unit_fail(struct unit *u, enum wire_what what, int err, const char *text);
void unit_hurry(struct unit *u); /* no pause any more */
void unit_mark(struct unit *u);	 /* its state is to be told */
void unit_free(struct unit *u);	 /* not by its own callbacks; NULL is a no-op */

#endif
