/* log_rig: see log_rig.h. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/logzst.h"
#include "lib/mem.h"
#include "tests/lib/logcheck.h"
#include "tests/unit/log_rig.h"

int log_rig_setup(void **state)
{
	struct log_rig *p = mem_alloc(sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "/tmp/aictl-test-logview-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	*state = p;
	return 0;
}

int log_rig_teardown(void **state)
{
	struct log_rig *p = *state;

	logcheck_remove(p->dir);
	mem_free(p);
	return 0;
}

char *log_rig_path(const struct log_rig *p, struct log_rig_at a, enum logidx_kind kind, char *buf)
{
	char name[LOGIDX_NAME_SIZE];

	snprintf(buf, 256, "%s/svc/%u/%s", p->dir, a.index, logidx_name(name, a.inc, a.seq, kind));
	return buf;
}

static int open_part(const struct log_rig *p, unsigned index, const char *inc, uint32_t seq,
		     enum logidx_kind kind)
{
	char path[256], name[LOGIDX_NAME_SIZE];
	int fd;

	snprintf(path, sizeof(path), "%s/svc", p->dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/svc/%u", p->dir, index);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/svc/%u/%s", p->dir, index,
		 logidx_name(name, inc, seq, kind));
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	return fd;
}

static void put_entry(const struct log_rig *p, unsigned index, const char *inc, uint32_t seq,
		      const struct logidx_entry *e)
{
	_cleanup_close_ int fd = open_part(p, index, inc, seq, LOGIDX_IDX);
	struct logidx_header h = {.seq = seq};
	uint8_t raw[LOGIDX_HEADER_SIZE];

	if (lseek(fd, 0, SEEK_END) == 0) {
		memcpy(h.incarnation, inc, sizeof(h.incarnation));
		logidx_encode_header(&h, raw);
		assert_int_equal(fs_write_all(fd, raw, LOGIDX_HEADER_SIZE), 0);
	}
	logidx_encode_entry(e, raw);
	assert_int_equal(fs_write_all(fd, raw, LOGIDX_ENTRY_SIZE), 0);
}

void log_rig_put_n(const struct log_rig *p, struct log_rig_at a, uint32_t stream, int64_t ms,
		   const char *text, size_t n)
{
	_cleanup_close_ int fd = open_part(p, a.index, a.inc, a.seq, LOGIDX_LOG);
	struct logidx_entry e = {.length = (uint32_t)n, .stream = stream, .wall_ms = ms};

	e.offset = (uint64_t)lseek(fd, 0, SEEK_END);
	assert_int_equal(fs_write_all(fd, text, n), 0);
	put_entry(p, a.index, a.inc, a.seq, &e);
}

void log_rig_put(const struct log_rig *p, struct log_rig_at a, uint32_t stream, int64_t ms,
		 const char *text)
{
	log_rig_put_n(p, a, stream, ms, text, strlen(text));
}

void log_rig_put_end(const struct log_rig *p, struct log_rig_at a, uint64_t offset)
{
	put_entry(p, a.index, a.inc, a.seq, &(struct logidx_entry){.offset = offset});
}

void log_rig_compress(const struct log_rig *p, struct log_rig_at a)
{
	_cleanup_close_ int from = -1, to = -1;
	_cleanup_free_ char *block = mem_alloc(LOGZST_FRAME);
	struct logzst_writer *w;
	char path[256];
	ssize_t n;

	from = open(log_rig_path(p, a, LOGIDX_LOG, path), O_RDONLY | O_CLOEXEC);
	unlink(path);
	to = open(log_rig_path(p, a, LOGIDX_ZST, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	w = logzst_writer_new(to);
	assert_true(from >= 0 && to >= 0 && w);
	while ((n = read(from, block, LOGZST_FRAME)) > 0)
		assert_int_equal(logzst_writer_frame(w, block, (size_t)n), 0);
	assert_int_equal(logzst_writer_end(w), 0);
	logzst_writer_free(w);
}

/* All that comes now as "index:stream:ms:text|". */
const char *log_rig_drain(struct logview *v, struct buf *b)
{
	struct logview_line l;
	int r;

	buf_clear(b);
	while ((r = logview_next(v, &l, NULL)) == 1) {
		buf_printf(b, "%u:%u:%lld:", l.index, l.stream, (long long)l.wall_ms);
		buf_append(b, l.text, l.len);
		buf_char(b, '|');
	}
	assert_int_equal(r, 0);
	return buf_cstr(b);
}

struct logview *log_rig_open(const struct log_rig *p, struct logview_opts o)
{
	_cleanup_err_ struct err *e = NULL;
	struct logview *v = NULL;

	o.log_dir = p->dir;
	o.service = "svc";
	if (logview_open(&o, &v, &e) < 0)
		fail_msg("%s", err_msg(e));
	return v;
}

void log_rig_expect(const struct log_rig *p, struct logview_opts o, const char *want)
{
	_cleanup_buf_ struct buf b = {0};
	struct logview *v = log_rig_open(p, o);

	assert_string_equal(log_rig_drain(v, &b), want);
	assert_string_equal(log_rig_drain(v, &b), ""); /* stays at its end */
	logview_free(v);
}
