/*
 * prober: runs single http, grpc and tcp probes through one libcurl multi handle on the loop; schedules nothing
 * (health.c does). Always a new connection (a reused one does not see that the server stopped
 * accepting), no proxy, no redirects followed, CURLOPT_NOSIGNAL, body read and dropped, over 64 KiB
 * is a failure that says so. Ok is a whole answer as it is expected (status 200 to 399 unless said
 * otherwise); for tcp that the connection is accepted (it is closed at once, nothing is said).
 * Hooks and the warm-up send their requests through it, too.
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

#include "lib/manifest.h"

#define PROBER_RUNNING_MAX 512
#define PROBER_BODY_MAX 65536

struct err;
struct prober;
struct probe_run;

/* Members that are 0 or NULL are as one expects: GET, no header, no body, 200 to 399, ... */
struct probe_http {
	const char *host; /* numeric address, IPv6 without brackets; or the path of a Unix socket */
	unsigned port;
	const char *path;   /* with the query, percent-encoded */
	int64_t timeout_ms; /* whole exchange, from the start */
	enum request_method method;
	char *const *headers;  /* "Name=value"... */
	const char *body;      /* of a POST or PUT; JSON unless headers say otherwise */
	char *const *statuses; /* "200", "200-299" */
	const char *json;      /* the answer is a JSON object with these members */
	int64_t max_latency_ms;
	/* Gets each piece of the answer's body and the callback's user; NULL = nobody does. */
	void (*on_body)(const char *data, size_t n, void *user);
	size_t body_max; /* 0 = PROBER_BODY_MAX; a longer one is a failure */
};

/* The standard health service of gRPC, without TLS; see probe_grpc.h. */
struct probe_grpc {
	const char *host; /* as above */
	unsigned port;
	const char *service; /* "" = the server as a whole */
	int64_t timeout_ms;
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
/* What a manifest says; port is the number that r->port stands for. Borrows from r. */
struct probe_http prober_request(const struct request_spec *r, unsigned port, int64_t timeout_ms);
/* All of req is copied. cb fires exactly once, never from inside this call, unless cancelled. NULL and an error: cb never
 * fires. */
int prober_http(struct prober *p, const struct probe_http *req, probe_cb cb, void *user,
		struct probe_run **ret, struct err **reterr);
int prober_grpc(struct prober *p, const struct probe_grpc *req, probe_cb cb, void *user,
		struct probe_run **ret, struct err **reterr);
int prober_tcp(struct prober *p, const struct probe_tcp *req, probe_cb cb, void *user,
	       struct probe_run **ret, struct err **reterr);
/* cb will not fire; the run is freed. Not allowed after cb has fired. */
void prober_cancel(struct probe_run *run);
unsigned prober_running(const struct prober *p); /* those that wait are counted too */

#endif
