/* cgroups: see cgroups.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "daemon/supervisor/cgroup_tool.h"
#include "daemon/supervisor/proc.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"

#define PROBE "probe" /* no slot's cgroup: their names have a dot */
#define PREFIX "aictl-"
#define OLD_NAME "aictl"
#define TRIES 3
#define GONE_ROUNDS 50
#define GONE_PAUSE_MS 4

static const struct {
	const char *name, *file;
	uint32_t bit;
} controllers[] = {
	{"memory", "memory.max", WIRE_CGROUP_MEMORY},  {"cpu", "cpu.max", WIRE_CGROUP_CPU},
	{"io", "io.weight", WIRE_CGROUP_IO},	       {"pids", "pids.max", WIRE_CGROUP_PIDS},
	{"cpuset", "cpuset.cpus", WIRE_CGROUP_CPUSET},
};

/* ---- where ---- */

static const char *mount_point(void)
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (statfs(places[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return places[i];
	return NULL;
}

/* Our own cgroup as /proc names it, "" for the root; NULL when it cannot be told. */
static char *own_cgroup(void)
{
	_cleanup_free_ char *text = NULL;
	const char *at;
	size_t len, n;

	if (fs_read_file("/proc/self/cgroup", 64 << 10, &text, &len, NULL) < 0)
		return NULL;
	at = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
	if (!at)
		return NULL;
	at = strchr(at, '/');
	n = strcspn(at, "\n");
	if (strncmp(at, "/..", 3) == 0) /* outside of our cgroup namespace */
		return NULL;
	return mem_strndup(at, n == 1 ? 0 : n);
}

/* For `auto`: the cgroup in which we are. NULL: why has been said. */
static char *own_dir(void)
{
	const char *mount = mount_point();
	_cleanup_free_ char *own = own_cgroup();

	if (mount && own)
		return mem_printf("%s%s", mount, own);
	log_info("cgroup=none no cgroup2 tree is mounted here");
	return NULL;
}

/* For --cgroup PATH, which may be a link that its maker left. */
static char *real_dir(const char *path)
{
	char *real = realpath(path, NULL);

	return real ? real : mem_strdup(path); /* the failure to open it is reported */
}

/* ---- making it ---- */

static void enable(int parent_fd)
{
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		char word[16];

		snprintf(word, sizeof(word), "+%s", controllers[i].name);
		cgroup_tool_write(parent_fd, "cgroup.subtree_control", word);
	}
}

/* Ours now: locked, and not removed by another instance before we locked it. 0 or -errno. */
static int take(int parent_fd, const char *name, int *ret_fd)
{
	for (int i = 0; i < TRIES; i++) {
		_cleanup_close_ int fd = -1;
		struct stat a, b;

		if (mkdirat(parent_fd, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0 || fstat(fd, &a) < 0 ||
		    fstatat(parent_fd, name, &b, AT_SYMLINK_NOFOLLOW) < 0 || a.st_ino != b.st_ino)
			continue;
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	return -EAGAIN;
}

/* ---- what former instances left ---- */

static void each_dir(int fd, void (*fn)(struct supervisor *sup, int fd, const char *name),
		     struct supervisor *sup)
{
	_cleanup_close_ int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d)
		return;
	(void)TAKE_FD(copy);
	while ((e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			fn(sup, fd, e->d_name);
	closedir(d);
}

static bool is_known(const struct supervisor *sup, const char *name)
{
	for (uint32_t i = 0; i < sup->table.n_slots; i++) {
		const struct table_slot *t = table_slot(&sup->table, i);
		char own[CGROUP_NAME_SIZE];

		if (t->used && strcmp(cgroup_name(t, own), name) == 0)
			return true;
	}
	return false;
}

/* Is a process of the table in its cgroup below this directory? */
static bool is_inhabited(const struct supervisor *sup, int fd)
{
	for (uint32_t i = 0; sup->table.former && i < sup->table.n_slots; i++) {
		const struct table_slot *t = table_slot(&sup->table, i);
		_cleanup_close_ int own = -1;
		char name[CGROUP_NAME_SIZE];

		if (!table_is_valid(&sup->table, i) ||
		    !proc_is(t->cell.pid, t->start_ticks, t->started_mono_ms))
			continue;
		own = openat(fd, cgroup_name(t, name),
			     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (own >= 0 && cgroup_tool_holds(own, t->cell.pid))
			return true;
	}
	return false;
}

/* Where there is a new directory, nothing is left in the old one. */
static bool is_below_old_name(const struct supervisor *sup, int parent_fd, const char *name)
{
	_cleanup_close_ int fd =
		openat(parent_fd, OLD_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && faccessat(parent_fd, name, F_OK, 0) < 0 && is_inhabited(sup, fd);
}

/* A cgroup of ours that no slot stands for. */
static void clear_unknown(struct supervisor *sup, int fd, const char *name)
{
	_cleanup_close_ int own = -1;

	if (is_known(sup, name) || cgroup_tool_remove(fd, name) == 0)
		return;
	own = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (own < 0)
		return;
	if (sup->cgroups.old_name) {
		log_warn("cgroup=%s/%s is not known, leaving it alone", sup->cgroups.dir, name);
		return;
	}
	log_warn("cgroup=%s/%s left over, killing what runs in it", sup->cgroups.dir, name);
	cgroup_tool_write(own, "cgroup.kill", "1");
	for (int i = 0; i < GONE_ROUNDS && cgroup_tool_remove(fd, name) == -EBUSY; i++)
		poll(NULL, 0, GONE_PAUSE_MS);
}

static void remove_child(struct supervisor *sup, int fd, const char *name)
{
	(void)sup;
	cgroup_tool_remove(fd, name);
}

/* The directory of an instance of our user that is gone, when nothing runs in it any more. */
static void clear_instance(struct supervisor *sup, int fd, const char *name)
{
	_cleanup_close_ int own = -1;
	char prefix[32];

	snprintf(prefix, sizeof(prefix), PREFIX "%u-", (unsigned)geteuid());
	if (strncmp(name, prefix, strlen(prefix)) != 0 && strcmp(name, OLD_NAME) != 0)
		return;
	own = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (own < 0 || flock(own, LOCK_EX | LOCK_NB) < 0)
		return; /* its owner lives; so does ours */
	each_dir(own, remove_child, sup);
	unlinkat(fd, name, AT_REMOVEDIR);
}

/* ---- what it can do ---- */

static uint32_t try_out(struct supervisor *sup)
{
	struct cgroups *g = &sup->cgroups;
	_cleanup_close_ int fd = -1;
	uint32_t can = 0;

	cgroup_tool_remove(g->dir_fd, PROBE);
	if (mkdirat(g->dir_fd, PROBE, 0755) == 0)
		fd = openat(g->dir_fd, PROBE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && spawn_works_in(&sup->spawner, fd))
		can = WIRE_CGROUP_TRACK;
	else
		log_info("cgroup=%s no process can be started in it: %m", g->dir);
	for (size_t i = 0; can && i < ARRAY_SIZE(controllers); i++)
		if (faccessat(fd, controllers[i].file, W_OK, AT_EACCESS) == 0)
			can |= controllers[i].bit;
	g->has_kill = fd >= 0 && faccessat(fd, "cgroup.kill", W_OK, AT_EACCESS) == 0;
	cgroup_tool_remove(g->dir_fd, PROBE);
	return can;
}

/* Forgets the tree: nothing can be done with it. */
static void give_up(struct cgroups *g)
{
	if (g->dir_fd > 0)
		close(g->dir_fd);
	mem_free(g->dir);
	*g = (struct cgroups){0};
}

static bool is_cgroup2(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* 0 or -errno; g->dir names what was tried in either case, NULL when out of memory. */
static int make(struct supervisor *sup, const char *parent, const char *name)
{
	struct cgroups *g = &sup->cgroups;
	_cleanup_close_ int parent_fd =
		open(parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	g->old_name = parent_fd >= 0 && is_below_old_name(sup, parent_fd, name);
	if (g->old_name)
		name = OLD_NAME;
	g->dir = mem_printf("%s/%s", parent, name);
	if (!g->dir)
		return -ENOMEM;
	if (parent_fd < 0)
		return -errno;
	if (!is_cgroup2(parent_fd))
		return -EOPNOTSUPP;
	r = take(parent_fd, name, &g->dir_fd);
	if (r < 0)
		return r;
	each_dir(parent_fd, clear_instance, sup);
	enable(parent_fd);
	enable(g->dir_fd);
	each_dir(g->dir_fd, clear_unknown, sup);
	return 0;
}

void cgroups_init(struct supervisor *sup)
{
	const char *where = sup->opt->cgroup;
	_cleanup_free_ char *parent = NULL;
	char name[96];
	struct stat st;
	int r;

	if (where && strcmp(where, "none") == 0)
		return;
	parent = where ? real_dir(where) : own_dir();
	if (!parent || fstat(sup->dirs.sup_fd, &st) < 0)
		return;
	snprintf(name, sizeof(name), PREFIX "%u-%llx-%llx", (unsigned)geteuid(),
		 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	r = make(sup, parent, name);
	if (r == 0)
		sup->cgroups.can = try_out(sup);
	if (r < 0) {
		errno = -r;
		if (where)
			log_error("cgroup=%s cannot be used: %m; going on without", parent);
		else
			log_info("cgroup=none %s cannot be used: %m", parent);
	}
	if (sup->cgroups.can == 0)
		give_up(&sup->cgroups);
}

void cgroups_done(struct supervisor *sup, bool remove)
{
	struct cgroups *g = &sup->cgroups;

	if (g->dir_fd > 0 && remove) {
		each_dir(g->dir_fd, remove_child, sup);
		rmdir(g->dir);
	}
	give_up(g);
}
