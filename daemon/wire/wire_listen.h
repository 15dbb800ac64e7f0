/*
 * wire_listen: the stable ports. aictld opens and keeps them, so that they outlive the gateway; the
 * controller says which, the gateway accepts.
 *
 *   LISTEN        controller -> aictld: all that shall be open. Each one replaces the last: what it
 *                 does not name any more is closed. After a controller's start nothing is closed
 *                 before its first one
 *   LISTENING     aictld -> controller: the same list, each with its errno; whenever it changes
 *   LISTENER      aictld -> gateway: one that is open, with its descriptor. All of them at each connection,
 *                 then SYNCED
 *   LISTENER_OFF  aictld -> gateway: it is closed
 *   PEER          aictld -> controller and gateway: a SOCK_SEQPACKET socket to each other. A new one
 *                 whenever one of the two has been started; it replaces the last
 *   HELLO, LOG_LEVEL, PING   aictld -> gateway: as to the other helpers
 *   ROUTED        gateway -> aictld, too (wire_routes.h): it serves, so a former one may go
 *   QUIT          aictld -> gateway: everything has been stopped, end now. From the next aictld, which
 *                 was given all back: another one serves, let what is under way end. End of file
 *                 without it means that aictld died
 *
 * The gateway keeps a copy of each, also of those that replicas accept on (`mode: socket`): it does not
 * accept where no route leads, and gives all of them back to the next aictld. A SPAWN names listeners,
 * too: what it names is opened at once, should the LISTEN that names it come later.
 *
 * A listener is named by its address and port, not by who is behind it: that is the routes' matter.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_WIRE_LISTEN_H
#define AICTL_DAEMON_WIRE_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct field_reader;
struct wire_spawn;

#define WIRE_LISTEN_ADDRESS_SIZE 46 /* INET6_ADDRSTRLEN: numeric, without brackets; and NUL */
#define WIRE_LISTEN_MAX 512

struct wire_listen_at {
	char address[WIRE_LISTEN_ADDRESS_SIZE];
	uint16_t port; /* not 0 */
};

struct wire_listen_state {
	struct wire_listen_at at;
	int32_t err; /* errno, 0 = open. LISTEN: 0 */
	bool handed; /* replicas get it (SPAWN): it is opened without a gateway, too */
};

struct wire_listen {
	uint32_t n;
	struct wire_listen_state *list; /* decoded: one allocation */
};

/* type: LISTEN or LISTENING. */
void wire_listen_encode(struct buf *b, int type, const struct wire_listen *m);
/* 0, -ERR_INVALID, -ERR_NOMEM. */
int wire_listen_decode(const uint8_t *body, size_t len, struct wire_listen *m);
void wire_listen_free(struct wire_listen *m);
/* type: LISTENER or LISTENER_OFF. */
void wire_listen_encode_at(struct buf *b, int type, const struct wire_listen_at *m);
int wire_listen_decode_at(const uint8_t *body, size_t len, struct wire_listen_at *m);

/* Within a SPAWN: which of them it gets, and the names of its sockets. */
void wire_listen_put_spawn(struct buf *b, const struct wire_spawn *m);
void wire_listen_get_spawn(struct field_reader *r, struct wire_spawn *m);

/* Where the replica's processes may listen: DIR/SERVICE.INDEX, a file for each port by its name. */
void wire_listen_socket_dir(struct buf *b, const char *dir, const char *service, uint32_t index);

/* GIVE_LISTENER: in wire_giveback.c, for its format is frozen. */
void wire_giveback_encode_listener(struct buf *b, const struct wire_listen_at *m);
int wire_giveback_decode_listener(const uint8_t *body, size_t len, struct wire_listen_at *m);

#endif
