/*
 * push: what a service says of itself: a socket for each slot that asks for it, to which its
 * processes send sd_notify's datagrams ($NOTIFY_SOCKET). Not to be confused with notify.h, our own
 * words to the service manager above us.
 *
 * The sockets are ours and read by us alone, so that nobody who says something ever waits for a
 * controller. Messages become levels at once (struct wire_push, in the table): ready, status,
 * stopping, reloading, what time it wants. A level that changed makes the slot dirty; SLOT tells the
 * controller. WATCHDOG=1 only moves a deadline of ours. When it passes, that is a level, too: the
 * controller ends the replica, by its policy.
 *
 * A message counts when it comes from the service's user (or root) and from a process of the slot:
 * its main one, one of its session, or of its cgroup. One whose sender has ended already counts by
 * its user alone. Descriptors sent along are never received: the kernel closes them when the message
 * is read, which is what BARRIER=1 asks for. As that may take as long as the service likes, such a
 * message is only looked at here, and read by a process made for it (push_aside.h).
 *
 * After a reexec the sockets are the same (push_keep.h). Another aictld binds the same path again; what
 * was sent between the two met no socket and is lost. Either finds the levels in the table, and the
 * watchdog gets a whole interval. The descriptor of s6's notification protocol (`notify_fd`) is opened
 * again through /proc.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_PUSH_H
#define AICTL_SUPERVISOR_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "daemon/supervisor/push_aside.h"
#include "daemon/supervisor/push_keep.h"
#include "daemon/wire/wire.h"
#include "lib/loop.h"

struct err;
struct slot;
struct supervisor;

#define PUSH_VARIABLES 3
#define PUSH_EXTEND_MAX_MS (3600 * INT64_C(1000)) /* at once; it can be asked for again */

/* Of a slot that has one. */
struct push {
	struct slot *slot;
	int fd;
	struct push_aside *aside; /* while one reads a message with descriptors, else NULL */
	bool deaf;		  /* see push_aside.h */
	struct loop_io io;
	struct loop_timer watchdog, later;
	int64_t deadline_mono_ms; /* of the watchdog */
	int main_pid_due;	  /* named before its exec was seen; 0 = none */
	int pipe_fd;		  /* s6's: read end, -1 = none */
	struct loop_io pipe_io;
	struct sockaddr_un addr;
};

/* The directory of the sockets. */
struct pushes {
	char *dir;
	int dir_fd; /* -1 = none */
	struct push_asides asides;
	struct push_keep keep; /* until adoption */
};

/* What a child's environment says about it. */
struct push_env {
	char socket[sizeof("NOTIFY_SOCKET=") + sizeof(((struct sockaddr_un *)0)->sun_path)];
	char watchdog[48];
	char pid[sizeof("WATCHDOG_PID=") + 12]; /* the child appends its own pid */
};

int push_init(struct supervisor *sup, struct err **reterr);
void push_done(struct supervisor *sup, bool remove);

/* The slot's next process has said nothing yet. */
void push_forget(struct slot *s);
/* Before a start: a socket, if m asks for one, and no word of a former process. *ret_pipe_fd is the
 * write end for notify_fd, the caller's, or -1. 0 or -errno. */
int push_prepare(struct slot *s, const struct wire_spawn *m, int *ret_pipe_fd);
/* Is that one of the variables that push_fill_env sets? */
bool push_is_variable(const char *assignment);
/* Sets up to PUSH_VARIABLES pointers into env; returns how many. */
size_t push_fill_env(const struct slot *s, const struct wire_spawn *m, struct push_env *env,
		     char **envp);
/* A former aictld's slot, before its process is looked for: who its main process was. */
void push_restore_main(struct slot *s);
/* The main process that it named itself; 0 = none. */
int push_main_pid(const struct slot *s);
/* Its process lives: the socket again. */
void push_adopt(struct slot *s);
/* Its process ended. */
void push_ended(struct slot *s);
void push_close(struct slot *s);  /* memory goes */
void push_remove(struct slot *s); /* the slot goes for good */

/* WATCH: the controller found it ready. */
void push_watch(struct slot *s);
/* It was frozen, and could serve no watchdog. */
void push_thawed(struct slot *s);
/* False: the slot has none. */
bool push_fill(const struct slot *s, struct wire_push *m);

#endif
