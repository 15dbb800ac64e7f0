/*
 * api_metrics: the text of metrics.h, as GET /v1/metrics of the API, and as /metrics on the TCP
 * address that aictld was given with --metrics: for a Prometheus, which may read that and nothing
 * else. Off the API's socket nobody is asked who he is: a text is made at most twice a second, few
 * connections are taken, and all of them are idle for a short time only.
 *
 * The address is opened here, and tried again each second while it is not free.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_API_METRICS_H
#define AICTL_CONTROLLER_API_METRICS_H

struct controller;
struct metrics_port;

/* "127.0.0.1:9145", "[::1]:9145"; NULL: nothing to do. */
void api_metrics_open(struct controller *c, const char *address);
/* What waits is answered or gone; the memory goes with the loop's next round. NULL is a no-op. */
void api_metrics_close(struct metrics_port *p);

#endif
