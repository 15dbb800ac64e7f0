/*
 * demand: what is asked of a service, as the gateway tells it: how many requests are under way or
 * wait, averaged over a long and a short window, and how many came. Pure: time is an argument.
 *
 * The gateway counts up (an integral over time, and arrivals) for each of the service's ports, and
 * tells of it when something happens, at least once a second while anything is under way. So its
 * silence behind a "nothing" means nothing; behind anything else, that it is not known how much is
 * under way. A gateway that is new counts from the beginning, and the first word of one that is not
 * is where we begin to count.
 *
 * Averages over a window go back to when the counting began at most: one of a minute is worth
 * something after ten seconds.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_DEMAND_H
#define AICTL_CONTROLLER_DEMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEMAND_SILENCE_MS 3000 /* after which it is not known any more */
#define DEMAND_BUCKETS 48      /* of a window: it is exact to one of them */
#define DEMAND_BUCKET_MIN_MS 250
#define DEMAND_PORTS_MAX 8 /* of a service; more count as if they got nothing */

/* One message about one port. */
struct demand_reading {
	const char *port;		    /* its name */
	uint32_t waiting, active;	    /* now */
	uint64_t arrived, refused, area_us; /* since that gateway knows it */
	uint32_t longest_wait_ms;	    /* of those that wait */
};

enum demand_span { DEMAND_STABLE, DEMAND_PANIC, DEMAND_SPAN_MAX_ };

/* A ring over a window. */
struct demand_ring {
	int64_t window_ms, width_ms;
	int64_t newest; /* number of the bucket that is being filled: time / width */
	double area_ms[DEMAND_BUCKETS], arrived[DEMAND_BUCKETS];
};

struct demand_port {
	char name[64];	    /* "" = free */
	bool known;	    /* of this gateway */
	int64_t at_mono_ms; /* of the last reading */
	uint32_t waiting, active, longest_wait_ms;
	uint64_t arrived, refused, area_us;
};

struct demand {
	bool connected;	       /* there is a gateway */
	int64_t since_mono_ms; /* counting began; 0 = not yet */
	int64_t last_mono_ms;  /* the last time at which there was any; 0 = never */
	uint64_t refused;      /* since we count */
	struct demand_port ports[DEMAND_PORTS_MAX];
	struct demand_ring rings[DEMAND_SPAN_MAX_];
};

/* Windows may change later: what was counted in one that changed is lost. */
void demand_windows(struct demand *d, int64_t stable_ms, int64_t panic_ms, int64_t now_mono_ms);
/* A gateway has come, or the one there was has gone. */
void demand_connect(struct demand *d, bool connected, int64_t now_mono_ms);
void demand_take(struct demand *d, const struct demand_reading *m, int64_t now_mono_ms);
/* Only those ports are left; of the others no more is told. */
void demand_keep(struct demand *d, bool (*has)(const void *user, const char *port),
		 const void *user);
/* What was asked until now does not count, as if nothing had been: it has waited for the first replica. */
void demand_forget(struct demand *d, int64_t now_mono_ms);
/* False: there is no gateway, or it has fallen silent. */
bool demand_is_known(const struct demand *d, int64_t now_mono_ms);
/* Under way and waiting, on average over the window. */
double demand_concurrency(const struct demand *d, enum demand_span span, int64_t now_mono_ms);
/* Arrived a second. */
double demand_rps(const struct demand *d, enum demand_span span, int64_t now_mono_ms);
/* Under way and waiting, at the last word. */
uint64_t demand_now(const struct demand *d);
/* Nothing is under way, and nothing was in either window: it can be asked again when there is. */
bool demand_is_quiet(const struct demand *d, int64_t now_mono_ms);

#endif
