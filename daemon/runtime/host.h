/*
 * host: the other side of a plugin (aictl/plugin.h): the table that it calls, and its operations.
 *
 * An operation that was begun is answered exactly once, whatever the plugin does: by its
 * complete(), by the end of the grace after a cancel, which host_cancel or its deadline begins, or by
 * the end of the host. Until then the plugin may be at it: who waits does nothing twice at a time.
 * What the interface forbids is not passed on; it is reported by `fault` (and nothing else
 * happens: who reports may decide to end).
 *
 * host_watch.c has the descriptors and timers that the plugin waits for. A runtime has one host and
 * one loop; tests and aictl-plugin-check have several.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_HOST_H
#define AICTL_RUNTIME_HOST_H

#include <aictl/plugin.h>
#include <stdbool.h>
#include <sys/types.h>

#include "lib/loop.h"

struct err;
struct host_call;
struct host_watch;

enum host_kind {
	HOST_START,
	HOST_SIGNAL,
	HOST_REMOVE,
	HOST_LIST,
	HOST_STATS,
	HOST_EXEC,
	HOST_LOGS,
	HOST_CLOSE,
	HOST_KIND_MAX_
};

/* Who asked. All may be NULL but ended, and are called with the operation's number. */
struct host_reply {
	void *user;
	/* Once; r is never NULL, its code is one of enum aictl_code, its message is never NULL. It may
	 * come before the function returns that began the operation. */
	void (*ended)(void *user, uint64_t op, const struct aictl_result *r);
	void (*progress)(void *user, uint64_t op, const struct aictl_progress *p);
	void (*item)(void *user, uint64_t op, const struct aictl_unit_state *s);
	void (*position)(void *user, uint64_t op, const struct aictl_log_position *p);
	void (*started)(void *user, uint64_t op, pid_t pid); /* exec */
};

/* What comes without being asked for. */
struct host_events {
	void *user;
	void (*unit_state)(void *user, const struct aictl_unit_state *s);
	void (*engine_state)(void *user, const struct aictl_engine_state *s);
	void (*log)(void *user, int level, const char *text); /* one line */
	void (*fault)(void *user, const char *text);	      /* the plugin's doing */
};

struct host {
	struct aictl_host table; /* first: the plugin's pointer is ours */
	struct loop *loop;
	struct aictl_runtime_ops ops; /* the plugin's, as far as it goes */
	void *self;		      /* the plugin's; NULL = not open */
	struct host_events events;
	int64_t deadline_ms[HOST_KIND_MAX_]; /* 0 = none; tests make them shorter */
	int64_t cancel_ms, call_ms;
	uint64_t n_faults;

	/* Private. */
	pid_t thread;
	_Atomic unsigned n_stranger_calls; /* from other threads, not said yet */
	const char *_Atomic stranger_called;
	uint64_t last_op;
	struct host_call **calls; /* by number, ascending */
	size_t n_calls, cap_calls;
	struct host_watch **watches; /* by descriptor */
	size_t cap_watches;
	struct aictl_timer *timers;
	unsigned depth;	  /* calls into the plugin that are under way */
	bool open, ended; /* between open and the end of close; after it */
};

/* Sets the table and the deadlines of the interface; the caller then fills in events. */
void host_init(struct host *h, struct loop *loop, const struct aictl_plugin *plugin);
int host_open(struct host *h, const struct aictl_open *with, struct err **reterr);
/* Ends what is under way (AICTL_CANCELED), drops watches and timers. Without a close before it the
 * plugin must not be called any more, which is for the end of a process. Idempotent. */
void host_done(struct host *h);

/* The number of the operation, or 0: no memory, and reply will not be called. A plugin that lacks
 * it ends it with AICTL_UNSUPPORTED. */
uint64_t host_start(struct host *h, const struct aictl_start *what, const struct host_reply *reply);
uint64_t host_signal(struct host *h, const char *unit, int number, const struct host_reply *reply);
uint64_t host_remove(struct host *h, const char *unit, const struct host_reply *reply);
uint64_t host_list(struct host *h, const struct host_reply *reply);
uint64_t host_stats(struct host *h, const char *unit, const struct host_reply *reply);
uint64_t host_exec(struct host *h, const struct aictl_exec *what, const struct host_reply *reply);
uint64_t host_logs(struct host *h, const struct aictl_logs *what, const struct host_reply *reply);
uint64_t host_close(struct host *h, const struct host_reply *reply);

bool host_can(const struct host *h, enum host_kind kind);
/* Nothing happens when it has ended. */
void host_cancel(struct host *h, uint64_t op);
void host_resize(struct host *h, uint64_t op, uint32_t rows, uint32_t columns);
bool host_is_open(const struct host *h, uint64_t op);

const char *host_kind_name(enum host_kind kind); /* "start" … */
const char *host_code_name(int code);		 /* "ok", "invalid" …, "failed" */
const char *host_phase_name(unsigned phase);	 /* "unknown", "created" … */

/* For host_watch.c: what the plugin did wrong; and around each call into it. */
void host_fault(struct host *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t host_enter(struct host *h);
void host_leave(struct host *h, int64_t entered_mono_ms, const char *what);
/* False, and said: called from another thread, or after the end. */
bool host_may_call(struct host *h, const char *what);

#endif
