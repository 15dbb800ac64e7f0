/*
 * strangers: a freed port of loopback can be taken by anyone, and would get the requests for the
 * replica that had it. So a replica is ready only while nobody else listens at the ports where the
 * gateway asks it (stranger.h says who is somebody else), and is UNREADY else: never restarted for
 * it, and back when the other one is gone. While nobody listens there, all is as ever: whoever
 * connects is refused.
 *
 * Looked at in the kernel's table of sockets (sockdiag.h), once for all replicas:
 *  - before one becomes ready,
 *  - every STRANGERS_EVERY_MS while one is ready that requests go to, STRANGERS_SOON_MS while there is
 *    a stranger. When a readiness probe or the gateway has just woken us, it may be a bit before
 *    its time, so that there is mostly no wake-up for it alone. Nothing is looked at while no
 *    replica is asked by port; one on ${SOCKET} is not, nor one that has the stable port itself
 *    (mode: socket).
 * Where the kernel does not answer nothing is checked: the log says so once, and aictl doctor. It is
 * asked again when a replica becomes ready, STRANGERS_REFUSED_MS later at the soonest. Where it is we
 * who lack memory or a descriptor, STRANGERS_EVERY_MS later.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_STRANGERS_H
#define AICTL_CONTROLLER_STRANGERS_H

#include <stdbool.h>

struct controller;
struct replica;
struct strangers;
struct why;
struct why_link;

#define STRANGERS_EVERY_MS 5000
#define STRANGERS_SOON_MS 1000
#define STRANGERS_REFUSED_MS 60000 /* a kernel that lacks it may look for a module each time */

struct strangers *strangers_new(struct controller *c); /* or NULL */
void strangers_close(struct strangers *k);	       /* NULL is a no-op */
/* It is about to become ready: looks. True: it may not, its message says why; it will when it may. */
bool strangers_hold(struct replica *r);
/* The routes may have changed: looks go on, or begin. */
void strangers_routed(struct strangers *k);
/* We are awake anyway. */
void strangers_chance(struct strangers *k);
/* It has no process, or another one. */
void strangers_forget(struct replica *r);
/* Who it is; nothing where there is nobody. */
void strangers_explain(struct why *y, struct why_link *l, const struct replica *r);
/* Why nothing is checked: errno, 0 = it is, as far as we know. */
int strangers_error(const struct strangers *k);

#endif
