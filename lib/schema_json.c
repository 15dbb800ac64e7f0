/*
 * schema_json: see schema_json.h. describe() writes what a row's value may be; demand() walks the
 * rows a second time for what must be given, which is kept apart so that it can be left out.
 * Patterns are in the part of the syntax that ECMAScript and Python share. The rows check texts by
 * functions; schema_pattern.c says the same as patterns, and a test compares the two.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/schema_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/jsonw.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema.h"
#include "lib/schema_pattern.h"

#define SERVICE "services.*"
struct gen {
	struct jsonw *w;
	bool overlay;
	bool nullable; /* null deletes what `defaults` or an earlier file says */
};

/* "type": one of these, and null where it deletes. */
static void write_types(const struct gen *g, const char *types)
{
	bool many = g->nullable || strchr(types, '|');

	if (!many) {
		jsonw_string(g->w, "type", types);
		return;
	}
	jsonw_array_begin(g->w, "type");
	for (const char *p = types; *p;) {
		size_t n = strcspn(p, "|");

		jsonw_string_n(g->w, NULL, p, n);
		p += n + (p[n] == '|');
	}
	if (g->nullable)
		jsonw_string(g->w, NULL, "null");
	jsonw_array_end(g->w);
}

static void write_bounds(const struct gen *g, const char *lo, const char *hi,
			 const struct schema_row *row)
{
	if (row->max == 0 && row->min == 0)
		return;
	if (row->min != INT64_MIN)
		jsonw_int(g->w, lo, row->min);
	if (row->max < INT64_MAX - 1)
		jsonw_int(g->w, hi, row->max);
}

static void describe(const struct gen *g, const char *key, const struct schema_row *row);
static void write_object(const struct gen *g, const struct schema_row *row);

/* --- scalars ---------------------------------------------------------------------------- */

static void write_text(const struct gen *g, const struct schema_row *row)
{
	const char *pattern = schema_pattern(row);
	bool status = pattern && strcmp(pattern, STATUSES_PATTERN) == 0;

	write_types(g, schema_pattern_types(row));
	if (strcmp(schema_pattern_types(row), "string|integer") == 0)
		jsonw_int(g->w, "minimum", status ? 100 : 0);
	if (status)
		jsonw_int(g->w, "maximum", 599);
	if (pattern)
		jsonw_string(g->w, "pattern", pattern);
	else if (row->flags & SCHEMA_EXPANDED)
		jsonw_string(g->w, "pattern", REFERENCES_PATTERN);
	if (!pattern || !(row->flags & SCHEMA_EXPANDED))
		return;
	jsonw_array_begin(g->w, "allOf");
	jsonw_object_begin(g->w, NULL);
	jsonw_string(g->w, "pattern", REFERENCES_PATTERN);
	jsonw_object_end(g->w);
	jsonw_array_end(g->w);
}

static void write_int(const struct gen *g, const struct schema_row *row)
{
	write_types(g, row->flags & SCHEMA_ALL ? "integer|string" : "integer");
	write_bounds(g, "minimum", "maximum", row);
	if (row->flags & SCHEMA_ALL)
		jsonw_string(g->w, "pattern", "^all$");
}

static void write_decimal(const struct gen *g, const struct schema_row *row)
{
	write_types(g, "number");
	jsonw_double(g->w, "minimum", (double)row->min / 1000);
	jsonw_double(g->w, "maximum", (double)row->max / 1000);
}

/* A bare 0 is the only number; ranges are beyond a pattern. */
static void write_duration(const struct gen *g, const struct schema_row *row)
{
	write_types(g, row->min > 0 ? "string" : "string|integer");
	jsonw_string(g->w, "pattern", "^(0|(" NUMBER_PATTERN "(ms|s|m|h|d))+)$");
	if (row->min == 0)
		jsonw_int(g->w, "maximum", 0);
	if (row->min == 0)
		jsonw_int(g->w, "minimum", 0);
}

static void write_size(const struct gen *g, const struct schema_row *row)
{
	write_types(g, "string|number");
	jsonw_string(g->w, "pattern", "^" NUMBER_PATTERN "([KMGT]iB|kB|[KMGT]B|B)?$");
	write_bounds(g, "minimum", "maximum", row);
}

static void write_enum(const struct gen *g, const struct schema_row *row)
{
	jsonw_array_begin(g->w, "enum");
	for (const char *p = row->names; *p;) {
		size_t n = strcspn(p, "|");

		jsonw_string_n(g->w, NULL, p, n);
		p += n + (p[n] == '|');
	}
	if (row->flags & SCHEMA_BARE_NO)
		jsonw_string(g->w, NULL, "no");
	if (g->nullable)
		jsonw_null(g->w, NULL);
	jsonw_array_end(g->w);
}

static void begin_choice(const struct gen *g)
{
	jsonw_array_begin(g->w, "anyOf");
}

static void end_choice(const struct gen *g)
{
	if (g->nullable)
		jsonw_raw(g->w, NULL, "{\"type\":\"null\"}");
	jsonw_array_end(g->w);
}

/* SIGTERM for completion; TERM, sigterm and 15 are as good. */
static void write_signal(const struct gen *g, const struct schema_row *row)
{
	_cleanup_buf_ struct buf any = {0};

	(void)row;
	begin_choice(g);
	jsonw_object_begin(g->w, NULL);
	jsonw_array_begin(g->w, "enum");
	buf_str(&any, "^([Ss][Ii][Gg])?(");
	for (int sig = 1; sig < 64; sig++) {
		const char *name = parse_signal_name(sig);

		if (!name)
			continue;
		jsonw_string(g->w, NULL, name);
		buf_str(&any, sig > 1 ? "|" : "");
		for (const char *p = name + strlen("SIG"); *p; p++) {
			if (*p >= 'A' && *p <= 'Z')
				buf_printf(&any, "[%c%c]", *p, *p | 0x20);
			else
				buf_char(&any, *p);
		}
	}
	jsonw_array_end(g->w);
	jsonw_object_end(g->w);
	buf_str(&any, ")$|^([1-9]|[1-5][0-9]|6[0-4])$");
	jsonw_object_begin(g->w, NULL);
	jsonw_string(g->w, "type", "string");
	jsonw_string(g->w, "pattern", buf_cstr(&any));
	jsonw_object_end(g->w);
	jsonw_raw(g->w, NULL, "{\"type\":\"integer\",\"minimum\":1,\"maximum\":64}");
	end_choice(g);
	g->w->out->failed |= any.failed;
}

/* --- lists and maps --------------------------------------------------------------------- */

/* Never null: an entry cannot be deleted. */
static void write_entry(const struct gen *g, const struct schema_row *row)
{
	const struct gen plain = {.w = g->w};

	if (row->type == SCHEMA_INTS)
		write_int(&plain, row);
	else
		write_text(&plain, row);
}

/* A command: the first text is the program and cannot be empty. */
static void write_program(const struct gen *g, const struct schema_row *row)
{
	jsonw_array_begin(g->w, "items");
	jsonw_object_begin(g->w, NULL);
	write_entry(g, row);
	jsonw_int(g->w, "minLength", 1);
	jsonw_object_end(g->w);
	jsonw_array_end(g->w);
	jsonw_object_begin(g->w, "additionalItems");
	write_entry(g, row);
	jsonw_object_end(g->w);
}

static void write_array(const struct gen *g, const struct schema_row *row)
{
	write_types(g, "array");
	if (row->flags & SCHEMA_EXPANDED) {
		write_program(g, row);
	} else {
		jsonw_object_begin(g->w, "items");
		write_entry(g, row);
		jsonw_object_end(g->w);
	}
	if (row->type == SCHEMA_LIST)
		write_bounds(g, "minItems", "maxItems", row);
	else
		jsonw_int(g->w, "minItems", 1);
}

static void write_list(const struct gen *g, const struct schema_row *row)
{
	const struct gen plain = {.w = g->w};

	if (!(row->flags & SCHEMA_ONE_OR_MANY)) {
		write_array(g, row);
		return;
	}
	begin_choice(g);
	jsonw_object_begin(g->w, NULL);
	write_entry(g, row);
	jsonw_object_end(g->w);
	jsonw_object_begin(g->w, NULL);
	write_array(&plain, row);
	jsonw_object_end(g->w);
	end_choice(g);
}

static void write_names(const struct gen *g, const struct schema_row *row)
{
	const char *pattern = schema_pattern(row);

	write_types(g, "object");
	if (row->max > 0)
		jsonw_int(g->w, "maxProperties", row->max);
	if (!pattern)
		return;
	jsonw_object_begin(g->w, "propertyNames");
	jsonw_string(g->w, "pattern", pattern);
	jsonw_object_end(g->w);
}

static void write_map(const struct gen *g, const struct schema_row *row)
{
	write_names(g, row);
	jsonw_object_begin(g->w, "additionalProperties");
	write_types(g, "string|number|boolean");
	if (row->flags & SCHEMA_EXPANDED)
		jsonw_string(g->w, "pattern", REFERENCES_PATTERN);
	jsonw_object_end(g->w);
}

static void demand(const struct gen *g, const struct schema_row *row);

/* The short form of a table: names alone. */
static void write_name_list(const struct gen *g, const struct schema_row *row)
{
	const struct gen plain = {.w = g->w};

	jsonw_object_begin(g->w, NULL);
	write_types(g, "array");
	write_bounds(g, "minItems", "maxItems", row);
	jsonw_bool(g->w, "uniqueItems", true);
	jsonw_object_begin(g->w, "items");
	write_text(&plain, row);
	jsonw_object_end(g->w);
	jsonw_object_end(g->w);
}

static void write_element(const struct gen *g, const struct schema_row *element)
{
	write_object(g, element);
	/* Apart: both may have "properties". */
	jsonw_array_begin(g->w, "allOf");
	jsonw_object_begin(g->w, NULL);
	demand(g, element);
	jsonw_object_end(g->w);
	jsonw_array_end(g->w);
}

/* Lists are replaced as a whole, so their elements are complete in every file. */
static void write_table(const struct gen *g, const struct schema_row *row)
{
	const struct schema_row *element = schema_next(row, NULL);
	const struct gen plain = {.w = g->w};

	if (row->flags & SCHEMA_NAMES) {
		begin_choice(g);
		jsonw_object_begin(g->w, NULL);
		write_names(g, row);
		describe(g, "additionalProperties", element);
		jsonw_object_end(g->w);
		write_name_list(g, row);
		end_choice(g);
		return;
	}
	if (!(row->flags & SCHEMA_LISTED)) {
		write_names(g, row);
		describe(g, "additionalProperties", element);
		return;
	}
	write_types(g, "array");
	write_bounds(g, "minItems", "maxItems", row);
	jsonw_object_begin(g->w, "items");
	if (element->brief) {
		jsonw_array_begin(g->w, "anyOf");
		jsonw_object_begin(g->w, NULL);
		write_text(&plain, element);
		jsonw_object_end(g->w);
		jsonw_object_begin(g->w, NULL);
	}
	write_element(&plain, element);
	if (element->brief) {
		jsonw_object_end(g->w);
		jsonw_array_end(g->w);
	}
	jsonw_object_end(g->w);
}

static void write_services(const struct gen *g, const struct schema_row *row)
{
	write_names(g, row);
	if (!g->overlay)
		jsonw_int(g->w, "minProperties", 1);
	jsonw_object_begin(g->w, "additionalProperties");
	jsonw_string(g->w, "$ref", "#/definitions/service");
	jsonw_object_end(g->w);
}

static void write_properties(const struct gen *g, const struct schema_row *row)
{
	const struct schema_row *r = NULL;

	jsonw_bool(g->w, "additionalProperties", false);
	jsonw_object_begin(g->w, "properties");
	while ((r = schema_next(row, r)) != NULL)
		describe(g, schema_key(r), r);
	jsonw_object_end(g->w);
}

static void write_object(const struct gen *g, const struct schema_row *row)
{
	write_types(g, "object");
	write_properties(g, row);
}

/* The map as the only entry of a list. */
static void write_lone(const struct gen *g, const struct schema_row *row)
{
	jsonw_object_begin(g->w, NULL);
	write_types(g, "array");
	jsonw_int(g->w, "minItems", 1);
	jsonw_int(g->w, "maxItems", 1);
	jsonw_object_begin(g->w, "items");
	write_object(g, row);
	jsonw_object_end(g->w);
	jsonw_object_end(g->w);
}

static void write_any_of_object(const struct gen *g, const struct schema_row *row)
{
	const struct gen plain = {.w = g->w};

	if (!(row->flags & SCHEMA_SHORTHAND)) {
		write_object(g, row);
		return;
	}
	begin_choice(g);
	jsonw_object_begin(g->w, NULL);
	write_object(g, row);
	jsonw_object_end(g->w);
	describe(&plain, NULL, schema_next(row, NULL));
	if (row->flags & SCHEMA_LONE)
		write_lone(&plain, row);
	end_choice(g);
}

/* --- types of their own ----------------------------------------------------------------- */

/* 022 is 22 for a reader of YAML 1.2 and 18 for one of 1.1. */
static void write_umask(const struct gen *g, const struct schema_row *row)
{
	(void)row;
	write_types(g, "string|integer");
	jsonw_string(g->w, "pattern", "^0[0-7]{0,4}$");
	jsonw_int(g->w, "minimum", 0);
	jsonw_int(g->w, "maximum", 777);
}

static void write_bool(const struct gen *g, const struct schema_row *row)
{
	(void)row;
	write_types(g, "boolean");
}

static void write_one_limit(const struct gen *g, const char *key, const struct schema_row *row)
{
	jsonw_object_begin(g->w, key);
	jsonw_raw(g->w, "type", "[\"integer\",\"string\"]");
	write_bounds(g, "minimum", "maximum", row);
	jsonw_string(g->w, "pattern", "^(" WHOLE_PATTERN "|unlimited)$");
	jsonw_object_end(g->w);
}

static void write_limit(const struct gen *g, const struct schema_row *row)
{
	begin_choice(g);
	jsonw_object_begin(g->w, NULL);
	jsonw_string(g->w, "type", "integer");
	write_bounds(g, "minimum", "maximum", row);
	jsonw_object_end(g->w);
	jsonw_object_begin(g->w, NULL);
	jsonw_string(g->w, "type", "string");
	jsonw_string(g->w, "pattern",
		     "^(" WHOLE_PATTERN "|unlimited)(:(" WHOLE_PATTERN "|unlimited))?$");
	jsonw_object_end(g->w);
	jsonw_object_begin(g->w, NULL);
	jsonw_string(g->w, "type", "object");
	jsonw_bool(g->w, "additionalProperties", false);
	jsonw_object_begin(g->w, "properties");
	write_one_limit(g, "soft", row);
	write_one_limit(g, "hard", row);
	jsonw_object_end(g->w);
	jsonw_object_end(g->w);
	end_choice(g);
}

static void write_port(const struct gen *g, const struct schema_row *row)
{
	write_types(g, "string|integer");
	write_bounds(g, "minimum", "maximum", row);
	jsonw_string(g->w, "pattern", "^(" WHOLE_PATTERN "|" PORT_NAME_PATTERN ")$");
}

static void write_share(const struct gen *g, const struct schema_row *row)
{
	write_types(g, "string|integer");
	write_bounds(g, "minimum", "maximum", row);
	jsonw_string(g->w, "pattern", "^(" WHOLE_PATTERN "|(100|[0-9]{1,2})%)$");
}

static void write_defaults(const struct gen *g, const struct schema_row *row)
{
	(void)row;
	jsonw_array_begin(g->w, "allOf");
	jsonw_raw(g->w, NULL, "{\"$ref\":\"#/definitions/service\"}");
	if (!g->overlay)
		jsonw_raw(g->w, NULL, "{\"$ref\":\"#/definitions/given\"}");
	jsonw_array_end(g->w);
}

static void write_nothing(const struct gen *g, const struct schema_row *row)
{
	(void)g;
	(void)row;
}

static void write_map_of_anything(const struct gen *g, const struct schema_row *row)
{
	(void)row;
	write_types(g, "object");
}

/* NULL: a type without a line here, which the tests do not let pass. */
static void (*const writers[SCHEMA_TYPE_MAX_])(const struct gen *, const struct schema_row *) = {
	[SCHEMA_OBJECT] = write_any_of_object,
	[SCHEMA_SERVICES] = write_services,
	[SCHEMA_STRING] = write_text,
	[SCHEMA_INT] = write_int,
	[SCHEMA_NUMBER] = write_decimal,
	[SCHEMA_DURATION] = write_duration,
	[SCHEMA_SIZE] = write_size,
	[SCHEMA_ENUM] = write_enum,
	[SCHEMA_SIGNAL] = write_signal,
	[SCHEMA_LIST] = write_list,
	[SCHEMA_MAP] = write_map,
	[SCHEMA_UMASK] = write_umask,
	[SCHEMA_BOOL] = write_bool,
	[SCHEMA_LIMIT] = write_limit,
	[SCHEMA_INTS] = write_list,
	[SCHEMA_PORTREF] = write_port,
	[SCHEMA_TABLE] = write_table,
	[SCHEMA_DEFAULTS] = write_defaults,
	[SCHEMA_SHARE] = write_share,
	[SCHEMA_TREE] = write_map_of_anything,
	[SCHEMA_ANY] = write_nothing,
};

/* --- documentation ---------------------------------------------------------------------- */

/* What an editor shows over a key. */
static void write_description(const struct gen *g, const struct schema_row *row)
{
	_cleanup_buf_ struct buf b = {0};
	char lo[MANIFEST_WRITE_NUMBER_SIZE], hi[MANIFEST_WRITE_NUMBER_SIZE];

	buf_printf(&b, "%s.", row->doc);
	if ((row->type == SCHEMA_DURATION || row->type == SCHEMA_SIZE) && row->max > 0)
		buf_printf(&b, " From %s to %s.", manifest_write_number(row, row->min, lo),
			   manifest_write_number(row, row->max, hi));
	if (row->flags & SCHEMA_REQUIRED)
		buf_str(&b, " Must be given.");
	else if (row->def && row->def[0])
		buf_printf(&b, " Default: %s.", row->def);
	else if (row->def_note)
		buf_printf(&b, " Default: %s.", row->def_note);
	if (row->change == CHANGE_REPLACE)
		buf_str(&b, " A change replaces the replicas.");
	jsonw_string(g->w, "description", buf_cstr(&b));
	g->w->out->failed |= b.failed;
}

static void write_default(const struct gen *g, const struct schema_row *row)
{
	if (!row->def || (!row->def[0] && row->type != SCHEMA_STRING))
		return;
	if (row->flags & SCHEMA_ALL)
		jsonw_string(g->w, "default", row->def);
	else if (row->type == SCHEMA_INT || row->type == SCHEMA_NUMBER ||
		 row->type == SCHEMA_INTS || row->type == SCHEMA_BOOL)
		jsonw_raw(g->w, "default", row->def);
	else
		jsonw_string(g->w, "default", row->def);
}

static void describe(const struct gen *g, const char *key, const struct schema_row *row)
{
	jsonw_object_begin(g->w, key);
	write_description(g, row);
	write_default(g, row);
	writers[row->type](g, row);
	jsonw_object_end(g->w);
}

/* --- what must be given ----------------------------------------------------------------- */

static bool is_demanding(const struct schema_row *row)
{
	for (const struct schema_row *r = row; r < schema_end(row); r++) {
		if (r->type == SCHEMA_TABLE && (r->flags & SCHEMA_LISTED)) {
			r = schema_end(r) - 1;
			continue;
		}
		if ((r->flags & SCHEMA_ONE_OF) || r->type == SCHEMA_LIMIT ||
		    (r != row && (r->flags & SCHEMA_REQUIRED)))
			return true;
	}
	return false;
}

/* "required" with all children that have `flag`. */
static void write_required(const struct gen *g, const struct schema_row *row)
{
	const struct schema_row *r = NULL;
	bool any = false;

	while ((r = schema_next(row, r)) != NULL) {
		if (!(r->flags & SCHEMA_REQUIRED))
			continue;
		if (!any)
			jsonw_array_begin(g->w, "required");
		any = true;
		jsonw_string(g->w, NULL, schema_key(r));
	}
	if (any)
		jsonw_array_end(g->w);
}

/* {"required":["KEY"]} for each child with `flag`. */
static void write_each_required(const struct gen *g, const struct schema_row *row, unsigned flag)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(row, r)) != NULL) {
		if (!(r->flags & flag))
			continue;
		jsonw_object_begin(g->w, NULL);
		jsonw_array_begin(g->w, "required");
		jsonw_string(g->w, NULL, schema_key(r));
		jsonw_array_end(g->w);
		jsonw_object_end(g->w);
	}
}

static bool has_sufficient(const struct schema_row *row)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(row, r)) != NULL)
		if (r->flags & SCHEMA_SUFFICES)
			return true;
	return false;
}

/* Exactly one choice; or none, and something that suffices. */
static void write_one_of(const struct gen *g, const struct schema_row *row)
{
	jsonw_array_begin(g->w, "oneOf");
	write_each_required(g, row, SCHEMA_CHOICE);
	if (has_sufficient(row)) {
		jsonw_object_begin(g->w, NULL);
		jsonw_array_begin(g->w, "anyOf");
		write_each_required(g, row, SCHEMA_SUFFICES);
		jsonw_array_end(g->w);
		jsonw_object_begin(g->w, "not");
		jsonw_array_begin(g->w, "anyOf");
		write_each_required(g, row, SCHEMA_CHOICE);
		jsonw_array_end(g->w);
		jsonw_object_end(g->w);
		jsonw_object_end(g->w);
	}
	jsonw_array_end(g->w);
}

/* At least one of those with SCHEMA_NEEDED. */
static void write_needed(const struct gen *g, const struct schema_row *row)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(row, r)) != NULL && !(r->flags & SCHEMA_NEEDED))
		;
	if (!r)
		return;
	jsonw_array_begin(g->w, "anyOf");
	write_each_required(g, row, SCHEMA_NEEDED);
	jsonw_array_end(g->w);
}

/* The short form has no keys: to it, every "required" would apply. */
static void write_one_of_object(const struct gen *g, const struct schema_row *row)
{
	if (!(row->flags & SCHEMA_SHORTHAND)) {
		write_one_of(g, row);
		return;
	}
	jsonw_raw(g->w, "if", "{\"type\":\"object\"}");
	jsonw_object_begin(g->w, "then");
	write_one_of(g, row);
	jsonw_object_end(g->w);
}

static void demand(const struct gen *g, const struct schema_row *row)
{
	const struct schema_row *r = NULL;
	bool any = false;

	if (row->type == SCHEMA_LIMIT)
		jsonw_raw(g->w, "required", "[\"soft\",\"hard\"]");
	if (row->type == SCHEMA_TABLE) {
		jsonw_object_begin(g->w, "additionalProperties");
		demand(g, schema_next(row, NULL));
		jsonw_object_end(g->w);
		return;
	}
	write_required(g, row);
	write_needed(g, row);
	if (row->flags & SCHEMA_ONE_OF)
		write_one_of_object(g, row);
	while ((r = schema_next(row, r)) != NULL) {
		if (!is_demanding(r) || (r->type == SCHEMA_TABLE && (r->flags & SCHEMA_LISTED)))
			continue;
		if (!any)
			jsonw_object_begin(g->w, "properties");
		any = true;
		jsonw_object_begin(g->w, schema_key(r));
		demand(g, r);
		jsonw_object_end(g->w);
	}
	if (any)
		jsonw_object_end(g->w);
}

/* --- the file --------------------------------------------------------------------------- */

/* Where `defaults` stand they may give what a service lacks, and a null takes it away again; else
 * each service is complete. */
static void write_completeness(const struct gen *g)
{
	jsonw_raw(g->w, "if", "{\"required\":[\"defaults\"]}");
	jsonw_raw(g->w, "else",
		  "{\"properties\":{\"services\":{\"additionalProperties\":{\"allOf\":["
		  "{\"$ref\":\"#/definitions/complete\"},{\"$ref\":\"#/definitions/given\"}]}}}}");
}

static void write_service(const struct gen *g, const struct schema_row *service)
{
	const struct gen inside = {.w = g->w, .overlay = g->overlay, .nullable = true};

	jsonw_object_begin(g->w, "service");
	write_description(g, service);
	write_types(g, "object");
	write_properties(&inside, service);
	jsonw_object_end(g->w);
}

static void write_definitions(const struct gen *g)
{
	const struct schema_row *service = schema_find(SERVICE);

	jsonw_object_begin(g->w, "definitions");
	write_service(g, service);
	if (!g->overlay) {
		jsonw_object_begin(g->w, "complete");
		demand(g, service);
		jsonw_object_end(g->w);
		/* No null anywhere in it, but in expect.json, which is a TREE of anything. */
		jsonw_raw(g->w, "given",
			  "{\"not\":{\"type\":\"null\"},"
			  "\"properties\":{\"expect\":{\"not\":{\"type\":\"null\"},"
			  "\"properties\":{\"json\":{\"not\":{\"type\":\"null\"}}},"
			  "\"additionalProperties\":{\"$ref\":\"#/definitions/given\"}}},"
			  "\"additionalProperties\":{\"$ref\":\"#/definitions/given\"},"
			  "\"items\":{\"$ref\":\"#/definitions/given\"}}");
	}
	jsonw_object_end(g->w);
}

static void write_top(const struct gen *g)
{
	const struct schema_row *r = NULL;

	jsonw_string(g->w, "type", "object");
	jsonw_bool(g->w, "additionalProperties", false);
	jsonw_object_begin(g->w, "properties");
	while ((r = schema_next(NULL, r)) != NULL)
		if (r->type != SCHEMA_ANY)
			describe(g, schema_key(r), r);
	jsonw_object_end(g->w);
	while ((r = schema_next(NULL, r)) != NULL) {
		if (r->type != SCHEMA_ANY)
			continue;
		jsonw_object_begin(g->w, "patternProperties");
		describe(g, "^x-", r);
		jsonw_object_end(g->w);
	}
}

void schema_json_write(enum schema_json_kind kind, struct jsonw *w)
{
	bool overlay = kind == SCHEMA_JSON_OVERLAY;
	const struct gen g = {.w = w, .overlay = overlay, .nullable = overlay};

	jsonw_object_begin(w, NULL);
	jsonw_string(w, "$schema", "http://json-schema.org/draft-07/schema#");
	jsonw_string(w, "title", g.overlay ? "aictl manifest overlay" : "aictl manifest");
	jsonw_string(w, "description",
		     g.overlay ? "What is merged over a manifest: aictl apply -f aictl.yaml -f this"
			       : "Services that aictl runs; see aictl-manifest(5)");
	write_top(&g);
	write_required(&g, NULL);
	if (!g.overlay)
		write_completeness(&g);
	write_definitions(&g);
	jsonw_object_end(w);
}
