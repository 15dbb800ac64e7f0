/* doctor: see doctor.h. The document of all findings, and how it is printed. */
/* SPDX-License-Identifier: MIT */
#include "cli/doctor.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/mem.h"

#define LEFT 27 /* columns before the text */

static const char *const level_names[] = {
	[DOCTOR_OK] = "ok", [DOCTOR_WARNING] = "warning", [DOCTOR_PROBLEM] = "problem"};

static void add_text(cJSON *o, const char *key, const char *text)
{
	x_check(text ? cJSON_AddStringToObject(o, key, text) : cJSON_AddNullToObject(o, key));
}

cJSON *doctor_document(const struct doctor_machine *m)
{
	cJSON *document = x_check(cJSON_CreateObject());
	cJSON *list = x_check(cJSON_AddArrayToObject(document, "checks"));
	unsigned count[3] = {0};

	for (const struct doctor_check *c = doctor_checks; c->name; c++) {
		struct doctor_finding f = {0};
		cJSON *o = x_check(cJSON_CreateObject());

		c->look(m, &f);
		count[f.level]++;
		add_text(o, "name", c->name);
		add_text(o, "level", level_names[f.level]);
		add_text(o, "found", f.found);
		add_text(o, "costs", f.level == DOCTOR_OK ? NULL : f.costs);
		add_text(o, "advice", f.level == DOCTOR_OK ? NULL : f.advice);
		cJSON_AddItemToArray(list, o);
		mem_free(f.found);
	}
	x_check(cJSON_AddNumberToObject(document, "ok", count[DOCTOR_OK]));
	x_check(cJSON_AddNumberToObject(document, "warnings", count[DOCTOR_WARNING]));
	x_check(cJSON_AddNumberToObject(document, "problems", count[DOCTOR_PROBLEM]));
	return document;
}

/* Label and words of text from column LEFT on, broken at the width of the terminal. */
static void put_wrapped(const struct cli *cli, const char *label, const char *text)
{
	size_t width = cli->term.columns > LEFT + 20 ? cli->term.columns : LEFT + 53, at;
	bool fresh = true; /* nothing but the label on this line */

	at = LEFT + strlen(label);
	fputs(label, stdout);
	while (*text) {
		size_t n = strcspn(text, " ");

		if (!fresh && at + 1 + n > width) {
			printf("\n%*s", LEFT, "");
			at = LEFT;
		} else if (!fresh) {
			putchar(' ');
			at++;
		}
		printf("%.*s", (int)n, text);
		fresh = false;
		at += n;
		text += n + (text[n] == ' ');
	}
	putchar('\n');
}

static const char *color_of(const char *level)
{
	return strcmp(level, "ok") == 0	       ? TERM_GREEN
	       : strcmp(level, "warning") == 0 ? TERM_YELLOW
					       : TERM_BOLD_RED;
}

static void put_part(const struct cli *cli, const char *label, const char *text)
{
	if (!text)
		return;
	printf("%*s", LEFT, "");
	put_wrapped(cli, label, text);
}

void doctor_print(const struct output *out, const cJSON *document)
{
	const struct term *term = &out->cli->term;
	const cJSON *c;

	cJSON_ArrayForEach (c, js_get(document, "checks")) {
		const char *level = js_str(c, "level", "?");

		printf("%s%-8s%s  %-15s  ", term_paint(term, color_of(level)), level,
		       term_paint(term, TERM_RESET), js_str(c, "name", "?"));
		put_wrapped(out->cli, "", js_str(c, "found", ""));
		put_part(out->cli, "costs: ", js_str(c, "costs", NULL));
		put_part(out->cli, "do: ", js_str(c, "advice", NULL));
	}
	printf("%lld ok, %lld warnings, %lld problems\n", (long long)js_int(document, "ok", 0),
	       (long long)js_int(document, "warnings", 0),
	       (long long)js_int(document, "problems", 0));
}
