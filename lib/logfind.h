/*
 * logfind: which incarnations of a service have logs, and that they have more: the part of logview
 * that reads directories and listens to inotify. Tracks are found, taught their segments' names and
 * forgotten here; who reads them is logview.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGFIND_H
#define AICTL_LIB_LOGFIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct logtrack;

struct logfind_watch {
	int wd;
	uint32_t index; /* of the replica; UINT32_MAX: another directory */
	bool changed;	/* names came or went */
};

struct logfind {
	const char *log_dir, *service; /* borrowed */
	int64_t index;		       /* a replica, or -1 = all */
	bool raw;
	int (*found)(void *user, struct logtrack *t); /* a new one; 0 or -ERR_NOMEM */
	void *user;
	int dir_fd; /* of the service; -1 = there is none yet */
	int notify_fd;
	bool stale;		       /* everything is to be looked at */
	struct logfind_watch *watches; /* by wd */
	size_t n_watches, cap_watches;
	struct logtrack **tracks; /* by index, then incarnation */
	size_t n_tracks, cap_tracks;
	uint64_t lost; /* segments, of tracks that were forgotten */
};

/* The first half of the members is set; follow: listen from now on. */
void logfind_init(struct logfind *f, bool follow);
/* Looks at everything. */
int logfind_look(struct logfind *f, struct err **reterr);
/* Following: reads what inotify says, sets `touched` of tracks, looks at what has changed. */
int logfind_refresh(struct logfind *f, struct err **reterr);
/* The place of the first track of this replica, or behind it. */
size_t logfind_first(const struct logfind *f, uint32_t index);
void logfind_done(struct logfind *f);

#endif
