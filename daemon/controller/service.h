/*
 * service: what the user wants of one service (its specification, stopped or not, how many) and its
 * replicas.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SERVICE_H
#define AICTL_CONTROLLER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/controller/order.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/secrets.h"

struct controller;
struct demand;
struct exits;
struct identity;
struct manifest;
struct replica;
struct service_rollout;
struct service_scale;
struct service_spec;
struct service_task;
struct service_zero;
struct spec_source;

enum service_state {
	SERVICE_PENDING,
	SERVICE_WAITING,
	SERVICE_STARTING,
	SERVICE_READY,
	SERVICE_DEGRADED,
	SERVICE_UPDATING,
	SERVICE_STOPPING,
	SERVICE_STOPPED,
	SERVICE_FAILED,
	SERVICE_SUCCEEDED,
	SERVICE_UNKNOWN,
	SERVICE_IDLE, /* no replica, and a request starts one */
	SERVICE_STATE_MAX_
};

/* A parsed manifest and the text it came from, shared by its services. */
struct spec_source {
	unsigned refs;
	struct manifest *manifest;
	char *json; /* array of {"path","text"}, for the store */
};

struct service {
	struct controller *controller;
	char *name, *set;
	struct spec_source *source;	 /* owns spec; NULL for a slot whose service nobody knows */
	const struct service_spec *spec; /* or NULL, see source */
	struct identity *identity;
	uint64_t launch_hash; /* of what a process of it is started with */
	uint64_t revision;    /* of the set, when this service last changed */
	bool stopped, deleted;
	bool left_alone; /* its manifest is lost (damaged store): it runs on, nothing is planned
			    until it is applied again */
	int64_t replicas_override;	/* the user's number; -1 = the manifest's or the scaler's */
	int64_t override_until_wall_ms; /* 0 = it does not expire */
	unsigned scaled;		/* the scaler's number, as it is in the store; 0 = none */
	int64_t held_until_mono_ms, held_until_wall_ms; /* hold.h; 0 = it is not held */
	int64_t updated_wall_ms;
	char changed_keys[160];	   /* of the last update: "environment.MODEL" */
	struct replica **replicas; /* sorted by index */
	size_t n_replicas, cap_replicas;
	struct secrets_sent secrets;
	struct order order;
	struct service_rollout *rollout; /* service_rollout.h; NULL: never one */
	struct service_task *task;	 /* service_task.h; NULL: no task */
	struct service_scale *scale;	 /* service_scale.h; NULL: no scaler */
	struct demand *demand;		 /* of its stable ports; NULL: nothing was told */
	struct service_run run;		 /* and what the store knows of its runs */
	struct service_zero *zero;	 /* service_zero.h; NULL: it is never at zero */
	int64_t start_ms;		 /* how long a start is expected to take; 0 = not known */
	struct exits *exits;		 /* the newest, also of replicas that are no more */
	int64_t forgiven_wall_ms;	 /* ends before the last reset count for no brake */
	uv_timer_t timer;		 /* plan's wake time */
	struct service *next_dirty;
	unsigned storing; /* service_rollout_hold */
	bool dirty, closing;
	bool routed; /* by traffic.h: it has ports that are served */
};

struct service *service_new(struct controller *c, const char *name, const char *set);
void service_free(struct service *s);
/* Takes manifest and json over; NULL when out of memory (then nothing is taken). One reference. */
struct spec_source *service_source_new(struct manifest *m, char *json);
struct spec_source *service_source_ref(struct spec_source *src);
void service_source_unref(struct spec_source *src); /* NULL is a no-op */
/* Refers to src, which holds spec; takes the identity over. */
void service_set_spec(struct service *s, struct spec_source *src, const struct service_spec *spec,
		      struct identity *id);
/* Replicas wanted, 0 when stopped: service_scale.h says how many. */
unsigned service_desired(const struct service *s);
unsigned service_ready(const struct service *s); /* without those that are frozen */
bool service_has_frozen(const struct service *s);
enum service_state service_state(const struct service *s);
const char *service_state_name(enum service_state s);
/* A sentence about the state, or "". Borrowed. */
const char *service_message(const struct service *s);
struct replica *service_replica(const struct service *s, unsigned index); /* or NULL */
struct replica *service_add_replica(struct service *s, unsigned index); /* or NULL: out of memory */
/* Plans until nothing is left to do; arms the timer; true when the deleted service has nothing
 * left. */
bool service_settle(struct service *s);
/* All that is wanted is reached: every wanted replica current and ready (or succeeded), no other
 * left. */
bool service_is_settled(const struct service *s);

#endif
