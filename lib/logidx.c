/* logidx: see logidx.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/logidx.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/mem.h"

#define MAGIC "AICTLIDX"
#define FORMAT 1
#define SEGMENTS_MAX 65536 /* in one directory; the rest is not looked at */

static void put(uint8_t *out, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *in, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)in[i] << (8 * i);
	return v;
}

/* 32 lower-case hex digits at s. */
static bool is_incarnation(const char *s)
{
	for (int i = 0; i < LOGIDX_INCARNATION_SIZE - 1; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return true;
}

void logidx_encode_header(const struct logidx_header *h, uint8_t out[LOGIDX_HEADER_SIZE])
{
	memset(out, 0, LOGIDX_HEADER_SIZE);
	memcpy(out, MAGIC, 8);
	put(out + 8, FORMAT, 4);
	put(out + 12, LOGIDX_ENTRY_SIZE, 4);
	memcpy(out + 16, h->incarnation, LOGIDX_INCARNATION_SIZE - 1);
	put(out + 48, (uint64_t)h->created_wall_ms, 8);
	put(out + 56, h->seq, 4);
}

int logidx_decode_header(const uint8_t in[LOGIDX_HEADER_SIZE], struct logidx_header *h)
{
	*h = (struct logidx_header){0};
	if (memcmp(in, MAGIC, 8) != 0 || get(in + 8, 4) != FORMAT ||
	    get(in + 12, 4) != LOGIDX_ENTRY_SIZE || !is_incarnation((const char *)in + 16))
		return -ERR_INVALID;
	memcpy(h->incarnation, in + 16, LOGIDX_INCARNATION_SIZE - 1);
	h->created_wall_ms = (int64_t)get(in + 48, 8);
	h->seq = (uint32_t)get(in + 56, 4);
	return 0;
}

void logidx_encode_entry(const struct logidx_entry *e, uint8_t out[LOGIDX_ENTRY_SIZE])
{
	put(out, e->offset, 8);
	put(out + 8, e->length, 4);
	put(out + 12, e->stream, 4);
	put(out + 16, (uint64_t)e->wall_ms, 8);
}

int logidx_decode_entry(const uint8_t in[LOGIDX_ENTRY_SIZE], struct logidx_entry *e)
{
	e->offset = get(in, 8);
	e->length = (uint32_t)get(in + 8, 4);
	e->stream = (uint32_t)get(in + 12, 4);
	e->wall_ms = (int64_t)get(in + 16, 8);
	if (e->stream > LOGIDX_NOTE || e->offset > (uint64_t)INT64_MAX - e->length ||
	    (e->stream == LOGIDX_END) != (e->length == 0))
		return -ERR_INVALID;
	return 0;
}

const char *logidx_stream_name(uint32_t stream)
{
	static const char *const names[] = {"?", "stdout", "stderr", "aictl"};

	return names[stream <= LOGIDX_NOTE ? stream : 0];
}

uint32_t logidx_stream_of(const char *name)
{
	uint32_t i = LOGIDX_STDOUT;

	while (i < LOGIDX_NOTE && strcmp(logidx_stream_name(i), name) != 0)
		i++;
	return i;
}

static const char *suffix_of(enum logidx_kind kind)
{
	return kind == LOGIDX_IDX ? ".idx" : kind == LOGIDX_ZST ? ".log.zst" : ".log";
}

const char *logidx_name(char *out, const char *incarnation, uint32_t seq, enum logidx_kind kind)
{
	snprintf(out, LOGIDX_NAME_SIZE, "%.32s-%06u%s", incarnation, seq, suffix_of(kind));
	return out;
}

enum logidx_kind logidx_parse_name(const char *name, char *incarnation, uint32_t *seq)
{
	enum logidx_kind kind = LOGIDX_LOG;
	uint64_t v = 0;
	const char *s;

	if (!is_incarnation(name) || name[LOGIDX_INCARNATION_SIZE - 1] != '-')
		return LOGIDX_OTHER;
	for (s = name + LOGIDX_INCARNATION_SIZE; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > UINT32_MAX)
			return LOGIDX_OTHER;
	}
	if (s < name + LOGIDX_INCARNATION_SIZE + 6)
		return LOGIDX_OTHER;
	while (strcmp(s, suffix_of(kind)) != 0)
		if (++kind > LOGIDX_ZST)
			return LOGIDX_OTHER;
	memcpy(incarnation, name, LOGIDX_INCARNATION_SIZE - 1);
	incarnation[LOGIDX_INCARNATION_SIZE - 1] = '\0';
	*seq = (uint32_t)v;
	return kind;
}

int64_t logidx_incarnation_ms(const char *incarnation)
{
	int64_t v = 0;

	for (int i = 0; i < 12; i++) {
		char c = incarnation[i];

		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v * 16 + (c - 'a' + 10);
		else
			return 0;
	}
	return v;
}

int logidx_compare(const struct logidx_segment *a, const struct logidx_segment *b)
{
	int c = strcmp(a->incarnation, b->incarnation);

	return c ? c : (a->seq > b->seq) - (a->seq < b->seq);
}

static int compare_voids(const void *a, const void *b)
{
	return logidx_compare(a, b);
}

static void note_file(struct logidx_segment *s, int dir_fd, const char *name, enum logidx_kind kind,
		      bool sizes)
{
	struct stat st;

	s->has_log |= kind == LOGIDX_LOG;
	s->has_idx |= kind == LOGIDX_IDX;
	s->has_zst |= kind == LOGIDX_ZST;
	if (!sizes || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	s->bytes = st.st_size > 0 ? (uint64_t)st.st_size : 0;
	s->wall_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

/* Sorts and makes one of the files of each segment. Returns how many are left. */
static size_t merge(struct logidx_segment *v, size_t n)
{
	size_t out = 0;

	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), compare_voids);
	for (size_t i = 1; i < n; i++) {
		if (logidx_compare(&v[out], &v[i]) == 0) {
			v[out].has_log |= v[i].has_log;
			v[out].has_idx |= v[i].has_idx;
			v[out].has_zst |= v[i].has_zst;
			v[out].bytes += v[i].bytes;
			if (v[i].wall_ms > v[out].wall_ms)
				v[out].wall_ms = v[i].wall_ms;
		} else {
			v[++out] = v[i];
		}
	}
	return out + 1;
}

static int read_dir(DIR *d, bool sizes, struct logidx_segment **v, size_t *n)
{
	struct dirent *e;
	size_t cap = 0;

	while (*n < 3 * SEGMENTS_MAX && (e = readdir(d))) {
		struct logidx_segment s = {0};
		enum logidx_kind kind = logidx_parse_name(e->d_name, s.incarnation, &s.seq);

		if (kind == LOGIDX_OTHER)
			continue;
		if (mem_grow(v, &cap, *n + 1, sizeof(**v)) < 0)
			return -ERR_NOMEM;
		note_file(&s, dirfd(d), e->d_name, kind, sizes);
		(*v)[(*n)++] = s;
	}
	return 0;
}

int logidx_scan(int dir_fd, bool sizes, struct logidx_segment **ret, size_t *ret_n,
		struct err **reterr)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct logidx_segment *v = NULL;
	size_t n = 0;
	DIR *d;
	int r;

	if (fd < 0)
		return err_sys(reterr, errno, "cannot open a log directory");
	d = fdopendir(fd);
	if (!d) {
		r = errno;
		close(fd);
		return err_sys(reterr, r, "cannot read a log directory");
	}
	r = read_dir(d, sizes, &v, &n);
	closedir(d);
	if (r < 0) {
		mem_free(v);
		return err_nomem(reterr);
	}
	*ret_n = merge(v, n);
	*ret = v;
	return 0;
}
