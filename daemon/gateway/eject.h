/*
 * eject: whether a backend gets requests, by what became of the last ones. Pure.
 *
 * EJECT_CONNECTS connections in a row that could not be made, or EJECT_ERRORS answers in a row of 500
 * and above (no answer counts as one), take it out for EJECT_MS; each time that it does so again
 * soon, for twice as long, at most EJECT_MAX_MS. Afterwards it is on probation: it gets one request
 * at a time until one went well, and the first that does not takes it out again. One that worked for
 * as long as it was out last begins anew.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_EJECT_H
#define AICTL_GATEWAY_EJECT_H

#include <stdbool.h>
#include <stdint.h>

#define EJECT_CONNECTS 3
#define EJECT_ERRORS 5
#define EJECT_MS 10000u
#define EJECT_MAX_MS 300000u

enum eject_state { EJECT_IN, EJECT_PROBATION, EJECT_OUT };

enum eject_event {
	EJECT_CONNECTED,
	EJECT_REFUSED, /* or not connected in time */
	EJECT_GOOD,    /* an answer below 500; a connection of tcp mode */
	EJECT_ERROR,
};

struct eject {
	uint8_t refused, errors; /* in a row */
	bool in_doubt;		 /* out, or on probation */
	uint32_t ms;		 /* how long it is out, or was last; 0 = never */
	uint64_t until;		 /* in doubt: the end of that; else the end of probation */
	uint64_t count;		 /* how often it was taken out */
};

enum eject_state eject_state(const struct eject *e, uint64_t now);
/* may_go: others are left. True: it is out from now on, for e->ms. */
bool eject_note(struct eject *e, enum eject_event event, uint64_t now, bool may_go);

#endif
