/*
 * cmd_exec: aictl exec, runs a command beside a replica, as its user, with its environment,
 * directory and limits.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/exec_session.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/exec_frame.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

static const struct option_spec options[] = {
	{'i', "interactive", NULL, "pass standard input on (a terminal's always is)", NULL},
	{'t', "tty", NULL, "give the command a terminal, whatever ours are", NULL},
	{'T', "no-tty", NULL, "no terminal, but pipes", NULL},
	{'e', "env", "NAME[=VALUE]", "set a variable, or pass ours on; may be repeated", NULL},
	{'w', "workdir", "DIR", "run it in DIR (absolute) in place of the service's directory",
	 NULL},
	{0},
};

/* Adds NAME=VALUE, or our own value of NAME; nothing when it is not set. */
static void put_env(struct jsonw *w, const struct args *args, const char *text)
{
	const char *eq = strchr(text, '=');
	_cleanup_free_ char *name = x_strndup(text, eq ? (size_t)(eq - text) : strlen(text));
	const char *value = eq ? eq + 1 : getenv(name);

	if (!*name)
		report_usage(args->command, "--env %s: expected NAME=VALUE", text);
	if (value)
		jsonw_string(w, name, value);
}

static bool sets(const struct args *args, const char *name)
{
	const char *text;
	size_t n = strlen(name);

	for (size_t i = 0; (text = args_nth(args, "env", i)); i++)
		if (strncmp(text, name, n) == 0 && (text[n] == '=' || !text[n]))
			return true;
	return false;
}

/* A name given twice: the last one counts. */
static bool is_last(const struct args *args, size_t at)
{
	const char *text = args_nth(args, "env", at), *later;
	size_t n = strcspn(text, "=");

	for (size_t i = at + 1; (later = args_nth(args, "env", i)); i++)
		if (strcspn(later, "=") == n && strncmp(text, later, n) == 0)
			return false;
	return true;
}

static void put_environment(struct jsonw *w, const struct args *args, bool tty)
{
	jsonw_object_begin(w, "env");
	if (tty && getenv("TERM") && !sets(args, "TERM"))
		jsonw_string(w, "TERM", getenv("TERM"));
	for (size_t i = 0; args_nth(args, "env", i); i++)
		if (is_last(args, i))
			put_env(w, args, args_nth(args, "env", i));
	jsonw_object_end(w);
}

static char *make_body(const struct args *args, const char *const *command, bool tty)
{
	struct buf b = {0};
	struct jsonw w = {.out = &b};
	struct winsize size = {0};

	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "replica", args->operands[0]);
	jsonw_array_begin(&w, "command");
	for (; command < args->operands + args->n_operands; command++)
		jsonw_string(&w, NULL, *command);
	jsonw_array_end(&w);
	jsonw_bool(&w, "tty", tty);
	if (tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row) {
		jsonw_int(&w, "rows", size.ws_row);
		jsonw_int(&w, "cols", size.ws_col);
	}
	put_environment(&w, args, tty);
	jsonw_string(&w, "working_dir", args_value(args, "workdir", NULL));
	jsonw_object_end(&w);
	return x_check(buf_take(&b));
}

/* A terminal by default where both ends of ours are one. */
static bool wants_tty(const struct args *args)
{
	bool on = args_flag(args, "tty"), off = args_flag(args, "no-tty");

	if (on && off)
		report_usage(args->command, "--tty and --no-tty exclude each other");
	return on || (!off && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
}

static int run(struct cli *cli, const struct args *args)
{
	const char *const *command = args->operands + 1;
	_cleanup_client_ struct client *client = NULL;
	_cleanup_buf_ struct buf early = {0};
	_cleanup_free_ char *body = NULL;
	struct exec_session_opts o = {.tty = wants_tty(args)};
	const char *dir = args_value(args, "workdir", NULL);
	int fd;

	if (strcmp(*command, "--") == 0)
		command++;
	if (command == args->operands + args->n_operands)
		report_usage(args->command, "exec: a command is missing");
	if (dir && dir[0] != '/')
		report_usage(args->command, "--workdir %s: expected an absolute path", dir);
	o.what = *command;
	o.stdin_too = args_flag(args, "interactive") || (o.tty && isatty(STDIN_FILENO));
	body = make_body(args, command, o.tty);
	client = client_open(cli);
	fd = client_upgrade(client, "/v1/exec", body, EXEC_FRAME_PROTOCOL, &early);
	return exec_session_run(fd, &early, &o);
}

const struct command cmd_exec_command = {
	.name = "exec",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE[/N] [--] COMMAND [ARGUMENT...]",
	.summary = "Run a command in a replica's context",
	.details =
		"The command runs as the service's user, with its environment (PORT and secrets\n"
		"included), directory, umask and limits. SERVICE alone is its lowest ready replica.\n"
		"It has a terminal when ours are one (or with -t), else pipes; then standard input\n"
		"is passed on with -i only.\n"
		"The exit code is the command's own, 128 + N when signal N ended it, 125 when exec\n"
		"itself failed, 126 when it cannot be executed, 127 when it is not found. When the\n"
		"client goes, the command gets SIGHUP and soon after SIGKILL.",
	.examples = "aictl exec chat bash                      # a shell, with a terminal\n"
		    "aictl exec chat/1 -- nvidia-smi -L\n"
		    "aictl exec -e DEBUG=1 chat sh -c 'echo $PORT'\n"
		    "aictl exec -i db sh -c 'cat >/tmp/in' <dump # a file through a pipe",
	.options = options,
	.args_min = 2,
	.args_max = ARGS_MANY,
	.options_first = true,
	.run = run,
};
