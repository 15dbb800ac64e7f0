/*
 * service_canary: the canary of one service at work: what the gateway counted of its replicas
 * (stats.h) goes into canary.h and judge.h, and what came of it to the routes and to who asks.
 *
 * What was counted is not stored: after the controller's death a step goes on with its own time, and
 * counts anew.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SERVICE_CANARY_H
#define AICTL_CONTROLLER_SERVICE_CANARY_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/controller/judge.h"

struct err;
struct jsonw;
struct replica;
struct rollout;
struct service;
struct service_rollout;

/* Takes what is known now; NULL: no step is in force. Borrowed. */
const struct judge_result *service_canary_look(struct service *s);
/* The rollout has changed from what it was. */
void service_canary_changed(struct service *s, const struct rollout *before);
/* Nothing is counted any more. */
void service_canary_end(struct service_rollout *ro);
/* The gateway has counted something of it. */
void service_canary_counted(struct service *s);
/* Percent of the requests that its canary gets; of no meaning without one. */
unsigned service_canary_share(const struct service *s);
/* Are there steps to be ended by the user? < 0: *reterr says why not, and what to do. */
int service_canary_promotable(const struct service *s, struct err **reterr);
/* What is thought of it now; before the first look of this controller it waits. */
struct judge_result service_canary_judged(const struct service *s);
/* It is one, or was one that is taken back. */
bool service_canary_is(const struct replica *r);
/* "canary at 5 % of the requests", "" = there is nothing to say. Returns text. */
const char *service_canary_say(const struct service *s, char *text, size_t size);
/* "canary" of a rollout. */
void service_canary_write_json(const struct service *s, struct jsonw *w);

#endif
