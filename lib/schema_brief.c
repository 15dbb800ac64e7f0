/* schema_brief: see schema_brief.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/schema_brief.h"

#include <stdbool.h>
#include <string.h>

#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/schema_check.h"

#define PARTS_MAX 3

/* "a:b:c" as parts; one more than there is room for says that there are too many. A colon inside
 * ${...} separates nothing. */
static size_t split(char *text, char *parts[PARTS_MAX + 1])
{
	size_t n = 0;

	for (char *p = text; n <= PARTS_MAX; p++) {
		parts[n++] = p;
		while (*p && *p != ':')
			p += p[0] == '$' && p[1] == '{' ? strcspn(p, "}") : 1;
		if (!*p)
			break;
		*p = '\0';
	}
	return n;
}

static int store(char **to, const char *text, struct err **reterr)
{
	mem_free(*to);
	*to = mem_strdup(text);
	return *to ? 0 : err_nomem(reterr);
}

/* A path of this machine, or a name? */
static bool is_path(const char *source)
{
	return source[0] == '/' || source[0] == '.' || source[0] == '~' || source[0] == '$';
}

static int check_source(const char *source, struct err **reterr)
{
	const char *wrong = is_path(source) ? NULL : schema_check_volume_name(source);

	if (!wrong)
		return 0;
	err_set(reterr, ERR_INVALID, "\"%s\" %s", source, wrong);
	return source[0]
		       ? err_hint(reterr, "write ./%s for a directory beside the manifest", source)
		       : -ERR_INVALID;
}

static int store_target(char **to, const char *target, struct err **reterr)
{
	const char *wrong = schema_check_target(target);

	if (wrong)
		return err_set(reterr, ERR_INVALID, "\"%s\" %s", target, wrong);
	if (strstr(target, "${"))
		return err_set(reterr, ERR_INVALID,
			       "\"%s\": ${...} is replaced only in the source of a volume", target);
	return store(to, target, reterr);
}

static int store_mode(struct volume_spec *v, const char *mode, struct err **reterr)
{
	v->read_only = strcmp(mode, "ro") == 0;
	if (v->read_only || strcmp(mode, "rw") == 0)
		return 0;
	err_set(reterr, ERR_INVALID, "\"%s\" is neither ro nor rw", mode);
	return mode[strspn(mode, "zZ,rwo")]
		       ? -ERR_INVALID
		       : err_hint(reterr, "nothing is relabelled: security_opt: [label=disable]");
}

int schema_brief_volume(const char *text, void *element, struct err **reterr)
{
	_cleanup_free_ char *copy = mem_strdup(text);
	struct volume_spec *v = element;
	char *parts[PARTS_MAX + 1];
	size_t n = copy ? split(copy, parts) : 0;
	const char *target;
	int r;

	if (!copy)
		return err_nomem(reterr);
	if (n > PARTS_MAX) {
		err_set(reterr, ERR_INVALID, "\"%s\" is not SOURCE:TARGET[:ro]", text);
		return err_hint(reterr, "write { type: bind, source: ..., target: ... }");
	}
	target = n > 1 ? parts[1] : parts[0];
	v->type = n > 1 && is_path(parts[0]) ? VOLUME_BIND : VOLUME_NAMED;
	if (n > 1 && (r = check_source(parts[0], reterr)) < 0)
		return r;
	r = store_target(&v->target, target, reterr);
	if (r == 0 && n > 1)
		r = store(&v->source, parts[0], reterr);
	if (r == 0 && n > 2)
		r = store_mode(v, parts[2], reterr);
	return r;
}

int schema_brief_device(const char *text, void *element, struct err **reterr)
{
	_cleanup_free_ char *copy = mem_strdup(text);
	struct device_spec *d = element;
	char *parts[PARTS_MAX + 1];
	size_t n = copy ? split(copy, parts) : 0;
	const char *wrong;
	int r;

	if (!copy)
		return err_nomem(reterr);
	if (!schema_check_cdi(text)) {
		err_set(reterr, ERR_INVALID, "\"%s\" is a CDI device", text);
		return err_hint(reterr, "write gpus: { cdi: [%s] }", text);
	}
	if (n > PARTS_MAX)
		return err_set(reterr, ERR_INVALID, "\"%s\" is not SOURCE[:TARGET[:rwm]]", text);
	r = store_target(&d->source, parts[0], reterr);
	if (r == 0 && n > 1)
		r = store_target(&d->target, parts[1], reterr);
	if (r < 0 || n < 3)
		return r;
	wrong = schema_check_permissions(parts[2]);
	if (wrong)
		return err_set(reterr, ERR_INVALID, "\"%s\" %s", parts[2], wrong);
	return store(&d->permissions, parts[2], reterr);
}
