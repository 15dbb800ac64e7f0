/*
 * stream: custody of the read ends of the services' stdout and stderr. Both stay open here until
 * the logger says DRAINED, so a dying logger loses nothing: the next one gets them again. The write
 * ends exist only in the service (a kept one would mean no end of file ever).
 *
 * Each undrained incarnation has its own word of the intent file.
 *
 * With the pipes the logger gets the pidfd of a living process: when we die, it still knows how the
 * process ended, and gives all of it to the next aictld (giveback.h, stream_adopt).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_STREAM_H
#define AICTL_SUPERVISOR_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"
#include "lib/loop.h"

struct slot;
struct supervisor;

struct stream {
	struct slot *slot;
	struct stream *next_of_slot;
	char incarnation[WIRE_INCARNATION_SIZE];
	int fds[2]; /* read ends of stdout and stderr */
	uint32_t intent;
	uint64_t max_size;
	uint32_t max_files;
	bool gone;		 /* the main process is gone */
	bool submitted;		 /* the child has exec'd: the logger is to know */
	bool send_due, gone_due; /* news for the logger */
	struct stream *next_dirty, *prev_dirty;
	bool dirty;
};

#define STREAM_SPARES 4

struct streams {
	struct stream_pipe {
		int fds[2]; /* read end, write end */
		uint64_t inode;
	} spares[STREAM_SPARES]; /* made before they are needed */
	unsigned n_spares;
	struct loop_timer refill;
	struct stream *first, *last; /* dirty, oldest first */
	uint32_t *free_intents;	     /* stack of words given back */
	size_t cap;
	uint32_t n_free, n_used; /* n_used: words ever handed out */
	bool hello_due, level_due, quit_due;
	struct loop_timer timer; /* news of dead processes are told together */
};

void stream_init(struct supervisor *sup);
void stream_done(struct supervisor *sup);
/* New pipes for the slot's incarnation; the write ends are the caller's. 0 or -errno. */
int stream_new(struct slot *s, const struct wire_spawn *m, struct stream **ret, int write_ends[2]);
void stream_submit(struct stream *t);
void stream_gone(struct stream *t);
void stream_free(struct stream *t);

/*
 * A former aictld's, as a logger gave it back: takes the descriptors, -1 = that one is at its end. A
 * known incarnation keeps what it has, unless `instead`. 0 or -errno.
 */
int stream_adopt(struct slot *s, const struct wire_stream *m, int fds[2], bool instead);
/* Of the slot's present or last process, when nobody gave it back: new read ends of the pipes of a
 * living one, pipes at their end for a dead one. The new logger then closes what was stored. say: in
 * the log. */
void stream_remake(struct slot *s, bool say);

void stream_connected(struct supervisor *sup);
void stream_log_level(struct supervisor *sup); /* the logger is to have ours */
/* QUIT, after all that is due; then the end of file. */
void stream_quit(struct supervisor *sup);
/* Link callbacks of the logger; user is the struct helper. */
void stream_flush(void *user);
void stream_packet(void *user, struct wire_packet *p);

#endif
