/* js: see js.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/js.h"

#include <math.h>
#include <string.h>
#include <time.h>

cJSON *js_parse(const char *text, size_t len)
{
	return cJSON_ParseWithLengthOpts(text, len + 1, NULL, 1);
}

const cJSON *js_get(const cJSON *o, const char *name)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(o, name);

	return cJSON_IsNull(m) ? NULL : m;
}

const char *js_str(const cJSON *o, const char *name, const char *fallback)
{
	const cJSON *m = js_get(o, name);

	return cJSON_IsString(m) ? m->valuestring : fallback;
}

double js_double(const cJSON *o, const char *name, double fallback)
{
	const cJSON *m = js_get(o, name);

	return cJSON_IsNumber(m) ? m->valuedouble : fallback;
}

int64_t js_int(const cJSON *o, const char *name, int64_t fallback)
{
	const cJSON *m = js_get(o, name);

	if (!cJSON_IsNumber(m) || !(fabs(m->valuedouble) <= 9007199254740992.0))
		return fallback;
	return (int64_t)m->valuedouble;
}

bool js_bool(const cJSON *o, const char *name)
{
	return cJSON_IsTrue(js_get(o, name));
}

int64_t js_time(const cJSON *o, const char *name)
{
	const char *text = js_str(o, name, ""), *rest;
	struct tm tm = {0};
	int64_t ms = 0, unit = 100;

	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest)
		return 0;
	if (*rest == '.') {
		for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
			ms += (*rest - '0') * unit;
	}
	if (rest[0] != 'Z' || rest[1] != '\0')
		return 0;
	return (int64_t)timegm(&tm) * 1000 + ms;
}

void js_freep(cJSON **o)
{
	cJSON_Delete(*o);
}

bool js_has_replica(const cJSON *reply, const char *id)
{
	const cJSON *s = cJSON_GetArrayItem(js_get(reply, "services"), 0), *r;

	cJSON_ArrayForEach (r, js_get(s, "replicas")) {
		if (strcmp(js_str(r, "id", ""), id) == 0)
			return true;
	}
	return false;
}
