/*
 * roster: all incarnations whose output is stored, in lanes: the main thread's view of them.
 *
 * What logs to one file system is one place: a capture_set in a lane (lane.h). The log directory's
 * is always there; a service whose directory is a mount point of its own gets another one, found by
 * mounts.h when its incarnation begins. There are ROSTER_LANES lanes at most, which places beyond
 * that share, and ROSTER_PLACES places; what is beyond that goes to the first one, and hangs with it.
 *
 * The main thread touches neither the log files nor, while a lane hangs, the pipe whose bytes are in
 * a system call at that moment. Everything here comes back soon, whatever hangs. That a lane hangs
 * is told after ROSTER_HUNG_MS: a log line and the fault of all incarnations there. Where logs.on_full
 * is drop the pipes are looked at from here as soon as a step lasts ROSTER_SLOW_MS. While nothing is
 * stored nothing is due.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_ROSTER_H
#define AICTL_LOGGER_ROSTER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/logger/capture.h"
#include "daemon/logger/lane.h"
#include "daemon/logger/mounts.h"
#include "lib/loop.h"

#define ROSTER_LANES 8
#define ROSTER_PLACES 64
#define ROSTER_HUNG_MS 2000
#define ROSTER_SLOW_MS 100 /* so long a step may keep those waiting who are not to wait */

struct roster;

struct roster_place {
	struct roster *all;
	struct capture_set set;
	struct lane *lane;
	char *path;	/* owned */
	char *service;	/* owned; NULL: the log directory */
	uint64_t mount; /* 0: the log directory */
};

struct roster_lane {
	struct lane lane;
	struct roster *all;
	struct steps_thread thread;
	bool told; /* that it hangs */
	int64_t hung_since_mono_ms;
};

struct roster {
	struct loop *loop; /* the main thread's */
	struct pool pool;
	struct roster_lane *lanes[ROSTER_LANES];
	struct roster_place *places[ROSTER_PLACES];
	size_t n_lanes, n_places;
	pthread_mutex_t mounts_lock;
	struct mounts mounts;
	char *dir; /* of all logs, without symlinks once the first lane has found out */
	pthread_mutex_t dir_lock;
	pthread_cond_t dir_found;
	bool dir_known;
	struct loop_timer start; /* in the first lane */
	struct loop_timer drop;	 /* while a lane hangs, see capture_drop.h */
	struct store tools;	 /* for that */
	int poke_fd;		 /* a lane has something to tell */
	struct loop_io poke_io;
	int watch_fd; /* timerfd: time to look whether a lane hangs */
	struct loop_io watch_io;
	uint64_t budget, keep_free; /* of each place */
	bool watched;		    /* it is armed; set by the lanes */
	bool any_drop;		    /* some do not wait: the lanes are looked at more often */
	int64_t drain_ms;	    /* at the end */
	int32_t reader; /* without aictld: read only while the table names this pid; 0 = always */
	void (*on_news)(void *user); /* something drained, a fault changed, a paused step ended */
	void *user;
};

/* path is borrowed. 0 or -errno; roster_done either way. Large: not for the stack. */
int roster_init(struct roster *r, struct loop *loop, const char *path, bool system);
/*
 * Stores what is readable, for drain_ms at most, and ends the lanes. False: one hangs; the process
 * is to end at once, with everything as it is.
 */
bool roster_done(struct roster *r, int64_t drain_ms);

/* As the capture_ functions of these names. */
int roster_add(struct roster *r, const struct wire_stream *m, const int fds[CAPTURE_FDS]);
void roster_gone(struct roster *r, const struct wire_key *key);
void roster_orphaned(struct roster *r);
void roster_pause(struct roster *r);
void roster_resume(struct roster *r);
bool roster_any_reading(struct roster *r);

/* One that is drained: tell, then release it. False = none. */
bool roster_next_drained(struct roster *r, struct wire_key *key);
void roster_release(struct roster *r, const struct wire_key *key);
/* A fault that has changed: it counts as told then. False = none. */
bool roster_next_fault(struct roster *r, struct wire_key *key, struct fault *f);
/* The same of that one. */
bool roster_take_fault(struct roster *r, const struct wire_key *key, struct fault *f);
void roster_faults_again(struct roster *r);

/* Of each place, also of later ones: what keep.h calls the budget, and the floor; 0 = none, its own. */
void roster_set_limits(struct roster *r, uint64_t budget, uint64_t keep_free);
/* As capture_keep_ask and capture_keep_answer. */
bool roster_ask(struct roster *r, const struct wire_log_work *m);
bool roster_answer(struct roster *r, struct wire_log_done *ret);

/* After roster_pause: false while a step is under way. */
bool roster_is_quiet(struct roster *r);
struct roster_at {
	size_t place;
	const struct capture *c; /* the last one that was taken */
};
/*
 * Calls take for each capture after *at until it says false; what it took is in *at. Nothing else
 * happens to the capture meanwhile. True when all were taken. Only while paused.
 */
bool roster_visit(struct roster *r, struct roster_at *at,
		  bool (*take)(void *user, const struct capture *c), void *user);

#endif
