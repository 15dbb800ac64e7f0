/*
 * cron: "minute hour day-of-month month day-of-week" and when it is next due. Pure.
 *
 * As in cronie(5): "*", numbers, names (jan, mon), ranges, lists, steps ("*" "/15", 8-18/2), 7 is
 * Sunday as well, @hourly @daily @midnight @weekly @monthly @yearly @annually; when both days are
 * restricted, either is enough. No seconds, no @reboot.
 *
 * When the clock changes, a schedule for certain hours neither misses nor doubles a run: what falls
 * into a gap is due at its end, what falls into an hour that comes twice is due the first time.
 * Schedules for every hour follow the time that passes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_CRON_H
#define AICTL_LIB_CRON_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct tz;

struct cron {
	uint64_t minutes;	   /* bits 0..59 */
	uint32_t hours;		   /* 0..23 */
	uint32_t days;		   /* 1..31 */
	uint16_t months;	   /* 1..12 */
	uint8_t weekdays;	   /* 0..6, 0 = Sunday */
	bool any_day, any_weekday; /* the field begins with "*" */
};

/* ERR_INVALID names the field and its range. */
int cron_parse(const char *text, struct cron *ret, struct err **reterr);
/* The first time after after_s (Unix seconds) in that zone (NULL: UTC); INT64_MAX: never, as for
 * 30 February. */
int64_t cron_next(const struct cron *cron, const struct tz *tz, int64_t after_s);

#endif
