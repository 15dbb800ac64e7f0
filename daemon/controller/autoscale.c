/* autoscale: see autoscale.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/autoscale.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#define TARGET_MIN 0.01
#define EPSILON 1e-6 /* three times 0.7 is no more than 2.1 */
#define NUMBER_MAX 1000000

const char *autoscale_reason_name(enum autoscale_reason reason)
{
	static const char *const names[] = {"steady",  "more", "less", "panic", "no_signal",
					    "delayed", "step", "min",  "max"};

	return (unsigned)reason < AUTOSCALE_REASON_MAX_ ? names[reason] : "steady";
}

const char *autoscale_kind_name(enum autoscale_kind kind)
{
	static const char *const names[] = {"concurrency", "rps", "cpu", "memory", "prometheus"};

	return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "";
}

bool autoscale_is_kpa(enum autoscale_kind kind)
{
	return kind == AUTOSCALE_CONCURRENCY || kind == AUTOSCALE_RPS;
}

void autoscale_begin(struct autoscale *a, unsigned number, unsigned ready, int64_t now_mono_ms)
{
	*a = (struct autoscale){0};
	for (int i = 0; i < AUTOSCALE_GOALS_MAX && ready > 1; i++)
		a->panics[i] = (struct autoscale_panic){true, now_mono_ms, number};
}

/* ---- numbers ---- */

static unsigned whole(double n)
{
	return n < 0 ? 0 : n > NUMBER_MAX ? NUMBER_MAX : (unsigned)n;
}

static unsigned up_to(double n)
{
	return whole(ceil(n - EPSILON));
}

static unsigned larger(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static unsigned clamp(unsigned n, unsigned low, unsigned high)
{
	return n > high ? high : n < low ? low : n;
}

static double target_of(const struct autoscale_goal *g)
{
	return g->target > TARGET_MIN ? g->target : TARGET_MIN;
}

/* What takes load, or soon will. */
static unsigned capacity(const struct autoscale_in *in)
{
	return larger(in->ready + in->starting, 1);
}

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* A step up is bounded before it is remembered: what is remembered of a peak is what was allowed. */
static unsigned bounded(const struct autoscale_rules *rules, const struct autoscale_in *in,
			unsigned n)
{
	return smaller(n, up_to(capacity(in) * rules->max_up_rate));
}

/* And a step down after the delays, each of which would begin anew with it. */
static unsigned least(const struct autoscale_rules *rules, const struct autoscale_in *in)
{
	return smaller(whole(floor(capacity(in) / rules->max_down_rate + EPSILON)), in->current);
}

/* ---- peaks ---- */

static void peak_put(struct autoscale_peak *p, int64_t window_ms, int64_t now, unsigned n)
{
	int64_t width = (window_ms + AUTOSCALE_PEAKS - 3) / (AUTOSCALE_PEAKS - 2), part;

	if (width < 1)
		width = 1;
	part = now / width;
	if (p->width_ms != width || part - p->newest >= AUTOSCALE_PEAKS) {
		*p = (struct autoscale_peak){.width_ms = width, .newest = part};
	} else {
		while (p->newest < part)
			p->max[++p->newest % AUTOSCALE_PEAKS] = 0;
	}
	p->max[part % AUTOSCALE_PEAKS] = larger(p->max[part % AUTOSCALE_PEAKS], n);
}

/* After a put at the same time. */
static unsigned peak_get(const struct autoscale_peak *p, int64_t window_ms, int64_t now)
{
	int64_t oldest = (now - window_ms) / p->width_ms;
	unsigned n = 0;

	for (int64_t i = p->newest; i >= oldest && i > p->newest - AUTOSCALE_PEAKS && i >= 0; i--)
		n = larger(n, p->max[i % AUTOSCALE_PEAKS]);
	return n;
}

/* ---- KPA ---- */

static bool is_over(const struct autoscale_rules *rules, const struct autoscale_in *in,
		    unsigned raw_panic)
{
	return (double)raw_panic / capacity(in) >= rules->panic_threshold;
}

static void kpa(struct autoscale_panic *panic, const struct autoscale_rules *rules,
		const struct autoscale_in *in, size_t i, struct autoscale_want *w)
{
	const struct autoscale_measure *m = &in->measures[i];
	const double target = target_of(&rules->goals[i]);
	unsigned stable, short_term;

	w->value = m->stable;
	w->panic_value = m->panic;
	w->raw = up_to(m->stable / target);
	w->raw_panic = up_to(m->panic / target);
	stable = bounded(rules, in, w->raw);
	short_term = bounded(rules, in, w->raw_panic);
	if (is_over(rules, in, w->raw_panic)) {
		panic->on = true;
		panic->since_mono_ms = in->now_mono_ms;
	} else if (panic->on && panic->since_mono_ms + rules->window_ms < in->now_mono_ms) {
		*panic = (struct autoscale_panic){0};
	}
	w->want = stable;
	if (panic->on) {
		panic->peak = larger(panic->peak, larger(stable, short_term));
		w->want = panic->peak;
	} else if (stable < in->current) {
		w->want = smaller(in->current, larger(stable, short_term));
	}
	w->panicking = panic->on;
}

/* ---- HPA ---- */

static bool is_within(const struct autoscale_rules *rules, double ratio)
{
	return fabs(ratio - 1) <= rules->tolerance + EPSILON;
}

/* Those of which nothing is known count against a change. */
static unsigned hpa_number(const struct autoscale_rules *rules, const struct autoscale_in *in,
			   size_t i)
{
	const struct autoscale_measure *m = &in->measures[i];
	const double target = target_of(&rules->goals[i]);
	const double ratio = m->sum / m->n / target;
	unsigned missing = in->ready > m->n ? in->ready - m->n : 0, n = m->n + missing;
	double sum = m->sum, again;
	unsigned number;

	if (!missing && !(in->starting && ratio > 1))
		return is_within(rules, ratio) ? in->current : up_to(ratio * m->n);
	if (ratio < 1)
		sum += target * missing;
	if (ratio > 1)
		n += in->starting;
	again = sum / n / target;
	if (is_within(rules, again) || (ratio < 1 && again > 1) || (ratio > 1 && again < 1))
		return in->current;
	number = up_to(again * n);
	if ((again < 1 && number > in->current) || (again > 1 && number < in->current))
		return in->current;
	return number;
}

static void hpa(const struct autoscale_rules *rules, const struct autoscale_in *in, size_t i,
		struct autoscale_want *w)
{
	const struct autoscale_measure *m = &in->measures[i];

	w->value = m->sum / m->n;
	w->within_tolerance = is_within(rules, w->value / target_of(&rules->goals[i]));
	w->raw = up_to(m->sum / target_of(&rules->goals[i]));
	w->want = bounded(rules, in, hpa_number(rules, in, i));
}

/* More is at most the double of what there was 15 s ago, or four. */
static unsigned hpa_step(struct autoscale *a, const struct autoscale_in *in, unsigned n)
{
	unsigned low;

	peak_put(&a->above, AUTOSCALE_UP_PERIOD_MS, in->now_mono_ms, UINT_MAX - in->current);
	low = UINT_MAX - peak_get(&a->above, AUTOSCALE_UP_PERIOD_MS, in->now_mono_ms);
	low = low < NUMBER_MAX ? larger(2 * low, low + AUTOSCALE_UP_COUNT) : low;
	return n > low ? larger(low, in->current) : n;
}

/* ---- together ---- */

struct sums {
	unsigned kpa, hpa; /* the highest of each */
	bool has_kpa, has_hpa, unknown;
};

static void add(struct sums *sums, enum autoscale_kind kind, const struct autoscale_want *w)
{
	bool is_kpa = autoscale_is_kpa(kind);
	unsigned *sum = is_kpa ? &sums->kpa : &sums->hpa;

	*sum = larger(*sum, w->want);
	sums->has_kpa |= is_kpa;
	sums->has_hpa |= !is_kpa;
	sums->unknown |= !w->known;
}

static struct sums ask_all(struct autoscale *a, const struct autoscale_rules *rules,
			   const struct autoscale_in *in, struct autoscale_verdict *v)
{
	struct sums sums = {0};

	for (size_t i = 0; i < rules->n; i++) {
		const struct autoscale_measure *m = &in->measures[i];
		const enum autoscale_kind kind = rules->goals[i].kind;
		struct autoscale_want *w = &v->wants[i];

		w->known = m->known && (autoscale_is_kpa(kind) || m->n > 0);
		if (!w->known)
			w->want = in->current;
		else if (autoscale_is_kpa(kind))
			kpa(&a->panics[i], rules, in, i, w);
		else
			hpa(rules, in, i, w);
		add(&sums, kind, w);
		if (w->want > v->wants[v->decisive].want)
			v->decisive = i;
	}
	return sums;
}

/* After our start what there was counts as wanted, but for limits. */
static void seed(struct autoscale *a, const struct autoscale_rules *rules,
		 const struct autoscale_in *in)
{
	if (a->seeded)
		return;
	a->seeded = true;
	if (rules->scale_down_delay_ms)
		peak_put(&a->delayed, rules->scale_down_delay_ms, in->now_mono_ms, in->current);
	if (rules->stabilization_ms)
		peak_put(&a->stabilized, rules->stabilization_ms, in->now_mono_ms, in->current);
}

static unsigned delay(struct autoscale *a, const struct autoscale_rules *rules,
		      const struct autoscale_in *in, struct sums *sums)
{
	if (sums->has_kpa) {
		peak_put(&a->delayed, rules->scale_down_delay_ms, in->now_mono_ms, sums->kpa);
		sums->kpa = peak_get(&a->delayed, rules->scale_down_delay_ms, in->now_mono_ms);
	}
	if (sums->has_hpa) {
		peak_put(&a->stabilized, rules->stabilization_ms, in->now_mono_ms, sums->hpa);
		sums->hpa = peak_get(&a->stabilized, rules->stabilization_ms, in->now_mono_ms);
		sums->hpa = hpa_step(a, in, sums->hpa);
	}
	return larger(sums->kpa, sums->hpa);
}

static enum autoscale_reason explain(const struct autoscale_in *in,
				     const struct autoscale_verdict *v, bool unknown,
				     unsigned after)
{
	unsigned low = larger(in->min, 1);

	if (after > in->max)
		return AUTOSCALE_MAX;
	if (after < low)
		return AUTOSCALE_MIN;
	if (after < v->wanted)
		return AUTOSCALE_STEP;
	if (v->number > in->current)
		return v->wants[v->decisive].panicking ? AUTOSCALE_PANIC : AUTOSCALE_MORE;
	if (unknown && v->wanted == in->current)
		return AUTOSCALE_UNKNOWN;
	if (v->number < in->current)
		return AUTOSCALE_LESS;
	if (after > v->wanted)
		return AUTOSCALE_DELAYED;
	return v->wants[v->decisive].panicking ? AUTOSCALE_PANIC : AUTOSCALE_STEADY;
}

struct autoscale_verdict autoscale_decide(struct autoscale *a, const struct autoscale_rules *rules,
					  const struct autoscale_in *in)
{
	struct autoscale_verdict v = {0};
	struct sums sums;
	unsigned after;

	seed(a, rules, in);
	sums = ask_all(a, rules, in, &v);
	v.wanted = larger(sums.kpa, sums.hpa);
	after = larger(delay(a, rules, in, &sums), least(rules, in));
	v.number = clamp(after, larger(in->min, 1), larger(in->max, 1));
	v.reason = explain(in, &v, sums.unknown, after);
	return v;
}

bool autoscale_is_urgent(const struct autoscale *a, const struct autoscale_rules *rules,
			 const struct autoscale_in *in)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct autoscale_measure *m = &in->measures[i];

		if (autoscale_is_kpa(rules->goals[i].kind) && m->known && !a->panics[i].on &&
		    is_over(rules, in, up_to(m->panic / target_of(&rules->goals[i]))))
			return true;
	}
	return false;
}
