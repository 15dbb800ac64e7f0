/* Unit tests of what the Docker plugin is told: specifications, references, credentials, endpoints. */
/* SPDX-License-Identifier: MIT */
#include "plugins/docker_spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/docker_auth.h"
#include "plugins/docker_endpoint.h"
#include "plugins/docker_json.h"
#include "plugins/docker_ref.h"

static const struct aictl_pair label = {"io.aictl.instance", "abc"};
static char error[256];

static int make(const char *spec, bool podman, char **ret)
{
	const struct docker_spec_engine engine = {.podman = podman, .podman_major = podman ? 4 : 0};
	const struct docker_spec_with with = {.engine = &engine, .labels = &label, .n_labels = 1};
	cJSON *o = docker_json_parse(spec, strlen(spec));
	int r;

	assert_non_null(o);
	*ret = NULL;
	r = docker_spec_body(o, &with, ret, error, sizeof(error));
	cJSON_Delete(o);
	return r;
}

#define LOG                                                                                        \
	"\"RestartPolicy\":{\"Name\":\"no\"},\"AutoRemove\":false,\"LogConfig\":{\"Config\":{"     \
	"\"max-size\":\"64m\",\"max-file\":\"2\"},\"Type\":\"json-file\"}"
#define LABELS "\"Labels\":{\"io.aictl.instance\":\"abc\"}"

/* A specification, and how the body ends behind "HostConfig":{ or begins, as far as it matters. */
static void expect(const char *spec, const char *body)
{
	char *text;

	assert_int_equal(make(spec, false, &text), AICTL_OK);
	assert_string_equal(text, body);
	docker_mem_free(text);
}

static void expect_part(const char *spec, const char *part)
{
	char *text;

	assert_int_equal(make(spec, false, &text), AICTL_OK);
	if (!strstr(text, part))
		fail_msg("%s is not in %s", part, text);
	docker_mem_free(text);
}

static void test_least(void **state)
{
	(void)state;
	expect("{\"image\":\"bb:1\"}", "{\"HostConfig\":{" LOG "},\"Image\":\"bb:1\"," LABELS "}");
}

static void test_plain_members(void **state)
{
	(void)state;
	expect("{\"image\":\"bb\",\"command\":[\"a\",\"b c\"],\"entrypoint\":[],\"user\":\"1:2\","
	       "\"tty\":true,\"working_dir\":\"/w\",\"stop_signal\":\"SIGINT\",\"hostname\":\"h\","
	       "\"init\":true,\"read_only\":true,\"shm_size\":67108864,\"cap_add\":[\"SYS_NICE\"],"
	       "\"cap_drop\":[\"ALL\"],\"group_add\":[\"44\"],\"security_opt\":[\"no-new-privileges\"],"
	       "\"network\":\"host\",\"environment\":{\"A\":\"1\",\"B\":\"x=y\"}}",
	       "{\"HostConfig\":{\"Init\":true,\"ReadonlyRootfs\":true,\"ShmSize\":67108864,"
	       "\"CapAdd\":[\"SYS_NICE\"],\"CapDrop\":[\"ALL\"],\"GroupAdd\":[\"44\"],"
	       "\"SecurityOpt\":[\"no-new-privileges\"],\"NetworkMode\":\"host\"," LOG
	       "},\"Image\":\"bb\",\"Cmd\":[\"a\",\"b c\"],\"Entrypoint\":[],\"User\":\"1:2\","
	       "\"Tty\":true,\"WorkingDir\":\"/w\",\"StopSignal\":\"SIGINT\",\"Hostname\":\"h\"," LABELS
	       ",\"Env\":[\"A=1\",\"B=x=y\"]}");
}

static void test_mounts(void **state)
{
	(void)state;
	expect_part(
		"{\"image\":\"b\",\"volumes\":[{\"type\":\"bind\",\"source\":\"/d\",\"target\":\"/e\","
		"\"read_only\":true},{\"type\":\"volume\",\"source\":\"v\",\"target\":\"/v\"},"
		"{\"type\":\"tmpfs\",\"target\":\"/t\",\"size\":1024}],"
		"\"secrets\":[{\"source\":\"/run/s\",\"target\":\"/run/secrets/k\"}]}",
		"\"Mounts\":[{\"Type\":\"bind\",\"Target\":\"/e\",\"Source\":\"/d\",\"ReadOnly\":true},"
		"{\"Type\":\"volume\",\"Target\":\"/v\",\"Source\":\"v\",\"ReadOnly\":false},"
		"{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"ReadOnly\":false,"
		"\"TmpfsOptions\":{\"SizeBytes\":1024}},"
		"{\"Type\":\"bind\",\"Target\":\"/run/secrets/k\",\"Source\":\"/run/s\","
		"\"ReadOnly\":true}]");
}

static void test_devices(void **state)
{
	(void)state;
	expect_part(
		"{\"image\":\"b\",\"devices\":[{\"source\":\"/dev/fuse\"},{\"source\":\"/dev/a\","
		"\"target\":\"/dev/b\",\"permissions\":\"r\"}]}",
		"\"Devices\":[{\"PathOnHost\":\"/dev/fuse\",\"PathInContainer\":\"/dev/fuse\","
		"\"CgroupPermissions\":\"rwm\"},{\"PathOnHost\":\"/dev/a\",\"PathInContainer\":"
		"\"/dev/b\",\"CgroupPermissions\":\"r\"}]");
}

static void test_ports(void **state)
{
	static const char bridge[] =
		"{\"image\":\"b\",\"ports\":[{\"name\":\"http\",\"host_ip\":\"127.0.0.1\","
		"\"host_port\":31000,\"container_port\":80},{\"container_port\":80,"
		"\"host_port\":31001},{\"container_port\":53,\"protocol\":\"udp\"}]}";
	char *text;

	(void)state;
	expect_part(bridge, "\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":"
			    "\"31000\"},{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"31001\"}],"
			    "\"53/udp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]}");
	expect_part(bridge, "\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{}}");
	assert_int_equal(make("{\"image\":\"b\",\"network\":\"host\",\"ports\":"
			      "[{\"container_port\":80,\"host_port\":1}]}",
			      false, &text),
			 AICTL_OK);
	assert_null(strstr(text, "PortBindings"));
	docker_mem_free(text);
}

static void test_limits(void **state)
{
	(void)state;
	expect_part("{\"image\":\"b\",\"limits\":{\"memory\":68719476736,\"memory_swap\":-1,"
		    "\"cpus\":1500,\"cpu_weight\":10000,\"pids\":100,\"cpuset\":\"0-1\"},"
		    "\"ulimits\":[{\"name\":\"nofile\",\"soft\":1024,\"hard\":2048}]}",
		    "\"HostConfig\":{\"Memory\":68719476736,\"MemorySwap\":-1,\"PidsLimit\":100,"
		    "\"CpusetCpus\":\"0-1\",\"NanoCpus\":1500000000,\"CpuShares\":262144,"
		    "\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":1024,\"Hard\":2048}]");
}

static void test_gpus(void **state)
{
	char *text;

	(void)state;
	expect_part("{\"image\":\"b\",\"gpus\":{\"count\":-1}}",
		    "\"DeviceRequests\":[{\"Capabilities\":[[\"gpu\"]],\"Count\":-1}]");
	expect_part("{\"image\":\"b\",\"gpus\":{\"driver\":\"nvidia\",\"device_ids\":[\"0\",\"2\"],"
		    "\"count\":2,\"capabilities\":[[\"gpu\",\"utility\"]]}}",
		    "\"DeviceRequests\":[{\"Driver\":\"nvidia\",\"Capabilities\":[[\"gpu\","
		    "\"utility\"]],\"DeviceIDs\":[\"0\",\"2\"]}]");
	expect_part(
		"{\"image\":\"b\",\"gpus\":{\"cdi\":[\"nvidia.com/gpu=all\"]}}",
		"\"DeviceRequests\":[{\"Driver\":\"cdi\",\"DeviceIDs\":[\"nvidia.com/gpu=all\"]}]");
	assert_int_equal(make("{\"image\":\"b\",\"gpus\":{\"count\":1}}", true, &text),
			 AICTL_UNSUPPORTED);
	assert_non_null(strstr(error, "Podman"));
}

static void test_podman(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(make("{\"image\":\"b\"}", true, &text), AICTL_OK);
	assert_non_null(strstr(text, "\"LogConfig\":{\"Type\":\"k8s-file\"}"));
	docker_mem_free(text);
}

static void test_wrong(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"image\":\"\"}",
		"{\"image\":7}",
		"{\"image\":\"b\",\"command\":\"x\"}",
		"{\"image\":\"b\",\"command\":[1]}",
		"{\"image\":\"b\",\"tty\":\"yes\"}",
		"{\"image\":\"b\",\"environment\":[\"A=1\"]}",
		"{\"image\":\"b\",\"environment\":{\"A\":1}}",
		"{\"image\":\"b\",\"labels\":{\"io.aictl.instance\":\"other\"}}",
		"{\"image\":\"b\",\"volumes\":[{\"type\":\"bind\",\"target\":\"/e\"}]}",
		"{\"image\":\"b\",\"volumes\":[{\"type\":\"nfs\",\"target\":\"/e\"}]}",
		"{\"image\":\"b\",\"volumes\":[{\"type\":\"volume\",\"target\":\"e\"}]}",
		"{\"image\":\"b\",\"secrets\":[\"x\"]}",
		"{\"image\":\"b\",\"devices\":[{}]}",
		"{\"image\":\"b\",\"ports\":[{\"container_port\":0}]}",
		"{\"image\":\"b\",\"ports\":[{\"container_port\":80,\"host_port\":65536}]}",
		"{\"image\":\"b\",\"ulimits\":[{\"name\":\"nofile\"}]}",
		"{\"image\":\"b\",\"gpus\":true}",
		"{\"image\":\"b\",\"limits\":{\"memory\":\"1g\"}}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *text;

		error[0] = '\0';
		if (make(bad[i], false, &text) != AICTL_INVALID || text || !error[0])
			fail_msg("%s", bad[i]);
	}
}

/* Whichever of our allocations fails: said so, nothing leaks. */
static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned long n = 1;; n++) {
		char *text;
		int r;

		docker_mem_fail_after(n);
		r = make("{\"image\":\"b\",\"environment\":{\"A\":\"1\",\"B\":\"2\"}}", false,
			 &text);
		docker_mem_fail_after(0);
		if (r == AICTL_OK) {
			docker_mem_free(text);
			assert_true(n > 2);
			return;
		}
		assert_int_equal(r, AICTL_NO_MEMORY);
		assert_null(text);
	}
}

static void test_pull_policy(void **state)
{
	cJSON *o = docker_json_parse("{\"pull_policy\":\"always\"}", 24);

	(void)state;
	assert_int_equal(docker_spec_pull(o), DOCKER_SPEC_ALWAYS);
	cJSON_Delete(o);
	o = docker_json_parse("{\"pull_policy\":\"never\"}", 23);
	assert_int_equal(docker_spec_pull(o), DOCKER_SPEC_NEVER);
	cJSON_Delete(o);
	assert_int_equal(docker_spec_pull(NULL), DOCKER_SPEC_MISSING);
}

/* ---- references ---- */

static void reference(const char *text, const char *name, const char *tag, const char *registry)
{
	struct docker_ref r;
	const char *why;

	assert_int_equal(docker_ref_parse(text, &r, &why), 0);
	assert_string_equal(r.name, name);
	assert_string_equal(r.tag, tag);
	assert_string_equal(r.registry, registry);
	docker_ref_done(&r);
}

static void test_references(void **state)
{
	static const char *const bad[] = {"",	"a b",	"a:", ":a",  "/a",
					  "a/", "a//b", "a@", "a@x", "a\n"};
	struct docker_ref r;
	const char *why;

	(void)state;
	reference("redis", "redis", "latest", "docker.io");
	reference("redis:7", "redis", "7", "docker.io");
	reference("user/app:1", "user/app", "1", "docker.io");
	reference("ghcr.io/a/b", "ghcr.io/a/b", "latest", "ghcr.io");
	reference("localhost/bb:1", "localhost/bb", "1", "localhost");
	reference("127.0.0.1:5000/a", "127.0.0.1:5000/a", "latest", "127.0.0.1:5000");
	reference("reg:5000/a:2@sha256:ab", "reg:5000/a", "sha256:ab", "reg:5000");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (docker_ref_parse(bad[i], &r, &why) != -1)
			fail_msg("%s", bad[i]);
	}
	assert_int_equal(
		docker_ref_parse("sha256:0123456789012345678901234567890123456789012345678901"
				 "234567890123",
				 &r, &why),
		0);
	assert_true(r.id);
	docker_ref_done(&r);
}

static void test_escape(void **state)
{
	struct docker_buf b = {0};

	(void)state;
	docker_ref_escape(&b, "a/b:1 {\"x\"}&é");
	assert_string_equal(b.data, "a%2Fb%3A1%20%7B%22x%22%7D%26%C3%A9");
	docker_mem_done(&b);
}

/* ---- credentials ---- */

static void credentials(const char *config, const char *registry, const char *want,
			const char *note)
{
	const char *said;
	char *header;

	assert_int_equal(docker_auth_header(config, strlen(config), registry, &header, &said), 0);
	if (want)
		assert_string_equal(header, want);
	else
		assert_null(header);
	if (note)
		assert_non_null(strstr(said, note));
	else
		assert_null(said);
	docker_mem_free(header);
}

static void test_credentials(void **state)
{
	static const char config[] =
		"{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"bWU6cGE6c3M=\"},"
		"\"ghcr.io\":{\"identitytoken\":\"tok\"},\"reg:5000\":{\"username\":\"u\","
		"\"password\":\"p\"},\"empty.io\":{}},\"credHelpers\":{\"gcr.io\":\"gcloud\"}}";
	const char *note;
	char *header;

	(void)state;
	/* {"serveraddress":"https://index.docker.io/v1/","username":"me","password":"pa:ss"} */
	credentials(
		config, "docker.io",
		"eyJzZXJ2ZXJhZGRyZXNzIjoiaHR0cHM6Ly9pbmRleC5kb2NrZXIuaW8vdjEvIiwidXNlcm5hbWUiOiJtZSI"
		"sInBhc3N3b3JkIjoicGE6c3MifQ==",
		NULL);
	/* {"serveraddress":"ghcr.io","identitytoken":"tok"} */
	credentials(config, "ghcr.io",
		    "eyJzZXJ2ZXJhZGRyZXNzIjoiZ2hjci5pbyIsImlkZW50aXR5dG9rZW4iOiJ0b2sifQ==", NULL);
	/* {"serveraddress":"reg:5000","username":"u","password":"p"} */
	credentials(
		config, "reg:5000",
		"eyJzZXJ2ZXJhZGRyZXNzIjoicmVnOjUwMDAiLCJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAifQ==",
		NULL);
	credentials(config, "empty.io", NULL, NULL);
	credentials(config, "quay.io", NULL, NULL);
	credentials(config, "gcr.io", NULL, "helper");
	credentials("{\"credsStore\":\"desktop\"}", "quay.io", NULL, "helper");
	credentials("{\"auths\":{\"a.io\":{\"auth\":\"!!\"}}}", "a.io", NULL, NULL);
	assert_int_equal(docker_auth_header("[]", 2, "a", &header, &note), -1);
	assert_int_equal(docker_auth_header("{", 1, "a", &header, &note), -1);
}

/* ---- endpoints ---- */

static void test_endpoints(void **state)
{
	static const char *const bad[] = {"tcp://127.0.0.1:2375", "ssh://x", "unix://rel",
					  "rel/path"};
	char *path;

	(void)state;
	assert_int_equal(docker_endpoint_parse("", NULL, &path, error, sizeof(error)), AICTL_OK);
	assert_string_equal(path, "/var/run/docker.sock");
	docker_mem_free(path);
	assert_int_equal(docker_endpoint_parse("unix:///a", "tcp://b", &path, error, sizeof(error)),
			 AICTL_OK);
	assert_string_equal(path, "/a");
	docker_mem_free(path);
	assert_int_equal(docker_endpoint_parse("", "unix:///b", &path, error, sizeof(error)),
			 AICTL_OK);
	assert_string_equal(path, "/b");
	docker_mem_free(path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_not_equal(
			docker_endpoint_parse(bad[i], NULL, &path, error, sizeof(error)), AICTL_OK);
		assert_non_null(strstr(error, "unix:///path"));
	}
	assert_int_equal(docker_endpoint_parse("", "tcp://h:1", &path, error, sizeof(error)),
			 AICTL_UNSUPPORTED);
	assert_string_equal(error, "DOCKER_HOST: tcp:// is not supported: give the engine's Unix "
				   "socket as unix:///path");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),	    cmocka_unit_test(test_plain_members),
		cmocka_unit_test(test_mounts),	    cmocka_unit_test(test_devices),
		cmocka_unit_test(test_ports),	    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_gpus),	    cmocka_unit_test(test_podman),
		cmocka_unit_test(test_wrong),	    cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_pull_policy), cmocka_unit_test(test_references),
		cmocka_unit_test(test_escape),	    cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
