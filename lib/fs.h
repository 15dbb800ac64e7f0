/*
 * fs: files. With sock.c the only place that loops over read and write; handles EINTR and short
 * counts. All descriptors are CLOEXEC.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_FS_H
#define AICTL_LIB_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

/* The whole file (or descriptor), NUL-terminated; more than limit bytes is ERR_INVALID. Caller
 * frees. */
int fs_read_file(const char *path, size_t limit, char **ret_data, size_t *ret_len,
		 struct err **reterr);
int fs_read_fd(int fd, const char *what, size_t limit, char **ret_data, size_t *ret_len,
	       struct err **reterr);
/* What is there at the moment, at most n bytes: a count, 0 at the end, or -errno (-EAGAIN). */
ssize_t fs_read_some(int fd, void *p, size_t n);
/* As much as it takes at the moment: a count, or -errno (-EAGAIN). */
ssize_t fs_write_some(int fd, const void *p, size_t n);
/* Writes all of it or fails; returns 0 or -errno. */
int fs_write_all(int fd, const void *p, size_t n);
/* Creates path and missing parents; existing is fine. mode is for the last part, parents get 0755.
 */
int fs_mkdir_p(const char *path, mode_t mode, struct err **reterr);
/* "/a/b" for "/a/b/c" ("." when there is no slash). Caller frees; NULL when out of memory. */
char *fs_dirname(const char *path);
/* base + "/" + path without "." and double slashes (".." stays: symlinks), or path itself when
 * absolute. */
char *fs_join(const char *base, const char *path);
bool fs_is_tmpfs(int fd);

#endif
