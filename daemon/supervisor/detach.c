/* detach: see detach.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/detach.h"

#include <stdarg.h>
#include <stdio.h>

#include "daemon/supervisor/control.h"
#include "daemon/supervisor/reexec.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/unit.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/point.h"

#define CONTROLLER_MS 5000
#define CHILDREN_MS (SLOT_SPAWN_MS + 500) /* the spawn deadline ends them */
#define LOOK_MS 10

static void refuse(struct supervisor *sup, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void refuse(struct supervisor *sup, const char *fmt, ...)
{
	struct detach *d = &sup->detach;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->refusal, sizeof(d->refusal), fmt, ap);
	va_end(ap);
	log_error("%s refused: %s", d->reexec ? "reexec" : "detach", d->refusal);
	table_drop_room(&sup->table);
	d->phase = DETACH_NONE;
	d->refusals++;
	sup->control.status_due = true;
	link_flush(&sup->controller.link);
}

static uint32_t count_living(const struct supervisor *sup)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < sup->n_slots; i++)
		n += sup->slots[i] && slot_is_living(sup->slots[i]);
	return n;
}

static bool any_half_made(const struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n_slots; i++)
		if (sup->slots[i] && sup->slots[i]->t->state == WIRE_SLOT_SPAWNING &&
		    !unit_of(sup->slots[i]))
			return true;
	return run_any(sup); /* killed when the controller went */
}

static void enter(struct supervisor *sup, enum detach_phase phase, int64_t limit_ms)
{
	sup->detach.phase = phase;
	sup->detach.deadline_mono_ms = clock_add(clock_mono_ms(), limit_ms);
}

static void leave(struct supervisor *sup)
{
	log_info("%s, leaving replicas=%u running",
		 sup->detach.reexec ? "becoming the new aictld" : "detaching", count_living(sup));
	enter(sup, DETACH_CONTROLLER, CONTROLLER_MS + 2000);
	POINT("aictld.detach.begun");
	control_set_mode(sup, WIRE_MODE_DETACH);
	helper_quit(&sup->controller, CONTROLLER_MS);
	detach_poke(sup);
}

static void on_timer(void *user)
{
	struct supervisor *sup = user;
	struct detach *d = &sup->detach;
	int64_t now = clock_mono_ms();

	if (d->phase == DETACH_CONTROLLER &&
	    (helper_is_gone(&sup->controller) || now >= d->deadline_mono_ms))
		enter(sup, DETACH_CHILDREN, CHILDREN_MS);
	if (d->phase == DETACH_CHILDREN && (!any_half_made(sup) || now >= d->deadline_mono_ms)) {
		if (any_half_made(sup))
			log_warn("a half-made child hangs, going on without it");
		POINT("aictld.detach.done");
		d->phase = DETACH_DONE;
		loop_stop(&sup->loop, DETACH_EXIT);
	} else if (d->phase == DETACH_CONTROLLER || d->phase == DETACH_CHILDREN) {
		loop_timer_arm(&sup->loop, &d->timer, now + LOOK_MS);
	}
}

void detach_init(struct supervisor *sup)
{
	sup->detach.timer = (struct loop_timer){.fn = on_timer, .user = sup};
}

bool detach_is_leaving(const struct supervisor *sup)
{
	return sup->detach.phase >= DETACH_CONTROLLER;
}

void detach_poke(struct supervisor *sup)
{
	if (detach_is_leaving(sup) && sup->detach.phase != DETACH_DONE)
		loop_timer_arm(&sup->loop, &sup->detach.timer, 0);
}

void detach_checked(struct supervisor *sup, const char *refusal)
{
	if (sup->detach.phase != DETACH_CHECKING)
		return;
	if (refusal)
		refuse(sup, "the new aictld cannot take over: %s", refusal);
	else if (sup->shutdown.phase != SHUTDOWN_NONE)
		refuse(sup, "everything is being stopped");
	else
		leave(sup);
}

void detach_begin(struct supervisor *sup, bool reexec)
{
	struct detach *d = &sup->detach;

	if (d->phase != DETACH_NONE)
		return; /* asked twice: both get the same answer */
	d->reexec = reexec;
	if (sup->shutdown.phase != SHUTDOWN_NONE) {
		refuse(sup, "everything is being stopped");
	} else if (!reexec && sup->opt->parent_fd >= 0) {
		refuse(sup, "this daemon belongs to an `aictl up`, which ends with its services");
	} else if (!reexec) {
		leave(sup);
	} else {
		d->phase = DETACH_CHECKING;
		reexec_check(sup);
	}
}
