/* vault: see vault.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/vault.h"

#include <sys/socket.h>

#include "daemon/wire/wire.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define STALE_MIN 16

void vault_init(struct vault *v)
{
	*v = (struct vault){.fds = {-1, -1}};
}

void vault_done(struct vault *v)
{
	mem_closep(&v->fds[0]);
	mem_closep(&v->fds[1]);
	v->n = v->n_wanted = 0;
}

void vault_renew(struct vault *v)
{
	vault_done(v);
	if (sock_pair(v->fds) < 0)
		vault_init(v);
}

bool vault_put(struct vault *v, const struct buf *packet, const int *fds, unsigned n_fds)
{
	if (v->fds[0] < 0 || wire_send(v->fds[0], packet, fds, n_fds) < 0)
		return false;
	v->n++;
	v->n_wanted++;
	return true;
}

void vault_drop(struct vault *v)
{
	if (v->n_wanted > 0 && --v->n_wanted == 0)
		vault_empty(v);
}

bool vault_is_stale(const struct vault *v)
{
	return v->n >= STALE_MIN + 2 * v->n_wanted;
}

void vault_empty(struct vault *v)
{
	char byte;

	while (recv(v->fds[1], &byte, 1, MSG_DONTWAIT) > 0) /* its descriptors go with it */
		;
	v->n = v->n_wanted = 0;
}
