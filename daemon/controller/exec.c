/* exec: see exec.h. Every event of a session ends in pump(), which moves what can be moved. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/exec.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/exec_fds.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/exec_frame.h"
#include "lib/fs.h"
#include "lib/jsonw.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define WAITING_MAX (256u << 10) /* bytes in either direction */
#define READ_SIZE 32768u
#define TURNS 8		    /* reads of one stream before others get their turn */
#define REST_MAX (1u << 20) /* read after the end of the command */
#define HANGUP_MS 2000	    /* from SIGHUP to SIGKILL */
#define UNKILLED_MS 10000
#define FAREWELL_MS 30000 /* for the client to take the last bytes */

struct channel {
	struct exec *x;
	uv_poll_t poll; /* data: the channel */
	int fd;		/* -1 = closed */
	int events;	/* what is waited for */
};

struct exec {
	struct controller *c;
	struct wire_key beside;
	struct run *run; /* NULL: ended */
	bool tty;
	struct channel sock, in, out, err; /* with a terminal out is its master, for both ways */
	struct buf rx, to_child, to_client;
	bool child_eof; /* the client has said all */
	bool ended;	/* the command */
	bool end_sent;
	bool hung_up; /* SIGHUP is out */
	bool killed;  /* SIGKILL, too */
	bool closing;
	struct wire_run_end end;
	size_t rest;	  /* bytes read since the end */
	uv_timer_t timer; /* hang-up or farewell */
	unsigned n_handles;
	LIST_ENTRY(exec) all;
};

static void pump(struct exec *x);

static void on_closed(uv_handle_t *h)
{
	struct exec *x = h->data;

	if (--x->n_handles > 0)
		return;
	buf_done(&x->rx);
	buf_done(&x->to_child);
	buf_done(&x->to_client);
	mem_free(x);
}

static void on_channel_closed(uv_handle_t *h)
{
	struct channel *ch = h->data;

	h->data = ch->x;
	on_closed(h);
}

static void channel_close(struct channel *ch)
{
	if (ch->fd < 0)
		return;
	uv_close((uv_handle_t *)&ch->poll, on_channel_closed);
	mem_closep(&ch->fd);
}

/* Takes fd over; -1 when it cannot be watched. */
static int channel_open(struct exec *x, struct channel *ch, int fd)
{
	ch->x = x;
	if (fd < 0)
		return 0;
	if (uv_poll_init(x->c->loop, &ch->poll, fd) < 0) {
		close(fd);
		return -1;
	}
	ch->poll.data = ch;
	ch->fd = fd;
	x->n_handles++;
	return 0;
}

/* A descriptor with an error is stopped by libuv: the next read or write says what it is. The
 * client's may have neither: it has left, also when all we see is that. */
static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct channel *ch = poll->data;
	bool gone = status < 0 || (events & UV_DISCONNECT && !(events & UV_READABLE));

	if (status < 0)
		ch->events = 0;
	if (gone && ch == &ch->x->sock)
		channel_close(ch);
	pump(ch->x);
}

static void channel_watch(struct channel *ch, int events)
{
	if (ch->fd < 0 || ch->events == events)
		return;
	ch->events = events;
	if (events == 0)
		uv_poll_stop(&ch->poll);
	else
		uv_poll_start(&ch->poll, events, on_ready);
}

/* Frees the session when the loop has closed its handles. */
static void drop(struct exec *x)
{
	if (x->closing)
		return;
	x->closing = true;
	if (x->run)
		run_forget(TAKE_PTR(x->run));
	channel_close(&x->sock);
	channel_close(&x->in);
	channel_close(&x->out);
	channel_close(&x->err);
	LIST_REMOVE(x, all);
	x->c->n_execs--;
	uv_close((uv_handle_t *)&x->timer, on_closed);
}

static void on_timer(uv_timer_t *timer)
{
	struct exec *x = timer->data;

	if (!x->run || x->killed) { /* the farewell took too long, or SIGKILL was in vain */
		drop(x);
		return;
	}
	x->killed = true;
	run_kill(x->run, SIGKILL);
	uv_timer_start(timer, on_timer, UNKILLED_MS, 0);
}

static void end_command(struct exec *x)
{
	if (x->hung_up || !x->run)
		return;
	x->hung_up = true;
	run_kill(x->run, SIGHUP);
	uv_update_time(x->c->loop);
	uv_timer_start(&x->timer, on_timer, HANGUP_MS, 0);
}

/* The client is gone. With a terminal, closing the master hangs it up as well. */
static void hang_up(struct exec *x)
{
	channel_close(&x->sock);
	channel_close(&x->in);
	channel_close(&x->out);
	channel_close(&x->err);
	buf_done(&x->to_client);
	if (x->run)
		end_command(x);
	else
		drop(x);
}

/* ---- the client's side ---- */

/* False: no frame of a client. */
static bool take_frame(struct exec *x, const struct exec_frame *f)
{
	unsigned rows, columns;

	switch (f->type) {
	case EXEC_FRAME_STDIN:
		if (f->len == 0 && !x->child_eof && x->tty)
			buf_char(&x->to_child, '\004'); /* what a terminal has for it */
		x->child_eof |= f->len == 0;
		if (!x->child_eof && (x->tty ? x->out.fd : x->in.fd) >= 0)
			buf_append(&x->to_child, f->payload, f->len);
		return true;
	case EXEC_FRAME_RESIZE:
		if (exec_frame_get_resize(f, &rows, &columns) < 0)
			return false;
		if (x->tty && x->out.fd >= 0)
			exec_fds_resize(x->out.fd, rows, columns);
		return true;
	case EXEC_FRAME_SIGNAL:
		if (f->len != 1 || f->payload[0] < 1 || f->payload[0] > SIGRTMAX)
			return false;
		if (x->run)
			run_kill(x->run, f->payload[0]);
		return true;
	default:
		return false;
	}
}

/* False: what came is not our protocol, or there is no memory for it. */
static bool take_frames(struct exec *x)
{
	size_t at = 0;

	while (x->to_child.len < WAITING_MAX) {
		struct exec_frame f;
		int n = exec_frame_get(x->rx.data + at, x->rx.len - at, &f);

		if (n == 0)
			break;
		if (n < 0 || !take_frame(x, &f))
			return false;
		at += (size_t)n;
	}
	buf_consume(&x->rx, at);
	return !x->to_child.failed;
}

static void write_child(struct exec *x)
{
	struct channel *ch = x->tty ? &x->out : &x->in;

	while (ch->fd >= 0 && x->to_child.len > 0) {
		ssize_t n = fs_write_some(ch->fd, x->to_child.data, x->to_child.len);

		if (n == -EAGAIN)
			return;
		if (n < 0 && !x->tty)
			channel_close(ch); /* it reads no more */
		if (n < 0)
			break;
		buf_consume(&x->to_child, (size_t)n);
	}
	if (ch->fd < 0 || x->to_child.len > 0)
		buf_clear(&x->to_child);
	if (!x->tty && x->child_eof && x->to_child.len == 0)
		channel_close(ch);
}

/* Frames wait in rx while the command takes nothing: no event tells when they may go on but this. */
static void feed_child(struct exec *x)
{
	size_t frames, waiting;

	do {
		frames = x->rx.len;
		if (!take_frames(x)) {
			channel_close(&x->sock);
			return;
		}
		waiting = x->to_child.len;
		write_child(x);
	} while ((x->rx.len < frames || x->to_child.len < waiting) &&
		 x->to_child.len < WAITING_MAX);
}

static void read_client(struct exec *x)
{
	for (int turn = 0; turn < TURNS && x->sock.fd >= 0 && x->to_child.len < WAITING_MAX;
	     turn++) {
		char data[READ_SIZE];
		ssize_t n = recv(x->sock.fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0)
			buf_append(&x->rx, data, (size_t)n);
		if (n <= 0 || x->rx.failed)
			channel_close(&x->sock);
		else
			feed_child(x);
	}
}

static void write_client(struct exec *x)
{
	while (x->sock.fd >= 0 && x->to_client.len > 0) {
		ssize_t n = send(x->sock.fd, x->to_client.data, x->to_client.len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				channel_close(&x->sock);
			return;
		}
		buf_consume(&x->to_client, (size_t)n);
	}
}

/* ---- the command's side ---- */

/* True: nothing more is there at the moment, or ever. */
static bool read_child(struct exec *x, struct channel *ch, enum exec_frame_type type)
{
	for (int turn = 0; (turn < TURNS || x->ended) && ch->fd >= 0; turn++) {
		char data[READ_SIZE];
		ssize_t n;

		if (x->to_client.len >= WAITING_MAX)
			return false;
		n = fs_read_some(ch->fd, data, sizeof(data));
		if (n == -EAGAIN)
			return true;
		if (n > 0)
			exec_frame_put(&x->to_client, type, data, (size_t)n);
		x->rest += x->ended && n > 0 ? (size_t)n : 0;
		if (n <= 0 || x->rest > REST_MAX) /* a terminal's end is EIO */
			channel_close(ch);
	}
	return ch->fd < 0;
}

static int exit_code(const struct wire_run_end *end)
{
	if (run_has_run(end))
		return end->code;
	if (end->stage != WIRE_STAGE_EXEC || end->timed_out)
		return 125;
	return end->err == ENOENT ? 127 : 126;
}

static void put_end(const struct wire_run_end *end, struct buf *out)
{
	char error[WIRE_RUN_TEXT_SIZE + 32], stage[WIRE_FAILURE_SIZE];
	bool ran = run_has_run(end);
	_cleanup_buf_ struct buf json = {0};
	struct jsonw w = {.out = &json};

	run_describe_end(end, error, sizeof(error));
	jsonw_object_begin(&w, NULL);
	if (ran && end->signal)
		jsonw_null(&w, "code");
	else
		jsonw_int(&w, "code", exit_code(end));
	if (ran && end->signal && !parse_signal_name(end->signal))
		snprintf(stage, sizeof(stage), "SIG%d", end->signal); /* real-time signals */
	else
		snprintf(stage, sizeof(stage), "%s",
			 ran && end->signal ? parse_signal_name(end->signal) : "");
	jsonw_string(&w, "signal", stage[0] ? stage : NULL);
	jsonw_string(&w, "stage", ran ? NULL : wire_failure_name(stage, end->stage, end->what));
	jsonw_string(&w, "error", ran ? NULL : error);
	jsonw_object_end(&w);
	if (json.failed)
		out->failed = true;
	else
		exec_frame_put(out, EXEC_FRAME_END, json.data, json.len);
}

static void send_end(struct exec *x)
{
	channel_close(&x->in);
	channel_close(&x->out);
	channel_close(&x->err);
	put_end(&x->end, &x->to_client);
	x->end_sent = true;
	uv_update_time(x->c->loop);
	uv_timer_start(&x->timer, on_timer, FAREWELL_MS, 0);
}

static void watch(struct exec *x)
{
	int reading = x->to_child.len < WAITING_MAX && !x->end_sent ? UV_READABLE : 0;
	int room = x->to_client.len < WAITING_MAX ? UV_READABLE : 0;
	int more = x->to_child.len > 0 ? UV_WRITABLE : 0;

	channel_watch(&x->sock, reading | UV_DISCONNECT | (x->to_client.len ? UV_WRITABLE : 0));
	channel_watch(&x->in, more);
	channel_watch(&x->out, room | (x->tty ? more : 0));
	channel_watch(&x->err, room);
}

/* After the command's end no event need come: it goes on until all is read or the client is full. */
static void feed_client(struct exec *x)
{
	bool drained;

	do {
		drained = read_child(x, &x->out, EXEC_FRAME_STDOUT);
		drained = read_child(x, &x->err, EXEC_FRAME_STDERR) && drained;
		if (x->ended && drained && !x->end_sent)
			send_end(x);
		write_client(x);
	} while (x->ended && !x->end_sent && x->sock.fd >= 0 && x->to_client.len < WAITING_MAX);
}

static void pump(struct exec *x)
{
	if (x->closing || x->sock.fd < 0) {
		if (!x->closing)
			hang_up(x);
		return;
	}
	feed_child(x);
	if (!x->end_sent)
		read_client(x);
	feed_client(x);
	if (x->to_client.failed || x->to_child.failed)
		channel_close(&x->sock);
	if (x->sock.fd < 0)
		hang_up(x);
	else if (x->end_sent && x->to_client.len == 0)
		drop(x);
	else
		watch(x);
}

static void on_end(const struct wire_run_end *end, void *user)
{
	struct exec *x = user;

	x->run = NULL;
	x->ended = true;
	x->end = *end;
	pump(x); /* without a client: gone for good */
}

/* ---- beginning and end ---- */

static int open_channels(struct exec *x, struct exec_fds *f)
{
	if (channel_open(x, &x->in, TAKE_FD(f->in)) < 0 ||
	    channel_open(x, &x->out, TAKE_FD(f->out)) < 0 ||
	    channel_open(x, &x->err, TAKE_FD(f->err)) < 0)
		return -ERR_SYS;
	return 0;
}

static struct exec *new_session(struct controller *c, bool tty)
{
	struct exec *x = mem_alloc(sizeof(*x));

	if (!x)
		return NULL;
	x->c = c;
	x->tty = tty;
	x->sock.fd = x->in.fd = x->out.fd = x->err.fd = -1;
	x->n_handles = 1;
	uv_timer_init(c->loop, &x->timer);
	x->timer.data = x;
	LIST_INSERT_HEAD(&c->execs, x, all);
	c->n_execs++;
	return x;
}

static void note_beside(struct exec *x, const struct replica *r)
{
	x->beside.index = r->index;
	memccpy(x->beside.service, r->service->name, '\0', sizeof(x->beside.service) - 1);
	memcpy(x->beside.incarnation, r->incarnation, sizeof(x->beside.incarnation));
}

int exec_start(struct controller *c, const struct replica *r, const struct exec_opts *o,
	       struct exec **ret, struct err **reterr)
{
	struct run_opts run = {.what = o->what, .cwd = o->cwd, .tty = o->tty};
	struct exec_fds f;
	struct exec *x;
	int rc;

	if (c->n_execs >= EXEC_SESSIONS_MAX)
		return err_set(reterr, ERR_BUSY, "%d exec sessions are open already",
			       EXEC_SESSIONS_MAX);
	rc = exec_fds_open(&f, o->tty, reterr);
	if (rc < 0)
		return rc;
	if (o->tty)
		exec_fds_resize(f.out, o->rows, o->columns);
	x = new_session(c, o->tty);
	if (x)
		note_beside(x, r);
	rc = x ? open_channels(x, &f) : err_nomem(reterr);
	if (x && rc < 0)
		err_set(reterr, ERR_SYS, "cannot watch the command's streams");
	run.fds = f.child;
	run.on_end = on_end;
	run.user = x;
	if (rc == 0)
		rc = run_start(c, r, &run, &x->run, reterr);
	exec_fds_close(&f);
	if (rc < 0 && x)
		drop(x);
	if (rc == 0)
		*ret = x;
	return rc;
}

void exec_attach(struct exec *x, int fd, const struct buf *early)
{
	if (channel_open(x, &x->sock, fd) == 0)
		buf_append(&x->rx, early->data, early->len);
	pump(x);
}

void exec_abandon(struct exec *x)
{
	drop(x);
}

void exec_end_of(struct controller *c, const struct replica *r, const char *incarnation)
{
	struct exec *x;

	LIST_FOREACH (x, &c->execs, all)
		if (x->beside.index == r->index &&
		    strcmp(x->beside.service, r->service->name) == 0 &&
		    strcmp(x->beside.incarnation, incarnation) == 0)
			end_command(x);
}

void exec_close_all(struct controller *c)
{
	while (!LIST_EMPTY(&c->execs))
		drop(LIST_FIRST(&c->execs));
}
