/*
 * detach: the end of aictld that leaves everything running. The table and the logger keep what the
 * next aictld needs, which comes in as after a crash (adopt.h), only that nothing was cut off: the
 * controller has committed, and no child is half made.
 *
 * Two want it: `aictl daemon detach` (the process ends with DETACH_EXIT), and `aictl daemon reexec`
 * (it becomes another program, reexec.h), where the new program is asked first whether it can take
 * over. What stands against it is told to the controller in STATUS and changes nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_DETACH_H
#define AICTL_SUPERVISOR_DETACH_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/wire/wire.h"
#include "lib/loop.h"

struct supervisor;

#define DETACH_EXIT 100 /* exit status: ended, services run on */

enum detach_phase {
	DETACH_NONE,
	DETACH_CHECKING,   /* the new program is asked */
	DETACH_CONTROLLER, /* it ends; from here on there is no way back */
	DETACH_CHILDREN,   /* none may be half made */
	DETACH_DONE,
};

struct detach {
	enum detach_phase phase;
	bool reexec;		  /* and become another program */
	struct loop_timer timer;  /* next look */
	int64_t deadline_mono_ms; /* of the phase */
	uint32_t refusals;
	char refusal[WIRE_REFUSAL_SIZE]; /* the last one's reason */
};

void detach_init(struct supervisor *sup);
void detach_begin(struct supervisor *sup, bool reexec);
/* From reexec_check: the answer of the new program; NULL = it can. */
void detach_checked(struct supervisor *sup, const char *refusal);
/* Past the point of no return? */
bool detach_is_leaving(const struct supervisor *sup);
/* Something ended: look again, at the end of this round. */
void detach_poke(struct supervisor *sup);

#endif
