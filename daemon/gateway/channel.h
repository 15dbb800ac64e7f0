/*
 * channel: a SOCK_SEQPACKET socket on the loop. No queue: what does not fit is the caller's to send
 * again (on_writable), for all that the gateway says is a level.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_CHANNEL_H
#define AICTL_GATEWAY_CHANNEL_H

#include <stdbool.h>
#include <uv.h>

struct buf;
struct channel;
struct wire_packet;

struct channel_ops {
	void (*on_packet)(void *user, struct wire_packet *p);
	void (*on_end)(void *user, int err); /* 0 = EOF; the channel may be closed in it */
	void (*on_writable)(void *user);
};

/* fd is owned from success on. */
int channel_new(uv_loop_t *uv, int fd, const struct channel_ops *ops, void *user,
		struct channel **ret);
void channel_close(struct channel *c);
/* True: on its way, or never to be (b failed, or it ended). False: later, on_writable tells. */
bool channel_send(struct channel *c, const struct buf *b, const int *fds, unsigned n_fds);
/* While it is on, nothing is read: the other side waits. */
void channel_pause(struct channel *c, bool on);

#endif
