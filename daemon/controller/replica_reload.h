/*
 * replica_reload: what a service declares as `reload`: a signal to its main process, or a request to
 * it, after which it has read again what it reads. Asked for by the user, by a dependency's
 * replacement, or because its secrets have other contents. What came of it is an event; the replica
 * lives on in any case.
 *
 * Secrets: aictld puts other contents at the place of the former ones and says so (secrets.h); then
 * each replica that was started with others is asked, one after the other, once it is up. A level:
 * what a replica has read is in its note, so the next controller asks those that this one had not
 * asked any more, or whose answer it did not live to see. One that fails is asked again by the user
 * (or the next controller), and one that starts anew reads them anyway.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_RELOAD_H
#define AICTL_CONTROLLER_REPLICA_RELOAD_H

#include <stdbool.h>

struct err;
struct replica;
struct service;

/* It is up: before that a signal may end it. What is not the user's own wish waits for that. */
bool replica_reload_is_able(const struct replica *r);
/* Nothing without a process or a declaration; while a request is under way it is not repeated. why:
 * "user", "dependency". */
void replica_reload(struct replica *r, const char *why);
/* A request under way is given up. */
void replica_reload_cancel(struct replica *r);
/* Its SPAWN is being made: it reads what is there. */
void replica_reload_started(struct replica *r);
/* After a planning of the service: asks whose turn it is. */
void replica_reload_settle(struct service *s);
/* 1 = all have read the present secrets, 0 = not yet, -1 = some have failed to. */
int replica_reload_progress(const struct service *s);
/* Why it has not read the present ones, and will not by itself; NULL = it has, or will. Borrowed. */
const char *replica_reload_failure(const struct replica *r);
/* The same of the service, as an error; 0 = there is none. */
int replica_reload_describe(const struct service *s, struct err **reterr);

#endif
