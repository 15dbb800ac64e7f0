/*
 * probe_expect: what the answer to an HTTP request must be: its status, members of its JSON, how
 * long it may take. Pure: no clock, no I/O. Of the JSON every named member must be there with the
 * same value, inside objects likewise; lists are as long as they say and agree entry by entry;
 * numbers are compared as numbers, 1 and 1.0 are the same. What an answer holds besides is its own
 * affair.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PROBE_EXPECT_H
#define AICTL_CONTROLLER_PROBE_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct probe_expect;

struct probe_answer {
	int status;
	const char *body; /* needed where probe_expect_body says so */
	size_t len;
	int64_t took_ms;
};

/* All is copied. statuses NULL: 200 to 399; json NULL: any body; max_latency_ms 0: any time. *ret is
 * NULL when nothing but the status counts and that is 200 to 399. */
int probe_expect_new(char *const *statuses, const char *json, int64_t max_latency_ms,
		     struct probe_expect **ret, struct err **reterr);
void probe_expect_free(struct probe_expect *e);
bool probe_expect_body(const struct probe_expect *e); /* e may be NULL */
/* Is it as expected? message says what it is: "HTTP 200", "HTTP 200, but status is \"loading\", not
 * \"ok\"". e may be NULL. */
bool probe_expect_judge(const struct probe_expect *e, const struct probe_answer *answer,
			char *message, size_t n);

#endif
