/*
 * api_role: who may do what, by the credentials that the kernel took when the peer connected.
 *
 * SPDX-License-Identifier: MIT
 */
#include <unistd.h>

#include "daemon/controller/api.h"
#include "daemon/controller/controller.h"
#include "lib/http_server.h"
#include "lib/sock.h"

enum api_role api_role_of(const struct controller *c, int fd)
{
	struct sock_peer p;

	if (sock_peer(fd, &p) < 0)
		return API_NONE;
	if (p.uid == 0 || p.uid == c->owner)
		return API_ADMIN;
	/* under root our own group is aictl, which also owns the socket */
	return c->root && sock_peer_in_group(fd, getgid()) ? API_OPERATE : API_READ;
}

const char *api_role_name(enum api_role role)
{
	static const char *const names[] = {
		[API_NONE] = "none",	   [API_METRICS] = "metrics", [API_READ] = "read",
		[API_OPERATE] = "operate", [API_ADMIN] = "admin",
	};

	return names[role];
}

bool api_role_allows(struct api_call *call, enum api_role needed, const char *what)
{
	if (call->role >= needed)
		return true;
	if (needed == API_ADMIN)
		api_reply_error(call->r, 403, "permission_denied",
				"%s is for root and the daemon's owner: whoever may apply decides "
				"what runs as which user",
				what);
	else if (needed == API_OPERATE)
		api_reply_error(call->r, 403, "permission_denied",
				"%s is for root, the daemon's owner and members of the group aictl "
				"(apply and delete: for the first two)",
				what);
	else
		api_reply_error(call->r, 403, "permission_denied", "%s is not for this listener",
				what);
	return false;
}

bool api_role_sees_values(const struct api_call *call)
{
	return call->role >= API_ADMIN;
}
