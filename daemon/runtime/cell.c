/* cell: see cell.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/cell.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/wire/wire_unit.h"

struct cell_file {
	uint32_t current; /* 0 or 1 */
	uint32_t reserved;
	struct aictl_log_position position[2];
};
_Static_assert(sizeof(struct cell_file) <= WIRE_UNIT_CELL_SIZE, "it fits");

struct cell_file *cell_map(int fd)
{
	struct stat st;
	void *p;

	/* Shorter, and a look at it would be SIGBUS. */
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < WIRE_UNIT_CELL_SIZE)
		return NULL;
	p = mmap(NULL, WIRE_UNIT_CELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

void cell_unmap(struct cell_file *c)
{
	if (c)
		munmap(c, WIRE_UNIT_CELL_SIZE);
}

struct aictl_log_position cell_read(const struct cell_file *c)
{
	return c->position[__atomic_load_n(&c->current, __ATOMIC_ACQUIRE) & 1];
}

void cell_write(struct cell_file *c, const struct aictl_log_position *p)
{
	uint32_t next = ~c->current & 1;

	c->position[next] = *p;
	__atomic_store_n(&c->current, next, __ATOMIC_RELEASE);
}
