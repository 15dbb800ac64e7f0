/* mounts: see mounts.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define MOUNTINFO "/proc/self/mountinfo"
#define TEXT_MAX (8 << 20)
#define MOUNTS_MAX 1024 /* below one log directory */

void mounts_init(struct mounts *m)
{
	*m = (struct mounts){.fd = open(MOUNTINFO, O_RDONLY | O_CLOEXEC)};
}

void mounts_done(struct mounts *m)
{
	mem_closep(&m->fd);
	mem_free(m->v);
	mem_free(m->dir);
	*m = (struct mounts){.fd = -1};
}

/* "\040" becomes a space, in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* What is mounted later covers what was there. */
static void add(struct mounts *m, const char *service, uint64_t id)
{
	size_t i = 0;

	while (i < m->n && strcmp(m->v[i].service, service) != 0)
		i++;
	if (i == m->n) {
		if (m->n == MOUNTS_MAX || mem_grow(&m->v, &m->cap, m->n + 1, sizeof(*m->v)) < 0)
			return;
		m->n++;
	}
	memcpy(m->v[i].service, service, strlen(service) + 1);
	m->v[i].id = id;
}

/* "36 35 98:0 / /var/log/aictl/llm rw,noatime ..." */
static void read_line(struct mounts *m, char *line)
{
	char *field[5], *at = line;
	size_t len = strlen(m->dir);
	int64_t id;

	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strsep(&at, " ");
		if (!at)
			return;
	}
	unescape(field[4]);
	if (strncmp(field[4], m->dir, len) != 0 || field[4][len] != '/' ||
	    strchr(field[4] + len + 1, '/') || strlen(field[4] + len + 1) >= WIRE_SERVICE_SIZE ||
	    parse_i64(field[0], 1, INT32_MAX, &id, NULL) < 0)
		return;
	add(m, field[4] + len + 1, (uint64_t)id);
}

static void read_all(struct mounts *m)
{
	_cleanup_free_ char *text = NULL;
	char *at, *line;
	size_t len;

	m->n = 0;
	if (fs_read_file(MOUNTINFO, TEXT_MAX, &text, &len, NULL) < 0)
		return;
	at = text;
	while ((line = strsep(&at, "\n")))
		read_line(m, line);
}

uint64_t mounts_find(struct mounts *m, const char *dir, const char *service)
{
	struct pollfd p = {.fd = m->fd, .events = POLLPRI};

	if (m->fd < 0)
		return 0;
	if (!m->dir || strcmp(m->dir, dir) != 0) {
		mem_free(m->dir);
		m->dir = mem_strdup(dir);
		if (!m->dir)
			return 0;
		poll(&p, 1, 0); /* from now on */
		read_all(m);
	} else if (poll(&p, 1, 0) == 1) {
		read_all(m);
	}
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->v[i].service, service) == 0)
			return m->v[i].id;
	return 0;
}
