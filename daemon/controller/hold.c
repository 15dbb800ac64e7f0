/* hold: see hold.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/hold.h"

#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/traffic.h"
#include "lib/clock.h"
#include "lib/mem.h"

static void tell(struct service *s, const char *reason, const char *text)
{
	events_add(s->controller->events,
		   &(struct event_args){s->name, -1, "hold", reason, text, NULL, NULL});
}

bool hold_is(const struct service *s)
{
	return s->held_until_mono_ms != 0;
}

bool hold_is_possible(const struct service *s)
{
	return s->spec && routes_port(s->spec, 0, NULL);
}

void hold_begin(struct service *s, int64_t ms)
{
	_cleanup_free_ char *text = NULL;
	char human[24];

	s->held_until_mono_ms = clock_add(clock_mono_ms(), ms);
	s->held_until_wall_ms = clock_add(clock_wall_ms(), ms);
	text = mem_printf("requests wait, for %s at most", clock_human(ms, human, sizeof(human)));
	tell(s, "user_hold", text ? text : "requests wait");
	traffic_touch(s);
}

void hold_restore(struct service *s, int64_t until_wall_ms)
{
	int64_t left = until_wall_ms - clock_wall_ms();

	if (left <= 0)
		return;
	left = left < HOLD_MAX_MS ? left : HOLD_MAX_MS; /* the clock may have been set back */
	s->held_until_wall_ms = until_wall_ms;
	s->held_until_mono_ms = clock_add(clock_mono_ms(), left);
}

static void end(struct service *s, const char *reason, const char *text)
{
	s->held_until_mono_ms = s->held_until_wall_ms = 0;
	tell(s, reason, text);
	traffic_touch(s);
}

void hold_release(struct service *s)
{
	if (hold_is(s))
		end(s, "user_release", "released by the user");
}

void hold_settle(struct service *s, int64_t *wake_mono_ms)
{
	if (!hold_is(s))
		return;
	if (clock_mono_ms() >= s->held_until_mono_ms)
		end(s, "hold_over", "released: its time is over");
	else if (s->held_until_mono_ms < *wake_mono_ms)
		*wake_mono_ms = s->held_until_mono_ms;
}

char *hold_say(const struct service *s)
{
	int64_t left = s->held_until_mono_ms - clock_mono_ms();
	char human[24];

	if (!hold_is(s))
		return NULL;
	return mem_printf("requests wait, for %s more at most (aictl release %s)",
			  clock_human(left > 0 ? left : 0, human, sizeof(human)), s->name);
}
