/*
 * report: what goes to stderr, and which exit code an error means.
 *
 * One shape for all: "error: MESSAGE", then "hint: HOW TO FIX IT"; errors with a place are printed
 * with the source line and a caret. Colours only when stderr is a terminal.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_REPORT_H
#define AICTL_CLI_REPORT_H

#include <stddef.h>

#include "cli/cli.h"

struct cJSON;
struct command;
struct err;
struct source_set;

void report_plain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void report_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void report_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Message, the command's usage line, exit 2. command may be NULL. */
void report_usage(const struct command *command, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));

enum exit_code report_code_of(const struct err *e);
/* Prints e and returns its exit code. */
enum exit_code report_err(const struct err *e);
/* report_err, then exit. */
void report_die(const struct err *e) __attribute__((noreturn));

#endif
