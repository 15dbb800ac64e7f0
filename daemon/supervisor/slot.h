/*
 * slot: one place where a replica's process runs: (service, index). What must survive us stands in
 * the table (struct table_slot), the rest here. A slot is in use from its first SPAWN until the
 * controller has released it and nothing of it is left: process, left-overs, unacknowledged exits,
 * undrained streams.
 *
 *   EMPTY --spawn--> SPAWNING --exec--> RUNNING --stop--> STOPPING --exit--> EMPTY
 *   SPAWNING, STOPPING --cannot be killed--> STUCK --exit--> EMPTY
 *
 * Stop runs here and not in the controller, so that it survives the controller.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_SLOT_H
#define AICTL_SUPERVISOR_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/cgroup.h"
#include "daemon/supervisor/child.h"
#include "daemon/supervisor/table.h"
#include "daemon/wire/wire.h"

#define SLOT_BUCKETS 1024
#define SLOT_SPAWN_MS 10000 /* from clone3 to exec */
#define SLOT_STUCK_MS 10000 /* from SIGKILL to "cannot be killed" */
#define SLOT_STREAMS_MAX 32 /* undrained incarnations; then a spawn is refused */

struct stream;
struct push;
struct launch;
struct standby;
struct standby_body;
struct slot_fault;
struct unit;

struct slot {
	struct supervisor *sup;
	uint32_t number;
	struct table_slot *t;
	struct table_cold *cold;  /* see table.h: when it may be looked at */
	struct slot *next_of_key; /* hash chain */

	struct child child;
	struct cgroup cgroup;
	struct launch *launch; /* what the child reads until it has exec'd */
	bool waiting; /* SPAWNING, but its cgroup has to be empty first, or ports come back */
	struct standby *standby; /* started at once when the process ends by itself, or NULL */
	struct standby_body *standby_body; /* see standby.h; also when there is no standby */
	bool use_standby;		   /* between its death and the reaping */
	bool missing;	 /* adoption: its process is gone, a logger may know how it ended */
	bool stream_due; /* adoption: nobody has given its log pipes back yet */
	uint8_t held;	 /* adoption: which of them we have opened ourselves; 1 stdout, 2 stderr */
	struct loop_timer timer; /* spawn deadline, grace period, or "is it stuck?" */

	bool has_sockets;	  /* maybe a directory for them, see sockets.h */
	int sockets_wd;		  /* inotify's, or 0 */
	struct push *push;	  /* its notify socket, or NULL */
	struct slot_fault *fault; /* of its output's storing, see stream_fault.h; or NULL */
	struct unit *units;	  /* of runs in an engine, see unit.h */
	struct stream *streams;	  /* undrained, newest first */
	uint32_t n_streams;
	uint32_t unswept; /* incarnations that may have left processes behind */

	/* Controller's queue. */
	struct slot *next_dirty, *prev_dirty;
	bool dirty, note_due;
	int refused; /* errno of a refused spawn, told once */
};

/* The private half of the slot with this number; its key stands in the table. NULL = no memory. */
struct slot *slot_attach(struct supervisor *sup, uint32_t number);
/* Its process lives, or is a zombie: goes on in the state of the table. half_made: it may not have
 * exec'd yet, slot_settle says when. Takes pidfd over. 0 or -errno. */
int slot_adopt(struct slot *s, int pidfd, bool half_made);
void slot_settle(struct slot *s);
/* Its process ended, and nobody knows how. */
void slot_lost(struct slot *s);
void slot_free_all(struct supervisor *sup); /* at the end; the table keeps what it holds */
struct slot *slot_find(struct supervisor *sup, const struct wire_key *key);

/* A slot for a key that has none yet. 0 or -errno. */
int slot_new(struct supervisor *sup, const struct wire_key *key, struct slot **ret);
/* The start failed before there was a process; why stands in the table. */
void slot_not_cloned(struct slot *s);
/* signal 0 and grace -1 = the slot's own. An empty slot is swept. */
void slot_stop(struct slot *s, int signal, int64_t grace_ms);
void slot_signal(struct slot *s, int signal); /* the main process only */
/* It asks for more time before its SIGKILL; never for less. */
void slot_extend(struct slot *s, int64_t until_mono_ms);
void slot_note(struct slot *s, const uint8_t *note, uint32_t len);
/* Its unit's end: how (NULL = it never ran, why stands in the table). What is left of it is swept by
 * somebody else. */
struct slot_end {
	const siginfo_t *si;
	bool oom_killed;
	int64_t ended_wall_ms; /* 0 = now */
};
void slot_unit_ended(struct slot *s, const struct slot_end *e);
/* A former aictld's unit lives: a stop goes on. */
void slot_unit_adopted(struct slot *s);
/* What is kept of its output, of what runs and of the next start. */
void slot_set_logs(struct slot *s, const struct wire_logs *m);
struct wire_logs slot_logs(const struct slot *s);
void slot_ack(struct slot *s, uint64_t seq);
void slot_release(struct slot *s);

/* Told by sweep and stream: one thing less is left. */
void slot_swept(struct slot *s, const char *cookie);
void slot_drained(struct slot *s);
/* Told by cgroup: all that was in it is gone. */
void slot_emptied(struct slot *s, const char *cookie);

void slot_fill(const struct slot *s, struct wire_slot *m);
bool slot_is_living(const struct slot *s);
/* Reads the start times that are not known yet, off the restart path. */
void slot_read_start_times(struct supervisor *sup);

#endif
