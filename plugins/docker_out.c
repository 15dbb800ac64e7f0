/*
 * docker_out: see docker_out.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "docker_mem.h"

void docker_out_init(struct docker_out *o, const struct aictl_host *host, struct docker_mux *mux,
		     int stdout_fd, int stderr_fd)
{
	*o = (struct docker_out){
		.host = host, .mux = mux, .fd = {stdout_fd, stderr_fd}, .watched = -1};
	for (int i = 0; i < 2; i++) {
		int flags = o->fd[i] >= 0 ? fcntl(o->fd[i], F_GETFL) : -1;

		o->may_block[i] = flags < 0 || !(flags & O_NONBLOCK);
	}
}

static void unwatch(struct docker_out *o)
{
	if (o->watched >= 0)
		o->host->watch(o->host, o->watched, 0, NULL, NULL);
	o->watched = -1;
}

void docker_out_done(struct docker_out *o)
{
	unwatch(o);
	docker_mem_free(o->kept);
	o->kept = NULL;
	o->n = o->at = 0;
}

bool docker_out_blocked(const struct docker_out *o)
{
	return o->kept != NULL;
}

static int index_of(const struct docker_mux_piece *p)
{
	return p->stream == DOCKER_MUX_STDERR ? 1 : 0;
}

/* Counts n written bytes. */
static void count(struct docker_out *o, size_t n)
{
	o->wrote = o->wrote || n > 0;
	while (o->at < o->n) {
		struct docker_mux_piece *p = &o->pieces[o->at];
		struct docker_mux_piece rest = *p;

		rest.len -= o->part;
		if (n < rest.len) {
			docker_mux_wrote(o->mux, &rest, n);
			o->part += n;
			return;
		}
		docker_mux_wrote(o->mux, &rest, rest.len);
		n -= rest.len;
		o->part = 0;
		o->at++;
		if (n == 0)
			return;
	}
}

/* One call's worth. Returns what was written, -1 with errno. */
static ssize_t write_some(struct docker_out *o)
{
	int i = index_of(&o->pieces[o->at]);
	struct pollfd ready = {.fd = o->fd[i], .events = POLLOUT};
	struct iovec iov[DOCKER_OUT_PIECES];
	size_t left = SIZE_MAX;
	int n = 0;

	if (o->may_block[i]) {
		left = PIPE_BUF;
		if (poll(&ready, 1, 0) <= 0 || !(ready.revents & (POLLOUT | POLLERR))) {
			errno = EAGAIN;
			return -1;
		}
	}
	for (size_t at = o->at; at < o->n && left && index_of(&o->pieces[at]) == i; at++) {
		size_t skip = at == o->at ? o->part : 0, len = o->pieces[at].len - skip;

		iov[n].iov_base = (char *)o->pieces[at].data + skip;
		iov[n].iov_len = len < left ? len : left;
		left -= iov[n++].iov_len;
	}
	return writev(o->fd[i], iov, n);
}

static void on_writable(void *user, int fd, uint32_t events);

/* Writes until all is written (true), or one is full. */
static bool flush(struct docker_out *o)
{
	while (o->at < o->n && !o->error) {
		ssize_t k = write_some(o);

		if (k >= 0)
			count(o, (size_t)k);
		else if (errno == EAGAIN)
			return false;
		else if (errno != EINTR)
			o->error = errno;
	}
	o->at = o->n = o->part = 0;
	return true;
}

/* The input will be gone: keeps a copy of what is left, and waits. */
static void keep(struct docker_out *o)
{
	size_t total = 0, at = 0;

	for (size_t i = o->at; i < o->n; i++)
		total += o->pieces[i].len;
	o->kept = docker_mem_zalloc(total);
	if (!o->kept) {
		o->error = ENOMEM;
		return;
	}
	for (size_t i = o->at; i < o->n; i++) {
		memcpy(o->kept + at, o->pieces[i].data, o->pieces[i].len);
		o->pieces[i].data = o->kept + at;
		at += o->pieces[i].len;
	}
}

static void wait_for_room(struct docker_out *o)
{
	int fd = o->fd[index_of(&o->pieces[o->at])], r;

	if (fd == o->watched)
		return;
	unwatch(o);
	r = o->host->watch(o->host, fd, AICTL_WRITE, on_writable, o);
	if (r < 0)
		o->error = -r;
	else
		o->watched = fd;
}

static void on_writable(void *user, int fd, uint32_t events)
{
	struct docker_out *o = user;

	(void)fd;
	(void)events;
	if (!flush(o)) {
		wait_for_room(o);
		if (!o->error)
			return;
	}
	unwatch(o);
	docker_mem_free(o->kept);
	o->kept = NULL;
	o->room(o->user);
}

/* False: blocked, or failed. */
static bool push(struct docker_out *o)
{
	if (flush(o))
		return !o->error;
	keep(o);
	if (!o->error)
		wait_for_room(o);
	return false;
}

long docker_out_body(struct docker_out *o, const char *data, size_t n,
		     void (*said)(void *user, const char *text, size_t len))
{
	struct docker_mux_piece p;
	size_t at = 0;

	if (docker_out_blocked(o))
		return 0;
	while (at < n && !o->error) {
		ssize_t k = docker_mux_next(o->mux, data + at, n - at, &p);

		if (k < 0)
			return -1;
		at += (size_t)k;
		if (p.len == 0)
			continue;
		if (p.stream == DOCKER_MUX_ENGINE) {
			said(o->user, p.data, p.len);
			continue;
		}
		if (p.stream == DOCKER_MUX_STDERR && o->fd[1] < 0)
			p.stream = DOCKER_MUX_STDOUT;
		if (o->fd[index_of(&p)] < 0)
			continue;
		o->pieces[o->n++] = p;
		if ((p.held || o->n == DOCKER_OUT_PIECES) && !push(o))
			return (long)at;
	}
	push(o);
	return (long)at;
}
