/*
 * selector: which services of a list are meant: `--set NAME` and `-l KEY=VALUE,...` (labels, as
 * kubectl writes them: key=value, key!=value, key (has it), !key (has not); commas and repeated
 * options mean "and").
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_SELECTOR_H
#define AICTL_CLI_SELECTOR_H

#include <stdbool.h>
#include <cjson/cJSON.h>

struct args;

#define SELECTOR_OPTIONS                                                                           \
	{0, "set", "NAME", "only services of this apply set", NULL},                               \
	{                                                                                          \
		'l', "selector", "LABELS", "only these labels: KEY=VALUE, KEY!=VALUE, KEY, !KEY",  \
			NULL                                                                       \
	}

/* Ends the program with 2 when a selector makes no sense. */
void selector_check(const struct args *args);
/* Anything selected by --set or -l. */
bool selector_is_used(const struct args *args);
/* Whether a service object (with "set" and "labels") is meant. */
bool selector_matches(const struct args *args, const cJSON *service);

#endif
