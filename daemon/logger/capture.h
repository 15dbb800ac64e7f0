/*
 * capture: the incarnations whose output is being stored, each with the read ends of two pipes.
 *
 * A readable pipe gets one step (segment_take) per turn of the loop, so nobody starves another: how
 * large it may be is share.h's, when the next one comes pace.h's. When bytes cannot be stored both streams are left alone and tried
 * again with back-off: the writers wait, nothing is dropped, unless the service says so
 * (capture_drop.h).
 *
 * An incarnation is over when both ends are at end of file and its main process is gone
 * (capture_gone, or its pidfd says so), or when it is gone and the pipes were empty for 2 s. It then
 * stands in a queue until the owner has told aictld (capture_first_drained, capture_release).
 *
 * The pidfd is here so that an exit can still be learnt exactly when aictld dies before it has
 * reaped the process. For that reason it is kept for some seconds after aictld was told.
 *
 * When aictld is gone all of it can be given to the next one: capture_pause stops the reading,
 * capture_next walks over everything, capture_resume goes on as if nothing had been.
 *
 * A logger that was killed may still be in a step, on a disk that hangs (steps.h). What would be on the
 * same mount waits until it is over; nothing is touched there before, so that a disk that hangs holds
 * one thread of one logger, however often that is killed.
 *
 * A set belongs to one loop and what it calls. With on_step another thread may use the set, too,
 * under a lock of the owner's, which on_step gives up for the time of a system call that may hang:
 * one on a file, or on a pipe. Functions marked (any) make no such call.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_CAPTURE_H
#define AICTL_LOGGER_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/logger/fault.h"
#include "daemon/logger/pace.h"
#include "daemon/logger/pool.h"
#include "daemon/logger/segment.h"
#include "daemon/logger/share.h"
#include "daemon/logger/store.h"
#include "daemon/wire/steps.h"
#include "daemon/wire/wire.h"
#include "lib/loop.h"

#define CAPTURE_BUCKETS 1024

struct capture;

/* Not yet said in the segment. */
struct capture_dropped {
	uint64_t bytes, lines;
	uint32_t seen; /* bytes in the pipe at the last look */
	bool in_line;  /* the end of the last line is still to come */
	uint64_t rest; /* bytes of that line since others could be stored */
	int err;       /* why */
};

struct capture_stream {
	struct capture *owner;
	struct loop_io io;
	int fd;		 /* -1 = at end of file */
	uint32_t number; /* enum logidx_stream */
	struct pace pace;
	struct capture_dropped drop;
	bool resting;
	LIST_ENTRY(capture_stream) rest;
};

struct capture_set;

/* living: pipes are read. drained: aictld is to be told. told: only the pidfd is left, for a while. */
enum capture_stage { CAPTURE_LIVING, CAPTURE_DRAINED, CAPTURE_TOLD, CAPTURE_STAGES };

struct capture {
	struct capture_set *set;
	struct wire_key key;
	uint32_t intent_index; /* as STREAM said */
	uint64_t step_id;      /* as steps.h has it */
	struct wire_logs logs;
	struct segment segment;
	struct capture_stream streams[2];
	struct loop_timer retry; /* while stalled, and for the beginning */
	struct loop_timer drain; /* while gone */
	int pidfd;		 /* of the main process, or -1 */
	struct loop_io pidfd_io; /* watched from end of file on */
	int64_t backoff_ms;	 /* of the next stall */
	int64_t used_mono_ms;	 /* when the segment was used last */
	bool begun;		 /* a killed logger's half step is completed, pipes are read */
	bool free;	/* no former logger is in a step for it: its pipes may be touched */
	bool waits;	/* for the end of a former logger's step, there or on its mount */
	bool stalled;	/* bytes cannot be stored: no stream is watched */
	bool gone;	/* the main process is */
	bool fault_due; /* in set->faults: aictld is to be told */
	struct fault fault;
	int64_t drop_told_mono_ms;
	enum capture_stage stage;
	int64_t told_mono_ms; /* when it became CAPTURE_TOLD */
	LIST_ENTRY(capture) bucket;
	TAILQ_ENTRY(capture) all; /* in set->queues[stage] */
	TAILQ_ENTRY(capture) faulty;
};

struct capture_work {
	struct wire_log_work order;
	struct wire_log_done done;
	bool over; /* done is the answer */
};

TAILQ_HEAD(capture_queue, capture);
LIST_HEAD(capture_rest, capture_stream);
LIST_HEAD(capture_bucket, capture);

/* Those that rest equally long, and wake up together. */
struct capture_tick {
	struct capture_rest resting;
	struct loop_timer timer;
};

struct capture_set {
	struct loop *loop;
	struct pool *pool;
	struct store store;
	struct capture_bucket buckets[CAPTURE_BUCKETS];
	struct capture_queue queues[CAPTURE_STAGES];
	struct capture_queue faults; /* that are to be told */
	struct capture_tick ticks[PACE_TICKS];
	size_t n_resting; /* in all of them */
	struct share share;
	struct loop_timer told_timer;
	struct loop_timer drop_timer;
	size_t n_told;	/* in that queue */
	bool paused;	/* nothing is read, nothing is due */
	size_t n_waits; /* of those living */
	size_t n_stalled;
	int64_t stalled_since_mono_ms;
	struct loop_io compress_io;
	struct loop_timer keep_timer;
	int64_t keep_due_wall_ms;  /* for which it is armed */
	bool keeping;		   /* a step of it is under way */
	struct capture_work *work; /* somebody wants something done by hand, or NULL */
	int64_t drain_ms;	   /* empty for so long after GONE = over */
	void (*on_drained)(void *user);
	void (*on_fault)(void *user); /* there is something in faults; not from here, later */
	bool (*may_read)(void *user); /* false: paused from now on; NULL = always */
	void (*on_step)(void *user, bool begins);
	void *user;
	const struct capture *in_step;
	const struct capture_stream *stream_in_step; /* whose pipe it may be about; NULL: of any */
	bool hung; /* the step lasts, as somebody else has seen: a new capture's fault, too */
	struct steps_thread *thread; /* that the loop runs in; with store.steps */
};

/* path is borrowed; touches no file. 0 or -errno; capture_set_done either way. */
int capture_set_init(struct capture_set *set, struct loop *loop, const char *path,
		     struct pool *pool);
void capture_set_done(struct capture_set *set);

/* Of one incarnation: read ends of stdout and stderr, and the pidfd or -1. */
#define CAPTURE_FDS 3

/*
 * (any) Starts to store m, with on_step later; owns the descriptors always. A known incarnation
 * keeps what it has. 0 or -errno.
 */
int capture_add(struct capture_set *set, const struct wire_stream *m, const int fds[CAPTURE_FDS]);
struct capture *capture_find(struct capture_set *set, const struct wire_key *key); /* (any) */
void capture_gone(struct capture_set *set, const struct wire_key *key);		   /* (any) */
/* (any) NULL = none. Release it once aictld was told. */
struct capture *capture_first_drained(struct capture_set *set);
void capture_release(struct capture *c); /* (any) */

/* (any) aictld is dead: what it was told counts as not told. */
void capture_orphaned(struct capture_set *set);
/* (any) Another logger may read then, except what is in_step. */
void capture_pause(struct capture_set *set);
void capture_resume(struct capture_set *set); /* (any) */
/* Every capture once, after != NULL the one after it; NULL = no more. Only while paused. */
struct capture *capture_next(const struct capture_set *set, const struct capture *after);
/* Is anything still read? */
bool capture_any_living(const struct capture_set *set);

/* Stores what is readable right now, for max_ms at most. */
void capture_drain_all(struct capture_set *set, int64_t max_ms);

#endif
