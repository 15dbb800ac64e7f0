/*
 * output: -o table|wide|json|yaml|name, the same for every verb that reads.
 *
 * A verb describes its reply once: a function for people (table, wide), and where the names are.
 * json is what the daemon said, indented; yaml the same document; name one stable id a line, fit
 * to be given to other verbs (`aictl restart $(aictl ps -o name)`). Several replies are several
 * documents.
 *
 *   static const struct output_view view = {.table = page, .list = "services", .id = "name"};
 *   struct output out;
 *   output_begin(&out, cli, args);                // options: OUTPUT_OPTION
 *   client_get(client, path, &reply);
 *   output_reply(&out, &view, &reply);
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_OUTPUT_H
#define AICTL_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <cjson/cJSON.h>

struct args;
struct cli;
struct output;
struct reply;

enum output_format { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON, OUTPUT_YAML, OUTPUT_NAME };

#define OUTPUT_CHOICE "table|wide|json|yaml|name"
#define OUTPUT_OPTION                                                                              \
	{                                                                                          \
		'o', "output", "FORMAT", "table, wide, json, yaml or name (default table)",        \
			OUTPUT_CHOICE                                                              \
	}

struct output {
	const struct cli *cli;
	enum output_format format;
	unsigned shown; /* documents so far */
};

struct output_view {
	/* table and wide (out->format says which), to stdout */
	void (*table)(const struct output *out, const cJSON *reply);
	const char *list; /* name: the array whose elements are named; NULL = the reply itself */
	const char *id;	  /* name: the member with the name; numbers are printed too */
};

void output_begin(struct output *out, const struct cli *cli, const struct args *args);
/* For formats that a verb has besides: those without -o NAME of enum output_format are TABLE. */
enum output_format output_format_of(const char *name);
/* One reply as the format wants it, to stdout. */
void output_reply(struct output *out, const struct output_view *view, const struct reply *reply);
/* The same for a document made here. */
void output_json(struct output *out, const struct output_view *view, const cJSON *json);
/* One JSON text of a stream: json is a line as it stands, yaml a document. */
void output_line(struct output *out, const char *text);
/* Nothing more can be written: a stream that goes on has to end. Flushes. */
bool output_is_broken(void);
/* Who read us has gone away (POLLERR of stdout while we wait): ends as SIGPIPE would. */
void output_end_of_reader(void) __attribute__((noreturn));

#endif
