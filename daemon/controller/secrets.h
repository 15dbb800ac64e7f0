/*
 * secrets: a service's secrets on their way to its processes. aictld writes them as files of the
 * service's user (SECRETS, wire.h), before the SPAWN that needs them, at a path that holds their
 * generation; ${secret:NAME} is that path.
 *
 * A generation is a random number that stays as long as the contents and the owner do, over
 * restarts of ours too (the store keeps it). It says nothing about them: paths are in /proc for
 * everybody to see, and a short secret could be guessed from a hash. The former generation is
 * dropped when no process of the service was started with it any more.
 *
 * Where the service declares a reload, other contents under the same names are no other generation:
 * they take the place of the former ones (aictld says when), and replicas are asked to read them
 * (replica_reload.h). Which contents are meant is told by their version, a hash that stays among us.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SECRETS_H
#define AICTL_CONTROLLER_SECRETS_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct controller;
struct manifest;
struct service;
struct service_spec;
struct wire_secrets_written;

/* What aictld has of a service: part of it. */
struct secrets_sent {
	uint64_t generation; /* sent on this connection, 0 = none */
	uint64_t version;    /* of the contents, where they may be reloaded, else 0 */
	bool written;	     /* that version is there */
	int error;	     /* errno: it could not be written */
	bool others;	     /* it may have former ones, also those of a former controller */
};

/*
 * Gives each service of m with secrets its generation: that of the running service where nothing of
 * them changed, else a new one. On the loop: it looks at what runs.
 */
void secrets_assign(const struct controller *c, struct manifest *m);
/* Which contents a replica of spec reads that can reload; 0: none, or it cannot. */
uint64_t secrets_version(const struct service_spec *spec);
/* aictld's word. */
void secrets_on_written(struct controller *c, const struct wire_secrets_written *m);
/* A start of the present revision failed for them. */
void secrets_refused(struct service *s, int error);
/* Sends again what could not be written: before a start, and when the user asks for it. */
void secrets_retry(struct service *s);
/* In controller_begin: aictld may have anything of former controllers. */
void secrets_begin(struct service *s);
/* Sends what aictld does not have yet; before controller_begin nothing is done. */
void secrets_send(struct service *s);
/* Drops generations that no process needs; after a planning of the service. */
void secrets_settle(struct service *s);
/* The service is gone: all of its generations are dropped. */
void secrets_forget(struct service *s);
/* Appends the directory of the secrets of a service with this spec; nothing without any. */
void secrets_dir(const struct controller *c, const struct service_spec *spec, struct buf *out);

#endif
