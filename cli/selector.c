/* selector: see selector.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/selector.h"

#include <string.h>

#include "cli/args.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/mem.h"

/* One term, cut out of the option's value. */
struct term_of {
	char *key;
	char *value; /* NULL: only the key counts */
	bool negated;
};

static bool parse(char *text, struct term_of *ret)
{
	char *eq = strchr(text, '=');

	*ret = (struct term_of){.key = text};
	if (!eq) {
		ret->negated = *text == '!';
		ret->key = text + ret->negated;
		return *ret->key != '\0' && !strchr(ret->key, '!');
	}
	ret->negated = eq > text && eq[-1] == '!';
	eq[ret->negated ? -1 : 0] = '\0';
	ret->value = eq + 1 + (!ret->negated && eq[1] == '=');
	return *ret->key != '\0' && !strchr(ret->key, '!');
}

static bool holds(const struct term_of *term, const cJSON *labels)
{
	const char *has = js_str(labels, term->key, NULL);

	if (!term->value)
		return (has != NULL) != term->negated;
	return (has && strcmp(has, term->value) == 0) != term->negated;
}

/* All terms of all -l; `labels` NULL only checks how they are written. */
static bool each_term(const struct args *args, const cJSON *labels, bool check)
{
	const char *option;
	bool all = true;

	for (size_t i = 0; (option = args_nth(args, "selector", i)); i++) {
		_cleanup_free_ char *text = x_strdup(option);
		char *rest = text, *word;

		while ((word = strsep(&rest, ","))) {
			struct term_of term;

			if (!parse(word, &term) && check)
				report_usage(args->command,
					     "--selector %s: expected KEY=VALUE, KEY!=VALUE, KEY "
					     "or !KEY, separated by commas",
					     option);
			all &= check || holds(&term, labels);
		}
	}
	return all;
}

void selector_check(const struct args *args)
{
	each_term(args, NULL, true);
}

bool selector_is_used(const struct args *args)
{
	return args_flag(args, "set") || args_flag(args, "selector");
}

bool selector_matches(const struct args *args, const cJSON *service)
{
	const char *set = args_value(args, "set", NULL);

	if (set && strcmp(js_str(service, "set", ""), set) != 0)
		return false;
	return each_term(args, js_get(service, "labels"), false);
}
