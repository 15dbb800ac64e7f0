/*
 * state_lock: one daemon at a time on a state directory, whatever runtime directory it has: two would
 * both run everything that the store knows.
 *
 * A file beside the database, locked by the controller for as long as it uses that: by fcntl, so no
 * child ever inherits it and it ends with its process, also when that is killed. The file is opened
 * here only, since closing any descriptor of it would end the lock. Everything may wait for the disk:
 * called by the store's thread and by a child of aictld.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_STATE_LOCK_H
#define AICTL_LIB_STATE_LOCK_H

#include <stdbool.h>
#include <stddef.h>

#define STATE_LOCK_NAME "aictl.db-lock"
#define STATE_LOCK_TEXT 400 /* of state_lock_say */

struct state_lock_holder {
	int pid;    /* of the controller; 0 = not of this machine, or of another container */
	int aictld; /* its parent; 0 = not known */
	char runtime_dir[256]; /* "" = not known */
};

/* 0: locked until *ret_fd is closed. -EAGAIN: *holder has it. Else -errno. */
int state_lock_take(const char *path, int *ret_fd, struct state_lock_holder *holder);
/* Does a daemon with another runtime directory hold the lock of this state directory? */
bool state_lock_is_foreign(const char *state_dir, const char *runtime_dir,
			   struct state_lock_holder *holder);
/* "pid 12 (aictld 11 with --runtime-dir /run/x)" */
void state_lock_say(const struct state_lock_holder *holder, char *text, size_t size);

#endif
