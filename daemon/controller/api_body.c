/*
 * api_body: the JSON body of a request. The text is measured before cJSON builds a tree of it: a
 * value of two bytes ("0,") takes seventy in the tree, so 16 MiB of them would be half a gigabyte.
 * cJSON keeps a member given twice and cuts strings at \u0000: both are refused here, for two
 * readers of such a text would see two different requests.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/controller/api.h"
#include "lib/http_server.h"
#include "lib/mem.h"

/* Returns the end of the string that begins after its quote, or NULL when a NUL is in it. */
static const char *skip_string(const char *p, const char *end)
{
	for (; p < end && *p != '"'; p++) {
		if (*p != '\\')
			continue;
		if (end - p >= 6 && memcmp(p, "\\u0000", 6) == 0)
			return NULL;
		p++;
	}
	return p < end ? p : end;
}

/* NULL, or what is wrong with the size or the bytes of the text. */
static const char *measure(const char *p, size_t len)
{
	const char *end = p + len;
	size_t values = 1, depth = 0;

	if (memchr(p, '\0', len))
		return "the body holds a NUL byte";
	for (; p < end; p++) {
		if (*p == '"') {
			p = skip_string(p + 1, end);
			if (!p)
				return "the body holds \\u0000";
		} else if (*p == '[' || *p == '{') {
			values++;
			if (++depth > API_BODY_DEPTH)
				return "the body is nested deeper than 32 levels";
		} else if ((*p == ']' || *p == '}') && depth > 0) {
			depth--;
		} else if (*p == ',' && ++values > API_BODY_VALUES) {
			return "the body has more than 20,000 values";
		}
	}
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *twice_here(const cJSON *object)
{
	size_t n = (size_t)cJSON_GetArraySize(object), i = 0;
	_cleanup_free_ const char **names = n > 1 ? mem_array(n, sizeof(*names)) : NULL;
	const cJSON *item;

	if (!names)
		return n > 1 ? "" : NULL; /* out of memory: nothing is trusted */
	cJSON_ArrayForEach (item, object)
		names[i++] = item->string;
	qsort(names, n, sizeof(*names), by_name);
	for (i = 1; i < n; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			return names[i];
	return NULL;
}

/* A member name that an object in the tree has twice, borrowed from it, or NULL. The depth is
 * bounded by measure(). */
static const char *find_twice(const cJSON *value)
{
	const char *found = cJSON_IsObject(value) ? twice_here(value) : NULL;
	const cJSON *item;

	if (found || !(cJSON_IsObject(value) || cJSON_IsArray(value)))
		return found;
	cJSON_ArrayForEach (item, value) {
		found = find_twice(item);
		if (found)
			return found;
	}
	return NULL;
}

struct cJSON *api_body_object(struct api_call *call)
{
	size_t len;
	const char *text = http_request_body(call->r, &len), *end = NULL, *twice;
	const char *why = measure(text, len);
	cJSON *body = why ? NULL : cJSON_ParseWithLengthOpts(text, len + 1, &end, 1);

	if (why) {
		api_reply_error(call->r, 400, "invalid", "%s", why);
	} else if (!cJSON_IsObject(body)) {
		api_reply_error(call->r, 400, "invalid",
				"the body is not a JSON object (at byte %zd)",
				end ? end - text : 0);
	} else {
		twice = find_twice(body);
		if (!twice)
			return body;
		api_reply_error(call->r, 400, "invalid", "the body has \"%s\" twice", twice);
	}
	cJSON_Delete(body);
	return NULL;
}
