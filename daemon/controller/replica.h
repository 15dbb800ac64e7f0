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
#include "daemon/controller/prober.h"
#include "daemon/controller/replica_sm.h"
#include "daemon/wire/wire.h"

struct buf;
struct probe_exec;
struct service;
struct service_spec;
struct spec_source;
struct controller;
struct identity;

#define REPLICA_MESSAGE_MAX JOURNAL_MESSAGE_MAX

struct replica_exit {
	bool known;	   /* there was one */
	int code;	   /* -1 = by a signal or unknown */
	int signal;	   /* 0 = none */
	const char *cause; /* static: "exit", "signal", "probe", "user", "update", "start", "oom",
		       "unknown" */
	int64_t started_wall_ms, at_wall_ms;
	char incarnation[WIRE_INCARNATION_SIZE];
};

/* Made when a probe of its kind runs for the first time. */
struct replica_probe {
	struct replica *replica;
	enum probe_kind kind;
	struct probe_run *run;	 /* while it runs; http and tcp */
	struct probe_exec *exec; /* exec */
	int64_t at_wall_ms;	 /* of the last result; 0 = none yet */
	bool ok;
	char message[REPLICA_MESSAGE_MAX];
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
	int pid;				 /* 0 = none */
	bool frozen;				 /* as aictld says, see replica_cgroup.h */
	bool tracked;				 /* it has a cgroup */
	bool freeze_asked; /* the last request for this process was to freeze it */
	/* What aictld starts at once when this process ends by itself (wire.h, SPAWN); "" = nothing. */
	char standby[WIRE_INCARNATION_SIZE];
	uint64_t standby_revision, standby_hash;
	bool standby_used; /* while its start is posted */
	uint64_t revision; /* of the set, when it was started (or changed live) */
	/* What its process was started with, and live changes since; the service's own may be newer. */
	struct spec_source *source;
	const struct service_spec *spec; /* NULL = not known */
	struct identity *identity;	 /* of the user it runs as; NULL without spec */
	uint64_t launch_hash; /* of what it was started with; differs from the service's = outdated
			       */
	unsigned port;	      /* the main one's number, 0 = none; others: replica_ports.h */
	struct replica_port ports[REPLICA_PORTS_MAX];
	unsigned n_ports;
	uint32_t restarts;	 /* automatic ones, since the user last started it */
	bool restart_wanted;	 /* the user asked for a restart that has not begun */
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
	struct replica_exit last_exit;
	struct policy_state policy;
	struct policy_decision decision; /* for the state machine's choices */
	struct health health;
	struct replica_probe *probes[PROBE_KIND_MAX_]; /* NULL: none has run yet */
	uv_timer_t timer;			       /* the next probe, or the standby's time */
	bool was_left_alone;			       /* its note says so: see service.h */
	bool note_dirty, posting, closing;
	uint8_t queue[4], n_queued; /* events raised inside an action */
};

struct replica *replica_new(struct service *s, unsigned index);
void replica_free(struct replica *r); /* memory goes when the loop has closed its timer */
/* What plan decided; reason is static. */
void replica_start(struct replica *r);
void replica_stop(struct replica *r, enum stop_intent intent, const char *reason);
/* aictld told of its slot. Plans at once; r may be gone afterwards. */
void replica_on_slot(struct replica *r, const struct wire_slot *slot);
/* A slot whose replica is gone: its exits are stored and acknowledged. */
void replica_store_exits_of(struct controller *c, const struct wire_slot *slot);
/* From the inventory: the note first, then what the slot says now. */
void replica_restore(struct replica *r, const struct wire_slot *slot);
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
/* When the standby is due to be given, INT64_MAX = not. */
int64_t replica_standby_due(const struct replica *r);
/* Gives it when it is due. */
void replica_give_standby(struct replica *r);
/* The spec it was made of has changed. */
void replica_renew_standby(struct replica *r);
/* Sends the note if it changed. */
void replica_flush_note(struct replica *r);
/* Of its slot and present incarnation. */
struct wire_key replica_key(const struct replica *r);
/* Wall time of the next attempt, 0 = none. */
int64_t replica_next_attempt_wall_ms(const struct replica *r);

#endif
