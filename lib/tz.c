/* tz: see tz.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/tz.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define ZONES "/usr/share/zoneinfo/"
#define LOCAL "/etc/localtime"
#define FILE_MAX ((size_t)1 << 20)
#define HEADER_SIZE 44
#define TRANSITIONS_MAX 10000
#define OFFSET_MAX (26 * 3600) /* RFC 8536 allows 25:59:59 */

/* A day of a year on which a rule changes the offset, as POSIX' TZ has it. */
struct change {
	enum { CHANGE_WEEKDAY, CHANGE_JULIAN, CHANGE_DAY } kind;
	int month, week, day; /* WEEKDAY: the week's (5 = last) day (0 = Sunday) in the month;
				 JULIAN: day 1..365, never 29 February; DAY: day 0..365 */
	int32_t at_s;	      /* local time, counted from midnight; may be negative */
};

struct tz {
	size_t n;
	int64_t *at_s;	   /* n, ascending */
	int32_t *offset_s; /* n: from at_s[i] on */
	int32_t first_s;   /* before at_s[0] */
	bool has_rule, has_dst;
	int32_t std_s, dst_s;
	struct change to_dst, to_std;
};

/* ---- calendar ---- */

/* From the era of 400 years that begins on 1 March: the leap day is the last of its year. */
int64_t tz_days(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void tz_date(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era, y, of_year, m;

	of_era = z - era * 146097;
	y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * y + y / 4 - y / 100);
	m = (5 * of_year + 2) / 153;
	*day = (int)(of_year - (153 * m + 2) / 5) + 1;
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = y + era * 400 + (*month <= 2);
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t floor_day(int64_t unix_s)
{
	return unix_s / TZ_DAY_S - (unix_s % TZ_DAY_S < 0);
}

/* ---- the footer: "CET-1CEST,M3.5.0,M10.5.0/3" ---- */

struct reader {
	const char *p;
	bool bad;
};

static int digits(struct reader *in, int max)
{
	int v = 0, n = 0;

	for (; isdigit((unsigned char)*in->p) && n < 4; in->p++, n++)
		v = v * 10 + (*in->p - '0');
	if (n == 0 || v > max)
		in->bad = true;
	return v;
}

static bool take(struct reader *in, char c)
{
	if (*in->p != c)
		return false;
	in->p++;
	return true;
}

static void skip_name(struct reader *in)
{
	const char *from = in->p;

	if (take(in, '<')) {
		while (*in->p && *in->p != '>')
			in->p++;
		in->bad |= !take(in, '>');
		return;
	}
	while (isalpha((unsigned char)*in->p))
		in->p++;
	in->bad |= in->p - from < 3;
}

/* "[+-]h[h[h]][:mm[:ss]]" in seconds. */
static int32_t clock_time(struct reader *in)
{
	bool minus = *in->p == '-';
	int32_t s;

	if (*in->p == '-' || *in->p == '+')
		in->p++;
	s = digits(in, 167) * 3600;
	if (take(in, ':'))
		s += digits(in, 59) * 60;
	if (take(in, ':'))
		s += digits(in, 59);
	return minus ? -s : s;
}

static void read_change(struct reader *in, struct change *c)
{
	in->bad |= !take(in, ',');
	*c = (struct change){.at_s = 2 * 3600};
	if (take(in, 'M')) {
		c->kind = CHANGE_WEEKDAY;
		c->month = digits(in, 12);
		in->bad |= !take(in, '.');
		c->week = digits(in, 5);
		in->bad |= !take(in, '.');
		c->day = digits(in, 6);
		in->bad |= c->month < 1 || c->week < 1;
	} else {
		c->kind = take(in, 'J') ? CHANGE_JULIAN : CHANGE_DAY;
		c->day = digits(in, 365);
		in->bad |= c->kind == CHANGE_JULIAN && c->day < 1;
	}
	if (take(in, '/'))
		c->at_s = clock_time(in);
}

/* POSIX counts offsets westward. */
static bool read_rule(struct tz *tz, const char *text)
{
	struct reader in = {.p = text};

	skip_name(&in);
	tz->std_s = -clock_time(&in);
	if (*in.p && !in.bad) {
		tz->has_dst = true;
		skip_name(&in);
		tz->dst_s = *in.p && *in.p != ',' ? -clock_time(&in) : tz->std_s + 3600;
		read_change(&in, &tz->to_dst);
		read_change(&in, &tz->to_std);
	}
	tz->has_rule = !in.bad && !*in.p;
	return tz->has_rule;
}

/* ---- the file ---- */

static int64_t be(const uint8_t *p, size_t n)
{
	uint64_t v = p[0] & 0x80 ? UINT64_MAX : 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

struct counts {
	size_t isut, isstd, leap, time, type, chars;
};

/* Of the block whose header is at p. */
static bool read_header(const uint8_t *p, size_t len, struct counts *c)
{
	size_t v[6];

	if (len < HEADER_SIZE || memcmp(p, "TZif", 4) != 0)
		return false;
	for (size_t i = 0; i < 6; i++) {
		int64_t n = be(p + 20 + 4 * i, 4);

		if (n < 0 || n > TRANSITIONS_MAX)
			return false;
		v[i] = (size_t)n;
	}
	*c = (struct counts){v[0], v[1], v[2], v[3], v[4], v[5]};
	return c->type > 0;
}

static size_t block_size(const struct counts *c, size_t time_size)
{
	return HEADER_SIZE + c->time * (time_size + 1) + c->type * 6 + c->chars +
	       c->leap * (time_size + 4) + c->isstd + c->isut;
}

/* The second block, with times of 64 bits; p is behind its header. */
static bool read_block(struct tz *tz, const uint8_t *p, const struct counts *c)
{
	const uint8_t *which = p + 8 * c->time, *types = which + c->time;

	tz->first_s = (int32_t)be(types, 4);
	for (size_t i = 0; i < c->time; i++) {
		if (which[i] >= c->type)
			return false;
		tz->at_s[i] = be(p + 8 * i, 8);
		tz->offset_s[i] = (int32_t)be(types + (size_t)6 * which[i], 4);
		if (tz->offset_s[i] <= -OFFSET_MAX || tz->offset_s[i] >= OFFSET_MAX ||
		    (i > 0 && tz->at_s[i] <= tz->at_s[i - 1]))
			return false;
	}
	tz->n = c->time;
	return tz->first_s > -OFFSET_MAX && tz->first_s < OFFSET_MAX;
}

/* The footer is a line of its own; an empty one is no rule. */
static bool read_footer(struct tz *tz, const uint8_t *p, size_t len)
{
	char text[128];

	if (len < 2 || p[0] != '\n' || p[len - 1] != '\n' || len - 2 >= sizeof(text))
		return false;
	memcpy(text, p + 1, len - 2);
	text[len - 2] = '\0';
	return !text[0] || read_rule(tz, text);
}

static bool read_file(struct tz *tz, const uint8_t *data, size_t len)
{
	struct counts c;
	size_t skip, size;

	if (!read_header(data, len, &c) || data[4] < '2')
		return false;
	skip = block_size(&c, 4);
	if (skip > len || !read_header(data + skip, len - skip, &c))
		return false;
	size = block_size(&c, 8);
	if (size > len - skip)
		return false;
	tz->at_s = mem_array(c.time + 1, sizeof(*tz->at_s));
	tz->offset_s = mem_array(c.time + 1, sizeof(*tz->offset_s));
	return tz->at_s && tz->offset_s && read_block(tz, data + skip + HEADER_SIZE, &c) &&
	       read_footer(tz, data + skip + size, len - skip - size);
}

int tz_parse(const uint8_t *data, size_t len, struct tz **ret, struct err **reterr)
{
	struct tz *tz = mem_alloc(sizeof(*tz));

	if (!tz)
		return err_nomem(reterr);
	if (!read_file(tz, data, len)) {
		tz_free(tz);
		return err_set(reterr, ERR_INVALID, "not a time zone file of version 2 or later");
	}
	*ret = tz;
	return 0;
}

void tz_free(struct tz *tz)
{
	if (!tz)
		return;
	mem_free(tz->at_s);
	mem_free(tz->offset_s);
	mem_free(tz);
}

bool tz_is_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= TZ_NAME_MAX && name[0] != '/' && name[n - 1] != '/' &&
	       !strstr(name, "//") && !strchr(name, '.') &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/") ==
		       n;
}

int tz_load(const char *name, struct tz **ret, struct err **reterr)
{
	_cleanup_free_ char *path = name ? mem_printf(ZONES "%s", name) : mem_strdup(LOCAL);
	_cleanup_free_ char *data = NULL;
	_cleanup_err_ struct err *err = NULL;
	size_t len = 0;
	int r;

	if (!path)
		return err_nomem(reterr);
	if (name && !tz_is_name(name))
		return err_set(reterr, ERR_NOTFOUND, "no such time zone: %s", name);
	r = fs_read_file(path, FILE_MAX, &data, &len, &err);
	if (r < 0 && (!err || err->sys == ENOENT)) {
		if (name)
			return err_set(reterr, ERR_NOTFOUND, "no such time zone: %s", name);
		*ret = NULL; /* a machine without one has UTC */
		return 0;
	}
	if (r < 0)
		return err_set(reterr, ERR_INVALID, "time zone %s: %s", name ? name : LOCAL,
			       err_msg(err));
	r = tz_parse((const uint8_t *)data, len, ret, reterr);
	return r < 0 ? err_wrap(reterr, "time zone %s", name ? name : LOCAL) : 0;
}

/* ---- offsets ---- */

/* Days since 1970 of a change in that year. */
static int64_t change_day(const struct change *c, int64_t year)
{
	int64_t first = tz_days(year, c->kind == CHANGE_WEEKDAY ? c->month : 1, 1), day, next;
	int weekday;

	if (c->kind == CHANGE_DAY)
		return first + c->day;
	if (c->kind == CHANGE_JULIAN)
		return first + c->day - 1 + (is_leap(year) && c->day >= 60);
	weekday = (int)(((first + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
	day = first + (c->day - weekday + 7) % 7 + (int64_t)7 * (c->week - 1);
	next = c->month == 12 ? tz_days(year + 1, 1, 1) : tz_days(year, c->month + 1, 1);
	return day >= next ? day - 7 : day;
}

/* By the rule: the changes of the years around, in order. */
static void at_by_rule(const struct tz *tz, int64_t unix_s, struct tz_span *ret)
{
	struct {
		int64_t at_s;
		int32_t offset_s;
	} change[6] = {{0}}, x;
	int64_t year;
	int month, day;

	*ret = (struct tz_span){tz->std_s, tz->std_s, INT64_MIN, INT64_MAX};
	if (!tz->has_dst)
		return;
	tz_date(floor_day(unix_s), &year, &month, &day);
	for (int i = 0; i < 6; i++) {
		bool to_dst = i % 2 == 0;
		const struct change *c = to_dst ? &tz->to_dst : &tz->to_std;
		int64_t local_s = change_day(c, year - 1 + i / 2) * TZ_DAY_S + c->at_s;

		x.at_s = local_s - (to_dst ? tz->std_s : tz->dst_s);
		x.offset_s = to_dst ? tz->dst_s : tz->std_s;
		int k = i;
		for (; k > 0 && change[k - 1].at_s > x.at_s; k--)
			change[k] = change[k - 1];
		change[k] = x;
	}
	for (int i = 1; i < 6; i++) {
		if (change[i].at_s > unix_s) {
			ret->until_s = change[i].at_s;
			break;
		}
		*ret = (struct tz_span){change[i].offset_s, change[i - 1].offset_s, change[i].at_s,
					INT64_MAX};
	}
}

void tz_at(const struct tz *tz, int64_t unix_s, struct tz_span *ret)
{
	size_t low = 0, high = tz ? tz->n : 0;
	int64_t last;

	*ret = (struct tz_span){0, 0, INT64_MIN, INT64_MAX};
	if (!tz)
		return;
	while (low < high) { /* the number of transitions up to unix_s */
		size_t mid = low + (high - low) / 2;

		if (tz->at_s[mid] <= unix_s)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < tz->n || !tz->has_rule) {
		ret->offset_s = low > 0 ? tz->offset_s[low - 1] : tz->first_s;
		ret->before_s = low > 1 ? tz->offset_s[low - 2] : tz->first_s;
		ret->since_s = low > 0 ? tz->at_s[low - 1] : INT64_MIN;
		ret->until_s = low < tz->n ? tz->at_s[low] : INT64_MAX;
		return;
	}
	at_by_rule(tz, unix_s, ret);
	last = tz->n > 0 ? tz->at_s[tz->n - 1] : INT64_MIN;
	if (ret->since_s <= last && last != INT64_MIN) { /* the rule begins with the table's end */
		ret->since_s = last;
		ret->before_s = tz->n > 1 ? tz->offset_s[tz->n - 2] : tz->first_s;
	}
}
