/*
 * docker_oom: see docker_oom.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "docker_mem.h"

struct docker_oom {
	const struct aictl_host *host;
	int notify; /* inotify (v2) or eventfd (v1) */
	int file;
	bool happened;
};

uint64_t docker_oom_count(const char *text)
{
	const char *p = strstr(text, "oom_kill ");
	uint64_t n = 0;

	for (p = p ? p + 9 : ""; *p >= '0' && *p <= '9' && n < UINT64_MAX / 20; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	return n;
}

/* A line is "ID:controllers:/path"; v2 has no controllers. */
static bool wanted(const char *line, bool v2)
{
	const char *list = strchr(line, ':');

	if (!list)
		return false;
	if (v2)
		return strncmp(line, "0::", 3) == 0;
	for (list++; *list && *list != ':' && *list != '\n'; list += *list == ',') {
		size_t n = strcspn(list, ",:\n");

		if (n == 6 && strncmp(list, "memory", 6) == 0)
			return true;
		list += n;
		if (*list != ',')
			break;
	}
	return false;
}

bool docker_oom_path(const char *cgroups, bool v2, const char *file, char *ret, size_t size)
{
	for (const char *line = cgroups; line; line = strchr(line, '\n')) {
		const char *path;
		size_t n;

		line += *line == '\n';
		if (!wanted(line, v2))
			continue;
		path = strchr(strchr(line, ':') + 1, ':');
		if (!path || path[1] != '/')
			return false;
		n = strcspn(path + 1, "\n");
		if (n == 1 || strstr(path, "/../"))
			return false;
		n = (size_t)snprintf(ret, size, "/sys/fs/cgroup%s%.*s/%s", v2 ? "" : "/memory",
				     (int)n, path + 1, file);
		return n < size;
	}
	return false;
}

static ssize_t read_at(int fd, char *to, size_t size)
{
	ssize_t n;

	do {
		n = pread(fd, to, size - 1, 0);
	} while (n < 0 && errno == EINTR);
	to[n > 0 ? n : 0] = '\0';
	return n;
}

static void look(struct docker_oom *o)
{
	char text[1024];

	if (read_at(o->file, text, sizeof(text)) > 0 && docker_oom_count(text) > 0)
		o->happened = true;
}

static void on_notify(void *user, int fd, uint32_t events)
{
	struct docker_oom *o = user;
	char drain[4096];

	(void)events;
	while (read(fd, drain, sizeof(drain)) < 0 && errno == EINTR)
		;
	look(o);
}

static bool open_v2(struct docker_oom *o, const char *cgroups)
{
	char path[512];

	if (!docker_oom_path(cgroups, true, "memory.events", path, sizeof(path)))
		return false;
	o->file = open(path, O_RDONLY | O_CLOEXEC);
	if (o->file < 0)
		return false;
	o->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	return o->notify >= 0 && inotify_add_watch(o->notify, path, IN_MODIFY) >= 0;
}

static bool open_v1(struct docker_oom *o, const char *cgroups)
{
	char path[512], text[64];
	int control, n;
	bool ok;

	if (!docker_oom_path(cgroups, false, "memory.oom_control", path, sizeof(path)))
		return false;
	o->file = open(path, O_RDONLY | O_CLOEXEC);
	docker_oom_path(cgroups, false, "cgroup.event_control", path, sizeof(path));
	control = open(path, O_WRONLY | O_CLOEXEC);
	o->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n = snprintf(text, sizeof(text), "%d %d", o->notify, o->file);
	ok = o->file >= 0 && control >= 0 && o->notify >= 0 && write(control, text, (size_t)n) == n;
	if (control >= 0)
		close(control);
	return ok;
}

static void shut(struct docker_oom *o)
{
	if (o->notify >= 0)
		close(o->notify);
	if (o->file >= 0)
		close(o->file);
	o->notify = o->file = -1;
}

struct docker_oom *docker_oom_new(const struct aictl_host *host, int64_t pid)
{
	struct docker_oom *o = docker_mem_zalloc(sizeof(*o));
	char path[64], cgroups[4096] = "";
	bool ok;
	int fd;

	if (!o)
		return NULL;
	*o = (struct docker_oom){.host = host, .notify = -1, .file = -1};
	snprintf(path, sizeof(path), "/proc/%lld/cgroup", (long long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		read_at(fd, cgroups, sizeof(cgroups));
		close(fd);
	}
	ok = open_v2(o, cgroups);
	if (!ok) {
		shut(o);
		ok = open_v1(o, cgroups);
	}
	ok = ok && host->watch(host, o->notify, AICTL_READ, on_notify, o) == 0;
	if (!ok) {
		shut(o);
		docker_mem_free(o);
		return NULL;
	}
	look(o);
	return o;
}

void docker_oom_free(struct docker_oom *o)
{
	if (!o)
		return;
	o->host->watch(o->host, o->notify, 0, NULL, NULL);
	shut(o);
	docker_mem_free(o);
}

bool docker_oom_happened(struct docker_oom *o)
{
	if (!o->happened)
		on_notify(o, o->notify, AICTL_READ);
	return o->happened;
}
