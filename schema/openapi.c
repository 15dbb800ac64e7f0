/*
 * openapi: prints the OpenAPI 3.1 document of the control API: paths from the table of endpoints
 * (daemon/controller/api.def), components from the file that is named (schema/components.json).
 * Run by hand with `make openapi` after a change of either; the tests compare schema/openapi.json
 * with what this prints, and real replies with it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct endpoint {
	const char *method, *path, *role, *handler; /* role and handler as identifiers */
	const char *summary, *segment, *query, *body, *reply, *errors;
	int status; /* 0 = 200 */
	bool stream;
	bool text; /* Prometheus' format */
};

static const struct endpoint endpoints[] = {
#define ENDPOINT(method_, path_, role_, handler_, ...)                                             \
	{.method = method_, .path = path_, .role = #role_, .handler = #handler_, ##__VA_ARGS__},
#include "daemon/controller/api.def"
#undef ENDPOINT
};

#define N_ENDPOINTS (sizeof(endpoints) / sizeof(endpoints[0]))

/* "API_ADMIN" -> "admin" */
static void put_role(const char *role)
{
	for (const char *c = role + strlen("API_"); *c; c++)
		putchar(tolower((unsigned char)*c));
}

/* "/v1/services/{}" -> "/v1/services/{name}" */
static void put_path(const struct endpoint *e)
{
	const char *hole = strstr(e->path, "{}");

	if (hole)
		printf("%.*s{%s}%s", (int)(hole - e->path), e->path, e->segment, hole + 2);
	else
		fputs(e->path, stdout);
}

static void put_parameter(const char *name, size_t n, bool first)
{
	printf("%s\n     {\"$ref\": \"#/components/parameters/%.*s\"}", first ? "" : ",", (int)n,
	       name);
}

static void put_parameters(const struct endpoint *e)
{
	bool first = true;

	if (!e->segment && !e->query)
		return;
	printf(",\n    \"parameters\": [");
	if (e->segment) {
		put_parameter(e->segment, strlen(e->segment), true);
		first = false;
	}
	for (const char *p = e->query ? e->query : ""; *p;) {
		size_t n = strcspn(p, " ");

		put_parameter(p, n, first);
		first = false;
		p += n + (p[n] == ' ');
	}
	printf("\n    ]");
}

static void put_content(const char *type, const char *schema)
{
	printf(",\n      \"content\": {\"%s\": {\"schema\": {\"$ref\": \"#/components/schemas/%s\"}}}",
	       type, schema);
}

static void put_error(const char *status, size_t n, const char *what)
{
	printf(",\n     \"%.*s\": {\n      \"description\": \"%s\"", (int)n, status, what);
	put_content("application/json", "Error");
	printf("\n     }");
}

static const char *meaning(const char *status)
{
	static const char *const known[][2] = {
		{"404", "No such thing"},
		{"409", "A conflict with what is"},
		{"422", "The manifest is invalid"},
		{"426", "Needs an Upgrade"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strncmp(known[i][0], status, 3) == 0)
			return known[i][1];
	return "An error";
}

static void put_responses(const struct endpoint *e)
{
	int status = e->status ? e->status : 200;

	printf(",\n    \"responses\": {\n     \"%d\": {\n      \"description\": \"%s\"", status,
	       status == 202   ? "Accepted"
	       : status == 101 ? "Switching protocols: frames follow"
	       : e->stream     ? "JSON lines: what there is, then, with follow, what comes"
			       : "OK");
	if (e->reply)
		put_content(e->text	? "text/plain; version=0.0.4; charset=utf-8"
			    : e->stream ? "application/jsonl"
					: "application/json",
			    e->reply);
	printf("\n     }");
	put_error("400", 3, "The request is wrong");
	put_error("403", 3, "Not allowed for this user: the message says who may");
	for (const char *p = e->errors ? e->errors : ""; *p;) {
		size_t n = strcspn(p, " ");

		put_error(p, n, meaning(p));
		p += n + (p[n] == ' ');
	}
	put_error("503", 3, "Starting, shutting down, in safe mode, or too busy: try again");
	printf("\n    }\n   }");
}

static void put_operation(const struct endpoint *e)
{
	printf("\n   \"");
	for (const char *c = e->method; *c; c++)
		putchar(tolower((unsigned char)*c));
	printf("\": {\n    \"operationId\": \"%s\",\n    \"summary\": \"%s\",\n    \"x-aictl-role\": \"",
	       e->handler + strlen("api_"), e->summary);
	put_role(e->role);
	putchar('"');
	put_parameters(e);
	if (e->body)
		printf(",\n    \"requestBody\": {\"required\": true, \"content\": {\"application/json\": "
		       "{\"schema\": {\"$ref\": \"#/components/schemas/%s\"}}}}",
		       e->body);
	put_responses(e);
}

static bool seen_before(size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(endpoints[k].path, endpoints[i].path) == 0)
			return true;
	return false;
}

static void put_paths(void)
{
	printf(" \"paths\": {");
	for (size_t i = 0; i < N_ENDPOINTS; i++) {
		bool first = true;

		if (seen_before(i))
			continue;
		printf("%s\n  \"", i ? "," : "");
		put_path(&endpoints[i]);
		printf("\": {");
		for (size_t k = i; k < N_ENDPOINTS; k++) {
			if (strcmp(endpoints[k].path, endpoints[i].path) != 0)
				continue;
			if (!first)
				putchar(',');
			first = false;
			put_operation(&endpoints[k]);
		}
		printf("\n  }");
	}
	printf("\n },\n");
}

/* An endpoint without documentation is a mistake of the table. */
static int check(void)
{
	for (size_t i = 0; i < N_ENDPOINTS; i++) {
		const struct endpoint *e = &endpoints[i];

		if (e->summary && (e->reply || e->status == 101) &&
		    (strstr(e->path, "{}") != NULL) == (e->segment != NULL) &&
		    (strcmp(e->method, "POST") != 0 || e->body || e->status == 202))
			continue;
		fprintf(stderr, "api.def: %s %s is not fully documented\n", e->method, e->path);
		return -1;
	}
	return 0;
}

/* The file as the value of "components", one level deeper. */
static int put_components(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[8192];
	bool first = true;

	if (!f) {
		perror(path);
		return -1;
	}
	printf(" \"components\": ");
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		printf("%s%s%s", first ? "" : "\n", first ? "" : " ", line);
		first = false;
	}
	fclose(f);
	printf("\n}\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2 || check() < 0)
		return 1;
	printf("{\n \"openapi\": \"3.1.0\",\n \"info\": {\n  \"title\": \"aictl\",\n  \"version\": \"v1\",\n"
	       "  \"summary\": \"The control API of aictld\",\n  \"description\": \"HTTP/1.1 and JSON over a Unix "
	       "socket, as by curl --unix-socket /run/aictl/aictl.sock http://aictl/v1/services. Keys are added in "
	       "later releases, never renamed. Who may do what is decided by the peer's credentials: metrics < read < "
	       "operate < admin (x-aictl-role).\",\n  \"license\": {\"name\": \"MIT\", \"identifier\": \"MIT\"}\n },\n"
	       " \"servers\": [{\"url\": \"http://aictl\"}],\n");
	put_paths();
	return put_components(argv[1]) < 0 || ferror(stdout);
}
