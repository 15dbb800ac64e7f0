/* exec_frame: see exec_frame.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/exec_frame.h"

#include <assert.h>

#include "lib/buf.h"
#include "lib/err.h"

void exec_frame_put(struct buf *out, enum exec_frame_type type, const void *payload, size_t n)
{
	const uint8_t head[EXEC_FRAME_HEAD] = {
		(uint8_t)type,	   0,	      0, 0, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
		(uint8_t)(n >> 8), (uint8_t)n};

	assert(n <= EXEC_FRAME_MAX);
	buf_append(out, head, sizeof(head));
	if (n > 0)
		buf_append(out, payload, n);
}

void exec_frame_put_resize(struct buf *out, unsigned rows, unsigned columns)
{
	const uint8_t size[4] = {(uint8_t)(rows >> 8), (uint8_t)rows, (uint8_t)(columns >> 8),
				 (uint8_t)columns};

	exec_frame_put(out, EXEC_FRAME_RESIZE, size, sizeof(size));
}

int exec_frame_get(const void *data, size_t len, struct exec_frame *ret)
{
	const uint8_t *p = data;
	uint32_t n;

	if (len < EXEC_FRAME_HEAD)
		return 0;
	n = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7];
	if (p[0] >= EXEC_FRAME_TYPE_MAX_ || p[1] || p[2] || p[3] || n > EXEC_FRAME_MAX)
		return -ERR_INVALID;
	if (len - EXEC_FRAME_HEAD < n)
		return 0;
	*ret = (struct exec_frame){
		.type = (enum exec_frame_type)p[0], .payload = p + EXEC_FRAME_HEAD, .len = n};
	return (int)(EXEC_FRAME_HEAD + n);
}

int exec_frame_get_resize(const struct exec_frame *f, unsigned *rows, unsigned *columns)
{
	if (f->len != 4)
		return -ERR_INVALID;
	*rows = (unsigned)f->payload[0] << 8 | f->payload[1];
	*columns = (unsigned)f->payload[2] << 8 | f->payload[3];
	return 0;
}
