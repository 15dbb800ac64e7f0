/* sources: see sources.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/sources.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"

int sources_from_json(const cJSON *array, struct manifest_source **ret, size_t *ret_n,
		      struct err **reterr)
{
	_cleanup_free_ struct manifest_source *list = NULL;
	const cJSON *item;
	size_t n = 0;

	if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) < 1 ||
	    cJSON_GetArraySize(array) > SOURCES_MAX)
		return err_set(reterr, ERR_INVALID,
			       "manifests: must be a list of 1 to %d {\"path\", \"text\"}",
			       SOURCES_MAX);
	list = mem_array((size_t)cJSON_GetArraySize(array), sizeof(*list));
	if (!list)
		return err_nomem(reterr);
	cJSON_ArrayForEach (item, array) {
		const cJSON *path = cJSON_GetObjectItemCaseSensitive(item, "path");
		const cJSON *text = cJSON_GetObjectItemCaseSensitive(item, "text");

		if (!cJSON_IsString(path) || path->valuestring[0] != '/' || !cJSON_IsString(text))
			return err_set(
				reterr, ERR_INVALID,
				"manifests: each needs \"path\" (absolute) and \"text\" (the file's content)");
		list[n++] = (struct manifest_source){path->valuestring, text->valuestring,
						     strlen(text->valuestring)};
	}
	*ret = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}

char *sources_to_json(const struct manifest_source *sources, size_t n)
{
	struct buf b = {0};
	struct jsonw w = {.out = &b};

	jsonw_array_begin(&w, NULL);
	for (size_t i = 0; i < n; i++) {
		jsonw_object_begin(&w, NULL);
		jsonw_string(&w, "path", sources[i].path);
		jsonw_string_n(&w, "text", sources[i].text, sources[i].len);
		jsonw_object_end(&w);
	}
	jsonw_array_end(&w);
	return buf_take(&b);
}
