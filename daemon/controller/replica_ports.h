/*
 * replica_ports: a replica's own numbers, one for each name in its service's ports. They are taken
 * when it starts, kept over its restarts and (in the note) over the controller's death, and given
 * back with the replica. The note knows a name by its hash, so it stays short.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_PORTS_H
#define AICTL_CONTROLLER_REPLICA_PORTS_H

#include <stddef.h>

struct buf;
struct port_spec;
struct replica;
struct service_spec;

/* The ports of a specification: the i-th, or NULL behind the last. */
const struct port_spec *replica_ports_at(const struct service_spec *spec, unsigned i);
/* Those of the service's present specification; 0, or -1 when none is left (then all it had are
 * given back). */
int replica_ports_take(struct replica *r);
/* After replica_restore: they are in use. */
void replica_ports_adopt(struct replica *r);
void replica_ports_release(struct replica *r);
/* What it listens on under that name; 0 = no such name, or not started yet. */
unsigned replica_ports_number(const struct replica *r, const char *name);
/* The path of the Unix socket where it listens (port.on_socket); cut where it does not fit. */
void replica_ports_socket(const struct replica *r, const struct port_spec *port, char *path,
			  size_t size);
#define REPLICA_PORTS_PATH_SIZE 108 /* sun_path */
/* Where a probe's `port` is asked: at path, which is filled then, or at host. */
const char *replica_ports_host(const struct replica *r, const char *host, const char *ref,
			       char path[REPLICA_PORTS_PATH_SIZE]);
/* The same for people: "127.0.0.1:20000", or the path. */
void replica_ports_say(const struct replica *r, const char *host, const char *ref, struct buf *out);
/* The port that a probe's `port` means, where it has a name; else NULL. */
const struct port_spec *replica_ports_named(const struct replica *r, const char *ref);
/* Of a probe's port: a number, a name, "" or NULL = the main one; 0 = there is none. */
unsigned replica_ports_resolve(const struct replica *r, const char *ref);

#endif
