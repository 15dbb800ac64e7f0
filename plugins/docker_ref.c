/*
 * docker_ref: see docker_ref.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_ref.h"

#include <stdio.h>
#include <string.h>

#define REF_MAX 512

static bool hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static const char *fault(const char *s)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 "._-/:@+";

	if (!s[0])
		return "the reference is empty";
	if (strlen(s) > REF_MAX)
		return "the reference is too long";
	if (s[strspn(s, ok)])
		return "the reference has a character that none may have";
	if (strchr("/:@", s[0]) || strchr("/:@", s[strlen(s) - 1]) || strstr(s, "//") ||
	    strstr(s, "::"))
		return "a part of the reference is empty";
	return NULL;
}

/* The first component is a host if it looks like one. */
static char *registry(const char *name)
{
	size_t n = strcspn(name, "/");

	if (name[n] && (memchr(name, '.', n) || memchr(name, ':', n) ||
			(n == 9 && memcmp(name, "localhost", 9) == 0)))
		return docker_mem_copy(name, n);
	return docker_mem_dup("docker.io");
}

int docker_ref_parse(const char *text, struct docker_ref *ret, const char **why)
{
	const char *at, *slash, *colon;
	struct docker_ref r = {0};
	size_t n;

	*why = fault(text);
	if (*why)
		return -1;
	r.id = strncmp(text, "sha256:", 7) == 0 ? hex(text + 7, 64) : hex(text, 64);
	at = strchr(text, '@');
	n = at ? (size_t)(at - text) : strlen(text);
	slash = memrchr(text, '/', n);
	colon = memrchr(slash ? slash : text, ':', n - (size_t)(slash ? slash - text : 0));
	if (at && (strchr(at + 1, '@') || !strchr(at, ':'))) {
		*why = "the digest is not like sha256:0123…";
		return -1;
	}
	r.name = docker_mem_copy(text, colon ? (size_t)(colon - text) : n);
	if (at)
		r.tag = docker_mem_dup(at + 1);
	else
		r.tag = colon ? docker_mem_copy(colon + 1, n - (size_t)(colon + 1 - text))
			      : docker_mem_dup("latest");
	r.registry = r.name ? registry(r.name) : NULL;
	if (!r.name || !r.tag || !r.registry) {
		docker_ref_done(&r);
		*why = "out of memory";
		return -2;
	}
	*ret = r;
	return 0;
}

void docker_ref_done(struct docker_ref *r)
{
	docker_mem_free(r->name);
	docker_mem_free(r->tag);
	docker_mem_free(r->registry);
	*r = (struct docker_ref){0};
}

void docker_ref_escape(struct docker_buf *to, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-._~";

	for (; *text; text++) {
		char hexed[4];

		if (strchr(plain, *text)) {
			docker_mem_add(to, text, 1);
			continue;
		}
		snprintf(hexed, sizeof(hexed), "%%%02X", (unsigned char)*text);
		docker_mem_text(to, hexed);
	}
}
