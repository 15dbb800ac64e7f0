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
 * It is told of a stream when the process has exec'd. Until then the pipes are in the vault: should
 * we die before the logger has them, it finds them there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_STREAM_H
#define AICTL_SUPERVISOR_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/supervisor/vault.h"
#include "daemon/wire/steps.h"
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
	struct wire_logs logs;
	bool gone;		 /* the main process is gone */
	bool submitted;		 /* the logger is to know */
	bool begun;		 /* the child has exec'd: it may have written */
	uint8_t in_vault;	 /* messages */
	bool send_due, gone_due; /* news for the logger */
	struct stream *next_dirty, *prev_dirty;
	bool dirty;
	struct stream_fault *fault; /* see stream_fault.h; NULL = there was none */
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
	struct vault vault;
	struct steps steps;	 /* of loggers */
	struct loop_timer timer; /* news of dead processes are told together */
	struct loop_timer stale; /* see stream_fault.h */
};

/* Whose output it is. */
struct stream_opts {
	const char *incarnation;
	const struct wire_logs *logs;
	const struct wire_child *child; /* its user may open the write ends by name */
	bool beside;			/* not the slot's own process: a hook */
};

void stream_init(struct supervisor *sup); /* the table is open */
void stream_done(struct supervisor *sup);
/* New pipes for an incarnation; the write ends are the caller's. 0 or -errno. */
int stream_new(struct slot *s, const struct stream_opts *o, struct stream **ret, int write_ends[2]);
void stream_submit(struct stream *t);
/* That incarnation is about to be cloned: its pipes go into the vault, or to the logger at once when
 * there is no room. Should we die at any time from now on, what it writes is not lost. */
void stream_announce(struct slot *s, const char *incarnation);
/* The slot's present incarnation, and what runs beside it: kept like this from now on. */
void stream_set_logs(struct slot *s, const struct wire_logs *m);
/* It has been: so is its pidfd. */
void stream_cloned(struct slot *s, const char *incarnation);
/* That incarnation has exec'd: the logger is to know. */
void stream_begin(struct slot *s, const char *incarnation);
/* That incarnation is gone: its pipes are drained, or dropped when nothing was ever written to them
 * and the logger does not have them. */
void stream_end(struct slot *s, const char *incarnation);
void stream_gone(struct stream *t);
void stream_free(struct stream *t);

/*
 * A former aictld's, as a logger gave it back: takes the descriptors, -1 = that one is at its end. A
 * known incarnation keeps what it has, unless `instead`. 0 or -errno.
 */
int stream_adopt(struct slot *s, const struct wire_stream *m, int fds[2], bool instead);
/* Opens the log pipes of the slot's living process once more, before anybody is waited for who may give
 * them back: whoever dies meanwhile, no writer is without a reader. What is given back then takes their
 * place (stream_adopt), or they stay. False: nothing could be opened. */
bool stream_hold(struct slot *s);
/* Its process is gone, and a logger has stored its output to the end. */
void stream_drop_held(struct slot *s);
/* Of the slot's present or last process, when nobody gave it back: new read ends of the pipes of a
 * living one, pipes at their end for a dead one. The new logger then closes what was stored. say: in
 * the log. */
void stream_remake(struct slot *s, bool say);
/* Its pipes must not be opened now, for a logger's thread hangs with them; ask again later. */
bool stream_is_stuck(struct slot *s);
/* Another read end of the pipe with this inode, when the process has it as descriptor n, or -1. What
 * else stands there is not touched: it may be a file on a mount that hangs. */
int stream_reopen(int pid, int n, uint64_t inode);
/* In the log: nobody had the pipes of a living one for a while. */
void stream_say_gap(const struct slot *s);

void stream_connected(struct supervisor *sup);
void stream_log_level(struct supervisor *sup); /* the logger is to have ours */
/* QUIT, after all that is due; then the end of file. */
void stream_quit(struct supervisor *sup);
/* Link callbacks of the logger; user is the struct helper. */
void stream_flush(void *user);
void stream_packet(void *user, struct wire_packet *p);

#endif
