/*
 * autoscale: plays each load of tests/unit/autoscale_rig.c to the scaler's arithmetic and prints a
 * line of JSON for each decision, behind one for the load: what the benchmark draws is what the
 * tests check.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include "tests/unit/autoscale_rig.h"

static void print(const struct autoscale_point *p, void *user)
{
	(void)user;
	printf("{\"at_ms\":%lld,\"load\":%.3f,\"stable\":%.3f,\"panic\":%.3f,\"before\":%u,"
	       "\"number\":%u,\"ready\":%u,\"needed\":%u,\"bound\":%u,\"reason\":\"%s\",\"panicking\":%s}\n",
	       (long long)p->at_ms, p->load, p->stable, p->panic, p->before, p->number, p->ready,
	       p->needed, p->bound, autoscale_reason_name(p->reason),
	       p->panicking ? "true" : "false");
}

int main(void)
{
	for (unsigned i = 0; i < autoscale_rig_n; i++) {
		const struct autoscale_trace *t = &autoscale_rig_traces[i];

		printf("{\"trace\":\"%s\",\"what\":\"%s\",\"metric\":\"%s\",\"target\":%g,\"max\":%u}\n",
		       t->name, t->what, autoscale_kind_name(t->kind), t->target, t->max);
		autoscale_rig_play(t, print, NULL);
	}
	return 0;
}
