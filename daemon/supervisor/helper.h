/*
 * helper: the life cycle of aictl-controller and aictl-logger: start, hand over, notice the death,
 * start again with back-off.
 *
 * The first restart comes at once, then INITIAL x 2 up to MAX, reset after 10 s of life. LIMIT
 * deaths within a minute, each less than 10 s after its start, lead to safe mode (controller only).
 * A dead helper's socket is read to its end before the next one starts: what it asked for is done.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_HELPER_H
#define AICTL_SUPERVISOR_HELPER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/child.h"
#include "daemon/supervisor/link.h"
#include "daemon/supervisor/options.h"

#define HELPER_STEADY_MS 10000 /* alive that long: healthy */
#define HELPER_WINDOW_MS 60000
#define HELPER_END_SIZE 32

struct helper_user {
	bool set;
	uint32_t uid, gid;
	uint32_t groups[2]; /* supplementary ones */
	uint32_t n_groups;
};

enum helper_event { HELPER_CONNECTED, HELPER_DISCONNECTED, HELPER_QUIT };

struct helper {
	/* Filled by the owner. */
	struct supervisor *sup;
	const char *name; /* "aictl-logger" */
	char **argv;	  /* owned */
	int binary_fd;
	int stderr_fd;
	struct helper_user user;
	void (*on_connect)(struct supervisor *sup);    /* everything is due again; then a flush */
	void (*on_disconnect)(struct supervisor *sup); /* at least once per connection; or NULL */
	void (*on_quit)(struct supervisor *sup); /* ends the conversation; NULL: end of file */
	void (*on_early_deaths)(struct supervisor *sup); /* LIMIT reached; may be NULL */
	/* In the place of the first three, where there are several of a kind; or NULL. */
	void (*on_event)(struct helper *h, enum helper_event event);

	struct link link; /* on_flush, on_packet filled by the owner */

	/* Private. */
	struct child child;
	struct child_job job;
	struct loop_timer timer; /* next start, or SIGKILL while quitting */
	int64_t started_mono_ms, delay_ms;
	int64_t early_deaths[OPTIONS_RESTART_LIMIT_MAX]; /* mono ms, newest first */
	uint32_t n_early_deaths;
	uint32_t restarts;
	char last_end[HELPER_END_SIZE]; /* "SIGSEGV", "exit 1"; "" = it has not ended */
	bool quitting;
};

void helper_init(struct helper *h);
void helper_done(struct helper *h);
void helper_start(struct helper *h);
/* Ends it for good: QUIT (the logger), EOF on its socket, SIGKILL after grace_ms. helper_is_gone
 * tells when. */
void helper_quit(struct helper *h, int64_t grace_ms);
/* Its process is `to`'s from now on, and no more the helper's: as if it had ended. False: not now. */
bool helper_leave(struct helper *h, struct child *to);
bool helper_is_gone(const struct helper *h);
int helper_pid(const struct helper *h); /* 0 = not running */

#endif
