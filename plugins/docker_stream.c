/*
 * docker_stream: see docker_stream.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "docker.h"
#include "docker_mem.h"

struct docker_stream {
	struct docker *d;
	int fd;
	struct docker_stream_events ev;
	struct docker_head head;
	struct docker_buf request; /* what of it is to be sent yet */
	struct docker_buf kept;	   /* what was read and not taken */
	bool told_head, want_write, paused;
	int busy;  /* callbacks that we are in */
	bool dead; /* freed when we are in none */
};

static void on_fd(void *user, int fd, uint32_t events);

static void watch(struct docker_stream *s)
{
	uint32_t events = 0;

	if (!s->paused)
		events |= AICTL_READ;
	if (s->request.len || s->want_write)
		events |= AICTL_WRITE;
	s->d->host->watch(s->d->host, s->fd, events, on_fd, s);
}

static void end(struct docker_stream *s, bool clean, const char *error)
{
	const struct docker_stream_events ev = s->ev;

	docker_stream_free(s);
	ev.ended(ev.user, clean, error);
}

static void release(struct docker_stream *s)
{
	docker_mem_done(&s->request);
	docker_mem_done(&s->kept);
	docker_mem_free(s);
}

static void leave(struct docker_stream *s)
{
	if (--s->busy == 0 && s->dead)
		release(s);
}

/* ---- reading ---- */

/* Gives out the front of the data; how much was used, or -1: it has ended or was freed. */
static ssize_t give(struct docker_stream *s, const char *data, size_t n)
{
	size_t at = 0;

	while (at < n) {
		const char *body;
		const enum docker_head_at was_at = s->head.at;
		const uint64_t was_left = s->head.left;
		size_t len, taken;
		ssize_t k = docker_head_next(&s->head, data + at, n - at, &body, &len);

		if (k < 0) {
			end(s, false, "what answers there does not speak HTTP");
			return -1;
		}
		if (!s->told_head && docker_head_has_body(&s->head)) {
			s->told_head = true;
			if (!s->ev.head(s->ev.user, &s->head))
				docker_stream_free(s);
		}
		taken = len && !s->dead ? s->ev.body(s->ev.user, body, len) : 0;
		if (s->dead)
			return -1;
		if (taken < len) {
			/* As if only this much had come. */
			s->head.at = was_at;
			s->head.left = was_left;
			docker_head_next(&s->head, data + at, taken, &body, &len);
			s->paused = true;
			return (ssize_t)(at + taken);
		}
		at += (size_t)k;
		if (s->head.at == DOCKER_HEAD_ENDED) {
			end(s, true, NULL);
			return -1;
		}
	}
	return (ssize_t)at;
}

static void at_eof(struct docker_stream *s, const char *error)
{
	bool clean = !error && s->head.at == DOCKER_HEAD_EOF;

	end(s, clean, clean ? NULL : error ? error : "the engine closed the connection");
}

/* Takes what was kept; true: all of it, and the stream still is. */
static bool give_kept(struct docker_stream *s)
{
	ssize_t k = give(s, s->kept.data, s->kept.len);

	if (k < 0)
		return false;
	docker_mem_drop(&s->kept, (size_t)k);
	if (s->kept.len == 0)
		docker_mem_done(&s->kept);
	return s->kept.len == 0;
}

static void receive(struct docker_stream *s)
{
	ssize_t n = recv(s->fd, s->d->scratch, DOCKER_SCRATCH, MSG_DONTWAIT), k;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		at_eof(s, n < 0 ? strerror(errno) : NULL);
		return;
	}
	k = give(s, s->d->scratch, (size_t)n);
	if (k < 0 || k == n)
		return;
	docker_mem_add(&s->kept, s->d->scratch + k, (size_t)(n - k));
	if (s->kept.failed)
		end(s, false, "out of memory");
	else
		watch(s);
}

void docker_stream_resume(struct docker_stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	s->busy++;
	if (s->kept.len == 0 || give_kept(s))
		watch(s);
	leave(s);
}

/* ---- writing ---- */

long docker_stream_send(struct docker_stream *s, const char *data, size_t n)
{
	ssize_t k;

	if (s->request.len)
		return 0;
	do {
		k = send(s->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (k < 0 && errno == EINTR);
	if (k < 0)
		return errno == EAGAIN ? 0 : -1;
	return k;
}

void docker_stream_want_write(struct docker_stream *s, bool want)
{
	if (s->want_write == want)
		return;
	s->want_write = want;
	watch(s);
}

void docker_stream_shut(struct docker_stream *s)
{
	shutdown(s->fd, SHUT_WR);
}

static void send_request(struct docker_stream *s)
{
	ssize_t k = send(s->fd, s->request.data, s->request.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (k < 0 && errno != EAGAIN && errno != EINTR) {
		end(s, false, strerror(errno));
		return;
	}
	if (k > 0)
		docker_mem_drop(&s->request, (size_t)k);
	if (s->request.len == 0) {
		docker_mem_done(&s->request);
		watch(s);
	}
}

static void on_fd(void *user, int fd, uint32_t events)
{
	struct docker_stream *s = user;

	(void)fd;
	s->busy++;
	if ((events & AICTL_WRITE) && s->request.len)
		send_request(s);
	else if ((events & AICTL_WRITE) && s->want_write)
		s->ev.writable(s->ev.user);
	if (!s->dead && !s->paused && (events & (AICTL_READ | AICTL_HANGUP)))
		receive(s);
	else if (!s->dead && s->paused && (events & AICTL_HANGUP))
		/* It would be told again and again; the resume watches anew. */
		s->d->host->watch(s->d->host, s->fd, 0, NULL, NULL);
	leave(s);
}

/* ---- */

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), e;

	if (fd < 0)
		return -1;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	e = errno;
	close(fd);
	errno = e;
	return -1;
}

struct docker_stream *docker_stream_new(struct docker *d, const char *request,
					const struct docker_stream_events *events)
{
	struct docker_stream *s = docker_mem_zalloc(sizeof(*s));

	if (!s) {
		errno = ENOMEM;
		return NULL;
	}
	*s = (struct docker_stream){.d = d, .ev = *events, .fd = -1};
	docker_mem_text(&s->request, request);
	errno = ENOMEM;
	if (!s->request.failed)
		s->fd = dial(d->socket_path);
	if (s->fd < 0) {
		int e = errno;

		docker_stream_free(s);
		errno = e;
		return NULL;
	}
	watch(s);
	return s;
}

void docker_stream_free(struct docker_stream *s)
{
	if (!s || s->dead)
		return;
	if (s->fd >= 0) {
		s->d->host->watch(s->d->host, s->fd, 0, NULL, NULL);
		close(s->fd);
	}
	s->dead = true;
	if (!s->busy)
		release(s);
}
