/* fault: see fault.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/fault.h"

#include "lib/clock.h"

bool fault_set(struct fault *f, enum fault_state state, int err)
{
	if (f->state == state && f->err == err)
		return false;
	if (f->state != state)
		f->since_wall_ms = clock_wall_ms();
	f->state = state;
	f->err = err;
	return true;
}

const char *fault_name(enum fault_state state)
{
	static const char *const names[FAULT_STATES] = {"ok", "stalled", "dropping", "weak"};

	return names[state];
}
