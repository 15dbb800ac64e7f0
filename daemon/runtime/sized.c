/* sized: see sized.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/sized.h"

#include <stdint.h>
#include <string.h>

bool sized_take(void *out, size_t out_size, const void *in, size_t first)
{
	const uint32_t own_size = (uint32_t)out_size;
	uint32_t size;

	memset(out, 0, out_size);
	memcpy(out, &own_size, sizeof(own_size));
	if (!in)
		return false;
	memcpy(&size, in, sizeof(size));
	if (size < first)
		return false;
	memcpy(out, in, size < out_size ? size : out_size);
	memcpy(out, &own_size, sizeof(own_size));
	return true;
}
