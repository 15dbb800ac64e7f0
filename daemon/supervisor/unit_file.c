/* unit_file: see unit_file.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/unit_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/supervisor.h"
#include "daemon/wire/wire_unit.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define PREFIX "unit-"
#define START ".start"
#define CELL ".cell"
#define NAME_SIZE (sizeof(PREFIX) + WIRE_INCARNATION_SIZE + sizeof(START))

static const char *name_of(char out[NAME_SIZE], const char *incarnation, const char *suffix)
{
	snprintf(out, NAME_SIZE, PREFIX "%s%s", incarnation, suffix);
	return out;
}

int unit_file_write_start(struct supervisor *sup, const char *incarnation, const uint8_t *body,
			  size_t len)
{
	_cleanup_close_ int fd = -1;
	char name[NAME_SIZE];
	int r;

	fd = openat(sup->table.dir_fd, name_of(name, incarnation, START),
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, body, len);
	if (r < 0)
		unlinkat(sup->table.dir_fd, name, 0);
	return r;
}

uint8_t *unit_file_read_start(struct supervisor *sup, const char *incarnation, size_t *len)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ uint8_t *body = NULL;
	char name[NAME_SIZE];
	struct stat st;
	size_t n = 0;

	fd = openat(sup->table.dir_fd, name_of(name, incarnation, START),
		    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > WIRE_BODY_MAX)
		return NULL;
	body = mem_alloc((size_t)st.st_size);
	while (body && n < (size_t)st.st_size) {
		ssize_t got = fs_read_some(fd, body + n, (size_t)st.st_size - n);

		if (got <= 0)
			return NULL;
		n += (size_t)got;
	}
	*len = n;
	return TAKE_PTR(body);
}

void unit_file_drop_start(struct supervisor *sup, const char *incarnation)
{
	char name[NAME_SIZE];

	unlinkat(sup->table.dir_fd, name_of(name, incarnation, START), 0);
}

/* Allocated: on a full tmpfs a write to a hole would be a SIGBUS of the runtime. */
int unit_file_open_cell(struct supervisor *sup, const char *incarnation)
{
	_cleanup_close_ int fd = -1;
	char name[NAME_SIZE];
	int r;

	fd = openat(sup->table.dir_fd, name_of(name, incarnation, CELL),
		    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = posix_fallocate(fd, 0, WIRE_UNIT_CELL_SIZE);
	return r ? -r : TAKE_FD(fd);
}

int unit_file_make_cell(struct supervisor *sup, const char *incarnation)
{
	const uint32_t fresh = WIRE_UNIT_CELL_FRESH;
	_cleanup_close_ int fd = -1;

	fd = unit_file_open_cell(sup, incarnation);
	return fd < 0 ? fd : fs_write_all(fd, &fresh, sizeof(fresh));
}

bool unit_file_is_fresh(struct supervisor *sup, const char *incarnation)
{
	_cleanup_close_ int fd = -1;
	uint32_t word = WIRE_UNIT_CELL_UNKNOWN;
	char name[NAME_SIZE];

	fd = openat(sup->table.dir_fd, name_of(name, incarnation, CELL),
		    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fs_read_some(fd, &word, sizeof(word)) == (ssize_t)sizeof(word) &&
	       word == WIRE_UNIT_CELL_FRESH;
}

void unit_file_drop(struct supervisor *sup, const char *incarnation)
{
	char name[NAME_SIZE];

	unit_file_drop_start(sup, incarnation);
	unlinkat(sup->table.dir_fd, name_of(name, incarnation, CELL), 0);
}

/* "unit-ID.cell"; "" = it is none of ours. */
static void incarnation_of(const char *name, char out[WIRE_INCARNATION_SIZE])
{
	size_t n = sizeof(PREFIX) - 1, len = WIRE_INCARNATION_SIZE - 1;

	out[0] = '\0';
	if (strncmp(name, PREFIX, n) != 0 || strspn(name + n, "0123456789abcdef") != len ||
	    (strcmp(name + n + len, START) != 0 && strcmp(name + n + len, CELL) != 0))
		return;
	memcpy(out, name + n, len);
	out[len] = '\0';
}

void unit_file_clean(struct supervisor *sup,
		     bool (*keep)(struct supervisor *sup, const char *incarnation))
{
	int fd = openat(sup->table.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		mem_closep(&fd);
		return;
	}
	while ((e = readdir(dir))) {
		char incarnation[WIRE_INCARNATION_SIZE];

		incarnation_of(e->d_name, incarnation);
		if (incarnation[0] != '\0' && !(keep && keep(sup, incarnation)))
			unlinkat(sup->table.dir_fd, e->d_name, 0);
	}
	closedir(dir);
}
