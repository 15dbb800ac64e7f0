/* sockets: see sockets.h. All calls are on tmpfs. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/supervisor.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

#define NAME_SIZE (WIRE_SERVICE_SIZE + 12)
#define ENTRIES_MAX 64 /* looked at in one directory: its owner may have put there what he likes */
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define NEWS (IN_CREATE | IN_MOVED_TO | IN_ONLYDIR)

static char *name_of(const struct slot *s, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%s.%u", s->t->service, s->t->index);
	return name;
}

static int open_dir(const struct slot *s)
{
	char name[NAME_SIZE];

	return openat(s->sup->sockets.dir_fd, name_of(s, name), OPEN_DIR);
}

typedef void entry_fn(void *user, int dir_fd, const char *name);

/* Calls fn for each entry of a directory up to max, "." and ".." not among them. Closes fd. */
static void each_entry(int fd, int max, entry_fn *fn, void *user)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		close(fd);
		return;
	}
	for (int i = 0; i < max && (e = readdir(dir)); i++)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			fn(user, dirfd(dir), e->d_name);
	closedir(dir);
}

/* ---- removing ---- */

static void remove_entry(void *user, int dir_fd, const char *name)
{
	(void)user;
	if (unlinkat(dir_fd, name, 0) < 0)
		unlinkat(dir_fd, name, AT_REMOVEDIR);
}

static void remove_dir(void *user, int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, OPEN_DIR);

	(void)user;
	if (fd >= 0)
		each_entry(fd, ENTRIES_MAX, remove_entry, NULL);
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
		unlinkat(dir_fd, name, 0);
}

static void remove_all(const struct sockets *all)
{
	int fd = openat(all->dir_fd, ".", OPEN_DIR);

	if (fd >= 0)
		each_entry(fd, INT_MAX, remove_dir, NULL);
}

void sockets_remove(struct slot *s)
{
	char name[NAME_SIZE];

	if (!s->has_sockets)
		return;
	s->has_sockets = false;
	s->sockets_wd = 0; /* the kernel ends it with the directory */
	remove_dir(NULL, s->sup->sockets.dir_fd, name_of(s, name));
}

/* ---- letting the gateway in ---- */

static gid_t group_of(const struct supervisor *sup)
{
	return sup->dirs.gateway.set ? sup->dirs.gateway.gid : sup->dirs.controller.gid;
}

/* By what is open, not by a name: its owner may put something else there at any moment. */
static void let_in(void *user, int dir_fd, const char *name)
{
	const struct slot *s = user;
	_cleanup_close_ int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char path[40];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != s->t->uid)
		return;
	if (st.st_gid != group_of(s->sup) &&
	    fchownat(fd, "", (uid_t)-1, group_of(s->sup), AT_EMPTY_PATH) < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if ((st.st_mode & 0060) != 0060)
		chmod(path, (st.st_mode & 0777) | 0060);
}

static void let_all_in(struct slot *s)
{
	int fd = open_dir(s);

	if (fd >= 0)
		each_entry(fd, ENTRIES_MAX, let_in, s);
}

static struct slot *slot_of(const struct supervisor *sup, int wd)
{
	for (uint32_t i = 0; i < sup->n_slots; i++)
		if (sup->slots[i] && sup->slots[i]->sockets_wd == wd)
			return sup->slots[i];
	return NULL;
}

static void take(struct supervisor *sup, const struct inotify_event *e)
{
	struct slot *s = e->wd > 0 ? slot_of(sup, e->wd) : NULL;
	_cleanup_close_ int fd = s && e->len > 0 ? open_dir(s) : -1;

	if (fd >= 0)
		let_in(s, fd, e->name);
	for (uint32_t i = 0; e->mask & IN_Q_OVERFLOW && i < sup->n_slots; i++)
		if (sup->slots[i] && sup->slots[i]->sockets_wd > 0)
			let_all_in(sup->slots[i]);
}

static void on_watch(void *user, uint32_t events)
{
	struct supervisor *sup = user;
	union {
		struct inotify_event align;
		char bytes[4096];
	} b;
	ssize_t n = read(sup->sockets.watch_fd, b.bytes, sizeof(b.bytes));

	(void)events;
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(b.bytes + at);

		take(sup, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

static int watch(struct slot *s)
{
	const struct sockets *all = &s->sup->sockets;
	char name[NAME_SIZE];
	_cleanup_free_ char *path = mem_printf("%s/%s", all->dir, name_of(s, name));

	if (all->watch_fd < 0)
		return 0;
	if (!path)
		return -ENOMEM;
	s->sockets_wd = inotify_add_watch(all->watch_fd, path, NEWS);
	return s->sockets_wd < 0 ? -errno : 0;
}

/* ---- a slot's own ---- */

static int make_dir(const struct slot *s, int *ret_fd)
{
	const struct supervisor *sup = s->sup;
	char name[NAME_SIZE];
	_cleanup_close_ int fd = -1;

	if (mkdirat(sup->sockets.dir_fd, name_of(s, name), 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open_dir(s);
	if (fd < 0)
		return -errno;
	if (sup->spawner.root &&
	    (fchown(fd, s->t->uid == (uint32_t)-1 ? geteuid() : s->t->uid, group_of(sup)) < 0 ||
	     fchmod(fd, 02710) < 0))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int sockets_prepare(struct slot *s, const struct wire_spawn *m)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (m->n_sockets == 0) {
		sockets_remove(s);
		return 0;
	}
	r = make_dir(s, &fd);
	if (r < 0)
		return r;
	s->has_sockets = true;
	for (uint32_t i = 0; i < m->n_sockets; i++)
		remove_entry(NULL, fd, m->sockets[i]);
	return watch(s);
}

void sockets_adopt(struct slot *s)
{
	_cleanup_close_ int fd = open_dir(s);
	int r;

	if (fd < 0)
		return;
	s->has_sockets = true;
	r = watch(s);
	if (r < 0)
		log_warn("replica=%s/%u errno=%d its sockets cannot be watched", s->t->service,
			 s->t->index, -r);
	if (s->sup->sockets.watch_fd >= 0)
		let_all_in(s);
}

/* ---- the directory ---- */

/* Of inotify instances a user has few, and others may have taken them: no reason not to start. */
static void start_watch(struct supervisor *sup)
{
	struct sockets *all = &sup->sockets;
	int r;

	if (!sup->spawner.root)
		return;
	all->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	r = all->watch_fd < 0 ? -errno : 0;
	all->io = (struct loop_io){.fn = on_watch, .user = sup};
	if (r == 0)
		r = loop_add(&sup->loop, &all->io, all->watch_fd, EPOLLIN);
	if (r < 0) {
		mem_closep(&all->watch_fd);
		log_warn("errno=%d cannot watch %s: replicas on ${SOCKET} will not be reached", -r,
			 all->dir);
	}
}

int sockets_init(struct supervisor *sup, struct err **reterr)
{
	struct sockets *all = &sup->sockets;
	struct stat st;

	all->dir = mem_printf("%s/sock", sup->table.dir);
	if (!all->dir)
		return err_nomem(reterr);
	if (mkdir(all->dir, 0711) < 0 && errno != EEXIST)
		return err_sys(reterr, errno, "cannot create %s", all->dir);
	all->dir_fd = open(all->dir, OPEN_DIR);
	if (all->dir_fd < 0 || fstat(all->dir_fd, &st) < 0)
		return err_sys(reterr, errno, "cannot open %s", all->dir);
	if (st.st_uid != geteuid() || st.st_mode & 022)
		return err_set(reterr, ERR_PERM, "%s belongs to somebody else, or others may write",
			       all->dir);
	if (!sup->table.former)
		remove_all(all);
	start_watch(sup);
	return 0;
}

void sockets_done(struct supervisor *sup, bool remove)
{
	struct sockets *all = &sup->sockets;

	if (remove && all->dir_fd >= 0) {
		remove_all(all);
		unlinkat(AT_FDCWD, all->dir, AT_REMOVEDIR);
	}
	loop_del(&sup->loop, &all->io);
	mem_closep(&all->watch_fd);
	mem_closep(&all->dir_fd);
	mem_free(all->dir);
	all->dir = NULL;
}
