/*
 * table: what aictld knows about its slots, in memory that survives its death.
 *
 * One MAP_SHARED file on tmpfs with fixed slots. The kernel writes a child's pid straight into its
 * slot (CLONE_PARENT_SETTID) and the child its stage, so a slot never moves: the address space of
 * TABLE_SLOTS_MAX slots is reserved once and the file grows into it by steps, always allocated and
 * never sparse (a full tmpfs is an error of table_grow, not a SIGBUS).
 *
 * A slot has two parts: struct table_slot, which each start writes, and struct table_cold, which a
 * replica needs that ended, speaks through a notify socket, or has a long note. A step is
 * TABLE_STEP slots and then, from a page of its own on, their cold parts: of a thousand quiet
 * replicas no cold page is ever touched, so none is mapped. Hence two rules: cold parts are only
 * read where cold_used says so, and whoever writes one calls table_use_cold before.
 *
 * A new aictld takes a former one's table over. Both may be of different builds: the sizes of
 * header, slots and cold parts stand in the header, and members are only ever appended, at the end
 * of struct table_header, struct table_slot and struct table_cold (never within table_exit,
 * table_push, table_run or spawn_cell; then TABLE_LAYOUT grows, as with TABLE_STEP). A table with
 * shorter parts is copied into a new one, the new members 0. One with longer parts, or of another
 * layout, is refused: this build does not know what stands there. One of another boot or pid
 * namespace is dropped. What is taken over is checked before anything in it is believed
 * (table_slot_valid).
 *
 * Beside it lies the intent file, TABLE_INTENTS words that belong to the logger.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_TABLE_H
#define AICTL_SUPERVISOR_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/supervisor/spawn.h"
#include "daemon/wire/steps.h"
#include "daemon/wire/wire.h"

#define TABLE_LAYOUT 5
#define TABLE_SLOTS_MAX 16384
#define TABLE_STEP 64	    /* slots added at once; where a slot lies depends on it */
#define TABLE_INTENTS 32768 /* words of 8 bytes: one per undrained incarnation */
#define TABLE_OWNER_WORD                                                                           \
	(TABLE_INTENTS - 1) /* the last one: pid of the logger that may store, 0 = none yet */
#define TABLE_STREAM_WORDS                                                                         \
	(TABLE_OWNER_WORD - STEPS_WORDS) /* the first ones; between: what loggers do (steps.h) */
#define TABLE_COOKIES_MAX 8
#define TABLE_GATEWAYS 4
#define TABLE_RUNTIMES 8
#define TABLE_UNITS_MAX 8
#define TABLE_NOTE_SHORT 200 /* most notes; longer ones stand in the cold part */
#define TABLE_SEVERAL UINT64_MAX

enum table_flags {
	TABLE_BY_STOP = 1,  /* a STOP is out */
	TABLE_KILLED = 2,   /* our SIGKILL after the grace period */
	TABLE_LATE = 4,	    /* killed at the spawn deadline */
	TABLE_RELEASED = 8, /* the controller does not want the slot any more */
};

/* An incarnation as bytes, for what there is much of; all 0 = none. */
struct table_id {
	uint8_t bytes[(WIRE_INCARNATION_SIZE - 1) / 2];
};

struct table_exit {
	struct table_id incarnation;
	uint64_t seq;
	int64_t started_wall_ms, ended_wall_ms, started_mono_ms, ended_mono_ms;
	int32_t pid, code, err;
	uint8_t signal, stage, what; /* enum wire_stage, enum wire_what */
	uint8_t core_dumped, by_stop, killed, status_known, oom_killed;
};

/* What a slot's process said through its notify socket, see push.h. */
struct table_push {
	uint32_t flags;	    /* enum wire_push_flags */
	uint32_t wanted;    /* 1 = the process has a socket */
	uint32_t notify_fd; /* s6's descriptor in the process; 0 = none */
	uint32_t uid;	    /* who may send */
	int32_t err;
	uint32_t dropped;
	int32_t leader;	  /* of the session, where MAINPID has named another main process */
	int32_t main_pid; /* that one, once main_ticks holds; 0 = none */
	uint64_t main_ticks;
	uint64_t pipe_inode; /* behind notify_fd */
	int64_t watchdog_ms, extend_until_mono_ms;
	char status[168];
};

struct table_slot {
	uint32_t used;		/* 0 = free, all else is garbage */
	uint32_t index;		/* of the key */
	char service[64];	/* of the key */
	char incarnation[40];	/* of the key: current or last process */
	struct spawn_cell cell; /* pid (0 = none), stage, errno */
	uint32_t state;		/* enum wire_slot_state */
	uint32_t flags;		/* enum table_flags */
	int32_t stop_signal;
	uint32_t uid; /* of the process; (uint32_t)-1 = ours */
	int64_t grace_ms;
	int64_t kill_at_mono_ms; /* while stopping: when SIGKILL is due */
	uint64_t start_ticks;	 /* field 22 of /proc/PID/stat; 0 = not read yet */
	int64_t started_wall_ms, started_mono_ms;
	uint64_t log_max_size;
	uint32_t log_max_files;
	uint32_t intent;	      /* word of the intent file */
	uint64_t exit_seq;	      /* of the last exit made */
	uint32_t n_exits, exits_lost; /* unacknowledged, oldest first in cold exits[] */
	uint32_t n_cookies;	      /* incarnations whose left-overs are not swept yet */
	uint32_t note_len;
	uint32_t oom_kills; /* memory.events of the slot's cgroup, as last read */
	uint32_t cold_used; /* 0 = all of the cold part is garbage, and counts as 0 */
	uint64_t pipes[2];  /* inodes of stdout's and stderr's pipe; 0 = not known */
	uint8_t note[TABLE_NOTE_SHORT];
	/* with log_max_size and log_max_files, struct wire_logs */
	uint64_t log_max_total;
	int64_t log_max_age_ms, log_rotate_ms;
	uint32_t log_flags; /* enum wire_logs_flags */
	uint32_t spare_;
	uint64_t log_revision;
	uint32_t unit; /* 0 = a process, else 1 + place in header's runtimes */
	uint32_t spare2_;
#ifdef TABLE_SLOT_SPARE
	uint8_t later_[TABLE_SLOT_SPARE]; /* tests: a build with a longer slot */
#endif
};

/* The other part of a slot, which most slots never need. */
struct table_cold {
	struct table_id
		cookies[TABLE_COOKIES_MAX]; /* oldest first; more are known in memory only */
	struct table_exit exits[WIRE_EXITS_MAX];
	uint8_t note[WIRE_NOTE_MAX]; /* of more than TABLE_NOTE_SHORT bytes: all of it */
	struct table_push push;
	/* Units that have ended and are to be removed, oldest first. */
	struct table_id units[TABLE_UNITS_MAX];
	uint8_t unit_runtimes[TABLE_UNITS_MAX]; /* as `unit` */
	uint32_t n_units, spare_;
#ifdef TABLE_SLOT_SPARE
	uint8_t later_[TABLE_SLOT_SPARE];
#endif
};

enum table_gateway {
	TABLE_GATEWAY_NEW,    /* has no routes yet: nobody has been answered by it */
	TABLE_GATEWAY_SERVES, /* was the one that serves when it was last heard of */
	TABLE_GATEWAY_LEAVES, /* is being, or has been, sent QUIT */
};

/* A helper process; pid 0 = none. */
struct table_helper {
	int32_t pid;
	uint32_t state; /* of a gateway: enum table_gateway */
	uint64_t start_ticks;
};

/* A RUN, so that the next aictld can end it. */
struct table_run {
	struct spawn_cell cell; /* pid 0 = none */
	int64_t started_mono_ms;
};

struct table_header {
	char magic[8];
	uint32_t version, header_size, slot_size, n_slots;
	char boot_id[40];
	uint64_t pid_ns; /* inode of /proc/self/ns/pid */
	uint64_t born;	 /* of sup/, in ns: a new directory may get an old one's inode number */
	int64_t created_wall_ms;
	int32_t aictld_pid;
	uint32_t log_level;		/* 1 + enum log_level; 0 = not set by anybody */
	char build[32];			/* version of the aictld that wrote this header last */
	struct table_helper loggers[2]; /* the present one, and the one before while it lives */
	struct table_helper controller;
	uint32_t option_log_level; /* 1 + what --log-level said then */
	uint32_t cold_size;
	struct table_run runs[WIRE_RUNS_MAX];
	/* Of the state directory whose store knows what runs; 0 = not noted, TABLE_SEVERAL = no single one
	 * does. */
	uint64_t state_dev, state_ino;
	/* The present one, and those before it: that serve on until it does, or end what is under way. */
	struct table_helper gateways[TABLE_GATEWAYS];
	char runtimes[TABLE_RUNTIMES][WIRE_RUNTIME_SIZE]; /* that units refer to; "" = none */
	struct table_helper runtime_helpers[TABLE_RUNTIMES];
};

struct err;

struct table {
	int fd, intent_fd;
	int dir_fd;		     /* of the directory that holds both, on tmpfs */
	char *dir;		     /* its path, for messages and for removal when it is our own */
	bool own_dir;		     /* /dev/shm/...: removed with the table */
	struct table_header *header; /* start of the reserved address space */
	uint32_t n_slots;	     /* trusted copy of header->n_slots */
	uint64_t *intents;	     /* the words, mapped */
	bool former;		     /* a former aictld's table was taken over */
};

/*
 * Opens or creates table and intent file for runtime_dir, whose sup/ is sup_fd. boot_id has 36
 * characters. With t->former the slots hold what the former aictld left: check each.
 * ERR_CONFLICT: a newer build's, which is left alone.
 */
int table_open(struct table *t, const char *runtime_dir, int sup_fd, const char *boot_id,
	       struct err **reterr);
/* Could this build take over the table in fd, in use by an aictld? It is not changed; where it has to be
 * converted, the room for that is allocated beside it. */
int table_check(int fd, const char *runtime_dir, int sup_fd, struct err **reterr);
/* Gives back what a table_check allocated: its program does not come. */
void table_drop_room(const struct table *t);
/* Notes whose state directory is in use now (0 = not known). True: what runs, or some of it, was begun
 * with another one. */
bool table_note_state(const struct table *t, uint64_t dev, uint64_t ino);
struct table_slot *table_slot(const struct table *t, uint32_t number);
struct table_cold *table_cold(const struct table *t, uint32_t number);
struct table_id table_id(const char *incarnation); /* not 32 hex digits: none */
/* "" = none. */
void table_id_text(const struct table_id *id, char text[WIRE_INCARNATION_SIZE]);
bool table_id_is(const struct table_id *id, const char *incarnation);
/* Adds TABLE_STEP slots. 0 or -errno (-ENOSPC: the tmpfs or the table is full). */
int table_grow(struct table *t);
/* False: the slot's content cannot be ours; clear it. */
bool table_is_valid(const struct table *t, uint32_t number);
bool table_slot_valid(const struct table_slot *s, const struct table_cold *c);
/* Before anything is written to the cold part: it is all 0 then, or holds what it held. */
void table_use_cold(struct table_slot *s, struct table_cold *c);
/* Adds an exit record to the ring (the oldest gives way and is counted). Returns the new record. */
struct table_exit *table_push_exit(struct table_slot *s, struct table_cold *c);
/* Drops records up to and including seq. Returns true when something went. */
bool table_ack_exits(struct table_slot *s, struct table_cold *c, uint64_t seq);
void table_add_cookie(struct table_slot *s, struct table_cold *c, const char *cookie);
void table_drop_cookie(struct table_slot *s, struct table_cold *c, const char *cookie);
/* Of units. False: there are TABLE_UNITS_MAX already. */
bool table_add_unit(struct table_slot *s, struct table_cold *c, const char *incarnation);
void table_drop_unit(struct table_slot *s, struct table_cold *c, const char *incarnation);
/* Of at most WIRE_NOTE_MAX bytes. */
void table_set_note(struct table_slot *s, struct table_cold *c, const uint8_t *note, uint32_t len);
/* Its s->note_len bytes. */
const uint8_t *table_note(const struct table_slot *s, const struct table_cold *c);
/* Whose word it is that may store: the pid of a logger. */
void table_set_owner(const struct table *t, int pid);
int table_owner(const struct table *t);
/* Unmaps; with `remove` the files are gone too. */
void table_close(struct table *t, bool remove);

#endif
