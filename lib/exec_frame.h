/*
 * exec_frame: what both sides of `aictl exec` say after the connection has left HTTP: frames of a
 * type, three zero bytes, the payload's length (u32, big-endian) and the payload, at most
 * EXEC_FRAME_MAX bytes. Sans-IO. A client that closes its sending side has left.
 *
 *   client -> server  STDIN (length 0 = end of file), RESIZE (u16 rows, u16 columns), SIGNAL (u8)
 *   server -> client  STDOUT, STDERR, and once, as the last, END: JSON with
 *                     "code" (or null), "signal" ("SIGTERM" or null), "stage" and "error" (both null
 *                     when the command ran; code is then its own)
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_EXEC_FRAME_H
#define AICTL_LIB_EXEC_FRAME_H

#include <stddef.h>
#include <stdint.h>

struct buf;

#define EXEC_FRAME_PROTOCOL "aictl-exec"
#define EXEC_FRAME_HEAD 8u
#define EXEC_FRAME_MAX 65536u

enum exec_frame_type {
	EXEC_FRAME_STDIN,
	EXEC_FRAME_STDOUT,
	EXEC_FRAME_STDERR,
	EXEC_FRAME_RESIZE,
	EXEC_FRAME_SIGNAL,
	EXEC_FRAME_END,
	EXEC_FRAME_TYPE_MAX_
};

struct exec_frame {
	enum exec_frame_type type;
	const uint8_t *payload; /* inside the data it was read from */
	size_t len;
};

/* Appends one frame; n is at most EXEC_FRAME_MAX. */
void exec_frame_put(struct buf *out, enum exec_frame_type type, const void *payload, size_t n);
void exec_frame_put_resize(struct buf *out, unsigned rows, unsigned columns);
/*
 * The frame that data begins with: returns its size (head included), 0 when there is more to come,
 * -ERR_INVALID when it is none.
 */
int exec_frame_get(const void *data, size_t len, struct exec_frame *ret);
/* Of a RESIZE: 0, or -ERR_INVALID. */
int exec_frame_get_resize(const struct exec_frame *f, unsigned *rows, unsigned *columns);

#endif
