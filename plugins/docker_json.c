/*
 * docker_json: see docker_json.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_json.h"

#include <string.h>

#include "docker_mem.h"

cJSON *docker_json_parse(const char *text, size_t len)
{
	/* The NUL behind the text is what cJSON takes for its end. */
	return cJSON_ParseWithLengthOpts(text, len + 1, NULL, 1);
}

const cJSON *docker_json_get(const cJSON *object, const char *key)
{
	return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const char *docker_json_text(const cJSON *object, const char *key)
{
	const cJSON *v = docker_json_get(object, key);

	return v && cJSON_IsString(v) && v->valuestring && v->valuestring[0] ? v->valuestring
									     : NULL;
}

bool docker_json_number(const cJSON *object, const char *key, int64_t *ret)
{
	const cJSON *v = docker_json_get(object, key);

	if (!v || !cJSON_IsNumber(v) || !(v->valuedouble > -9.2e18 && v->valuedouble < 9.2e18))
		return false;
	*ret = (int64_t)v->valuedouble;
	return true;
}

bool docker_json_true(const cJSON *object, const char *key)
{
	return cJSON_IsTrue(docker_json_get(object, key));
}

/* ---- time ---- */

/* `n` digits at p as a number, or -1. */
static int digits(const char *p, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

static int64_t days_from_1970(int y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* ".123456789", up to nine digits count. Returns how long it is. */
static size_t fraction(const char *p, size_t len, int64_t *ret_ns)
{
	int64_t ns = 0, unit = 100000000;
	size_t i = 0;

	*ret_ns = 0;
	if (len == 0 || p[0] != '.')
		return 0;
	for (i = 1; i < len && p[i] >= '0' && p[i] <= '9'; i++, unit /= 10)
		ns += unit * (p[i] - '0');
	*ret_ns = ns;
	return i;
}

/* "Z" or "+02:00". Returns how long it is, 0 = neither. */
static size_t zone(const char *p, size_t len, int64_t *ret_s)
{
	int h, m;

	*ret_s = 0;
	if (len >= 1 && p[0] == 'Z')
		return 1;
	if (len < 6 || (p[0] != '+' && p[0] != '-') || p[3] != ':')
		return 0;
	h = digits(p + 1, 2);
	m = digits(p + 4, 2);
	if (h < 0 || m < 0)
		return 0;
	*ret_s = (p[0] == '+' ? 1 : -1) * (h * 3600 + m * 60);
	return 6;
}

bool docker_json_stamp(const char *text, size_t len, int64_t *ret_ns, size_t *ret_len)
{
	int y, mo, d, h, mi, s;
	int64_t ns, off;
	size_t at = 19, n;

	if (len < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
	    text[16] != ':')
		return false;
	y = digits(text, 4);
	mo = digits(text + 5, 2);
	d = digits(text + 8, 2);
	h = digits(text + 11, 2);
	mi = digits(text + 14, 2);
	s = digits(text + 17, 2);
	if (y < 1970 || y > 2250 || mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 24 ||
	    mi < 0 || mi > 59 || s < 0 || s > 60)
		return false;
	at += fraction(text + at, len - at, &ns);
	n = zone(text + at, len - at, &off);
	if (n == 0)
		return false;
	*ret_ns =
		(days_from_1970(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - off) * 1000000000 + ns;
	if (ret_len)
		*ret_len = at + n;
	return true;
}

/* ---- making ---- */

bool docker_json_put(cJSON *object, const char *key, cJSON *item)
{
	if (object && item && cJSON_AddItemToObject(object, key, item))
		return true;
	cJSON_Delete(item);
	return false;
}

bool docker_json_add(cJSON *array, cJSON *item)
{
	if (array && item && cJSON_AddItemToArray(array, item))
		return true;
	cJSON_Delete(item);
	return false;
}

cJSON *docker_json_object(cJSON *parent, const char *key)
{
	cJSON *o = cJSON_CreateObject();

	return docker_json_put(parent, key, o) ? o : NULL;
}

cJSON *docker_json_array(cJSON *parent, const char *key)
{
	cJSON *a = cJSON_CreateArray();

	return docker_json_put(parent, key, a) ? a : NULL;
}

char *docker_json_print(const cJSON *value)
{
	char *text = cJSON_PrintUnformatted(value), *copy;

	if (!text)
		return NULL;
	copy = docker_mem_dup(text);
	cJSON_free(text);
	return copy;
}
