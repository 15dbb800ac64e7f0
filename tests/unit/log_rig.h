/*
 * log_rig: a directory of log segments made by the letter of logidx.h, for tests of their readers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_LOG_RIG_H
#define AICTL_TESTS_LOG_RIG_H

#include <stdint.h>

#include "lib/buf.h"
#include "lib/logidx.h"
#include "lib/logview.h"

#define INC_A "0000000003e8aaaaaaaaaaaaaaaaaaaa" /* 1000 ms */
#define INC_B "0000000007d0bbbbbbbbbbbbbbbbbbbb" /* 2000 ms */
#define INC_C "000000000bb8cccccccccccccccccccc" /* 3000 ms */

struct log_rig {
	char dir[64];
};

/* A segment of the service "svc". */
struct log_rig_at {
	unsigned index;
	const char *inc;
	uint32_t seq;
};

int log_rig_setup(void **state);
int log_rig_teardown(void **state);
/* Path of one of a segment's files into buf[256]; returns buf. */
char *log_rig_path(const struct log_rig *p, struct log_rig_at a, enum logidx_kind kind, char *buf);
/* What the logger does in one step: bytes, then their entry. */
void log_rig_put_n(const struct log_rig *p, struct log_rig_at a, uint32_t stream, int64_t ms,
		   const char *text, size_t n);
void log_rig_put(const struct log_rig *p, struct log_rig_at a, uint32_t stream, int64_t ms,
		 const char *text);
void log_rig_put_end(const struct log_rig *p, struct log_rig_at a, uint64_t offset);

/* X.log becomes X.log.zst. */
void log_rig_compress(const struct log_rig *p, struct log_rig_at a);

/* All that comes now as "index:stream:ms:text|", in b. */
const char *log_rig_drain(struct logview *v, struct buf *b);
/* log_dir and service are filled in. */
struct logview *log_rig_open(const struct log_rig *p, struct logview_opts o);
/* The whole of a view that is opened for it. */
void log_rig_expect(const struct log_rig *p, struct logview_opts o, const char *want);

#endif
