/*
 * docker_spec: see docker_spec.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_spec.h"

#include <stdio.h>
#include <string.h>

#include "docker_json.h"
#include "docker_mem.h"

struct making {
	const cJSON *spec;
	const struct docker_spec_engine *engine;
	cJSON *body, *host;
	char *error;
	size_t error_size;
};

static int invalid(const struct making *m, const char *key, const char *what)
{
	snprintf(m->error, m->error_size, "%s: %s", key, what);
	return AICTL_INVALID;
}

static int no_memory(const struct making *m)
{
	snprintf(m->error, m->error_size, "out of memory");
	return AICTL_NO_MEMORY;
}

/* ---- members that only change their name ---- */

enum type { TEXT, TEXTS, NUMBER, BOOL };

struct field {
	const char *from, *to;
	enum type type;
};

static const struct field of_body[] = {{"image", "Image", TEXT},
				       {"command", "Cmd", TEXTS},
				       {"entrypoint", "Entrypoint", TEXTS},
				       {"user", "User", TEXT},
				       {"tty", "Tty", BOOL},
				       {"working_dir", "WorkingDir", TEXT},
				       {"stop_signal", "StopSignal", TEXT},
				       {"hostname", "Hostname", TEXT}};

static const struct field of_host[] = {{"init", "Init", BOOL},
				       {"read_only", "ReadonlyRootfs", BOOL},
				       {"shm_size", "ShmSize", NUMBER},
				       {"cap_add", "CapAdd", TEXTS},
				       {"cap_drop", "CapDrop", TEXTS},
				       {"group_add", "GroupAdd", TEXTS},
				       {"security_opt", "SecurityOpt", TEXTS},
				       {"network", "NetworkMode", TEXT}};

static const struct field of_limits[] = {{"memory", "Memory", NUMBER},
					 {"memory_swap", "MemorySwap", NUMBER},
					 {"pids", "PidsLimit", NUMBER},
					 {"cpuset", "CpusetCpus", TEXT}};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool all_text(const cJSON *array)
{
	const cJSON *e;

	if (!cJSON_IsArray(array))
		return false;
	cJSON_ArrayForEach (e, array) {
		if (!cJSON_IsString(e))
			return false;
	}
	return true;
}

static bool is_a(const cJSON *v, enum type type)
{
	switch (type) {
	case TEXT:
		return cJSON_IsString(v);
	case TEXTS:
		return all_text(v);
	case NUMBER:
		return cJSON_IsNumber(v);
	case BOOL:
		return cJSON_IsBool(v);
	}
	return false;
}

static int rename_all(const struct making *m, const struct field *fields, size_t n,
		      const cJSON *from, cJSON *to)
{
	static const char *const want[] = {"a text is wanted", "a list of texts is wanted",
					   "a number is wanted", "true or false is wanted"};

	for (size_t i = 0; i < n; i++) {
		const cJSON *v = docker_json_get(from, fields[i].from);

		if (!v || cJSON_IsNull(v))
			continue;
		if (!is_a(v, fields[i].type))
			return invalid(m, fields[i].from, want[fields[i].type]);
		if (!docker_json_put(to, fields[i].to, cJSON_Duplicate(v, 1)))
			return no_memory(m);
	}
	return AICTL_OK;
}

/* ---- environment, labels ---- */

static int environment(const struct making *m)
{
	const cJSON *from = docker_json_get(m->spec, "environment"), *v;
	cJSON *env;

	if (!from)
		return AICTL_OK;
	if (!cJSON_IsObject(from))
		return invalid(m, "environment", "an object is wanted");
	env = docker_json_array(m->body, "Env");
	cJSON_ArrayForEach (v, from) {
		_docker_free_ char *pair = NULL;

		if (!cJSON_IsString(v))
			return invalid(m, "environment", "the values are texts");
		pair = docker_mem_printf("%s=%s", v->string, v->valuestring);
		if (!pair || !docker_json_add(env, cJSON_CreateString(pair)))
			return no_memory(m);
	}
	return env ? AICTL_OK : no_memory(m);
}

/* aictl's own may stand in the specification too, as the host gives them. */
static bool is_given(const cJSON *label, const struct aictl_pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(pairs[i].key, label->string) == 0)
			return strcmp(pairs[i].value, label->valuestring) == 0;
	return false;
}

static int labels(const struct making *m, const struct aictl_pair *pairs, size_t n)
{
	const cJSON *of_user = docker_json_get(m->spec, "labels"), *v;
	cJSON *to = docker_json_object(m->body, "Labels");

	if (!to)
		return no_memory(m);
	cJSON_ArrayForEach (v, of_user) {
		if (cJSON_IsString(v) && is_given(v, pairs, n))
			continue;
		if (!cJSON_IsString(v) || strncmp(v->string, "io.aictl.", 9) == 0)
			return invalid(m, "labels",
				       "the values are texts, and io.aictl. is not the user's");
		if (!docker_json_put(to, v->string, cJSON_CreateString(v->valuestring)))
			return no_memory(m);
	}
	for (size_t i = 0; i < n; i++) {
		if (!docker_json_put(to, pairs[i].key, cJSON_CreateString(pairs[i].value)))
			return no_memory(m);
	}
	return AICTL_OK;
}

/* ---- mounts and devices ---- */

static int mount(const struct making *m, cJSON *mounts, const cJSON *v, const char *type)
{
	const char *source = docker_json_text(v, "source"), *target = docker_json_text(v, "target");
	bool tmpfs = strcmp(type, "tmpfs") == 0, ok;
	int64_t size = 0;
	cJSON *to, *options;

	if (!target || target[0] != '/')
		return invalid(m, "volumes", "the target has to be an absolute path");
	if (!source && strcmp(type, "bind") == 0)
		return invalid(m, "volumes", "a bind mount needs a source");
	to = cJSON_CreateObject();
	ok = docker_json_put(to, "Type", cJSON_CreateString(type)) &&
	     docker_json_put(to, "Target", cJSON_CreateString(target)) &&
	     (tmpfs || !source || docker_json_put(to, "Source", cJSON_CreateString(source))) &&
	     docker_json_put(to, "ReadOnly", cJSON_CreateBool(docker_json_true(v, "read_only")));
	if (ok && tmpfs && docker_json_number(v, "size", &size) && size > 0) {
		options = docker_json_object(to, "TmpfsOptions");
		ok = docker_json_put(options, "SizeBytes", cJSON_CreateNumber((double)size));
	}
	if (!ok)
		cJSON_Delete(to);
	return ok && docker_json_add(mounts, to) ? AICTL_OK : no_memory(m);
}

static int mounts(const struct making *m)
{
	const cJSON *volumes = docker_json_get(m->spec, "volumes"), *v;
	const cJSON *secrets = docker_json_get(m->spec, "secrets");
	cJSON *to;
	int r = AICTL_OK;

	if (!volumes && !secrets)
		return AICTL_OK;
	to = docker_json_array(m->host, "Mounts");
	if (!to)
		return no_memory(m);
	cJSON_ArrayForEach (v, volumes) {
		const char *type = docker_json_text(v, "type");

		if (!type || (strcmp(type, "bind") != 0 && strcmp(type, "volume") != 0 &&
			      strcmp(type, "tmpfs") != 0))
			return invalid(m, "volumes", "the type is bind, volume or tmpfs");
		if (r == AICTL_OK)
			r = mount(m, to, v, type);
	}
	cJSON_ArrayForEach (v, secrets) {
		cJSON *copy = cJSON_Duplicate(v, 1);

		if (!cJSON_IsObject(copy) ||
		    (cJSON_DeleteItemFromObjectCaseSensitive(copy, "read_only"),
		     !cJSON_AddTrueToObject(copy, "read_only")))
			r = invalid(m, "secrets", "an object is wanted");
		if (r == AICTL_OK)
			r = mount(m, to, copy, "bind");
		cJSON_Delete(copy);
	}
	return r;
}

static int devices(const struct making *m)
{
	const cJSON *from = docker_json_get(m->spec, "devices"), *v;
	cJSON *to;

	if (!from)
		return AICTL_OK;
	to = docker_json_array(m->host, "Devices");
	cJSON_ArrayForEach (v, from) {
		const char *source = docker_json_text(v, "source");
		const char *target = docker_json_text(v, "target");
		const char *may = docker_json_text(v, "permissions");
		cJSON *d;

		if (!source)
			return invalid(m, "devices", "a device needs a source");
		d = cJSON_CreateObject();
		if (!docker_json_put(d, "PathOnHost", cJSON_CreateString(source)) ||
		    !docker_json_put(d, "PathInContainer",
				     cJSON_CreateString(target ? target : source)) ||
		    !docker_json_put(d, "CgroupPermissions",
				     cJSON_CreateString(may ? may : "rwm"))) {
			cJSON_Delete(d);
			return no_memory(m);
		}
		if (!docker_json_add(to, d))
			return no_memory(m);
	}
	return to ? AICTL_OK : no_memory(m);
}

/* ---- ports ---- */

static int port(const struct making *m, const cJSON *v, cJSON *exposed, cJSON *bindings)
{
	const char *protocol = docker_json_text(v, "protocol"),
		   *ip = docker_json_text(v, "host_ip");
	int64_t inside = 0, outside = 0;
	char key[32], number[8];
	cJSON *b, *list;

	if (!docker_json_number(v, "container_port", &inside) || inside < 1 || inside > 65535)
		return invalid(m, "ports", "the port of the container has to be in 1..65535");
	if (docker_json_number(v, "host_port", &outside) && (outside < 0 || outside > 65535))
		return invalid(m, "ports", "the port of the host has to be in 0..65535");
	snprintf(key, sizeof(key), "%d/%.8s", (int)inside, protocol ? protocol : "tcp");
	snprintf(number, sizeof(number), "%d", (int)outside);
	if (!docker_json_get(exposed, key) && !docker_json_object(exposed, key))
		return no_memory(m);
	list = cJSON_GetObjectItemCaseSensitive(bindings, key);
	if (!list)
		list = docker_json_array(bindings, key);
	b = cJSON_CreateObject();
	if (!docker_json_put(b, "HostIp", cJSON_CreateString(ip ? ip : "127.0.0.1")) ||
	    !docker_json_put(b, "HostPort", cJSON_CreateString(outside ? number : ""))) {
		cJSON_Delete(b);
		return no_memory(m);
	}
	return docker_json_add(list, b) ? AICTL_OK : no_memory(m);
}

static int ports(const struct making *m)
{
	const cJSON *from = docker_json_get(m->spec, "ports"), *v;
	const char *network = docker_json_text(m->spec, "network");
	cJSON *exposed, *bindings;
	int r = AICTL_OK;

	if (!from || (network && (strcmp(network, "host") == 0 || strcmp(network, "none") == 0)))
		return AICTL_OK;
	exposed = docker_json_object(m->body, "ExposedPorts");
	bindings = docker_json_object(m->host, "PortBindings");
	if (!exposed || !bindings)
		return no_memory(m);
	cJSON_ArrayForEach (v, from) {
		if (r == AICTL_OK)
			r = port(m, v, exposed, bindings);
	}
	return r;
}

/* The name of a network of the user's own, or NULL. */
static const char *own_network(const cJSON *spec)
{
	static const char *const engines[] = {"bridge", "host", "none", "default", "podman"};
	const char *name = docker_json_text(spec, "network");

	for (size_t i = 0; name && i < COUNT(engines); i++)
		if (strcmp(engines[i], name) == 0)
			return NULL;
	return name;
}

/* In a network of the user's own a service is known to the others by its name, and by its hostname. */
static int network(const struct making *m)
{
	const char *name = own_network(m->spec);
	const char *service =
		docker_json_text(docker_json_get(m->spec, "labels"), "io.aictl.service");
	const char *host = docker_json_text(m->spec, "hostname");
	cJSON *ends, *aliases;

	if (!name || !service)
		return AICTL_OK;
	ends = docker_json_object(m->body, "NetworkingConfig");
	ends = ends ? docker_json_object(ends, "EndpointsConfig") : NULL;
	ends = ends ? docker_json_object(ends, name) : NULL;
	aliases = ends ? docker_json_array(ends, "Aliases") : NULL;
	if (!aliases || !docker_json_add(aliases, cJSON_CreateString(service)))
		return no_memory(m);
	if (host && strcmp(host, service) != 0 &&
	    !docker_json_add(aliases, cJSON_CreateString(host)))
		return no_memory(m);
	return AICTL_OK;
}

/* ---- limits ---- */

static int limits(const struct making *m)
{
	const cJSON *from = docker_json_get(m->spec, "limits");
	int64_t n;
	int r;

	if (!from)
		return AICTL_OK;
	r = rename_all(m, of_limits, COUNT(of_limits), from, m->host);
	if (r != AICTL_OK)
		return r;
	if (docker_json_number(from, "cpus", &n) && n > 0 && n < INT64_MAX / 1000000 &&
	    !docker_json_put(m->host, "NanoCpus", cJSON_CreateNumber((double)(n * 1000000))))
		return no_memory(m);
	/* The engine turns shares into a weight; this is the way back. */
	if (docker_json_number(from, "cpu_weight", &n) && n > 0 && n <= 10000 &&
	    !docker_json_put(m->host, "CpuShares",
			     cJSON_CreateNumber((double)(2 + (n - 1) * 262142 / 9999))))
		return no_memory(m);
	return AICTL_OK;
}

static int ulimits(const struct making *m)
{
	const cJSON *from = docker_json_get(m->spec, "ulimits"), *v;
	cJSON *to;

	if (!from)
		return AICTL_OK;
	to = docker_json_array(m->host, "Ulimits");
	cJSON_ArrayForEach (v, from) {
		const char *name = docker_json_text(v, "name");
		int64_t soft, hard;
		cJSON *u;

		if (!name || !docker_json_number(v, "soft", &soft) ||
		    !docker_json_number(v, "hard", &hard))
			return invalid(m, "ulimits", "name, soft and hard are wanted");
		u = cJSON_CreateObject();
		if (!docker_json_put(u, "Name", cJSON_CreateString(name)) ||
		    !docker_json_put(u, "Soft", cJSON_CreateNumber((double)soft)) ||
		    !docker_json_put(u, "Hard", cJSON_CreateNumber((double)hard))) {
			cJSON_Delete(u);
			return no_memory(m);
		}
		if (!docker_json_add(to, u))
			return no_memory(m);
	}
	return to ? AICTL_OK : no_memory(m);
}

/* ---- GPUs ---- */

static cJSON *capabilities(const cJSON *gpus)
{
	const cJSON *given = docker_json_get(gpus, "capabilities");
	cJSON *outer;

	if (cJSON_IsArray(given) && cJSON_GetArraySize(given) > 0)
		return cJSON_Duplicate(given, 1);
	outer = cJSON_CreateArray();
	if (!docker_json_add(outer, cJSON_CreateArray()) ||
	    !docker_json_add(cJSON_GetArrayItem(outer, 0), cJSON_CreateString("gpu"))) {
		cJSON_Delete(outer);
		return NULL;
	}
	return outer;
}

static bool by_driver(const cJSON *gpus, cJSON *requests)
{
	const cJSON *ids = docker_json_get(gpus, "device_ids");
	const char *driver = docker_json_text(gpus, "driver");
	cJSON *r = cJSON_CreateObject();
	int64_t count = -1;
	bool ok;

	ok = (!driver || docker_json_put(r, "Driver", cJSON_CreateString(driver))) &&
	     docker_json_put(r, "Capabilities", capabilities(gpus));
	/* One or the other: the engine refuses both. */
	if (ok && cJSON_GetArraySize(ids) > 0) {
		ok = docker_json_put(r, "DeviceIDs", cJSON_Duplicate(ids, 1));
	} else if (ok) {
		docker_json_number(gpus, "count", &count);
		ok = docker_json_put(r, "Count", cJSON_CreateNumber((double)count));
	}
	if (!ok) {
		cJSON_Delete(r);
		return false;
	}
	return docker_json_add(requests, r);
}

static bool by_cdi(const cJSON *names, cJSON *requests)
{
	cJSON *r = cJSON_CreateObject();

	if (!docker_json_put(r, "Driver", cJSON_CreateString("cdi")) ||
	    !docker_json_put(r, "DeviceIDs", cJSON_Duplicate(names, 1))) {
		cJSON_Delete(r);
		return false;
	}
	return docker_json_add(requests, r);
}

static int gpus(const struct making *m)
{
	const cJSON *from = docker_json_get(m->spec, "gpus"), *cdi = docker_json_get(from, "cdi");
	bool named = cJSON_GetArraySize(cdi) > 0;
	cJSON *requests;

	if (!from)
		return AICTL_OK;
	if (!cJSON_IsObject(from) || (cdi && !all_text(cdi)))
		return invalid(m, "gpus", "an object is wanted");
	if (m->engine->podman && m->engine->podman_major && m->engine->podman_major < 5) {
		snprintf(m->error, m->error_size,
			 "gpus: this Podman passes no device requests on from Docker's API; "
			 "Podman 5 does, as does Docker");
		return AICTL_UNSUPPORTED;
	}
	requests = docker_json_array(m->host, "DeviceRequests");
	if (!requests || (named && !by_cdi(cdi, requests)))
		return no_memory(m);
	if ((!named || docker_json_get(from, "count") || docker_json_get(from, "device_ids")) &&
	    !by_driver(from, requests))
		return no_memory(m);
	return AICTL_OK;
}

/* ---- what aictl decides ---- */

/* A driver that can be read again and does not fill the disk: what we read is kept elsewhere. */
static bool logging(const struct making *m)
{
	cJSON *log = docker_json_object(m->host, "LogConfig"), *config;

	if (m->engine->podman)
		return docker_json_put(log, "Type", cJSON_CreateString("k8s-file"));
	config = docker_json_object(log, "Config");
	return docker_json_put(log, "Type", cJSON_CreateString("json-file")) &&
	       docker_json_put(config, "max-size", cJSON_CreateString("64m")) &&
	       docker_json_put(config, "max-file", cJSON_CreateString("2"));
}

static int fixed(const struct making *m)
{
	cJSON *restart = docker_json_object(m->host, "RestartPolicy");

	return docker_json_put(restart, "Name", cJSON_CreateString("no")) &&
			       docker_json_put(m->host, "AutoRemove", cJSON_CreateFalse()) &&
			       logging(m)
		       ? AICTL_OK
		       : no_memory(m);
}

typedef int (*part)(const struct making *m);

int docker_spec_body(const cJSON *spec, const struct docker_spec_with *with, char **ret,
		     char *error, size_t error_size)
{
	static const part parts[] = {environment, mounts,  devices, ports, network,
				     limits,	  ulimits, gpus,    fixed};
	struct making m = {
		.spec = spec, .engine = with->engine, .error = error, .error_size = error_size};
	int r;

	if (!docker_json_text(spec, "image"))
		return invalid(&m, "image", "is missing");
	m.body = cJSON_CreateObject();
	m.host = docker_json_object(m.body, "HostConfig");
	if (!m.host) {
		cJSON_Delete(m.body);
		return no_memory(&m);
	}
	r = rename_all(&m, of_body, COUNT(of_body), spec, m.body);
	if (r == AICTL_OK)
		r = rename_all(&m, of_host, COUNT(of_host), spec, m.host);
	if (r == AICTL_OK)
		r = labels(&m, with->labels, with->n_labels);
	for (size_t i = 0; r == AICTL_OK && i < COUNT(parts); i++)
		r = parts[i](&m);
	if (r == AICTL_OK) {
		char *text = docker_json_print(m.body);

		if (text)
			*ret = text;
		else
			r = no_memory(&m);
	}
	cJSON_Delete(m.body);
	return r;
}

int docker_spec_network(const cJSON *spec, const struct docker_spec_with *with, char **ret,
			char *error, size_t error_size)
{
	const struct making m = {
		.spec = spec, .engine = with->engine, .error = error, .error_size = error_size};
	const char *name = own_network(spec);
	cJSON *body, *labels;
	bool ok;

	if (!name)
		return AICTL_OK;
	body = cJSON_CreateObject();
	labels = docker_json_object(body, "Labels");
	ok = labels && docker_json_put(body, "Name", cJSON_CreateString(name)) &&
	     docker_json_put(body, "CheckDuplicate", cJSON_CreateTrue());
	for (size_t i = 0; ok && i < with->n_labels; i++)
		if (strcmp(with->labels[i].key, AICTL_LABEL_INSTANCE) == 0)
			ok = docker_json_put(labels, AICTL_LABEL_INSTANCE,
					     cJSON_CreateString(with->labels[i].value));
	*ret = ok ? docker_json_print(body) : NULL;
	cJSON_Delete(body);
	return *ret ? AICTL_OK : no_memory(&m);
}

enum docker_spec_pull docker_spec_pull(const cJSON *spec)
{
	const char *p = docker_json_text(spec, "pull_policy");

	if (p && strcmp(p, "always") == 0)
		return DOCKER_SPEC_ALWAYS;
	return p && strcmp(p, "never") == 0 ? DOCKER_SPEC_NEVER : DOCKER_SPEC_MISSING;
}
