/* logcheck: see logcheck.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/lib/logcheck.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/logidx.h"
#include "lib/mem.h"

#define LIMIT ((size_t)1 << 30)

static void complain(struct logcheck *c, const struct logidx_segment *s, const char *what)
{
	if (c->problem[0] == '\0')
		snprintf(c->problem, sizeof(c->problem), "segment %.12s seq %u: %s", s->incarnation,
			 s->seq, what);
}

static void take_entry(struct logcheck *c, const struct logidx_segment *s, const uint8_t *raw,
		       const char *log, size_t len, uint64_t *end)
{
	struct logidx_entry e;

	if (logidx_decode_entry(raw, &e) < 0) {
		complain(c, s, "bad entry");
	} else if (e.stream == LOGIDX_END) {
		c->ends++;
	} else if (e.offset != *end || e.offset + e.length > len) {
		complain(c, s, "gap, overlap or beyond the file");
	} else {
		buf_append(e.stream == LOGIDX_NOTE ? &c->notes : &c->streams[e.stream - 1],
			   log + e.offset, e.length);
		*end = e.offset + e.length;
		c->entries++;
	}
}

static void take_segment(struct logcheck *c, const char *dir, const struct logidx_segment *s)
{
	char name[LOGIDX_NAME_SIZE], path[4096];
	_cleanup_free_ char *log = NULL;
	_cleanup_free_ char *idx = NULL;
	size_t log_len = 0, idx_len = 0;
	struct logidx_header h;
	uint64_t end = 0;

	c->segments++;
	snprintf(path, sizeof(path), "%s/%s", dir,
		 logidx_name(name, s->incarnation, s->seq, LOGIDX_LOG));
	if (fs_read_file(path, LIMIT, &log, &log_len, NULL) < 0)
		complain(c, s, "no log");
	snprintf(path, sizeof(path), "%s/%s", dir,
		 logidx_name(name, s->incarnation, s->seq, LOGIDX_IDX));
	if (fs_read_file(path, LIMIT, &idx, &idx_len, NULL) < 0)
		complain(c, s, "no index");
	if (!log || !idx)
		return;
	if (idx_len < LOGIDX_HEADER_SIZE || logidx_decode_header((uint8_t *)idx, &h) < 0 ||
	    h.seq != s->seq || strcmp(h.incarnation, s->incarnation) != 0) {
		complain(c, s, "bad header");
		return;
	}
	for (size_t at = LOGIDX_HEADER_SIZE; at + LOGIDX_ENTRY_SIZE <= idx_len;
	     at += LOGIDX_ENTRY_SIZE)
		take_entry(c, s, (uint8_t *)idx + at, log, log_len, &end);
	if (end != log_len)
		complain(c, s, "bytes beyond the index");
}

void logcheck_read(const char *dir, struct logcheck *ret)
{
	_cleanup_free_ struct logidx_segment *v = NULL;
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t n = 0;

	memset(ret, 0, sizeof(*ret));
	if (fd < 0 || logidx_scan(fd, false, &v, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		take_segment(ret, dir, &v[i]);
}

void logcheck_done(struct logcheck *c)
{
	buf_done(&c->streams[0]);
	buf_done(&c->streams[1]);
	buf_done(&c->notes);
}

const char *logcheck_numbered(const struct buf *b, char tag, size_t n)
{
	const char *p = buf_cstr(b);
	char want[32];

	if (b->len < n * 9)
		return "lines are missing";
	if (b->len > n * 9)
		return "there is more than was written";
	for (size_t i = 0; i < n; i++) {
		snprintf(want, sizeof(want), "%c%07zu\n", tag, i);
		if (memcmp(p + i * 9, want, 9) != 0)
			return "a line is not the one that was expected";
	}
	return NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

void logcheck_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
