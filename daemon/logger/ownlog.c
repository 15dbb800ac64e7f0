/* ownlog: see ownlog.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/ownlog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/journal.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define AGAIN_MS 100
#define TTY_CHUNK 256 /* a terminal that reports room may have little */

/* ---- out ---- */

static bool writable(const struct ownlog *o)
{
	struct pollfd p = {.fd = o->out, .events = POLLOUT};

	if (o->kind != OWNLOG_POLLED)
		return true;
	return poll(&p, 1, 0) == 1 && (p.revents & (POLLOUT | POLLERR | POLLHUP));
}

static ssize_t write_out(struct ownlog *o, const char *p, size_t n)
{
	if (!writable(o)) {
		errno = EAGAIN;
		return -1;
	}
	if (o->kind == OWNLOG_JOURNAL)
		return journal_send(o->out, p, n);
	if (o->kind == OWNLOG_SOCKET)
		return send(o->out, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(o->out, p, n);
}

static void wait_for_room(struct ownlog *o)
{
	if (loop_is_added(&o->out_io))
		return;
	if (loop_add(o->loop, &o->out_io, o->out, EPOLLOUT) < 0)
		loop_timer_arm(o->loop, &o->again, clock_mono_ms() + AGAIN_MS);
}

static void drop_all(struct ownlog *o)
{
	for (size_t i = 0; i < o->len; i++)
		o->lost += o->buffer[o->start + i] == '\n';
	o->start = o->len = 0;
}

static bool choose_journal(struct ownlog *o)
{
	int fd = journal_is_behind(o->given_out) ? journal_connect(JOURNAL_SOCKET) : -1;

	if (fd < 0)
		return false;
	o->out = fd;
	o->own_out = true;
	o->kind = OWNLOG_JOURNAL;
	return true;
}

static void choose_out(struct ownlog *o, int out)
{
	struct stat st;
	int fd;

	o->out = out;
	o->kind = OWNLOG_POLLED;
	o->chunk = PIPE_BUF;
	if (fstat(out, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode)) {
		o->kind = OWNLOG_SOCKET;
	} else if (S_ISREG(st.st_mode)) {
		o->kind = OWNLOG_PLAIN;
	} else {
		char path[32];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", out);
		fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0) {
			o->out = fd;
			o->own_out = true;
			o->kind = OWNLOG_PLAIN;
		} else if (isatty(out)) {
			o->chunk = TTY_CHUNK;
		}
	}
}

/* The stream is left: journald reads it, too. */
static void leave_journal(struct ownlog *o)
{
	loop_del(o->loop, &o->out_io);
	mem_closep(&o->out);
	o->own_out = false;
	choose_out(o, o->given_out);
}

/* How much goes out in one write: to the journal a line. */
static size_t piece(const struct ownlog *o)
{
	const char *p = o->buffer + o->start;
	const char *newline = o->kind == OWNLOG_JOURNAL ? memchr(p, '\n', o->len) : NULL;

	if (newline)
		return (size_t)(newline - p) + 1;
	return o->len < o->chunk ? o->len : o->chunk;
}

static void write_buffer(struct ownlog *o)
{
	while (o->len > 0) {
		ssize_t k = write_out(o, o->buffer + o->start, piece(o));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EAGAIN) {
			wait_for_room(o);
			return;
		}
		if (k < 0 && o->kind == OWNLOG_JOURNAL) {
			leave_journal(o);
			continue;
		}
		if (k <= 0) { /* gone or full for good: there is nobody to tell */
			drop_all(o);
			break;
		}
		o->start += (size_t)k;
		o->len -= (size_t)k;
	}
	loop_del(o->loop, &o->out_io);
	loop_timer_disarm(o->loop, &o->again);
	o->start = 0;
}

static bool put(struct ownlog *o, const char *p, size_t n)
{
	if (o->start + o->len + n > sizeof(o->buffer) && o->start > 0) {
		memmove(o->buffer, o->buffer + o->start, o->len);
		o->start = 0;
	}
	if (o->len + n > sizeof(o->buffer))
		return false;
	memcpy(o->buffer + o->start + o->len, p, n);
	o->len += n;
	return true;
}

static void put_line(struct ownlog *o, const char *p, size_t n)
{
	char stamp[CLOCK_RFC3339_SIZE], text[128];
	int k;

	if (o->lost) {
		k = snprintf(text, sizeof(text), "%s warn aictl-logger: lost_lines=%ju\n",
			     clock_rfc3339(clock_wall_ms(), stamp), (uintmax_t)o->lost);
		if (put(o, text, (size_t)k))
			o->lost = 0;
	}
	if (o->lost || !put(o, p, n))
		o->lost++;
}

static void on_room(void *user, uint32_t events)
{
	(void)events;
	write_buffer(user);
}

static void on_again(void *user)
{
	write_buffer(user);
}

/* ---- in ---- */

static void take_lines(struct ownlog_source *s)
{
	char *start = s->line, *newline;
	size_t left = s->len;

	while ((newline = memchr(start, '\n', left))) {
		size_t n = (size_t)(newline - start) + 1;

		put_line(s->owner, start, n);
		start += n;
		left -= n;
	}
	if (left == sizeof(s->line)) { /* nobody of ours writes such a line */
		s->line[left - 1] = '\n';
		put_line(s->owner, s->line, left);
		left = 0;
	}
	memmove(s->line, start, left);
	s->len = left;
}

/* One read. False when there is nothing more. */
static bool read_source(struct ownlog_source *s)
{
	ssize_t n = read(s->fd, s->line + s->len, sizeof(s->line) - s->len);

	if (n > 0) {
		s->len += (size_t)n;
		take_lines(s);
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (s->len > 0 && s->len < sizeof(s->line)) {
			s->line[s->len++] = '\n';
			take_lines(s);
		}
		loop_del(s->owner->loop, &s->io);
		mem_closep(&s->fd);
	}
	return false;
}

static void on_line(void *user, uint32_t events)
{
	struct ownlog_source *s = user;

	(void)events;
	read_source(s);
	write_buffer(s->owner);
}

void ownlog_source(struct ownlog *o, unsigned i, int fd)
{
	struct ownlog_source *s = &o->sources[i];
	int flags = fcntl(fd, F_GETFL);

	if (s->fd >= 0) {
		loop_del(o->loop, &s->io);
		close(s->fd);
	}
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	s->fd = fd;
	s->len = 0;
	if (loop_add(o->loop, &s->io, fd, EPOLLIN) < 0)
		mem_closep(&s->fd);
}

void ownlog_flush(struct ownlog *o)
{
	for (int i = 0; i < OWNLOG_SOURCES; i++)
		for (int k = 0; k < OWNLOG_BUFFER / OWNLOG_LINE_MAX; k++)
			if (o->sources[i].fd < 0 || !read_source(&o->sources[i]))
				break;
	write_buffer(o);
}

/* ---- life ---- */

void ownlog_init(struct ownlog *o, struct loop *loop, int out)
{
	memset(o, 0, sizeof(*o));
	o->loop = loop;
	o->out_io = (struct loop_io){.fn = on_room, .user = o};
	o->again = (struct loop_timer){.fn = on_again, .user = o};
	for (int i = 0; i < OWNLOG_SOURCES; i++) {
		o->sources[i].owner = o;
		o->sources[i].fd = -1;
		o->sources[i].io = (struct loop_io){.fn = on_line, .user = &o->sources[i]};
	}
	o->given_out = out;
	if (!choose_journal(o))
		choose_out(o, out);
}

void ownlog_done(struct ownlog *o)
{
	for (int i = 0; i < OWNLOG_SOURCES; i++) {
		loop_del(o->loop, &o->sources[i].io);
		mem_closep(&o->sources[i].fd);
	}
	loop_del(o->loop, &o->out_io);
	loop_timer_disarm(o->loop, &o->again);
	if (o->own_out)
		mem_closep(&o->out);
}
