/*
 * segment: the files of one incarnation: bytes from a pipe into a .log, their entry into the .idx.
 *
 * One step is: intent word, splice, index entry, word cleared. It runs to its end before anything
 * else happens in this process, so after kill -9 at most one step of the whole logger is half done,
 * and what it lacks can be told from the file's size and the word (segment_recover). When the entry
 * cannot be written the bytes wait as `pending` and the segment takes nothing more until they are
 * indexed.
 *
 * Files are made with the first byte, never before. A segment ends at max_size with the next
 * newline of each stream, at the latest at twice that size; and when the clock is set back by more than a second,
 * so that within one the times rise and can be searched. Every fallible call gives 0, a count, or -errno; the
 * caller tries again later, nothing is lost in between.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_SEGMENT_H
#define AICTL_LOGGER_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/logidx.h"

struct store;
struct wire_logs;

struct segment {
	const char *service, *incarnation; /* borrowed from the owner */
	uint32_t index;
	uint64_t max_size; /* as segment_init bounded it */
	uint32_t max_files;
	uint64_t max_total; /* these as struct wire_logs has them */
	int64_t max_age_ms, rotate_ms;
	bool compress;
	uint64_t *word;	  /* intent; borrowed */
	bool rotate;	  /* close the file with the next take; set by another thread */
	bool fresh;	  /* after that: nothing has the number seq yet */
	bool torn;	  /* the file may be longer than size */
	uint32_t cut;	  /* the stream whose line is not at its end at max_size; 0 = none */
	const bool *stop; /* true: nothing more is taken; may be set by another thread; or NULL */
	int log_fd, idx_fd;
	size_t step_max;	     /* bytes in one step, by share.h; may be changed at any time */
	uint32_t seq;		     /* the newest of this incarnation; 0 = not looked for yet */
	uint64_t size, idx_size;     /* of the two files */
	uint64_t others;	     /* bytes in the replica's other segments, when last counted */
	uint32_t unseen;	     /* rotations since then */
	uint64_t since_total;	     /* bytes stored since the service's total was looked at */
	int64_t created_wall_ms;     /* of the index */
	int64_t newest_wall_ms;	     /* of its last entry; later than now: the clock was set back */
	struct logidx_entry pending; /* stored, not yet indexed; length 0 = none */
	int64_t checked_mono_ms;     /* when it was last seen that the file is still there */
};

/* Limits out of range are bounded. Touches no file. */
void segment_init(struct segment *s, uint64_t max_size, uint32_t max_files);
/* All that the service says of its logs, at any time. Touches no file. */
void segment_set_logs(struct segment *s, const struct wire_logs *m);
/* Completes the step that a killed logger left half done, if there is one. */
int segment_recover(struct segment *s, struct store *st);
/*
 * One step from pipe_fd, at most about 1 MiB. > 0 = bytes stored; 0 = end of file;
 * -EAGAIN = the pipe is empty; else -errno: the bytes stay in the pipe.
 */
ssize_t segment_take(struct segment *s, struct store *st, int pipe_fd, uint32_t stream);
/*
 * Writes a line of ours, with its newline, after the last line of the stream; one that was not
 * ended is. 0, or as segment_take.
 */
int segment_note(struct segment *s, struct store *st, uint32_t stream, const char *line);
/* Looks at up to n bytes of the pipe in st->bounce without taking them: a count, or -errno. */
ssize_t segment_peek(struct store *st, int pipe_fd, size_t n);
bool segment_is_open(const struct segment *s);
/* Of any thread: the next take ends the present file. */
void segment_rotate(struct segment *s);
/* Writes the end mark if anything was ever stored; best effort. Closes. */
void segment_end(struct segment *s, struct store *st);
/* Closes the files; the next take opens them again. */
void segment_close(struct segment *s);

#endif
