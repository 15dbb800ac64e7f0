/*
 * replica: one replica of a service: its state machine, health checks and restart policy, and what
 * aictld said of its slot. replica.c is the only writer of `state`.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_H
#define AICTL_CONTROLLER_REPLICA_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/controller/health.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/policy.h"
#include "daemon/controller/probe_history.h"
#include "daemon/controller/prober.h"
#include "daemon/controller/reaction.h"
#include "daemon/controller/replica_sm.h"
#include "daemon/wire/wire.h"

struct buf;
struct probe_exec;
struct probe_run;
struct replica_hooks;
struct replica_evidence;
struct replica_push;
struct replica_stranger;
struct replica_traffic;
struct replica_unit;
struct service;
struct service_spec;
struct spec_source;
struct controller;
struct identity;

#define REPLICA_MESSAGE_MAX JOURNAL_MESSAGE_MAX

struct replica_exit {
	int code;	   /* -1 = by a signal or unknown */
	int signal;	   /* 0 = none */
	const char *cause; /* static: "exit", "signal", "probe", "user", "update", "start", "oom",
		       "lost" */
	int64_t started_wall_ms, at_wall_ms;
	char incarnation[WIRE_INCARNATION_SIZE];
};

/* Of it, what is shown with the replica. */
struct replica_last_exit {
	const char *cause; /* static, as above; NULL = there was none */
	int64_t at_wall_ms;
	int code, signal;
};

/* Made when a probe of its kind runs for the first time. */
struct replica_probe {
	struct replica *replica;
	enum probe_kind kind;
	struct probe_run *run;	 /* while it runs; http, tcp, grpc and progress */
	struct probe_exec *exec; /* exec, file */
	struct probe_log *log;	 /* log: what was read of it, also between attempts */
	bool log_runs;
	unsigned step;			 /* warm-up: the request that is next */
	struct probe_page *page;	 /* progress: while it runs */
	struct probe_progress *progress; /* and what is remembered, of the process below */
	char progress_of[WIRE_INCARNATION_SIZE];
	struct probe_history history;
};

#define REPLICA_PORTS_MAX MANIFEST_PORTS_MAX

struct replica_port {
	uint32_t name; /* its hash, see replica_ports.h */
	uint16_t number;
};

struct replica {
	struct service *service;
	unsigned index;
	enum replica_state state;
	char incarnation[WIRE_INCARNATION_SIZE]; /* of the current or last process; "" = never
						    started */
	int pid;	     /* 0 = none; REPLICA_UNIT_PID: it runs, as which is not known */
	bool frozen;	     /* as aictld says, see replica_cgroup.h */
	bool tracked;	     /* it has a cgroup */
	bool freeze_asked;   /* the last request for this process was to freeze it */
	char *limits_failed; /* why those of the manifest are not in force, or NULL */
	struct wire_log_fault *log_fault; /* see replica_log_fault.h; NULL = there was none */
	bool freeze_failed;		  /* it was not done, or the thaw was not */
	uint32_t freeze_request;	  /* the one that has no answer yet; 0 = none */
	/* What aictld starts at once when this process ends by itself (wire.h, SPAWN); "" = nothing. */
	char standby[WIRE_INCARNATION_SIZE];
	uint64_t standby_revision, standby_hash, standby_secrets;
	bool standby_used; /* while its start is posted */
	uint64_t revision; /* of the set, when it was started (or changed live) */
	/* What its process was started with, and live changes since; the service's own may be newer. */
	struct spec_source *source;
	const struct service_spec *spec; /* NULL = not known */
	uint64_t spec_hash;		 /* its service_spec_hash() */
	bool as_before;		   /* the start under way is with it, not with the service's */
	struct identity *identity; /* of the user it runs as; NULL without spec */
	uint64_t launch_hash; /* of what it was started with; differs from the service's = outdated
			       */
	unsigned port;	      /* the main one's number, 0 = none; others: replica_ports.h */
	struct replica_port *ports; /* owned, n_ports of them */
	unsigned n_ports;
	uint32_t restarts; /* automatic ones, since the user last started it */
	const char *
		recycle; /* static: why it is to be replaced though it is current (plan.h), or NULL */
	int64_t above_until_mono_ms; /* above max_memory, and not recycled before then; 0 = not */
	bool in_place;		     /* recycle: stop first, whatever the update says */
	bool uncounted;		 /* the next start is no restart: the last one was never begun */
	enum stop_intent intent; /* of the stop under way */
	const char *stop_cause; /* static: what the exit record will say: "user", "update", "probe",
				   ... */
	int64_t condemned_mono_ms;
	const char *reason;			/* static token */
	char *message;				/* owned; see replica_message */
	int64_t since_wall_ms;			/* of the state */
	int64_t started_wall_ms, ready_mono_ms; /* ready_mono_ms: 0 = not ready since the start */
	/* How long its last start took to become ready and its last stop; 0 = not known. */
	int64_t start_ms, stop_ms, stopping_mono_ms;
	int64_t next_at_mono_ms; /* BACKOFF */
	uint64_t exit_seq;	 /* the last exit record of the slot that was handled */
	struct replica_last_exit last_exit;
	struct policy_state policy;
	struct policy_decision decision; /* for the state machine's choices */
	struct health health;
	struct replica_push *push;	   /* what it says of itself; NULL = nothing */
	struct replica_traffic *traffic;   /* see traffic.h; NULL = nothing is known */
	struct replica_stranger *stranger; /* see strangers.h; NULL = nobody is at its ports */
	struct replica_unit *unit; /* see replica_unit.h; NULL = nothing was said of a container */
	struct replica_evidence *seen; /* of its start; NULL = not looked at */
	struct replica_hooks *hooks;   /* while one runs, see replica_hooks.h */
	char *failed_hook; /* of the last step that failed: its output, by incarnation. Owned */
	struct probe_run *reload; /* see replica_reload.h; while a request is under way */
	struct reaction reaction;
	/* Secrets as secrets_version() counts them: what it has read; what the request under way is
	 * about; what it was asked to read in vain, and the answer (owned). 0 = none. */
	uint64_t secrets_read, secrets_asked, secrets_refused;
	char *reload_failure;
	bool attempt;	  /* a start was begun, and post_stop is not done for it */
	bool attempt_ran; /* its SPAWN went out */
	bool preparing;	  /* STARTING, and pre_start runs */
	struct replica_probe *probes[PROBE_KIND_MAX_]; /* NULL: none has run yet */
	uv_timer_t *timer;   /* the next probe, or the standby's time; made when there is one */
	bool gave_up;	     /* FAILED: it has waited for a dependency for too long */
	bool was_left_alone; /* its note says so: see service.h */
	bool note_dirty, posting, closing;
	uint8_t queue[4], n_queued; /* events raised inside an action */
};

struct replica_last_exit replica_last_exit(const struct replica_exit *x);
struct replica *replica_new(struct service *s, unsigned index);
void replica_free(struct replica *r); /* memory goes with the loop's next round */
/* Makes it; NULL = no memory. */
uv_timer_t *replica_timer(struct replica *r);
/* What plan decided; reason is static. */
void replica_start(struct replica *r, bool as_before);
/* It is to start as the last good revision; before replica_start(r, true). False: there is none. */
bool replica_take_good(struct replica *r);
void replica_wait(struct replica *r);
/* WAITING for a dependency: text says which; or it has waited long enough. */
void replica_held(struct replica *r, const char *text, bool give_up);
/* It has failed for that. */
bool replica_has_given_up(const struct replica *r);
/* It had, says its note. */
void replica_restore_given_up(struct replica *r);
/* To be replaced by a new process, for a static reason of replica_exit.h's; a stronger one (the
 * user's) is not overwritten. */
void replica_recycle(struct replica *r, const char *reason, bool in_place);
void replica_stop(struct replica *r, enum stop_intent intent, const char *reason);
/* It ended like that before the daemon started: SUCCEEDED or FAILED. */
void replica_restore_end(struct replica *r, enum replica_state state, const struct replica_exit *x);
/* Its service has a spec again (service.h, left_alone). */
void replica_take_over(struct replica *r);
/* The service's spec changed without replacing: probes, policy, stop. */
void replica_respec(struct replica *r);
/* To its main process, if there is one. */
void replica_signal(struct replica *r, int signal);
/* Forgets failures: counters, back-off, budget, slow mode. One that waits or has failed starts. */
void replica_reset(struct replica *r);
/* What its state is about, "" = nothing. Borrowed. */
const char *replica_message(const struct replica *r);
bool replica_is_current(const struct replica *r);
/* It is outdated, and what it ran is known. */
bool replica_is_restorable(const struct replica *r);
/* Sends the note if it changed. */
void replica_flush_note(struct replica *r);
/* Of its slot and present incarnation. */
struct wire_key replica_key(const struct replica *r);
/* Wall time of the next attempt, 0 = none. */
int64_t replica_next_attempt_wall_ms(const struct replica *r);

#endif
