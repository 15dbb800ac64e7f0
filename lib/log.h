/*
 * log: our own log, one line per event with key=value fields, e.g.
 *   2026-01-02T03:04:05Z info aictld: replica=llm/0 pid=4711 state=started
 * The sink is one descriptor (stderr until log_open). It may be non-blocking: a line that does not
 * fit is dropped and counted, the next line that fits says how many were lost; nothing ever waits.
 * Child output is data and never comes here.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOG_H
#define AICTL_LIB_LOG_H

#include <stdbool.h>

enum log_level { LOG_LVL_ERROR, LOG_LVL_WARN, LOG_LVL_INFO, LOG_LVL_DEBUG };

/* program is borrowed for ever ("aictld"); fd stays the caller's. Level from --log-level. */
void log_open(const char *program, int fd, enum log_level level);
void log_set_level(enum log_level level);
enum log_level log_level_get(void);
/* "error" | "warn" | "info" | "debug" -> level, or -1. */
int log_parse_level(const char *name);
const char *log_level_name(enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * From now on lines gather until log_flush (or 16 KiB): for a loop that has something more urgent
 * to do first, and flushes before it waits.
 */
void log_hold(void);
void log_flush(void);
bool log_is_holding(void); /* are there lines that log_flush would write? */

#define log_at_(lvl, ...)                                                                          \
	do {                                                                                       \
		if ((lvl) <= log_level_get())                                                      \
			log_write((lvl), __VA_ARGS__);                                             \
	} while (0)
#define log_error(...) log_at_(LOG_LVL_ERROR, __VA_ARGS__)
#define log_warn(...) log_at_(LOG_LVL_WARN, __VA_ARGS__)
#define log_info(...) log_at_(LOG_LVL_INFO, __VA_ARGS__)
#define log_debug(...) log_at_(LOG_LVL_DEBUG, __VA_ARGS__)

#endif
