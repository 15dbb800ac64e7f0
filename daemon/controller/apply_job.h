/*
 * apply_job: private to the apply* files: one apply on its way through them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_APPLY_JOB_H
#define AICTL_CONTROLLER_APPLY_JOB_H

#include <uv.h>

#include "daemon/controller/apply.h"
#include "daemon/controller/change.h"
#include "daemon/controller/preview.h"
#include "daemon/controller/sources.h"
#include "daemon/controller/zones.h"
#include "lib/manifest.h"

struct identity;
struct spec_source;

/* What becomes of one service: of the manifest, or left over in the set. */
struct apply_item {
	const char *name;		 /* spec's, or in left_over */
	const struct service_spec *spec; /* NULL: left over */
	const char *user;		 /* to look up; NULL = ourselves. Borrowed */
	struct identity *id;		 /* found by the worker */
	struct zones zones;		 /* of its schedules, the same */
	int64_t override_before;	 /* scale override that the preview saw */
	bool kept;			 /* nothing of it is taken: see apply.h, unasked */
	struct preview preview;
};

struct apply_job {
	struct apply_job *next;
	struct controller *c;
	uv_work_t work;
	bool working;			   /* a worker has it */
	bool abandoned;			   /* closed meanwhile: nobody else knows it any more */
	char change_id[CHANGE_ID_MAX + 1]; /* "" = a dry run */
	struct sources sources;
	bool prune, unasked;
	int64_t if_revision;
	uint32_t uid;
	char *by_user, *git_commit, *git_branch;
	bool git_dirty;
	void (*done)(void *user, const struct apply_result *res);
	void *user;
	/* by the worker: */
	struct spec_source *source;
	struct manifest_errors errors;
	struct err *err;	  /* no fault of the manifest */
	struct apply_item *items; /* of the manifest, in its order */
	size_t n_items;		  /* with those that are left over and to be removed */
	/* on the loop again: */
	struct manifest_errors warnings; /* of this machine */
	char **left_over;		 /* names, NULL-terminated */
	struct change *change;
	uint64_t revision;
	int64_t committed_wall_ms; /* the time of the revision */
};

/* apply_check: in the worker thread, nothing of the controller but its options is touched. */
void apply_check_run(struct apply_job *j);
/* On the loop: which secrets are new. -ERR_NOMEM. */
int apply_check_secrets(struct apply_job *j);
/* On the loop: what is wrong beside what runs already. Adds to errors. */
void apply_check_conflicts(struct apply_job *j);
/* On the loop: limits that aictld cannot enforce. Adds to errors and warnings. */
void apply_check_limits(struct apply_job *j);
void apply_check_runtimes(struct apply_job *j);

/* apply_commit: to the store, then to memory; done(j, err) follows unless it returns an error. */
int apply_commit_run(struct apply_job *j, void (*done)(struct apply_job *j, const struct err *err));
/* To memory alone: nothing is to be written. */
void apply_commit_take(struct apply_job *j);

#endif
