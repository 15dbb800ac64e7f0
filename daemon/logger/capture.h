/*
 * capture: the incarnations whose output is being stored, each with the read ends of two pipes.
 *
 * A readable pipe gets one step (segment_take) per turn of the loop, so nobody starves another. A
 * stream that sends small pieces quickly rests a few milliseconds and is then emptied in one step;
 * a single line of an idle stream is stored at once. A pipe that was found full grows to 1 MiB
 * within a budget. When bytes cannot be stored both streams are left alone and tried again with
 * back-off: the writers wait, nothing is dropped.
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
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_CAPTURE_H
#define AICTL_LOGGER_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/logger/intent.h"
#include "daemon/logger/segment.h"
#include "daemon/logger/store.h"
#include "daemon/wire/wire.h"
#include "lib/loop.h"

#define CAPTURE_BUCKETS 1024

struct capture;

struct capture_stream {
	struct capture *owner;
	struct loop_io io;
	int fd;		 /* -1 = at end of file */
	uint32_t number; /* enum logidx_stream */
	uint32_t pipe_size;
	bool resting;
	int64_t last_mono_ms; /* of the last bytes */
	LIST_ENTRY(capture_stream) rest;
};

struct capture_set;

/* living: pipes are read. drained: aictld is to be told. told: only the pidfd is left, for a while. */
enum capture_stage { CAPTURE_LIVING, CAPTURE_DRAINED, CAPTURE_TOLD, CAPTURE_STAGES };

struct capture {
	struct capture_set *set;
	struct wire_key key;
	uint32_t intent_index; /* as STREAM said */
	struct segment segment;
	struct capture_stream streams[2];
	struct loop_timer retry; /* while stalled */
	struct loop_timer drain; /* while gone */
	int pidfd;		 /* of the main process, or -1 */
	struct loop_io pidfd_io; /* watched from end of file on */
	int64_t backoff_ms;	 /* of the next stall */
	int64_t used_mono_ms;	 /* when the segment was used last */
	bool stalled;		 /* bytes cannot be stored: no stream is watched */
	bool gone;		 /* the main process is */
	enum capture_stage stage;
	int64_t told_mono_ms; /* when it became CAPTURE_TOLD */
	LIST_ENTRY(capture) bucket;
	TAILQ_ENTRY(capture) all; /* in set->queues[stage] */
};

TAILQ_HEAD(capture_queue, capture);
LIST_HEAD(capture_rest, capture_stream);
LIST_HEAD(capture_bucket, capture);

struct capture_set {
	struct loop *loop;
	struct store store;
	struct intent_table intents;
	struct capture_bucket buckets[CAPTURE_BUCKETS];
	struct capture_queue queues[CAPTURE_STAGES];
	struct capture_rest resting;
	struct loop_timer rest_timer;
	struct loop_timer told_timer;
	size_t n_told;			 /* in that queue */
	bool paused;			 /* nothing is read, nothing is due */
	uint64_t pipe_budget, pipe_used; /* bytes beyond what pipes have by default */
	size_t fds, fds_max;		 /* descriptors of streams and segments; evict above */
	size_t n_stalled;
	int64_t stalled_since_mono_ms;
	int64_t drain_ms; /* empty for so long after GONE = over */
	void (*on_drained)(void *user);
	bool (*may_read)(void *user); /* false: paused from now on; NULL = always */
	void *user;
};

/*
 * path is borrowed; system: aictld runs as root, which gives more room in pipes. 0 or -errno;
 * capture_set_done either way.
 */
int capture_set_init(struct capture_set *set, struct loop *loop, const char *path, bool system);
void capture_set_done(struct capture_set *set);

/* Of one incarnation: read ends of stdout and stderr, and the pidfd or -1. */
#define CAPTURE_FDS 3

/*
 * Starts to store m; owns the descriptors always. A known incarnation keeps what it has. 0 or
 * -errno.
 */
int capture_add(struct capture_set *set, const struct wire_stream *m, const int fds[CAPTURE_FDS]);
void capture_gone(struct capture_set *set, const struct wire_key *key);
/* NULL = none. Release it once aictld was told. */
struct capture *capture_first_drained(struct capture_set *set);
void capture_release(struct capture *c);

/* aictld is dead: what it was told counts as not told. */
void capture_orphaned(struct capture_set *set);
void capture_pause(struct capture_set *set);
void capture_resume(struct capture_set *set);
/* Every capture once, after != NULL the one after it; NULL = no more. Only while paused. */
struct capture *capture_next(const struct capture_set *set, const struct capture *after);
/* Is anything still read? */
bool capture_any_living(const struct capture_set *set);

/* Stores what is readable right now, for max_ms at most. */
void capture_drain_all(struct capture_set *set, int64_t max_ms);

#endif
