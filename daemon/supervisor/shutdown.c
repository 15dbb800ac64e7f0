/* shutdown: see shutdown.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/shutdown.h"

#include <signal.h>

#include "daemon/supervisor/control.h"
#include "daemon/supervisor/detach.h"
#include "daemon/supervisor/giveback.h"
#include "daemon/supervisor/listen.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/sweep.h"
#include "lib/clock.h"
#include "lib/log.h"

#define ORDER_MS 2000 /* without a word of the controller nor a stop under way */
#define AFTER_GRACE_MS 10000
#define SETTLE_MS 8000
#define HELPER_MS 5000
#define GATEWAY_MS 2000 /* nobody is behind it any more */
#define ORPHAN_PAUSE_MS 50

static void arm(struct supervisor *sup)
{
	loop_timer_arm(&sup->loop, &sup->shutdown.timer, sup->shutdown.deadline_mono_ms);
}

static void enter(struct supervisor *sup, enum shutdown_phase phase, int64_t limit_ms)
{
	sup->shutdown.phase = phase;
	sup->shutdown.deadline_mono_ms = clock_add(clock_mono_ms(), limit_ms);
	arm(sup);
}

static bool any_living(const struct supervisor *sup)
{
	if (run_any(sup))
		return true;
	for (uint32_t i = 0; i < sup->n_slots; i++)
		if (sup->slots[i] && slot_is_living(sup->slots[i]))
			return true;
	return false;
}

enum order { ORDER_IDLE, ORDER_GOES_ON, ORDER_DONE };

/* How far the controller is, which stops one after the other. */
static enum order order_of_stops(const struct supervisor *sup)
{
	bool waiting = false, stopping = run_any_hook(sup);

	for (uint32_t i = 0; i < sup->n_slots; i++) {
		const struct slot *s = sup->slots[i];

		if (!s || !slot_is_living(s))
			continue;
		waiting |= s->t->state == WIRE_SLOT_RUNNING || s->t->state == WIRE_SLOT_SPAWNING;
		stopping |= s->t->state == WIRE_SLOT_STOPPING;
	}
	return !waiting ? ORDER_DONE : stopping ? ORDER_GOES_ON : ORDER_IDLE;
}

/* It is being stopped already, and has asked for time. */
static bool has_more_time(const struct slot *s)
{
	return s->t->state == WIRE_SLOT_STOPPING && s->t->cold_used &&
	       s->cold->push.extend_until_mono_ms > clock_mono_ms();
}

void shutdown_extend(struct supervisor *sup, int64_t until_mono_ms)
{
	struct shutdown *d = &sup->shutdown;

	until_mono_ms = clock_add(until_mono_ms, AFTER_GRACE_MS);
	if (d->phase != SHUTDOWN_STOPPING || until_mono_ms <= d->deadline_mono_ms)
		return;
	d->deadline_mono_ms = until_mono_ms;
	arm(sup);
}

/* All that has not been stopped yet, and what is swept anyway. */
static void stop_the_rest(struct supervisor *sup)
{
	int64_t longest = 0, extended = 0;

	for (uint32_t i = 0; i < sup->n_slots; i++) {
		struct slot *s = sup->slots[i];

		if (!s)
			continue;
		if (slot_is_living(s) && s->t->grace_ms > longest)
			longest = s->t->grace_ms;
		if (!has_more_time(s))
			slot_stop(s, 0, -1);
		else if (s->t->kill_at_mono_ms > extended)
			extended = s->t->kill_at_mono_ms;
	}
	enter(sup, SHUTDOWN_STOPPING, clock_add(longest, AFTER_GRACE_MS));
	shutdown_extend(sup, extended);
}

static bool any_unsettled(const struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		const struct slot *s = sup->slots[i];

		if (s && !slot_is_living(s) &&
		    (s->unswept > 0 || s->n_streams > 0 || s->t->n_exits > 0))
			return true;
	}
	return false;
}

static void name_the_living(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		const struct slot *s = sup->slots[i];

		if (!s)
			continue;
		if (slot_is_living(s))
			log_error("replica=%s/%u pid=%d could not be stopped, leaving it",
				  s->t->service, s->t->index, s->t->cell.pid);
		sup->shutdown.failed |= slot_is_living(s);
	}
	if (run_any(sup)) {
		log_error("what was run beside the services could not be stopped, leaving it");
		sup->shutdown.failed = true;
	}
}

static void name_the_unsettled(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		const struct slot *s = sup->slots[i];

		if (!s || slot_is_living(s))
			continue;
		if (s->unswept > 0) {
			log_error("replica=%s/%u may have left %s behind", s->t->service,
				  s->t->index, s->units ? "containers" : "processes");
			sup->shutdown.failed = true;
		}
		if (s->n_streams > 0 || s->t->n_exits > 0)
			log_warn("replica=%s/%u unfinished: undrained=%u unacknowledged_exits=%u",
				 s->t->service, s->t->index, s->n_streams, s->t->n_exits);
	}
}

/* Processes that lost their cookie (a cleared environment) belong to services all the same, when
 * we had no children of another origin. True: look again when they have been reaped. */
static bool kill_the_untracked(struct supervisor *sup)
{
	if (!sup->alone || !child_kill_orphans(sup))
		return false;
	loop_timer_arm(&sup->loop, &sup->shutdown.again, clock_mono_ms() + ORPHAN_PAUSE_MS);
	return true;
}

/* No replica is left: whoever still asks is refused. */
static void end_traffic(struct supervisor *sup)
{
	listen_close(sup);
	giveback_kill_gateways(sup);
	helper_quit(&sup->gateway, GATEWAY_MS);
}

/* One step when the present phase is over; true: look again. */
static bool step(struct supervisor *sup)
{
	struct shutdown *d = &sup->shutdown;
	bool late = clock_mono_ms() >= d->deadline_mono_ms;
	enum order order;

	switch (d->phase) {
	case SHUTDOWN_ORDERED:
		order = order_of_stops(sup);
		if (order == ORDER_GOES_ON && late)
			enter(sup, SHUTDOWN_ORDERED, ORDER_MS);
		if (order == ORDER_GOES_ON || (order == ORDER_IDLE && !late))
			return false;
		if (order == ORDER_IDLE)
			log_warn("the controller stops nothing: stopping all at once");
		stop_the_rest(sup);
		return true;
	case SHUTDOWN_STOPPING:
		if ((any_living(sup) || d->hooks) && !late)
			return false;
		if (late && run_any_hook(sup)) { /* bounded by its own timeout */
			enter(sup, SHUTDOWN_STOPPING, ORDER_MS);
			return false;
		}
		name_the_living(sup);
		enter(sup, SHUTDOWN_SETTLING, SETTLE_MS);
		end_traffic(sup);
		return true;
	case SHUTDOWN_SETTLING:
		if (any_unsettled(sup) && !late)
			return false;
		if (!late && kill_the_untracked(sup))
			return false;
		name_the_unsettled(sup);
		enter(sup, SHUTDOWN_CONTROLLER, HELPER_MS + 2000);
		helper_quit(&sup->controller, HELPER_MS);
		return true;
	case SHUTDOWN_CONTROLLER:
		if (!helper_is_gone(&sup->controller) && !late)
			return false;
		enter(sup, SHUTDOWN_GATEWAY, GATEWAY_MS + 2000);
		runtime_quit_all(sup);
		return true;
	case SHUTDOWN_GATEWAY: /* before the logger: that stores what it still says */
		if ((!helper_is_gone(&sup->gateway) || !runtime_all_gone(sup)) && !late)
			return false;
		enter(sup, SHUTDOWN_LOGGER, HELPER_MS + 2000);
		helper_quit(&sup->logger, HELPER_MS);
		return true;
	case SHUTDOWN_LOGGER:
		if (!helper_is_gone(&sup->logger) && !late)
			return false;
		d->phase = SHUTDOWN_DONE;
		loop_stop(&sup->loop, d->failed ? 1 : 0);
		return false;
	case SHUTDOWN_NONE:
	case SHUTDOWN_DONE:
		break;
	}
	return false;
}

static void on_timer(void *user)
{
	struct supervisor *sup = user;

	sup->shutdown.poked = false;
	while (step(sup))
		;
	if (sup->shutdown.phase != SHUTDOWN_DONE)
		arm(sup);
}

static void on_again(void *user)
{
	shutdown_poke(user);
}

void shutdown_init(struct supervisor *sup)
{
	sup->shutdown.again = (struct loop_timer){.fn = on_again, .user = sup};
	sup->shutdown.timer = (struct loop_timer){.fn = on_timer, .user = sup};
}

void shutdown_poke(struct supervisor *sup)
{
	detach_poke(sup);
	if (sup->shutdown.phase == SHUTDOWN_NONE || sup->shutdown.poked)
		return;
	sup->shutdown.poked = true;
	loop_timer_arm(&sup->loop, &sup->shutdown.timer, 0);
}

static void force(struct supervisor *sup)
{
	log_warn("asked again: killing what still runs");
	sup->shutdown.forced = true;
	sup->shutdown.hooks = false;
	run_kill_all(sup);
	for (uint32_t i = 0; i < sup->n_slots; i++)
		if (sup->slots[i] && slot_is_living(sup->slots[i]))
			slot_stop(sup->slots[i], 0, 0);
	if (sup->shutdown.phase == SHUTDOWN_ORDERED || sup->shutdown.phase == SHUTDOWN_STOPPING)
		enter(sup, SHUTDOWN_STOPPING, AFTER_GRACE_MS);
}

void shutdown_ordered(struct supervisor *sup, bool yes)
{
	sup->shutdown.ordered = yes;
	if (yes && sup->shutdown.phase == SHUTDOWN_ORDERED)
		enter(sup, SHUTDOWN_ORDERED, ORDER_MS);
}

void shutdown_hooks(struct supervisor *sup, bool any)
{
	sup->shutdown.hooks = any && !sup->shutdown.forced;
	shutdown_poke(sup);
}

void shutdown_begin(struct supervisor *sup, bool by_signal)
{
	if (detach_is_leaving(sup)) {
		log_warn("detaching already: the services run on, ignoring");
		return;
	}
	if (adopt_defers_shutdown(sup, by_signal))
		return;
	if (sup->shutdown.phase != SHUTDOWN_NONE) {
		if (by_signal)
			force(sup);
		return;
	}
	log_info("stopping everything, slots=%u", sup->n_used);
	notify_stopping(sup);
	control_set_mode(sup, WIRE_MODE_SHUTDOWN);
	supervisor_start_helpers(sup);
	run_kill_all(sup);
	if (sup->shutdown.ordered)
		enter(sup, SHUTDOWN_ORDERED, ORDER_MS);
	else
		stop_the_rest(sup);
	link_flush(&sup->controller.link);
	shutdown_poke(sup);
}
