/* eject: see eject.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/eject.h"

enum eject_state eject_state(const struct eject *e, uint64_t now)
{
	if (!e->in_doubt)
		return EJECT_IN;
	return now < e->until ? EJECT_OUT : EJECT_PROBATION;
}

/* It went well. One that is out may have had some under way: they prove nothing. */
static void forgive(struct eject *e, uint64_t now)
{
	e->refused = e->errors = 0;
	if (eject_state(e, now) != EJECT_PROBATION)
		return;
	e->in_doubt = false;
	e->until = now;
}

static bool is_due(const struct eject *e, enum eject_state state)
{
	if (state == EJECT_OUT)
		return false;
	return state == EJECT_PROBATION || e->refused >= EJECT_CONNECTS ||
	       e->errors >= EJECT_ERRORS;
}

static void take_out(struct eject *e, uint64_t now)
{
	bool again = e->ms > 0 && (e->in_doubt || now - e->until < e->ms);

	e->ms = !again ? EJECT_MS : e->ms < EJECT_MAX_MS / 2 ? e->ms * 2 : EJECT_MAX_MS;
	e->in_doubt = true;
	e->until = now + e->ms;
	e->count++;
	e->refused = e->errors = 0;
}

bool eject_note(struct eject *e, enum eject_event event, uint64_t now, bool may_go)
{
	switch (event) {
	case EJECT_CONNECTED:
		e->refused = 0;
		return false;
	case EJECT_GOOD:
		forgive(e, now);
		return false;
	case EJECT_REFUSED:
		if (e->refused < EJECT_CONNECTS)
			e->refused++;
		break;
	case EJECT_ERROR:
		if (e->errors < EJECT_ERRORS)
			e->errors++;
		break;
	}
	if (!is_due(e, eject_state(e, now)) || !may_go)
		return false;
	take_out(e, now);
	return true;
}
