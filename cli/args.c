/* args: see args.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/args.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/report.h"
#include "cli/suggest.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

const struct option_spec args_global_options[] = {
	{0, "socket", "PATH", "talk to the daemon behind this socket", NULL},
	{'h', "help", NULL, "show this help", NULL},
	{0, "version", NULL, "show the version", NULL},
	{0},
};

/* Where the parser stands. */
struct cursor {
	struct cli *cli;
	const struct command *command; /* NULL before the verb */
	int argc, i;
	char **argv;
	struct args *out; /* NULL before the verb */
};

static const struct option_spec *find(const struct option_spec *o, const char *name, size_t n,
				      char letter)
{
	for (; o && o->name; o++) {
		if (name ? strlen(o->name) == n && memcmp(o->name, name, n) == 0
			 : o->letter == letter && letter)
			return o;
	}
	return NULL;
}

static const struct option_spec *lookup(const struct cursor *c, const char *name, size_t n,
					char letter)
{
	const struct option_spec *o = NULL;

	if (c->command)
		o = find(c->command->options, name, n, letter);
	return o ? o : find(args_global_options, name, n, letter);
}

static void offer_all(struct suggest *s, const struct option_spec *o)
{
	for (; o && o->name; o++)
		suggest_offer(s, o->name);
}

static void unknown_option(const struct cursor *c, const char *arg, const char *name, size_t n)
{
	_cleanup_free_ char *wanted = x_strndup(name, n);
	struct suggest s = {.wanted = wanted};

	if (n > 1) {
		offer_all(&s, args_global_options);
		if (c->command)
			offer_all(&s, c->command->options);
	}
	report_plain("unknown option %s", arg);
	if (s.best)
		report_hint("did you mean --%s?", s.best);
	report_hint("see: aictl %s%s--help", c->command ? c->command->name : "",
		    c->command ? " " : "");
	exit(CODE_USAGE);
}

static bool is_choice(const char *choice, const char *value)
{
	size_t n = strlen(value);

	for (const char *p = choice; p; p = strchr(p, '|')) {
		if (*p == '|')
			p++;
		if (strncmp(p, value, n) == 0 && (p[n] == '|' || p[n] == '\0'))
			return true;
	}
	return false;
}

static void wrong_choice(const struct cursor *c, const struct option_spec *o, const char *value)
{
	struct suggest s = {.wanted = value};
	char *words = x_strdup(o->choice), *rest = words, *word, best[32];

	while ((word = strsep(&rest, "|")))
		suggest_offer(&s, word);
	snprintf(best, sizeof(best), "%s", s.best ? s.best : "");
	mem_free(words); /* now: report_usage does not return */
	if (*best)
		report_usage(c->command, "--%s %s: did you mean %s? (expected %s)", o->name, value,
			     best, o->choice);
	report_usage(c->command, "--%s %s: expected %s", o->name, value, o->choice);
}

static void take(struct cursor *c, const struct option_spec *o, const char *value)
{
	struct args *a = c->out;

	if (strcmp(o->name, "help") == 0) {
		help_show(c->cli, c->command);
		exit(CODE_OK);
	}
	if (strcmp(o->name, "version") == 0) {
		printf("aictl %s\n", PKGVERSION);
		exit(CODE_OK);
	}
	if (strcmp(o->name, "socket") == 0) {
		if (!*value)
			report_usage(c->command, "--socket: a path is missing");
		c->cli->socket = value;
		return;
	}
	if (o->choice && !is_choice(o->choice, value))
		wrong_choice(c, o, value);
	x_grow(&a->options, &a->cap_options, a->n_options + 1, sizeof(*a->options));
	a->options[a->n_options++] = (struct args_option){o, value};
}

/* The value of an option that stands in the next word. */
static const char *next_value(struct cursor *c, const char *shown)
{
	if (c->i + 1 >= c->argc)
		report_usage(c->command, "option %s needs a value", shown);
	return c->argv[++c->i];
}

/* "[=TIME]": only a value that is joined to it is its own. */
static bool is_optional(const struct option_spec *o)
{
	return o->value && o->value[0] == '[';
}

static void parse_long(struct cursor *c, const char *arg)
{
	const char *name = arg + 2, *eq = strchr(name, '=');
	size_t n = eq ? (size_t)(eq - name) : strlen(name);
	const struct option_spec *o = lookup(c, name, n, 0);

	if (!o)
		unknown_option(c, arg, name, n);
	else if (!o->value && eq)
		report_usage(c->command, "option --%s takes no value", o->name);
	else if (!o->value || (is_optional(o) && !eq))
		take(c, o, "");
	else
		take(c, o, eq ? eq + 1 : next_value(c, arg));
}

static void parse_short(struct cursor *c, const char *arg)
{
	for (const char *p = arg + 1; *p; p++) {
		const struct option_spec *o = lookup(c, NULL, 0, *p);

		if (!o)
			unknown_option(c, arg, p, 1);
		else if (!o->value || (is_optional(o) && !isdigit((unsigned char)p[1])))
			take(c, o, "");
		else {
			take(c, o, p[1] ? p + 1 : next_value(c, arg));
			return;
		}
	}
}

static bool is_option(const char *arg)
{
	return arg[0] == '-' && arg[1] != '\0';
}

int args_parse_global(struct cli *cli, int argc, char **argv)
{
	struct cursor c = {.cli = cli, .argc = argc, .argv = argv, .i = 1};

	for (; c.i < argc && is_option(argv[c.i]); c.i++) {
		if (argv[c.i][1] == '-')
			parse_long(&c, argv[c.i]);
		else
			parse_short(&c, argv[c.i]);
	}
	return c.i;
}

static void check_count(const struct args *a)
{
	const struct command *cmd = a->command;

	if (a->n_operands < cmd->args_min)
		report_usage(cmd, "%s: expected %s", cmd->name, cmd->synopsis);
	if (a->n_operands > cmd->args_max)
		report_usage(cmd, "%s: unexpected argument \"%s\"", cmd->name,
			     a->operands[cmd->args_max]);
}

void args_parse(struct cli *cli, const struct command *command, int argc, char **argv,
		struct args *ret)
{
	struct cursor c = {.cli = cli, .command = command, .argc = argc, .argv = argv, .out = ret};
	bool options = true;

	*ret = (struct args){.command = command, .verb = argv[0]};
	for (c.i = 1; c.i < argc; c.i++) {
		const char *arg = argv[c.i];

		if (options && strcmp(arg, "--") == 0) {
			options = false;
		} else if (options && is_option(arg)) {
			if (arg[1] == '-')
				parse_long(&c, arg);
			else
				parse_short(&c, arg);
		} else {
			x_grow(&ret->operands, &ret->cap_operands, ret->n_operands + 1,
			       sizeof(*ret->operands));
			ret->operands[ret->n_operands++] = arg;
			options = options && !command->options_first;
		}
	}
	check_count(ret);
}

void args_done(struct args *a)
{
	mem_free(a->options);
	mem_free(a->operands);
	*a = (struct args){0};
}

const char *args_nth(const struct args *a, const char *name, size_t i)
{
	for (size_t k = 0; k < a->n_options; k++) {
		if (strcmp(a->options[k].spec->name, name) == 0 && i-- == 0)
			return a->options[k].value;
	}
	return NULL;
}

const char *args_value(const struct args *a, const char *name, const char *fallback)
{
	for (size_t k = a->n_options; k > 0; k--) {
		if (strcmp(a->options[k - 1].spec->name, name) == 0)
			return a->options[k - 1].value;
	}
	return fallback;
}

bool args_flag(const struct args *a, const char *name)
{
	return args_value(a, name, NULL) != NULL;
}

int64_t args_duration(const struct args *a, const char *name, int64_t fallback_ms)
{
	const char *value = args_value(a, name, NULL);
	_cleanup_err_ struct err *e = NULL;
	int64_t ms = fallback_ms;

	if (value && parse_duration_ms(value, 0, INT64_C(365) * 86400 * 1000, &ms, &e) < 0)
		report_usage(a->command, "--%s: %s", name, err_msg(e));
	return ms;
}

int64_t args_number(const struct args *a, const char *name, int64_t min, int64_t max,
		    int64_t fallback)
{
	const char *value = args_value(a, name, NULL);
	_cleanup_err_ struct err *e = NULL;
	int64_t n = fallback;

	if (value && parse_i64(value, min, max, &n, &e) < 0)
		report_usage(a->command, "--%s: %s", name, err_msg(e));
	return n;
}
