/* zones: see zones.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/zones.h"

#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/tz.h"

static struct zone *find(const struct zones *z, const char *name)
{
	for (size_t i = 0; i < z->n; i++)
		if (strcmp(z->list[i].name, name ? name : "") == 0)
			return &z->list[i];
	return NULL;
}

/* Takes tz. */
static int add(struct zones *z, const char *name, struct tz *tz)
{
	struct zone *at = find(z, name);

	if (!at && mem_grow(&z->list, &z->cap, z->n + 1, sizeof(*z->list)) == 0) {
		at = &z->list[z->n];
		*at = (struct zone){.name = mem_strdup(name ? name : "")};
		z->n += at->name != NULL;
	}
	if (!at || !at->name) {
		tz_free(tz);
		return -ERR_NOMEM;
	}
	tz_free(at->tz);
	at->tz = tz;
	return 0;
}

static int read_one(struct zones *z, const char *name, struct err **reterr)
{
	struct tz *tz = NULL;
	int r = find(z, name) ? 0 : tz_load(name, &tz, reterr);

	if (r == 0 && tz && add(z, name, tz) < 0)
		return err_nomem(reterr);
	return r;
}

int zones_read(struct zones *z, const struct service_spec *spec, const char **ret_key,
	       struct err **reterr)
{
	const struct autoscale_window *windows = spec->autoscale.schedule.v;
	int r = 0;

	*ret_key = "schedule.timezone";
	if (spec->schedule.enabled && spec->schedule.cron)
		r = read_one(z, spec->schedule.timezone, reterr);
	for (size_t i = 0; i < spec->autoscale.schedule.n; i++) {
		if (r == 0)
			*ret_key = "autoscale.schedule";
		if (read_one(z, windows[i].timezone, r == 0 ? reterr : NULL) < 0)
			r = -ERR_INVALID;
	}
	return r;
}

void zones_put(struct zones *z, struct zones *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (add(z, from->list[i].name, TAKE_PTR(from->list[i].tz)) < 0)
			log_error("schedules in time zone \"%s\" are taken as UTC: out of memory",
				  from->list[i].name);
	zones_done(from);
}

const struct tz *zones_get(const struct zones *z, const char *name)
{
	const struct zone *at = find(z, name);

	return at ? at->tz : NULL;
}

void zones_done(struct zones *z)
{
	for (size_t i = 0; i < z->n; i++) {
		tz_free(z->list[i].tz);
		mem_free(z->list[i].name);
	}
	mem_free(z->list);
	*z = (struct zones){0};
}
