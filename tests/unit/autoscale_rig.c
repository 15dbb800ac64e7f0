/* autoscale_rig: see autoscale_rig.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/autoscale_rig.h"

#include <math.h>
#include <string.h>

#include "daemon/controller/demand.h"
#include "lib/mem.h"

#define STEP_MS 50   /* of the load */
#define WORD_MS 250  /* of the gateway */
#define CPU_MS 15000 /* over which processor time is averaged */
#define START INT64_C(1000000)
#define REPLICAS 64

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)

static double tenfold(double t)
{
	return t < 60 ? 4 : t < 240 ? 40 : 4;
}

static double ramp(double t)
{
	return t < 300 ? 4 + t / 300 * 76 : t < 600 ? 80 - (t - 300) / 300 * 76 : 4;
}

/* Two seconds long: shorter than the short window. */
static double spike(double t)
{
	return t >= 120 && t < 122 ? 200 : 8;
}

static double sine(double t)
{
	return 40 + 32 * sin(t / 300 * 2 * M_PI);
}

static double flapping(double t)
{
	return fmod(t, 10) < 5 ? 40 : 8;
}

static double cpu_step(double t)
{
	return t < 120 ? 60 : t < 600 ? 600 : 60;
}

static double cpu_wave(double t)
{
	return 400 + 20 * sin(t / 7) + 15 * sin(t * 1.3);
}

const struct autoscale_trace autoscale_rig_traces[] = {
	{"step", "ten times the load, for three minutes", tenfold, 8 * MINUTE, 3 * SECOND, 1, 20, 1,
	 AUTOSCALE_CONCURRENCY, 5.6, 0, 5 * MINUTE, false},
	{"slow start", "the same, and replicas that need a minute to start", tenfold, 8 * MINUTE,
	 MINUTE, 1, 20, 1, AUTOSCALE_CONCURRENCY, 5.6, 0, 5 * MINUTE, false},
	{"ramp", "up for five minutes, down for five", ramp, 12 * MINUTE, 3 * SECOND, 1, 20, 1,
	 AUTOSCALE_CONCURRENCY, 5.6, 0, 5 * MINUTE, false},
	{"spike", "twenty-five times the load, for two seconds", spike, 5 * MINUTE, 3 * SECOND, 1,
	 20, 2, AUTOSCALE_CONCURRENCY, 5.6, 0, 5 * MINUTE, false},
	{"sine", "between 8 and 72, in waves of five minutes", sine, 15 * MINUTE, 3 * SECOND, 1, 20,
	 8, AUTOSCALE_CONCURRENCY, 5.6, 0, 5 * MINUTE, false},
	{"flapping", "40 and 8 in turn, five seconds each", flapping, 8 * MINUTE, 3 * SECOND, 1, 20,
	 5, AUTOSCALE_CONCURRENCY, 5.6, 0, 5 * MINUTE, false},
	{"delay", "the step, with scale_down_delay: 90s", tenfold, 8 * MINUTE, 3 * SECOND, 1, 20, 1,
	 AUTOSCALE_CONCURRENCY, 5.6, 90 * SECOND, 5 * MINUTE, false},
	{"no signal", "the gateway is silent in the middle third", tenfold, 9 * MINUTE, 3 * SECOND,
	 1, 20, 1, AUTOSCALE_CONCURRENCY, 5.6, 0, 5 * MINUTE, true},
	{"cpu step", "ten times the processor time, for eight minutes", cpu_step, 18 * MINUTE,
	 3 * SECOND, 1, 20, 1, AUTOSCALE_CPU, 70, 0, 5 * MINUTE, false},
	{"cpu noise", "a noisy load about its target", cpu_wave, 10 * MINUTE, 3 * SECOND, 1, 20, 6,
	 AUTOSCALE_CPU, 70, 0, 5 * MINUTE, false},
};
const unsigned autoscale_rig_n = ARRAY_SIZE(autoscale_rig_traces);

struct world {
	const struct autoscale_trace *trace;
	struct autoscale_rules rules;
	struct autoscale scaler;
	struct demand demand;
	struct demand_reading word;
	double area_ms;
	double cpu[CPU_MS / STEP_MS]; /* the last seconds of the load */
	size_t n_cpu;
	int64_t ready_ms[REPLICAS]; /* of those that are wanted */
	unsigned number, bound;
};

const struct autoscale_trace *autoscale_rig_find(const char *name)
{
	for (unsigned i = 0; i < autoscale_rig_n; i++)
		if (strcmp(autoscale_rig_traces[i].name, name) == 0)
			return &autoscale_rig_traces[i];
	return NULL;
}

struct autoscale_rules autoscale_rig_rules(const struct autoscale_trace *trace)
{
	return (struct autoscale_rules){.window_ms = MINUTE,
					.panic_window_ms = 6 * SECOND,
					.scale_down_delay_ms = trace->scale_down_delay_ms,
					.stabilization_ms = trace->stabilization_ms,
					.panic_threshold = 2,
					.max_up_rate = 1000,
					.max_down_rate = 2,
					.tolerance = 0.1,
					.n = 1,
					.goals = {{trace->kind, trace->target, NULL}}};
}

static unsigned ready(const struct world *w, int64_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->number; i++)
		n += w->ready_ms[i] <= now;
	return n;
}

static void measure(const struct world *w, int64_t now, struct autoscale_in *in)
{
	struct autoscale_measure *m = &in->measures[0];
	double sum = 0;

	if (autoscale_is_kpa(w->trace->kind)) {
		m->known = demand_is_known(&w->demand, now);
		m->stable = demand_concurrency(&w->demand, DEMAND_STABLE, now);
		m->panic = demand_concurrency(&w->demand, DEMAND_PANIC, now);
		return;
	}
	for (size_t i = 0; i < w->n_cpu && i < ARRAY_SIZE(w->cpu); i++)
		sum += w->cpu[i];
	m->known = w->n_cpu >= ARRAY_SIZE(w->cpu);
	m->n = in->ready;
	m->sum = sum / (double)ARRAY_SIZE(w->cpu);
}

static void follow(struct world *w, unsigned number, int64_t now)
{
	for (unsigned i = w->number; i < number; i++)
		w->ready_ms[i] = now + w->trace->start_ms;
	w->number = number;
}

static struct autoscale_in ask(const struct world *w, int64_t now)
{
	struct autoscale_in in = {.now_mono_ms = now,
				  .current = w->number,
				  .ready = ready(w, now),
				  .min = w->trace->min,
				  .max = w->trace->max};

	in.starting = w->number - in.ready;
	measure(w, now, &in);
	return in;
}

static struct autoscale_point decide(struct world *w, const struct autoscale_in *in, double load)
{
	struct autoscale_verdict v = autoscale_decide(&w->scaler, &w->rules, in);
	const struct autoscale_want *x = &v.wants[0];
	unsigned most = x->raw > x->raw_panic ? x->raw : x->raw_panic;

	w->bound = most > w->bound ? most : w->bound;
	return (struct autoscale_point){.at_ms = in->now_mono_ms - START,
					.load = load,
					.stable = x->value,
					.panic = x->panic_value,
					.before = in->current,
					.number = v.number,
					.ready = in->ready,
					.needed = (unsigned)ceil(load / w->trace->target),
					.bound = w->bound,
					.reason = v.reason,
					.panicking = x->panicking};
}

static bool is_lost(const struct autoscale_trace *t, int64_t at)
{
	return t->lost_midway && at >= t->length_ms / 3 && at < t->length_ms * 2 / 3;
}

static void tell(struct world *w, int64_t now, double load)
{
	w->word.active = (uint32_t)lround(load);
	w->word.area_us = (uint64_t)(w->area_ms * 1000);
	w->word.arrived++;
	demand_take(&w->demand, &w->word, now);
}

static void begin(struct world *w)
{
	const struct autoscale_trace *t = w->trace;

	w->rules = autoscale_rig_rules(t);
	w->word.port = "http";
	w->number = t->first;
	w->bound = t->first;
	autoscale_begin(&w->scaler, t->first, t->first, START);
	demand_windows(&w->demand, w->rules.window_ms, w->rules.panic_window_ms, START);
	demand_connect(&w->demand, true, START);
	demand_take(&w->demand, &w->word, START);
}

void autoscale_rig_play(const struct autoscale_trace *t,
			void (*fn)(const struct autoscale_point *p, void *user), void *user)
{
	struct world w = {.trace = t};

	begin(&w);
	for (int64_t at = STEP_MS; at <= t->length_ms; at += STEP_MS) {
		const int64_t now = START + at;
		const double load = t->load((double)(at - 1) / 1000);
		struct autoscale_point p;
		struct autoscale_in in;

		w.area_ms += load * STEP_MS;
		w.cpu[w.n_cpu++ % ARRAY_SIZE(w.cpu)] = load;
		if (at % WORD_MS == 0 && !is_lost(t, at))
			tell(&w, now, load);
		if (at % WORD_MS)
			continue;
		in = ask(&w, now);
		if (at % AUTOSCALE_TICK_MS && !autoscale_is_urgent(&w.scaler, &w.rules, &in))
			continue;
		p = decide(&w, &in, load);
		follow(&w, p.number, now);
		fn(&p, user);
	}
}
