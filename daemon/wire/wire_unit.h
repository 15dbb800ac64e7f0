/*
 * wire_unit: containers, and whatever else a runtime module runs. A replica of that kind has a slot
 * as a process has, with the same states, exits, notes and log streams: a *unit*. aictld starts one
 * aictl-runtime for each runtime that is enabled; it talks to the engine, aictld never does.
 *
 * controller -> aictld
 *   UNIT_START   in the place of SPAWN, without descriptors. Refused as SPAWN is. STOP, SIGNAL, NOTE,
 *                RELEASE, ACK, LOGS as for processes; LIMITS, FREEZE, WATCH and standbys do not exist.
 *                LOOK is answered by UNIT_STATS
 *   RUN          with `inside`: executed in the unit that runs in the slot (see below)
 * aictld -> controller
 *   UNIT_STATE   as the runtime said it last, in front of the SLOT that it explains; whenever it
 *                changes, and for each unit in the inventory
 *   RUNTIME      of each runtime that is enabled: before the first SLOT, and whenever it changes
 *   UNIT_STATS
 * aictld -> aictl-runtime
 *   HELLO        as to the other helpers, without descriptors. What a runtime is told by its command
 *                line: --name, --config, --plugin-dir, --instance, --log-level
 *   UNIT_KEEP    for each unit that may exist, after HELLO. fds as UNIT_START, or none: its log
 *                cannot be kept. It is followed (not started when it is not there), and its log goes
 *                on from the cell
 *   SYNCED       after them: containers of our instance that were not named are removed
 *   UNIT_START   made (after a pull, where the policy says so) and started. fds: write ends of stdout
 *                and stderr, and the cell: a file of WIRE_UNIT_CELL_SIZE bytes in memory, zeroes at
 *                the beginning but for its first word (enum wire_unit_cell); the runtime's own, for
 *                whether a start was ever begun, and how far the log was written. It outlives the
 *                runtime and aictld. Sent again to another runtime process while it has not started
 *                (then with what the former one left: the same name is the same container)
 *   SIGNAL       to its main process. While it is not started yet: the start is given up (FAILED
 *                with ECANCELED). Sent again to another runtime process, while it is stopped
 *   UNIT_REMOVE  once its end is noted: when its log is written to the end, it is removed (by force,
 *                also when it runs) and GONE is said. Of one that is not there GONE is said at once;
 *                of one whose start was never begun, even while the engine cannot be reached.
 *                Sent to each runtime process until GONE comes
 *   RUN          as it came from the controller, with the unit's incarnation; fds: stdin, stdout, stderr (with tty: the terminal
 *                thrice). argv; envp is added to the unit's; cwd "/" and set_user false: the unit's
 *                own; paths and the rest of the child count for nothing. aictld keeps the time
 *   RUN_KILL, LOOK, LOG_LEVEL, PING
 *   QUIT         end now; units run on. End of file without it means that aictld died: the runtime
 *                ends too, at once. What its units write meanwhile the engine keeps, and the next one
 *                goes on from the cell
 * aictl-runtime -> aictld
 *   RUNTIME      once connected, and whenever it changes: above all, is the engine reachable?
 *   UNIT_STATE   for each UNIT_START, UNIT_KEEP and UNIT_REMOVE, and whenever it changes. Said again
 *                it does no harm. UNKNOWN until the engine has answered
 *   RUN_END      once for each RUN; stage EXEC and err 0: it ran
 *   UNIT_PID     the process of a RUN, as aictld sees it: where the engine cannot signal it, aictld
 *                does
 *   UNIT_STATS, PONG
 *
 * Nobody who dies makes anything start twice: a start has a name (key with incarnation) that the
 * engine knows as well. While the engine cannot be reached a unit keeps its state, and RUNTIME says
 * since when that is so.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_WIRE_UNIT_H
#define AICTL_DAEMON_WIRE_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

struct buf;

/* The first word of a cell, 32 bits of the host's order. */
enum wire_unit_cell {
	WIRE_UNIT_CELL_UNKNOWN, /* of whatever happened */
	WIRE_UNIT_CELL_FRESH,	/* by aictld, as it takes the start: no engine has heard of it */
	WIRE_UNIT_CELL_BEGUN,	/* by the runtime, before it asks the plugin for the start */
};

#define WIRE_UNIT_CELL_SIZE 4096
#define WIRE_UNIT_SPEC_MAX (4 << 20) /* bytes of JSON */
#define WIRE_UNIT_TEXT_SIZE 512
#define WIRE_UNIT_ID_SIZE 80
#define WIRE_UNIT_ADDRESS_SIZE 46
#define WIRE_UNIT_VERSION_SIZE 64
#define WIRE_UNIT_PATH_SIZE 512
#define WIRE_UNIT_KIND_SIZE 16
#define WIRE_UNIT_ENDED_SIZE 32
#define WIRE_UNIT_DESCRIPTION_SIZE 160
#define WIRE_UNIT_INSTANCE_SIZE 33 /* 32 lower-case hex digits and NUL; names have the first 8 */

/* WIRE_UNIT_START; strings borrow from the decoded body. */
struct wire_unit_start {
	struct wire_key key;
	char runtime[WIRE_RUNTIME_SIZE]; /* a label: "docker" */
	uint64_t secrets;		 /* generation that must be there; 0 = none */
	int32_t stop_signal;		 /* 1..64 */
	int64_t grace_ms;
	struct wire_logs logs; /* with the revision */
	const uint8_t *note;   /* stored with the slot, see NOTE */
	uint32_t note_len;
	const char *spec; /* JSON, as the plugin reads it; not terminated */
	uint32_t spec_len;
};

enum wire_unit {
	WIRE_UNIT_UNKNOWN, /* nobody has been able to ask the engine yet */
	WIRE_UNIT_PULLING, /* its image is fetched: done and total say how far */
	WIRE_UNIT_CREATED, /* made, or being made; does not run yet */
	WIRE_UNIT_RUNNING,
	WIRE_UNIT_EXITED, /* the container is there, its process is not */
	WIRE_UNIT_FAILED, /* it never ran, and will not: err and text say why */
	WIRE_UNIT_GONE,	  /* there is no container (any more), and its log is written to the end */
	WIRE_UNIT_MAX_
};

/* WIRE_UNIT_STATE */
struct wire_unit_state {
	struct wire_key key;
	uint8_t state; /* enum wire_unit */
	uint8_t what;  /* FAILED: WIRE_WHAT_IMAGE, _CONTAINER or _RUNTIME */
	int32_t err;   /* FAILED: errno that fits best, never 0: ENOENT, EACCES, EINVAL, EIO ... */
	int32_t pid;   /* of its main process as the host sees it; 0 = not known */
	int64_t started_wall_ms, ended_wall_ms; /* the engine's; 0 = not known */
	/* EXITED. By a signal: code -1. An engine that only says 128 + n: aictld takes that for signal n
	 * (n < 32). */
	bool status_known;
	int32_t code, signal;
	bool oom_killed;
	char id[WIRE_UNIT_ID_SIZE];	      /* the engine's; "" = not known */
	char address[WIRE_UNIT_ADDRESS_SIZE]; /* in its network, numeric; "" = none */
	uint64_t done, total;		      /* PULLING: bytes; total 0 = not known */
	uint32_t layers_done, layers;	      /* PULLING */
	char text[WIRE_UNIT_TEXT_SIZE];	      /* for people: an error, a step of the pull */
};

enum wire_runtime_state {
	WIRE_RUNTIME_STARTING,	  /* nothing is known yet */
	WIRE_RUNTIME_OK,	  /* the engine answers */
	WIRE_RUNTIME_UNREACHABLE, /* it does not, or not what it should */
	WIRE_RUNTIME_FAILED, /* the plugin could not be loaded, or gave up: no engine is asked */
	WIRE_RUNTIME_DOWN,   /* aictld says so: its aictl-runtime does not run */
	WIRE_RUNTIME_STATE_MAX_
};

enum wire_runtime_can { /* what the plugin offers */
			WIRE_RUNTIME_EXEC = 1,
			WIRE_RUNTIME_STATS = 2,
			WIRE_RUNTIME_LOGS_EXACT =
				4, /* its log stamps are fine enough to resume without doubles */
			WIRE_RUNTIME_OOM = 8, /* it tells of OOM kills */
};

/* WIRE_RUNTIME */
struct wire_runtime {
	char name[WIRE_RUNTIME_SIZE];
	uint8_t state;	       /* enum wire_runtime_state */
	int64_t since_wall_ms; /* of the state */
	int32_t pid;	       /* of the aictl-runtime; filled in by aictld, as the next two */
	uint32_t restarts;
	char ended[WIRE_UNIT_ENDED_SIZE];     /* how it did last: "SIGSEGV", "exit 1"; "" = not */
	uint32_t can;			      /* enum wire_runtime_can */
	uint32_t abi;			      /* of the plugin; 0 = not known */
	char kind[WIRE_UNIT_KIND_SIZE];	      /* "runtime"; "" = not known */
	char plugin[WIRE_UNIT_PATH_SIZE];     /* its file */
	char version[WIRE_UNIT_VERSION_SIZE]; /* the plugin's */
	char description[WIRE_UNIT_DESCRIPTION_SIZE]; /* the plugin's */
	uint32_t faults;		     /* how often the plugin broke a rule in this process */
	char fault[WIRE_UNIT_TEXT_SIZE];     /* the last of them */
	char engine[WIRE_UNIT_VERSION_SIZE]; /* "Docker Engine 26.1.4, API 1.45"; "" = not known */
	char endpoint[WIRE_UNIT_PATH_SIZE];  /* what it talks to: "unix:///run/docker.sock" */
	char text[WIRE_UNIT_TEXT_SIZE];	     /* what is wrong, for people; "" = nothing */
};

/* WIRE_UNIT_STATS; 0 = not known. err: errno, then nothing is. */
struct wire_unit_stats {
	struct wire_key key;
	int32_t err;
	uint64_t cpu_us;       /* in all */
	uint64_t memory_bytes; /* now, without the page cache where that is known */
	uint64_t memory_limit;
	uint64_t read_bytes, written_bytes; /* to and from block devices, in all */
	uint64_t rx_bytes, tx_bytes;	    /* network, in all */
	uint32_t pids;
};

void wire_unit_encode_start(struct buf *b, const struct wire_unit_start *m);
int wire_unit_decode_start(const uint8_t *body, size_t len, struct wire_unit_start *m);
/* UNIT_KEEP, UNIT_REMOVE and LOOK: wire_encode_key; a key without an incarnation is not accepted. */
void wire_unit_encode_state(struct buf *b, const struct wire_unit_state *m);
int wire_unit_decode_state(const uint8_t *body, size_t len, struct wire_unit_state *m);
void wire_unit_encode_runtime(struct buf *b, const struct wire_runtime *m);
int wire_unit_decode_runtime(const uint8_t *body, size_t len, struct wire_runtime *m);
void wire_unit_encode_stats(struct buf *b, const struct wire_unit_stats *m);
int wire_unit_decode_stats(const uint8_t *body, size_t len, struct wire_unit_stats *m);
void wire_unit_encode_pid(struct buf *b, uint64_t id, int32_t pid);
int wire_unit_decode_pid(const uint8_t *body, size_t len, uint64_t *id, int32_t *pid);
const char *wire_unit_name(enum wire_unit state);		   /* "pulling" */
const char *wire_unit_runtime_name(enum wire_runtime_state state); /* "unreachable" */

#endif
