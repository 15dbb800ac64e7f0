/*
 * controller: the brain's one big struct, passed down; nothing of it is global.
 *
 * Life: main makes the loop and the link; HELLO brings the API socket; the store is read; the slots
 * arrive as an inventory. When both are there (`controller_begin`) replicas are rebuilt from their
 * notes and planning starts. From then on everything is an event: a packet, a probe's result, an
 * API request, a timer. Handlers only change state and mark services dirty; before the loop waits
 * again `settle` plans the dirty ones.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_CONTROLLER_H
#define AICTL_CONTROLLER_CONTROLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "daemon/wire/wire.h"
#include "lib/buf.h"

struct apply_queue;
struct change_list;
struct err;
struct events;
struct http_server;
struct identity;
struct inventory;
struct journal;
struct link;
struct ports;
struct prober;
struct service;
struct store;

struct controller_opts {
	const char *runtime_dir, *state_dir, *log_dir;
	const char *manifests;	  /* or NULL */
	const char *default_user; /* or NULL */
	unsigned port_first, port_last;
	bool inherit_env;
};

struct set {
	char *name;
	uint64_t revision;	    /* the newest */
	struct revision *revisions; /* revisions.h: newest first */
	size_t n_revisions;
};

struct controller {
	struct controller_opts opts;
	uv_loop_t *loop;
	uv_prepare_t settle;
	uv_timer_t tell; /* events and log lines go out, off the restart path */
	uv_work_t load_identities;
	struct link *link;
	struct store *store;
	struct prober *prober;
	struct http_server *http;
	struct events *events;
	struct journal *journal;
	struct ports *ports;
	struct change_list *changes;
	struct apply_queue *apply;
	struct inventory *inventory; /* until controller_begin */
	struct service **services;   /* sorted by name */
	size_t n_services, cap_services;
	struct service *dirty; /* list: to be planned */
	struct set *sets;
	size_t n_sets, cap_sets;
	struct buf packet, note; /* scratch of the restart path: no allocation there */
	char **base_env; /* what a service's environment starts from; the identity's part comes per
			    service */
	bool root;	 /* aictld is root: services run under users */
	uid_t owner;	 /* aictld's uid */
	struct settle_follower *settle_followers;
	LIST_HEAD(run_list, run) runs; /* see run.h */
	uint64_t next_run;
	TAILQ_HEAD(probe_exec_list, probe_exec) exec_probes; /* that wait, see probe_exec.h */
	unsigned n_exec_probes;				     /* that run or are about to */
	LIST_HEAD(exec_list, exec) execs;		     /* see exec.h */
	LIST_HEAD(handover_list, handover) handovers;	     /* see api_handover.c */
	unsigned n_execs;
	size_t log_replicas; /* whose logs are being read by api_logs */
	int pending_reload;  /* a RELOAD's socket that came before controller_begin, or -1 */
	bool helloed, loaded, synced, begun, store_failed;
	bool store_replaced; /* the store was damaged or lost and a new one begun: it knows nothing */
	bool shutting_down, ended;
	struct wire_hello hello;
	struct wire_status status;
	int64_t started_wall_ms;
	uint64_t random;
};

/* Told after each planning of a service; embedded in whoever waits. May unfollow itself in the
 * callback only. */
struct settle_follower {
	void (*on_settled)(struct settle_follower *f, const char *service);
	struct settle_follower *next;
};
void controller_follow(struct controller *c, struct settle_follower *f);
void controller_unfollow(struct controller *c, struct settle_follower *f);

int controller_init(struct controller *c, uv_loop_t *loop, const struct controller_opts *opts,
		    struct err **reterr);
/* Ends services and handles, which close on the loop's next turn; what requests under way refer to
 * stays until controller_done. */
void controller_close(struct controller *c);
void controller_done(struct controller *c);
/* The store and the inventory are both there: rebuild and begin to plan. */
void controller_begin(struct controller *c);
/* Nothing may be started or stopped: safe mode, shutdown, or not begun. */
bool controller_frozen(const struct controller *c);
/* "normal" | "safe" | "shutdown" | "detaching" | "starting" */
const char *controller_mode_name(const struct controller *c);

struct service *controller_find(const struct controller *c, const char *name);
/* Takes ownership on success; -ERR_NOMEM. */
int controller_add_service(struct controller *c, struct service *s);
void controller_remove_service(struct controller *c, struct service *s); /* frees it */
/* Plans what is dirty now; the loop does it before it waits, a caller in a hurry may. */
void controller_settle(struct controller *c);
/* To be planned before the loop waits again. */
void controller_touch(struct service *s);
/* The set's record, made when missing; NULL when out of memory. */
struct set *controller_set(struct controller *c, const char *name);
/* -1..1, and 0..1 */
double controller_random(struct controller *c);
double controller_random_unit(struct controller *c);
/* 32 hex digits + NUL: 12 of wall-clock ms, 20 random. */
void controller_new_incarnation(struct controller *c, char *out);

#endif
