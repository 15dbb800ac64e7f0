/* cell: see cell.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/cell.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/wire/wire_unit.h"

struct cell_file {
	uint32_t start;	  /* enum wire_unit_cell */
	uint32_t current; /* 0 or 1 */
	struct aictl_log_position position[2];
};
_Static_assert(sizeof(struct cell_file) <= WIRE_UNIT_CELL_SIZE, "it fits");

struct cell_file *cell_map(int fd)
{
	const uint32_t unknown = WIRE_UNIT_CELL_UNKNOWN;
	struct stat st;
	void *p;

	/* Shorter, and a look at it would be SIGBUS. */
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < WIRE_UNIT_CELL_SIZE)
		return NULL;
	p = mmap(NULL, WIRE_UNIT_CELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED && pwrite(fd, &unknown, sizeof(unknown), 0) < 0)
		return NULL;
	return p == MAP_FAILED ? NULL : p;
}

void cell_unmap(struct cell_file *c)
{
	if (c)
		munmap(c, WIRE_UNIT_CELL_SIZE);
}

bool cell_is_fresh(const struct cell_file *c)
{
	return c && __atomic_load_n(&c->start, __ATOMIC_ACQUIRE) == WIRE_UNIT_CELL_FRESH;
}

void cell_begin(struct cell_file *c)
{
	if (c)
		__atomic_store_n(&c->start, WIRE_UNIT_CELL_BEGUN, __ATOMIC_SEQ_CST);
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
