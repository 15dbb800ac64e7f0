/*
 * docker_head: reads one HTTP/1.1 answer of the streams that are not libcurl's: logs, and exec,
 * whose connection is ours in both directions after the head. Pure: any cut of the input gives
 * the same body.
 *
 * docker_head_next looks at the front of the input and tells how much of it is used up (-1: not
 * HTTP); what of it is body stands in *ret_body. With `ended` the body is complete; one without
 * length and chunks ends with the connection.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_HEAD_H
#define AICTL_PLUGINS_DOCKER_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum docker_head_at {
	DOCKER_HEAD_STATUS,
	DOCKER_HEAD_FIELDS,
	DOCKER_HEAD_LENGTH, /* body of known length */
	DOCKER_HEAD_EOF,    /* body until the connection ends */
	DOCKER_HEAD_SIZE,   /* of a chunk */
	DOCKER_HEAD_CHUNK,
	DOCKER_HEAD_CHUNK_END, /* the line break behind it */
	DOCKER_HEAD_TRAILER,
	DOCKER_HEAD_ENDED
};

struct docker_head {
	enum docker_head_at at;
	int status;
	bool chunked, has_length;
	bool multiplexed, raw; /* what the Content-Type says of frames; neither: it says nothing */
	uint64_t left;	       /* of the body or chunk */
	char line[256];	       /* longer ones are cut: none that matters is */
	size_t n_line, n_head;
};

ssize_t docker_head_next(struct docker_head *h, const char *data, size_t n, const char **ret_body,
			 size_t *ret_len);
bool docker_head_has_body(const struct docker_head *h); /* the head is complete */

#endif
