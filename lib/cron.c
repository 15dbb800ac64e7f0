/* cron: see cron.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/cron.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/err.h"
#include "lib/mem.h"
#include "lib/tz.h"

#define MINUTE_S 60
#define HOUR_S 3600
#define SEARCH_DAYS (41 * 366) /* 29 February on a certain weekday, over a century without one */

struct field {
	const char *name;
	int min, max;
	const char *names; /* three letters each, of min and the following; or NULL */
};

static const struct field fields[] = {
	{"minute", 0, 59, NULL},
	{"hour", 0, 23, NULL},
	{"day of month", 1, 31, NULL},
	{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
	{"day of week", 0, 7, "sunmontuewedthufrisat"},
};

static const struct {
	const char *word, *text;
} words[] = {
	{"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
	{"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
};

/* ---- parsing ---- */

static bool read_number(const char **p, int *ret)
{
	int v = 0, n = 0;

	for (; isdigit((unsigned char)**p) && n < 4; (*p)++, n++)
		v = v * 10 + (**p - '0');
	*ret = v;
	return n > 0;
}

static bool read_value(const char **p, const struct field *f, int *ret)
{
	if (read_number(p, ret))
		return *ret >= f->min && *ret <= f->max;
	for (int i = 0; f->names && f->names[3 * i]; i++) {
		if (strncasecmp(*p, f->names + 3 * i, 3) != 0)
			continue;
		*p += 3;
		*ret = f->min + i;
		return true;
	}
	return false;
}

/* One part of a list: "*", "5", "1-5", each with "/step". */
static bool read_part(const char **p, const struct field *f, uint64_t *bits)
{
	int from = f->min, to = f->max, step = 1;
	bool one = false;

	if (**p == '*') {
		(*p)++;
	} else {
		if (!read_value(p, f, &from))
			return false;
		one = **p != '-';
		to = from;
		if (!one) {
			(*p)++;
			if (!read_value(p, f, &to) || to < from)
				return false;
		}
	}
	if (**p == '/') {
		(*p)++;
		if (one) /* "5/10" means other things elsewhere */
			return false;
		if (!read_number(p, &step) || step < 1 || step > f->max)
			return false;
	}
	for (int v = from; v <= to; v += step)
		*bits |= UINT64_C(1) << v;
	return true;
}

static bool read_field(const char *text, const struct field *f, uint64_t *bits)
{
	const char *p = text;

	*bits = 0;
	do {
		if (!read_part(&p, f, bits))
			return false;
	} while (*p++ == ',');
	return p[-1] == '\0';
}

static int refuse(const struct field *f, const char *text, struct err **reterr)
{
	return err_set(reterr, ERR_INVALID,
		       "\"%s\" is no %s: %d-%d%s, \"*\", lists, ranges and steps are", text,
		       f->name, f->min, f->max, f->names ? " or a name" : "");
}

static int read_fields(char *rest, struct cron *ret, struct err **reterr)
{
	uint64_t bits[ARRAY_SIZE(fields)] = {0};
	struct cron c = {0};
	size_t n = 0;
	char *word;

	while ((word = strsep(&rest, " \t"))) {
		if (!*word)
			continue;
		if (n == ARRAY_SIZE(fields)) {
			n++;
			break;
		}
		if (!read_field(word, &fields[n], &bits[n]))
			return refuse(&fields[n], word, reterr);
		c.any_day |= n == 2 && *word == '*';
		c.any_weekday |= n == 4 && *word == '*';
		n++;
	}
	if (n != ARRAY_SIZE(fields))
		return err_set(
			reterr, ERR_INVALID,
			"a schedule has five fields: minute, hour, day of month, month, day of week");
	c.minutes = bits[0];
	c.hours = (uint32_t)bits[1];
	c.days = (uint32_t)bits[2];
	c.months = (uint16_t)bits[3];
	c.weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f);
	*ret = c;
	return 0;
}

int cron_parse(const char *text, struct cron *ret, struct err **reterr)
{
	_cleanup_free_ char *copy = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(text, words[i].word) == 0)
			text = words[i].text;
	if (text[0] == '@')
		return err_set(
			reterr, ERR_INVALID,
			"\"%s\": of such words there are @hourly, @daily, @midnight, @weekly, "
			"@monthly, @yearly and @annually",
			text);
	copy = mem_strdup(text);
	if (!copy)
		return err_nomem(reterr);
	return read_fields(copy, ret, reterr);
}

/* ---- the next time ---- */

static bool day_matches(const struct cron *c, int64_t days)
{
	int64_t year;
	int month, day, weekday = (int)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
	bool by_day, by_weekday;

	tz_date(days, &year, &month, &day);
	if (!(c->months >> month & 1))
		return false;
	by_day = c->days >> day & 1;
	by_weekday = c->weekdays >> weekday & 1;
	return c->any_day || c->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/* The first minute of the day from `from` on, or -1. */
static int minute_of_day(const struct cron *c, int from)
{
	for (int m = from; m < (int)(TZ_DAY_S / MINUTE_S); m++) {
		if (!(c->hours >> m / 60 & 1))
			m += 59 - m % 60;
		else if (c->minutes >> m % 60 & 1)
			return m;
	}
	return -1;
}

/* The first matching local time (seconds since 1970, as if it were UTC) from local_s on, which is a
 * whole minute. */
static int64_t next_local(const struct cron *c, int64_t local_s)
{
	int64_t days = local_s / TZ_DAY_S - (local_s % TZ_DAY_S < 0), last = days + SEARCH_DAYS;
	int from = (int)((local_s - days * TZ_DAY_S) / MINUTE_S), found;

	for (; days < last; days++, from = 0) {
		found = day_matches(c, days) ? minute_of_day(c, from) : -1;
		if (found >= 0)
			return days * TZ_DAY_S + (int64_t)found * MINUTE_S;
	}
	return INT64_MAX;
}

int64_t cron_next(const struct cron *c, const struct tz *tz, int64_t after_s)
{
	int64_t t = (after_s / MINUTE_S - (after_s % MINUTE_S < 0) + 1) * MINUTE_S, local_s, due_s;
	bool every_hour = c->hours == (UINT32_C(1) << 24) - 1;
	struct tz_span span, next;

	for (;;) {
		tz_at(tz, t, &span);
		/* the hour that comes twice is over first */
		if (!every_hour && span.since_s != INT64_MIN && span.before_s > span.offset_s &&
		    t < span.since_s + (span.before_s - span.offset_s))
			t = span.since_s + (span.before_s - span.offset_s);
		local_s = t + span.offset_s;
		local_s +=
			(MINUTE_S - local_s % MINUTE_S) % MINUTE_S; /* old offsets have seconds */
		due_s = next_local(c, local_s);
		if (due_s == INT64_MAX)
			return INT64_MAX;
		due_s -= span.offset_s;
		if (due_s < span.until_s)
			return due_s;
		tz_at(tz, span.until_s, &next);
		if (!every_hour && next.offset_s > span.offset_s &&
		    due_s < span.until_s + (next.offset_s - span.offset_s))
			return span.until_s; /* it falls into the gap */
		t = span.until_s;
	}
}
