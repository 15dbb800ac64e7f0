/* log: see log.h. The sink is the one mutable file-scope object that STYLE.md 3.2 allows. */
/* SPDX-License-Identifier: MIT */
#include "lib/log.h"

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
	unsigned long lost; /* lines that did not fit since the last one that did */
} sink = {"aictl", STDERR_FILENO, LOG_LVL_INFO, 0};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_open(const char *program, int fd, enum log_level level)
{
	sink.program = program;
	sink.fd = fd;
	sink.level = level;
}

void log_set_level(enum log_level level)
{
	sink.level = level;
}

enum log_level log_level_get(void)
{
	return sink.level;
}

int log_parse_level(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (strcmp(name, level_names[i]) == 0)
			return (int)i;
	return -1;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[2048], stamp[CLOCK_RFC3339_SIZE];
	size_t len;
	va_list ap;
	int n;

	n = snprintf(line, sizeof(line), "%s %s %s: ", clock_rfc3339(clock_wall_ms(), stamp),
		     level_names[level], sink.program);
	if (sink.lost && (size_t)n < sizeof(line))
		n += snprintf(line + n, sizeof(line) - (size_t)n, "(lost_lines=%lu) ", sink.lost);
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
	if (write(sink.fd, line, len) < 0)
		sink.lost++;
	else
		sink.lost = 0;
}
