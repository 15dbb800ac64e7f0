/* secrets: see secrets.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/secrets.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* ---- generations ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Same files of the same owner. */
static bool same_secrets(const struct service_spec *a, const struct service_spec *b)
{
	const struct secret_spec *x = a->secrets.v, *y = b->secrets.v;

	if (a->secrets.n != b->secrets.n || !same_text(a->user, b->user) ||
	    !same_text(a->group, b->group) ||
	    service_spec_is_container(a) != service_spec_is_container(b))
		return false;
	for (size_t i = 0; i < a->secrets.n; i++)
		if (strcmp(x[i].name, y[i].name) != 0 || x[i].len != y[i].len || !x[i].data ||
		    !y[i].data || memcmp(x[i].data, y[i].data, x[i].len) != 0)
			return false;
	return true;
}

/* Other contents under the same names, for which nothing has to be replaced: they may take their
 * place. */
static bool is_reload(const struct service_spec *a, const struct service_spec *b)
{
	return service_spec_diff(a, b, NULL) == CHANGE_RELOAD;
}

uint64_t secrets_version(const struct service_spec *spec)
{
	const struct secret_spec *v = spec ? spec->secrets.v : NULL;
	uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a, as the digests */

	if (!spec || spec->secrets.n == 0 || !spec->reload.enabled)
		return 0;
	for (size_t i = 0; i < spec->secrets.n; i++)
		for (unsigned k = 0; k < 64; k += 8)
			h = (h ^ ((uint64_t)v[i].reloaded_digest >> k & 0xff)) *
			    UINT64_C(1099511628211);
	return h ? h : 1;
}

static uint64_t new_generation(void)
{
	uint64_t g = 0;

	while (g == 0)
		if (getrandom(&g, sizeof(g), 0) != (ssize_t)sizeof(g))
			g = 0;
	return g;
}

void secrets_assign(const struct controller *c, struct manifest *m)
{
	for (size_t i = 0; i < m->n_services; i++) {
		struct service_spec *spec = m->services[i];
		const struct service *s = controller_find(c, spec->name);

		if (spec->secrets.n == 0)
			continue;
		spec->secrets_generation =
			s && s->spec && s->spec->secrets_generation &&
					(same_secrets(s->spec, spec) || is_reload(s->spec, spec))
				? s->spec->secrets_generation
				: new_generation();
	}
}

/* ---- sending ---- */

static void fill(const struct service *s, struct wire_secrets *m)
{
	const struct secret_spec *v = s->spec->secrets.v;

	memccpy(m->service, s->name, '\0', sizeof(m->service));
	m->generation = s->spec->secrets_generation;
	m->version = s->secrets.version;
	m->uid = s->identity->uid;
	m->gid = s->identity->gid;
	m->everyone = service_spec_is_container(s->spec); /* its user is nobody here knows */
	for (size_t i = 0; i < s->spec->secrets.n && m->n < WIRE_SECRETS_MAX; i++) {
		struct wire_secret *one = &m->secrets[m->n++];

		memccpy(one->name, v[i].name, '\0', sizeof(one->name));
		one->data = v[i].data;
		one->len = (uint32_t)v[i].len;
	}
}

void secrets_send(struct service *s)
{
	uint64_t now = s->spec ? s->spec->secrets_generation : 0,
		 version = secrets_version(s->spec);
	_cleanup_buf_ struct buf packet = {0};
	struct wire_secrets *m;

	if (!s->controller->begun || (now && !s->identity) ||
	    (s->secrets.generation == now && s->secrets.version == version))
		return;
	s->secrets.others |= s->secrets.generation != now;
	s->secrets.generation = now;
	s->secrets.version = version;
	s->secrets.written = false;
	s->secrets.error = 0;
	if (!now)
		return;
	m = mem_alloc(sizeof(*m));
	if (m) {
		fill(s, m);
		wire_secrets_encode(&packet, m);
		mem_free(m);
	}
	if (m && !packet.failed)
		link_send(s->controller->link, &packet);
	else /* a SPAWN that names them will fail, and say so */
		log_error("service=%s its secrets are not sent: out of memory", s->name);
}

void secrets_on_written(struct controller *c, const struct wire_secrets_written *m)
{
	struct service *s = controller_find(c, m->service);

	if (!s || s->secrets.generation != m->generation || s->secrets.version != m->version)
		return; /* of what is not wanted any more */
	s->secrets.written = m->err == 0;
	s->secrets.error = m->err;
	controller_touch(s);
}

void secrets_refused(struct service *s, int error)
{
	s->secrets.error = error ? error : ENOENT;
}

void secrets_retry(struct service *s)
{
	if (!s->secrets.error)
		return;
	s->secrets.generation = 0; /* as if nothing had been sent */
	secrets_send(s);
}

void secrets_begin(struct service *s)
{
	s->secrets.others = true;
	secrets_send(s);
}

static void send_drop(struct service *s, uint64_t keep)
{
	_cleanup_buf_ struct buf packet = {0};

	wire_secrets_encode_drop(&packet, s->name, keep);
	link_send(s->controller->link, &packet);
	s->secrets.others = false;
}

/* Runs, or is about to, with what its service does not say any more. */
static bool may_use_former(const struct replica *r)
{
	switch (r->state) {
	case REPLICA_PENDING:
	case REPLICA_WAITING:
	case REPLICA_BACKOFF:
	case REPLICA_EXITED:
	case REPLICA_FAILED:
	case REPLICA_SUCCEEDED:
		return false;
	case REPLICA_STARTING:
	case REPLICA_READY:
	case REPLICA_UNREADY:
	case REPLICA_DRAINING:
	case REPLICA_STOPPING:
	case REPLICA_UNKNOWN:
	case REPLICA_STATE_MAX_:
	default:
		return !replica_is_current(r);
	}
}

void secrets_settle(struct service *s)
{
	if (!s->secrets.others || !s->controller->begun)
		return;
	for (size_t i = 0; i < s->n_replicas; i++)
		if (may_use_former(s->replicas[i]))
			return;
	send_drop(s, s->secrets.generation);
}

void secrets_forget(struct service *s)
{
	send_drop(s, 0);
}

void secrets_dir(const struct controller *c, const struct service_spec *spec, struct buf *out)
{
	if (spec->secrets_generation)
		wire_secrets_path(out, c->hello.secrets_dir, spec->name, spec->secrets_generation);
}
