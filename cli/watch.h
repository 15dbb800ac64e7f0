/*
 * watch: a view that is looked at again and again, until Ctrl-C (exit code 130).
 *
 * It looks at every interval, and soon after an event of the daemon, so that changes show at once.
 *
 * On a terminal the block is redrawn in place: each drawing is one write, lines that became shorter
 * are cleared at their end, so nothing flickers; a resize redraws at once. What does not fit on the
 * screen is counted in the last line. Elsewhere a block is printed when its signature changed.
 *
 * With `keys`, q ends it (exit code 0): the terminal is put to one key at a time meanwhile, and back.
 *
 * A daemon that does not answer is waited for: the last view stays, with a notice below it (on
 * stderr, off a terminal). An answer that is an error (the service is gone) ends it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_WATCH_H
#define AICTL_CLI_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct cli;
struct err;
struct term;

#define WATCH_DEFAULT_MS 1000

struct watch {
	struct cli *cli;
	const char *socket; /* for the stream of events */
	int64_t interval_ms;
	bool redraw; /* in place; else blocks */
	bool keys;   /* where stdin is a terminal */
	void *user;
	/* A look at the daemon: 0, or a negative code: no answer. Exits on an answer that is none. */
	int (*look)(void *user, struct err **reterr);
	/* What was seen last, as lines ending in eol. */
	void (*render)(void *user, const struct term *term, const char *eol, struct buf *out);
	/* Equal when nothing happened in between. */
	void (*signature)(void *user, struct buf *out);
	/* Off the terminal: prints what was seen last. */
	void (*print)(void *user);
};

/* Does not return before Ctrl-C, an error, or the end of who reads us; returns an exit code. */
int watch_run(const struct watch *w);

#endif
