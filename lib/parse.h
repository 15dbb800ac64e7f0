/*
 * parse: text to numbers, and the names of signals. The whole string must match; the only place
 * that calls strtol and friends. Errors say what was expected and the range.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_PARSE_H
#define AICTL_LIB_PARSE_H

#include <stdint.h>

struct err;

/* Decimal integer in [min, max]; no sign "+", no spaces, no leading zeros but "0" itself. */
int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret, struct err **reterr);
/* "250ms", "10s", "1.5m", "2h", "1d", combinations "1m30s"; a bare number is an error naming the
 * units. */
int parse_duration_ms(const char *s, int64_t min_ms, int64_t max_ms, int64_t *ret,
		      struct err **reterr);
/* "512", "4KiB", "20MiB", "1GiB", "1TiB", also kB MB GB TB (powers of 1000); bytes. */
int parse_size(const char *s, int64_t min, int64_t max, int64_t *ret, struct err **reterr);
/* "1.5": finite decimal in [min, max]. */
int parse_double(const char *s, double min, double max, double *ret, struct err **reterr);
/* "SIGTERM", "TERM", "term", "15" -> 15. */
int parse_signal(const char *s, int *ret, struct err **reterr);
/* 15 -> "SIGTERM"; "SIG99" style for unknown ones is written into no buffer: returns NULL.
 * Borrowed. */
const char *parse_signal_name(int sig);
/* "sentiment/0" or "sentiment": splits at the last '/'; *ret_index = -1 without one. name[64]. */
int parse_replica_id(const char *s, char *name, int *ret_index, struct err **reterr);

/* "200", "200-299": HTTP statuses, 100 to 599. */
int parse_status_range(const char *s, unsigned *ret_first, unsigned *ret_last, struct err **reterr);
/* "5%/2m": a share in whole percent, 1 to 99, and a time from 1 s to 7 days; "100%": all, without one. */
int parse_step(const char *s, unsigned *ret_percent, int64_t *ret_ms, struct err **reterr);
/* "0-3,8": processors and ranges of them; *ret_last is the highest. */
int parse_cpuset(const char *s, int64_t *ret_last, struct err **reterr);

#endif
