/*
 * logidx: the log segments on disk, shared by their writer (aictl-logger) and reader (logview).
 *
 *   <log-dir>/<service>/<index>/<incarnation>-<seq>.log   the bytes as written, both streams
 *   <log-dir>/<service>/<index>/<incarnation>-<seq>.idx   which bytes came when from which stream
 *
 * A closed segment may be X.log.zst instead of X.log (logzst.h); where both are there X.log counts.
 *
 * Incarnations are 32 hex digits of which the first 12 are wall-clock ms, seq has 6 digits or more:
 * names sort by time. An index is a 64-byte header and entries of 24 bytes, little-endian:
 *
 *   header: "AICTLIDX"  u32 version 1  u32 entry size 24  incarnation[32]  i64 created wall ms
 *           u32 seq  u32 reserved 0
 *   entry:  u64 offset  u32 length  u32 stream (1 stdout, 2 stderr, 3 note)
 *           i64 wall ms
 *
 * A note is a line that the logger itself wrote, at a place between two lines: "[aictl: ...]\n".
 * Times rise within a segment, by and large: a clock that is set back begins a new one.
 * Entries lie in order and without gaps. One with stream 0 and length 0 is the end mark: nothing
 * follows in this incarnation. Bytes of the segment beyond the last entry are being stored at this
 * moment (or their writer was killed then: it completes the index when it comes back). An entry cut
 * short counts as absent.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGIDX_H
#define AICTL_LIB_LOGIDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define LOGIDX_HEADER_SIZE 64
#define LOGIDX_ENTRY_SIZE 24
#define LOGIDX_INCARNATION_SIZE 33 /* with NUL */
#define LOGIDX_NAME_SIZE 60	   /* of a file, with NUL */

enum logidx_stream { LOGIDX_END, LOGIDX_STDOUT, LOGIDX_STDERR, LOGIDX_NOTE };
#define LOGIDX_STREAMS 3 /* without END */

/* "stdout", "stderr", or "aictl" for a note; "?" for none of them. */
const char *logidx_stream_name(uint32_t stream);
/* The reverse; a name that is none is LOGIDX_NOTE. */
uint32_t logidx_stream_of(const char *name);

struct logidx_header {
	char incarnation[LOGIDX_INCARNATION_SIZE];
	uint32_t seq;
	int64_t created_wall_ms;
};

struct logidx_entry {
	uint64_t offset;
	uint32_t length;
	uint32_t stream; /* enum logidx_stream */
	int64_t wall_ms;
};

void logidx_encode_header(const struct logidx_header *h, uint8_t out[LOGIDX_HEADER_SIZE]);
/* 0 or -ERR_INVALID: not an index, or of a version that we do not know. */
int logidx_decode_header(const uint8_t in[LOGIDX_HEADER_SIZE], struct logidx_header *h);
void logidx_encode_entry(const struct logidx_entry *e, uint8_t out[LOGIDX_ENTRY_SIZE]);
/* 0 or -ERR_INVALID: no such stream, or offset + length beyond what a file can hold. */
int logidx_decode_entry(const uint8_t in[LOGIDX_ENTRY_SIZE], struct logidx_entry *e);

enum logidx_kind { LOGIDX_OTHER, LOGIDX_LOG, LOGIDX_IDX, LOGIDX_ZST };
/* "<incarnation>-<seq>.log", ".idx" or ".log.zst" into out[LOGIDX_NAME_SIZE]; returns out. */
const char *logidx_name(char *out, const char *incarnation, uint32_t seq, enum logidx_kind kind);
/* Of a file name; LOGIDX_OTHER leaves the rest untouched. */
enum logidx_kind logidx_parse_name(const char *name, char *incarnation, uint32_t *seq);
/* The wall-clock ms in an incarnation, 0 when it is none. */
int64_t logidx_incarnation_ms(const char *incarnation);

/* One segment as found in a directory; any of its files may be missing. */
struct logidx_segment {
	char incarnation[LOGIDX_INCARNATION_SIZE];
	uint32_t seq;
	bool has_log, has_idx, has_zst;
	uint64_t bytes;	 /* of all files; 0 unless sizes were asked for */
	int64_t wall_ms; /* when one of them was written to last; 0 likewise */
};

/*
 * The segments in a replica's directory, oldest first; other files are passed over. Caller frees
 * *ret with mem_free. dir_fd stays the caller's and its offset does not matter.
 */
int logidx_scan(int dir_fd, bool sizes, struct logidx_segment **ret, size_t *ret_n,
		struct err **reterr);
/* By incarnation, then seq. */
int logidx_compare(const struct logidx_segment *a, const struct logidx_segment *b);

#endif
