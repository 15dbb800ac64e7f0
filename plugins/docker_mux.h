/*
 * docker_mux: takes an engine's output stream apart. Frames of an 8-byte header (stream, 0 0 0,
 * length in big endian) carry output of stdout (1) and stderr (2), or words of the engine itself
 * (3); with a terminal there are no frames. In logs each frame, or line, begins with a time stamp
 * that is no part of the output.
 *
 * Pure: any cut of the input gives the same output. docker_mux_next looks at the front of the
 * input and tells how much of it is used up (-1: garbage, no way to go on) and, if ret->len is
 * not 0, what to write. A piece points into the input, or, if it says `held`, into the mux, and
 * has to be written before the next call.
 *
 * The position (see aictl/plugin.h) is of what was written, as docker_mux_wrote counts it: so many
 * bytes of what has this stamp or a younger one, 0 being the beginning. Stamps of the two streams
 * are not in order, so it is a stamp that was younger than all before it, and a second old: what an
 * engine gives `since` then is what was counted, in the same order, and more. Of that a successor
 * drops the first from.bytes bytes. From the first byte on that is new, stamps are not compared
 * any more: a clock that was set back costs nothing while one reader lives.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_MUX_H
#define AICTL_PLUGINS_DOCKER_MUX_H

#include <aictl/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DOCKER_MUX_STDOUT 1
#define DOCKER_MUX_STDERR 2
#define DOCKER_MUX_ENGINE 3

struct docker_mux {
	bool raw;    /* a terminal: no frames */
	bool stamps; /* logs */

	unsigned char head[8];
	size_t n_head;
	uint32_t left; /* of the frame */
	int stream;    /* 0 = between frames */

	char stamp[48];
	size_t n_stamp;
	bool in_stamp;
	size_t line;	  /* raw: bytes of the line so far */
	int64_t stamp_ns; /* of what comes now */

	struct aictl_log_position from, written, next; /* next: what written will be counted from */
	int64_t newest;				       /* stamp of all so far */
	uint64_t dropped;			       /* since from.stamp_ns */
	bool passed;				       /* `from` is behind us */
};

struct docker_mux_piece {
	int stream;
	const char *data;
	size_t len;
	int64_t stamp_ns;
	bool ends; /* its frame or line */
	bool held;
};

void docker_mux_init(struct docker_mux *m, bool raw, bool stamps,
		     const struct aictl_log_position *from);
ssize_t docker_mux_next(struct docker_mux *m, const char *data, size_t n,
			struct docker_mux_piece *ret);
void docker_mux_wrote(struct docker_mux *m, const struct docker_mux_piece *piece, size_t n);
bool docker_mux_between(const struct docker_mux *m); /* no frame is cut */

#endif
