/*
 * runtimes: the engines that run containers, as aictld tells of them (RUNTIME): which are enabled
 * (aictld --runtime), and whether they answer. What an engine that does not answer runs is not known
 * at the time: its replicas are shown as unknown, nothing is restarted for it and nothing counts as
 * failed; their states, probes and routes go on as they were (replica_unit.h).
 *
 * Two processes stand between us and an engine, so a short silence of theirs, when one is started
 * again, is no news.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_RUNTIMES_H
#define AICTL_CONTROLLER_RUNTIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire_unit.h"

struct controller;
struct err;
struct jsonw;
struct runtimes;
struct service_spec;

#define RUNTIMES_REASON "engine_unreachable"
#define RUNTIMES_QUIET_MS 3000 /* that our own processes may be silent */
#define RUNTIMES_PROCESS "process"

struct runtimes *runtimes_new(void); /* NULL: out of memory */
void runtimes_free(struct runtimes *k);
/* aictld's word: told to the services that have replicas there. */
void runtimes_take(struct controller *c, const struct wire_runtime *m);
/* In the order of aictld's options; NULL: there are no more. Borrowed as below. */
const struct wire_runtime *runtimes_at(const struct runtimes *k, size_t i);
/* NULL: it is not enabled. Borrowed until the next runtimes_take. */
const struct wire_runtime *runtimes_find(const struct runtimes *k, const char *name);
/* Nobody can say what it runs: it is not reachable, or not enabled (any more). */
bool runtimes_is_lost(const struct runtimes *k, const char *name, int64_t now_mono_ms);
/* "engine unreachable since 2026-01-02T03:04:05Z: Connection refused". Borrowed as above. */
const char *runtimes_why_lost(const struct runtimes *k, const char *name);
/* May the service be applied? A process always. */
int runtimes_check(const struct runtimes *k, const struct service_spec *spec, struct err **reterr);
/* What a service runs on: "process", "docker". Borrowed. */
const char *runtimes_name_of(const struct service_spec *spec);
/* The array "runtimes" of GET /v1/daemon. */
void runtimes_write(const struct runtimes *k, struct jsonw *w);

#endif
