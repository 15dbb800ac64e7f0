/* replica_logs: see replica_logs.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_logs.h"

#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/manifest.h"

static bool has(char *const *list, const char *word)
{
	while (list && *list && strcmp(*list, word) != 0)
		list++;
	return list && *list;
}

void replica_logs_of(const struct service_spec *spec, uint64_t revision, struct wire_logs *m)
{
	*m = (struct wire_logs){.max_size = (uint64_t)spec->log_max_size,
				.max_files = (uint32_t)spec->log_max_files,
				.max_total = (uint64_t)spec->log_max_total,
				.max_age_ms = spec->log_max_age_ms,
				.rotate_ms = spec->log_rotate_ms};
	if (has(spec->log_to, "journald")) {
		m->flags |= WIRE_LOGS_JOURNALD;
		m->revision = revision;
	}
	if (spec->log_compress == LOG_COMPRESS_ZSTD)
		m->flags |= WIRE_LOGS_ZSTD;
	if (spec->log_on_full == LOG_DROP)
		m->flags |= WIRE_LOGS_DROP;
}

void replica_logs_send(const struct replica *r)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);
	struct wire_logs m;

	if (!r->spec || !replica_sm_is_live(r->state))
		return;
	replica_logs_of(r->spec, r->revision, &m);
	buf_clear(&c->packet);
	wire_logs_encode(&c->packet, &key, &m);
	link_send(c->link, &c->packet);
}
