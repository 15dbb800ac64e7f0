/* instance: see instance.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"

#define LENGTH (WIRE_UNIT_INSTANCE_SIZE - 1)

static bool read_it(const char *path, char out[WIRE_UNIT_INSTANCE_SIZE])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[WIRE_UNIT_INSTANCE_SIZE] = {0};

	if (fd < 0 || fs_read_some(fd, text, LENGTH) != LENGTH)
		return false;
	if (strspn(text, "0123456789abcdef") != LENGTH) {
		errno = EBADMSG;
		return false;
	}
	memcpy(out, text, sizeof(text));
	return true;
}

/* Whole or not at all: a file of its own, then its name. */
static bool make(const char *path, const char *aside)
{
	_cleanup_close_ int fd = -1;
	uint8_t bytes[LENGTH / 2];
	char text[LENGTH + 2];
	int r;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return false;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	text[LENGTH] = '\n';
	unlink(aside);
	fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	r = fs_write_all(fd, text, LENGTH + 1);
	if (r == 0 && fdatasync(fd) == 0 && rename(aside, path) == 0)
		return true;
	unlink(aside);
	return false;
}

void instance_read(const char *state_dir, char out[WIRE_UNIT_INSTANCE_SIZE])
{
	_cleanup_free_ char *path = mem_printf("%s/instance", state_dir);
	_cleanup_free_ char *aside = mem_printf("%s/instance.new", state_dir);

	out[0] = '\0';
	if (!path || !aside)
		return;
	if (read_it(path, out))
		return;
	if (errno != ENOENT || !make(path, aside) || !read_it(path, out))
		log_error("%s cannot be read or made: %m", path);
}
