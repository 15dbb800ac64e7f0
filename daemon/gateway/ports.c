/* ports: see ports.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/ports.h"

#include <string.h>
#include <unistd.h>

#include "lib/mem.h"

struct port *ports_find(const struct ports *p, const struct wire_listen_at *at)
{
	struct port *port = p->first;

	while (port && (port->at.port != at->port || strcmp(port->at.address, at->address) != 0))
		port = port->next;
	return port;
}

struct port *ports_nth(const struct ports *p, unsigned i)
{
	struct port *port = p->first;

	while (port && i-- > 0)
		port = port->next;
	return port;
}

struct port *ports_add(struct ports *p, const struct wire_listen_at *at, int fd, unsigned thread)
{
	struct port *port = ports_find(p, at);

	if (port) {
		close(port->fd);
		port->fd = fd;
		return port;
	}
	port = mem_alloc(sizeof(*port));
	if (!port) {
		close(fd);
		return NULL;
	}
	*port = (struct port){.at = *at, .fd = fd, .thread = thread, .next = p->first};
	p->first = port;
	share_take(&p->taken, at, true);
	return port;
}

void ports_remove(struct ports *p, struct port *gone)
{
	struct port **at = &p->first;

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	share_take(&p->taken, &gone->at, false);
	close(gone->fd);
	mem_free(gone);
}

void ports_done(struct ports *p)
{
	while (p->first)
		ports_remove(p, p->first);
}
