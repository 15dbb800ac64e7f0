/*
 * docker_out: writes what docker_mux takes apart to two descriptors, many pieces with one writev.
 * When one is full the rest is kept, and `room` is called when all of it has been written; until
 * then nothing may be added. The order of the pieces is kept, also between the two.
 *
 * The descriptors may be of any kind and mode: one that may block is only written to when it is
 * ready, and then no more than a pipe surely takes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_OUT_H
#define AICTL_PLUGINS_DOCKER_OUT_H

#include <aictl/plugin.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "docker_mux.h"

#define DOCKER_OUT_PIECES 64

struct docker_out {
	const struct aictl_host *host;
	struct docker_mux *mux; /* counts what was written */
	int fd[2];
	bool may_block[2];
	void (*room)(void *user);
	void *user;

	struct docker_mux_piece pieces[DOCKER_OUT_PIECES];
	size_t n, at; /* pieces[at..n) are to be written */
	size_t part;  /* of pieces[at]: so much is written */
	char *kept;   /* owns what the pieces point to, while blocked */
	int watched;  /* the descriptor that is full, or -1 */
	int error;    /* errno, once writing has failed */
	bool wrote;   /* since the owner looked last */
};

void docker_out_init(struct docker_out *o, const struct aictl_host *host, struct docker_mux *mux,
		     int stdout_fd, int stderr_fd);
void docker_out_done(struct docker_out *o);

bool docker_out_blocked(const struct docker_out *o);
/* Takes body bytes; how many, as docker_stream's `body`. -1: garbage. o->error is to be looked at. */
long docker_out_body(struct docker_out *o, const char *data, size_t n,
		     void (*said)(void *user, const char *text, size_t len));

#endif
