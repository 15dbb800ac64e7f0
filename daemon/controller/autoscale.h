/*
 * autoscale: how many replicas a service shall have by its load. Pure: time and measures go in, a
 * number comes out, with the arithmetic that led to it.
 *
 * Concurrency and requests per second go by Knative's KPA (research/serving.md 3.1): the average
 * over the stable window decides; when the panic window alone wants panic_threshold times what
 * there is, it takes over, and until a stable window has passed since then nothing goes down. What
 * is starting counts as there: a load that takes minutes must not be ordered twice. A fresh start
 * with more than one replica begins in panic, so that nothing is taken away on empty windows.
 * Unlike Knative's, it takes away nothing that the panic window needs (a load that rises when panic
 * ends would lose replicas and get them back), and max_down_rate bounds what the delays leave,
 * not what they begin with (each halving would wait for them again).
 *
 * Processor, memory and a value that the replicas tell go by Kubernetes' HPA (3.2): the ready ones
 * times the ratio of value to target, nothing within the tolerance; those whose value is not known
 * count as at their target for less and as idle for more; starting ones as idle for more. The
 * highest number wanted within `stabilization` counts. More is at most the double or four within 15 s.
 *
 * Of several metrics the highest number counts. One that is not known wants what there is: so it
 * holds, and others may still ask for more. max_up_rate and max_down_rate bound each step, min and
 * max the whole. The result is at least 1: the last step to zero, and the first from there, is not
 * taken here.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_AUTOSCALE_H
#define AICTL_CONTROLLER_AUTOSCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/manifest.h"

#define AUTOSCALE_TICK_MS 2000
#define AUTOSCALE_GOALS_MAX 8
#define AUTOSCALE_UP_PERIOD_MS 15000 /* the HPA's */
#define AUTOSCALE_UP_COUNT 4

struct autoscale_goal {
	enum autoscale_kind kind;
	double target;	  /* for each replica; > 0 */
	const char *name; /* of a metric of the replicas' own; borrowed, or NULL */
};

struct autoscale_rules {
	int64_t window_ms, panic_window_ms, scale_down_delay_ms, stabilization_ms;
	double panic_threshold, max_up_rate, max_down_rate, tolerance;
	size_t n;
	struct autoscale_goal goals[AUTOSCALE_GOALS_MAX];
};

/* What is known of one goal now. */
struct autoscale_measure {
	bool known;
	double stable, panic; /* KPA: of all replicas together, averaged over each window */
	double sum;	      /* HPA: over the ready replicas of which it is known */
	unsigned n;	      /* and how many they are */
};

struct autoscale_in {
	int64_t now_mono_ms;
	unsigned current;	  /* wanted until now */
	unsigned ready, starting; /* replicas */
	unsigned min, max;	  /* as they are at this time; max > 0 */
	struct autoscale_measure measures[AUTOSCALE_GOALS_MAX];
};

/* The highest of the numbers of a window, which forgets none too early. */
#define AUTOSCALE_PEAKS 32
struct autoscale_peak {
	int64_t width_ms, newest; /* of a part of the window; the number of the last one */
	unsigned max[AUTOSCALE_PEAKS];
};

/* What is remembered from one decision to the next. Zeroed, then autoscale_begin. */
struct autoscale {
	struct autoscale_panic {
		bool on;
		int64_t since_mono_ms; /* the last time it was over the threshold */
		unsigned peak;
	} panics[AUTOSCALE_GOALS_MAX];
	struct autoscale_peak delayed;	  /* of the KPA's numbers, over scale_down_delay */
	struct autoscale_peak stabilized; /* of the HPA's, over stabilization */
	struct autoscale_peak above;	  /* UINT_MAX less the number there was, over 15 s */
	bool seeded;
};

enum autoscale_reason {
	AUTOSCALE_STEADY, /* what there is is right */
	AUTOSCALE_MORE,
	AUTOSCALE_LESS,
	AUTOSCALE_PANIC,   /* the short window asks for more, or has within the long one */
	AUTOSCALE_UNKNOWN, /* a metric is not known: held */
	AUTOSCALE_DELAYED, /* less would do, but not long enough: scale_down_delay or stabilization */
	AUTOSCALE_STEP,	   /* the step is bounded */
	AUTOSCALE_MIN,
	AUTOSCALE_MAX,
	AUTOSCALE_REASON_MAX_
};

/* How one goal came to its number. */
struct autoscale_want {
	bool known, panicking, within_tolerance;
	double value; /* KPA: over the stable window, of all; HPA: of one replica on average */
	double panic_value;	 /* KPA */
	unsigned raw, raw_panic; /* by the formula alone */
	unsigned want;		 /* with steps and panic */
};

struct autoscale_verdict {
	unsigned number;
	unsigned wanted; /* before delays and limits */
	enum autoscale_reason reason;
	size_t decisive; /* the goal with the highest number */
	struct autoscale_want wants[AUTOSCALE_GOALS_MAX];
};

bool autoscale_is_kpa(enum autoscale_kind kind);
/* There are so many already; nothing is known of before. */
void autoscale_begin(struct autoscale *a, unsigned number, unsigned ready, int64_t now_mono_ms);
struct autoscale_verdict autoscale_decide(struct autoscale *a, const struct autoscale_rules *rules,
					  const struct autoscale_in *in);
/* Is it over its threshold: to be looked at at once? Of KPA goals. */
bool autoscale_is_urgent(const struct autoscale *a, const struct autoscale_rules *rules,
			 const struct autoscale_in *in);
/* Stable words of the API: "steady", "more", "less", "panic", "no_signal", "delayed", "step",
 * "min", "max". */
const char *autoscale_reason_name(enum autoscale_reason reason);
/* "concurrency", "rps", "cpu", "memory", "prometheus" */
const char *autoscale_kind_name(enum autoscale_kind kind);

#endif
