/*
 * forward: lines of services whose `logs.to` has journald, sent to systemd's journal, with a thread
 * of its own that reads the segments behind their writers (logview.h). Bytes that are stored never
 * pass through here, so a journald that is slow, hangs or is dead costs no writer anything: the
 * segments are the queue. What rotation removes before it was sent is counted, and said in our own
 * log; so is a line that journald does not take.
 *
 * The thread begins with the first such service. It sleeps until inotify says that there is more;
 * while journald takes nothing it tries again after 0.1 to 30 s.
 *
 * FORWARD_FILE in the log directory remembers, a second late at most, up to where lines were sent:
 * after the death of a logger each line is sent at least once, those of the last second perhaps
 * twice. Two loggers (one that still drains what an aictld left, and its follower) do not send at
 * the same time: the directory is locked by who does.
 *
 * One thread for all: where a log file system hangs, the journal waits; storing does not.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_FORWARD_H
#define AICTL_LOGGER_FORWARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/logger/forward_state.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"

enum forward_what { FORWARD_WANTED, FORWARD_UNWANTED, FORWARD_OVER };

struct forward_order {
	struct wire_key key;
	uint64_t revision;
	enum forward_what what;
};

struct forward {
	const char *log_dir, *socket; /* borrowed */
	bool started;
	int wake_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of these: */
	struct forward_order *orders;
	size_t n_orders, cap_orders;
	bool stop;
	/* the thread's */
	struct forward_state state;
	struct buf datagram;
	int dir_fd, fd;	      /* -1 = not open, not connected */
	int64_t full_mono_ms; /* since when the socket takes nothing; 0 = it does */
	int64_t backoff_ms, saved_mono_ms, began_mono_ms, told_mono_ms, last_mono_ms;
	uint64_t refused, lost; /* lines; segments: since that was told */
	bool dirty, told_unreachable;
};

/* socket: JOURNAL_SOCKET. Starts nothing yet. */
void forward_init(struct forward *f, const char *log_dir, const char *socket);
/* Of the main thread; none of them waits. As STREAM says, before anything is stored by it. */
void forward_stream(struct forward *f, const struct wire_stream *m);
/* All of it is stored. */
void forward_over(struct forward *f, const struct wire_key *key);
/* Sends what can be sent at once. False: the thread hangs, and f is in use for ever. */
bool forward_done(struct forward *f, int64_t max_ms);

#endif
