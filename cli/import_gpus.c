/* import_gpus: see import_gpus.h. GPUs stand in `gpus`, in deploy.resources.reservations.devices, in
 * `runtime: nvidia` of old, or among `devices` by their CDI names. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_gpus.h"

#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "cli/compose.h"
#include "cli/compose_value.h"
#include "cli/import.h"
#include "cli/import_out.h"
#include "cli/x.h"
#include "cli/yaml_out.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/schema_check.h"
#include "lib/yamltree.h"

struct gpus {
	bool any;
	int64_t count; /* 0: all */
	const char *driver;
	struct compose_texts ids, capabilities, cdi;
};

static bool wants_gpu(const struct ynode *request)
{
	_cleanup_texts_ struct compose_texts t = {0};
	const struct ynode *capabilities = yamltree_get(request, "capabilities");

	if (!capabilities || !compose_value_texts(capabilities, &t))
		return true;
	for (size_t i = 0; i < t.n; i++)
		if (strcmp(t.v[i], "gpu") == 0 || strcmp(t.v[i], "nvidia") == 0)
			return true;
	return t.n == 0;
}

static void read_request(const struct import_part *p, const struct ynode *item, const char *field,
			 struct gpus *ret)
{
	static const char *const known[] = {"driver", "count", "device_ids", "capabilities", NULL};
	const struct ynode *count = yamltree_get(item, "count");
	const struct ynode *ids = yamltree_get(item, "device_ids");
	const struct ynode *capabilities = yamltree_get(item, "capabilities");
	_cleanup_free_ char *prefix = x_printf("%s.", field);

	if (item->kind != YNODE_MAP) {
		import_bad(p, item, field, "a map");
		return;
	}
	if (ret->any || !wants_gpu(item)) {
		import_note(p, IMPORT_DROPPED, field, "%s",
			    ret->any ? "a second request" : "a device that is no GPU");
		return;
	}
	import_unknown(p, item, prefix, known);
	ret->any = true;
	ret->driver = compose_value_get(item, "driver");
	if (compose_value_text(count) && strcmp(count->text, "all") != 0 &&
	    strcmp(count->text, "-1") != 0 && !compose_value_int(count->text, 1, 1024, &ret->count))
		import_bad(p, count, field, "a number of GPUs, or all");
	if (ids && !compose_value_texts(ids, &ret->ids))
		import_bad(p, ids, field, "a list of texts");
	if (capabilities && !compose_value_texts(capabilities, &ret->capabilities))
		import_bad(p, capabilities, field, "a list of texts");
}

static void read_requests(const struct import_part *p, const struct ynode *node, const char *field,
			  struct gpus *ret)
{
	if (node && node->kind == YNODE_SCALAR) {
		ret->any = true;
		if (strcmp(node->text, "all") != 0 &&
		    !compose_value_int(node->text, 1, 1024, &ret->count))
			import_bad(p, node, field, "a number of GPUs, or all");
	}
	for (size_t i = 0; node && node->kind == YNODE_LIST && i < node->n; i++)
		read_request(p, node->items[i].value, field, ret);
}

static void put_part(struct buf *out, const char *key, const struct compose_texts *t)
{
	if (t->n > 0)
		import_out_list(out, 3, key, t);
}

static void put_gpus(const struct import_part *p, struct gpus *g)
{
	bool plain = g->capabilities.n == 0 ||
		     (g->capabilities.n == 1 && strcmp(g->capabilities.v[0], "gpu") == 0);
	bool driver = g->driver && strcmp(g->driver, "nvidia") != 0;

	if (!g->any)
		return;
	if (g->driver && strcmp(g->driver, "cdi") == 0) {
		import_out_open(p->out, IMPORT_DEPTH, "gpus");
		put_part(p->out, "cdi", &g->ids);
		return;
	}
	if (plain && !driver && g->ids.n == 0 && g->cdi.n == 0) {
		if (g->count)
			import_out_word(p->out, IMPORT_DEPTH, "gpus", "%" PRId64, g->count);
		else
			import_out_text(p->out, IMPORT_DEPTH, "gpus", "all");
		return;
	}
	import_out_open(p->out, IMPORT_DEPTH, "gpus");
	put_part(p->out, "cdi", &g->cdi);
	if (g->cdi.n > 0)
		return;
	put_part(p->out, "device_ids", &g->ids);
	if (g->ids.n == 0 && g->count)
		import_out_word(p->out, 3, "count", "%" PRId64, g->count);
	if (driver)
		import_out_text(p->out, 3, "driver", g->driver);
	if (!plain)
		put_part(p->out, "capabilities", &g->capabilities);
}

/* "SOURCE[:TARGET[:rwm]]", or a CDI name. */
static void read_device(const struct import_part *p, const struct ynode *node, const char *text,
			struct gpus *g, struct compose_texts *devices)
{
	if (!schema_check_cdi(text)) {
		g->any = true;
		compose_value_add(&g->cdi, text, strlen(text));
	} else if (text[0] == '/') {
		compose_value_add(devices, text, strlen(text));
	} else {
		import_bad(p, node, "devices", "a device as /dev/NAME");
	}
}

static void read_devices(const struct import_part *p, struct gpus *g, struct compose_texts *devices)
{
	const struct ynode *node = import_key(p, "devices");

	if (node && node->kind != YNODE_LIST)
		import_bad(p, node, "devices", "a list");
	for (size_t i = 0; node && node->kind == YNODE_LIST && i < node->n; i++) {
		const struct ynode *item = node->items[i].value;
		const char *source = compose_value_get(item, "source");
		const char *target = compose_value_get(item, "target");
		const char *mode = compose_value_get(item, "permissions");
		_cleanup_free_ char *brief =
			source ? x_printf("%s:%s%s%s", source, target ? target : source,
					  mode ? ":" : "", mode ? mode : "")
			       : NULL;

		if (item->kind == YNODE_SCALAR)
			read_device(p, item, item->text, g, devices);
		else if (brief)
			read_device(p, item, brief, g, devices);
		else
			import_bad(p, item, "devices", "a device with a source");
	}
}

void import_gpus_emit(const struct import_part *p)
{
	const struct ynode *node = yamltree_get(import_key(p, "deploy"), "resources");
	const char *runtime = compose_value_text(import_key(p, "runtime"));
	_cleanup_texts_ struct compose_texts devices = {0};
	struct gpus g = {0};

	node = yamltree_get(yamltree_get(node, "reservations"), "devices");
	read_requests(p, node, "deploy.resources.reservations.devices", &g);
	read_requests(p, import_key(p, "gpus"), "gpus", &g);
	read_devices(p, &g, &devices);
	if (runtime && strcmp(runtime, "nvidia") == 0 && !g.any) {
		g.any = true;
		import_note(p, IMPORT_CHANGED, "runtime", "nvidia: it is `gpus: all` here");
	} else if (runtime && strcmp(runtime, "nvidia") != 0) {
		import_note(p, IMPORT_DROPPED, "runtime", "%s: the engine's own default is used",
			    runtime);
	}
	if (devices.n > 0)
		import_out_list(p->out, IMPORT_DEPTH, "devices", &devices);
	put_gpus(p, &g);
	compose_value_done(&g.ids);
	compose_value_done(&g.capabilities);
	compose_value_done(&g.cdi);
}
