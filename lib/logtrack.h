/*
 * logtrack: one incarnation's segments as a sequence of lines; the part of logview below the merge.
 *
 * A track has a position (segment, entry, byte) and an unfinished line per stream. It opens its
 * files when it is first asked and needs about 20 KiB and two descriptors from then until it is
 * done or parked. Names are learned from its owner (logtrack_learn), who reads the directories.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGTRACK_H
#define AICTL_LIB_LOGTRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/logidx.h"

struct err;

#define LOGTRACK_ENTRIES 64  /* read from the index at once */
#define LOGTRACK_BLOCK 16384 /* read from the segment at once */

/* What is known of a line that is not complete yet. */
struct logtrack_part {
	struct buf text;
	int64_t wall_ms;
	uint32_t stream;
	bool started;
	bool skipping; /* drop everything up to the next newline */
};

struct logtrack_pos {
	uint32_t seq;	/* 0 = before everything */
	uint64_t entry; /* number of the entry to be read next */
	uint64_t end;	/* offset where that entry must begin */
	uint64_t at;	/* begin inside of that entry; 0 = at its beginning */
	uint32_t other; /* this stream may be in the middle of a line there; 0 = none */
};

struct logtrack {
	char incarnation[LOGIDX_INCARNATION_SIZE];
	uint32_t index;
	bool raw;
	bool done;	/* nothing more comes; holds no resources */
	bool over;	/* set by the owner: newer incarnations exist, do not wait for more */
	bool seen;	/* for the owner's directory scan */
	bool begun;	/* for the owner: it was asked for a line */
	uint32_t *seqs; /* known segments, ascending */
	size_t n_seqs, cap_seqs;
	/* position */
	struct logtrack_pos start; /* where to begin; seq 0 = at the oldest segment */
	uint32_t seq, read_seq;	   /* tried last, and the last one that was there */
	int log_fd, idx_fd;
	uint64_t entry, end, begin_at;
	struct logidx_entry current; /* length 0 = none */
	uint64_t at;		     /* next byte, inside of current */
	/* caches */
	uint8_t *entries, *block;
	uint64_t entries_first, block_offset;
	size_t n_entries, block_len;
	struct logtrack_part parts[2];
	struct logtrack_part *used; /* emptied with the next step: the line points into it */
	bool has_end;		    /* the end mark was the last thing read */
	bool damaged;		    /* the index makes no sense from here on */
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
/* Finds a position behind which there are at least n lines if there are so many. */
int logtrack_find_tail(struct logtrack *t, int dir_fd, uint64_t n, struct logtrack_pos *ret,
		       struct err **reterr);
/* Goes there with the next step, forgetting what was unfinished. */
void logtrack_seek(struct logtrack *t, const struct logtrack_pos *pos);
/* Gives back memory and descriptors; the next step opens again. Only without a line. */
void logtrack_finish(struct logtrack *t);

#endif
