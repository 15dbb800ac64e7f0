/*
 * manifest_keys: prints the keys of a manifest as mdoc, from the schema table, for
 * aictl-manifest(5). So no key can be missing from the manual and no default can be out of date.
 * Run once by make; the result is put in place of the line KEYS of aictl-manifest.5.in.
 *
 * SPDX-License-Identifier: MIT
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/schema.h"

static const char *const type_names[SCHEMA_TYPE_MAX_] = {
	[SCHEMA_OBJECT] = "map",
	[SCHEMA_SERVICES] = "map",
	[SCHEMA_STRING] = "text",
	[SCHEMA_INT] = "number",
	[SCHEMA_NUMBER] = "decimal",
	[SCHEMA_DURATION] = "duration",
	[SCHEMA_SIZE] = "size",
	[SCHEMA_ENUM] = "word",
	[SCHEMA_SIGNAL] = "signal",
	[SCHEMA_LIST] = "list",
	[SCHEMA_MAP] = "map of text",
	[SCHEMA_UMASK] = "octal",
	[SCHEMA_LIMIT] = "limit",
	[SCHEMA_INTS] = "list of numbers",
	[SCHEMA_PORTREF] = "number or name",
	[SCHEMA_TABLE] = "map of maps",
	[SCHEMA_DEFAULTS] = "map",
	[SCHEMA_BOOL] = "true or false",
	[SCHEMA_SHARE] = "number or share",
	[SCHEMA_TREE] = "map of anything",
	[SCHEMA_ANY] = "anything",
};

static void print_size(int64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t u = 0;

	while (bytes >= 1024 && bytes % 1024 == 0 && u + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		u++;
	}
	printf("%" PRId64 "%s", bytes, units[u]);
}

static void print_bound(const struct schema_row *row, int64_t value)
{
	char text[64];

	if (row->type == SCHEMA_DURATION)
		fputs(clock_human(value, text, sizeof(text)), stdout);
	else if (row->type == SCHEMA_SIZE)
		print_size(value);
	else if (row->type == SCHEMA_NUMBER)
		printf("%g", (double)value / 1000);
	else if (row->type == SCHEMA_UMASK)
		printf("%s%" PRIo64, value ? "0" : "", (uint64_t)value);
	else
		printf("%" PRId64, value);
}

/* How many entries; elsewhere the range. */
static bool print_entries(const struct schema_row *row)
{
	if (row->flags & SCHEMA_ONE_OR_MANY)
		printf("A single one may stand without brackets.\n");
	if (row->type != SCHEMA_LIST && row->type != SCHEMA_MAP && row->type != SCHEMA_TABLE)
		return false;
	printf("At most %" PRId64 " entries.\n", row->max);
	return true;
}

static void print_range(const struct schema_row *row)
{
	char words[SCHEMA_WORDS_SIZE];

	if (row->type == SCHEMA_ENUM)
		printf("One of %s.\n", schema_words(row, words, sizeof(words)));
	if (print_entries(row) || row->max == 0 || row->min == row->max ||
	    row->max == INT64_MAX - 1)
		return;
	printf(row->type == SCHEMA_INTS ? "Each from " : "From ");
	print_bound(row, row->min);
	printf(" to ");
	print_bound(row, row->max);
	printf(".\n");
}

/* "Exactly one of http, tcp, exec must be given." */
static void print_choices(const struct schema_row *row)
{
	const struct schema_row *r = NULL;
	const char *before = "Exactly one of ";

	if (!(row->flags & SCHEMA_ONE_OF))
		return;
	while ((r = schema_next(row, r)) != NULL) {
		if (!(r->flags & SCHEMA_CHOICE))
			continue;
		printf("%s%s", before, schema_key(r));
		before = ", ";
	}
	printf(" must be given");
	before = ", unless ";
	while ((r = schema_next(row, r)) != NULL) {
		if (!(r->flags & SCHEMA_SUFFICES))
			continue;
		printf("%s%s", before, schema_key(r));
		before = " or ";
	}
	printf("%s.\n", before[0] == ' ' ? " is" : "");
}

static void print_row(const struct schema_row *row)
{
	if (row->flags & SCHEMA_HIDDEN)
		return;
	printf(".It Cm %s : Ar %s\n%s.\n", schema_shown(row),
	       row->flags & SCHEMA_LISTED ? row[1].brief ? "list of texts or maps" : "list of maps"
					  : type_names[row->type],
	       row->doc);
	print_range(row);
	print_choices(row);
	if (row->flags & SCHEMA_REQUIRED)
		printf("Must be given.\n");
	else if (row->def && row->def[0])
		printf("Default: %s.\n", row->def);
	else if (row->def_note)
		printf("Default: %s.\n", row->def_note);
	if (row->flags & SCHEMA_EXPANDED)
		printf("References are expanded.\n");
	if (schema_only(row) == SCHEMA_PROCESS)
		printf("Only a process has it.\n");
	if (row->change == CHANGE_REPLACE)
		printf("A change replaces the replicas.\n");
}

int main(void)
{
	size_t n;
	const struct schema_row *rows = schema_rows(&n);
	const struct schema_row *service = schema_find("services.*");

	printf(".Ss The file\n.Bl -tag -width Ds\n");
	for (size_t i = 0; i < n && &rows[i] != service; i++)
		print_row(&rows[i]);
	printf(".El\n.Ss A service\n.Bl -tag -width Ds\n");
	for (size_t i = 0; i < n; i++)
		if (&rows[i] != service && schema_below(&rows[i], service))
			print_row(&rows[i]);
	printf(".El\n");
	return ferror(stdout) != 0;
}
