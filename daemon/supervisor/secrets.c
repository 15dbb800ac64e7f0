/* secrets: see secrets.h. All calls are on tmpfs, which waits for no disk and no network. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/secrets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/supervisor.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

#define NEW ".new"	  /* no service's generation is called so */
#define ENTRIES_MAX 20000 /* removed at once: its owner may have put there what he likes */
#define DEPTH_MAX 8
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* ---- removal ---- */

static void remove_tree(int parent, const char *name, unsigned depth, unsigned *budget);

static void remove_entries(DIR *dir, unsigned depth, unsigned *budget)
{
	const struct dirent *e;

	while (*budget > 0 && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(dirfd(dir), e->d_name, depth, budget);
}

/* Never follows a link, and stops where a service's user has dug too deep. */
static void remove_tree(int parent, const char *name, unsigned depth, unsigned *budget)
{
	int fd;
	DIR *dir;

	if (*budget == 0)
		return;
	--*budget;
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return;
	fd = openat(parent, name, OPEN_DIR);
	if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
		fd = openat(parent, name, OPEN_DIR); /* ours: we are no root */
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir) {
		fchmod(fd, 0700);
		if (depth < DEPTH_MAX)
			remove_entries(dir, depth + 1, budget);
		closedir(dir);
	} else if (fd >= 0) {
		close(fd);
	}
	unlinkat(parent, name, AT_REMOVEDIR);
}

static void remove_one(int parent, const char *name)
{
	unsigned budget = ENTRIES_MAX;
	struct stat st;

	remove_tree(parent, name, 0, &budget);
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		log_warn("secrets: %s cannot be removed completely, leaving the rest", name);
}

/* ---- generations ---- */

static struct secrets_generation *find(const struct secrets *all, const char *service,
				       uint64_t generation)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->list[i].number == generation && strcmp(all->list[i].service, service) == 0)
			return &all->list[i];
	return NULL;
}

static struct secrets_generation *add(struct secrets *all, const char *service, uint64_t number)
{
	struct secrets_generation *g;

	if (all->n == SECRETS_GENERATIONS_MAX ||
	    mem_grow(&all->list, &all->cap, all->n + 1, sizeof(*all->list)) < 0)
		return NULL;
	g = &all->list[all->n++];
	*g = (struct secrets_generation){.number = number, .told = true};
	snprintf(g->service, sizeof(g->service), "%s", service);
	return g;
}

/* ---- what a former aictld wrote: its services use it ---- */

/* 0 = no name of a generation */
static uint64_t parse_generation(const char *name)
{
	uint64_t n = 0;

	if (strspn(name, "0123456789abcdef") != 16 || name[16] != '\0')
		return 0;
	for (const char *p = name; *p; p++)
		n = n << 4 | (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
	return n;
}

/* A half-written one goes; so does what cannot be ours. */
static void find_generations(struct secrets *all, const char *service)
{
	int fd = openat(all->dir_fd, service, OPEN_DIR);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		uint64_t n = parse_generation(e->d_name);

		if (e->d_name[0] == '.' && strcmp(e->d_name, NEW) != 0)
			continue;
		if (n == 0 || !add(all, service, n))
			remove_one(fd, e->d_name);
	}
	if (dir)
		closedir(dir);
	else
		mem_closep(&fd);
}

static void find_former(struct secrets *all)
{
	int fd = openat(all->dir_fd, ".", OPEN_DIR);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.' && strlen(e->d_name) < WIRE_SERVICE_SIZE)
			find_generations(all, e->d_name);
	if (dir)
		closedir(dir);
	else
		mem_closep(&fd);
}

/* ---- life ---- */

int secrets_init(struct supervisor *sup, struct err **reterr)
{
	struct secrets *all = &sup->secrets;

	all->dir = mem_printf("%s/secrets", sup->table.dir);
	if (!all->dir)
		return err_nomem(reterr);
	/* /dev/shm/aictl-...: services' users must get through, and see nothing. */
	if (sup->table.own_dir && sup->spawner.root && fchmod(sup->table.dir_fd, 0711) < 0)
		return err_sys(reterr, errno, "cannot set the mode of %s", sup->table.dir);
	if (!sup->table.former)
		remove_one(sup->table.dir_fd, "secrets");
	if (mkdirat(sup->table.dir_fd, "secrets", 0711) < 0 && errno != EEXIST)
		return err_sys(reterr, errno, "cannot create %s", all->dir);
	all->dir_fd = openat(sup->table.dir_fd, "secrets", OPEN_DIR);
	if (all->dir_fd < 0)
		return err_sys(reterr, errno, "cannot open %s", all->dir);
	if (sup->table.former)
		find_former(all);
	return 0;
}

void secrets_done(struct supervisor *sup, bool remove)
{
	struct secrets *all = &sup->secrets;

	if (remove && all->dir_fd >= 0)
		remove_one(sup->table.dir_fd, "secrets");
	mem_closep(&all->dir_fd);
	mem_free(all->dir);
	mem_free(all->list);
	all->dir = NULL;
	all->list = NULL;
	all->n = all->cap = 0;
}

/* ---- one generation ---- */

static int write_one(const struct supervisor *sup, int dir_fd, const struct wire_secrets *m,
		     const struct wire_secret *one)
{
	_cleanup_close_ int fd = openat(dir_fd, one->name,
					O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	int r;

	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, one->data, one->len);
	if (r == 0 && sup->spawner.root && fchown(fd, m->uid, m->gid) < 0)
		r = -errno;
	if (r == 0 && m->everyone && fchmod(fd, 0444) < 0)
		r = -errno;
	return r;
}

/* SERVICE/.new, complete, becomes SERVICE/name: there was none, or what was there goes. */
static int take_place(int service_fd, const char *name)
{
	POINT("aictld.secrets.filled");
	if (renameat2(service_fd, NEW, service_fd, name, RENAME_EXCHANGE) == 0) {
		POINT("aictld.secrets.switched");
		remove_one(service_fd, NEW);
		return 0;
	}
	if (errno != ENOENT || renameat(service_fd, NEW, service_fd, name) < 0)
		return -errno;
	return 0;
}

/* Fills SERVICE/.new, whose last step gives it to its user. */
static int fill(const struct supervisor *sup, int service_fd, const struct wire_secrets *m)
{
	_cleanup_close_ int fd = -1;

	remove_one(service_fd, NEW);
	if (mkdirat(service_fd, NEW, 0700) < 0)
		return -errno;
	fd = openat(service_fd, NEW, OPEN_DIR);
	if (fd < 0)
		return -errno;
	for (uint32_t i = 0; i < m->n; i++) {
		int r = write_one(sup, fd, m, &m->secrets[i]);

		if (r < 0)
			return r;
	}
	if (fchmod(fd, 0500) < 0)
		return -errno;
	return sup->spawner.root && fchown(fd, m->uid, m->gid) < 0 ? -errno : 0;
}

static void generation_name(char out[20], uint64_t generation)
{
	snprintf(out, 20, "%016llx", (unsigned long long)generation);
}

static int write_all(const struct supervisor *sup, const struct wire_secrets *m)
{
	_cleanup_close_ int fd = -1;
	char name[20];
	int r;

	if (mkdirat(sup->secrets.dir_fd, m->service, 0711) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(sup->secrets.dir_fd, m->service, OPEN_DIR);
	if (fd < 0)
		return -errno;
	generation_name(name, m->generation);
	r = fill(sup, fd, m);
	if (r == 0)
		r = take_place(fd, name);
	if (r < 0)
		remove_one(fd, NEW);
	return r;
}

void secrets_put(struct supervisor *sup, const struct wire_secrets *m)
{
	struct secrets_generation *g = find(&sup->secrets, m->service, m->generation);
	bool there = g && g->error == 0 && g->version == m->version;

	if (!g)
		g = add(&sup->secrets, m->service, m->generation);
	if (!g) {
		log_error("service=%s its secrets cannot be kept: too many", m->service);
		return;
	}
	if (!there)
		g->error = -write_all(sup, m);
	if (g->error) {
		errno = g->error;
		log_error("service=%s its secrets cannot be written: %m", m->service);
	}
	g->version = m->version;
	if (m->version == 0)
		return;
	g->told = false;
	sup->secrets.telling = true;
	link_flush(&sup->controller.link);
}

static bool tell(struct supervisor *sup, struct secrets_generation *g)
{
	struct wire_secrets_written m = {
		.generation = g->number, .version = g->version, .err = g->error};
	struct link *l = &sup->controller.link;

	memccpy(m.service, g->service, '\0', sizeof(m.service));
	buf_clear(&l->out);
	wire_secrets_encode_written(&l->out, &m);
	g->told = link_send(l, NULL, 0);
	return g->told;
}

bool secrets_flush(struct supervisor *sup)
{
	struct secrets *all = &sup->secrets;

	for (size_t i = 0; all->telling && i < all->n; i++)
		if (!all->list[i].told && !tell(sup, &all->list[i]))
			return false;
	all->telling = false;
	return true;
}

void secrets_drop(struct supervisor *sup, const char *service, uint64_t keep)
{
	struct secrets *all = &sup->secrets;
	_cleanup_close_ int fd = -1;
	char name[20];

	for (size_t i = all->n; i-- > 0;) {
		if (all->list[i].number == keep || strcmp(all->list[i].service, service) != 0)
			continue;
		generation_name(name, all->list[i].number);
		all->list[i] = all->list[--all->n];
		if (fd < 0)
			fd = openat(all->dir_fd, service, OPEN_DIR);
		if (fd >= 0)
			remove_one(fd, name);
	}
	if (fd >= 0)
		unlinkat(all->dir_fd, service, AT_REMOVEDIR); /* unless one is kept */
}

int secrets_check(const struct supervisor *sup, const char *service, uint64_t generation)
{
	const struct secrets_generation *g;

	if (generation == 0)
		return 0;
	g = find(&sup->secrets, service, generation);
	return g ? -g->error : -ENOENT;
}
