/* manifest_request: see manifest_request.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_request.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/manifest.h"
#include "lib/yamltree.h"

static struct manifest_place place(const struct ynode *node)
{
	return (struct manifest_place){node->file, node->line, node->column};
}

static bool is_field_value(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
			return false;
	return true;
}

static void check_headers(const struct ynode *headers, const char *path,
			  struct manifest_errors *errors)
{
	for (size_t i = 0; headers && headers->kind == YNODE_MAP && i < headers->n; i++) {
		const struct yitem *item = &headers->items[i];
		struct manifest_place at = place(item->value);

		if (item->value->kind == YNODE_SCALAR && !is_field_value(item->value->text))
			manifest_errors_add(errors, &at, NULL,
					    "%s.headers.%s: a line break or control character "
					    "cannot be in a header",
					    path, item->key->text);
	}
}

void manifest_request_check(const struct ynode *node, const char *path,
			    const struct request_spec *r, int64_t timeout_ms,
			    struct manifest_errors *errors, struct manifest_errors *warnings)
{
	const struct ynode *body = yamltree_get(node, "body");
	const struct ynode *json = yamltree_get(yamltree_get(node, "expect"), "json");
	const struct ynode *latency = yamltree_get(node, "max_latency");
	struct manifest_place at;

	check_headers(yamltree_get(node, "headers"), path, errors);
	if (body && r->body && r->method != REQUEST_POST && r->method != REQUEST_PUT) {
		at = place(body);
		manifest_errors_add(errors, &at, "write method: POST",
				    "%s.body: only a POST or PUT has a body", path);
	}
	if (json && r->json && r->method == REQUEST_HEAD) {
		at = place(json);
		manifest_errors_add(errors, &at, NULL,
				    "%s.expect.json: the answer to HEAD has no body", path);
	}
	if (latency && r->max_latency_ms >= timeout_ms) {
		at = place(latency);
		manifest_errors_add(warnings, &at, NULL,
				    "%s.max_latency (%s) is never felt: the timeout is not longer",
				    path, latency->kind == YNODE_SCALAR ? latency->text : "?");
	}
}
