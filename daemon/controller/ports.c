/* ports: see ports.h. A bit per port of the range. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/mem.h"

struct ports {
	unsigned first, n;
	bool *used;
};

int ports_new(unsigned first, unsigned last, struct ports **ret, struct err **reterr)
{
	struct ports *p = mem_alloc(sizeof(*p));

	if (p) {
		p->first = first;
		p->n = last - first + 1;
		p->used = mem_array(p->n, sizeof(*p->used));
	}
	if (!p || !p->used) {
		mem_free(p);
		return err_nomem(reterr);
	}
	*ret = p;
	return 0;
}

void ports_free(struct ports *p)
{
	if (p)
		mem_free(p->used);
	mem_free(p);
}

static bool can_bind(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	       bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

/* FNV-1a: spreads the names over the range. */
static uint32_t hash(const char *service, unsigned index)
{
	uint32_t h = UINT32_C(2166136261);

	for (; *service; service++)
		h = (h ^ (unsigned char)*service) * UINT32_C(16777619);
	return h + index;
}

unsigned ports_take(struct ports *p, const char *service, unsigned index, unsigned have)
{
	uint32_t start = hash(service, index) % p->n;

	if (have && can_bind(have)) {
		ports_adopt(p, have);
		return have;
	}
	ports_release(p, have);
	for (uint32_t i = 0; i < p->n; i++) {
		uint32_t at = (start + i) % p->n;

		if (!p->used[at] && p->first + at != have && can_bind(p->first + at)) {
			p->used[at] = true;
			return p->first + at;
		}
	}
	return 0;
}

bool ports_adopt(struct ports *p, unsigned port)
{
	if (port < p->first || port - p->first >= p->n)
		return false;
	p->used[port - p->first] = true;
	return true;
}

void ports_release(struct ports *p, unsigned port)
{
	if (port >= p->first && port - p->first < p->n)
		p->used[port - p->first] = false;
}
