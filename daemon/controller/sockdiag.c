/* sockdiag: see sockdiag.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/mem.h"

#define PAGE 32768

struct query {
	enum sockdiag_what what;
	uint16_t low, high;
	sockdiag_fn *on_socket;
	void *user;
};

bool sockdiag_is_loopback(int family, const uint8_t address[16])
{
	struct in6_addr v6;

	if (family == AF_INET)
		return address[0] == 127;
	memcpy(&v6, address, sizeof(v6));
	return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

static void tell(const struct query *q, const struct inet_diag_msg *m, size_t len)
{
	const struct rtattr *a = (const struct rtattr *)(m + 1);
	struct sockdiag_socket s = {.family = m->idiag_family,
				    .local_port = ntohs(m->id.idiag_sport),
				    .remote_port = ntohs(m->id.idiag_dport),
				    .device = m->id.idiag_if,
				    .uid = m->idiag_uid};

	memcpy(s.local, m->id.idiag_src, sizeof(s.local));
	memcpy(s.remote, m->id.idiag_dst, sizeof(s.remote));
	len -= sizeof(*m);
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(a) == sizeof(s.cgroup))
			memcpy(&s.cgroup, RTA_DATA(a), sizeof(s.cgroup));
		else if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) == 1)
			s.v6only = *(const uint8_t *)RTA_DATA(a) != 0;
	}
	q->on_socket(&s, q->user);
}

/* Of that state, and with a port between the lowest and the highest. */
static int ask(int fd, const struct query *q, uint8_t family)
{
	bool listening = q->what == SOCKDIAG_LISTENING;
	const uint8_t from = listening ? INET_DIAG_BC_S_GE : INET_DIAG_BC_D_GE;
	const uint8_t to = listening ? INET_DIAG_BC_S_LE : INET_DIAG_BC_D_LE;
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 rq;
		struct rtattr attr;
		struct inet_diag_bc_op op[4];
	} m = {.head = {.nlmsg_len = sizeof(m),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	       .rq = {.sdiag_family = family,
		      .sdiag_protocol = IPPROTO_TCP,
		      .idiag_states = 1u << (listening ? TCP_LISTEN : TCP_ESTABLISHED)},
	       .attr = {.rta_len = RTA_LENGTH(sizeof(m.op)), .rta_type = INET_DIAG_REQ_BYTECODE},
	       /* code, where to go on if so, and if not: behind the end is no. */
	       .op = {{from, 8, 20}, {0, 0, q->low}, {to, 8, 12}, {0, 0, q->high}}};

	return send(fd, &m, sizeof(m), 0) == (ssize_t)sizeof(m) ? 0 : errno;
}

/* What ends an answer: its errno, 0 = that was all. */
static int end_of(const struct nlmsghdr *h)
{
	int code = 0; /* first of what either brings */

	if (h->nlmsg_type != NLMSG_DONE && h->nlmsg_type != NLMSG_ERROR)
		return EPROTO;
	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(code)))
		memcpy(&code, NLMSG_DATA(h), sizeof(code));
	return code < 0 ? -code : 0;
}

/* False: that was all, *ret says how it ended. */
static bool take_page(const struct query *q, const char *data, size_t len, int *ret)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)data;

	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
			*ret = end_of(h);
			return false;
		}
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			tell(q, NLMSG_DATA(h), h->nlmsg_len - NLMSG_HDRLEN);
	}
	return true;
}

static int read_family(int fd, const struct query *q, uint8_t family, char *page)
{
	int r = ask(fd, q, family);

	for (int i = 0; r == 0 && i < SOCKDIAG_READS_MAX; i++) {
		ssize_t n = recv(fd, page, PAGE, 0); /* the kernel makes it now: it never waits */

		if (n < 0)
			return errno;
		if (n == 0 || !take_page(q, page, (size_t)n, &r))
			break;
	}
	return r;
}

int sockdiag_read(enum sockdiag_what what, uint16_t low, uint16_t high, sockdiag_fn *on_socket,
		  void *user)
{
	const struct query q = {what, low, high, on_socket, user};
	static const uint8_t families[] = {AF_INET, AF_INET6};
	_cleanup_free_ char *page = mem_alloc(PAGE);
	int first = page ? 0 : ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(families) && first == 0; i++) {
		/* one each: what a table that is too long leaves behind is not for the next */
		_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
						NETLINK_SOCK_DIAG);
		int r = fd < 0 ? errno : read_family(fd, &q, families[i], page);

		if (families[i] == AF_INET) /* a kernel may have no IPv6 */
			first = r;
	}
	return first;
}
