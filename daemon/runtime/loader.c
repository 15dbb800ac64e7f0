/* loader: see loader.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/runtime/sized.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define FIRST_PLUGIN SIZED_FIRST(aictl_plugin, runtime)
#define FIRST_OPS SIZED_FIRST(aictl_runtime_ops, cancel)

typedef const struct aictl_plugin *query_fn(uint32_t host_abi);

static int judge(const char *path, const struct stat *st, struct err **reterr)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(
			reterr, ERR_PERM,
			"%s belongs to uid %u: plugins, and the directories above them, have to "
			"belong to root or to uid %u",
			path, (unsigned)st->st_uid, (unsigned)geteuid());
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) && !(S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX))
		return err_set(
			reterr, ERR_PERM,
			"%s can be written by others (mode %04o): chmod go-w, then try again", path,
			(unsigned)st->st_mode & 07777);
	return 0;
}

static int look(int fd, const char *path, struct err **reterr)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? err_sys(reterr, errno, "%s", path) : judge(path, &st, reterr);
}

/* dir, from which all links are gone, and all above it. *ret_fd is of dir. */
static int walk(char *dir, int *ret_fd, struct err **reterr)
{
	_cleanup_close_ int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = at < 0 ? err_sys(reterr, errno, "/") : look(at, "/", reterr);

	for (char *p = dir; r == 0 && p[0] != '\0' && p[1] != '\0';) {
		char *end = strchrnul(p + 1, '/'), kept = *end;
		int next;

		*end = '\0';
		next = openat(at, p + 1, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = next < 0 ? err_sys(reterr, errno, "%s", dir) : look(next, dir, reterr);
		*end = kept;
		p = end;
		if (next >= 0) {
			close(at);
			at = next;
		}
	}
	if (r == 0)
		*ret_fd = TAKE_FD(at);
	return r;
}

/* The dynamic linker maps what the headers promise: what a file that is cut off lacks would end us. */
static int check_size(const struct loader *l, off_t size, struct err **reterr)
{
	ElfW(Ehdr) head;
	ElfW(Phdr) part;
	uint64_t needed = 0;

	if (pread(l->fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof(part))
		return 0; /* the linker has words for that */
	for (unsigned i = 0; i < head.e_phnum; i++) {
		off_t at = (off_t)(head.e_phoff + i * sizeof(part));

		if (pread(l->fd, &part, sizeof(part), at) != (ssize_t)sizeof(part))
			return err_set(reterr, ERR_INVALID, "%s is cut off: it has %lld bytes",
				       l->path, (long long)size);
		if (part.p_type == PT_LOAD && part.p_offset + part.p_filesz > needed)
			needed = part.p_offset + part.p_filesz;
	}
	if ((uint64_t)size >= needed)
		return 0;
	return err_set(reterr, ERR_INVALID, "%s is cut off: it has %lld bytes of at least %llu",
		       l->path, (long long)size, (unsigned long long)needed);
}

/* Opens base in dir. */
static int open_trusted(struct loader *l, const char *dir, const char *base, struct err **reterr)
{
	_cleanup_close_ int at = -1;
	_cleanup_close_ int fd = -1;
	char real[PATH_MAX];
	struct stat st;
	int r;

	if (!realpath(dir, real))
		return err_sys(reterr, errno, "%s", dir);
	l->path = mem_printf("%s/%s", strcmp(real, "/") == 0 ? "" : real, base);
	if (!l->path)
		return err_nomem(reterr);
	snprintf(l->facts.path, sizeof(l->facts.path), "%s", l->path);
	r = walk(real, &at, reterr);
	if (r < 0)
		return r;
	fd = openat(at, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return err_set(reterr, ERR_NOTFOUND,
			       "there is no %s: install it there, or name its directory by "
			       "--plugin-dir",
			       l->path);
	if (fd < 0 && errno == ELOOP)
		return err_set(reterr, ERR_PERM, "%s is a symbolic link: put the file there",
			       l->path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(reterr, errno, "%s", l->path);
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, ERR_INVALID, "%s is not a file", l->path);
	r = judge(l->path, &st, reterr);
	if (r < 0)
		return r;
	l->fd = TAKE_FD(fd);
	return check_size(l, st.st_size, reterr);
}

/* What dlerror says, which names the file as /proc/self/fd/N. */
static int explain(const struct loader *l, const char *as, struct err **reterr)
{
	const char *text = dlerror();

	if (!text)
		text = "unknown error";
	if (strncmp(text, as, strlen(as)) == 0) {
		text += strlen(as);
		text += strspn(text, ": ");
	}
	return err_set(reterr, ERR_INVALID, "%s cannot be loaded: %s", l->path, text);
}

static int check_runtime(const struct loader *l, struct err **reterr)
{
	const struct aictl_runtime_ops *ops = l->plugin->runtime;

	if (!ops || ops->struct_size < FIRST_OPS)
		return err_set(reterr, ERR_INVALID,
			       "%s: its table of operations is missing or too short", l->path);
	if (!ops->open || !ops->close || !ops->start || !ops->signal || !ops->remove || !ops->list)
		return err_set(reterr, ERR_INVALID,
			       "%s: of open, close, start, signal, remove and list one is missing",
			       l->path);
	return 0;
}

static int check_name(const struct loader *l, const char *base, struct err **reterr)
{
	const char *name = l->plugin->name;
	size_t n = name ? strlen(name) : 0;

	if (n == 0 || n > LOADER_NAME_MAX ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != n ||
	    strncmp(base, name, n) != 0 || strcmp(base + n, ".so") != 0)
		return err_set(reterr, ERR_INVALID,
			       "%s calls itself \"%.40s\": not the name of the file", l->path,
			       name ? name : "");
	return 0;
}

static int check(struct loader *l, const char *base, struct err **reterr)
{
	const struct aictl_plugin *p = l->plugin;
	int r;

	if (!p)
		return err_set(reterr, ERR_INVALID,
			       "%s does not work with version %u of the plugin interface", l->path,
			       AICTL_PLUGIN_ABI);
	l->facts.abi = p->abi;
	if (p->abi != AICTL_PLUGIN_ABI)
		return err_set(
			reterr, ERR_INVALID,
			"%s is for version %u of the plugin interface, this aictl has version %u: "
			"build it against %s",
			l->path, p->abi, AICTL_PLUGIN_ABI,
			p->abi < AICTL_PLUGIN_ABI ? "the header of this one" : "an older header");
	if (p->struct_size < FIRST_PLUGIN)
		return err_set(reterr, ERR_INVALID, "%s: its description is too short (%u bytes)",
			       l->path, p->struct_size);
	l->facts.kind = p->kind;
	snprintf(l->facts.version, sizeof(l->facts.version), "%s", p->version ? p->version : "");
	snprintf(l->facts.description, sizeof(l->facts.description), "%s",
		 p->description ? p->description : "");
	r = check_name(l, base, reterr);
	if (r < 0)
		return r;
	if (p->kind != AICTL_KIND_RUNTIME)
		return err_set(reterr, ERR_INVALID,
			       "%s is of kind %s (%u), which this aictl cannot use", l->path,
			       loader_kind_name(p->kind), p->kind);
	return check_runtime(l, reterr);
}

static int load(struct loader *l, const char *base, struct err **reterr)
{
	char as[32];
	query_fn *query;
	void *symbol;

	snprintf(as, sizeof(as), "/proc/self/fd/%d", l->fd);
	l->handle = dlopen(as, RTLD_NOW | RTLD_LOCAL);
	if (!l->handle)
		return explain(l, as, reterr);
	symbol = dlsym(l->handle, AICTL_PLUGIN_SYMBOL);
	if (!symbol)
		return err_set(reterr, ERR_INVALID,
			       "%s is no plugin of aictl: it has no function %s "
			       "(is it declared with AICTL_PLUGIN_EXPORT?)",
			       l->path, AICTL_PLUGIN_SYMBOL);
	memcpy(&query, &symbol, sizeof(query)); /* ISO C has no cast for it */
	l->plugin = query(AICTL_PLUGIN_ABI);
	return check(l, base, reterr);
}

static int open_in(struct loader *l, const char *dir, const char *base, struct err **reterr)
{
	int r;

	*l = (struct loader){.fd = -1};
	r = open_trusted(l, dir, base, reterr);
	if (r == 0)
		r = load(l, base, reterr);
	if (r < 0)
		loader_close(l);
	return r;
}

int loader_open(struct loader *l, const char *dir, const char *name, struct err **reterr)
{
	char base[LOADER_NAME_MAX + 4];

	*l = (struct loader){.fd = -1};
	if (!*name || strchr(name, '/') || strlen(name) > LOADER_NAME_MAX)
		return err_set(reterr, ERR_INVALID, "\"%.60s\" is not the name of a plugin", name);
	snprintf(base, sizeof(base), "%s.so", name);
	return open_in(l, dir, base, reterr);
}

int loader_open_file(struct loader *l, const char *path, struct err **reterr)
{
	_cleanup_free_ char *dir = fs_dirname(path);
	const char *slash = strrchr(path, '/');

	*l = (struct loader){.fd = -1};
	if (!dir)
		return err_nomem(reterr);
	return open_in(l, *dir ? dir : "/", slash ? slash + 1 : path, reterr);
}

void loader_close(struct loader *l)
{
	if (l->handle)
		dlclose(l->handle);
	if (l->fd >= 0)
		close(l->fd);
	mem_free(l->path);
	*l = (struct loader){.fd = -1, .facts = l->facts};
}

const char *loader_kind_name(unsigned kind)
{
	static const char *const names[] = {"unknown", "runtime", "probe", "metric", "device"};

	return names[kind < ARRAY_SIZE(names) ? kind : 0];
}
