/*
 * ownlog: our own log on its way to aictld's original stderr, which is this process's fd 2.
 *
 * aictld, the controller and this process write their lines into pipes and never wait; here they
 * are copied, whole lines only, to a descriptor that may be a stopped terminal, a full pipe or a
 * slow journal. Nothing here waits either: 64 KiB of lines are kept, beyond that they are dropped
 * and counted, and the count is written once there is room.
 *
 * fd 2 is shared with others, so its flags are left alone: where it can be opened again
 * (/proc/self/fd) that descriptor is non-blocking, a socket gets MSG_DONTWAIT, else poll() precedes
 * each write of a piece that fits. Where fd 2 is a stream to systemd's journal, lines go there with
 * their fields instead (journal.h), and as they are when that fails.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_OWNLOG_H
#define AICTL_LOGGER_OWNLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/loop.h"

#define OWNLOG_LINE_MAX 8192
#define OWNLOG_BUFFER (64 << 10)
#define OWNLOG_SOURCES 2

struct ownlog;

struct ownlog_source {
	struct ownlog *owner;
	struct loop_io io;
	int fd;	    /* -1 = none */
	size_t len; /* of the unfinished line */
	char line[OWNLOG_LINE_MAX];
};

enum ownlog_kind { OWNLOG_PLAIN, OWNLOG_SOCKET, OWNLOG_POLLED, OWNLOG_JOURNAL };

struct ownlog {
	struct loop *loop;
	int out;       /* fd 2, its second opening, or a socket of the journal */
	int given_out; /* fd 2 */
	bool own_out;
	enum ownlog_kind kind;
	size_t chunk; /* bytes in one write */
	struct loop_io out_io;
	struct loop_timer again; /* when out cannot be watched */
	struct ownlog_source sources[OWNLOG_SOURCES];
	size_t start, len; /* of the bytes in buffer, a ring without wrap: compacted */
	uint64_t lost;	   /* lines dropped since the last report */
	char buffer[OWNLOG_BUFFER];
};

/* out stays the caller's. Large: not for the stack. */
void ownlog_init(struct ownlog *o, struct loop *loop, int out);
void ownlog_done(struct ownlog *o);
/* Reads lines from fd (owned, made non-blocking) in place of what source i read before. */
void ownlog_source(struct ownlog *o, unsigned i, int fd);
/* What can be read and written right now. */
void ownlog_flush(struct ownlog *o);

#endif
