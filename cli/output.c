/* output: see output.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/output.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/js.h"
#include "cli/pretty.h"
#include "cli/x.h"
#include "cli/yaml_out.h"
#include "lib/buf.h"
#include "lib/mem.h"

static const char *const names[] = {"table", "wide", "json", "yaml", "name"};

enum output_format output_format_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], name) == 0)
			return (enum output_format)i;
	}
	return OUTPUT_TABLE;
}

void output_begin(struct output *out, const struct cli *cli, const struct args *args)
{
	*out = (struct output){.cli = cli,
			       .format = output_format_of(args_value(args, "output", "table"))};
}

static void write_out(const struct buf *b)
{
	if (b->failed)
		x_check(NULL);
	if (b->len)
		fwrite(b->data, 1, b->len, stdout);
}

static void print_yaml(const struct output *out, const char *text, size_t len)
{
	_cleanup_buf_ struct buf b = {0};

	if (out->shown)
		buf_str(&b, "---\n");
	yaml_out_json(text, len, &b);
	write_out(&b);
}

static void print_json(const char *text, size_t len)
{
	_cleanup_buf_ struct buf b = {0};

	pretty_json(text, len, &b);
	write_out(&b);
}

static void print_name(const struct output_view *view, const cJSON *o)
{
	const cJSON *id = js_get(o, view->id);

	if (cJSON_IsString(id))
		puts(id->valuestring);
	else if (cJSON_IsNumber(id))
		printf("%lld\n", (long long)js_int(o, view->id, 0));
}

static void print_names(const struct output_view *view, const cJSON *reply)
{
	const cJSON *o;

	if (!view->list) {
		print_name(view, reply);
		return;
	}
	cJSON_ArrayForEach (o, js_get(reply, view->list))
		print_name(view, o);
}

static void print(struct output *out, const struct output_view *view, const char *text, size_t len,
		  const cJSON *json)
{
	switch (out->format) {
	case OUTPUT_TABLE:
	case OUTPUT_WIDE:
		if (out->shown)
			putchar('\n');
		view->table(out, json);
		break;
	case OUTPUT_JSON:
		print_json(text, len);
		break;
	case OUTPUT_YAML:
		print_yaml(out, text, len);
		break;
	case OUTPUT_NAME:
		print_names(view, json);
		break;
	}
	out->shown++;
}

void output_reply(struct output *out, const struct output_view *view, const struct reply *reply)
{
	print(out, view, reply->text, reply->len, reply->json);
}

void output_json(struct output *out, const struct output_view *view, const cJSON *json)
{
	char *text = x_check(cJSON_PrintUnformatted(json));

	print(out, view, text, strlen(text), json);
	cJSON_free(text);
}

void output_line(struct output *out, const char *text)
{
	if (out->format == OUTPUT_YAML)
		print_yaml(out, text, strlen(text));
	else
		puts(text);
	out->shown++;
}

bool output_is_broken(void)
{
	return fflush(stdout) != 0 || ferror(stdout);
}

void output_end_of_reader(void)
{
	kill(getpid(), SIGPIPE);
	_exit(128 + SIGPIPE); /* somebody made us ignore it */
}
