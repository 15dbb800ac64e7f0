/* report: see report.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/term.h"
#include "lib/err.h"
#include "lib/mem.h"

/* stdout first, so that both streams keep their order on one terminal. */
static void line(const char *label, const char *color, const char *fmt, va_list ap)
{
	bool paint = term_wants_color(STDERR_FILENO);

	fflush(stdout);
	fprintf(stderr, "%s%s:%s ", paint ? color : "", label, paint ? TERM_RESET : "");
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void report_plain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("error", TERM_BOLD_RED, fmt, ap);
	va_end(ap);
}

void report_warning(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("warning", TERM_YELLOW, fmt, ap);
	va_end(ap);
}

void report_hint(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("hint", TERM_CYAN, fmt, ap);
	va_end(ap);
}

void report_usage(const struct command *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("error", TERM_BOLD_RED, fmt, ap);
	va_end(ap);
	if (command)
		fprintf(stderr, "usage: aictl %s%s%s\nsee:   aictl %s --help\n", command->name,
			*command->synopsis ? " " : "", command->synopsis, command->name);
	else
		fputs("see:   aictl --help\n", stderr);
	exit(CODE_USAGE);
}

enum exit_code report_code_of(const struct err *e)
{
	if (!e)
		return CODE_OK;
	switch (e->code) {
	case ERR_OK:
		return CODE_OK;
	case ERR_INVALID:
		return CODE_USAGE;
	case ERR_NOTFOUND:
		return CODE_UNKNOWN;
	case ERR_CONFLICT:
		return CODE_CONFLICT;
	case ERR_TIMEOUT:
		return CODE_TIMEOUT;
	case ERR_PERM:
		return CODE_NOT_PERMITTED;
	case ERR_UNREACHABLE:
		return CODE_UNREACHABLE;
	case ERR_BUSY:
	case ERR_SYS:
	case ERR_NOMEM:
	case ERR_CODE_MAX_:
		break;
	}
	return CODE_FAILED;
}

enum exit_code report_err(const struct err *e)
{
	if (e && e->file && e->line)
		report_plain("%s:%u:%u: %s", e->file, e->line, e->column, err_msg(e));
	else
		report_plain("%s", err_msg(e));
	if (e && e->hint)
		report_hint("%s", e->hint);
	return report_code_of(e);
}

void report_die(const struct err *e)
{
	exit((int)report_err(e));
}
