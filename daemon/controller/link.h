/*
 * link: the controller's end of a socket to aictld or the gateway, on the loop. Packets that do not fit into the
 * kernel's queue wait here, in order; beyond LINK_QUEUE_MAX bytes aictld has not read for so long
 * that something is wrong, and the link reports its end (the controller exits and is started again
 * with an inventory).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_LINK_H
#define AICTL_CONTROLLER_LINK_H

#include <uv.h>

struct buf;
struct err;
struct link;
struct wire_packet;

#define LINK_QUEUE_MAX (64 << 20)

struct link_handlers {
	void (*on_packet)(struct wire_packet *p,
			  void *user); /* p is done with by the link afterwards */
	void (*on_end)(void *user);    /* EOF or a broken packet; called once */
	void *user;
	const char *peer; /* in log lines: "aictld". Static */
};

/* fd is owned by the link from success on. */
int link_new(uv_loop_t *loop, int fd, const struct link_handlers *h, struct link **ret,
	     struct err **reterr);
void link_close(struct link *l);
/* Sends or queues the one packet in b. A failed encoding (b->failed) or a full queue ends the link.
 */
void link_send(struct link *l, const struct buf *b);
/* With at most WIRE_FDS_MAX descriptors, which stay the caller's. */
void link_send_fds(struct link *l, const struct buf *b, const int *fds, unsigned n_fds);

#endif
