/*
 * hold: requests to a service that wait at its stable ports by a user's word. The gateway has it from
 * the routes, with the moment at which it ends: nobody of ours need be alive for that. It is stored,
 * so that a controller that comes meanwhile says the same.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_HOLD_H
#define AICTL_CONTROLLER_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct jsonw;
struct service;

#define HOLD_DEFAULT_MS 30000
#define HOLD_MAX_MS (24 * 60 * 60 * 1000)

bool hold_is(const struct service *s);
/* Something of it can be held. */
bool hold_is_possible(const struct service *s);
void hold_begin(struct service *s, int64_t ms);
/* What the store knows. */
void hold_restore(struct service *s, int64_t until_wall_ms);
void hold_release(struct service *s);
/* Ends one that is over; else *wake_mono_ms is when. */
void hold_settle(struct service *s, int64_t *wake_mono_ms);
/* "requests wait, for 25s more at most (aictl release web)". Caller frees; NULL = it is not held. */
char *hold_say(const struct service *s);

#endif
