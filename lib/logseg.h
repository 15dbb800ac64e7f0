/*
 * logseg: the files of one log segment (logidx.h) as a reader sees them: bytes at an offset, plain
 * or compressed, and the entries of its index. The part of logtrack below positions and lines.
 *
 * Descriptors may be closed at any time (logseg_rest) and come back with the next read, so that a
 * thousand replicas are read within a bounded number of them. X.log.zst stands in where X.log is
 * not (any more); its bytes are the same.
 *
 * Nothing in the files is trusted: an index may be short, long, zero-filled, or about other bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGSEG_H
#define AICTL_LIB_LOGSEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/loggap.h"
#include "lib/logidx.h"

struct err;
struct logzst;

#define LOGSEG_ENTRIES 128 /* read from the index at once */

/* Zero but for the first two, and both descriptors -1. */
struct logseg {
	const char *incarnation; /* borrowed, as is dir_fd, which is set before each use */
	uint32_t index;
	int dir_fd; /* of the service */
	uint32_t seq;
	int log_fd, idx_fd;
	struct logzst *zst;
	bool there;   /* it was found: what is closed is opened again */
	bool damaged; /* the index makes no sense */
	int error;    /* errno: it could not be opened again though it is there */
	uint8_t *entries;
	uint64_t entries_first;
	size_t n_entries;
	struct loggap gap; /* of all that were opened; the owner's to end */
};

/* 1; 0 = it is not there (any more); else negative. Without an index it is there all the same. */
int logseg_open(struct logseg *s, uint32_t seq, struct err **reterr);
/*
 * Without opening it: was segment seq written since then? By its files' own times, which are of the
 * same clock as the entries; a copy's are later, so in doubt it is true.
 */
bool logseg_is_younger(const struct logseg *s, uint32_t seq, int64_t since_ms);
/* Gives the descriptors back; reads open them again. */
void logseg_rest(struct logseg *s);
/* The same with the memory. */
void logseg_park(struct logseg *s);
/* For good. */
void logseg_close(struct logseg *s);
bool logseg_is_open(const struct logseg *s);

/* As pread, but < 1 for every failure. */
ssize_t logseg_read(struct logseg *s, void *buf, size_t n, uint64_t offset);
uint64_t logseg_size(struct logseg *s); /* of the content; 0 when it cannot be told */
/* The same without the zeros that a power cut leaves at the end of a file. */
uint64_t logseg_solid_size(struct logseg *s);
int64_t logseg_changed_ms(struct logseg *s); /* wall clock, of the log's last change */

/* False: there is none, or n_entries > 0: it makes no sense; or `damaged` by its header. */
bool logseg_entry(struct logseg *s, uint64_t number, struct logidx_entry *e);
/* The same for who goes backwards. */
bool logseg_entry_back(struct logseg *s, uint64_t number, struct logidx_entry *e);
/* Entries read before are forgotten: the index has grown. */
void logseg_reload(struct logseg *s);
/* How many entries up to the last good one, and where it ends (within the log). */
void logseg_index_end(struct logseg *s, uint64_t *n, uint64_t *end);
/* Of n entries the first that ends behind byte `at`, and n when there is none. */
uint64_t logseg_find_byte(struct logseg *s, uint64_t n, uint64_t at, struct logidx_entry *e);
/* Of n entries the first that is not older than wall_ms. */
uint64_t logseg_find_time(struct logseg *s, uint64_t n, int64_t wall_ms, struct logidx_entry *e);
/* When its first and last bytes came, as far as can be told. */
void logseg_span(struct logseg *s, int64_t *first_ms, int64_t *last_ms);

#endif
