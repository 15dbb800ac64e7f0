/*
 * zero: when a service whose range begins at 0 goes to zero replicas, and when it comes back. Pure:
 * what is seen of it and the time go in.
 *
 * Without a request for `idle` it goes to sleep; a request wakes it, or the user. The step from 0 is
 * to one replica, however many requests wait, and there it stays until that one has been ready: what
 * comes then is the scaler's business. A start is not given up because nobody waits for it any more:
 * idle counts from when it was ready.
 *
 * Where nothing is known of the requests (no gateway) nothing is concluded from that: it stays up,
 * and idle counts from when they are known again. What has no replica when it is first seen, after
 * an apply or a boot, begins asleep.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_ZERO_H
#define AICTL_CONTROLLER_ZERO_H

#include <stdbool.h>
#include <stdint.h>

struct zero {
	bool known; /* looked at before, while it could be at zero */
	bool asleep;
	bool waking;	      /* and none has been ready since */
	int64_t used_mono_ms; /* a request was seen last, or it was woken */
};

struct zero_seen {
	bool can; /* its range begins at 0, and it is wanted at all */
	int64_t idle_ms;
	bool called;	   /* a request waits, or came since it went to sleep */
	bool in_use;	   /* one is under way, waits, or came since the last look */
	bool pinned;	   /* it has to be up: a number of the user's, a window of the schedule */
	bool busy;	   /* not now: an update, a start, a failure, more than one wanted */
	unsigned ready;	   /* replicas */
	unsigned replicas; /* without those that are going */
	int64_t ready_mono_ms;	 /* since when the newest of them is; 0 = none is */
	int64_t sighted_mono_ms; /* since when the requests are known; -1 = they are not */
};

enum zero_verdict { ZERO_STAYS, ZERO_SLEEPS, ZERO_WAKES };

/* *wake_mono_ms: look again then, if that is sooner. */
enum zero_verdict zero_step(struct zero *z, const struct zero_seen *seen, int64_t now_mono_ms,
			    int64_t *wake_mono_ms);
/* It is to be up now, whatever is asked of it. False: it is. */
bool zero_rouse(struct zero *z, int64_t now_mono_ms);
/* It is to sleep now. */
void zero_lull(struct zero *z);
/* Of the number that somebody else wants: what it may be now. */
unsigned zero_bound(const struct zero *z, unsigned n);
/* How long a start is expected to take, of what was expected and what the last one took; 0 = not
 * known. */
int64_t zero_learn(int64_t expected_ms, int64_t took_ms);

#endif
