/* probe_expect: see probe_expect.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/probe_expect.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define SHOWN_MAX 40 /* bytes of a value in a message */

struct status_range {
	unsigned first, last;
};

struct probe_expect {
	cJSON *json; /* NULL = any */
	int64_t max_latency_ms;
	size_t n; /* 0: 200 to 399 */
	struct status_range ranges[];
};

int probe_expect_new(char *const *statuses, const char *json, int64_t max_latency_ms,
		     struct probe_expect **ret, struct err **reterr)
{
	struct probe_expect *e;
	size_t n = 0;

	while (statuses && statuses[n])
		n++;
	if (n == 0 && !json && max_latency_ms == 0) {
		*ret = NULL;
		return 0;
	}
	e = mem_alloc(sizeof(*e) + n * sizeof(e->ranges[0]));
	if (!e)
		return err_nomem(reterr);
	e->max_latency_ms = max_latency_ms;
	for (; e->n < n; e->n++)
		if (parse_status_range(statuses[e->n], &e->ranges[e->n].first,
				       &e->ranges[e->n].last, NULL) < 0)
			break; /* the manifest's check does not let one pass */
	e->json = json ? cJSON_ParseWithOpts(json, NULL, true) : NULL;
	if (e->n < n || (json && !e->json)) {
		probe_expect_free(e);
		return err_set(reterr, ERR_INVALID, "what the answer must be cannot be read");
	}
	*ret = e;
	return 0;
}

void probe_expect_free(struct probe_expect *e)
{
	if (!e)
		return;
	cJSON_Delete(e->json);
	mem_free(e);
}

bool probe_expect_body(const struct probe_expect *e)
{
	return e && e->json;
}

static bool is_good_status(const struct probe_expect *e, int status)
{
	if (!e || e->n == 0)
		return status >= 200 && status <= 399;
	for (size_t i = 0; i < e->n; i++)
		if (status >= (int)e->ranges[i].first && status <= (int)e->ranges[i].last)
			return true;
	return false;
}

/* A value as JSON, cut. */
static void show(const cJSON *v, char *out, size_t n)
{
	char *text;

	if (!v) {
		snprintf(out, n, "missing");
		return;
	}
	text = cJSON_PrintUnformatted(v);
	snprintf(out, n, "%.*s%s", (int)n - 5, text ? text : "?",
		 text && strlen(text) > n - 5 ? "..." : "");
	cJSON_free(text);
}

/* The first difference: where it is (path, from its end), and the two values. */
struct difference {
	char path[64];
	const cJSON *want, *got;
};

static void prepend(struct difference *d, const char *name, bool is_index)
{
	char rest[sizeof(d->path)];

	memcpy(rest, d->path, sizeof(rest));
	snprintf(d->path, sizeof(d->path), is_index ? "[%.30s]%s%.30s" : "%.30s%s%.30s", name,
		 rest[0] && rest[0] != '[' ? "." : "", rest);
}

static bool matches(const cJSON *want, const cJSON *got, struct difference *d);

static bool matches_object(const cJSON *want, const cJSON *got, struct difference *d)
{
	for (const cJSON *w = want->child; w; w = w->next) {
		if (matches(w, cJSON_GetObjectItemCaseSensitive(got, w->string), d))
			continue;
		prepend(d, w->string, false);
		return false;
	}
	return true;
}

static bool matches_array(const cJSON *want, const cJSON *got, struct difference *d)
{
	const cJSON *w = want->child, *g = got->child;
	unsigned i = 0;

	for (; w && g; w = w->next, g = g->next, i++) {
		char index[12];

		if (matches(w, g, d))
			continue;
		snprintf(index, sizeof(index), "%u", i);
		prepend(d, index, true);
		return false;
	}
	d->path[0] = '\0';
	d->want = want;
	d->got = got;
	return !w && !g;
}

/* The depth is that of the manifest. */
static bool matches(const cJSON *want, const cJSON *got, struct difference *d)
{
	d->path[0] = '\0';
	d->want = want;
	d->got = got;
	if (!got || (want->type & 0xff) != (got->type & 0xff))
		return false;
	if (cJSON_IsObject(want))
		return matches_object(want, got, d);
	if (cJSON_IsArray(want))
		return matches_array(want, got, d);
	if (cJSON_IsNumber(want))
		return !(want->valuedouble < got->valuedouble) &&
		       !(want->valuedouble > got->valuedouble);
	return !cJSON_IsString(want) || strcmp(want->valuestring, got->valuestring) == 0;
}

static bool judge_json(const struct probe_expect *e, const struct probe_answer *a, char *message,
		       size_t n)
{
	cJSON *got = cJSON_ParseWithLength(a->body ? a->body : "", a->len);
	char is[SHOWN_MAX], not [SHOWN_MAX];
	struct difference d;
	bool ok = got && matches(e->json, got, &d);

	if (ok) {
		snprintf(message, n, "HTTP %d, JSON as expected", a->status);
	} else if (!got) {
		snprintf(message, n, "HTTP %d, but the answer is not JSON", a->status);
	} else if (!d.got) {
		snprintf(message, n, "HTTP %d, but %s is missing", a->status, d.path);
	} else {
		show(d.got, is, sizeof(is));
		show(d.want, not, sizeof(not ));
		snprintf(message, n, "HTTP %d, but %s is %s, not %s", a->status,
			 d.path[0] ? d.path : "the answer", is, not );
	}
	cJSON_Delete(got);
	return ok;
}

bool probe_expect_judge(const struct probe_expect *e, const struct probe_answer *a, char *message,
			size_t n)
{
	char took[32], most[32];

	snprintf(message, n, "HTTP %d", a->status);
	if (!is_good_status(e, a->status))
		return false;
	if (e && e->json && !judge_json(e, a, message, n))
		return false;
	if (!e || e->max_latency_ms == 0 || a->took_ms <= e->max_latency_ms)
		return true;
	snprintf(took, sizeof(took), "%lldms", (long long)a->took_ms);
	snprintf(most, sizeof(most), "%lldms", (long long)e->max_latency_ms);
	snprintf(message, n, "HTTP %d, but it took %s, max_latency is %s", a->status, took, most);
	return false;
}
