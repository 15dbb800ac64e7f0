/*
 * tz: offsets of a time zone, from the system's TZif files (RFC 8536), with the rule of the footer
 * for times behind the last transition of the table. For schedules only: what people read is UTC.
 *
 * Not glibc's: it knows one zone per process, $TZ, which no thread may change while others run.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_TZ_H
#define AICTL_LIB_TZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct tz;

#define TZ_NAME_MAX 64
#define TZ_DAY_S INT64_C(86400)

/* Around a moment: nothing changes from since_s up to, not including, until_s. */
struct tz_span {
	int32_t offset_s;	  /* local time minus UTC */
	int32_t before_s;	  /* the offset before since_s */
	int64_t since_s, until_s; /* Unix time; INT64_MIN, INT64_MAX: no transition */
};

/* "Europe/Vienna", "Etc/GMT+3": no path out of the directory of zones. */
bool tz_is_name(const char *name);
/*
 * name NULL: the machine's own zone (/etc/localtime; UTC without it). Reads a file: not for a loop.
 * ERR_NOTFOUND: no such zone; ERR_INVALID: not a TZif file. Caller frees.
 */
int tz_load(const char *name, struct tz **ret, struct err **reterr);
/* The same from the bytes of a file. */
int tz_parse(const uint8_t *data, size_t len, struct tz **ret, struct err **reterr);
void tz_free(struct tz *tz);
/* tz NULL: UTC. */
void tz_at(const struct tz *tz, int64_t unix_s, struct tz_span *ret);

/* Days since 1970-01-01 in the Gregorian calendar; month 1..12, day 1..31. */
int64_t tz_days(int64_t year, int month, int day);
/* The way back. */
void tz_date(int64_t days, int64_t *year, int *month, int *day);

#endif
