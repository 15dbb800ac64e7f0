/*
 * fault: what is wrong with the storing of one incarnation's output, for aictld to be told.
 *
 * A level and not an event: the owner keeps one per incarnation, changes it as the trouble changes,
 * and tells it again to whoever asks. The two counts only grow; they outlive the trouble.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_FAULT_H
#define AICTL_LOGGER_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum fault_state {
	FAULT_OK,
	FAULT_STALLED,	/* nothing is stored: the writer waits once its pipe is full */
	FAULT_DROPPING, /* nothing is stored, and what does not fit into the pipe is dropped */
	FAULT_WEAK,	/* stored, but a killed logger may store the bytes of that moment twice */
	FAULT_STATES
};

#define FAULT_HUNG ETIMEDOUT /* as err: the file system does not answer */

struct fault {
	enum fault_state state;
	int err;		/* errno of the last failure; 0 in FAULT_OK and FAULT_WEAK */
	int64_t since_wall_ms;	/* when it came into this state; 0 = it never was in another */
	uint64_t dropped_bytes; /* of both streams, in all */
	uint64_t dropped_lines; /* newlines among them */
};

/* True when something that is told has changed. */
bool fault_set(struct fault *f, enum fault_state state, int err);
const char *fault_name(enum fault_state state);

#endif
