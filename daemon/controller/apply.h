/*
 * apply: manifests become services. One at a time, the others wait (at most APPLY_QUEUE_MAX): parse
 * and check everything, look the users up in a worker thread, commit to the store in one
 * transaction, and only then change anything in memory. All valid or nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_APPLY_H
#define AICTL_CONTROLLER_APPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct apply_queue;
struct change;
struct controller;
struct err;
struct manifest_errors;
struct sources;

#define APPLY_QUEUE_MAX 32

struct apply_args {
	const char *change_id;
	struct sources *sources; /* taken over (emptied) when it is submitted */
	bool prune;   /* also remove what the set no longer holds */
	uint32_t uid; /* who applies */
	/* Exactly one of the three is not NULL, all borrowed. Not called from inside apply_submit.
	 */
	void (*done)(void *user, struct change *ch, const struct manifest_errors *errors,
		     const struct err *err);
	void *user;
};

struct apply_queue *apply_queue_new(void); /* NULL: out of memory */
void apply_queue_free(struct apply_queue *q);
/* 0, -ERR_NOMEM or -ERR_BUSY (then done is not called). */
int apply_submit(struct controller *c, const struct apply_args *args);

#endif
