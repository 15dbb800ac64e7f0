/* clock: see clock.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
	return read_us(CLOCK_BOOTTIME);
}

int64_t clock_mono_ms(void)
{
	return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_add(int64_t a_ms, int64_t b_ms)
{
	int64_t sum;

	if (a_ms == INT64_MAX || b_ms == INT64_MAX)
		return INT64_MAX;
	if (__builtin_add_overflow(a_ms, b_ms, &sum))
		return b_ms > 0 ? INT64_MAX : INT64_MIN;
	return sum;
}

const char *clock_rfc3339(int64_t wall_ms, char *buf)
{
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (!gmtime_r(&s, &tm) || strftime(buf, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		buf[0] = '\0';
	return buf;
}

const char *clock_human(int64_t duration_ms, char *buf, size_t n)
{
	int64_t s = duration_ms < 0 ? 0 : duration_ms / 1000;
	long long d = s / 86400, h = s / 3600 % 24, m = s / 60 % 60, sec = s % 60;

	if (duration_ms < 1000)
		snprintf(buf, n, "%lldms", duration_ms < 0 ? 0LL : (long long)duration_ms);
	else if (s < 120)
		snprintf(buf, n, "%llds", (long long)s);
	else if (s < 3600)
		(void)(sec ? snprintf(buf, n, "%lldm%llds", m, sec) : snprintf(buf, n, "%lldm", m));
	else if (d == 0)
		(void)(m ? snprintf(buf, n, "%lldh%lldm", h, m) : snprintf(buf, n, "%lldh", h));
	else
		(void)(h ? snprintf(buf, n, "%lldd%lldh", d, h) : snprintf(buf, n, "%lldd", d));
	return buf;
}
