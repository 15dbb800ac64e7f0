/*
 * autoscale_rig: a service under a load that is played, with the real arithmetic and a clock of its
 * own. Shared by the tests and the benchmark, which draws what they check.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_AUTOSCALE_RIG_H
#define TESTS_UNIT_AUTOSCALE_RIG_H

#include <stdint.h>

#include "daemon/controller/autoscale.h"

struct autoscale_trace {
	const char *name, *what;
	double (*load)(double t_s);  /* requests under way, or percent of a processor in all */
	int64_t length_ms, start_ms; /* start: from a replica's start to ready */
	unsigned min, max, first;    /* replicas; first: ready at the beginning */
	enum autoscale_kind kind;
	double target;
	int64_t scale_down_delay_ms, stabilization_ms;
	bool lost_midway; /* no signal in the middle third */
};

/* After each decision. */
struct autoscale_point {
	int64_t at_ms;
	double load, stable, panic;
	unsigned before, number, ready;
	unsigned needed; /* by the formula, of the load right then */
	unsigned bound;	 /* the most that the formula gave for any window so far */
	enum autoscale_reason reason;
	bool panicking;
};

extern const struct autoscale_trace autoscale_rig_traces[];
extern const unsigned autoscale_rig_n;

struct autoscale_rules autoscale_rig_rules(const struct autoscale_trace *trace);
const struct autoscale_trace *autoscale_rig_find(const char *name);
void autoscale_rig_play(const struct autoscale_trace *trace,
			void (*fn)(const struct autoscale_point *p, void *user), void *user);

#endif
