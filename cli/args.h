/*
 * args: a command line against the option table of a command. Options and operands may be mixed,
 * "--" ends the options, "--name=value", "--name value", "-nVALUE", "-n VALUE" and joined short
 * flags work. The global options (--socket, --help, --version) are known to every command.
 *
 * A wrong option ends the program with exit code 2 and the nearest name.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_ARGS_H
#define AICTL_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"

struct args_option {
	const struct option_spec *spec;
	const char *value; /* "" for a flag */
};

/* All strings are borrowed from argv. */
struct args {
	const struct command *command;
	const char *verb; /* as typed: may be an alias */
	struct args_option *options;
	size_t n_options, cap_options;
	const char **operands;
	size_t n_operands, cap_operands;
};

extern const struct option_spec args_global_options[];

/* argv[0] is the verb. Exits on a usage error, and after --help and --version. */
void args_parse(struct cli *cli, const struct command *command, int argc, char **argv,
		struct args *ret);
/* Global options before the verb; returns the index of the verb, or argc. */
int args_parse_global(struct cli *cli, int argc, char **argv);
void args_done(struct args *a);

bool args_flag(const struct args *a, const char *name);
/* The last value of an option, or fallback. */
const char *args_value(const struct args *a, const char *name, const char *fallback);
/* The i-th value of an option that may be repeated, or NULL. */
const char *args_nth(const struct args *a, const char *name, size_t i);
/* Value as a duration in ms, or fallback; exits 2 when it is none. */
int64_t args_duration(const struct args *a, const char *name, int64_t fallback_ms);
/* Value as a number in [min, max], or fallback; exits 2 when it is none. */
int64_t args_number(const struct args *a, const char *name, int64_t min, int64_t max,
		    int64_t fallback);

#endif
