/*
 * probe_grpc: the standard health service of gRPC (grpc.health.v1.Health/Check) as bytes. Pure. One
 * request message with the service's name, one answer message with its status, each behind a frame
 * of five bytes; the outcome of the call itself is a number in the trailers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PROBE_GRPC_H
#define AICTL_CONTROLLER_PROBE_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define PROBE_GRPC_PATH "/grpc.health.v1.Health/Check"
#define PROBE_GRPC_SERVICE_MAX 255
#define PROBE_GRPC_SAID_MAX 80

struct probe_grpc_answer {
	int http_status;
	int status;			/* grpc-status; -1 = none came */
	char said[PROBE_GRPC_SAID_MAX]; /* grpc-message, as it came; "" = none */
	const uint8_t *body;
	size_t len;
};

/* The body of the request; service "" asks for the server as a whole. */
void probe_grpc_request(const char *service, struct buf *out);
/* One field of the headers or trailers, without the line's end, if it is about the call. */
void probe_grpc_field(struct probe_grpc_answer *a, const char *line, size_t n);
/* SERVING is good. message says what it is. */
bool probe_grpc_judge(const struct probe_grpc_answer *a, const char *service, char *message,
		      size_t n);

#endif
