/*
 * store: what must survive a reboot, in SQLite (aictl.db, WAL, synchronous=FULL) on one thread of
 * its own. The loop's thread never touches the disk: it hands tasks over and gets callbacks on the
 * loop.
 *
 * Tasks of `store_put_*` commit in order. Urgent ones (a user waits for the answer) commit at once;
 * others are gathered for STORE_BATCH_MS, so that nothing is written between a replica's exit and
 * its restart. A hung disk stops only the callbacks; the queue is bounded: beyond STORE_QUEUE_MAX
 * unurgent tasks the oldest event records are dropped and counted (never revisions, services or
 * exits), urgent ones fail with ERR_BUSY; without an event to drop, so do other unurgent ones
 * beyond twice that number.
 *
 * Events and exits beyond what is kept are deleted when their table has grown by half (at least by
 * STORE_PRUNE_MIN), in the transaction that sees it, and when the database is opened.
 *
 * A damaged database is moved aside (PATH.corrupt-TIME, -wal and -shm with it) with a loud log, and
 * a new one begun; the snapshot says so. One written by a newer version is left alone: an error.
 * While the database cannot be opened the tasks fail, and each batch tries again.
 * One process at a time opens it (lib/state_lock.h); the next one waits a while for the former, then
 * it is an error that says who has it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_STORE_H
#define AICTL_CONTROLLER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct err;
struct store;

#define STORE_BATCH_MS 200
#define STORE_QUEUE_MAX 20000
#define STORE_REVISIONS_KEPT 10 /* per set */
#define STORE_PRUNE_MIN 500
#define STORE_EVENTS_KEPT 1500 /* shared fairly among services: see quota.h */
#define STORE_EXITS_KEPT 20    /* per replica */
#define STORE_ROLLOUTS_KEPT 10 /* per service, besides the present one */

struct store_revision {
	const char *set;
	uint64_t number;     /* per set, from 1 */
	const char *sources; /* JSON array of {"path","text"}: what manifest_parse read */
	int64_t at_wall_ms;
	uint32_t uid;			     /* who applied it */
	const char *user;		     /* the client's word for who; or NULL */
	uint64_t hash;			     /* of sources */
	const char *services;		     /* their names, separated by spaces */
	const char *git_commit, *git_branch; /* of the manifest's directory; or NULL */
	bool git_dirty;			     /* that directory had changes beyond the commit */
};

struct store_service {
	const char *name, *set;
	const char *sources; /* JSON array of {"path","text"} it was last applied with: a later
				revision may lack it. Put with NULL: of a row that is there only
				stopped, replicas_override and held_until change */
	uint64_t revision;   /* revision of the set in which this service last changed */
	bool stopped;	     /* by the user: stays stopped over restarts */
	int64_t replicas_override;  /* from `scale`; -1 = none */
	int64_t held_until_wall_ms; /* not changed by a put with sources */
	/* Of a task; put with store_put_run only, the others leave them as they are. */
	int64_t run_due_wall_ms;   /* a run that has not begun is due since then; 0 = none */
	int64_t run_after_wall_ms; /* what its schedule had for up to then is over; 0 = not known */
	int64_t start_ms; /* put with store_put_start only: what a start is expected to take */
	/* Put with store_put_scale only. */
	int64_t override_until_wall_ms; /* 0 = for ever */
	unsigned scaled;		/* the scaler's number; 0 = none */
};

struct store_event {
	uint64_t seq; /* given by the caller, ascending */
	int64_t at_wall_ms;
	const char *service;		     /* "" = about the daemon */
	int32_t replica;		     /* -1 = the whole service */
	const char *type, *reason, *message; /* type: "state", "exit", "apply", ... */
	const char *from, *to;		     /* states, or NULL */
};

struct store_exit {
	const char *service;
	uint32_t index;
	const char *incarnation;
	uint64_t seq;
	int32_t code, signal, pid; /* as in wire_exit */
	const char *cause;	   /* "exit", "signal", "probe", "user", "oom", "start" (never ran),
			      "lost" */
	int64_t started_wall_ms, ended_wall_ms;
	bool has_lines;	   /* loaded: there are lines of its log (exit_lines.h) */
	const char *lines; /* of store_put_exit_lines only */
};

struct store_rollout {
	const char *service;
	uint64_t number; /* of the service's, from 1 */
	const char *state;
	uint64_t revision, hash;
	int64_t flags;
	int64_t progress_mono_ms, started_wall_ms, ended_wall_ms;
	const char *reason;
	int64_t step, step_mono_ms; /* of a canary */
	const char *keys; /* what changed. Put with NULL: of a row that is there only state, flags,
			     step, progress, end and reason change */
	uint64_t good_revision;
	const char *good_sources; /* what it may return to, or NULL */
	bool keeps_good;	  /* put with keys NULL: good_sources stay, else they go */
};

/* What is on disk; borrowed inside the load callback only. All revisions that are kept, without
 * sources, by set, the newest first; events and exits as they are kept, oldest first. */
struct store_snapshot {
	const struct store_revision *revisions;
	size_t n_revisions;
	const struct store_service *services;
	size_t n_services;
	const struct store_event *events;
	size_t n_events;
	const struct store_exit *exits; /* by service, index and time */
	size_t n_exits;
	const struct store_rollout *rollouts; /* by service and number */
	size_t n_rollouts;
	uint64_t last_event_seq;
	const char *moved_to; /* the damaged database that this new one replaces, or NULL */
};

/* err is NULL on success; borrowed. Called on the loop, in the order of the puts. */
typedef void (*store_cb)(void *user, const struct err *err);
/* found is NULL when there is no such thing (any more) or err is set. Borrowed. */
typedef void (*store_read_cb)(void *user, const char *found, const struct err *err);
typedef void (*store_load_cb)(void *user, const struct store_snapshot *snap, const struct err *err);

/* Starts the thread; path is opened (created, migrated) by it, then loaded is called once, unless
 * the store is closed before. Deletes nothing on error. */
int store_new(uv_loop_t *loop, const char *path, store_load_cb loaded, void *user,
	      struct store **ret, struct err **reterr);
/* Commits what is queued (at most wait_ms, then gives up: the thread is left alone with its disk
 * and cleans up if that ever answers), ends the thread. All callbacks come before this returns,
 * those of unfinished tasks with ERR_BUSY. The memory is freed when the loop has closed the handle.
 */
void store_close(struct store *s, int64_t wait_ms);

/* All copy their argument. cb may be NULL. urgent: commit at once. Return 0, -ERR_NOMEM or
 * -ERR_BUSY (cb never fires then). */
int store_put_revision(struct store *s, const struct store_revision *r, bool urgent, store_cb cb,
		       void *user);
int store_put_service(struct store *s, const struct store_service *v, bool urgent, store_cb cb,
		      void *user);
/* The two of name; nothing without that row. */
int store_put_run(struct store *s, const char *name, int64_t due_wall_ms, int64_t after_wall_ms);
/* That one of name; nothing without that row. */
int store_put_start(struct store *s, const char *name, int64_t start_ms);
/* The two of name; nothing without that row. */
int store_put_scale(struct store *s, const char *name, int64_t override_until_wall_ms,
		    unsigned scaled);
int store_put_rollout(struct store *s, const struct store_rollout *r, store_cb cb, void *user);
int store_del_service(struct store *s, const char *name, bool urgent, store_cb cb, void *user);
int store_add_event(struct store *s, const struct store_event *e);
int store_add_exit(struct store *s, const struct store_exit *x, store_cb cb, void *user);
/* The lines of an exit that is there already; of it only its name and the lines are used. */
int store_put_exit_lines(struct store *s, const struct store_exit *x);
/* And what they are; NULL: there is no such exit, or nothing was put. */
int store_read_exit_lines(struct store *s, const struct store_exit *x, store_read_cb cb,
			  void *user);
/* What a revision was applied with, read by the store's thread behind all that was put before. Not
 * between store_begin and store_end. Returns as the puts do. */
int store_read_revision(struct store *s, const char *set, uint64_t number, store_read_cb cb,
			void *user);
/* Groups the puts between begin and end into one transaction: all or nothing; cb of the last put is
 * the verdict (each cb gets the same). If one of the puts returns an error, the whole group fails:
 * the callbacks of the others get ERR_BUSY. */
void store_begin(struct store *s);
void store_end(struct store *s);
/* Queue length and events dropped so far, for `daemon info`. */
void store_stats(const struct store *s, size_t *ret_queued, uint64_t *ret_dropped);

#endif
