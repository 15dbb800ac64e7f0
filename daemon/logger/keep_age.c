/* keep_age: see keep_age.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/keep_age.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define NEW KEEP_AGE_NAME ".new"
#define AGE_MAX INT64_C(3155760000000) /* a hundred years */

int64_t keep_age_read(int service_fd)
{
	_cleanup_close_ int fd = openat(service_fd, KEEP_AGE_NAME,
					O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int64_t age = 0;
	char text[32];
	ssize_t n = fd < 0 ? 0 : fs_read_some(fd, text, sizeof(text) - 1);

	if (n <= 1 || text[n - 1] != '\n')
		return 0;
	text[n - 1] = '\0';
	return parse_i64(text, 0, AGE_MAX, &age, NULL) == 0 ? age : 0;
}

/* A power cut leaves the old one or the new one, or one that is empty: then it is written again when
 * the service writes. */
bool keep_age_write(int service_fd, int64_t max_age_ms)
{
	_cleanup_close_ int fd = -1;
	char text[32];
	int n;

	if (max_age_ms == 0)
		return unlinkat(service_fd, KEEP_AGE_NAME, 0) == 0 || errno == ENOENT;
	unlinkat(service_fd, NEW, 0);
	fd = openat(service_fd, NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	n = snprintf(text, sizeof(text), "%lld\n", (long long)max_age_ms);
	if (fd < 0 || fs_write_all(fd, text, (size_t)n) < 0) /* tried again with the next segment */
		return false;
	return renameat(service_fd, NEW, service_fd, KEEP_AGE_NAME) == 0;
}
