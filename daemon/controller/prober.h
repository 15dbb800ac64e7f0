/*
 * prober: runs single http and tcp probes through one libcurl multi handle on the loop; schedules nothing
 * (health.c does). Always a new connection (a reused one does not see that the server stopped
 * accepting), no proxy, no redirects followed, CURLOPT_NOSIGNAL, body read and dropped, over 64 KiB
 * is a failure that says so. Ok is a whole answer with a status of 200 to 399; for tcp that the
 * connection is accepted (it is closed at once, nothing is said).
 *
 * At most PROBER_RUNNING_MAX exchanges run at a time, which bounds the descriptors; others wait in
 * order. The time-out of a run begins when it starts, not while it waits: hung services must not
 * make healthy ones fail.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PROBER_H
#define AICTL_CONTROLLER_PROBER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define PROBER_RUNNING_MAX 512
#define PROBER_BODY_MAX 65536

struct err;
struct prober;
struct probe_run;

struct probe_http {
	const char *host; /* numeric address; IPv6 without brackets */
	unsigned port;
	const char *path;   /* with the query, percent-encoded */
	int64_t timeout_ms; /* whole exchange, from the start */
};

struct probe_tcp {
	const char *host; /* as above */
	unsigned port;
	int64_t timeout_ms;
};

struct probe_result {
	bool ok;
	int status; /* HTTP status, 0 without an answer */
	int64_t duration_ms;
	char message
		[160]; /* "HTTP 500", "connected", "connection refused", "no answer within 2s", "body over 64
			      KiB" */
};

typedef void (*probe_cb)(const struct probe_result *result, void *user);

int prober_new(uv_loop_t *loop, struct prober **ret, struct err **reterr);
/* Cancels what runs (no callbacks) and closes its handles; memory is freed when the loop has closed
 * them. */
void prober_close(struct prober *p);
/* cb fires exactly once, never from inside this call, unless cancelled. NULL and an error: cb never
 * fires. */
int prober_http(struct prober *p, const struct probe_http *req, probe_cb cb, void *user,
		struct probe_run **ret, struct err **reterr);
int prober_tcp(struct prober *p, const struct probe_tcp *req, probe_cb cb, void *user,
	       struct probe_run **ret, struct err **reterr);
/* cb will not fire; the run is freed. Not allowed after cb has fired. */
void prober_cancel(struct probe_run *run);
unsigned prober_running(const struct prober *p); /* those that wait are counted too */

#endif
