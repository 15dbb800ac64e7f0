/*
 * units: what aictld wants of containers, and what the engine has of them.
 *
 * A unit is here from UNIT_START or UNIT_KEEP (or UNIT_REMOVE) until GONE was said. What is to be done
 * for it is kept as flags and done when the engine can be reached, one operation of start, signal and
 * remove at a time; what the engine did not do for want of an answer stays due, and is tried
 * again when it is back, or after a pause that grows. So nothing is asked twice of an engine that
 * has answered, and nothing is forgotten that it has not.
 *
 * The list is asked for after SYNCED and whenever the engine is back: what it has of our instance
 * and nobody here knows is removed, what is known here and not in it is gone. Before the first list
 * has come nothing else is asked for. Its output is followed (`logs`) from
 * the moment it runs or has run; GONE is said after all of it was written.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_UNITS_H
#define AICTL_RUNTIME_UNITS_H

#include <aictl/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/loop.h"

struct runtime;
struct stray;
struct unit;
struct wire_key;
struct wire_unit_start;
struct wire_unit_state;

#define UNITS_FDS 3 /* stdout, stderr, cell */
#define UNITS_NAME_SIZE 128

struct units {
	struct runtime *runtime;
	struct unit **all;
	size_t n, cap;
	bool synced;   /* SYNCED came: what aictld wants is complete */
	bool list_due; /* before all else */
	bool listed;   /* a list has come since the engine is back */
	uint64_t list_op;
	struct loop_timer retry; /* of the list */
	int64_t pause_ms;
	bool list_failed;     /* the last one */
	struct stray *strays; /* being removed */
	int64_t quiet_ms;     /* after the end: so long without output, and it was the last */
};

void units_init(struct units *us, struct runtime *r);
void units_done(struct units *us);

/* From aictld. Descriptors are taken over. */
void units_start(struct units *us, const struct wire_unit_start *m, const int fds[UNITS_FDS]);
void units_keep(struct units *us, const struct wire_key *key, const int fds[UNITS_FDS]);
bool units_knows(const struct units *us, const struct wire_key *key);
void units_synced(struct units *us);
void units_signal(struct units *us, const struct wire_key *key, int number);
void units_remove(struct units *us, const struct wire_key *key);
void units_look(struct units *us, const struct wire_key *key); /* UNIT_STATS goes back */

/* From the plugin, and about it. */
void units_take_state(struct units *us, const struct aictl_unit_state *s);
void units_engine_changed(struct units *us);
void units_list_soon(struct units *us);	    /* something does not agree */
void units_plugin_failed(struct units *us); /* it cannot be loaded */

/* To aictld: a unit whose state is to be told; it was told (and may be freed by it). */
struct unit *units_next_due(const struct units *us);
const struct wire_unit_state *units_state(const struct unit *u);
void units_told(struct units *us, struct unit *u);

void units_name(const struct units *us, const struct wire_key *key, char out[UNITS_NAME_SIZE]);
int units_errno_of(int code); /* of an enum aictl_code, never 0 */

#endif
