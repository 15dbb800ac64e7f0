/* log: see log.h. The sink is the one mutable file-scope object that STYLE.md 3.2 allows. */
/* SPDX-License-Identifier: MIT */
#include "lib/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mem.h"

static struct {
	const char *program;
	int fd;
	enum log_level level;
	unsigned long lost; /* writes that did not fit since the last one that did */
	size_t held_max;    /* 0 = lines go out at once */
	size_t held_len;
	char held[16384]; /* several lines, see log_hold */
} sink = {"aictl", STDERR_FILENO, LOG_LVL_INFO, 0, 0, 0, ""};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_open(const char *program, int fd, enum log_level level)
{
	sink.program = program;
	sink.fd = fd;
	sink.level = level;
}

void log_set_level(enum log_level level)
{
	__atomic_store_n(&sink.level, level, __ATOMIC_RELAXED);
}

enum log_level log_level_get(void)
{
	return __atomic_load_n(&sink.level, __ATOMIC_RELAXED);
}

int log_parse_level(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (strcmp(name, level_names[i]) == 0)
			return (int)i;
	return -1;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

static void put(const char *text, size_t len)
{
	if (write(sink.fd, text, len) < 0)
		__atomic_add_fetch(&sink.lost, 1, __ATOMIC_RELAXED);
	else if (__atomic_load_n(&sink.lost, __ATOMIC_RELAXED))
		__atomic_store_n(&sink.lost, 0, __ATOMIC_RELAXED);
}

void log_hold(void)
{
	sink.held_max = sizeof(sink.held);
}

bool log_is_holding(void)
{
	return sink.held_len > 0;
}

void log_flush(void)
{
	size_t done = 0;

	while (done < sink.held_len) { /* whole lines of at most PIPE_BUF: all of it or nothing */
		size_t n = sink.held_len - done;

		if (n > PIPE_BUF)
			n = PIPE_BUF;
		while (sink.held[done + n - 1] != '\n')
			n--;
		put(sink.held + done, n);
		done += n;
	}
	sink.held_len = 0;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	unsigned long lost = __atomic_load_n(&sink.lost, __ATOMIC_RELAXED);
	char line[2048], stamp[CLOCK_RFC3339_SIZE];
	size_t len;
	va_list ap;
	int n;

	n = snprintf(line, sizeof(line), "%s %s %s: ", clock_rfc3339(clock_wall_ms(), stamp),
		     level_names[level], sink.program);
	if (lost && (size_t)n < sizeof(line))
		n += snprintf(line + n, sizeof(line) - (size_t)n, "(lost_lines=%lu) ", lost);
	len = (size_t)n;
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	len += n < 0 ? 0 : (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	for (size_t i = 0; i < len; i++) /* one event is one line, whatever a field holds */
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	line[len++] = '\n';
	if (sink.held_max == 0) {
		put(line, len);
		return;
	}
	if (sink.held_len + len > sink.held_max)
		log_flush();
	memcpy(sink.held + sink.held_len, line, len);
	sink.held_len += len;
}
