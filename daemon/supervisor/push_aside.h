/*
 * push_aside: who reads what a service sent with descriptors (push.h).
 *
 * The kernel closes those in the process that takes the message, and the last close of a descriptor
 * may take as long as its sender likes, or for ever (a mount whose server is gone): so a process made
 * for it takes the message, and the socket waits for its end. It is killed when its socket goes, which
 * does not end one that hangs in the kernel.
 *
 * There are PUSH_ASIDES_MAX of them, and PUSH_SLOT_ASIDES_MAX of one slot. Beyond the first a socket
 * is deaf: its messages stay where they are, and are looked at again every second. Beyond either no
 * socket is made in the place of one that would leave another process behind: the start fails
 * (push_aside_is_full). A socket that goes for good is kept open until there is room.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_PUSH_ASIDE_H
#define AICTL_SUPERVISOR_PUSH_ASIDE_H

#include <stdbool.h>

#include "lib/loop.h"

struct push;
struct push_aside;
struct slot;
struct supervisor;

#define PUSH_ASIDES_MAX 256
#define PUSH_SLOT_ASIDES_MAX 4

struct push_asides {
	struct push_aside *first;
	struct loop_timer retry; /* while a socket is deaf or kept open */
	unsigned n_running;
	bool told; /* that there are too many */
};

void push_aside_init(struct supervisor *sup);
void push_aside_done(struct supervisor *sup);

/* p's first message goes, then p is heard again. False: p is deaf now, and the message still there. */
bool push_aside_read(struct push *p);
/* May a socket of s be left with what is in it? */
bool push_aside_is_full(const struct slot *s);
/* Closes p's socket. */
void push_aside_close(struct push *p);
/* Closes a socket, which was that of s, or of nobody (NULL). */
void push_aside_drop(struct supervisor *sup, const struct slot *s, int fd);
/* s is freed. */
void push_aside_forget(const struct slot *s);

#endif
