/* when: see when.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/when.h"

#include <string.h>
#include <time.h>

#include "lib/err.h"
#include "lib/parse.h"

#define SPAN_MAX_MS (INT64_C(10) * 366 * 86400 * 1000)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* n digits at *s, which goes behind them. -1: they are not there. */
static int digits(const char **s, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*s)++) {
		if (!is_digit(**s))
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

/* A field behind its separator, within bounds. */
static bool field(const char **s, char before, int n, int max, int *ret)
{
	if (before && *(*s)++ != before)
		return false;
	*ret = digits(s, n);
	return *ret >= 0 && *ret <= max;
}

static bool parse_date(const char **s, struct tm *tm)
{
	if (!field(s, 0, 4, 9999, &tm->tm_year) || !field(s, '-', 2, 12, &tm->tm_mon) ||
	    !field(s, '-', 2, 31, &tm->tm_mday) || tm->tm_mon == 0 || tm->tm_mday == 0)
		return false;
	tm->tm_year -= 1900;
	tm->tm_mon--;
	tm->tm_isdst = -1;
	return true;
}

/* "T03:04", then seconds and a fraction where they are. */
static bool parse_clock(const char **s, struct tm *tm, int *ms)
{
	int unit = 100;

	if (**s != 'T' && **s != 't' && **s != ' ')
		return false;
	(*s)++;
	if (!field(s, 0, 2, 23, &tm->tm_hour) || !field(s, ':', 2, 59, &tm->tm_min))
		return false;
	if (**s == ':' && !field(s, ':', 2, 60, &tm->tm_sec))
		return false;
	if (**s != '.')
		return true;
	for ((*s)++; is_digit(**s); (*s)++, unit /= 10)
		*ms += (**s - '0') * unit;
	return true;
}

/* Seconds east; *given is false when there is nothing. */
static bool parse_zone(const char **s, int *east, bool *given)
{
	char sign = **s;
	int h, m;

	*given = sign != '\0';
	*east = 0;
	if (!*given)
		return true;
	(*s)++;
	if (sign == 'Z' || sign == 'z')
		return true;
	if ((sign != '+' && sign != '-') || !field(s, 0, 2, 23, &h) || !field(s, ':', 2, 59, &m))
		return false;
	*east = (sign == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return true;
}

static bool parse_stamp(const char *s, bool local, int64_t *ret)
{
	struct tm tm = {0};
	int east = 0, ms = 0;
	bool zone = false;
	time_t t;

	if (!parse_date(&s, &tm))
		return false;
	if (*s && (!parse_clock(&s, &tm, &ms) || !parse_zone(&s, &east, &zone) || *s))
		return false;
	if (!zone && !local)
		return false;
	t = zone ? timegm(&tm) : mktime(&tm);
	*ret = ((int64_t)t - east) * 1000 + ms;
	return *ret > 0;
}

int when_parse(const char *text, int64_t now_ms, bool local, int64_t *ret, struct err **reterr)
{
	int64_t span = 0;

	if (parse_stamp(text, local, ret))
		return 0;
	if (strcmp(text, "now") != 0 && parse_duration_ms(text, 0, SPAN_MAX_MS, &span, NULL) < 0)
		return err_set(reterr, ERR_INVALID,
			       "\"%s\": expected a duration such as 10m, or a time such as "
			       "2026-01-02T03:04:05Z",
			       text);
	*ret = now_ms - span > 0 ? now_ms - span : 1;
	return 0;
}
