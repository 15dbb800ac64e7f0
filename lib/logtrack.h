/*
 * logtrack: one incarnation's segments as a sequence of lines; the part of logview below the merge,
 * above the files (logseg.h).
 *
 * A track has a position (segment, entry, byte) and an unfinished line per stream. It opens its
 * files when it is first asked and needs about 20 KiB and two descriptors from then until it is
 * done or parked; more memory when it is read in bulk and its owner lets it. Names are learned from
 * its owner (logtrack_learn), who reads the directories.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGTRACK_H
#define AICTL_LIB_LOGTRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/logblock.h"
#include "lib/logidx.h"
#include "lib/logseg.h"

struct err;

#define LOGTRACK_BLOCK (16U << 10)	/* read from the segment at once, at first, */
#define LOGTRACK_BLOCK_MAX (256U << 10) /* and at most */
#define LOGTRACK_ALL (1U << LOGIDX_STDOUT | 1U << LOGIDX_STDERR | 1U << LOGIDX_NOTE)

/* What is known of a line that is not complete yet. */
struct logtrack_part {
	struct buf text;
	int64_t wall_ms;
	uint32_t stream;
	bool started;
	bool skipping; /* drop everything up to the next newline */
};

struct logtrack_pos {
	uint32_t seq;	    /* 0 = before everything */
	uint64_t entry;	    /* number of the entry to be read next */
	uint64_t end;	    /* offset where that entry must begin */
	uint64_t at;	    /* begin inside of that entry; 0 = at its beginning */
	uint32_t in_middle; /* of a line there: bits of the streams that may be */
};

struct logtrack {
	char incarnation[LOGIDX_INCARNATION_SIZE];
	uint32_t index;
	uint32_t streams; /* bits of those that are wanted */
	bool raw;
	int64_t until_ms;   /* lines that begin later are not asked for; INT64_MAX = all are */
	uint32_t stop_seq;  /* no segment behind this one has any that are; 0 = not known */
	uint32_t block_max; /* set by the owner, for bulk reading */
	bool done;	    /* nothing more comes; holds no resources */
	bool over;	    /* set by the owner: newer incarnations exist, more is not likely */
	bool resting;	    /* it is over and gave all it has: ask again when its files change */
	/* the owner's: found in its last look, asked for a line, in its heap, told of, soon in turn */
	bool seen, begun, queued, touched, early;
	struct logtrack *waiter;
	struct logblock given; /* of the lines that it gave */
	uint32_t *seqs;	       /* known segments, ascending */
	size_t n_seqs, cap_seqs;
	/* position */
	struct logtrack_pos start; /* where to begin; seq 0 = at the oldest segment */
	struct logseg seg;	   /* seq: tried last */
	uint32_t lost;		   /* segments deleted before they were read */
	uint32_t read_seq;	   /* the last one that was there */
	uint64_t entry, end, begin_at;
	struct logidx_entry current; /* length 0 = none */
	uint64_t at;		     /* next byte, inside of current */
	char *block;
	uint32_t block_size, block_len;
	uint64_t block_offset;
	struct logtrack_part parts[LOGIDX_STREAMS];
	struct logtrack_part *used; /* emptied with the next step: the line points into it */
	bool has_end;		    /* the end mark was the last thing read */
	uint64_t limit;		    /* of the segment: zeros from here on */
	/* the line, when logtrack_next gave 1 */
	const char *text;
	size_t len;
	int64_t wall_ms;
	uint32_t stream;
	bool has_line, cut;
};

struct logtrack *logtrack_new(const char *incarnation, uint32_t index, bool raw);
struct logtrack *logtrack_free(struct logtrack *t); /* returns NULL */
/* A segment exists. 0 or -ERR_NOMEM. */
int logtrack_learn(struct logtrack *t, uint32_t seq);

/*
 * 1 = t's line is the next one; 0 = no more (last: for good, an unfinished line was given);
 * else negative. dir_fd is the service's directory.
 */
int logtrack_next(struct logtrack *t, int dir_fd, bool last, struct err **reterr);
/* Before the first step: nothing behind the last line that begins at until_ms is wanted. */
int logtrack_find_until(struct logtrack *t, int dir_fd, int64_t until_ms, struct err **reterr);
/* Finds a position behind which there are at least n lines if there are so many. */
int logtrack_find_tail(struct logtrack *t, int dir_fd, uint64_t n, struct logtrack_pos *ret,
		       struct err **reterr);
/* One with all lines behind it that are not older than since_ms. 1, or 0: there are none. */
int logtrack_find_since(struct logtrack *t, int dir_fd, int64_t since_ms, struct logtrack_pos *ret,
			struct err **reterr);
bool logtrack_is_later(const struct logtrack_pos *a, const struct logtrack_pos *b);
/* Goes there with the next step, forgetting what was unfinished. */
void logtrack_seek(struct logtrack *t, const struct logtrack_pos *pos);
/* Gives back memory and descriptors, and is done. Only without a line. */
void logtrack_finish(struct logtrack *t);
/* Gives back what it can until the next step, which goes on where it was. Only without a line. */
void logtrack_park(struct logtrack *t);
/* Gives back the descriptors alone; the line stays. */
void logtrack_rest(struct logtrack *t);

#endif
