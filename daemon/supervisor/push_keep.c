/* push_keep: see push_keep.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/push_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/supervisor/push.h"
#include "daemon/supervisor/push_aside.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define VARIABLE "AICTLD_NOTIFY_FDS" /* FIRST-LAST */

int push_keep_export(const struct supervisor *sup)
{
	int first = INT_MAX, last = -1;
	char text[32];

	for (uint32_t i = 0; i < sup->n_slots; i++) {
		const struct push *p = sup->slots[i] ? sup->slots[i]->push : NULL;

		if (!p || p->fd < 0)
			continue;
		if (fcntl(p->fd, F_SETFD, 0) < 0)
			return -errno;
		first = p->fd < first ? p->fd : first;
		last = p->fd > last ? p->fd : last;
	}
	snprintf(text, sizeof(text), "%d-%d", first, last);
	return last >= 0 && setenv(VARIABLE, text, 1) < 0 ? -errno : 0;
}

/* False: nothing was left. */
static bool get_range(int64_t *first, int64_t *last)
{
	const char *value = getenv(VARIABLE), *dash = value ? strchr(value, '-') : NULL;
	char text[16];
	bool ok;

	if (!dash || (size_t)(dash - value) >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)(dash - value), value);
	ok = parse_i64(text, STDERR_FILENO + 1, INT_MAX, first, NULL) == 0 &&
	     parse_i64(dash + 1, *first, INT_MAX, last, NULL) == 0;
	return ok;
}

/* Is it a datagram socket of our directory? Then its name there. */
static bool name_of(const struct pushes *all, int fd, char name[PUSH_KEEP_NAME_SIZE])
{
	struct sockaddr_un addr = {0};
	socklen_t len = sizeof(addr), size = sizeof(int);
	size_t dir_len = strlen(all->dir);
	int type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_DGRAM ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0 || addr.sun_family != AF_UNIX ||
	    len <= offsetof(struct sockaddr_un, sun_path) ||
	    strncmp(addr.sun_path, all->dir, dir_len) != 0 || addr.sun_path[dir_len] != '/')
		return false;
	return snprintf(name, PUSH_KEEP_NAME_SIZE, "%.*s",
			(int)(sizeof(addr.sun_path) - dir_len - 1),
			addr.sun_path + dir_len + 1) < PUSH_KEEP_NAME_SIZE;
}

void push_keep_find(struct supervisor *sup)
{
	struct push_keep *k = &sup->pushes.keep;
	int64_t first, last;

	for (bool any = get_range(&first, &last); any && first <= last; first++) {
		char name[PUSH_KEEP_NAME_SIZE];

		if (!name_of(&sup->pushes, (int)first, name))
			continue;
		fcntl((int)first, F_SETFD, FD_CLOEXEC);
		if (mem_grow(&k->kept, &k->cap, k->n + 1, sizeof(*k->kept)) < 0)
			continue;
		k->kept[k->n].fd = (int)first;
		memcpy(k->kept[k->n++].name, name, sizeof(name));
	}
	unsetenv(VARIABLE);
}

static struct push_kept *look_up(const struct push_keep *k, const char *name)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->kept[i].fd >= 0 && strcmp(k->kept[i].name, name) == 0)
			return &k->kept[i];
	return NULL;
}

bool push_keep_has(const struct push_keep *k, const char *name)
{
	return look_up(k, name) != NULL;
}

int push_keep_take(struct push_keep *k, const char *name)
{
	struct push_kept *at = look_up(k, name);

	return at ? TAKE_FD(at->fd) : -1;
}

void push_keep_drop(struct supervisor *sup)
{
	struct push_keep *k = &sup->pushes.keep;

	for (size_t i = 0; i < k->n; i++) {
		if (k->kept[i].fd < 0)
			continue;
		unlinkat(sup->pushes.dir_fd, k->kept[i].name, 0);
		push_aside_drop(sup, NULL, k->kept[i].fd);
	}
	mem_free(k->kept);
	*k = (struct push_keep){0};
}
