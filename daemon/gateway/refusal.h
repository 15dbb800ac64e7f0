/*
 * refusal: an answer of the gateway's own. Pure: the time goes in.
 *
 * The body is JSON in the shape that OpenAI's clients know: {"error": {"message", "type", "param",
 * "code"}}. Where a replica is missing it says what the service is and, if a start is under way, when
 * that is expected to be over: {"loading": {"state", "eta_seconds"}}, and Retry-After the same.
 * Where none will come it says why, and there is no Retry-After.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_REFUSAL_H
#define AICTL_GATEWAY_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct route;

#define REFUSAL_RETRY_MAX_S 120 /* of Retry-After: then the client may ask again */
#define REFUSAL_RETRY_UNKNOWN_S 5

struct refusal {
	unsigned status;
	const char *why;
	const struct route *route; /* of 503: who was asked for; or NULL */
	const char *id;		   /* of the request; "" = none */
	bool close, is_head;
};

/* A whole response. */
void refusal_write(const struct refusal *r, int64_t now_mono_ms, struct buf *out);

#endif
