/*
 * log_work: what reads the logs' directory off the loop. A disk that hangs keeps a worker thread
 * until it answers, and libuv has few of those, which an apply needs as well (users are looked up
 * there): so at most LOG_WORKERS_MAX read logs at once. The others wait in a queue; who waits can
 * be taken out of it, so that it is never longer than there are clients, replicas and the like.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_LOG_WORK_H
#define AICTL_CONTROLLER_LOG_WORK_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#define LOG_WORKERS_MAX 3 /* of libuv's four */

struct controller;

/* Embedded in whoever wants something read; it stays valid until done, or a cancel that is true. */
struct log_work {
	TAILQ_ENTRY(log_work) next;
	uv_work_t work;
	struct controller *c;
	void (*read)(struct log_work *w); /* in a worker thread */
	/* On the loop; false: it was not read, since the controller ends. May begin again. */
	void (*done)(struct log_work *w, bool was_read);
	void *user;
	bool waiting;
};

/* Of the controller. */
struct log_workers {
	TAILQ_HEAD(log_work_list, log_work) waiting;
	unsigned n; /* that read, or are stuck */
};

void log_work_init(struct log_workers *l);
/* read, done and user are set. */
void log_work_start(struct controller *c, struct log_work *w);
/* true: it still waited, and done is not called. */
bool log_work_cancel(struct log_work *w);
/* The controller ends: who waits is told so. */
void log_work_close(struct controller *c);

#endif
