/*
 * forward_state: see forward_state.h. The file:
 *
 *   aictl-journald 1
 *   service NAME SENT_MS
 *   replica INDEX INCARNATION REVISION OVER
 *
 * a replica belongs to the service before it. What a line has beyond that is ignored.
 */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/forward_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/logview.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define HEAD "aictl-journald 1"
#define NEW FORWARD_FILE ".new"
#define BYTES_MAX (4U << 20)
#define WORDS 5

void forward_state_remove(struct forward_state *s, size_t i)
{
	struct forward_service *service = s->v[i];

	logview_free(service->view);
	mem_free(service->v);
	mem_free(service);
	s->v[i] = s->v[--s->n];
}

void forward_state_done(struct forward_state *s)
{
	while (s->n > 0)
		forward_state_remove(s, s->n - 1);
	mem_free(s->v);
	*s = (struct forward_state){0};
}

struct forward_service *forward_state_find(const struct forward_state *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i]->name, name) == 0)
			return s->v[i];
	return NULL;
}

struct forward_service *forward_state_add(struct forward_state *s, const char *name)
{
	struct forward_service *service = forward_state_find(s, name);

	if (service)
		return service;
	service = mem_alloc(sizeof(*service));
	if (!service || mem_grow(&s->v, &s->cap, s->n + 1, sizeof(struct forward_service *)) < 0) {
		mem_free(service);
		return NULL;
	}
	snprintf(service->name, sizeof(service->name), "%s", name);
	s->v[s->n++] = service;
	return service;
}

struct forward_replica *forward_state_replica(const struct forward_service *s, uint32_t index,
					      const char *incarnation)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].index == index && strcmp(s->v[i].incarnation, incarnation) == 0)
			return &s->v[i];
	return NULL;
}

int forward_state_add_replica(struct forward_service *s, const struct forward_replica *r)
{
	if (s->n >= FORWARD_REPLICAS_MAX)
		return -EMFILE;
	if (mem_grow(&s->v, &s->cap, s->n + 1, sizeof(*s->v)) < 0)
		return -ENOMEM;
	s->v[s->n++] = *r;
	return 0;
}

/* ---- the file ---- */

/* The words of a line, which is cut into them. */
static size_t split(char *line, char *words[WORDS])
{
	size_t n = 0;

	while (n < WORDS) {
		line += strspn(line, " ");
		if (*line == '\0')
			break;
		words[n++] = line;
		line += strcspn(line, " ");
		if (*line)
			*line++ = '\0';
	}
	return n;
}

static bool is_name(const char *s)
{
	return s[0] != '.' && !strchr(s, '/') && strlen(s) < WIRE_SERVICE_SIZE;
}

static int take_service(struct forward_state *s, char *words[WORDS], size_t n,
			struct forward_service **current)
{
	int64_t ms;

	*current = NULL;
	if (n < 3 || !is_name(words[1]) || parse_i64(words[2], 0, INT64_MAX, &ms, NULL) < 0)
		return 0;
	*current = forward_state_add(s, words[1]);
	if (!*current)
		return -ENOMEM;
	(*current)->sent_ms = ms;
	return 0;
}

static int take_replica(struct forward_service *service, char *words[WORDS], size_t n)
{
	struct forward_replica r = {.former = true};
	int64_t index, revision;

	if (!service || n < 5 || parse_i64(words[1], 0, UINT32_MAX, &index, NULL) < 0 ||
	    !logidx_incarnation_ms(words[2]) ||
	    parse_i64(words[3], 0, INT64_MAX, &revision, NULL) < 0)
		return 0;
	r.index = (uint32_t)index;
	r.revision = (uint64_t)revision;
	r.over = strcmp(words[4], "1") == 0;
	snprintf(r.incarnation, sizeof(r.incarnation), "%s", words[2]);
	return forward_state_replica(service, r.index, r.incarnation)
		       ? 0
		       : forward_state_add_replica(service, &r);
}

static int take_text(struct forward_state *s, char *text)
{
	struct forward_service *service = NULL;
	char *next = strchr(text, '\n');
	int r = 0;

	if (!next || strncmp(text, HEAD "\n", sizeof(HEAD)) != 0)
		return 0;
	for (char *line = next + 1; r == 0 && (next = strchr(line, '\n')); line = next + 1) {
		char *words[WORDS];
		size_t n;

		*next = '\0';
		n = split(line, words);
		if (n > 0 && strcmp(words[0], "service") == 0)
			r = take_service(s, words, n, &service);
		else if (n > 0 && strcmp(words[0], "replica") == 0)
			r = take_replica(service, words, n);
	}
	return r;
}

int forward_state_load(struct forward_state *s, int dir_fd)
{
	_cleanup_close_ int fd =
		openat(dir_fd, FORWARD_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fs_read_fd(fd, FORWARD_FILE, BYTES_MAX, &text, &len, NULL) < 0)
		return -EIO;
	return take_text(s, text);
}

static void put(struct buf *b, const struct forward_state *s)
{
	buf_str(b, HEAD "\n");
	for (size_t i = 0; i < s->n; i++) {
		const struct forward_service *service = s->v[i];

		buf_printf(b, "service %s %lld\n", service->name, (long long)service->sent_ms);
		for (size_t k = 0; k < service->n; k++) {
			const struct forward_replica *r = &service->v[k];

			buf_printf(b, "replica %u %s %llu %d\n", r->index, r->incarnation,
				   (unsigned long long)r->revision, r->over);
		}
	}
}

int forward_state_save(const struct forward_state *s, int dir_fd)
{
	_cleanup_buf_ struct buf b = {.limit = BYTES_MAX};
	_cleanup_close_ int fd = -1;
	int r;

	if (s->n == 0)
		return unlinkat(dir_fd, FORWARD_FILE, 0) < 0 && errno != ENOENT ? -errno : 0;
	put(&b, s);
	if (b.failed)
		return -ENOMEM;
	unlinkat(dir_fd, NEW, 0);
	fd = openat(dir_fd, NEW, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	r = fs_write_all(fd, b.data, b.len);
	if (r == 0 && renameat(dir_fd, NEW, dir_fd, FORWARD_FILE) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir_fd, NEW, 0);
	return r;
}
