/*
 * apply: manifests become services. One at a time, the others wait (at most APPLY_QUEUE_MAX): parse
 * and check everything and look the users up in a worker thread (apply_check), find out what
 * changes (preview.h), commit to the store in one transaction, and only then change anything in
 * memory (apply_commit). All valid or nothing. A dry run ends after the third step and hands over
 * what it found: that is `plan`, by the same code.
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
struct manifest;
struct manifest_errors;
struct preview;
struct service_spec;
struct sources;

#define APPLY_QUEUE_MAX 32
#define APPLY_PLANS_MAX 16 /* dry runs among them: whoever reads may ask, and must not fill it */

#define APPLY_ANY_REVISION (-1)

/* What a dry run found of one service. */
struct apply_service {
	const char *name;
	const struct service_spec *now, *want; /* or NULL */
	const struct preview *preview;
};

struct apply_plan {
	const struct manifest *manifest;
	uint64_t revision, next_revision;     /* next == revision: nothing changes */
	const struct apply_service *services; /* by name */
	size_t n_services;
	char *const *not_in_manifest;		/* and not to be pruned; NULL-terminated */
	const struct manifest_errors *warnings; /* of this machine; the manifest has its own */
};

/* Exactly one of change, plan, errors and err is not NULL; all borrowed. */
struct apply_result {
	struct change *change;
	const struct apply_plan *plan;
	const struct manifest_errors *errors;
	const struct err *err;
	const char *code; /* of err where the API has a word of its own for it, or NULL */
};

struct apply_args {
	const char *change_id;	 /* NULL: a dry run */
	struct sources *sources; /* taken over (emptied) when it is submitted */
	bool prune;		 /* also remove what the set no longer holds */
	bool unasked; /* by nobody, at our start: what has failed and was taken back is not tried again */
	int64_t if_revision; /* conflict unless the set's is this one; 0: no such set */
	uint32_t uid;	     /* who applies */
	/* What the client says of itself; each may be NULL. Copied. */
	const char *by_user, *git_commit, *git_branch;
	bool git_dirty;
	/* Not called from inside apply_submit. */
	void (*done)(void *user, const struct apply_result *res);
	void *user;
};

struct apply_queue *apply_queue_new(void); /* NULL: out of memory */
/* At the controller's end, while the store still takes answers: whoever waits is told. What a worker
 * reads at the moment is left to it. NULL is a no-op. */
void apply_queue_close(struct apply_queue *q);
void apply_queue_free(struct apply_queue *q);
/* 0, -ERR_NOMEM or -ERR_BUSY (then done is not called). */
int apply_submit(struct controller *c, const struct apply_args *args);

#endif
