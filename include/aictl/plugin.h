/*
 * aictl/plugin.h: how aictl runs units (containers, jobs, machines …) by a module that it loads.
 *
 * A plugin is one shared object, NAME.so, in the plugin directory (pkg-config
 * --variable=plugindir aictl-plugin). It exports one function, aictl_plugin_query, and links
 * nothing of aictl: all that it may call stands in struct aictl_host. A program of its own,
 * aictl-runtime, loads it: a plugin that crashes or hangs takes no other part of aictl along, is
 * started again, and finds its units by `list`.
 *
 * THREADS. The host has one thread and one event loop. It calls a plugin from that thread only,
 * and a plugin calls the host from that thread only. A plugin with threads of its own wakes the
 * loop by an eventfd that it watches. Both sides may call each other from within any call: an
 * operation may complete before its function returns.
 *
 * NO CALL BLOCKS. A call into a plugin that takes longer than AICTL_CALL_MS is reported with the
 * plugin's name, and a process that is silent for 15 s is killed and started again.
 *
 * OPERATIONS are asynchronous. Each has a cookie, `op`, never 0 and never used twice, and ends by
 * exactly one host->complete(op). The host sees to it:
 *  - a second complete() is not passed on, and reported as the plugin's fault, as is one of an
 *    operation that was never begun;
 *  - an operation that is not complete at its deadline (AICTL_*_MS below) has failed with
 *    AICTL_TIMEOUT. The host calls `cancel` for it. The plugin still has to complete it, within
 *    AICTL_CANCEL_MS, as with any cancel; what it says then is not passed on.
 *
 * OWNERSHIP. Whatever a pointer argument leads to, in either direction, is the caller's and lives
 * until the call returns, but for the strings of struct aictl_plugin and for the ops, which live
 * as long as the module, and for the host table, which lives until `close` has completed.
 * Descriptors are the host's: they are open until their operation has completed and are not the
 * plugin's to close.
 *
 * UNITS are named by the host; a name is used for one life only. All that a plugin creates for a
 * unit carries the given labels. It never touches what does not carry its instance's label,
 * AICTL_LABEL_INSTANCE. It keeps no plan: it starts nothing again by itself, and removes nothing
 * unless told.
 *
 * THE FUTURE. `abi` is AICTL_PLUGIN_ABI of the header that a side was compiled with; other
 * numbers are refused. Within one number:
 *  - a structure that begins with struct_size, or with abi and struct_size, grows at its end only;
 *    none has padding there. Who makes one clears all of it and sets struct_size to its own
 *    sizeof; what is 0 or NULL is as if it had never been invented. Who reads one reads nothing
 *    beyond its struct_size: for members that are younger than version 1 it asks AICTL_HAS. What
 *    is beyond the own sizeof is not looked at;
 *  - a structure without struct_size (aictl_pair, aictl_log_position) never changes;
 *  - enums and flags gain values. Integers of a fixed size carry them. A value that the reader does
 *    not know is, for a code, AICTL_FAILED; for a phase, AICTL_UNIT_UNKNOWN; for a level,
 *    AICTL_ERROR; a flag is ignored;
 *  - members called reserved are 0 until they have a name;
 *  - functions and operations keep their meaning; new ones come at the end of their table.
 *
 * UNITS OF MEASURE. Times end in _ms, _us or _ns; wall times count from 1970 in UTC; sizes are
 * bytes; signals have Linux's numbers; text is UTF-8 with a NUL, and bytes that are none are
 * replaced; 0, -1 or NULL for "not known" is said per member.
 *
 * C99. SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGIN_H
#define AICTL_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AICTL_PLUGIN_ABI 1u
#define AICTL_PLUGIN_SYMBOL "aictl_plugin_query"
#define AICTL_PLUGIN_EXPORT __attribute__((visibility("default")))

/* Does the other side's structure reach as far as this member? */
#define AICTL_HAS(p, member)                                                                       \
	((p)->struct_size >=                                                                       \
	 (size_t)((const char *)&(p)->member - (const char *)(p)) + sizeof((p)->member))

/* What an operation may take, until the host gives it up. `start` counts from its last
 * progress(); `exec` and `logs` have no deadline. A later host may wait longer, never shorter. */
#define AICTL_CALL_MS 1000
#define AICTL_START_MS 60000
#define AICTL_SIGNAL_MS 15000
#define AICTL_REMOVE_MS 30000
#define AICTL_LIST_MS 30000
#define AICTL_STATS_MS 10000
#define AICTL_CLOSE_MS 5000
#define AICTL_CANCEL_MS 10000

/* The label that says whose a unit is, and the others that the host gives. */
#define AICTL_LABEL_INSTANCE "io.aictl.instance"
#define AICTL_LABEL_SERVICE "io.aictl.service"
#define AICTL_LABEL_INDEX "io.aictl.index"
#define AICTL_LABEL_INCARNATION "io.aictl.incarnation"
#define AICTL_LABEL_REVISION "io.aictl.revision"

enum aictl_code {
	AICTL_OK = 0,
	AICTL_INVALID = 1, /* the specification or configuration is wrong: trying again is no use */
	AICTL_NOT_FOUND = 2,   /* no such unit, image, volume, network … */
	AICTL_CONFLICT = 3,    /* the engine's state forbids it: a name or a port is taken … */
	AICTL_DENIED = 4,      /* no permission, bad credentials */
	AICTL_UNREACHABLE = 5, /* the engine does not answer, or answers garbage */
	AICTL_TIMEOUT = 6,     /* the plugin's own time limit; the host's is as this */
	AICTL_UNSUPPORTED = 7, /* this engine or plugin cannot do that */
	AICTL_CANCELED = 8,    /* after cancel or close */
	AICTL_NO_MEMORY = 9,
	AICTL_FAILED = 10 /* anything else; so are values that the host does not know */
};

enum aictl_level { AICTL_ERROR = 0, AICTL_WARNING = 1, AICTL_INFO = 2, AICTL_DEBUG = 3 };

/* Events of a descriptor, as bits. */
#define AICTL_READ 1u
#define AICTL_WRITE 2u
#define AICTL_HANGUP 4u /* only reported, never asked for: error or hang-up */

struct aictl_pair {
	const char *key, *value;
};

/* ---- what a plugin tells ---- */

struct aictl_result {
	uint32_t struct_size;
	int32_t code; /* enum aictl_code */
	const char
		*message; /* for people, one line, without a full stop; NULL only with AICTL_OK */
	int32_t exit_status; /* exec: 0..255, 128 + n for signal n */
	uint32_t reserved;
	const struct aictl_stats *stats; /* stats */
};

enum aictl_unit_phase {
	AICTL_UNIT_UNKNOWN = 0, /* the engine cannot say at present */
	AICTL_UNIT_CREATED = 1, /* exists, has not run yet */
	AICTL_UNIT_RUNNING = 2,
	AICTL_UNIT_EXITED = 3, /* has run, still exists */
	AICTL_UNIT_GONE = 4    /* does not exist (any more) */
};

#define AICTL_UNIT_OOM 1u	   /* the kernel killed it for memory: the engine says so */
#define AICTL_UNIT_EXIT_UNKNOWN 2u /* it ended, and exit_status is lost */
#define AICTL_UNIT_PAUSED 4u	   /* running, but frozen by someone */

struct aictl_unit_state {
	uint32_t struct_size;
	uint32_t phase; /* enum aictl_unit_phase */
	const char *unit;
	const char *engine_id; /* the engine's id, or NULL */
	const char *image;     /* what it runs exactly (a digest or id), or NULL */
	const char *address;   /* IP address that this host can reach it at, or NULL */
	const char *error;     /* why it could not start, as the engine says, or NULL */
	int64_t pid; /* of its first process, seen from this host; 0 = none or not known */
	int64_t started_wall_ms;  /* 0 = never or not known */
	int64_t finished_wall_ms; /* EXITED; 0 = not known */
	int32_t exit_status;	  /* EXITED: 0..255, 128 + n for signal n */
	uint32_t flags;		  /* AICTL_UNIT_* */
	/* In a list: what the unit carries, as far as the engine has kept it. Elsewhere NULL will do. */
	const struct aictl_pair *labels;
	size_t n_labels;
};

#define AICTL_ENGINE_LOGS_EXACT 1u /* logs go on from a position without doubles or losses */
#define AICTL_ENGINE_OOM 2u	   /* it tells of OOM kills */

struct aictl_engine_state {
	uint32_t struct_size;
	uint32_t reachable;   /* 0 or 1 */
	const char *name;     /* "Docker Engine", "Podman" …; NULL = not known yet */
	const char *version;  /* "26.1.4, API 1.45"; NULL = not known yet */
	const char *endpoint; /* what is talked to: "unix:///run/docker.sock", or NULL */
	const char *error;    /* why it is not reachable; NULL when it is */
	uint32_t flags;	      /* AICTL_ENGINE_*, as far as known */
	uint32_t reserved;
};

/* How far the pull of a start's image has come; with nothing in it, that the start is at work. */
struct aictl_progress {
	uint32_t struct_size;
	uint32_t layers_done, layers_total; /* 0 total: not known */
	uint32_t reserved;
	int64_t bytes_done, bytes_total; /* 0 total: not known */
	const char *text;		 /* "pulling llama:8b", or NULL */
};

/* Where in a unit's output a reader stands: what came with stamps before stamp_ns has been
 * written, and of what came with just this stamp the first `lines` lines in `bytes` bytes. All 0:
 * at the beginning. The host stores it and never looks inside, so an engine with other positions
 * may use the numbers as it likes. */
struct aictl_log_position {
	int64_t stamp_ns;
	uint64_t bytes;
	uint64_t lines;
};

/* Counters since the unit's start; -1 = not known. */
struct aictl_stats {
	uint32_t struct_size;
	uint32_t reserved;
	int64_t cpu_us;
	int64_t memory_bytes; /* without what the kernel can drop at once */
	int64_t memory_limit; /* 0 = none */
	int64_t pids;
	int64_t read_bytes, written_bytes;  /* block devices */
	int64_t received_bytes, sent_bytes; /* network */
};

/* ---- what the host gives ---- */

struct aictl_timer; /* the host's */

struct aictl_host {
	uint32_t abi, struct_size;

	/* One line, no newline needed; the host adds time and the plugin's name. Never secrets. */
	void (*log)(const struct aictl_host *host, int level, const char *text);
	/* Of the clock of timers: never goes back, stands still for nobody. */
	int64_t (*now_ms)(const struct aictl_host *host);

	/* Watches a descriptor, level-triggered, until it is told events 0, which has to come
	 * before close(). One watch per descriptor: a second call changes it. 0, or a negative
	 * errno (fn is not needed with events 0, which cannot fail). */
	int (*watch)(const struct aictl_host *host, int fd, uint32_t events,
		     void (*fn)(void *user, int fd, uint32_t events), void *user);

	/* A timer at rest, or NULL: no memory. */
	struct aictl_timer *(*timer_new)(const struct aictl_host *host, void (*fn)(void *user),
					 void *user);
	/* Calls fn once, after delay_ms (0: in the next round); below 0: not at all. */
	void (*timer_set)(const struct aictl_host *host, struct aictl_timer *timer,
			  int64_t delay_ms);
	/* NULL does nothing. A timer may be freed in its own fn. */
	void (*timer_free)(const struct aictl_host *host, struct aictl_timer *timer);

	/* The end of an operation: exactly once for each. NULL as result means AICTL_OK. */
	void (*complete)(const struct aictl_host *host, uint64_t op,
			 const struct aictl_result *result);

	/* Something is so, whatever was before: may be said again and again, in any order with
	 * completions. Every change has to be told, first of all each exit. Units of other
	 * instances are never mentioned. */
	void (*unit_state)(const struct aictl_host *host, const struct aictl_unit_state *state);
	/* Told as soon as it is known after open, and on each change. While the engine is not
	 * reachable the host keeps what it knew of units; when it is back it calls `list`. */
	void (*engine_state)(const struct aictl_host *host, const struct aictl_engine_state *state);
	/* Of a start. Moves its deadline. */
	void (*progress)(const struct aictl_host *host, uint64_t op,
			 const struct aictl_progress *progress);
	/* Of a list: one unit, while the operation is open. */
	void (*list_item)(const struct aictl_host *host, uint64_t op,
			  const struct aictl_unit_state *state);
	/* Of logs: right after what it tells has been written, so that a successor goes on from
	 * there. */
	void (*log_position)(const struct aictl_host *host, uint64_t op,
			     const struct aictl_log_position *position);
	/* Of exec: the pid of its process as this host sees it. For engines that cannot signal what
	 * they execute: the host may. Not told, or 0: not known. */
	void (*exec_started)(const struct aictl_host *host, uint64_t op, int64_t pid);
};

/* ---- what a runtime gets ---- */

struct aictl_open {
	uint32_t struct_size;
	uint32_t reserved;
	const char *name;     /* what the runtime is called here */
	const char *config;   /* what the administrator wrote after "NAME=", or "" */
	const char *instance; /* the value of AICTL_LABEL_INSTANCE */
};

struct aictl_start {
	uint32_t struct_size;
	uint32_t reserved;
	const char *unit;
	const char *spec; /* JSON, an object; see aictl-plugin(3) */
	size_t spec_len;  /* without the NUL that follows */
	const struct aictl_pair
		*labels; /* AICTL_LABEL_*; the specification may have more of the user's */
	size_t n_labels;
	/* Only without `logs`: where the unit writes to, blocking; to be duplicated if needed
	 * after the operation. -1 with `logs`. */
	int stdout_fd, stderr_fd;
};

struct aictl_logs {
	uint32_t struct_size;
	uint32_t reserved;
	const char *unit;
	struct aictl_log_position from;
	int stdout_fd, stderr_fd; /* pipes, non-blocking: when full, watch them */
};

struct aictl_exec {
	uint32_t struct_size;
	uint32_t tty; /* 0 or 1: a terminal inside; stderr_fd is not used then */
	const char *unit;
	const char *const *argv;	    /* NULL at the end */
	const char *const *environment;	    /* "KEY=value", NULL at the end; added to the unit's */
	const char *user;		    /* or NULL: the unit's */
	const char *working_dir;	    /* or NULL: the unit's */
	int stdin_fd, stdout_fd, stderr_fd; /* any kind, any mode; stdin -1: none */
	uint32_t rows, columns;		    /* of the terminal; 0 = not known */
	uint32_t reserved;
};

/* `self` is what open gave. All but open, exec_resize and cancel are operations: see the head of
 * this file. NULL is allowed for exec, exec_resize, stats, logs and cancel: "not supported".
 *
 * The host sees to it that a unit has one start or remove under way at most, and that signal,
 * exec, stats and logs come for units only that it knows to exist. */
struct aictl_runtime_ops {
	uint32_t struct_size;
	uint32_t reserved;

	/* Begins to work; must not wait for the engine (engine_state tells of that). AICTL_OK
	 * with *ret_self set, or another code with one line in error[error_size]; then no more
	 * calls follow. */
	int (*open)(const struct aictl_host *host, const struct aictl_open *with, void **ret_self,
		    char *error, size_t error_size);
	/* Completes all that is open (AICTL_CANCELED), lets units run on, frees self, and
	 * completes as its last call. */
	void (*close)(void *self, uint64_t op);

	/* Ends when the unit has been started, or has certainly not been. One that exists by this
	 * name, with our label, is success, run it or ended: nothing is started twice. */
	void (*start)(void *self, uint64_t op, const struct aictl_start *what);
	/* AICTL_NOT_FOUND if it is gone, AICTL_OK if it has ended: both are no fault. */
	void (*signal)(void *self, uint64_t op, const char *unit, int signal_number);
	/* Kills it if it runs, and removes it with what belongs to it alone. Gone already:
	 * AICTL_OK. */
	void (*remove)(void *self, uint64_t op, const char *unit);
	/* list_item for every unit of our instance, then complete. */
	void (*list)(void *self, uint64_t op);
	void (*stats)(void *self, uint64_t op, const char *unit);
	/* Runs a command in the unit. Ends after it has ended and its output was written, with
	 * result.exit_status. cancel ends it as far as the engine can. */
	void (*exec)(void *self, uint64_t op, const struct aictl_exec *what);
	void (*exec_resize)(void *self, uint64_t op, uint32_t rows, uint32_t columns);
	/* Writes the unit's output from `from` on until the unit has ended and all was written;
	 * or until cancel. An engine that goes away does not end it: it goes on by itself. One
	 * per unit. */
	void (*logs)(void *self, uint64_t op, const struct aictl_logs *what);
	/* The operation is to end soon; it still completes, with AICTL_CANCELED or what it came
	 * to. */
	void (*cancel)(void *self, uint64_t op);
};

/* ---- what a plugin is ---- */

enum aictl_kind {
	AICTL_KIND_RUNTIME = 1,
	AICTL_KIND_PROBE = 2, /* 2 to 4: reserved */
	AICTL_KIND_METRIC = 3,
	AICTL_KIND_DEVICE = 4
};

struct aictl_plugin {
	uint32_t abi, struct_size;
	uint32_t kind; /* enum aictl_kind */
	uint32_t reserved;
	const char *name;			 /* [a-z][a-z0-9-]*, as its file without .so */
	const char *version;			 /* the plugin's own */
	const char *description;		 /* one line */
	const struct aictl_runtime_ops *runtime; /* AICTL_KIND_RUNTIME */
};

/* The one symbol, of all versions. host_abi is AICTL_PLUGIN_ABI of the host. NULL: cannot work with
 * that one; of an answer with another abi nothing but that is read. Called before anything else;
 * does nothing but answer. */
AICTL_PLUGIN_EXPORT const struct aictl_plugin *aictl_plugin_query(uint32_t host_abi);

/* The whole of it, for one that works with this version only. ops_ is a struct, not a pointer. */
#define AICTL_RUNTIME_PLUGIN(name_, version_, description_, ops_)                                  \
	const struct aictl_plugin *aictl_plugin_query(uint32_t host_abi)                           \
	{                                                                                          \
		static const struct aictl_plugin plugin = {                                        \
			AICTL_PLUGIN_ABI, sizeof(plugin), AICTL_KIND_RUNTIME, 0, name_, version_,  \
			description_,	  &ops_};                                                  \
		return host_abi == AICTL_PLUGIN_ABI ? &plugin : NULL;                              \
	}

#ifdef __cplusplus
}
#endif

#endif
