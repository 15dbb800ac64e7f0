/*
 * aictl: the command line. Global options, then a verb from the table in commands.c; the verb's
 * own options and operands are parsed by args.c, and its run function does the rest.
 *
 * Failure modes: every error is one "error:" line on stderr and one of the exit codes of cli.h.
 * SIGPIPE keeps its default, so `aictl logs | head` ends quietly.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/doctor_look.h"
#include "cli/help.h"
#include "cli/report.h"
#include "cli/term.h"

static int unknown_verb(const char *verb)
{
	const char *best = commands_nearest(verb);

	report_plain("unknown command \"%s\"", verb);
	if (best)
		report_hint("did you mean \"%s\"?", best);
	report_hint("all commands: aictl help");
	return CODE_USAGE;
}

/* What was buffered must have arrived: `aictl ps > /dev/full` fails. */
static int flush_output(int code)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("error: cannot write the output");
		return code ? code : CODE_FAILED;
	}
	return code;
}

/* A closed stdin, stdout or stderr would give its number to the next thing that is opened, and the
 * output would go there. What stands in for it cannot be written. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct cli cli = {0};
	const struct command *command;
	struct args args;
	int at, code;

	fill_standard_fds();
	if (doctor_look_main(argc, argv))
		return CODE_OK;
	term_init(&cli.term);
	at = args_parse_global(&cli, argc, argv);
	if (at >= argc) {
		help_overview(stderr);
		return CODE_USAGE;
	}
	command = commands_find(argv[at]);
	if (!command)
		return unknown_verb(argv[at]);
	args_parse(&cli, command, argc - at, argv + at, &args);
	code = command->run(&cli, &args);
	args_done(&args);
	return flush_output(code);
}
