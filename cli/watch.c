/*
 * watch: see watch.h. One poll over: the interval, SIGWINCH (a signalfd), the reader of stdout, the
 * stream of events. What the events say does not matter here; a stream that ends is opened again
 * with the next look.
 */
/* SPDX-License-Identifier: MIT */
#include "cli/watch.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/intr.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"

#define CTRL_C 3
#define SOON_MS 100	 /* after an event: others come with it */
#define PATIENCE_MS 1000 /* for the stream of events */

struct state {
	const struct watch *w;
	int winch_fd;
	struct client *events;
	bool streaming;	      /* events has a stream under way */
	int64_t lost_mono_ms; /* since when there is no answer; 0 = there is one */
	bool told;	      /* off a terminal: that it is lost */
	char *signature;
	unsigned drawn; /* lines on the screen */
	bool keys;	/* the terminal's settings are ours, saved has its own */
	struct termios saved;
	bool quit; /* with that code */
	int code;
};

/* ---- keys ---- */

/* Ctrl-C is a key like others then: a signal would end us with these settings. */
static void keys_begin(struct state *s)
{
	struct termios now;

	if (!s->w->keys || !s->w->redraw || !isatty(STDIN_FILENO) ||
	    tcgetattr(STDIN_FILENO, &s->saved) < 0)
		return;
	now = s->saved;
	now.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	now.c_cc[VMIN] = 1;
	now.c_cc[VTIME] = 0;
	s->keys = tcsetattr(STDIN_FILENO, TCSADRAIN, &now) == 0;
}

static void keys_end(struct state *s)
{
	if (s->keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &s->saved);
	s->keys = false;
}

static void quit(struct state *s, int code)
{
	s->quit = true;
	s->code = code;
}

static void take_keys(struct state *s)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n <= 0)
		quit(s, CODE_OK);
	for (ssize_t i = 0; i < n && !s->quit; i++)
		if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == CTRL_C)
			quit(s, keys[i] == CTRL_C ? CODE_INTERRUPTED : CODE_OK);
}

/* A resize; and what else would end us, where there are settings to restore. */
static int signals_open(bool keys)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	if (keys) {
		sigaddset(&set, SIGINT);
		sigaddset(&set, SIGTERM);
		sigaddset(&set, SIGHUP);
	}
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void stream_open(struct state *s)
{
	_cleanup_err_ struct err *e = NULL;

	s->streaming = client_stream_begin(s->events, "/v1/events?n=0&follow=1", &e) == 0;
}

/* Takes what came; whether that was anything. */
static bool stream_drain(struct state *s)
{
	_cleanup_err_ struct err *e = NULL;
	const char *line;
	bool any = false;
	int r;

	while ((r = client_stream_next(s->events, false, &line, &e)) > 0)
		any = true;
	s->streaming = r == -ERR_TIMEOUT && !e;
	return any || !s->streaming;
}

static unsigned screen_rows(void)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_row < 3)
		return 24;
	return ws.ws_row;
}

/* Leaves at most `rows` lines; when there are more, the last one says how many. Returns the lines. */
static unsigned cut_rows(const struct term *t, struct buf *block, const char *eol, unsigned rows)
{
	_cleanup_free_ char *more = NULL;
	unsigned n = 0;
	size_t keep = 0;

	for (size_t i = 0; i < block->len; i++) {
		n += block->data[i] == '\n';
		if (block->data[i] == '\n' && n == rows - 1)
			keep = i + 1;
	}
	if (n <= rows || rows < 2)
		return n;
	more = x_printf("... %u more lines", n - (rows - 1));
	block->len = keep;
	term_put(t, block, more, t->columns);
	buf_str(block, eol);
	return rows;
}

static void add_notice(const struct state *s, const struct term *t, const char *eol,
		       struct buf *block)
{
	_cleanup_free_ char *text = NULL;
	char human[32];

	if (!s->lost_mono_ms)
		return;
	clock_human(clock_mono_ms() - s->lost_mono_ms, human, sizeof(human));
	text = x_printf("the daemon does not answer (for %s); trying again", human);
	buf_str(block, term_paint(t, TERM_YELLOW));
	term_put(t, block, text, t->columns);
	buf_str(block, term_paint(t, TERM_RESET));
	buf_str(block, eol);
}

static void draw(struct state *s, bool resized)
{
	static const char eol[] = "\033[K\n";
	struct term term = s->w->cli->term;
	_cleanup_buf_ struct buf block = {0}, out = {0};
	unsigned rows = screen_rows() - 1, lines;

	/* clearing to the end of a full line would take its last character along */
	term.columns = term_columns(STDOUT_FILENO);
	term.columns -= term.columns > 1;
	s->w->render(s->w->user, &term, eol, &block);
	lines = cut_rows(&term, &block, eol, rows - (s->lost_mono_ms != 0));
	add_notice(s, &term, eol, &block);
	if (resized) /* what stood there may have been wrapped: nobody knows how many rows it has */
		buf_str(&out, "\033[H\033[2J");
	else if (s->drawn)
		buf_printf(&out, "\033[%uA\r", s->drawn);
	buf_append(&out, buf_cstr(&block), block.len);
	buf_str(&out, "\033[J");
	if (out.failed || block.failed)
		x_check(NULL);
	fwrite(out.data, 1, out.len, stdout);
	s->drawn = lines + (s->lost_mono_ms != 0);
}

static void print_block(struct state *s)
{
	_cleanup_buf_ struct buf now = {0};

	if (s->lost_mono_ms && !s->told)
		report_warning("the daemon does not answer; trying again");
	else if (!s->lost_mono_ms && s->told)
		report_warning("the daemon answers again");
	s->told = s->lost_mono_ms != 0;
	s->w->signature(s->w->user, &now);
	if (s->signature && strcmp(s->signature, buf_cstr(&now)) == 0)
		return;
	mem_free(s->signature);
	s->signature = x_strdup(buf_cstr(&now));
	s->w->print(s->w->user);
}

static int look(struct state *s)
{
	_cleanup_err_ struct err *e = NULL;
	bool first = !s->signature && !s->drawn;

	if (s->w->look(s->w->user, &e) == 0) {
		s->lost_mono_ms = 0;
		return CODE_OK;
	}
	if (first || e->code != ERR_UNREACHABLE)
		return (int)report_err(e);
	if (!s->lost_mono_ms)
		s->lost_mono_ms = clock_mono_ms();
	return CODE_OK;
}

static void take_signals(struct state *s)
{
	struct signalfd_siginfo info;

	while (read(s->winch_fd, &info, sizeof(info)) > 0)
		if (info.ssi_signo != SIGWINCH)
			quit(s, CODE_INTERRUPTED);
}

/* Until `until`, an event, or a resize (returns true). Ends when nobody reads us any more. */
static bool rest(struct state *s, int64_t until)
{
	struct pollfd p[4] = {{.fd = s->winch_fd, .events = POLLIN},
			      {.fd = STDOUT_FILENO, .events = 0},
			      {.fd = -1, .events = POLLIN},
			      {.fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN}};
	int64_t left;

	while ((left = until - clock_mono_ms()) > 0) {
		int64_t soon = clock_mono_ms() + SOON_MS;

		p[2].fd = s->streaming ? client_stream_fd(s->events) : -1;
		if (poll(p, 4, (int)left) <= 0)
			continue;
		if (p[1].revents & (POLLERR | POLLHUP)) {
			keys_end(s);
			output_end_of_reader();
		}
		if (p[3].revents)
			take_keys(s);
		if (p[0].revents) {
			take_signals(s);
			return true;
		}
		if (s->quit)
			return false;
		if (p[2].revents && stream_drain(s) && soon < until)
			until = soon;
	}
	return false;
}

/* A daemon that is back is seen soon, however long the interval is. */
static int64_t pause_ms(const struct state *s)
{
	int64_t ms = s->w->interval_ms;

	return s->lost_mono_ms && ms > WATCH_DEFAULT_MS ? WATCH_DEFAULT_MS : ms;
}

int watch_run(const struct watch *w)
{
	struct state s = {.w = w, .winch_fd = -1, .events = client_new(w->socket)};
	bool resized = false;
	int code = CODE_OK;

	intr_quiet();
	keys_begin(&s);
	s.winch_fd = signals_open(s.keys);
	client_set_patience(s.events, PATIENCE_MS);
	while (!s.quit) {
		if (!resized)
			code = look(&s);
		if (code != CODE_OK)
			break;
		if (w->redraw)
			draw(&s, resized);
		else
			print_block(&s);
		if (output_is_broken()) {
			code = CODE_FAILED;
			break;
		}
		if (!s.streaming && !s.lost_mono_ms)
			stream_open(&s);
		resized = rest(&s, clock_add(clock_mono_ms(), pause_ms(&s))) && w->redraw;
	}
	keys_end(&s);
	client_free(s.events);
	mem_free(s.signature);
	mem_closep(&s.winch_fd);
	return code == CODE_OK ? s.code : code;
}
