/* ports: see ports.h. A bit per port of the range. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
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
static uint32_t hash(uint32_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT32_C(16777619);
	return h;
}

/* "http" is the one that `port: N` gives: of the service's name alone. */
static uint32_t place(const char *service, unsigned index, const char *name)
{
	uint32_t h = hash(UINT32_C(2166136261), service);

	return (strcmp(name, "http") == 0 ? h : hash(hash(h, "/"), name)) + index;
}

unsigned ports_take(struct ports *p, const char *service, unsigned index, const char *name,
		    unsigned have)
{
	uint32_t start = place(service, index, name) % p->n;

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
