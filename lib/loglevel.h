/*
 * loglevel: how urgent a line of a service's log is, as far as the line itself says: the words that
 * Python's logging, uvicorn, vLLM, loguru, zap, logrus, glog, tracing and the like put before a
 * message, or the <N> that systemd knows.
 *
 * Pure: looks at the beginning of a line, takes nothing for a level that may as well be a part of
 * the message, and says LOGLEVEL_NONE when in doubt.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGLEVEL_H
#define AICTL_LIB_LOGLEVEL_H

#include <stddef.h>

/* syslog's numbers. */
enum loglevel {
	LOGLEVEL_NONE = -1,
	LOGLEVEL_EMERG,
	LOGLEVEL_ALERT,
	LOGLEVEL_CRIT,
	LOGLEVEL_ERR,
	LOGLEVEL_WARNING,
	LOGLEVEL_NOTICE,
	LOGLEVEL_INFO,
	LOGLEVEL_DEBUG,
};

#define LOGLEVEL_LOOK 160 /* bytes of a line that are looked at */

/* "WARN", "warning", ...: a whole word, in any case. */
enum loglevel loglevel_of_word(const char *word, size_t n);
/* pino's, bunyan's and Python's multiples of ten, or syslog's 0 to 7. */
enum loglevel loglevel_of_number(long number);
/* What pino calls it: "INFO" for 30; NULL when it is none of its numbers. */
const char *loglevel_number_name(long number);
/* "<4>" before a line: *skip is its length then, else 0. */
enum loglevel loglevel_of_prefix(const char *line, size_t n, size_t *skip);
/* Of a line that is no JSON object. */
enum loglevel loglevel_of_line(const char *line, size_t n);

#endif
