/*
 * push_keep: notify sockets over a reexec (reexec.h). They stay open, so that no word meets an error:
 * what is said meanwhile waits in them. Descriptors have no names, sockets do: the next program is told
 * between which numbers to look (AICTLD_NOTIFY_FDS), and knows them by the paths they are bound to.
 * What no slot takes in adoption is closed and removed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_PUSH_KEEP_H
#define AICTL_SUPERVISOR_PUSH_KEEP_H

#include <stdbool.h>
#include <stddef.h>

struct supervisor;

#define PUSH_KEEP_NAME_SIZE 32

struct push_kept {
	int fd;
	char name[PUSH_KEEP_NAME_SIZE]; /* in the directory of the sockets */
};

struct push_keep {
	struct push_kept *kept;
	size_t n, cap;
};

/* Before exec. 0 or -errno. */
int push_keep_export(const struct supervisor *sup);
/* Finds what a former program left; without memory nothing. */
void push_keep_find(struct supervisor *sup);
bool push_keep_has(const struct push_keep *k, const char *name);
/* The caller's from now on; -1 = there is none. */
int push_keep_take(struct push_keep *k, const char *name);
/* All slots have been looked at. */
void push_keep_drop(struct supervisor *sup);

#endif
