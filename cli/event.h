/*
 * event: one event of GET /v1/events as a line for people.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_EVENT_H
#define AICTL_CLI_EVENT_H

#include <cjson/cJSON.h>

struct buf;

/* "sentiment/0", "sentiment" or "aictld". Caller frees. */
char *event_object(const cJSON *event);
/* "ready: readiness probe passed", or the message alone when no state changed. Caller frees. */
char *event_what(const cJSON *event);
/* The event's time in the local zone, "2026-01-02 03:04:05", or "-". Caller frees. */
char *event_time(const cJSON *event);

#endif
