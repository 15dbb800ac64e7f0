/*
 * cli: what every command sees. A command is one `const struct command` in its own cmd_*.c; the
 * table of them is in commands.c and drives dispatch, help and suggestions.
 *
 * The CLI may exit anywhere (x.h for memory, report.h for errors); it runs one command and ends.
 * It is single-threaded, keeps SIGPIPE at its default and never includes anything of daemon/.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_CLI_H
#define AICTL_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* DESIGN.md 5. The same codes with every output format. */
enum exit_code {
	CODE_OK = 0,
	CODE_FAILED = 1,
	CODE_USAGE = 2,
	CODE_NOT_READY = 3,
	CODE_UNKNOWN = 4,
	CODE_TIMEOUT = 5,
	CODE_UNREACHABLE = 6,
	CODE_NOT_PERMITTED = 7,
	CODE_CONFLICT = 8,
	CODE_MANIFEST = 9,
	CODE_CHANGES = 10, /* plan --exit-code: changes are pending */
	CODE_INTERRUPTED = 130,
};

/* What stdout is. Set once by term_init. */
struct term {
	bool tty;	  /* stdout is a terminal */
	bool color;	  /* colours are wanted on stdout */
	bool err_color;	  /* ... and on stderr */
	bool utf8;	  /* the locale's charset */
	unsigned columns; /* 0 = unlimited */
};

struct args;

struct cli {
	const char *socket; /* --socket, or NULL */
	const char *dir;    /* directory of -f (for the socket of its `up`); NULL = current */
	struct term term;
};

/* One option of a command. value is its placeholder in the help, NULL for a flag, "[=TIME]" when it
 * may be left out (then it has to be joined: --watch=2s, -w2s). */
struct option_spec {
	char letter;	    /* 0 = none */
	const char *name;   /* without dashes */
	const char *value;  /* "FILE", or NULL */
	const char *doc;    /* one line */
	const char *choice; /* "table|wide|json", or NULL: anything */
};

enum command_group { GROUP_MANIFEST, GROUP_LOOK, GROUP_ACT, GROUP_OTHER, GROUP_MAX_ };

#define ARGS_MANY 10000u

struct command {
	const char *name;
	const char *aliases[3]; /* NULL-terminated */
	enum command_group group;
	const char *synopsis;		   /* "[SERVICE...]": the operands */
	const char *summary;		   /* one line, no full stop */
	const char *details;		   /* paragraphs, or NULL */
	const char *examples;		   /* lines "command   # what" */
	const struct option_spec *options; /* ends with name NULL; or NULL */
	unsigned args_min, args_max;
	bool options_first; /* what begins with a dash behind the first operand is not an option */
	int (*run)(struct cli *cli, const struct args *args);
};

#endif
