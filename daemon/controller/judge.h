/*
 * judge: is a canary worse than the stable revision? Pure: what the gateway counted of both in the
 * same time goes in, a verdict comes out.
 *
 * Two questions, each by a bound of confidence, so that a small sample decides nothing and a clear
 * one decides soon:
 *  - errors: is the difference of the two error rates above update.judge.error_rate? It is bad when
 *    the lower bound of that difference is: Newcombe's hybrid score interval (method 10), made of
 *    the Wilson intervals of both rates.
 *  - p95: are more than 5 % of the canary's requests slower than update.judge.p95 times the stable
 *    one's p95? It is bad when the lower Wilson bound of that share is above 5 %. Counts in buckets
 *    are all there is, so the stable one's p95 is taken as the upper end of its bucket, and of the
 *    canary only whole buckets beyond the limit count: the error is always in the canary's favour,
 *    at most two buckets. JUDGE_SLACK_MS is never too slow: that much is the machine's noise.
 *
 * It is asked again each second, and each time is a chance to be wrong: thus the z of 3 (one-sided
 * 0.13 %) instead of the usual 2. Where the counts themselves are beyond a limit, but not the bound,
 * it is in doubt: more requests will tell.
 *
 * Sources: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
 * JASA 22 (1927) 209-212. R. G. Newcombe, "Interval estimation for the difference between
 * independent proportions: comparison of eleven methods", Statistics in Medicine 17 (1998) 873-890.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_JUDGE_H
#define AICTL_CONTROLLER_JUDGE_H

#include <stddef.h>
#include <stdint.h>

struct judge_spec;

#define JUDGE_BUCKETS_MAX 128
#define JUDGE_Z 3.0
#define JUDGE_P95_MIN 20 /* of fewer there is no 95th percentile */
#define JUDGE_SLACK_MS 1.0

/* What was counted of one revision. */
struct judge_side {
	uint64_t requests, errors;
	uint64_t times[JUDGE_BUCKETS_MAX]; /* whole latency: how many in each bucket */
};

/* Upper ends of the buckets, ascending; one more bucket holds what is beyond the last. */
struct judge_scale {
	const double *bound_ms;
	unsigned n;
};

enum judge_verdict {
	JUDGE_WAITS, /* too few requests */
	JUDGE_GOOD,
	JUDGE_DOUBT,
	JUDGE_BAD,
	JUDGE_VERDICT_MAX_
};

enum judge_by { JUDGE_BY_NOTHING, JUDGE_BY_ERRORS, JUDGE_BY_P95 };

struct judge_result {
	enum judge_verdict verdict;
	enum judge_by by;	      /* BAD, DOUBT */
	uint64_t lacks;		      /* WAITS: so many more of the canary's requests */
	uint64_t lacks_stable;	      /* or of the stable one's */
	double p95_ms, stable_p95_ms; /* in its bucket, by the rule of three; < 0 = unknown */
	double limit_ms;	      /* what is too slow; < 0 = unknown */
	uint64_t requests, stable_requests;
	uint64_t errors, stable_errors;
};

/* Wilson's interval of k of n. */
void judge_wilson(uint64_t k, uint64_t n, double z, double *ret_low, double *ret_high);
/* In ms; < 0 = nothing was counted. */
double judge_quantile(const struct judge_scale *scale, const uint64_t *times, double q);
struct judge_result judge(const struct judge_spec *limits, const struct judge_scale *scale,
			  const struct judge_side *canary, const struct judge_side *stable);
/* "errors 10.2 % (52 of 510) against 0.1 % (3 of 9690), more than 1 point above", ... */
void judge_say(const struct judge_result *r, const struct judge_spec *limits, char *text,
	       size_t size);
/* "waits", "good", ... */
const char *judge_verdict_name(enum judge_verdict v);

#endif
