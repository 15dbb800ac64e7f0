/* io: see io.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/mem.h"

#define FLUSH_AT 16384u	    /* so much is not deferred */
#define READS_PER_TURN 4    /* of full buffers; then others get their turn */
#define KEEP_OUT_MAX 16384u /* an empty buffer of that size is kept for the next message */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct io *io)
{
	int events = 0;

	if (io->closing)
		return;
	if (io->reading && !io->ended && !io->connecting)
		events |= UV_READABLE;
	if (io->connecting || io->full)
		events |= UV_WRITABLE;
	if (events == io->events)
		return;
	io->events = events;
	if (events == 0)
		uv_poll_stop(&io->poll);
	else
		uv_poll_start(&io->poll, events, on_poll);
}

static void set_dirty(struct io *io)
{
	struct io_lane *l = &io->loop->lanes[io->lane];

	if (io->dirty || io->closing)
		return;
	io->dirty = true;
	io->next = NULL;
	io->prev = l->last;
	if (io->prev)
		io->prev->next = io;
	else
		l->first = io;
	l->last = io;
	io->loop->busy |= 1u << io->lane;
}

static void set_clean(struct io *io)
{
	struct io_lane *l = &io->loop->lanes[io->lane];

	if (!io->dirty)
		return;
	io->dirty = false;
	if (io->next)
		io->next->prev = io->prev;
	else
		l->last = io->prev;
	if (io->prev)
		io->prev->next = io->next;
	else
		l->first = io->next;
	io->next = io->prev = NULL;
	if (!l->first)
		io->loop->busy &= ~(1u << io->lane);
}

static void fail(struct io *io, int err)
{
	if (io->err == 0)
		io->err = err;
	pieces_give(&io->loop->pieces, &io->out);
	io->sent = 0;
	set_dirty(io);
}

/* A count (less than n: the kernel is full) or -1, failed. */
static ssize_t send_some(struct io *io, const char *data, size_t n)
{
	ssize_t k;

	do
		k = send(io->fd, data, n, MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	if (k >= 0)
		return k;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	fail(io, -errno);
	return -1;
}

/* Sends what waits. It does not tell anybody. */
static void push(struct io *io)
{
	size_t n = io->out.len - io->sent;
	ssize_t k;

	if (io->err != 0 || io->connecting)
		return;
	k = n > 0 ? send_some(io, io->out.data + io->sent, n) : 0;
	if (k < 0)
		return;
	io->sent += (size_t)k;
	if (io->sent < io->out.len) {
		if (io->sent > io->out.len / 2) {
			buf_consume(&io->out, io->sent);
			io->sent = 0;
		}
		return;
	}
	io->sent = 0;
	if (io->out.cap > KEEP_OUT_MAX)
		pieces_give(&io->loop->pieces, &io->out);
	else
		buf_clear(&io->out);
	if (io->shut_due) {
		io->shut_due = false;
		shutdown(io->fd, SHUT_WR);
	}
}

size_t io_pending(const struct io *io)
{
	return io->out.len - io->sent;
}

static void finish(struct io *io)
{
	io->full = io_pending(io) > 0;
	if (io->err != 0 || !io->full)
		io_close(io);
	else
		watch(io);
}

/* From the loop only: the owner may close anything in its callbacks. */
static void flush(struct io *io)
{
	bool was_full = io->full;

	set_clean(io);
	push(io);
	if (io->finishing) {
		finish(io);
		return;
	}
	if (io->err != 0) {
		io->ended = true;
		io->full = false;
		watch(io);
		if (io->connecting) {
			io->connecting = false;
			io->ops->connected(io, io->err);
		} else {
			io->ops->end(io, io->err);
		}
		return;
	}
	if (io->connecting)
		return;
	io->full = io_pending(io) > 0;
	watch(io);
	if (!io->full && !was_full)
		pieces_give(&io->loop->pieces, &io->out);
	/* io_write may have found it full before: who asked then waits for room. */
	if (io->full == was_full && io->full == io->told)
		return;
	io->told = io->full;
	io->ops->room(io, io->full);
}

static void flush_all(struct io_loop *l)
{
	while (l->busy)
		flush(l->lanes[__builtin_ctz(l->busy)].first);
}

static void on_check(uv_check_t *h)
{
	flush_all(h->data);
}

static void on_prepare(uv_prepare_t *h)
{
	flush_all(h->data);
}

int io_loop_init(struct io_loop *l, uv_loop_t *uv)
{
	*l = (struct io_loop){.uv = uv};
	l->buffer = mem_alloc(IO_READ_SIZE);
	if (!l->buffer)
		return -ENOMEM;
	uv_check_init(uv, &l->check);
	uv_prepare_init(uv, &l->prepare);
	l->check.data = l->prepare.data = l;
	uv_check_start(&l->check, on_check);
	uv_prepare_start(&l->prepare, on_prepare);
	return 0;
}

void io_loop_close(struct io_loop *l)
{
	uv_close((uv_handle_t *)&l->check, NULL);
	uv_close((uv_handle_t *)&l->prepare, NULL);
}

void io_loop_done(struct io_loop *l)
{
	pieces_done(&l->pieces);
	mem_free(l->buffer);
	l->buffer = NULL;
}

int io_open(struct io *io, struct io_loop *l, int fd, const struct io_ops *ops)
{
	int on = 1, r;

	*io = (struct io){.loop = l, .fd = fd, .ops = ops};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	r = uv_poll_init(l->uv, &io->poll, fd);
	if (r < 0)
		return r;
	io->poll.data = io;
	l->n_open++;
	return 0;
}

/* Clients have the first lane; backends share the others. */
static uint8_t lane_of(unsigned key)
{
	return (uint8_t)(1 + key % (IO_LANES - 1));
}

static int connect_to(struct io *io, struct io_loop *l, const struct sockaddr *to, socklen_t len,
		      const struct io_ops *ops)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	if (connect(fd, to, len) < 0 && errno != EINPROGRESS) {
		r = -errno;
		close(fd);
		return r;
	}
	r = io_open(io, l, fd, ops);
	if (r < 0) {
		close(fd);
		return r;
	}
	io->connecting = true;
	watch(io);
	return 0;
}

int io_connect(struct io *io, struct io_loop *l, uint16_t port, const struct io_ops *ops)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int r = connect_to(io, l, (const struct sockaddr *)&to, sizeof(to), ops);

	if (r == 0)
		io->lane = lane_of(port);
	return r;
}

/* As sock_at, without its fstat: it is done for each connection, and what is no socket refuses. */
int io_connect_path(struct io *io, struct io_loop *l, const char *path, const struct io_ops *ops)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	unsigned key = 0;
	int r;

	if (fd < 0)
		return -errno;
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", fd);
	r = connect_to(io, l, (const struct sockaddr *)&to, sizeof(to), ops);
	for (const char *c = path; *c; c++)
		key = key * 31 + (unsigned char)*c;
	if (r == 0)
		io->lane = lane_of(key);
	return r;
}

void io_read(struct io *io, bool on)
{
	io->reading = on;
	watch(io);
}

/* Of no meaning to a Unix socket. */
void io_acknowledge(struct io *io)
{
	int on = 1;

	if (!io->closing)
		setsockopt(io->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

void io_write(struct io *io, const char *data, size_t n)
{
	ssize_t k = 0;

	if (n == 0 || io->closing || io->err != 0)
		return;
	if (n >= FLUSH_AT && io_pending(io) == 0 && !io->connecting) {
		k = send_some(io, data, n);
		if (k < 0)
			return;
	}
	if (io->out.cap == 0)
		pieces_take(&io->loop->pieces, &io->out);
	buf_append(&io->out, data + k, n - (size_t)k);
	if (io->out.failed) {
		io->out.failed = false;
		fail(io, -ENOMEM);
		return;
	}
	if (k == 0 && io_pending(io) >= FLUSH_AT)
		push(io);
	else if (k == 0) {
		set_dirty(io);
		return;
	}
	io->full = io->err == 0 && io_pending(io) > 0;
	set_dirty(io);
}

void io_shutdown(struct io *io)
{
	if (io->closing || io->err != 0)
		return;
	io->shut_due = true;
	set_dirty(io);
}

static void on_closed(uv_handle_t *h)
{
	struct io *io = h->data;

	io->loop->n_open--;
	io->ops->closed(io);
}

void io_close(struct io *io)
{
	if (io->closing)
		return;
	push(io);
	set_clean(io);
	io->closing = true;
	uv_close((uv_handle_t *)&io->poll, on_closed);
	mem_closep(&io->fd);
	pieces_give(&io->loop->pieces, &io->out);
	io->sent = 0;
}

void io_abort(struct io *io)
{
	struct linger now = {.l_onoff = 1};

	if (io->closing)
		return;
	setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	pieces_give(&io->loop->pieces, &io->out);
	io->sent = 0;
	io_close(io);
}

void io_finish(struct io *io)
{
	if (io->closing)
		return;
	io->finishing = true;
	io->reading = false;
	watch(io);
	set_dirty(io);
}

bool io_is_full(const struct io *io)
{
	return io->full;
}

static void on_connected(struct io *io, bool broken)
{
	int err = 0;
	socklen_t size = sizeof(err);

	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
		err = errno;
	if (err == 0 && broken)
		err = ECONNREFUSED;
	io->connecting = false;
	if (err != 0) {
		io->err = -err;
		io->ended = true;
	}
	watch(io);
	if (err == 0 && io->out.len > 0)
		set_dirty(io);
	io->ops->connected(io, -err);
}

static void read_some(struct io *io)
{
	for (int i = 0; i < READS_PER_TURN && io->reading && !io->closing && !io->ended; i++) {
		ssize_t n = recv(io->fd, io->loop->buffer, IO_READ_SIZE, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0) {
			io->ended = true;
			if (n < 0)
				io->err = -errno;
			watch(io);
			io->ops->end(io, io->err);
			return;
		}
		io->ops->data(io, io->loop->buffer, (size_t)n);
		if ((size_t)n < IO_READ_SIZE)
			return;
	}
}

/* libuv has stopped watching it: what came before the error is still to be read. */
static void on_broken(struct io *io)
{
	int err = 0;
	socklen_t size = sizeof(err);

	io->events = 0;
	for (int i = 0; i < 64 && io->reading && !io->closing && !io->ended; i++)
		read_some(io);
	if (io->closing || io->ended)
		return;
	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0 || err == 0)
		err = ECONNRESET;
	fail(io, -err);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct io *io = poll->data;

	if (io->connecting) {
		on_connected(io, status < 0);
		return;
	}
	if (status < 0) {
		on_broken(io);
		return;
	}
	if (events & UV_WRITABLE)
		set_dirty(io);
	if (events & UV_READABLE)
		read_some(io);
}
