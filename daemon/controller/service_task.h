/*
 * service_task: a service that is a task, at work: its runs (task.h says when), the limit of an
 * attempt's time, and how the last run ended where only the store knows it.
 *
 * A run is due when its schedule or somebody says so; it is over with the start of every replica.
 * It never begins while a replica of the last one runs or waits for its retry: a run that is due
 * then is skipped, and an event says so.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SERVICE_TASK_H
#define AICTL_CONTROLLER_SERVICE_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/cron.h"

struct controller;
struct plan_desired;
struct replica;
struct service;
struct service_spec;

/* Made for tasks only. */
struct service_task {
	struct cron cron;
	bool due;		/* a run is to begin */
	bool said;		/* that one is skipped for the last */
	int64_t due_wall_ms;	/* since then */
	int64_t after_wall_ms;	/* what the schedule had for up to then is over */
	int64_t before_wall_ms; /* the same before the run that is due; 0 = the user's doing */
	int64_t next_wall_ms;	/* the next run; INT64_MAX = none */
};

/* As it was put into the store, or read from it. */
struct service_run {
	int64_t due_wall_ms, after_wall_ms; /* 0 = none, not known */
};

bool service_task_is(const struct service *s);
bool service_task_is_scheduled(const struct service *s);
/* It has another specification than before. */
void service_task_respec(struct service *s, const struct service_spec *before);
/* The replicas that run are known: what the store says of the others, while the inventory is there.
 */
void service_task_restore(struct controller *c);
/* Before it is planned: ends attempts that take too long, fills what a task's plan needs. Returns
 * when to ask again. */
int64_t service_task_ask(struct service *s, struct plan_desired *desired, int64_t now_mono_ms);
/* After it was planned. */
void service_task_settled(struct service *s);
/* Runs it now, or with the end of what keeps it; nothing when it runs. */
void service_task_run(struct service *s);
/* An apply has named it: run_again. */
void service_task_applied(struct service *s);
/* It will run, then, with that specification, whatever it changes. */
bool service_task_would_run(const struct service *s, const struct service_spec *want);
/* Its replicas count as current, whatever they ran: only a new run changes that. */
bool service_task_keeps(const struct service *s);
/* This one has begun with the run that is due. */
bool service_task_has_begun(const struct service *s, const struct replica *r);
/* Neither runs nor is about to: its dependencies do not matter. */
bool service_task_rests(const struct service *s);
/* Some replica runs or will be tried again. */
bool service_task_is_active(const struct service *s);
bool service_task_is_settled(const struct service *s);
/* 0 = none. */
int64_t service_task_next_wall_ms(const struct service *s);

#endif
