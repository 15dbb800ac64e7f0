/*
 * io: one TCP connection on the loop, whoever is at its other end. The thin layer between the
 * gateway's logic and libuv (uv_poll): another event loop would replace this file alone.
 *
 * Reading: into one buffer of the loop, given to ops->data at once; what the owner does not use is
 * gone, so a connection that waits owns no memory. Writing: io_write gathers, and everything goes
 * out at the end of the loop's turn (or from 16 KiB on): a head and its first body bytes are one
 * send, and so are the answers to many requests. What is for one backend goes out in a row (lanes),
 * so that it wakes up for all of it and not for each. What the kernel does not take is kept, ops->room
 * says so (full), and the owner stops reading where it came from until ops->room says otherwise.
 *
 * io_write never fails into its caller: an error comes as ops->end from the loop. After ops->end
 * with an error only io_close is left. io_close tries once more to send what waits; ops->closed comes
 * later and is when the memory may be freed. No other callback comes after io_close.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_IO_H
#define AICTL_GATEWAY_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/gateway/pieces.h"
#include "lib/buf.h"

#define IO_READ_SIZE 65536u
#define IO_LANES 16

struct io;

struct io_loop {
	uv_loop_t *uv;
	uv_check_t check;
	uv_prepare_t prepare;
	struct io_lane { /* with something to send, or an end to tell, in that order */
		struct io *first, *last;
	} lanes[IO_LANES];
	unsigned busy; /* lanes, a bit each */
	char *buffer;  /* IO_READ_SIZE */
	struct pieces pieces;
	unsigned n_open; /* until their `closed` */
};

struct io_ops {
	void (*data)(struct io *io, const char *data, size_t n);
	/* 0: the other side sends no more; else -errno, and it is dead in both directions. */
	void (*end)(struct io *io, int err);
	void (*room)(struct io *io, bool full);
	void (*connected)(struct io *io, int err); /* of io_connect */
	void (*closed)(struct io *io);
};

struct io {
	uv_poll_t poll;
	struct io_loop *loop;
	const struct io_ops *ops;
	int fd;
	int events; /* what is polled for now */
	bool reading, connecting, closing;
	bool ended;    /* nothing more comes */
	bool shut_due; /* no more is written: FIN when all is sent */
	bool full;
	bool told; /* what ops->room said last */
	bool finishing;
	int err;	/* to be told */
	struct buf out; /* not sent yet, from `sent` on */
	size_t sent;
	struct io *next, *prev; /* in its lane */
	uint8_t lane;
	bool dirty;
};

int io_loop_init(struct io_loop *l, uv_loop_t *uv); /* 0 or -errno */
void io_loop_close(struct io_loop *l);		    /* its handles; then run the loop once */
void io_loop_done(struct io_loop *l);

/* fd is owned from success on. Not reading yet. 0 or -errno. */
int io_open(struct io *io, struct io_loop *l, int fd, const struct io_ops *ops);
/* To 127.0.0.1:port; `connected` comes from the loop. 0 or -errno. */
int io_connect(struct io *io, struct io_loop *l, uint16_t port, const struct io_ops *ops);
/* The same to a Unix socket; -EAGAIN: its queue is full. */
int io_connect_path(struct io *io, struct io_loop *l, const char *path, const struct io_ops *ops);
void io_read(struct io *io, bool on);
void io_write(struct io *io, const char *data, size_t n);
/* What was read is acknowledged now: who sends in several pieces may wait for that (Nagle) before the
 * next one, and we for up to 40 ms to have something to say. */
void io_acknowledge(struct io *io);
/* FIN, once all is sent. */
void io_shutdown(struct io *io);
void io_close(struct io *io); /* idempotent */
/* The same once all is sent; until then only `closed` comes. io_close and io_abort still work. */
void io_finish(struct io *io);
/* What is unsent is dropped and the other side learns that it was not the end (RST). */
void io_abort(struct io *io);
bool io_is_full(const struct io *io);
size_t io_pending(const struct io *io);

#endif
