/* capture_fault: see capture_fault.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/capture_fault.h"

#include <errno.h>
#include <string.h>

#include "daemon/logger/capture_drop.h"
#include "lib/clock.h"
#include "lib/log.h"

void capture_fault_again(struct capture *c)
{
	struct capture_set *set = c->set;

	if (!c->fault_due)
		TAILQ_INSERT_TAIL(&set->faults, c, faulty);
	c->fault_due = true;
	if (set->on_fault)
		set->on_fault(set->user);
}

struct capture *capture_fault_first(struct capture_set *set)
{
	return TAILQ_FIRST(&set->faults);
}

void capture_fault_drop(struct capture *c)
{
	if (c->fault_due)
		TAILQ_REMOVE(&c->set->faults, c, faulty);
	c->fault_due = false;
}

void capture_fault_again_all(struct capture_set *set)
{
	struct capture *c;

	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all)
		if (c->fault.state != FAULT_OK || c->fault.dropped_bytes > 0)
			capture_fault_again(c);
}

void capture_fault_set(struct capture *c, enum fault_state state, int err)
{
	if (fault_set(&c->fault, state, err))
		capture_fault_again(c);
}

enum fault_state capture_fault_state(const struct capture *c)
{
	return capture_drop_is_on(c) ? FAULT_DROPPING : FAULT_STALLED;
}

void capture_fault_forget(struct capture *c)
{
	if (c->stalled)
		c->set->n_stalled--;
	c->stalled = false;
}

void capture_fault_clear(struct capture *c)
{
	capture_fault_set(c, c->set->store.copying ? FAULT_WEAK : FAULT_OK, 0);
}

void capture_fault_stalled(struct capture *c, int err)
{
	struct capture_set *set = c->set;

	if (set->n_stalled++ > 0)
		return; /* said once */
	set->stalled_since_mono_ms = clock_mono_ms();
	if (err == ENOSPC && set->store.below)
		log_error("path=%s too little free disk space: logs wait, or are dropped where "
			  "logs.on_full says so; services run on until their pipes are full",
			  set->store.path);
	else
		log_error("service=%s/%u error=\"%s\" cannot store logs: they wait, or are "
			  "dropped where logs.on_full says so; services run on until their pipes "
			  "are full",
			  c->key.service, c->key.index, strerror(err));
}

void capture_fault_recovered(struct capture *c)
{
	struct capture_set *set = c->set;
	char text[32];

	c->stalled = false;
	capture_fault_clear(c);
	if (--set->n_stalled > 0)
		return;
	log_warn("path=%s after=%s logs are stored again", set->store.path,
		 clock_human(clock_mono_ms() - set->stalled_since_mono_ms, text, sizeof(text)));
}

void capture_fault_hung(struct capture_set *set, bool hung)
{
	struct capture *c;

	set->hung = hung;
	TAILQ_FOREACH (c, &set->queues[CAPTURE_LIVING], all) {
		if (hung)
			capture_fault_set(c, capture_fault_state(c), FAULT_HUNG);
		else if (c->fault.err == FAULT_HUNG && c->free && !c->waits && !c->stalled)
			capture_fault_clear(c);
	}
}
