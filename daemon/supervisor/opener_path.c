/* opener_path: see opener_path.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/opener_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"

#define LINKS_MAX 16

/* What is still to be walked, and where we are. */
struct walk {
	char rest[OPENER_PATH_MAX];
	char at[OPENER_PATH_MAX]; /* the directory's path, for messages */
	int dir_fd;
	unsigned links;
	bool shared; /* others may write that directory, which is sticky */
	char *why;
	size_t size;
};

static const char *refuse_owner(const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return geteuid() == 0 ? "does not belong to root" : "belongs to somebody else";
	return NULL;
}

const char *opener_path_refusal(const struct stat *st, bool dir)
{
	const char *why = refuse_owner(st);

	if (dir ? !S_ISDIR(st->st_mode) : !S_ISREG(st->st_mode))
		return dir ? "not a directory" : "not a regular file";
	if (why)
		return why;
	return st->st_mode & 022 ? "may be written by others than its owner" : NULL;
}

static int refuse(struct walk *w, const char *name, const char *reason)
{
	bool top = strcmp(w->at, "/") == 0;

	if (name)
		snprintf(w->why, w->size, "%s/%s: %s", top ? "" : w->at, name, reason);
	else
		snprintf(w->why, w->size, "%s: %s", w->at, reason);
	return -1;
}

static int refuse_errno(struct walk *w, const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), "%m");
	return refuse(w, name, text);
}

/* Enters the directory that fd refers to; takes fd. */
static int enter(struct walk *w, int fd, const char *name)
{
	const char *reason;
	struct stat st;
	size_t n = strlen(w->at);

	if (w->dir_fd >= 0)
		close(w->dir_fd);
	w->dir_fd = fd;
	if (n > 1)
		snprintf(w->at + n, sizeof(w->at) - n, "/%s", name);
	else
		snprintf(w->at, sizeof(w->at), "/%s", name);
	if (fstat(fd, &st) < 0)
		return refuse_errno(w, NULL);
	reason = opener_path_refusal(&st, true);
	w->shared = false;
	if (reason && st.st_mode & S_ISVTX && S_ISDIR(st.st_mode) && !refuse_owner(&st)) {
		w->shared = true;
		reason = NULL;
	}
	return reason ? refuse(w, NULL, reason) : 0;
}

static int start_at_root(struct walk *w)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	w->at[0] = '\0';
	if (fd < 0)
		return refuse_errno(w, NULL);
	return enter(w, fd, "");
}

static const char *refuse_second_name(const struct walk *w, const struct stat *st)
{
	return w->shared && st->st_nlink != 1 ? "has a second name, in a directory of all" : NULL;
}

/* Puts the link's target in front of what is left. */
static int follow(struct walk *w, const char *name, const struct stat *st)
{
	char target[OPENER_PATH_MAX], rest[OPENER_PATH_MAX];
	const char *reason = refuse_owner(st) ? refuse_owner(st) : refuse_second_name(w, st);
	ssize_t n = readlinkat(w->dir_fd, name, target, sizeof(target) - 1);
	int len;

	if (reason)
		return refuse(w, name, reason);
	if (n <= 0)
		return refuse_errno(w, name);
	target[n] = '\0';
	memcpy(rest, w->rest, sizeof(rest));
	len = snprintf(w->rest, sizeof(w->rest), "%s/%s", target, rest);
	if (++w->links > LINKS_MAX || len >= (int)sizeof(w->rest))
		return refuse(w, name, "too many symbolic links");
	return target[0] == '/' ? start_at_root(w) : 0;
}

/* The file itself: looked at before it is opened, for opening a device may do things. */
static int open_file(struct walk *w, const char *name, const struct stat *st)
{
	const char *reason = opener_path_refusal(st, false);
	struct stat now;
	int fd;

	if (!reason)
		reason = refuse_second_name(w, st);
	if (reason)
		return refuse(w, name, reason);
	fd = openat(w->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return refuse_errno(w, name);
	if (fstat(fd, &now) < 0 || now.st_dev != st->st_dev || now.st_ino != st->st_ino ||
	    opener_path_refusal(&now, false)) {
		close(fd);
		return refuse(w, name, "changed while it was looked at");
	}
	return fd;
}

/* The next part of the path, or "" at its end. */
static void take_part(struct walk *w, char *name)
{
	size_t skip = strspn(w->rest, "/"), n = strcspn(w->rest + skip, "/");

	memcpy(name, w->rest + skip, n);
	name[n] = '\0';
	skip += n;
	skip += strspn(w->rest + skip, "/");
	memmove(w->rest, w->rest + skip, strlen(w->rest + skip) + 1);
}

/* A descriptor of the file; -1 refused; -2 go on. */
static int step(struct walk *w)
{
	char name[OPENER_PATH_MAX];
	struct stat st;
	int fd;

	take_part(w, name);
	if (name[0] == '\0')
		return refuse(w, NULL, "not a regular file");
	fd = openat(w->dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = refuse_errno(w, name);

		mem_closep(&fd);
		return r;
	}
	if (S_ISDIR(st.st_mode))
		return enter(w, fd, name) < 0 ? -1 : -2;
	close(fd);
	if (S_ISLNK(st.st_mode))
		return follow(w, name, &st) < 0 ? -1 : -2;
	return w->rest[0] ? refuse(w, name, "not a directory") : open_file(w, name, &st);
}

int opener_path_open(const char *path, char *why, size_t size)
{
	struct walk w = {.dir_fd = -1, .why = why, .size = size};
	int r = -2;

	if (path[0] != '/' || strlen(path) >= sizeof(w.rest)) {
		snprintf(why, size, "not an absolute path, or too long");
		return -1;
	}
	memcpy(w.rest, path, strlen(path) + 1);
	if (start_at_root(&w) < 0)
		r = -1;
	while (r == -2)
		r = step(&w);
	mem_closep(&w.dir_fd);
	return r;
}
