/*
 * logzst: compressed log segments: zstd's seekable format, so that a place in the middle can be
 * read without what is before it, and `zstdcat` prints the whole.
 *
 *   frames     independent zstd frames with a checksum, LOGZST_FRAME bytes of content each, the
 *              last one less
 *   seek table a skippable frame (u32 0x184D2A5E, u32 size of the rest): for each frame u32
 *              compressed bytes, u32 content bytes; then u32 number of frames, u8 descriptor (bit
 *              7: the entries carry a u32 checksum besides, which is not looked at; bits 2-6 are
 *              0), u32 0x8F92EAB1; all little-endian
 *
 * The table comes last, so a file cut short has none and is refused. Reader: the input is anybody's.
 * A file whose table does not fit its size, or whose frames are over LOGZST_FRAME_MAX, is refused
 * at once; what a frame itself claims only ever fails that read. Memory: 8 bytes per frame, and one
 * frame's content (for the time of its decoding, what it is made of as well).
 *
 * Users: aictl-logger writes (compress.c), logtrack reads. Not for two threads at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGZST_H
#define AICTL_LIB_LOGZST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct logzst;
struct logzst_writer;

#define LOGZST_FRAME (1U << 18)	    /* as written */
#define LOGZST_FRAME_MAX (1U << 22) /* as read */
#define LOGZST_FRAMES_MAX (1U << 22)

/* fd is borrowed and read by pread only. 0, or negative: -ERR_INVALID is a damaged file. */
int logzst_open(int fd, struct logzst **ret, struct err **reterr);
/* Bytes of content. */
uint64_t logzst_size(const struct logzst *z);
/* As pread(2) on the content: a count, 0 at the end (a count may be short only there), else negative. */
ssize_t logzst_pread(struct logzst *z, void *buf, size_t n, uint64_t offset, struct err **reterr);
struct logzst *logzst_close(struct logzst *z); /* NULL is a no-op; returns NULL */

/* Writes to fd (borrowed) from where it stands. NULL = out of memory. */
struct logzst_writer *logzst_writer_new(int fd);
/* One frame: LOGZST_FRAME bytes, the last one fewer, never 0. 0 or -errno, for good. */
int logzst_writer_frame(struct logzst_writer *w, const void *p, size_t n);
/* The table. The file is whole now, not yet on disk. 0 or -errno. */
int logzst_writer_end(struct logzst_writer *w);
struct logzst_writer *logzst_writer_free(struct logzst_writer *w); /* returns NULL */

#endif
