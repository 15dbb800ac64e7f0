/* help: see help.h. Plain ASCII, 80 columns. */
/* SPDX-License-Identifier: MIT */
#include "cli/help.h"

#include <stdbool.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/mem.h"

#define WIDTH 80
#define OPTION_COLUMN 29

static const char *const group_titles[GROUP_MAX_] = {
	[GROUP_MANIFEST] = "Manifests",
	[GROUP_LOOK] = "Look",
	[GROUP_ACT] = "Act on services",
	[GROUP_OTHER] = "Daemon and help",
};

static void group(FILE *out, enum command_group g)
{
	fprintf(out, "\n%s:\n", group_titles[g]);
	for (size_t i = 0; i < commands_count(); i++) {
		const struct command *c = commands_at(i);

		if (c->group == g)
			fprintf(out, "  %-10s  %s\n", c->name, c->summary);
	}
}

void help_overview(FILE *out)
{
	fputs("aictl runs model services on this machine and keeps them healthy.\n\n"
	      "Usage: aictl [--socket PATH] COMMAND [OPTIONS] [ARGUMENTS]\n",
	      out);
	for (int g = 0; g < GROUP_MAX_; g++)
		group(out, (enum command_group)g);
	fputs("\nStart with:\n"
	      "  aictl up                      # run ./aictl.yaml here, until Ctrl-C\n"
	      "  aictl ps                      # what runs\n"
	      "  aictl logs -f SERVICE         # what it says\n"
	      "\nEach command explains itself: aictl help COMMAND, or COMMAND --help.\n"
	      "The whole story: man aictl\n",
	      out);
}

/* Words of text from column `at` on, broken before column WIDTH and indented then. */
static void put_words(const char *text, size_t n, size_t *at, size_t indent)
{
	for (const char *p = text; p < text + n;) {
		size_t word = strcspn(p, " \n");

		if (word > (size_t)(text + n - p))
			word = (size_t)(text + n - p);
		if (*at > indent && *at + 1 + word > WIDTH) {
			printf("\n%*s", (int)indent, "");
			*at = indent;
		} else if (*at > indent) {
			putchar(' ');
			*at += 1;
		}
		printf("%.*s", (int)word, p);
		*at += word;
		p += word + 1;
	}
}

static void option_line(const struct option_spec *o)
{
	char left[64], letter[8] = "    ";
	size_t at = OPTION_COLUMN;

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name,
		 o->value && o->value[0] != '[' ? " " : "", o->value ? o->value : "");
	printf("  %-26s ", left);
	if (strlen(left) > OPTION_COLUMN - 3)
		printf("\n%*s", OPTION_COLUMN, "");
	put_words(o->doc, strlen(o->doc), &at, OPTION_COLUMN);
	putchar('\n');
}

static void options(const struct option_spec *o)
{
	for (; o && o->name; o++)
		option_line(o);
}

/* Prose is filled; a line that is indented, or holds two spaces in a row, is kept as it is. */
static bool is_prose(const char *line, size_t n)
{
	return n > 0 && line[0] != ' ' && !memmem(line, n, "  ", 2);
}

static void details(const char *text)
{
	size_t at = 0;

	putchar('\n');
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");

		if (is_prose(p, n)) {
			put_words(p, n, &at, 0);
		} else {
			printf("%s%.*s\n", at ? "\n" : "", (int)n, p);
			at = 0;
		}
		p += n + (p[n] == '\n');
	}
	if (at)
		putchar('\n');
}

static void examples(const char *text)
{
	printf("\nExamples:\n");
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");

		printf("  %.*s\n", (int)n, p);
		p += n + (p[n] == '\n');
	}
}

/* A line that is too long goes on below the first argument. */
static void usage(const struct command *c)
{
	const char *rest = c->synopsis, *end;
	int at = printf("Usage: aictl %s", c->name), margin = at;

	for (; *rest; rest = end) {
		size_t n = strcspn(rest, " ");

		if (at + 1 + (int)n > WIDTH && at > margin)
			at = printf("\n%*s", margin, "") - 1;
		at += printf(" %.*s", (int)n, rest);
		end = rest + n + (rest[n] == ' ');
	}
	printf("\n\n%s\n", c->summary);
}

void help_show(const struct cli *cli, const struct command *c)
{
	(void)cli;
	if (!c) {
		help_overview(stdout);
		return;
	}
	usage(c);
	if (c->aliases[0])
		printf("\nAlso: aictl %s%s%s\n", c->aliases[0], c->aliases[1] ? ", aictl " : "",
		       c->aliases[1] ? c->aliases[1] : "");
	if (c->details)
		details(c->details);
	printf("\nOptions:\n");
	options(c->options);
	options(args_global_options);
	if (c->examples)
		examples(c->examples);
}
