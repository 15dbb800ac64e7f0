/* fs: see fs.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"

int fs_read_fd(int fd, const char *what, size_t limit, char **ret_data, size_t *ret_len,
	       struct err **reterr)
{
	_cleanup_buf_ struct buf b = {0};
	ssize_t n;

	for (;;) {
		char *to = buf_reserve(&b, 16384);

		if (!to)
			return err_nomem(reterr);
		n = read(fd, to, 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(reterr, errno, "cannot read %s", what);
		buf_added(&b, (size_t)n);
		if (n == 0)
			break;
		if (b.len > limit)
			return err_set(reterr, ERR_INVALID, "%s is larger than %zu bytes", what,
				       limit);
	}
	*ret_len = b.len;
	*ret_data = buf_take(&b);
	return *ret_data ? 0 : err_nomem(reterr);
}

int fs_read_file(const char *path, size_t limit, char **ret_data, size_t *ret_len,
		 struct err **reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(reterr, errno, "cannot open %s", path);
	return fs_read_fd(fd, path, limit, ret_data, ret_len, reterr);
}

ssize_t fs_read_some(int fd, void *p, size_t n)
{
	ssize_t k;

	do {
		k = read(fd, p, n);
	} while (k < 0 && errno == EINTR);
	return k < 0 ? -errno : k;
}

ssize_t fs_write_some(int fd, const void *p, size_t n)
{
	ssize_t k;

	do {
		k = write(fd, p, n);
	} while (k < 0 && errno == EINTR);
	return k < 0 ? -errno : k;
}

int fs_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t k = write(fd, at, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

int fs_mkdir_p(const char *path, mode_t mode, struct err **reterr)
{
	_cleanup_free_ char *copy = mem_strdup(path);
	struct stat st;

	if (!copy)
		return err_nomem(reterr);
	if (!copy[0])
		return err_set(reterr, ERR_INVALID, "the name of a directory is empty");
	for (char *s = copy + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return err_sys(reterr, errno, "cannot create directory %s", copy);
		*s = '/';
	}
	if (mkdir(copy, mode) < 0 && errno != EEXIST)
		return err_sys(reterr, errno, "cannot create directory %s", path);
	if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode)) /* a file of that name is EEXIST too */
		return err_sys(reterr, ENOTDIR, "cannot create directory %s", path);
	return 0;
}

char *fs_dirname(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return mem_strdup(".");
	return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

char *fs_join(const char *base, const char *path)
{
	struct buf b = {0};
	const char *p = path;

	if (path[0] != '/') {
		buf_str(&b, base);
		while (b.len > 1 && b.data[b.len - 1] == '/')
			b.data[--b.len] = '\0';
	}
	while (*p) {
		size_t n = strcspn(p, "/");

		if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (b.len == 0 || b.data[b.len - 1] != '/')
				buf_char(&b, '/');
			buf_append(&b, p, n);
		}
		p += n + strspn(p + n, "/");
	}
	if (b.len == 0)
		buf_char(&b, '/');
	return buf_take(&b);
}

bool fs_is_tmpfs(int fd)
{
	struct statfs s;

	return fstatfs(fd, &s) == 0 && (s.f_type == TMPFS_MAGIC || s.f_type == RAMFS_MAGIC);
}
