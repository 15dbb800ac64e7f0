/*
 * test_cli_args: the option parser against a command of its own, the suggestions, and the table of
 * commands (every command explains itself). What ends the program is in cli_screens.py.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/suggest.h"
#include "lib/mem.h"

static const struct option_spec options[] = {
	{'f', "file", "FILE", "a file", NULL},
	{'n', "lines", "N", "a number", NULL},
	{0, "timeout", "TIME", "a time", NULL},
	{'a', "all", NULL, "a flag", NULL},
	{'b', "both", NULL, "a flag", NULL},
	{'o', "output", "FORMAT", "a choice", "table|json"},
	{0},
};

static const struct command command = {
	.name = "do", .synopsis = "[X...]", .options = options, .args_max = ARGS_MANY};

/* argv ends with NULL. */
static struct args parse(struct cli *cli, const char *const *argv)
{
	struct args a;
	int argc = 0;

	while (argv[argc])
		argc++;
	args_parse(cli, &command, argc, (char **)(uintptr_t)argv, &a);
	return a;
}

#define PARSE(cli, ...) parse(cli, (const char *const[]){"do", __VA_ARGS__, NULL})

static void mixed_options_and_operands(void **state)
{
	struct cli cli = {0};
	struct args a =
		PARSE(&cli, "x", "-a", "y", "--file", "1", "-f2", "-f", "3", "--file=4", "z");

	(void)state;
	assert_int_equal(a.n_operands, 3);
	assert_string_equal(a.operands[0], "x");
	assert_string_equal(a.operands[2], "z");
	assert_true(args_flag(&a, "all"));
	assert_false(args_flag(&a, "both"));
	assert_string_equal(args_nth(&a, "file", 0), "1");
	assert_string_equal(args_nth(&a, "file", 1), "2");
	assert_string_equal(args_nth(&a, "file", 3), "4");
	assert_null(args_nth(&a, "file", 4));
	assert_string_equal(args_value(&a, "file", "?"), "4");
	args_done(&a);
}

/* aictl exec -a chat ls -a -- --file */
static void options_before_the_first_operand_only(void **state)
{
	static const struct command first = {.name = "do",
					     .synopsis = "X...",
					     .options = options,
					     .args_max = ARGS_MANY,
					     .options_first = true};
	const char *argv[] = {"do", "-a", "chat", "ls", "-b", "--", "--file", NULL};
	struct cli cli = {0};
	struct args a;

	(void)state;
	args_parse(&cli, &first, 7, (char **)(uintptr_t)argv, &a);
	assert_true(args_flag(&a, "all"));
	assert_false(args_flag(&a, "both"));
	assert_int_equal(a.n_operands, 5);
	assert_string_equal(a.operands[3], "--");
	assert_string_equal(a.operands[4], "--file");
	args_done(&a);
	argv[1] = "--"; /* ends the options; behind an operand it is one */
	argv[2] = "-a";
	args_parse(&cli, &first, 7, (char **)(uintptr_t)argv, &a);
	assert_int_equal(a.n_operands, 5);
	assert_string_equal(a.operands[0], "-a");
	args_done(&a);
}

static void joined_letters(void **state)
{
	struct cli cli = {0};
	struct args a = PARSE(&cli, "-abn5", "-o", "json");

	(void)state;
	assert_true(args_flag(&a, "all"));
	assert_true(args_flag(&a, "both"));
	assert_int_equal(args_number(&a, "lines", 0, 10, 7), 5);
	assert_string_equal(args_value(&a, "output", "table"), "json");
	args_done(&a);
}

static void dashes(void **state)
{
	struct cli cli = {0};
	struct args a = PARSE(&cli, "-f", "-", "-", "--", "-a", "--file");

	(void)state;
	assert_string_equal(args_value(&a, "file", "?"), "-");
	assert_int_equal(a.n_operands, 3);
	assert_string_equal(a.operands[0], "-");
	assert_string_equal(a.operands[1], "-a");
	assert_string_equal(a.operands[2], "--file");
	args_done(&a);
}

static void socket_is_global(void **state)
{
	struct cli cli = {0};
	const char *before[] = {"aictl", "--socket", "/a", "do", NULL};
	struct args a;

	(void)state;
	assert_int_equal(args_parse_global(&cli, 4, (char **)(uintptr_t)before), 3);
	assert_string_equal(cli.socket, "/a");
	a = PARSE(&cli, "--socket=/b");
	assert_string_equal(cli.socket, "/b");
	args_done(&a);
}

static void numbers_and_times(void **state)
{
	struct cli cli = {0};
	struct args a = PARSE(&cli, "--timeout", "1m30s");

	(void)state;
	assert_int_equal(args_duration(&a, "timeout", 5), 90000);
	assert_int_equal(args_number(&a, "lines", 0, 10, 7), 7);
	args_done(&a);
}

static const char *nearest(const char *wanted)
{
	return commands_nearest(wanted) ? commands_nearest(wanted) : "";
}

static void suggestions(void **state)
{
	(void)state;
	assert_string_equal(nearest("statr"), "start");
	assert_string_equal(nearest("restrat"), "restart");
	assert_string_equal(nearest("aply"), "apply");
	assert_string_equal(nearest("desc"), "describe");
	assert_string_equal(nearest("logss"), "logs");
	assert_string_equal(nearest("frobnicate"), "");
	assert_string_equal(nearest(""), "");
	assert_string_equal(nearest("0123456789012345678901234567890123456789012345"), "");
}

/* Each line of the examples is a use of the command (or a comment, or part of a pipe) whose options
 * exist. */
static void check_examples(const struct command *c)
{
	_cleanup_free_ char *text = mem_strdup(c->examples);
	char *line, *word, *lines = NULL, *words = NULL;
	bool shown = false;

	for (line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
		bool ours = false;

		if (strlen(line) + 2 > 80)
			fail_msg("aictl %s: an example is too wide: %s", c->name, line);
		for (word = strtok_r(line, " ", &words); word; word = strtok_r(NULL, " ", &words)) {
			const struct option_spec *o = c->options;
			size_t n = strcspn(word, "=");

			if (*word == '|' || *word == '#' || strcmp(word, "--") == 0)
				break;
			ours = ours || commands_find(word) == c;
			shown = shown || ours;
			if (!ours || strncmp(word, "--", 2) != 0)
				continue;
			while (o && o->name &&
			       (strlen(o->name) != n - 2 || strncmp(o->name, word + 2, n - 2) != 0))
				o++;
			if (!o || !o->name)
				fail_msg("aictl %s: an example uses %s, which is no option",
					 c->name, word);
		}
	}
	if (!shown)
		fail_msg("aictl %s: no example shows it", c->name);
}

static void every_command_explains_itself(void **state)
{
	(void)state;
	for (size_t i = 0; i < commands_count(); i++) {
		const struct command *c = commands_at(i);

		assert_non_null(c->summary);
		assert_non_null(c->synopsis);
		if (!c->examples)
			fail_msg("aictl %s has no examples", c->name);
		check_examples(c);
		assert_in_range(strlen(c->summary), 10, 60);
		assert_non_null(c->run);
		assert_true(c->args_min <= c->args_max);
		assert_ptr_equal(commands_find(c->name), c);
		for (const struct option_spec *o = c->options; o && o->name; o++)
			assert_non_null(o->doc);
	}
	assert_ptr_equal(commands_find("ls"), commands_find("ps"));
	assert_null(commands_find("p"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mixed_options_and_operands),
		cmocka_unit_test(options_before_the_first_operand_only),
		cmocka_unit_test(joined_letters),
		cmocka_unit_test(dashes),
		cmocka_unit_test(socket_is_global),
		cmocka_unit_test(numbers_and_times),
		cmocka_unit_test(suggestions),
		cmocka_unit_test(every_command_explains_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
