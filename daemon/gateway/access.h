/*
 * access: the access log, a JSON line for each request (or a connection, in tcp mode) of the share
 * that its service's access_log wants: exactly that share, the first ones not before the others.
 *
 * access.log in the directory that aictld gave, and the former ones as access.log.1 (the newest) to
 * .ACCESS_FILES. A worker thread writes: a disk that hangs stops no request. What waits for it is
 * bounded; lines beyond that are dropped and counted, in a line of their own.
 *
 * Several may write to the same file, other threads and, for a while, another gateway: each line is in
 * one write, and one of them at a time moves the files.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_ACCESS_H
#define AICTL_GATEWAY_ACCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "lib/buf.h"

struct backend;
struct exchange;
struct head;
struct route;

#define ACCESS_SIZE (10 << 20) /* of one file */
#define ACCESS_FILES 4	       /* former ones */
#define ACCESS_WAITING (1 << 20)

struct access {
	uv_loop_t *uv;
	uv_timer_t timer; /* what has come is written then */
	uv_work_t work;
	bool busy; /* the worker has what is below `writing` */
	struct buf waiting;
	uint64_t dropped;
	/* The worker's, while it is busy. */
	int dir_fd, fd; /* -1 */
	off_t size, size_max;
	struct buf writing;
	int err; /* errno of the last try */
	int err_told;
};

void access_init(struct access *a, uv_loop_t *uv);
void access_open(struct access *a, int dir_fd); /* owned */
/* Writes what waits, for a short time at most; its handle is to be closed by running the loop.
 * False: the disk hangs, and so would the loop's end. */
bool access_close(struct access *a);

/* Of a new request, if it is among the share. h: NULL in tcp mode. */
void access_begin(struct exchange *x, struct route *r, const struct head *h);
/* The rest are no-ops for the others. It leaves the backend; failed: without a whole answer. */
void access_leave(struct exchange *x, const struct backend *b, bool failed);
void access_answer(struct exchange *x, unsigned status); /* one of ours */
void access_end(struct exchange *x);

#endif
