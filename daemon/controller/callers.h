/*
 * callers: which service calls which: who holds connections to a service's stable ports on loopback.
 *
 * Found by looking at the kernel's table of connections (sockdiag.h), which knows the cgroup that made
 * a socket, and so the replica: never per request, but at most every CALLERS_EVERY_MS while requests
 * pass, and when somebody asks. So a client is seen that keeps its connection, or comes often; and
 * only one that has a cgroup of its own, see aictl doctor.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_CALLERS_H
#define AICTL_CONTROLLER_CALLERS_H

#include <stdint.h>

struct callers;
struct controller;
struct jsonw;
struct service;

#define CALLERS_EVERY_MS 5000
#define CALLERS_ASKED_MS 500	/* when somebody asks */
#define CALLERS_KEPT_MS 3600000 /* after it was seen last */
#define CALLERS_MAX 1024

struct callers *callers_new(void);    /* or NULL */
void callers_free(struct callers *k); /* NULL is a no-op */
/* Looks, unless it did so that short a time ago. */
void callers_look(struct callers *k, const struct controller *c, int64_t every_ms);
/* The member "callers" of a service. */
void callers_write(const struct callers *k, const struct service *s, struct jsonw *w);

#endif
