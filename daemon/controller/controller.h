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

#include "daemon/controller/api_logfiles.h"
#include "daemon/controller/log_work.h"
#include "daemon/controller/zones.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"

struct apply_queue;
struct callers;
struct change_list;
struct err;
struct events;
struct http_server;
struct identity;
struct inventory;
struct journal;
struct link;
struct metrics_port;
struct output_look;
struct ports;
struct prober;
struct recycler;
struct runtimes;
struct service;
struct store;
struct strangers;
struct traffic;

struct controller_opts {
	const char *runtime_dir, *state_dir, *log_dir;
	const char *manifests;	  /* or NULL */
	const char *plugin_dir;	  /* or NULL */
	const char *default_user; /* or NULL */
	const char *metrics;	  /* ADDRESS:PORT, or NULL */
	unsigned port_first, port_last;
	int64_t log_max_total, log_keep_free; /* bytes; 0 = none, and the logger's own floor */
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
	uv_timer_t tell;  /* events and log lines go out, off the restart path */
	uv_timer_t again; /* the store could not be read: end then, the next one may */
	uv_work_t load_identities;
	struct link *link;
	struct zones zones;
	struct store *store;
	struct prober *prober;
	struct http_server *http;
	struct events *events;
	struct journal *journal;
	struct ports *ports;
	struct traffic *traffic;
	struct callers *callers;
	struct strangers *strangers;
	struct metrics_port *metrics; /* api_metrics.h; NULL: not asked for */
	struct change_list *changes;
	struct apply_queue *apply;
	struct runtimes *runtimes;   /* container engines: runtimes.h */
	struct recycler *recycler;   /* recycle.h; NULL: no service has a ceiling */
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
	struct api_logfiles_list logfiles;		     /* see api_logfiles.h */
	unsigned n_logfiles;
	uint64_t next_logfiles;
	LIST_HEAD(handover_list, handover) handovers; /* see api_handover.c */
	unsigned n_execs;
	struct output_look *output_due; /* logs to be looked at, see replica_output.h */
	bool output_busy;
	struct log_workers log_workers;
	struct exit_lines *exit_lines;
	size_t log_replicas; /* whose logs are being read by api_logs */
	int pending_reload;  /* a RELOAD's socket that came before controller_begin, or -1 */
	bool helloed, loaded, synced, begun, store_failed;
	char *store_error;   /* why store_failed; or NULL */
	bool store_replaced; /* damaged, lost, or another one: what it does not know is left alone */
	bool shutting_down, ended;
	bool closed;		    /* by controller_close: what a worker brings now is too late */
	bool ordered, ordered_told; /* some service depends on another; aictld knows */
	bool hooks_told;	    /* aictld knows that hooks follow the stops */
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
uint64_t controller_random_bits(struct controller *c);
double controller_random_unit(struct controller *c);
/*
 * 32 hex digits + NUL: 12 of wall-clock ms, 20 random. It sorts behind `after` (may be "", or out
 * itself) though the clock was set back: by their names logs are ordered, and the oldest deleted.
 */
void controller_new_incarnation(struct controller *c, const char *after, char *out);

#endif
