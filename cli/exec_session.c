/* exec_session: see exec_session.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/exec_session.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "cli/js.h"
#include "cli/report.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/exec_frame.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define WAITING_MAX (256u << 10) /* bytes in either direction */
#define READ_SIZE 32768u

enum { FD_SOCKET, FD_SIGNAL, FD_IN, FD_OUT, FD_ERR, FD_MAX_ };

struct session {
	const struct exec_session_opts *opts;
	int fd, signal_fd;
	struct buf rx, to_server, to_out, to_err;
	bool raw; /* the terminal's settings are ours, saved has its own */
	struct termios saved;
	bool in_open;
	bool told;  /* a signal was passed on: the next one is for us */
	bool ended; /* code is what we exit with */
	int code;
};

/* ---- the terminal ---- */

static void terminal_raw(struct session *s)
{
	struct termios raw;

	if (!s->opts->tty || s->raw || tcgetattr(STDIN_FILENO, &s->saved) < 0)
		return;
	raw = s->saved;
	cfmakeraw(&raw);
	s->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void terminal_restore(struct session *s)
{
	if (s->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &s->saved);
	s->raw = false;
}

static void tell_size(struct session *s)
{
	struct winsize size;

	if (s->opts->tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row)
		exec_frame_put_resize(&s->to_server, size.ws_row, size.ws_col);
}

/* ---- ends ---- */

static void end(struct session *s, int code)
{
	s->ended = true;
	s->code = code;
}

static void fail(struct session *s, const char *message)
{
	terminal_restore(s);
	report_plain("%s: %s", s->opts->what, message);
	end(s, EXEC_SESSION_FAILED);
}

/* The daemon's last word. */
static void take_end(struct session *s, const struct exec_frame *f)
{
	_cleanup_free_ char *text = mem_strndup((const char *)f->payload, f->len);
	_cleanup_js_ cJSON *json = text ? js_parse(text, f->len) : NULL;
	const char *error = js_str(json, "error", NULL), *name = js_str(json, "signal", NULL);
	int signal = 0;

	if (name && strncmp(name, "SIG", 3) == 0 && name[3] >= '1' && name[3] <= '9')
		name += 3; /* a real-time one: "SIG40" */
	end(s, (int)js_int(json, "code", EXEC_SESSION_FAILED));
	if (error) {
		terminal_restore(s);
		report_plain("%s: %s", s->opts->what, error);
	} else if (name && parse_signal(name, &signal, NULL) == 0) {
		s->code = 128 + signal;
	}
}

/* ---- what comes ---- */

/* False: no frame of a server. */
static bool take_frame(struct session *s, const struct exec_frame *f)
{
	if (f->type == EXEC_FRAME_STDOUT)
		buf_append(&s->to_out, f->payload, f->len);
	else if (f->type == EXEC_FRAME_STDERR)
		buf_append(&s->to_err, f->payload, f->len);
	else if (f->type == EXEC_FRAME_END)
		take_end(s, f);
	else
		return false;
	return true;
}

static void take_frames(struct session *s)
{
	size_t at = 0;

	while (!s->ended) {
		struct exec_frame f;
		int n = exec_frame_get(s->rx.data + at, s->rx.len - at, &f);

		if (n == 0)
			break;
		if (n < 0 || !take_frame(s, &f)) {
			fail(s, "the daemon does not speak this protocol");
			return;
		}
		at += (size_t)n;
	}
	buf_consume(&s->rx, at);
}

static void read_server(struct session *s)
{
	char data[READ_SIZE];
	ssize_t n = recv(s->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(s, "the connection to the daemon broke: the command was ended");
		return;
	}
	buf_append(&s->rx, data, (size_t)n);
	take_frames(s);
}

static void write_server(struct session *s)
{
	ssize_t n = send(s->fd, s->to_server.data, s->to_server.len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		buf_consume(&s->to_server, (size_t)n);
	else if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		buf_clear(&s->to_server); /* reading says how it ended */
}

static void read_stdin(struct session *s)
{
	char data[READ_SIZE];
	ssize_t n = fs_read_some(STDIN_FILENO, data, sizeof(data));

	if (n == -EAGAIN)
		return;
	if (n <= 0) /* an error is an end as well */
		s->in_open = false;
	exec_frame_put(&s->to_server, EXEC_FRAME_STDIN, data, n > 0 ? (size_t)n : 0);
}

/* PIPE_BUF bytes never block when poll says so. */
static void write_own(struct session *s, int fd, struct buf *b)
{
	size_t some = b->len < PIPE_BUF ? b->len : PIPE_BUF;
	ssize_t n = fs_write_some(fd, b->data, some);

	if (n > 0)
		buf_consume(b, (size_t)n);
	if (n >= 0 || n == -EAGAIN)
		return;
	buf_clear(b);
	if (n == -EPIPE) /* quietly, as every program of a pipeline */
		end(s, 128 + SIGPIPE);
	else if (!s->ended)
		fail(s, "cannot write its output");
}

static void stop_ourselves(struct session *s)
{
	terminal_restore(s);
	kill(getpid(), SIGSTOP);
	terminal_raw(s);
	tell_size(s);
}

static void take_signal(struct session *s)
{
	struct signalfd_siginfo si;
	uint8_t number;

	if (fs_read_some(s->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	number = (uint8_t)si.ssi_signo;
	if (number == SIGWINCH) {
		tell_size(s);
	} else if (number == SIGTSTP) {
		stop_ourselves(s);
	} else if (s->opts->tty || s->told || number == SIGHUP) {
		terminal_restore(s);
		end(s, 128 + number);
	} else {
		s->told = true;
		exec_frame_put(&s->to_server, EXEC_FRAME_SIGNAL, &number, 1);
	}
}

/* ---- the loop ---- */

static void fill(const struct session *s, struct pollfd p[FD_MAX_])
{
	bool room = s->to_out.len < WAITING_MAX && s->to_err.len < WAITING_MAX;
	bool in = s->in_open && s->to_server.len < WAITING_MAX;

	p[FD_SOCKET] = (struct pollfd){
		.fd = room || s->to_server.len ? s->fd : -1,
		.events = (short)((room ? POLLIN : 0) | (s->to_server.len ? POLLOUT : 0))};
	p[FD_SIGNAL] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
	p[FD_IN] = (struct pollfd){.fd = in ? STDIN_FILENO : -1, .events = POLLIN};
	p[FD_OUT] = (struct pollfd){.fd = s->to_out.len ? STDOUT_FILENO : -1, .events = POLLOUT};
	p[FD_ERR] = (struct pollfd){.fd = s->to_err.len ? STDERR_FILENO : -1, .events = POLLOUT};
	if (s->ended) /* only what it has said is still to be written */
		p[FD_SOCKET].fd = p[FD_IN].fd = -1;
}

static void serve(struct session *s, const struct pollfd p[FD_MAX_])
{
	if (p[FD_SIGNAL].revents)
		take_signal(s);
	if (p[FD_OUT].revents)
		write_own(s, STDOUT_FILENO, &s->to_out);
	if (p[FD_ERR].revents)
		write_own(s, STDERR_FILENO, &s->to_err);
	if (p[FD_IN].revents)
		read_stdin(s);
	if (p[FD_SOCKET].revents & POLLOUT)
		write_server(s);
	if (p[FD_SOCKET].revents & ~POLLOUT && !s->ended)
		read_server(s);
}

static void loop(struct session *s)
{
	while (!s->ended || s->to_out.len || s->to_err.len) {
		struct pollfd p[FD_MAX_];

		fill(s, p);
		if (poll(p, FD_MAX_, -1) < 0) {
			if (errno != EINTR)
				return;
			continue;
		}
		serve(s, p);
		if (s->ended && s->code >= 128 && p[FD_SIGNAL].revents)
			return; /* at once */
		if (!s->ended &&
		    (s->rx.failed || s->to_server.failed || s->to_out.failed || s->to_err.failed))
			fail(s, "out of memory");
	}
}

/* They stay blocked: the program ends with us. */
static int watch_signals(void)
{
	static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
	sigset_t set, pipe;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		struct sigaction sa;

		/* a blocked signal comes even if it is ignored, and nohup means it */
		if (sigaction(wanted[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
			sigaddset(&set, wanted[i]);
	}
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE); /* a write says it, and the terminal is restored */
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &pipe, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int exec_session_run(int fd, const struct buf *early, const struct exec_session_opts *o)
{
	struct session s = {.opts = o, .fd = fd, .in_open = o->stdin_too};
	s.signal_fd = watch_signals();
	terminal_raw(&s);
	tell_size(&s);
	if (!s.in_open)
		exec_frame_put(&s.to_server, EXEC_FRAME_STDIN, NULL, 0);
	buf_append(&s.rx, early->data, early->len);
	take_frames(&s);
	loop(&s);
	terminal_restore(&s);
	mem_closep(&s.signal_fd);
	close(fd);
	buf_done(&s.rx);
	buf_done(&s.to_server);
	buf_done(&s.to_out);
	buf_done(&s.to_err);
	return s.code;
}
