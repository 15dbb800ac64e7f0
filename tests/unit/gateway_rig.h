/*
 * gateway_rig: the part of aictld_rig.h that plays the gateway.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_GATEWAY_RIG_H
#define AICTL_TESTS_GATEWAY_RIG_H

#include "tests/unit/aictld_rig.h"

/* Before rig_crash: the gateway does not end, and keeps what it has. */
void rig_take_gateway(struct rig *r, struct rig_helper *gateway,
		      struct rig_listener listeners[RIG_LISTENERS_MAX]);
/* LISTEN with these, "ADDRESS PORT" each. */
void rig_listen(struct rig *r, const char *const *all);
struct rig_listener *rig_listener(struct rig *r, const char *address, uint16_t port); /* or NULL */
void rig_routed(struct rig *r); /* the gateway says so */

/* For aictld_rig.c: a packet that has come. */
void rig_got_listener(struct rig *r);
void rig_got_listener_off(struct rig *r);
void rig_got_peer(struct rig *r, struct rig_helper *h);
/* It is gone, and with it what it had. */
void rig_forget_gateway(struct rig *r);

#endif
