/* logzst: see logzst.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/logzst.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define SKIPPABLE UINT32_C(0x184D2A5E)
#define SEEKABLE UINT32_C(0x8F92EAB1)
#define HEAD_SIZE 8
#define FOOT_SIZE 9
#define ENTRY_SIZE 8
#define DESC_CHECKSUMS 0x80U
#define DESC_RESERVED 0x7cU
#define TABLE_BLOCK 4096 /* bytes of the table read at once */
#define LEVEL 3		 /* zstd's own default: what it gains above costs several times the CPU */

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* ---- reading ---- */

struct frame {
	uint32_t packed, content; /* bytes */
};

struct logzst {
	int fd;
	uint64_t size; /* of the content */
	uint32_t n;
	struct frame *frames;
	uint32_t largest; /* content of one frame */
	/* the frame walked to last, and where it begins */
	uint32_t at;
	uint64_t at_file, at_content;
	/* the frame in memory; loaded == n: none */
	uint32_t loaded;
	uint8_t *content;
	ZSTD_DCtx *ctx;
};

static int damaged(struct err **reterr, const char *what)
{
	return err_set(reterr, ERR_INVALID, "damaged compressed log segment: %s", what);
}

/* All n bytes at `at`, or an error. */
static int read_at(int fd, void *p, size_t n, uint64_t at, struct err **reterr)
{
	size_t got = 0;

	while (got < n) {
		ssize_t k = pread(fd, (uint8_t *)p + got, n - got, (off_t)(at + got));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_sys(reterr, errno, "cannot read a compressed log segment");
		if (k == 0)
			return damaged(reterr, "it has become shorter");
		got += (size_t)k;
	}
	return 0;
}

/* Fills z->frames from the table, which begins at `at`. The frames end where it begins. */
static int read_entries(struct logzst *z, uint64_t at, size_t entry_size, uint64_t begin,
			struct err **reterr)
{
	uint8_t block[TABLE_BLOCK] = {0};
	size_t per_block = sizeof(block) / entry_size;
	uint64_t packed = 0;

	for (uint32_t i = 0; i < z->n;) {
		size_t k = z->n - i < per_block ? z->n - i : per_block;
		int r = read_at(z->fd, block, k * entry_size, at, reterr);

		if (r < 0)
			return r;
		for (size_t j = 0; j < k; j++, i++) {
			struct frame *f = &z->frames[i];

			f->packed = get32(block + j * entry_size);
			f->content = get32(block + j * entry_size + 4);
			if (f->content > LOGZST_FRAME_MAX ||
			    f->packed > ZSTD_compressBound(LOGZST_FRAME_MAX))
				return damaged(reterr, "a frame is too large");
			packed += f->packed;
			z->size += f->content;
			if (f->content > z->largest)
				z->largest = f->content;
		}
		at += k * entry_size;
	}
	return packed == begin ? 0 : damaged(reterr, "its seek table does not fit its size");
}

static int read_table(struct logzst *z, struct err **reterr)
{
	uint8_t foot[FOOT_SIZE] = {0}, head[HEAD_SIZE] = {0};
	size_t entry_size;
	uint64_t table, size;
	struct stat st;
	int r;

	if (fstat(z->fd, &st) < 0)
		return err_sys(reterr, errno, "cannot look at a compressed log segment");
	size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
	if (size < HEAD_SIZE + FOOT_SIZE)
		return damaged(reterr, "it has no seek table");
	r = read_at(z->fd, foot, sizeof(foot), size - sizeof(foot), reterr);
	if (r < 0)
		return r;
	if (get32(foot + 5) != SEEKABLE || (foot[4] & DESC_RESERVED))
		return damaged(reterr, "it has no seek table");
	z->n = get32(foot);
	if (z->n > LOGZST_FRAMES_MAX)
		return damaged(reterr, "it has too many frames");
	entry_size = ENTRY_SIZE + (foot[4] & DESC_CHECKSUMS ? 4 : 0);
	table = z->n * (uint64_t)entry_size + FOOT_SIZE;
	if (size < HEAD_SIZE + table)
		return damaged(reterr, "its seek table is cut short");
	r = read_at(z->fd, head, sizeof(head), size - table - HEAD_SIZE, reterr);
	if (r < 0)
		return r;
	if (get32(head) != SKIPPABLE || get32(head + 4) != table)
		return damaged(reterr, "its seek table has no head");
	if (z->n == 0)
		return size == HEAD_SIZE + table ? 0 : damaged(reterr, "it has no frames");
	z->frames = mem_array(z->n, sizeof(z->frames[0]));
	if (!z->frames)
		return err_nomem(reterr);
	return read_entries(z, size - table, entry_size, size - table - HEAD_SIZE, reterr);
}

int logzst_open(int fd, struct logzst **ret, struct err **reterr)
{
	struct logzst *z = mem_alloc(sizeof(*z));
	int r;

	if (!z)
		return err_nomem(reterr);
	z->fd = fd;
	r = read_table(z, reterr);
	z->loaded = z->n;
	if (r < 0)
		logzst_close(z);
	else
		*ret = z;
	return r;
}

struct logzst *logzst_close(struct logzst *z)
{
	if (!z)
		return NULL;
	ZSTD_freeDCtx(z->ctx);
	mem_free(z->content);
	mem_free(z->frames);
	mem_free(z);
	return NULL;
}

uint64_t logzst_size(const struct logzst *z)
{
	return z->size;
}

/* Goes to the frame that holds this byte, which exists. Steps from where it stands are cheap. */
static void find(struct logzst *z, uint64_t offset)
{
	while (offset < z->at_content) {
		z->at--;
		z->at_file -= z->frames[z->at].packed;
		z->at_content -= z->frames[z->at].content;
	}
	while (offset - z->at_content >= z->frames[z->at].content) {
		z->at_file += z->frames[z->at].packed;
		z->at_content += z->frames[z->at].content;
		z->at++;
	}
}

/* Decodes frame z->at. */
static int load(struct logzst *z, struct err **reterr)
{
	const struct frame *f = &z->frames[z->at];
	_cleanup_free_ uint8_t *packed = mem_alloc(f->packed ? f->packed : 1);
	size_t n;
	int r;

	if (!z->content)
		z->content = mem_alloc(z->largest);
	if (!z->ctx)
		z->ctx = ZSTD_createDCtx();
	if (!packed || !z->content || !z->ctx)
		return err_nomem(reterr);
	z->loaded = z->n;
	r = read_at(z->fd, packed, f->packed, z->at_file, reterr);
	if (r < 0)
		return r;
	n = ZSTD_decompressDCtx(z->ctx, z->content, f->content, packed, f->packed);
	if (ZSTD_isError(n))
		return err_set(reterr, ERR_INVALID, "damaged compressed log segment: %s",
			       ZSTD_getErrorName(n));
	if (n != f->content)
		return damaged(reterr, "a frame has another length than the seek table says");
	z->loaded = z->at;
	return 0;
}

ssize_t logzst_pread(struct logzst *z, void *buf, size_t n, uint64_t offset, struct err **reterr)
{
	uint8_t *out = buf;
	size_t done = 0;

	if (n > SSIZE_MAX)
		n = SSIZE_MAX;
	while (done < n && offset < z->size) {
		size_t from, k;

		find(z, offset);
		if (z->loaded != z->at) {
			int r = load(z, reterr);

			if (r < 0)
				return r;
		}
		from = (size_t)(offset - z->at_content);
		k = z->frames[z->at].content - from;
		if (k > n - done)
			k = n - done;
		memcpy(out + done, z->content + from, k);
		done += k;
		offset += k;
	}
	return (ssize_t)done;
}

/* ---- writing ---- */

struct logzst_writer {
	int fd;
	ZSTD_CCtx *ctx;
	uint8_t *packed;
	size_t cap; /* of packed */
	struct frame *frames;
	size_t n, cap_frames;
};

struct logzst_writer *logzst_writer_new(int fd)
{
	struct logzst_writer *w = mem_alloc(sizeof(*w));

	if (!w)
		return NULL;
	w->fd = fd;
	w->cap = ZSTD_compressBound(LOGZST_FRAME);
	w->packed = mem_alloc(w->cap);
	w->ctx = ZSTD_createCCtx();
	if (!w->packed || !w->ctx ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(w->ctx, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(w->ctx, ZSTD_c_checksumFlag, 1)))
		return logzst_writer_free(w);
	return w;
}

struct logzst_writer *logzst_writer_free(struct logzst_writer *w)
{
	if (!w)
		return NULL;
	ZSTD_freeCCtx(w->ctx);
	mem_free(w->packed);
	mem_free(w->frames);
	mem_free(w);
	return NULL;
}

int logzst_writer_frame(struct logzst_writer *w, const void *p, size_t n)
{
	size_t k;
	int r;

	if (n == 0 || n > LOGZST_FRAME)
		return -EINVAL;
	if (w->n >= LOGZST_FRAMES_MAX)
		return -EFBIG;
	if (mem_grow(&w->frames, &w->cap_frames, w->n + 1, sizeof(w->frames[0])) < 0)
		return -ENOMEM;
	k = ZSTD_compress2(w->ctx, w->packed, w->cap, p, n);
	if (ZSTD_isError(k))
		return -ENOMEM; /* nothing else can go wrong with room for the bound */
	r = fs_write_all(w->fd, w->packed, k);
	if (r < 0)
		return r;
	w->frames[w->n++] = (struct frame){.packed = (uint32_t)k, .content = (uint32_t)n};
	return 0;
}

static void add32(struct buf *b, uint32_t v)
{
	uint8_t raw[4];

	put32(raw, v);
	buf_append(b, raw, sizeof(raw));
}

int logzst_writer_end(struct logzst_writer *w)
{
	_cleanup_buf_ struct buf b = {0};

	add32(&b, SKIPPABLE);
	add32(&b, (uint32_t)(w->n * ENTRY_SIZE + FOOT_SIZE));
	for (size_t i = 0; i < w->n; i++) {
		add32(&b, w->frames[i].packed);
		add32(&b, w->frames[i].content);
	}
	add32(&b, (uint32_t)w->n);
	buf_char(&b, 0); /* descriptor: no checksums */
	add32(&b, SEEKABLE);
	return b.failed ? -ENOMEM : fs_write_all(w->fd, b.data, b.len);
}
