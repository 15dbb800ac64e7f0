/*
 * cmd_complete: aictl __complete -- WORD..., what the last word may become; the completion scripts
 * of the shells ask it at each Tab. Everything comes from the tables: verbs and options from
 * commands.c, values from an option's choice or placeholder, operands from the placeholders in a
 * command's synopsis (SERVICE, KEY, a|b), so that nothing here has to be kept up to date.
 *
 * One candidate a line, a tab and a description behind it where there is one. A line that begins
 * with ":" is for the script: ":files" = names of files, too; ":nospace" = no blank behind it.
 * Live names come from the daemon within PATIENCE_MS; without a daemon there are none, and nothing
 * is ever said on stderr. Not in the help: it is not for people.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/commands.h"
#include "cli/js.h"
#include "cli/x.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema.h"

#define PATIENCE_MS 1000
#define SIGNALS_MAX 64
#define LEVELS "error|warn|info|debug"

/* What stands before the word that is completed. */
struct line {
	struct cli *cli;
	const struct command *command;	   /* NULL: the verb itself is asked for */
	const struct option_spec *pending; /* its value is asked for */
	size_t n_operands;
	const char *first;  /* of them */
	bool unknown;	    /* the verb is none of ours */
	bool no_options;    /* behind "--" */
	const char *prefix; /* "--output=": stands before each candidate */
	const char *word;   /* what there is of it */
	char *file_dir;	    /* of -f */
};

static void offer(const struct line *l, const char *text, const char *doc)
{
	if (strncmp(text, l->word, strlen(l->word)) != 0)
		return;
	printf("%s%s", l->prefix, text);
	if (doc)
		printf("\t%s", doc);
	putchar('\n');
}

/* --- what was typed --------------------------------------------------------------------- */

static const struct option_spec *find_long(const struct option_spec *o, const char *name, size_t n)
{
	for (; o && o->name; o++)
		if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
			return o;
	return NULL;
}

static const struct option_spec *find_letter(const struct option_spec *o, char letter)
{
	for (; o && o->name; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

static const struct option_spec *long_option(const struct line *l, const char *name, size_t n)
{
	const struct option_spec *o = l->command ? find_long(l->command->options, name, n) : NULL;

	return o ? o : find_long(args_global_options, name, n);
}

static const struct option_spec *letter_option(const struct line *l, char letter)
{
	const struct option_spec *o = l->command ? find_letter(l->command->options, letter) : NULL;

	return o ? o : find_letter(args_global_options, letter);
}

/* "[=TIME]": may be left out, so the next word is not it. */
static bool takes_word(const struct option_spec *o)
{
	return o && o->value && o->value[0] != '[';
}

/* Which daemon is meant depends on these two. */
static void note_value(struct line *l, const struct option_spec *o, const char *value)
{
	struct stat st;

	if (strcmp(o->name, "socket") == 0) {
		l->cli->socket = value;
	} else if (strcmp(o->name, "file") == 0 && strcmp(value, "-") != 0 && !l->file_dir) {
		l->file_dir = stat(value, &st) == 0 && S_ISDIR(st.st_mode) ? realpath(value, NULL)
									   : fs_dirname(value);
		l->cli->dir = l->file_dir;
	}
}

static void read_option(struct line *l, const char *word)
{
	const char *eq = strchr(word, '=');
	const struct option_spec *o;

	if (word[1] == '-') {
		o = long_option(l, word + 2, eq ? (size_t)(eq - word - 2) : strlen(word + 2));
		if (o && eq)
			note_value(l, o, eq + 1);
		else if (takes_word(o))
			l->pending = o;
		return;
	}
	for (const char *p = word + 1; *p; p++) {
		o = letter_option(l, *p);
		if (!o || !o->value)
			continue;
		if (p[1])
			note_value(l, o, p + 1);
		else if (takes_word(o))
			l->pending = o;
		return;
	}
}

static void read_word(struct line *l, const char *word)
{
	if (l->pending) {
		note_value(l, l->pending, word);
		l->pending = NULL;
	} else if (!l->no_options && strcmp(word, "--") == 0) {
		l->no_options = true;
	} else if (!l->no_options && word[0] == '-' && word[1]) {
		read_option(l, word);
	} else if (!l->command) {
		l->command = commands_find(word);
		l->unknown = !l->command;
	} else if (l->n_operands++ == 0) {
		l->first = word;
	}
}

/* --- candidates ------------------------------------------------------------------------- */

static void offer_verbs(const struct line *l)
{
	for (size_t i = 0; i < commands_count(); i++) {
		const struct command *c = commands_at(i);

		offer(l, c->name, c->summary);
		for (const char *const *alias = c->aliases; *alias; alias++)
			offer(l, *alias, c->summary);
	}
}

static void offer_options(const struct line *l, const struct option_spec *o)
{
	for (; o && o->name; o++) {
		_cleanup_free_ char *text = x_printf("--%s", o->name);

		offer(l, text, o->doc);
	}
}

/* The words of "a|b|c", up to n bytes. */
static void offer_choice(const struct line *l, const char *choice, size_t n)
{
	for (const char *p = choice; p < choice + n;) {
		size_t len = strcspn(p, "|");
		_cleanup_free_ char *word = NULL;

		if (len > (size_t)(choice + n - p))
			len = (size_t)(choice + n - p);
		word = x_strndup(p, len);
		offer(l, word, NULL);
		p += len + 1;
	}
}

static void offer_signals(const struct line *l)
{
	for (int sig = 1; sig < SIGNALS_MAX; sig++) {
		const char *name = parse_signal_name(sig);

		if (name)
			offer(l, name, NULL);
	}
}

static void offer_keys(const struct line *l)
{
	const struct schema_row *rows;
	size_t n;

	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++)
		if (!(rows[i].flags & SCHEMA_HIDDEN))
			offer(l, schema_shown(&rows[i]), rows[i].doc);
}

enum live { LIVE_SERVICES, LIVE_REPLICAS, LIVE_SCALES, LIVE_SETS };

/* A set is offered with its first service. */
static bool is_new_set(const cJSON *service)
{
	const cJSON *s = service;

	while ((s = s->prev) && s->next) /* the first one's prev is the last */
		if (strcmp(js_str(s, "set", ""), js_str(service, "set", "")) == 0)
			return false;
	return true;
}

static void offer_replicas(const struct line *l, const cJSON *service)
{
	const cJSON *r;

	cJSON_ArrayForEach (r, js_get(service, "replicas"))
		offer(l, js_str(r, "id", ""), js_str(r, "state", NULL));
}

static void offer_scale(const struct line *l, const cJSON *service)
{
	_cleanup_free_ char *text = x_printf("%s=", js_str(service, "name", ""));
	_cleanup_free_ char *doc =
		x_printf("%lld replicas now", (long long)js_int(service, "desired", 0));

	offer(l, text, doc);
}

static void offer_live_service(const struct line *l, const cJSON *s, enum live what)
{
	switch (what) {
	case LIVE_SCALES:
		offer_scale(l, s);
		break;
	case LIVE_SETS:
		if (is_new_set(s))
			offer(l, js_str(s, "set", ""), NULL);
		break;
	case LIVE_REPLICAS:
		offer(l, js_str(s, "name", ""), js_str(s, "state", NULL));
		offer_replicas(l, s);
		break;
	case LIVE_SERVICES:
	default:
		offer(l, js_str(s, "name", ""), js_str(s, "state", NULL));
	}
}

/* Ends the program, with nothing said, when no daemon answers: this is the last thing done. */
static void offer_live(const struct line *l, enum live what)
{
	_cleanup_client_ struct client *client = NULL;
	_cleanup_reply_ struct reply reply = {0};
	const cJSON *s;

	if (fflush(stdout) != 0 || !freopen("/dev/null", "we", stderr))
		return;
	client = client_open(l->cli);
	client_set_patience(client, PATIENCE_MS);
	client_get(client, "/v1/services", &reply);
	cJSON_ArrayForEach (s, js_get(reply.json, "services"))
		offer_live_service(l, s, what);
}

/* What a placeholder stands for; n bytes of it count. */
static void offer_placeholder(const struct line *l, const char *name, size_t n)
{
	static const struct {
		const char *name;
		enum live what;
	} live[] = {{"SERVICE=N", LIVE_SCALES},	  {"SERVICE[/N]", LIVE_REPLICAS},
		    {"SERVICE/N", LIVE_REPLICAS}, {"REPLICA", LIVE_REPLICAS},
		    {"SERVICE", LIVE_SERVICES},	  {"SET", LIVE_SETS}};
	_cleanup_free_ char *text = x_strndup(name, n);

	if (strcmp(text, "SERVICE|SET") == 0) { /* of rollout: only history asks for a set */
		offer_live(l, strcmp(l->first, "history") == 0 ? LIVE_SETS : LIVE_SERVICES);
		return;
	}
	if (strcmp(text, "SERVICE=N") == 0)
		puts(":nospace");
	if (strcmp(text, "KEY") == 0)
		offer_keys(l);
	else if (strcmp(text, "COMMAND") == 0 && l->command->args_max == 1)
		offer_verbs(l); /* of ours; that of `exec` is the service's */
	else if (strcmp(text, "LEVEL") == 0 && l->first && strcmp(l->first, "log-level") == 0)
		offer_choice(l, LEVELS, strlen(LEVELS));
	else if (strncmp(text, "SIG", 3) == 0)
		offer_signals(l);
	else if (strstr(text, "FILE") || strstr(text, "DIR") || strcmp(text, "PATH") == 0)
		puts(":files");
	else if (text[strspn(text, "abcdefghijklmnopqrstuvwxyz-|")] == '\0')
		offer_choice(l, text, n);
	for (size_t i = 0; i < ARRAY_SIZE(live); i++) {
		if (strcmp(text, live[i].name) == 0) {
			offer_live(l, live[i].what);
			return;
		}
	}
}

static bool is_word(const char *p, size_t n, const char *name)
{
	return strlen(name) == n && strncmp(p, name, n) == 0;
}

/* The index-th operand of a synopsis such as "[OPTIONS] SERVICE[/N]... [KEY]"; the last one may be
 * repeated. */
static void offer_operand(const struct line *l)
{
	const char *p = l->command->synopsis, *found = NULL;
	size_t index = l->n_operands, len = 0;

	while (*p) {
		size_t n = strcspn(p, " ");
		const char *name = p + (*p == '[');
		size_t size = n - (*p == '[') - (n > 0 && *p == '[' && p[n - 1] == ']');
		bool repeated = size > 3 && strncmp(name + size - 3, "...", 3) == 0;

		if (!is_word(p, n, "[OPTIONS]") && !is_word(p, n, "[--]") && !is_word(p, n, "--")) {
			found = name;
			len = repeated ? size - 3 : size;
			if (index == 0 || repeated)
				break;
			index--;
			found = NULL;
		}
		p += n + (p[n] == ' ');
	}
	if (found)
		offer_placeholder(l, found, len);
}

static void offer_value(const struct line *l, const struct option_spec *o)
{
	if (o->choice)
		offer_choice(l, o->choice, strlen(o->choice));
	else if (strcmp(o->name, "set") == 0)
		offer_placeholder(l, "SET", strlen("SET"));
	else if (o->value)
		offer_placeholder(l, o->value, strlen(o->value));
}

/* "--output=js": the value, with what stands before it. */
static void offer_joined(struct line *l, const char *word)
{
	const char *eq = strchr(word, '=');
	const struct option_spec *o = long_option(l, word + 2, (size_t)(eq - word - 2));
	_cleanup_free_ char *prefix = x_strndup(word, (size_t)(eq - word + 1));

	if (!o)
		return;
	l->prefix = prefix;
	l->word = eq + 1;
	offer_value(l, o);
}

static void offer_word(struct line *l, const char *word)
{
	l->word = word;
	l->prefix = "";
	if (l->pending) {
		offer_value(l, l->pending);
	} else if (!l->no_options && strncmp(word, "--", 2) == 0 && strchr(word, '=')) {
		offer_joined(l, word);
	} else if (!l->no_options && word[0] == '-') {
		offer_options(l, l->command ? l->command->options : NULL);
		offer_options(l, args_global_options);
	} else if (!l->command && !l->unknown) {
		offer_verbs(l);
	} else if (l->command) {
		offer_operand(l);
	}
}

static int run(struct cli *cli, const struct args *args)
{
	struct line l = {.cli = cli};

	for (size_t i = 0; i + 1 < args->n_operands; i++)
		read_word(&l, args->operands[i]);
	if (args->n_operands > 0)
		offer_word(&l, args->operands[args->n_operands - 1]);
	cli->dir = NULL;
	mem_free(l.file_dir);
	return CODE_OK;
}

const struct command cmd_complete_command = {
	.name = "__complete",
	.group = GROUP_OTHER,
	.synopsis = "-- WORD...",
	.summary = "What the last word may become, for the completion scripts",
	.args_max = ARGS_MANY,
	.run = run,
};
