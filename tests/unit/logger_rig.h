/*
 * logger_rig: runs the real aictl-logger; the test plays aictld at the other end of its socket.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_LOGGER_RIG_H
#define AICTL_TESTS_LOGGER_RIG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/wire/wire.h"

#define LOGGER_RIG_INCARNATION "0199aaaabbbbccccddddeeeeffff0001"
#define LOGGER_RIG_DEADLINE_MS 60000
#define LOGGER_RIG_SLOTS 64

struct logger_rig {
	char dir[64];
	char sup[64];  /* what stands for <runtime-dir>/sup */
	int next;      /* listens there, or -1 */
	pid_t service; /* a process that streams belong to, or 0 */
	int sock;      /* ours */
	int intents;   /* memfd, as aictld keeps it */
	int ownlog[2]; /* pipe of our own log */
	int err[2];    /* what becomes the logger's fd 2 */
	pid_t pid;
	struct wire_packet packet;
};

void logger_rig_nap(long us);
int logger_rig_setup(void **state); /* for cmocka */
int logger_rig_teardown(void **state);
void logger_rig_start(struct logger_rig *h);
/* In the child: fd 3 becomes the socket; everything else of ours closes by itself. */
void logger_rig_exec(const struct logger_rig *h, int sock);
/* Waits for its end, after sig if that is not 0. */
void logger_rig_reap(struct logger_rig *h, int sig);
void logger_rig_end_service(struct logger_rig *h);
void logger_rig_send_stream_of(struct logger_rig *h, const char *service, uint32_t slot,
			       const int *fds, unsigned n);
void logger_rig_send_stream(struct logger_rig *h, const char *service, uint32_t slot,
			    const int *fds); /* the two pipes */
void logger_rig_say(struct logger_rig *h, enum wire_type type);
/* Waits for one packet; false when the socket ended or the time is over. */
bool logger_rig_next_packet(struct logger_rig *h, int64_t ms);
void logger_rig_expect_drained(struct logger_rig *h, const char *service);
/* What was sent before is done, and nothing else came back meanwhile. */
void logger_rig_ping(struct logger_rig *h);

/* A thread that writes n numbered lines to the pipe fds[which], in pieces; the last ones slowly while
 * hold (or NULL) says so. */
struct logger_rig_writer {
	pthread_t thread;
	int fd;
	char tag;
	size_t n;
	const atomic_bool *hold;
	unsigned seed;
};

void logger_rig_start_writer(struct logger_rig_writer *w, int fds[2], int which, size_t n,
			     const atomic_bool *hold);
unsigned logger_rig_random(unsigned *seed);

#endif
