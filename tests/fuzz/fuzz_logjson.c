/*
 * fuzz_logjson: any bytes as a line of a log. What is taken for JSON is JSON for cJSON, too, with
 * the same members; what is shown of it holds no control characters that the line had escaped.
 */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "lib/buf.h"
#include "lib/logjson.h"
#include "lib/loglevel.h"
#include "lib/mem.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_name[] = "logjson";

const char *const fuzz_words[] = {
	"{\"",	      "\":\"",	    "\",\"",	    "\"}",  "{\"level\":\"",
	"\"msg\":\"", "\"event\":", "\"fields\":{", "\\u",  "\\ud83d\\ude00",
	"\\\"",	      "[[",	    "]]",	    "null", "1e9",
	"NaN",	      "\x1b[31m",   " ERROR ",	    "<3>",  NULL};

/* What cJSON does not take: Python's words, half a surrogate pair. */
static bool is_beyond_cjson(const char *line, size_t n)
{
	return memmem(line, n, "NaN", 3) || memmem(line, n, "Infinity", 8) ||
	       memmem(line, n, "\\ud", 3) || memmem(line, n, "\\uD", 3);
}

static void check_json(const char *line, size_t n, const struct logjson *j)
{
	cJSON *o = cJSON_ParseWithLength(line, n);
	int members = o ? cJSON_GetArraySize(o) : 0;

	if (!o && !is_beyond_cjson(line, n))
		abort();
	if (o && (!cJSON_IsObject(o) ||
		  (j->n != (size_t)members && !cJSON_GetObjectItemCaseSensitive(o, "fields"))))
		abort();
	cJSON_Delete(o);
}

static void check_shown(const char *line, size_t n, const struct logjson *j)
{
	_cleanup_buf_ struct buf out = {0};

	for (size_t i = 0; i < j->n; i++) {
		const struct logjson_member *m = &j->members[i];

		if (m->key < line || m->key + m->key_len > line + n || m->value < line ||
		    m->value + m->value_len > line + n)
			abort();
		if (m->type == LOGJSON_STRING)
			logjson_put_text(&out, m->value, m->value_len, false);
		logjson_put_member(&out, m);
		logjson_is_trace(m);
	}
	for (size_t i = 0; i < out.len; i++)
		if ((unsigned char)out.data[i] < 0x20 && !memchr(line, out.data[i], n))
			abort();
	if (out.failed || out.len > 4 * n + 2 * LOGJSON_MEMBERS * 3)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *line = malloc(size ? size : 1); /* not a byte more */
	struct logjson j;

	if (!line)
		abort();
	memcpy(line, data, size);
	loglevel_of_line(line, size);
	if (!logjson_read(line, size, &j))
		return 0;
	if (j.n > LOGJSON_MEMBERS || (!j.level && !j.message))
		abort();
	check_json(line, size, &j);
	check_shown(line, size, &j);
	return 0;
}
