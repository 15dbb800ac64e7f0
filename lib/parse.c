/* parse: see parse.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"

#define DIGITS "0123456789"
#define CPU_DIGITS_MAX 6
#define STEP_MIN_MS 1000
#define STEP_MAX_MS (7 * 86400000LL)
#define I64_EDGE 9.2e18 /* a double from here on may not fit into an int64_t */

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit durations[] = {{"ms", 1},	{"s", 1000},	 {"m", 60000},
					{"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {{"KiB", INT64_C(1) << 10},
				    {"MiB", INT64_C(1) << 20},
				    {"GiB", INT64_C(1) << 30},
				    {"TiB", INT64_C(1) << 40},
				    {"kB", 1000},
				    {"KB", 1000},
				    {"MB", 1000000},
				    {"GB", 1000000000},
				    {"TB", INT64_C(1000000000000)},
				    {"B", 1},
				    {NULL, 0}};

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret, struct err **reterr)
{
	const char *digits = s[0] == '-' ? s + 1 : s;
	long long v;

	if (!digits[0] || digits[strspn(digits, DIGITS)])
		return err_set(reterr, ERR_INVALID, "\"%s\" is not a whole number", s);
	if (digits[0] == '0' && digits[1])
		return err_set(reterr, ERR_INVALID,
			       "\"%s\": leading zeros are not allowed (octal is not read here)", s);
	errno = 0;
	v = strtoll(s, NULL, 10);
	if (errno == ERANGE || v < min || v > max)
		return err_set(reterr, ERR_INVALID, "%s is not in %lld..%lld", s, (long long)min,
			       (long long)max);
	*ret = v;
	return 0;
}

/* One "12.5unit" of a sum; *s moves behind it. false: no number or no known unit here. */
static bool one_part(const char **s, const struct unit *units, double *ret, bool bare_ok)
{
	const char *p = *s;
	size_t len = strspn(p, DIGITS);
	char *end;
	double v;

	if (p[len] == '.' && isdigit((unsigned char)p[len + 1]))
		len += 1 + strspn(p + len + 1, DIGITS);
	if (!isdigit((unsigned char)*p))
		return false;
	v = strtod(p, &end);
	if (end != p + len) /* exponents, hexadecimal */
		return false;
	for (len = 0; isalpha((unsigned char)end[len]); len++)
		;
	if (len == 0 && bare_ok) {
		*ret = v;
		*s = end;
		return true;
	}
	for (; units->name; units++) {
		if (strlen(units->name) == len && strncmp(units->name, end, len) == 0) {
			*ret = v * (double)units->factor;
			*s = end + len;
			return true;
		}
	}
	return false;
}

int parse_duration_ms(const char *s, int64_t min_ms, int64_t max_ms, int64_t *ret,
		      struct err **reterr)
{
	char lo[32], hi[32];
	const char *p = s;
	double sum = 0, part;

	do {
		if (!one_part(&p, durations, &part, strcmp(s, "0") == 0))
			return err_set(reterr, ERR_INVALID,
				       "\"%s\" is not a duration (write 500ms, 10s, 5m, 2h or 1d)",
				       s);
		sum += part;
	} while (*p);
	if (sum < (double)min_ms || sum > (double)max_ms || sum >= I64_EDGE)
		return err_set(reterr, ERR_INVALID, "%s is not in %s..%s", s,
			       min_ms ? clock_human(min_ms, lo, sizeof(lo)) : "0",
			       clock_human(max_ms, hi, sizeof(hi)));
	*ret = (int64_t)(sum + 0.5);
	return 0;
}

/* "64KiB" for 65536, "1000" for 1000. */
static const char *size_text(int64_t bytes, char *buf, size_t n)
{
	size_t unit = 4; /* the binary ones stand first */

	while (unit > 0 && (bytes == 0 || bytes % sizes[unit - 1].factor != 0))
		unit--;
	if (unit == 0)
		snprintf(buf, n, "%lld", (long long)bytes);
	else
		snprintf(buf, n, "%lld%s", (long long)(bytes / sizes[unit - 1].factor),
			 sizes[unit - 1].name);
	return buf;
}

int parse_size(const char *s, int64_t min, int64_t max, int64_t *ret, struct err **reterr)
{
	char lo[32], hi[32];
	const char *p = s;
	double v;

	if (!one_part(&p, sizes, &v, true) || *p)
		return err_set(reterr, ERR_INVALID,
			       "\"%s\" is not a size (write 4096, 512KiB, 20MiB or 1GiB)", s);
	if (v < (double)min || v > (double)max || v >= I64_EDGE)
		return err_set(reterr, ERR_INVALID, "%s is not in %s..%s", s,
			       size_text(min, lo, sizeof(lo)), size_text(max, hi, sizeof(hi)));
	*ret = (int64_t)v;
	return 0;
}

int parse_double(const char *s, double min, double max, double *ret, struct err **reterr)
{
	char *end;
	double v;

	if ((!isdigit((unsigned char)s[0]) && s[0] != '-' && s[0] != '.') ||
	    s[strspn(s, DIGITS ".eE+-")])
		return err_set(reterr, ERR_INVALID, "\"%s\" is not a number", s);
	errno = 0;
	v = strtod(s, &end);
	if (*end || end == s || !isfinite(v))
		return err_set(reterr, ERR_INVALID, "\"%s\" is not a number", s);
	if (v < min || v > max)
		return err_set(reterr, ERR_INVALID, "%s is not in %g..%g", s, min, max);
	*ret = v;
	return 0;
}

static const char *const signal_names[] = {
	[SIGHUP] = "SIGHUP",	   [SIGINT] = "SIGINT",	      [SIGQUIT] = "SIGQUIT",
	[SIGILL] = "SIGILL",	   [SIGTRAP] = "SIGTRAP",     [SIGABRT] = "SIGABRT",
	[SIGBUS] = "SIGBUS",	   [SIGFPE] = "SIGFPE",	      [SIGKILL] = "SIGKILL",
	[SIGUSR1] = "SIGUSR1",	   [SIGSEGV] = "SIGSEGV",     [SIGUSR2] = "SIGUSR2",
	[SIGPIPE] = "SIGPIPE",	   [SIGALRM] = "SIGALRM",     [SIGTERM] = "SIGTERM",
	[SIGSTKFLT] = "SIGSTKFLT", [SIGCHLD] = "SIGCHLD",     [SIGCONT] = "SIGCONT",
	[SIGSTOP] = "SIGSTOP",	   [SIGTSTP] = "SIGTSTP",     [SIGTTIN] = "SIGTTIN",
	[SIGTTOU] = "SIGTTOU",	   [SIGURG] = "SIGURG",	      [SIGXCPU] = "SIGXCPU",
	[SIGXFSZ] = "SIGXFSZ",	   [SIGVTALRM] = "SIGVTALRM", [SIGPROF] = "SIGPROF",
	[SIGWINCH] = "SIGWINCH",   [SIGIO] = "SIGIO",	      [SIGPWR] = "SIGPWR",
	[SIGSYS] = "SIGSYS"};

const char *parse_signal_name(int sig)
{
	return sig > 0 && (size_t)sig < ARRAY_SIZE(signal_names) ? signal_names[sig] : NULL;
}

int parse_signal(const char *s, int *ret, struct err **reterr)
{
	const char *bare = strncasecmp(s, "SIG", 3) == 0 ? s + 3 : s;
	int64_t n;

	for (size_t i = 1; i < ARRAY_SIZE(signal_names); i++) {
		if (signal_names[i] && strcasecmp(bare, signal_names[i] + 3) == 0) {
			*ret = (int)i;
			return 0;
		}
	}
	if (parse_i64(s, 1, 64, &n, NULL) == 0) {
		*ret = (int)n;
		return 0;
	}
	return err_set(reterr, ERR_INVALID,
		       "\"%s\" is not a signal (write SIGTERM, SIGINT, SIGQUIT, ...)", s);
}

int parse_replica_id(const char *s, char *name, int *ret_index, struct err **reterr)
{
	const char *slash = strrchr(s, '/');
	size_t len = slash ? (size_t)(slash - s) : strlen(s);
	int64_t index = -1;

	if (len == 0 || len > 63)
		return err_set(reterr, ERR_INVALID, "\"%s\" is not a service or replica name", s);
	if (slash && parse_i64(slash + 1, 0, 100000, &index, NULL) < 0)
		return err_set(reterr, ERR_INVALID,
			       "\"%s\": a replica is written SERVICE/INDEX, e.g. %.*s/0", s,
			       (int)len, s);
	memcpy(name, s, len);
	name[len] = '\0';
	*ret_index = (int)index;
	return 0;
}

/* A processor's number; *s moves behind it. */
static bool one_cpu(const char **s, int64_t *ret)
{
	size_t n = strspn(*s, DIGITS);

	if (n == 0 || n > CPU_DIGITS_MAX)
		return false;
	*ret = 0;
	for (; n > 0; n--)
		*ret = *ret * 10 + (*(*s)++ - '0');
	return true;
}

int parse_status_range(const char *s, unsigned *ret_first, unsigned *ret_last, struct err **reterr)
{
	size_t n = strspn(s, "0123456789");
	char first[4] = "";
	int64_t a = 0, b = 0;

	if (n == 3 && (!s[3] || s[3] == '-')) {
		memcpy(first, s, 3);
		if (parse_i64(first, 100, 599, &a, NULL) == 0 &&
		    parse_i64(s[3] ? s + 4 : first, a, 599, &b, NULL) == 0) {
			*ret_first = (unsigned)a;
			*ret_last = (unsigned)b;
			return 0;
		}
	}
	return err_set(reterr, ERR_INVALID,
		       "\"%s\" is neither a status nor a range such as 200-299", s);
}

int parse_step(const char *s, unsigned *ret_percent, int64_t *ret_ms, struct err **reterr)
{
	size_t n = strspn(s, "0123456789");
	char digits[4] = "";
	int64_t percent = 0;

	*ret_ms = 0;
	if (n >= 1 && n <= 3 && s[n] == '%') {
		memcpy(digits, s, n);
		if (parse_i64(digits, 1, 100, &percent, NULL) == 0 &&
		    (percent == 100 ? !s[n + 1]
				    : s[n + 1] == '/' &&
					      parse_duration_ms(s + n + 2, STEP_MIN_MS, STEP_MAX_MS,
								ret_ms, NULL) == 0)) {
			*ret_percent = (unsigned)percent;
			return 0;
		}
	}
	return err_set(reterr, ERR_INVALID,
		       "\"%s\" is not a share and a time such as 5%%/2m, or 100%%", s);
}

int parse_cpuset(const char *s, int64_t *ret_last, struct err **reterr)
{
	int64_t first, last, highest = -1;
	const char *p = s;
	bool good;

	do {
		p += p != s; /* the comma */
		good = one_cpu(&p, &first);
		last = first;
		if (good && *p == '-') {
			p++;
			good = one_cpu(&p, &last) && first <= last;
		}
		highest = good && last > highest ? last : highest;
	} while (good && *p == ',');
	if (!good || *p)
		return err_set(reterr, ERR_INVALID,
			       "\"%s\" is not a list of processors such as 0-3,8", s);
	*ret_last = highest;
	return 0;
}
