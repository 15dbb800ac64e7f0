/* judge: see judge.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/judge.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "lib/manifest.h"

#define Q 0.95

const char *judge_verdict_name(enum judge_verdict v)
{
	static const char *const names[] = {"waits", "good", "doubt", "bad"};

	return (unsigned)v < JUDGE_VERDICT_MAX_ ? names[v] : "unknown";
}

void judge_wilson(uint64_t k, uint64_t n, double z, double *ret_low, double *ret_high)
{
	double p, nn = (double)n, zz = z * z, middle, half;

	*ret_low = 0;
	*ret_high = 1;
	if (n == 0)
		return;
	p = (double)k / nn;
	middle = (p + zz / (2 * nn)) / (1 + zz / nn);
	half = z / (1 + zz / nn) * sqrt(p * (1 - p) / nn + zz / (4 * nn * nn));
	if (middle - half > 0 && k > 0)
		*ret_low = middle - half;
	if (middle + half < 1 && k < n)
		*ret_high = middle + half;
}

static uint64_t sum(const struct judge_scale *scale, const uint64_t *times)
{
	uint64_t n = 0;

	for (unsigned i = 0; i <= scale->n; i++)
		n += times[i];
	return n;
}

/* Which bucket holds it; scale->n + 1 = nothing was counted. */
static unsigned bucket_of(const struct judge_scale *scale, const uint64_t *times, double q,
			  uint64_t *ret_before)
{
	double rank = q * (double)sum(scale, times);
	uint64_t before = 0;
	unsigned i;

	for (i = 0; i <= scale->n; before += times[i], i++)
		if (times[i] > 0 && (double)(before + times[i]) >= rank)
			break;
	*ret_before = before;
	return i;
}

double judge_quantile(const struct judge_scale *scale, const uint64_t *times, double q)
{
	uint64_t before;
	unsigned i = bucket_of(scale, times, q, &before);
	double low, rank;

	if (i > scale->n)
		return -1;
	low = i > 0 ? scale->bound_ms[i - 1] : 0;
	if (i == scale->n) /* beyond the last: nobody knows how far */
		return low;
	rank = q * (double)sum(scale, times) - (double)before;
	return low + (scale->bound_ms[i] - low) * rank / (double)times[i];
}

/* ---- the two questions ---- */

static enum judge_verdict judge_errors(double limit, const struct judge_side *c,
				       const struct judge_side *s)
{
	double p1, p2, low1, high1, low2, high2, above;

	judge_wilson(c->errors, c->requests, JUDGE_Z, &low1, &high1);
	judge_wilson(s->errors, s->requests, JUDGE_Z, &low2, &high2);
	p1 = (double)c->errors / (double)c->requests;
	p2 = (double)s->errors / (double)s->requests;
	above = p1 - p2;
	if (above - hypot(p1 - low1, high2 - p2) > limit)
		return JUDGE_BAD;
	return above > limit ? JUDGE_DOUBT : JUDGE_GOOD;
}

/* What is surely too slow; < 0 = not known. */
static double limit_of(double times, const struct judge_scale *scale, const struct judge_side *s)
{
	uint64_t before;
	unsigned i = bucket_of(scale, s->times, Q, &before);
	double limit;

	if (i >= scale->n)
		return -1;
	limit = scale->bound_ms[i] * times;
	return limit > scale->bound_ms[i] + JUDGE_SLACK_MS ? limit
							   : scale->bound_ms[i] + JUDGE_SLACK_MS;
}

static enum judge_verdict judge_p95(double limit_ms, const struct judge_scale *scale,
				    const struct judge_side *c, const struct judge_side *s)
{
	uint64_t n = sum(scale, c->times), slow = 0;
	double low, high;

	if (limit_ms < 0 || n < JUDGE_P95_MIN || sum(scale, s->times) < JUDGE_P95_MIN)
		return JUDGE_GOOD;
	for (unsigned i = 1; i <= scale->n; i++)
		if (scale->bound_ms[i - 1] >= limit_ms)
			slow += c->times[i];
	judge_wilson(slow, n, JUDGE_Z, &low, &high);
	if (low > 1 - Q)
		return JUDGE_BAD;
	return (double)slow > (1 - Q) * (double)n ? JUDGE_DOUBT : JUDGE_GOOD;
}

static uint64_t lacks(uint64_t n, int64_t min)
{
	return min > 0 && (uint64_t)min > n ? (uint64_t)min - n : 0;
}

struct judge_result judge(const struct judge_spec *limits, const struct judge_scale *scale,
			  const struct judge_side *canary, const struct judge_side *stable)
{
	int64_t min = limits->min_requests > 0 ? limits->min_requests : 1;
	struct judge_result r = {.requests = canary->requests,
				 .errors = canary->errors,
				 .stable_requests = stable->requests,
				 .stable_errors = stable->errors,
				 .p95_ms = judge_quantile(scale, canary->times, Q),
				 .stable_p95_ms = judge_quantile(scale, stable->times, Q),
				 .limit_ms = limit_of(limits->p95, scale, stable),
				 .lacks = lacks(canary->requests, min),
				 .lacks_stable = lacks(stable->requests, min)};
	enum judge_verdict errors, p95;

	if (r.lacks || r.lacks_stable)
		return r;
	errors = judge_errors(limits->error_rate, canary, stable);
	p95 = judge_p95(r.limit_ms, scale, canary, stable);
	r.verdict = errors > p95 ? errors : p95;
	if (r.verdict != JUDGE_GOOD)
		r.by = errors == r.verdict ? JUDGE_BY_ERRORS : JUDGE_BY_P95;
	return r;
}

/* ---- in words ---- */

static double percent(uint64_t k, uint64_t n)
{
	return n ? 100.0 * (double)k / (double)n : 0;
}

/* "0.25 ms", "84 ms", "1.91 s" */
static const char *say_ms(double ms, char *text, size_t size)
{
	if (ms < 0)
		snprintf(text, size, "?");
	else if (ms < 10)
		snprintf(text, size, "%.2g ms", ms);
	else if (ms < 1000)
		snprintf(text, size, "%.0f ms", ms);
	else
		snprintf(text, size, "%.2f s", ms / 1000);
	return text;
}

static void say_missing(const struct judge_result *r, char *text, size_t size)
{
	uint64_t n = r->lacks ? r->lacks : r->lacks_stable;

	snprintf(text, size, "waits for %" PRIu64 " more request%s of the %s", n, n == 1 ? "" : "s",
		 r->lacks ? "canary" : "stable revision");
}

static void say_errors(const struct judge_result *r, const struct judge_spec *limits, char *text,
		       size_t size)
{
	snprintf(text, size,
		 "errors %.1f %% (%" PRIu64 " of %" PRIu64 ") against %.1f %% (%" PRIu64
		 " of %" PRIu64 "), more than %.3g point%s above",
		 percent(r->errors, r->requests), r->errors, r->requests,
		 percent(r->stable_errors, r->stable_requests), r->stable_errors,
		 r->stable_requests, limits->error_rate * 100,
		 limits->error_rate == 0.01 ? "" : "s");
}

static void say_p95(const struct judge_result *r, const struct judge_spec *limits, char *text,
		    size_t size)
{
	char a[24], b[24];

	snprintf(text, size,
		 "p95 %s against %s (%" PRIu64 " and %" PRIu64
		 " requests), more than %.3g times as long",
		 say_ms(r->p95_ms, a, sizeof(a)), say_ms(r->stable_p95_ms, b, sizeof(b)),
		 r->requests, r->stable_requests, limits->p95);
}

void judge_say(const struct judge_result *r, const struct judge_spec *limits, char *text,
	       size_t size)
{
	if (r->verdict == JUDGE_WAITS)
		say_missing(r, text, size);
	else if (r->by == JUDGE_BY_ERRORS)
		say_errors(r, limits, text, size);
	else if (r->by == JUDGE_BY_P95)
		say_p95(r, limits, text, size);
	else
		snprintf(text, size, "no worse than the stable revision");
}
