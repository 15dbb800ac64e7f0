/*
 * docker_auth: see docker_auth.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "docker_json.h"
#include "docker_mem.h"

#define CONFIG_MAX (1 << 20)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The engine wants the URL's alphabet, with padding. */
static char *encode(const char *text)
{
	size_t n = strlen(text), at = 0;
	char *to = docker_mem_zalloc((n + 2) / 3 * 4 + 1);

	if (!to)
		return NULL;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)(unsigned char)text[i] << 16;

		if (i + 1 < n)
			v |= (uint32_t)(unsigned char)text[i + 1] << 8;
		if (i + 2 < n)
			v |= (unsigned char)text[i + 2];
		to[at++] = alphabet[v >> 18 & 63];
		to[at++] = alphabet[v >> 12 & 63];
		to[at++] = i + 1 < n ? alphabet[v >> 6 & 63] : '=';
		to[at++] = i + 2 < n ? alphabet[v & 63] : '=';
	}
	return to;
}

static int value_of(char c)
{
	const char *p = c ? strchr(alphabet, c == '+' ? '-' : c == '/' ? '_' : c) : NULL;

	return p ? (int)(p - alphabet) : -1;
}

/* NULL: not base64, or no memory: both mean no credentials. */
static char *decode(const char *text)
{
	size_t n = strcspn(text, "="), at = 0;
	char *to = docker_mem_zalloc(n / 4 * 3 + 4);
	uint32_t v = 0;

	if (!to)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		int d = value_of(text[i]);

		if (d < 0) {
			docker_mem_free(to);
			return NULL;
		}
		v = v << 6 | (uint32_t)d;
		if (i % 4)
			to[at++] = (char)(v >> (6 - 2 * (i % 4)) & 255);
	}
	return to;
}

/* "https://ghcr.io/v1/" is ghcr.io; Docker's own registry has three names. */
static bool is_for(const char *key, const char *registry)
{
	const char *host = strstr(key, "://");
	size_t n;

	host = host ? host + 3 : key;
	n = strcspn(host, "/");
	if (n == strlen(registry) && strncasecmp(host, registry, n) == 0)
		return true;
	return strcmp(registry, "docker.io") == 0 &&
	       ((n == 15 && strncmp(host, "index.docker.io", n) == 0) ||
		(n == 20 && strncmp(host, "registry-1.docker.io", n) == 0));
}

static const cJSON *find(const cJSON *object, const char *registry)
{
	const cJSON *v;

	cJSON_ArrayForEach (v, object) {
		if (v->string && is_for(v->string, registry))
			return v;
	}
	return NULL;
}

static cJSON *credentials(const cJSON *entry, const char *registry)
{
	const char *auth = docker_json_text(entry, "auth");
	const char *token = docker_json_text(entry, "identitytoken");
	const char *user = docker_json_text(entry, "username");
	const char *password = docker_json_text(entry, "password");
	_docker_free_ char *plain = auth ? decode(auth) : NULL;
	char *colon = plain ? strchr(plain, ':') : NULL;
	cJSON *o = cJSON_CreateObject();
	bool ok;

	if (colon) {
		*colon = '\0';
		user = plain;
		password = colon + 1;
	}
	ok = docker_json_put(o, "serveraddress",
			     cJSON_CreateString(strcmp(registry, "docker.io") == 0
							? "https://index.docker.io/v1/"
							: registry));
	if (token)
		ok = ok && docker_json_put(o, "identitytoken", cJSON_CreateString(token));
	else if (user && password)
		ok = ok && docker_json_put(o, "username", cJSON_CreateString(user)) &&
		     docker_json_put(o, "password", cJSON_CreateString(password));
	if (ok && (token || (user && password)))
		return o;
	cJSON_Delete(o);
	return NULL;
}

int docker_auth_header(const char *config, size_t len, const char *registry, char **ret,
		       const char **ret_note)
{
	_docker_free_ char *text = NULL;
	cJSON *root = docker_json_parse(config, len), *found;

	*ret = NULL;
	*ret_note = NULL;
	if (!cJSON_IsObject(root)) {
		cJSON_Delete(root);
		return -1;
	}
	found = credentials(find(docker_json_get(root, "auths"), registry), registry);
	if (!found && (find(docker_json_get(root, "credHelpers"), registry) ||
		       docker_json_text(root, "credsStore")))
		*ret_note = "the credentials are kept by a helper program, which is not run";
	cJSON_Delete(root);
	if (!found)
		return 0;
	text = docker_json_print(found);
	cJSON_Delete(found);
	*ret = text ? encode(text) : NULL;
	return *ret ? 0 : -2;
}

/* A small regular file: what is there is read at once. */
static char *read_file(const char *path, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text = NULL;
	struct stat st;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < CONFIG_MAX) {
		size_t n = (size_t)st.st_size, at = 0;
		ssize_t k = 1;

		text = docker_mem_zalloc(n + 1);
		while (text && at < n && k != 0) {
			k = read(fd, text + at, n - at);
			if (k < 0 && errno != EINTR)
				break;
			at += k > 0 ? (size_t)k : 0;
		}
		*ret_len = at;
	}
	close(fd);
	return text;
}

char *docker_auth_read(size_t *ret_len)
{
	const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	_docker_free_ char *path = NULL;

	if (dir && dir[0])
		path = docker_mem_printf("%s/config.json", dir);
	else if (home && home[0])
		path = docker_mem_printf("%s/.docker/config.json", home);
	return path ? read_file(path, ret_len) : NULL;
}
