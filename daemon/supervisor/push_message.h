/*
 * push_message: one datagram to a slot's notify socket: who sent it, and what it changes in the
 * levels (push.h). Lines that are not known are passed over, as the protocol wants.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_PUSH_MESSAGE_H
#define AICTL_SUPERVISOR_PUSH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct slot;
struct table_push;

/* Did a process of the slot send this? NULL: nobody says who did. */
bool push_message_is_ours(const struct slot *s, const struct ucred *from);

/* What a message asks for besides changing levels. */
struct push_message_out {
	bool ping;	/* WATCHDOG=1 */
	bool trigger;	/* WATCHDOG=trigger */
	bool rewatch;	/* WATCHDOG_USEC changed */
	bool extend;	/* extend_until_mono_ms was set */
	int main_pid;	/* MAINPID, 0 = none */
	bool malformed; /* nothing of it counts */
};

/* text has room for a NUL at text[len], and is cut into pieces. Pure. */
void push_message_take(struct table_push *p, char *text, size_t len, int64_t now_mono_ms,
		       struct push_message_out *out);
/* Makes out of any bytes what is safe to show: UTF-8 without control characters, cut at size. */
void push_message_clean(char *out, size_t size, const char *text);

#endif
