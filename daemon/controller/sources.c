/* sources: see sources.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/sources.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"

static const struct manifest_file *find_file(const struct sources *s, const char *path)
{
	for (size_t i = 0; i < s->n_files; i++)
		if (strcmp(s->files[i].path, path) == 0)
			return &s->files[i];
	return NULL;
}

static bool has_text(const struct sources *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i].path, path) == 0)
			return true;
	return false;
}

static int reserve(struct sources *s)
{
	if (s->n + s->n_files >= SOURCES_MAX)
		return -ERR_INVALID;
	if (!s->v)
		s->v = mem_array(SOURCES_MAX, sizeof(*s->v));
	if (!s->files)
		s->files = mem_array(SOURCES_MAX, sizeof(*s->files));
	return s->v && s->files ? 0 : -ERR_NOMEM;
}

int sources_add_text(struct sources *s, char *path, char *text, size_t len, unsigned layer)
{
	int r = reserve(s);

	if (r == 0)
		s->v[s->n++] = (struct manifest_source){path, text, len, layer};
	return r;
}

int sources_add_file(struct sources *s, char *path, char *data, size_t len)
{
	int r = reserve(s);

	if (r == 0)
		s->files[s->n_files++] = (struct manifest_file){path, data, len};
	return r;
}

void sources_forget_generations(struct sources *s)
{
	for (size_t i = 0; i < s->n_generations; i++)
		mem_free(s->generations[i].service);
	s->n_generations = 0;
}

int sources_set_generation(struct sources *s, const char *service, uint64_t number)
{
	struct sources_generation g = {NULL, number};

	for (size_t i = 0; i < s->n_generations; i++) {
		if (strcmp(s->generations[i].service, service) == 0) {
			s->generations[i].number = number;
			return 0;
		}
	}
	g.service = mem_strdup(service);
	if (!g.service || mem_grow(&s->generations, &s->cap_generations, s->n_generations + 1,
				   sizeof(*s->generations)) < 0) {
		mem_free(g.service);
		return -ERR_NOMEM;
	}
	s->generations[s->n_generations++] = g;
	return 0;
}

static int wrong_size(struct err **reterr)
{
	return err_set(reterr, ERR_INVALID,
		       "manifests: must be a list of 1 to %d {\"path\", \"text\"}", SOURCES_MAX);
}

static int twice(const char *path, struct err **reterr)
{
	return err_set(reterr, ERR_INVALID, "manifests: \"%.200s\" is there twice", path);
}

/* A whole number that never falls; absent is 0. */
static int read_layer(const cJSON *item, const struct sources *s, unsigned *ret,
		      struct err **reterr)
{
	const cJSON *layer = cJSON_GetObjectItemCaseSensitive(item, "layer");
	unsigned last = s->n ? s->v[s->n - 1].layer : 0;

	*ret = 0;
	if (layer && cJSON_IsNumber(layer) && layer->valuedouble >= 0 &&
	    layer->valuedouble < SOURCES_MAX)
		*ret = (unsigned)layer->valuedouble;
	if (layer && (!cJSON_IsNumber(layer) || (double)*ret != layer->valuedouble))
		return err_set(reterr, ERR_INVALID,
			       "manifests: layer must be a whole number from 0 to %d",
			       SOURCES_MAX - 1);
	if (*ret < last)
		return err_set(reterr, ERR_INVALID,
			       "manifests: layer %u stands behind layer %u: lower ones come first",
			       *ret, last);
	return 0;
}

static int read_text(const cJSON *item, const char *path, const char *text, struct sources *s,
		     struct err **reterr)
{
	_cleanup_free_ char *path_copy = mem_strdup(path), *copy = mem_strdup(text);
	unsigned layer;
	int r = read_layer(item, s, &layer, reterr);

	if (r < 0)
		return r;
	if (path[0] != '/')
		return err_set(reterr, ERR_INVALID, "manifests: \"%.200s\" is not absolute", path);
	if (has_text(s, path))
		return twice(path, reterr);
	r = path_copy && copy ? sources_add_text(s, path_copy, copy, strlen(copy), layer)
			      : -ERR_NOMEM;
	if (r < 0)
		return r == -ERR_NOMEM ? err_nomem(reterr) : wrong_size(reterr);
	path_copy = copy = NULL;
	return 0;
}

static int read_file(const char *path, const char *base64, struct sources *s, struct err **reterr)
{
	_cleanup_free_ char *path_copy = mem_strdup(path), *data = NULL;
	size_t len = 0;
	int r;

	if (!path[0])
		return err_set(reterr, ERR_INVALID, "manifests: a path is empty");
	if (find_file(s, path))
		return twice(path, reterr);
	r = base64_decode(base64, strlen(base64), &data, &len, reterr);
	if (r < 0)
		return err_wrap(reterr, "manifests: \"%.200s\"", path);
	if (len > MANIFEST_BYTES_MAX)
		return err_set(reterr, ERR_INVALID, "manifests: \"%.200s\" is larger than 1 MiB",
			       path);
	r = path_copy ? sources_add_file(s, path_copy, data, len) : -ERR_NOMEM;
	if (r < 0)
		return r == -ERR_NOMEM ? err_nomem(reterr) : wrong_size(reterr);
	path_copy = data = NULL;
	return 0;
}

/* Sixteen hexadecimal digits; others are as good as none: secrets_assign finds a new one. */
static int read_generation(const char *service, const char *hex, struct sources *s,
			   struct err **reterr)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t number = 0;

	for (const char *p = hex; *p; p++) {
		const char *at = strchr(digits, *p);

		if (!at || p - hex >= 16)
			return 0;
		number = number << 4 | (uint64_t)(at - digits);
	}
	if (s->n_generations >= SOURCES_GENERATIONS_MAX)
		return err_set(reterr, ERR_INVALID, "manifests: more than %d generations",
			       SOURCES_GENERATIONS_MAX);
	return sources_set_generation(s, service, number) < 0 ? err_nomem(reterr) : 0;
}

static int read_item(const cJSON *item, struct sources *s, struct err **reterr)
{
	const cJSON *service = cJSON_GetObjectItemCaseSensitive(item, "service");
	const cJSON *generation = cJSON_GetObjectItemCaseSensitive(item, "generation");
	const cJSON *path = cJSON_GetObjectItemCaseSensitive(item, "path");
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(item, "text");
	const cJSON *base64 = cJSON_GetObjectItemCaseSensitive(item, "base64");

	if (cJSON_IsString(path) && cJSON_IsString(text) && !base64)
		return read_text(item, path->valuestring, text->valuestring, s, reterr);
	if (cJSON_IsString(path) && cJSON_IsString(base64) && !text)
		return read_file(path->valuestring, base64->valuestring, s, reterr);
	if (cJSON_IsString(service) && cJSON_IsString(generation) && !path)
		return read_generation(service->valuestring, generation->valuestring, s, reterr);
	return err_set(
		reterr, ERR_INVALID,
		"manifests: each needs \"path\" (absolute) and \"text\" (a manifest's content), "
		"or \"path\" and \"base64\" (the content of a file it names)");
}

int sources_from_json(const cJSON *array, struct sources *ret, struct err **reterr)
{
	struct sources s = {0};
	const cJSON *item;
	int r = 0;

	if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) < 1 ||
	    cJSON_GetArraySize(array) > SOURCES_MAX + SOURCES_GENERATIONS_MAX)
		return wrong_size(reterr);
	cJSON_ArrayForEach (item, array) {
		r = read_item(item, &s, reterr);
		if (r < 0)
			break;
	}
	if (r == 0 && s.n == 0)
		r = err_set(reterr, ERR_INVALID, "manifests: there is no {\"path\", \"text\"}");
	if (r < 0)
		sources_done(&s);
	else
		*ret = s;
	return r;
}

static void write_file(struct jsonw *w, const struct manifest_file *f)
{
	_cleanup_free_ char *base64 = base64_encode(f->data, f->len);

	jsonw_object_begin(w, NULL);
	jsonw_string(w, "path", f->path);
	jsonw_string(w, "base64", base64);
	jsonw_object_end(w);
	w->out->failed = w->out->failed || !base64;
}

static void write_generation(struct jsonw *w, const char *service, uint64_t number)
{
	char hex[20];

	snprintf(hex, sizeof(hex), "%016" PRIx64, number);
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "service", service);
	jsonw_string(w, "generation", hex);
	jsonw_object_end(w);
}

static void write_texts(struct jsonw *w, const struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		jsonw_object_begin(w, NULL);
		jsonw_string(w, "path", s->v[i].path);
		jsonw_string_n(w, "text", s->v[i].text, s->v[i].len);
		jsonw_int(w, "layer", s->v[i].layer);
		jsonw_object_end(w);
	}
}

char *sources_to_json(const struct sources *s)
{
	struct buf b = {0};
	struct jsonw w = {.out = &b};

	jsonw_array_begin(&w, NULL);
	write_texts(&w, s);
	for (size_t i = 0; i < s->n_files; i++)
		write_file(&w, &s->files[i]);
	for (size_t i = 0; i < s->n_generations; i++)
		write_generation(&w, s->generations[i].service, s->generations[i].number);
	jsonw_array_end(&w);
	return buf_take(&b);
}

char *sources_add_generations(const char *json, const struct manifest *m)
{
	size_t len = strlen(json);
	struct buf b = {0};
	struct jsonw w = {.out = &b};

	jsonw_array_begin(&w, NULL);
	for (size_t i = 0; i < m->n_services; i++)
		if (m->services[i]->secrets_generation)
			write_generation(&w, m->services[i]->name,
					 m->services[i]->secrets_generation);
	jsonw_array_end(&w);
	if (!b.failed && len > 2 && b.len > 2) { /* "[a]" and "[b]": "[a,b]" */
		struct buf both = {0};

		buf_printf(&both, "%.*s,%s", (int)(len - 1), json, buf_cstr(&b) + 1);
		buf_done(&b);
		b = both;
	} else if (!b.failed) {
		buf_clear(&b);
		buf_str(&b, json);
	}
	return buf_take(&b);
}

char *sources_without_contents(const char *json)
{
	__attribute__((cleanup(sources_done))) struct sources s = {0};
	cJSON *array = cJSON_Parse(json);
	struct buf b = {0};
	struct jsonw w = {.out = &b};

	jsonw_array_begin(&w, NULL);
	if (array && sources_from_json(array, &s, NULL) == 0)
		write_texts(&w, &s);
	for (size_t i = 0; i < s.n_files; i++) {
		jsonw_object_begin(&w, NULL);
		jsonw_string(&w, "path", s.files[i].path);
		jsonw_object_end(&w);
	}
	jsonw_array_end(&w);
	cJSON_Delete(array);
	return buf_take(&b);
}

static int look_up(void *user, const char *path, char **ret_data, size_t *ret_len,
		   struct err **reterr)
{
	const struct manifest_file *f = find_file(user, path);
	char *copy;

	if (!f)
		return err_set(
			reterr, ERR_NOTFOUND,
			"its content was not sent, and the daemon opens no file that a client names");
	copy = mem_alloc(f->len + 1);
	if (!copy)
		return err_nomem(reterr);
	memcpy(copy, f->data, f->len);
	*ret_data = copy;
	*ret_len = f->len;
	return 0;
}

int sources_parse(const struct sources *s, struct manifest **ret, struct manifest_errors *errors)
{
	const struct manifest_input in = {
		.sources = s->v, .n = s->n, .read = look_up, .user = (void *)(uintptr_t)s};

	struct manifest *m = NULL;
	int r = manifest_parse(&in, &m, errors);

	for (size_t i = 0; r == 0 && i < m->n_services; i++)
		for (size_t k = 0; m->services[i]->secrets.n > 0 && k < s->n_generations; k++)
			if (strcmp(s->generations[k].service, m->services[i]->name) == 0)
				m->services[i]->secrets_generation = s->generations[k].number;
	if (r == 0) { /* s has them */
		manifest_forget_files(m);
		*ret = m;
	}
	return r;
}

void sources_done(struct sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		mem_free((void *)(uintptr_t)s->v[i].path);
		mem_free((void *)(uintptr_t)s->v[i].text);
	}
	for (size_t i = 0; i < s->n_files; i++) {
		mem_free(s->files[i].path);
		mem_free(s->files[i].data);
	}
	for (size_t i = 0; i < s->n_generations; i++)
		mem_free(s->generations[i].service);
	mem_free(s->generations);
	mem_free(s->v);
	mem_free(s->files);
	*s = (struct sources){0};
}
