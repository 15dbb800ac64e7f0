/*
 * docker: the runtime plugin for engines that speak Docker's API over a Unix socket: Docker Engine
 * and Podman's compatible service. What one instance has, and how its operations end.
 *
 *   docker.c          what the host calls: open, close, the operations' beginnings
 *   docker_engine.c   is the engine there: version, events, heartbeat, back-off
 *   docker_units.c    what we know of our containers: inspect, events, list
 *   docker_start.c    pull, create, start
 *   docker_acts.c     signal, remove, stats
 *   docker_exec.c, docker_logs.c over docker_stream.c and docker_out.c: output
 *   docker_oom.c      Podman does not tell of OOM kills: the kernel does
 *   the rest          pure parts, and docker_http.c, the requests
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_H
#define AICTL_PLUGINS_DOCKER_H

#include <aictl/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define DOCKER_SCRATCH 65536

struct docker_engine;
struct docker_http;
struct docker_units;

/* An operation of the host's: the first member of what does the work. */
struct docker_op {
	struct docker *d;
	uint64_t op;
	/* Ends the work soon; frees and ends the operation in the end. */
	void (*cancel)(struct docker_op *op);
	/* The engine came or went; NULL: does not matter. */
	void (*engine)(struct docker_op *op, bool up);
	/* What was learnt about this unit may matter; both NULL: nothing does. */
	const char *unit;
	void (*changed)(struct docker_op *op);
	/* The engine has answered a ping; NULL: does not matter. */
	void (*alive)(struct docker_op *op);
	/* While the engine's coming or going is told: this one knows. */
	bool told;
	LIST_ENTRY(docker_op) all;
};

struct docker {
	const struct aictl_host *host;
	char *name, *instance, *socket_path, *endpoint;
	struct docker_http *http;
	struct docker_engine *engine;
	struct docker_units *units;
	LIST_HEAD(, docker_op) ops;
	const void *network_maker; /* the start that makes one; compared only */
	bool closing;		   /* whatever is canceled ends at once */
	char *scratch;		   /* for reads that are used up at once */
};

void docker_log(const struct docker *d, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* op is a fresh one; it stands in the list from now on. */
void docker_begin(struct docker *d, struct docker_op *op, uint64_t number,
		  void (*cancel)(struct docker_op *op));
/* Takes it out of the list and completes; `text` is printed to. The caller frees it. */
void docker_end(struct docker_op *op, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void docker_end_with(struct docker_op *op, const struct aictl_result *result);
/* For operations that never were. */
void docker_refuse(struct docker *d, uint64_t number, int code, const char *text);

/* The engine came or went: tells the operations. */
void docker_engine_changed(struct docker *d, bool up);
void docker_alive(struct docker *d);
void docker_changed(struct docker *d, const char *unit);

#endif
